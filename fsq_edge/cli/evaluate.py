"""``fsq-edge evaluate``: score a run on windows that it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from fsq_edge.cli.early import require_run
from fsq_edge.cli.options import default_option, path_option
from fsq_edge.cli.output import Output, need, output_options, table


@click.command(
    epilog="Exit codes: 0 the report is written; 64 usage; 65 the data cannot be used (NaN everywhere, other channels, "
    "a class that the model does not know) or the run is damaged; 66 RUN or the data are missing; 69 a package is "
    "missing, or DIR or the record of openings cannot be written."
)
@click.argument("run", type=click.Path(path_type=Path))
@default_option("--split", "test", click.Choice(["test", "val"]), "Part of the run's split to score.")
@click.option(
    "--data",
    metavar="SOURCE",
    help="Read the data from this source: the run's data set in a new place, or another one, scored whole.",
)
@path_option(
    "--out",
    metavar="DIR",
    help="Write the report into this folder. Default: RUN/evaluation, or RUN/evaluation-val for val.",
)
@output_options
def command(run: Path, split: Literal["test", "val"], data: str | None, out: Path | None, output: Output) -> None:
    """Evaluate the torch model of RUN on its held-out subjects.

    Writes evaluation_report.md, evaluation.html, summary.json and predictions.npz. The test split is meant to be
    opened once: each opening is recorded in RUN, and every later report says so.
    """
    require_run(run)
    torch = need("torch", "train")
    for module, extra in (("safetensors", "train"), ("matplotlib", "report"), ("jinja2", "report")):
        need(module, extra)
    from fsq_edge.evaluation.folder import prepare_folder, write_evaluation
    from fsq_edge.evaluation.run_evaluation import evaluate_run, summary
    from fsq_edge.training import load_run

    torch.set_num_threads(1)
    loaded = load_run(run)
    folder = out or run / ("evaluation" if split == "test" else "evaluation-val")
    prepare_folder(folder)
    evaluated = evaluate_run(loaded, split, data)
    write_evaluation(evaluated, folder)
    scores, intervals = evaluated.evaluation, evaluated.evaluation.intervals
    for notice in evaluated.notices:
        output.print(f"note: {notice}", style="yellow", markup=False, soft_wrap=True)
    rows = [
        ("accuracy", f"{scores.accuracy:.4f}", intervals.accuracy, f"{scores.majority.accuracy:.4f}"),
        ("macro-F1", f"{scores.macro_f1:.4f}", intervals.macro_f1, f"{scores.majority.macro_f1:.4f}"),
    ]
    output.print(
        table(
            f"{evaluated.windows.dataset}, {evaluated.windows.description}: {scores.n} windows",
            ["score", "value", "95 % interval", "majority baseline"],
            [(name, value, f"{i.low:.3f} to {i.high:.3f}", base) for name, value, i, base in rows],
        )
    )
    output.say(f"intervals: {intervals.made}\nwrote {folder}")
    output.say_next("fsq-edge", "export", run, "--out", "BUILD")
    output.write_json({**summary(evaluated), "evaluation": scores.to_dict()})
