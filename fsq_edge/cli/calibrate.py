"""``fsq-edge calibrate``: choose a calibration set from training windows, or audit one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsq_edge.cli.output import console, need, output_options, table, write_json
from fsq_edge.deploy.foreign_set import audit_file
from fsq_edge.deploy.training_windows import TrainingWindows, windows_of_run, windows_of_source, write_set
from fsq_edge_calibration import (
    METHODS,
    CalibrationAudit,
    CalibrationSet,
    audit_set,
    compare_channels,
)
from fsq_edge_runtime.errors import MissingInputError, UsageError
from fsq_edge_runtime.files import write_file
from fsq_edge_runtime.preprocess import PreprocessConfig

if TYPE_CHECKING:
    from rich.console import Console

    from fsq_edge_calibration import Distribution

MARKS = {"error": "[red]error[/red]", "warning": "[yellow]warning[/yellow]", "info": "info"}


@click.command(
    "calibrate",
    epilog="Exit codes: 0 the set is good (warnings allowed), 1 the audit refuses it and nothing is written; "
    "64 usage, 65 bad data, 66 missing input, 69 a package is missing.",
)
@click.argument("source", metavar="RUN|DATA")
@click.option("--out", type=click.Path(path_type=Path), help="BUILD folder, or a file NAME.npz.")
@click.option("--size", type=click.IntRange(1, 4096), default=1024, show_default=True, help="Windows to choose.")
@click.option("--method", type=click.Choice(METHODS), default="class-balanced", show_default=True, help="Of choosing.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the choice.")
@click.option(
    "--subjects", metavar="A,B", help="DATA: whose windows to take; the training subjects of BUILD, or all, without it."
)
@click.option("--preprocess", type=click.Path(path_type=Path), help="DATA: preprocess.json; BUILD's by default.")
@click.option("--audit", "audited", type=click.Path(path_type=Path), help="Audit this npz or npy; choose nothing.")
@click.option("--against", type=click.Path(path_type=Path), help="Compare channel by channel with another set too.")
@click.option("--allow-small", is_flag=True, help="Let fewer than 64 windows pass, for a smoke test.")
@click.option("--npy", is_flag=True, help="Write the frames alone too, as NAME.npy, for the compiler's own tools.")
@click.option("--report", type=click.Path(path_type=Path), help="Write an HTML report with a plot of every channel.")
@output_options
def command(
    source: str,
    out: Path | None,
    size: int,
    method: Any,
    seed: int,
    subjects: str | None,
    preprocess: Path | None,
    audited: Path | None,
    against: Path | None,
    allow_small: bool,
    npy: bool,
    report: Path | None,
    json_to: str | None,
    quiet: bool,
) -> None:
    """Choose windows of the training split, preprocess them as the device will, and audit them.

    RUN is a run folder, whose training split is taken. DATA is watch, quadruped or folder:PATH, with --preprocess.
    Every prefix of the set is a fair selection, because the compiler reads only as many windows as its script asks for.
    """
    if out is None and audited is None:
        raise UsageError("no place to write the set to", hint="--out BUILD or --out NAME.npz; or --audit FILE")
    if report is not None:
        need("matplotlib", "report")
        need("jinja2", "report")
    training = _training(source, out, subjects, preprocess)
    usual = training.describe()
    if audited is not None:
        chosen, audit = audit_file(audited, usual, training, allow_small)
    else:
        chosen = training.choose(size, method, seed)
        audit = audit_set(chosen, usual, training.preprocess, allow_small=allow_small)
    written = _write(chosen, audit, out, npy) if audit.passed and chosen is not None and audited is None else None
    show = console(quiet, json_to)
    _show(show, audit, written)
    compared = None if against is None else _compare(show, audit, against, usual, training)
    if report is not None:
        from fsq_edge.deploy.int8_page import calibration_page

        write_file(report, calibration_page(audit).encode())
        show.print(f"wrote {report}", markup=False)
    write_json({**_json(audit, written), "against": compared}, json_to)
    if not audit.passed:
        click.get_current_context().exit(1)


def _training(source: str, out: Path | None, subjects: str | None, preprocess: Path | None) -> TrainingWindows:
    if (Path(source) / "run.json").is_file():
        if subjects or preprocess:
            raise UsageError("a run knows its training subjects and preprocessing", hint="leave the options out")
        return windows_of_run(Path(source))
    if Path(source).exists():
        raise MissingInputError(f"{source} is not a run folder: no run.json", hint="for a data folder: folder:PATH")
    build = out if out is not None and out.is_dir() else None
    place = preprocess or (build / "preprocess.json" if build else None)
    if place is None or not place.is_file():
        raise UsageError(
            "a data source needs the model's preprocessing", hint="--preprocess FILE, or --out a BUILD folder"
        )
    names = tuple(name.strip() for name in (subjects or "").split(",") if name.strip())
    return windows_of_source(source, names, PreprocessConfig.load(place), build)


def _write(chosen: CalibrationSet, audit: CalibrationAudit, out: Path | None, npy: bool) -> Path | None:
    if out is None:
        return None
    if out.suffix and out.suffix != ".npz":
        raise UsageError(f"{out.name}: a calibration set is an npz file", hint="--out NAME.npz or --out BUILD")
    path = out if out.suffix else out / "calibration.npz"
    write_set(chosen, audit, path)
    if npy:
        chosen.save_npy(path.with_suffix(".npy"))
    return path


def _show(show: Console, audit: CalibrationAudit, written: Path | None) -> None:
    found = audit.found
    if found is not None:
        labels = ", ".join(f"{name} {count}" for name, count in found.labels.items())
        show.print(f"{found.n_windows} windows{f' of {audit.n_candidates}, {audit.method}' if audit.method else ''}")
        if labels:
            show.print(f"classes   {labels}", soft_wrap=True)
        if found.subjects:
            people = ", ".join(f"{name} {count}" for name, count in found.subjects.items())
            show.print(f"subjects  {people}", soft_wrap=True)
    for finding in audit.findings:
        show.print(f"{MARKS[finding.severity]} {finding.rule}: {finding.message}", soft_wrap=True)
        if finding.fix:
            show.print(f"        {finding.fix}", soft_wrap=True)
    show.print(f"audit: {'good' if audit.passed else '[red]refused[/red]'}")
    if written is not None:
        show.print(f"wrote {written} and {written.with_suffix('.json').name}", markup=False)


def _compare(
    show: Console, audit: CalibrationAudit, against: Path, usual: Distribution, training: TrainingWindows
) -> list[dict[str, Any]] | None:
    other = audit_file(against, usual, training, True)[1].found
    if audit.found is None or other is None:
        show.print(f"{against.name} cannot be compared: one of the sets has not the shape of frames")
        return None
    rows = compare_channels(other, audit.found)
    cells = [
        (row.name, f"{row.psi:.3f}", f"{row.range_coverage:.0%}", f"{row.quantile_shift:.2f}", f"{row.lag1_other:.2f}",
         f"{row.lag1_reference:.2f}")
        for row in rows
    ]  # fmt: skip
    headings = ["channel", "PSI", "range covered", "quantile shift", "lag-1", "lag-1 there"]
    show.print(table(f"against {against.name}", headings, cells))
    names = ("name", "psi", "range_coverage", "quantile_shift", "lag1_reference", "lag1_other")
    return [{name: getattr(row, name) for name in names} for row in rows]


def _json(audit: CalibrationAudit, written: Path | None) -> dict[str, Any]:
    document = audit.to_dict()
    for part in ("found", "training"):
        for channel in (document[part] or {}).get("channels", []):
            del channel["counts"]
    return {**document, "set": None if written is None else str(written)}
