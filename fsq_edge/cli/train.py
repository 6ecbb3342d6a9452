"""``fsq-edge train``: from a data source to a run folder."""

from __future__ import annotations

from pathlib import Path

import click

from fsq_edge.cli.output import console, need, output_options, write_json
from fsq_edge_runtime.errors import UsageError


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"no subject in {text!r}", hint="write them as A,B")
    return names


@click.command(
    epilog="Exit codes: 0 the run folder is written; 64 usage; 65 the data cannot be trained on; 66 missing input; "
    "69 a package is missing. Under torchrun --nproc-per-node N the same command trains on N processes.",
)
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--data", metavar="SOURCE", help="watch, quadruped or folder:PATH.")
@click.option("--test-subjects", metavar="A,B", help="Subjects kept for `evaluate`.")
@click.option("--val-subjects", metavar="C,D", help="Validation subjects; a seeded 20 % of the others without it.")
@click.option("--seed", type=click.IntRange(0), help="Of weights, order, augmentation and validation share.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training windows.")
@click.option("--out", required=True, metavar="RUN", type=click.Path(path_type=Path), help="The run folder.")
@output_options
def command(
    config: Path | None,
    data: str | None,
    test_subjects: str | None,
    val_subjects: str | None,
    seed: int | None,
    epochs: int | None,
    out: Path,
    json_to: str | None,
    quiet: bool,
) -> None:
    """Train a Conv2d-FSQ classifier on windows split by subject.

    CONFIG is a YAML file; flags win over it, and without one the measured recipe is used.
    """
    torch = need("torch", "train")
    for module in ("safetensors", "yaml"):
        need(module, "train")
    from fsq_edge.data import cut_windows, open_dataset
    from fsq_edge.training import load_config, train
    from fsq_edge.training.partition import split_by_subject
    from fsq_edge.training.run import EpochRecord, choose_device

    settings = load_config(
        config,
        {
            "data": {"source": data, "test_subjects": _names(test_subjects), "val_subjects": _names(val_subjects)},
            "training": {"seed": seed, "max_epochs": epochs},
        },
    )
    show = console(quiet, json_to)
    device = choose_device(settings.training.device)
    cuda = "yes" if torch.cuda.is_available() else "no"
    show.print(f"torch {torch.__version__}, CUDA available: {cuda}, device: {device}")
    source = settings.data.source
    if source is None:
        raise UsageError("no data source", hint="--data watch, --data quadruped or --data folder:PATH")
    dataset = open_dataset(source)
    window = settings.preprocessing.window_samples or 100
    index = cut_windows(dataset, window, settings.preprocessing.hop_samples or max(window // 2, 1))
    split = split_by_subject(
        index,
        [str(subject) for subject in settings.data.test_subjects],
        [str(subject) for subject in settings.data.val_subjects],
        val_fraction=settings.data.val_fraction,
        seed=settings.training.seed,
    )
    show.print(
        f"{dataset.name}: {len(split.train)} training, {len(split.val)} validation, {len(split.test)} test windows"
    )

    def progress(epoch: EpochRecord, epochs: int) -> None:
        checked = "" if epoch.val_macro_f1 is None else f", validation macro-F1 {epoch.val_macro_f1:.3f}"
        show.print(f"epoch {epoch.epoch + 1}/{epochs}: loss {epoch.train_loss:.3f}{checked}")

    result = train(split, settings, out, source=source, progress=progress)
    write_json({"schema_version": 1, "run": str(result.folder), **result.record.metrics}, json_to)
    show.print(f"wrote {result.folder}")
