"""``fsq-edge parity``: one model in all its forms on one set of windows, and the first form that loses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.markup import escape

from fsq_edge.cli.gate_report import gate_options
from fsq_edge.cli.output import console, need, output_options, table, write_json
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import read_bounded, write_file
from fsq_edge_runtime.npz import array_names, read_arrays

if TYPE_CHECKING:
    from rich.console import Console

    from fsq_edge_compile.parity.ladder import Gates, LadderReport, Rung
    from fsq_edge_runtime.bundle.bundle import Bundle

MAX_WINDOWS_BYTES = 1 << 30


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
    from fsq_edge_compile.parity.ladder import Gates

    gates = Gates(min_code_agreement, max_drop)
    ladder = (
        _of_build(bundle, run_folder, gates)
        if (bundle / "export.json").is_file()
        else _of_bundle(bundle, run_folder, windows, gates)
    )
    show = console(quiet, json_to)
    _show(ladder, show)
    if report is not None:
        from fsq_edge.deploy.int8_page import parity_page

        write_file(report, parity_page(str(bundle), ladder).encode())
        show.print(f"wrote {report}", markup=False)
    write_json({**ladder.to_dict(), "bundle": str(bundle)}, json_to)
    if not ladder.passed:
        click.get_current_context().exit(1)


def _of_build(folder: Path, run_folder: Path | None, gates: Gates) -> LadderReport:
    need("onnx", "compile")
    from fsq_edge_compile.build_folder import BuildFolder
    from fsq_edge_compile.parity.build_rungs import ladder_of_build

    forward = None if run_folder is None else _torch(run_folder)[1]
    return ladder_of_build(BuildFolder(folder), gates=gates, forward=forward)


def _of_bundle(path: Path, run_folder: Path | None, windows: Path | None, gates: Gates) -> LadderReport:
    from fsq_edge_compile.parity.bundle_rungs import ladder_of_bundle
    from fsq_edge_runtime.bundle.bundle import Bundle

    opened = Bundle.open(path)
    extra = _device_rungs(opened)
    if run_folder is not None:
        (x, labels, subjects), forward = _torch(run_folder)
        return ladder_of_bundle(opened, x, labels, groups=subjects, gates=gates, forward=forward, extra=extra)
    if windows is None:
        return ladder_of_bundle(opened, gates=gates, extra=extra)
    x, labels, subjects = _read_windows(windows)
    return ladder_of_bundle(opened, x, labels, groups=subjects, gates=gates, extra=extra)


def _torch(run_folder: Path) -> tuple[tuple[Any, Any, Any], Any]:
    """Return the held-out windows of a run and its torch forward."""
    torch = need("torch", "train")
    torch.set_num_threads(1)
    from fsq_edge.deploy.build import MAX_REFERENCE_WINDOWS, device_outputs, usable_windows
    from fsq_edge.training import load_run

    run = load_run(run_folder)
    split = run.windows()
    held_out = usable_windows(run, split.test if len(split.test) else split.val, MAX_REFERENCE_WINDOWS)
    given = held_out.windows, held_out.index.label, held_out.index.subject
    return given, lambda frames: device_outputs(run, frames)


def _device_rungs(bundle: Bundle) -> list[Rung]:
    from fsq_edge_compile.parity.bundle_rungs import hef_rung

    return [hef_rung(bundle)] if bundle.hef_architectures else []


def _read_windows(path: Path) -> tuple[Any, Any, Any]:
    try:
        data = read_bounded(path, MAX_WINDOWS_BYTES)
        x, labels = read_arrays(data, ("windows", "labels"))
        subjects = read_arrays(data, ("subjects",))[0] if "subjects" in array_names(data) else None
        return np.asarray(x, dtype=np.float32), labels, subjects
    except ValueError as error:
        raise DataError(f"{path.name}: {error}", hint="numpy.savez with windows (N, C, T), labels (N,)") from error


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
