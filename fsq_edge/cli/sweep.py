"""``fsq-edge sweep``: search training settings, on one machine or many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsq_edge.cli.early import require_file
from fsq_edge.cli.options import default_option, names_of, path_option
from fsq_edge.cli.output import Output, need, output_options

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@click.command(
    "sweep",
    epilog="Exit codes: 0 the study has its trials; 64 usage, or a study of other data; 65 a file is wrong; 69 the "
    "storage or a package is missing. Run the same command on as many machines as you have: they share the storage.",
)
@click.argument("config", type=click.Path(path_type=Path))
@path_option("--space", required=True, help="Search these settings (YAML: section.field and its values).")
@click.option("--storage", required=True, metavar="URL",
              help="Keep trials here: sqlite:///FILE, journal:FILE, postgresql://USER@HOST/DB, env:NAME.")  # fmt: skip
@default_option("--trials", 50, click.IntRange(0), "Trials of all workers together; 0 writes the report alone.")
@click.option("--objectives", callback=names_of("macro-f1", "int8-flips", "parameters", "latency"),
              help="Optimize these, parted by commas (default: macro-f1).")  # fmt: skip
@click.option("--data", metavar="SOURCE", help="Data source: watch, quadruped or folder:PATH. Default: that of CONFIG.")
@default_option("--name", "sweep", None, "Name of the study in the storage.")
@default_option("--heartbeat", 30, click.IntRange(1, 3600),
                "Seconds between signs of life; after three without one a trial is started again.")  # fmt: skip
@path_option("--out", required=True, help="Write report and configurations into this folder.")
@output_options
def command(
    config: Path,
    space: Path,
    storage: str,
    trials: int,
    objectives: tuple[str, ...] | None,
    data: str | None,
    name: str,
    heartbeat: int,
    out: Path,
    output: Output,
) -> None:
    """Search the settings of SPACE over the training configuration CONFIG, by inner subjects only.

    The subjects held out for the test are removed before the first trial. Trials that fall behind are pruned, those of
    a worker that died are started again, and the same command continues a search.
    """
    for path, what in ((config, "the training configuration"), (space, "the space")):
        require_file(path, what)
    for module in ("torch", "yaml", "onnx", "optuna", "sqlalchemy"):
        need(module, "sweep")
    from fsq_edge.sweep import make_report, open_storage, open_sweep, read_space, write_report
    from fsq_edge.training import load_config

    settings, wanted = load_config(config, {"data": {"source": data}}), read_space(space)

    def say(trial: FrozenTrial, done: int) -> None:
        values = ", ".join(f"{value:.4g}" for value in trial.values or ()) or trial.user_attrs.get("why", "")
        if trial.state.name == "FAIL" and not values:
            values = "for too long without a sign of life, tried again by another worker"
        output.say(f"trial {trial.number}: {trial.state.name.lower()} {values} ({done} of {trials})")

    with (
        open_storage(storage, heartbeat) as opened,
        open_sweep(settings, wanted, opened, storage, name, objectives or ("macro-f1",)) as sweep,
    ):
        sweep.work(trials, say)
        report = make_report(sweep)
    page = write_report(report, out)
    for entry in report.front[:10]:
        values = ", ".join(f"{objective} {value:.4g}" for objective, value in entry["values"].items())
        file = out / f"trial-{entry['number']}.yaml"
        output.say(f"trial {entry['number']}: {values}: {file}")
    output.say(f"never read: subjects {', '.join(report.facts['held_out'])}; report: {page}")
    output.write_json(report.to_dict())
