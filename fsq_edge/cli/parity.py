"""``fsq-edge parity``: one model in all its forms on one set of windows, and the first form that loses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from fsq_edge.cli.gate_report import gate_options
from fsq_edge.cli.output import console, need, output_options, table, write_json
from fsq_edge_runtime.files import write_file

if TYPE_CHECKING:
    from rich.console import Console

    from fsq_edge_compile.parity.ladder import LadderReport


@click.command(
    "parity",
    epilog="Exit codes: 0 every rung that ran holds the gates, 1 one does not and is named with the likely cause; "
    "64 usage, 65 bad data, 66 missing input, 69 a package is missing.",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--run",
    "run_folder",
    type=click.Path(path_type=Path),
    help="Take torch and the held-out windows from this run folder.",
)
@click.option(
    "--windows",
    type=click.Path(path_type=Path),
    help="Compare on the held-out windows of this npz: windows (N, C, T) in raw units, labels (N,) and, optionally, "
    "subjects (N,) (default: the 16 self-test windows of the bundle).",
)
@gate_options
@click.option("--report", type=click.Path(path_type=Path), help="Write an HTML report to this file.")
@output_options
def command(
    bundle: Path,
    run_folder: Path | None,
    windows: Path | None,
    min_code_agreement: float,
    max_drop: float,
    report: Path | None,
    json_to: str | None,
    quiet: bool,
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
    show = console(quiet, json_to)
    _show(ladder, show)
    if report is not None:
        from fsq_edge.deploy.int8_page import parity_page

        write_file(report, parity_page(str(bundle), ladder).encode())
        show.print(f"wrote {report}", markup=False)
    write_json({**ladder.to_dict(), "bundle": str(bundle)}, json_to)
    if not ladder.passed:
        click.get_current_context().exit(1)


def _show(ladder: LadderReport, show: Console) -> None:
    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.2%}"

    rows = []
    for rung in ladder.rungs:
        if rung.skipped:
            rows.append((rung.name, "", "", "", "", escape(f"not run: {rung.skipped}")))
            continue
        difference = "" if rung.max_abs_difference is None else f"{rung.max_abs_difference:.1e}"
        f1 = rung.macro_f1
        score = "" if f1 is None else f"{f1.value:.4f} ({f1.low:.4f} to {f1.high:.4f})"
        state = "[red]lost[/red]" if rung.lost else "holds"
        rows.append((rung.name, difference, share(rung.code_agreement), share(rung.label_agreement), score, state))
    headings = ["rung", "max |dt|", "codes agree", "labels agree", "macro-F1, 95 %", ""]
    show.print(table(f"{ladder.n_windows} windows", headings, rows))
    for rung in ladder.rungs:
        for reason in rung.lost:
            show.print(f"{rung.name}: {reason}", markup=False, soft_wrap=True)
    if ladder.blame:
        show.print(f"first to lose: [red]{ladder.blame}[/red]: {escape(ladder.cause)}", soft_wrap=True)
