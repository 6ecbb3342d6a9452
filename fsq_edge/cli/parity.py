"""``fsq-edge parity``: one model in all its forms on one set of windows, and the first form that loses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from fsq_edge.cli.gate_report import gate_options
from fsq_edge.cli.options import path_option
from fsq_edge.cli.output import Output, need, output_options, write_report
from fsq_edge.report.terminal import rich_table

if TYPE_CHECKING:
    from fsq_edge_compile.parity.ladder import LadderReport


@click.command(
    "parity",
    epilog="Exit codes: 0 every rung that ran holds the gates, 1 one does not and is named with the likely cause; "
    "64 usage, 65 bad data, 66 missing input, 69 a package is missing.",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@path_option("--run", "run_folder", help="Take torch and the held-out windows from this run folder.")
@path_option(
    "--windows",
    help="Compare on the held-out windows of this npz: windows (N, C, T) in raw units, labels (N,) and, optionally, "
    "subjects (N,) (default: the 16 self-test windows of the bundle).",
)
@gate_options
@path_option("--report", help="Write an HTML report to this file.")
@output_options
def command(
    bundle: Path,
    run_folder: Path | None,
    windows: Path | None,
    min_code_agreement: float,
    max_drop: float,
    report: Path | None,
    output: Output,
) -> None:
    """Compare torch, ONNX, simplified, split, int8 preview and, on a machine that has one, the device.

    BUNDLE is a bundle or a BUILD folder. A BUILD folder brings torch's answers on its held-out windows; a bundle has
    16 self-test windows, so give it --run or --windows for a verdict on accuracy.
    """
    if report is not None:
        need("jinja2", "report")
        need("matplotlib", "report")
    from fsq_edge.deploy.parity import climb_ladder
    from fsq_edge_compile.parity.ladder import Gates

    gates = Gates(min_code_agreement, max_drop)
    ladder = climb_ladder(bundle, gates, run_folder=run_folder, windows=windows)
    _show(ladder, output)
    if report is not None:
        from fsq_edge.deploy.int8_page import parity_page

        write_report(report, parity_page("/".join(bundle.resolve().parts[-2:]), ladder))
        output.say(f"wrote {report}")
    output.write_json({**ladder.to_dict(), "bundle": str(bundle)})
    if not ladder.passed:
        click.get_current_context().exit(1)


def _show(ladder: LadderReport, show: Output) -> None:
    from fsq_edge.deploy.int8_tables import rung_table

    show.print(rich_table(rung_table(ladder)))
    if ladder.blame:
        show.print(f"first to lose: [red]{ladder.blame}[/red]: {escape(ladder.cause)}", soft_wrap=True)
