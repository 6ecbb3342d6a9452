"""``fsq-edge train``: from a data source to a run folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fsq_edge.cli.early import require_file
from fsq_edge.cli.options import names_of
from fsq_edge.cli.output import Output, need, output_options, table
from fsq_edge.cli.train_budget import choose_size, leave_if_broken, read_budget
from fsq_edge.cli.workstation_options import folder_option
from fsq_edge.data.sources import check_source
from fsq_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from fsq_edge.training import TrainConfig, TrainResult
    from fsq_edge.training.record import EpochRecord
    from fsq_edge.training.split import WindowSides

LINE_EVERY_S = 10.0


@click.command(
    "train",
    epilog="Exit codes: 0 the run folder is written; 1 it is, but its network breaks --budget; 64 usage, or a budget "
    "that no network keeps; 65 the data cannot be trained on; 66 missing input; "
    "69 a package is missing. Under `torchrun --nproc-per-node N -m fsq_edge train ...` the same training runs on N "
    "processes. The same call in the same folder continues a training that was interrupted.",
)
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--data", metavar="SOURCE", help="Data source: watch, quadruped or folder:PATH. Default: that of CONFIG.")
@click.option(
    "--test-subjects",
    callback=names_of(),
    metavar="A,B",
    help="Subjects kept for `evaluate`. Default: 20 % of them, fixed for a data set.",
)
@click.option(
    "--val-subjects",
    callback=names_of(),
    metavar="C,D",
    help="Subjects that choose the best epoch. Default: 20 % of the others, drawn by the seed.",
)
@click.option("--all-subjects", is_flag=True, help="Keep no subject for `evaluate`: the last training before a device.")
@click.option(
    "--folds",
    type=click.IntRange(2, 1000),
    metavar="K",
    help="Train and evaluate K times instead, each subject held out once, and write one report, RUN/folds.html.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="Seed of weights, order, augmentation and validation subjects. Default: that of CONFIG, or 0.",
)
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training windows. Default: from their number.")
@click.option(
    "--budget",
    metavar="LIMITS",
    help='Choose hidden_dim and blocks within limits such as "us=60,params=40k,flips=2%": microseconds of a window on '
    "this CPU, trained numbers, codes that an int8 preview changes. Default: those of CONFIG.",
)
@folder_option("--out", required=True, metavar="RUN", help="Write the run into this folder.")
@output_options
def command(
    config: Path | None,
    data: str | None,
    test_subjects: tuple[str, ...] | None,
    val_subjects: tuple[str, ...] | None,
    all_subjects: bool,
    folds: int | None,
    seed: int | None,
    epochs: int | None,
    budget: str | None,
    out: Path,
    output: Output,
) -> None:
    """Train a Conv2d-FSQ classifier.

    CONFIG is a YAML file; flags win over it, and without one the measured recipe is used. RUN then holds
    model.safetensors, run.json, preprocess.json, training.log, training.html and the events for `tensorboard --logdir
    RUN`.
    """
    if (all_subjects or folds) and (test_subjects or (all_subjects and folds)):
        raise UsageError("give one of --test-subjects, --all-subjects and --folds", hint="fsq-edge train --help")
    if budget is not None and (folds or os.environ.get("WORLD_SIZE", "1") != "1"):
        raise UsageError("--budget chooses one network in one process", hint="leave out --folds and torchrun")
    limits = None if budget is None else read_budget(budget)
    if config is not None:
        require_file(config, "the training configuration", "leave it out for the measured recipe")
    if data is not None:
        check_source(data)  # before torch, whose import takes seconds
    for module in ("torch", "safetensors", "yaml"):
        need(module, "train")
    from fsq_edge.training import load_config, train
    from fsq_edge.training.split import open_sides
    from fsq_edge.training.trainer import CHECKPOINT_FILE

    settings = load_config(
        config,
        {
            "data": {
                "source": data,
                "test_subjects": () if all_subjects else test_subjects,
                "val_subjects": val_subjects,
                "test_fraction": 0.0 if all_subjects else None,
            },
            "training": {"seed": seed, "max_epochs": epochs},
        },
    )
    leads = os.environ.get("RANK", "0") == "0"  # under torchrun one process speaks for all
    output.quiet = output.quiet or not leads
    _say_device(output, settings.training.device)
    if folds is not None:
        try:
            _train_folds(settings, out, folds, output)
        except KeyboardInterrupt:
            click.echo(f"stopped; the same command goes on, and keeps the folds that are finished in {out}", err=True)
            raise
        return
    sides = open_sides(settings)
    _say_data(output, sides)
    sizes = None if limits is None else choose_size(settings, sides, limits, out, output)
    if sizes is not None:
        from fsq_edge.deploy.sizing import sized

        settings = sized(settings, sizes.choice)

    def say(line: str) -> None:
        output.say(f"data quality: {line}")

    try:
        with _bar(output) as listen:
            result = train(settings, out, sides=sides, progress=listen, say=say)
    except KeyboardInterrupt:
        if leads:
            kept = (out / CHECKPOINT_FILE).exists()
            how = f"goes on after the last whole epoch, from {out}" if kept else "begins again"
            click.echo(f"stopped; the same command {how}", err=True)
        raise
    _report(output, result, settings)
    if leads:
        _write_page(result.folder)
        output.write_json(result.to_dict())
    if sizes is not None:
        leave_if_broken(sizes, out, settings.training.seed, output)


def _train_folds(settings: TrainConfig, out: Path, folds: int, output: Output) -> None:
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("--folds trains in one process", hint="start it without torchrun")
    for module in ("matplotlib", "jinja2"):
        need(module, "report")
    from fsq_edge.evaluation.cross_validation import PAGE_FILE, cross_validate, sections
    from fsq_edge.report.terminal import section_lines

    def say(line: str) -> None:
        output.say(line)

    with _bar(output) as listen:
        result = cross_validate(settings, out, folds, say=say, progress=listen)
    scores, ranges = result.pooled, result.pooled.intervals
    for section in sections(result)[1:2]:
        for shown in section_lines(section):
            output.print(shown)
    say(
        f"accuracy {scores.accuracy:.4f} (95 % {ranges.accuracy.low:.3f} to {ranges.accuracy.high:.3f}; the "
        f"most frequent class alone {scores.majority.accuracy:.4f})"
    )
    say(f"macro-F1 {scores.macro_f1:.4f} (95 % {ranges.macro_f1.low:.3f} to {ranges.macro_f1.high:.3f})")
    say(f"wrote {out / PAGE_FILE}")
    output.write_json(result.to_dict())


def _say_device(show: Output, asked: str) -> None:
    import torch

    from fsq_edge.training.world import choose_device

    device = choose_device(asked)
    cuda = "yes" if torch.cuda.is_available() else "no"
    fallback = " (cuda was asked for)" if asked == "cuda" and device.type != "cuda" else ""
    show.say(f"torch {torch.__version__}, CUDA available: {cuda}, device: {device}{fallback}")


def _say_data(show: Output, sides: WindowSides) -> None:
    show.say(sides.split.description)
    for note in sides.split.notes:
        show.say(f"note: {note}")
    show.say(f"windows: {len(sides.train)} training, {len(sides.val)} validation, {len(sides.test)} test")


@contextmanager
def _bar(show: Output) -> Iterator[Callable[[EpochRecord, int], None] | None]:
    """Show a progress bar on a terminal; elsewhere a line now and then, so that a log shows that it goes on."""
    if show.silent:
        yield None
        return
    if not show.is_terminal:
        yield _lines(show)
        return
    columns = (TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeRemainingColumn(), console=show.console) as bar:
        task = bar.add_task("", total=None)

        def listen(record: EpochRecord, epochs: int) -> None:
            bar.update(task, total=epochs, completed=record.epoch, description=_progress(record))

        yield listen


def _lines(show: Output) -> Callable[[EpochRecord, int], None]:
    last = time.monotonic()

    def listen(record: EpochRecord, epochs: int) -> None:
        nonlocal last
        if time.monotonic() - last < LINE_EVERY_S:
            return
        last = time.monotonic()
        show.say(f"epoch {record.epoch} of {epochs}: {_progress(record)}")

    return listen


def _progress(record: EpochRecord) -> str:
    text = f"loss {record.train_loss:.3f}"
    if record.val_macro_f1 is not None:
        return f"{text}, validation macro-F1 {record.val_macro_f1:.3f}"
    return f"{text}, refit on all subjects that are not held out"


def _write_page(folder: Path) -> None:
    """Write the run's page where the packages for pages are installed; without them a run is whole, too."""
    if all(find_spec(module) is not None for module in ("matplotlib", "jinja2")):
        from fsq_edge.evaluation.training_page import write_training_page
        from fsq_edge.training import load_run

        write_training_page(load_run(folder))


def _report(show: Output, result: TrainResult, settings: TrainConfig) -> None:
    from fsq_edge.training.gate import code_warnings

    record = result.record
    if result.resumed_after:
        show.say(f"resumed after epoch {result.resumed_after}")
    rows = [
        ("parameters", f"{record.parameters:,}"),
        ("epochs", f"{len(record.history)}, best {record.metrics['best_epoch']:.0f} by {settings.training.monitor}"),
        ("validation accuracy", f"{record.metrics['val_accuracy']:.3f} (n = {record.split.n_val})"),
        ("validation macro-F1", f"{record.metrics['val_macro_f1']:.3f}"),
    ]
    show.print(table(f"Run {result.folder}", ["", "value"], rows))
    for warning in code_warnings(record.history[-1]):
        show.say(f"warning: {warning}")
    rest = () if record.split.n_test else ("--out", "BUILD")
    show.say_next("fsq-edge", "export" if rest else "evaluate", result.folder, *rest)
