"""``fsq-edge quantize``: the int8 preview of a device graph, and what it costs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from fsq_edge.cli.gate_report import gate_options
from fsq_edge.cli.options import default_option, path_option
from fsq_edge.cli.output import console, need, output_options, table, write_json
from fsq_edge_calibration import CalibrationSet, load_calibration_set
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.files import write_file

if TYPE_CHECKING:
    from rich.console import Console

    from fsq_edge_compile.build_folder import BuildFolder
    from fsq_edge_compile.int8.preview import Int8Preview
    from fsq_edge_compile.own.scores import ScoreAgreement

RANGE_METHODS = ("minmax", "percentile", "entropy", "mse")


@click.command(
    "quantize",
    epilog="Exit codes: 0 the preview holds the gates, 1 it does not (the files are written nevertheless, and "
    "`bundle build` will refuse them); 64 usage, 65 bad data, 66 missing input, 69 a package is missing.",
)
@click.argument("model", type=click.Path(path_type=Path))
@path_option("--calib", help="Read ranges from this calibration set (default: BUILD/calibration.npz).")
@default_option("--method", "minmax", click.Choice(RANGE_METHODS), "Choose the ranges of activations by this method.")
@click.option(
    "--sixteen-bit-output",
    is_flag=True,
    help="Round the output to 16 bits, as a16_w16 on output_layer1 does (default: 8 bits).",
)
@default_option(
    "--windows", 256, click.IntRange(1, 4096), "Read the ranges from the first this many windows of the set."
)
@default_option("--alternatives/--no-alternatives", True, None, "Measure the other methods and the 16-bit output too.")
@gate_options
@path_option("--out", help="Write the int8 graph of a bare ONNX file here (default: NAME_int8.onnx).")
@path_option("--report", help="Write an HTML report to this file.")
@output_options
def command(
    model: Path,
    calib: Path | None,
    method: Any,
    sixteen_bit_output: bool,
    windows: int,
    alternatives: bool,
    min_code_agreement: float,
    max_drop: float,
    out: Path | None,
    report: Path | None,
    json_to: str | None,
    quiet: bool,
) -> None:
    """Make an int8 preview in onnxruntime: close to what Hailo's compiler will do, and not a measurement on a device.

    MODEL is a BUILD folder, which gets encoder_int8.onnx, head_int8.npz, decision_int8.json and int8_preview.json; or
    a device graph alone, of which only the layer errors can be measured.
    """
    need("onnx", "compile")
    show = console(quiet, json_to)
    if not model.is_dir():
        if report is not None:
            raise UsageError(
                "a report needs a BUILD folder with its windows", hint="fsq-edge quantize BUILD --report F"
            )
        _bare(model, calib, out, show, json_to, method=method, sixteen_bit_output=sixteen_bit_output, windows=windows)
        return
    if out is not None:
        raise UsageError("--out is for a bare ONNX file; a BUILD folder takes its files itself")
    if report is not None:
        need("matplotlib", "report")
        need("jinja2", "report")
    from fsq_edge_compile.build_folder import BuildFolder
    from fsq_edge_compile.int8.preview import preview_build, write_preview

    build = BuildFolder(model)
    if build.has("head.json"):
        if report is not None or sixteen_bit_output:
            raise UsageError("--report and --sixteen-bit-output need an FSQ network", hint="leave the option out")
        chosen = _first(load_calibration_set(calib or build.path / "calibration.npz"), windows)
        _scores(build, chosen, show, json_to, method, min_code_agreement)
        return
    preview = preview_build(
        build,
        _first(load_calibration_set(calib or build.path / "calibration.npz"), windows),
        method=method,
        sixteen_bit_output=sixteen_bit_output,
        try_alternatives=alternatives,
    )
    write_preview(build, preview)
    _show(preview, show)
    if report is not None:
        from fsq_edge.deploy.int8_page import preview_page

        write_file(report, preview_page(build, preview).encode())
        show.print(f"wrote {report}", markup=False)
    broken = preview.broken_gates(min_code_agreement, max_drop)
    for line in broken:
        show.print(f"[red]refused[/red]: {escape(line)}")
    write_json({**preview.to_dict(), "build": str(model), "passed": not broken, "broken": list(broken)}, json_to)
    if broken:
        click.get_current_context().exit(1)


def _scores(
    build: BuildFolder, calibration: CalibrationSet, show: Console, json_to: str | None, method: Any, least: float
) -> None:
    """Preview a network that was trained elsewhere: what stays of its labels, probabilities and scores."""
    from fsq_edge.deploy.int8_tables import layer_table
    from fsq_edge.report.terminal import rich_table
    from fsq_edge_compile.int8.score_preview import preview_scores, write_score_preview

    preview = preview_scores(build, calibration, method=method)
    write_score_preview(build, preview)
    show_agreement(show, preview.agreement, f"{preview.method}, {preview.calibration_windows} windows")
    show.print(rich_table(layer_table(preview.errors)))
    broken = preview.broken_gates(least)
    for line in broken:
        show.print(f"[red]refused[/red]: {escape(line)}")
    write_json({**preview.to_dict(), "build": str(build.path), "passed": not broken, "broken": list(broken)}, json_to)
    if broken:
        click.get_current_context().exit(1)


def show_agreement(show: Console, found: ScoreAgreement, how: str) -> None:
    """Print how far an int8 preview agrees with the float network."""
    kept = found.label_agreement
    related = "n/a" if found.correlation is None else f"{found.correlation:.5f}"
    show.print(
        f"int8 preview in onnxruntime (not a device), {how}: {kept.value:.2%} of {found.windows} labels equal (95 % "
        f"{kept.low:.2%} to {kept.high:.2%}), KL {found.kl:.2g} nats, correlation of scores {related}",
        soft_wrap=True,
    )


def _first(calibration: CalibrationSet, windows: int) -> CalibrationSet:
    return calibration if len(calibration) <= windows else calibration.first(windows)


def _bare(
    model: Path,
    calib: Path | None,
    out: Path | None,
    show: Console,
    json_to: str | None,
    *,
    windows: int,
    **options: Any,
) -> None:
    from fsq_edge.deploy.int8_tables import layer_table
    from fsq_edge.report.terminal import rich_table
    from fsq_edge_compile.int8.layer_errors import layer_errors
    from fsq_edge_compile.int8.quantize import quantize_preview

    if calib is None:
        raise UsageError("a bare ONNX file needs --calib FILE", hint="fsq-edge calibrate RUN --out FILE.npz makes one")
    calibration = _first(load_calibration_set(calib), windows)
    quantized = quantize_preview(model, calibration, **options)
    target = out or model.with_name(f"{model.stem}_int8.onnx")
    errors = layer_errors(model, quantized, calibration.frames_nchw)
    write_file(target, quantized)
    show.print(rich_table(layer_table(errors)))
    show.print(f"wrote {target}: an int8 preview; codes and labels need a BUILD folder", markup=False)
    write_json(
        {"schema_version": 1, "model": str(target), "layers": [asdict(error) for error in errors], **options}, json_to
    )


def _show(preview: Int8Preview, show: Console) -> None:
    from fsq_edge.deploy.int8_tables import layer_table, preview_facts
    from fsq_edge.report.terminal import rich_table

    output = "16-bit" if preview.sixteen_bit_output else "8-bit"
    show.print(
        f"int8 preview in onnxruntime, {preview.method}, {output} output, {preview.calibration_windows} windows; "
        f"judged on {preview.report.n_windows} held-out windows",
        soft_wrap=True,
    )
    facts = [(fact.name, fact.value, fact.note) for fact in preview_facts(preview)]
    show.print(table("", ["", "int8 preview", ""], facts))
    show.print(rich_table(layer_table(preview.errors)))
    show.print("worst: " + ", ".join(preview.worst_layers), markup=False, soft_wrap=True)
    if preview.refit is None:
        show.print("no validation windows in the build: temperature and thresholds stay those of float")
    else:
        fit = preview.refit
        moved = "".join(f", {name} {old:.3f} -> {new:.3f}" for name, (old, new) in fit.thresholds.items())
        show.print(
            f"fitted again on {fit.temperature_int8.n} validation windows: temperature {fit.tail.temperature:.3f} "
            f"(float {fit.temperature_float.value:.3f}){moved}",
            soft_wrap=True,
        )
    for item in preview.alternatives:
        changed = f"{item.code_flip_rate:.2%} codes flip, {item.label_change_rate:.2%} labels change"
        show.print(f"tried {item.name}: {changed}")
    for line in preview.suggestions:
        show.print(f"[yellow]suggestion[/yellow]: {escape(line)}", soft_wrap=True)
