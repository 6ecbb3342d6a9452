"""``fsq-edge calibrate``: choose a calibration set from training windows, or audit one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsq_edge.cli.options import default_option, path_option
from fsq_edge.cli.output import Output, need, output_options, write_report
from fsq_edge.deploy.calibration import calibrate
from fsq_edge_calibration import METHODS

if TYPE_CHECKING:
    from fsq_edge_calibration import CalibrationAudit
    from fsq_edge_calibration.comparison import ChannelComparison

MARKS = {"error": "[red]error[/red]", "warning": "[yellow]warning[/yellow]", "info": "info"}


@click.command(
    "calibrate",
    epilog="Exit codes: 0 the set is good (warnings allowed), 1 the audit refuses it and nothing is written; "
    "64 usage, 65 bad data, 66 missing input, 69 a package is missing.",
)
@click.argument("source", metavar="RUN|DATA|FILE", required=False)
@path_option(
    "--out", help="Write the set to this BUILD folder, or to this file NAME.npz. It is needed unless --audit is given."
)
@default_option("--size", 1024, click.IntRange(1, 4096), "Choose this many windows.")
@default_option("--method", "class-balanced", click.Choice(METHODS), "Choose the windows by this method.")
@default_option("--seed", 0, click.IntRange(0), "Seed the random choices with this number.")
@click.option(
    "--subjects",
    metavar="A,B",
    help="With DATA: choose windows of these subjects only (default: the training subjects of BUILD, or all).",
)
@path_option(
    "--preprocess",
    help="With DATA or FILE: preprocess the windows as this preprocess.json, or file of preprocess fit, says (default: "
    "that of BUILD).",
)
@path_option("--audit", "audited", help="Audit this npz or npy file, and choose no windows.")
@path_option("--against", help="Compare the set channel by channel with this other set.")
@click.option("--allow-small", is_flag=True, help="Accept fewer than 64 windows, for a smoke test (default: refuse).")
@click.option(
    "--npy", is_flag=True, help="Also write the frames alone, as NAME.npy, for the compiler's own tools (default: no)."
)
@path_option("--report", help="Write an HTML report with a plot of every channel to this file.")
@output_options
def command(
    source: str | None,
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
    output: Output,
) -> None:
    """Choose windows of the training split, preprocess them as the device will, and audit them.

    RUN is a run folder, whose training split is taken. DATA is watch, quadruped or folder:PATH, with --preprocess. FILE
    is npy or npz with windows (N, C, T) in raw units. With --audit alone, an array is audited for what it is.
    Every prefix of the set is a fair selection, because the compiler reads only as many windows as its script asks for.
    """
    if report is not None:
        need("matplotlib", "report")
        need("jinja2", "report")
    made = calibrate(
        source,
        out,
        size=size,
        method=method,
        seed=seed,
        subjects=[name.strip() for name in (subjects or "").split(",") if name.strip()],
        preprocess=preprocess,
        audit=audited,
        against=against,
        allow_small=allow_small,
        npy=npy,
    )
    _show(output, made.audit, made.path)
    if against is not None:
        _show_comparison(output, made.compared, against.name)
    if report is not None:
        from fsq_edge.deploy.int8_page import calibration_page

        write_report(report, calibration_page(made.audit))
        output.say(f"wrote {report}")
    if made.audit.passed:
        output.say_next("fsq-edge", "quantize", out or "BUILD")
    output.write_json(made.to_dict())
    if not made.audit.passed:
        click.get_current_context().exit(1)


def _show(show: Output, audit: CalibrationAudit, written: Path | None) -> None:
    found = audit.found
    if found is not None:
        labels = ", ".join(f"{name} {count}" for name, count in found.labels.items())
        show.say(f"{found.n_windows} windows{f' of {audit.n_candidates}, {audit.method}' if audit.method else ''}")
        if labels:
            show.say(f"classes   {labels}")
        if found.subjects:
            people = ", ".join(f"{name} {count}" for name, count in found.subjects.items())
            show.say(f"subjects  {people}")
    for finding in audit.findings:
        show.print(f"{MARKS[finding.severity]} {finding.rule}: {finding.message}", soft_wrap=True)
        if finding.fix:
            show.say(f"        {finding.fix}")
    show.print(f"audit: {'good' if audit.passed else '[red]refused[/red]'}")
    if written is not None:
        show.say(f"wrote {written} and {written.with_suffix('.json').name}")


def _show_comparison(show: Output, compared: Sequence[ChannelComparison] | None, other: str) -> None:
    from fsq_edge.deploy.int8_tables import channel_table
    from fsq_edge.report.terminal import rich_table

    if compared is None:
        show.say(f"{other} cannot be compared: one of the sets has not the shape of frames")
        return
    show.print(rich_table(channel_table(compared, other)))
