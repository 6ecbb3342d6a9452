"""``fsq-edge quantize``: the int8 preview of a device graph, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from fsq_edge.cli.early import require_file
from fsq_edge.cli.gate_report import gate_options
from fsq_edge.cli.options import default_option, path_option
from fsq_edge.cli.output import Output, need, output_options, table, write_report
from fsq_edge.deploy.foreign_formats import require_onnx
from fsq_edge.deploy.foreign_set import read_frames
from fsq_edge.report.terminal import rich_table
from fsq_edge_calibration import CalibrationSet, load_calibration_set
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.files import read_bounded, write_file
from fsq_edge_runtime.onnx_graph import read_graph_end

if TYPE_CHECKING:
    from fsq_edge_compile.foreign.scores import ScoreAgreement
    from fsq_edge_compile.int8.preview import Int8Preview
    from fsq_edge_compile.int8.score_preview import ScorePreview

MAX_MODEL_BYTES = 512 << 20
RANGE_METHODS = ("minmax", "percentile", "entropy", "mse")


@click.command(
    "quantize",
    epilog="Exit codes: 0 the preview holds the gates, 1 it does not (the files are written nevertheless, and "
    "`bundle build` will refuse them); 64 usage, 65 bad data, 66 missing input, 69 a package is missing.",
)
@click.argument("model", type=click.Path(path_type=Path))
@path_option(
    "--calib", help="Read ranges from this calibration set, or these windows (default: BUILD/calibration.npz)."
)
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
    output: Output,
) -> None:
    """Make an int8 preview in onnxruntime: close to what Hailo's compiler will do, and not a measurement on a device.

    MODEL is a BUILD folder, which gets encoder_int8.onnx, head_int8.npz, decision_int8.json and int8_preview.json; or
    any ONNX network alone, with --calib and windows as the network takes them (npy, or npz with windows).
    """
    require_file(model, "the BUILD folder or ONNX file", "fsq-edge export RUN --out BUILD makes a BUILD folder")
    need("onnx", "compile")
    if not model.is_dir():
        if report is not None:
            raise UsageError(
                "a report needs a BUILD folder with its windows", hint="fsq-edge quantize BUILD --report F"
            )
        _bare(model, calib, out, output, method=method, sixteen_bit_output=sixteen_bit_output, windows=windows)
        return
    if out is not None:
        raise UsageError("--out is for a bare ONNX file; a BUILD folder takes its files itself")
    if report is not None:
        need("matplotlib", "report")
        need("jinja2", "report")
    from fsq_edge_compile.int8.preview import preview_build, write_preview

    build = BuildFolder(model)
    if build.has("head.json") and (report is not None or sixteen_bit_output):
        raise UsageError("--report and --sixteen-bit-output need an FSQ network", hint="leave the option out")
    chosen = _first(load_calibration_set(calib or build.path / "calibration.npz"), windows)
    if build.has("head.json"):
        _scores(build, chosen, output, method, min_code_agreement)
        return
    preview = preview_build(
        build, chosen, method=method, sixteen_bit_output=sixteen_bit_output, try_alternatives=alternatives
    )
    write_preview(build, preview)
    _show(preview, output)
    broken = preview.broken_gates(min_code_agreement, max_drop)
    if report is not None:
        from fsq_edge.deploy.int8_page import preview_page

        write_report(report, preview_page(build, preview, broken))
        output.say(f"wrote {report}")
    if not broken:
        output.say_next("fsq-edge", "bundle", "build", model, "--out", "NAME.fsqb")
    _judge(preview, model, broken, output)


def _judge(preview: Int8Preview | ScorePreview, build: Path, broken: Sequence[str], output: Output) -> None:
    """Tell which gates the preview does not hold; with one of them the command ends with 1."""
    for line in broken:
        output.print(f"[red]refused[/red]: {escape(line)}")
    output.write_json({**preview.to_dict(), "build": str(build), "passed": not broken, "broken": list(broken)})
    if broken:
        click.get_current_context().exit(1)


def _scores(build: BuildFolder, calibration: CalibrationSet, output: Output, method: Any, least: float) -> None:
    """Preview a network that was trained elsewhere: what stays of its labels, probabilities and scores."""
    from fsq_edge.deploy.int8_tables import layer_table
    from fsq_edge_compile.int8.score_preview import preview_scores, write_score_preview

    preview = preview_scores(build, calibration, method=method)
    write_score_preview(build, preview)
    show_agreement(output, preview.agreement, f"{preview.method}, {preview.calibration_windows} windows")
    output.print(rich_table(layer_table(preview.errors)))
    _judge(preview, build.path, preview.broken_gates(least), output)


def show_agreement(show: Output, found: ScoreAgreement, how: str) -> None:
    """Print how far an int8 preview agrees with the float network."""
    kept = found.label_agreement
    related = "n/a" if found.correlation is None else f"{found.correlation:.5f}"
    show.say(
        f"int8 preview in onnxruntime (not a device), {how}: {kept.value:.2%} of {found.windows} labels equal (95 % "
        f"{kept.low:.2%} to {kept.high:.2%}), KL {found.kl:.2g} nats, correlation of scores {related}"
    )


def _first(calibration: CalibrationSet, windows: int) -> CalibrationSet:
    return calibration if len(calibration) <= windows else calibration.first(windows)


def calibration_or_windows(path: Path) -> CalibrationSet | AnyArray:
    """Return a calibration set of this project, or the array of a file of another hand.

    Raises:
        MissingInputError, DataError: it cannot be read, or is neither.
    """
    if path.suffix == ".npz":
        with suppress(DataError):
            return load_calibration_set(path)
    return read_frames(path)


def _plain(
    model: Path,
    given: CalibrationSet | AnyArray,
    windows: int,
    out: Path | None,
    output: Output,
    *,
    method: Any,
    sixteen_bit_output: bool,
) -> None:
    """Quantise a network that is no device graph of ours, with windows as it takes them."""
    from fsq_edge.deploy.int8_tables import layer_table
    from fsq_edge_compile.int8.plain import preview_plain

    if sixteen_bit_output:
        raise UsageError("--sixteen-bit-output needs an FSQ network", hint="leave the option out")
    frames = given.frames_nchw if isinstance(given, CalibrationSet) else given
    preview = preview_plain(model, frames[:windows], method=method)
    target = out or model.with_name(f"{model.stem}_int8.onnx")
    write_file(target, preview.model)
    output.print(rich_table(layer_table(preview.errors)))
    kept = preview.label_agreement
    labels = "" if kept is None else f", the largest output stays on {kept.value:.2%} of them"
    related = "" if preview.correlation is None else f", correlation {preview.correlation:.5f}"
    output.say(
        f"wrote {target}: an int8 preview (not a device) from {preview.windows} windows: output SNR "
        f"{preview.snr_db:.1f} dB{related}{labels}"
    )
    output.write_json({**preview.to_dict(), "model": str(target)})


def _bare(model: Path, calib: Path | None, out: Path | None, output: Output, *, windows: int, **options: Any) -> None:
    from fsq_edge.deploy.int8_tables import layer_table
    from fsq_edge_compile.int8.layer_errors import layer_errors
    from fsq_edge_compile.int8.quantize import quantize_preview

    if calib is None:
        raise UsageError(
            "a bare ONNX file needs --calib FILE",
            hint="npy windows as the network takes them, or fsq-edge calibrate RUN --out FILE.npz",
        )
    require_onnx(model)
    calibration = calibration_or_windows(calib)
    if (
        not isinstance(calibration, CalibrationSet)
        or read_graph_end(read_bounded(model, MAX_MODEL_BYTES)).operator != "Tanh"
    ):
        _plain(model, calibration, windows, out, output, **options)
        return
    calibration = _first(calibration, windows)
    quantized = quantize_preview(model, calibration, **options)
    target = out or model.with_name(f"{model.stem}_int8.onnx")
    errors = layer_errors(model, quantized, calibration.frames_nchw)
    write_file(target, quantized)
    output.print(rich_table(layer_table(errors)))
    output.say(f"wrote {target}: an int8 preview; codes and labels need a BUILD folder")
    layers = [asdict(error) for error in errors]
    output.write_json({"schema_version": 1, "model": str(target), "layers": layers, **options})


def _show(preview: Int8Preview, show: Output) -> None:
    from fsq_edge.deploy.int8_tables import layer_table, preview_facts

    output = "16-bit" if preview.sixteen_bit_output else "8-bit"
    show.say(
        f"int8 preview in onnxruntime, {preview.method}, {output} output, {preview.calibration_windows} windows; "
        f"judged on {preview.report.n_windows} held-out windows"
    )
    facts = [(fact.name, fact.value, fact.note) for fact in preview_facts(preview)]
    show.print(table("", ["", "int8 preview", ""], facts))
    show.print(rich_table(layer_table(preview.errors)))
    show.say("worst: " + ", ".join(preview.worst_layers))
    if preview.refit is None:
        show.say("no validation windows in the build: temperature and thresholds stay those of float")
    else:
        fit = preview.refit
        moved = "".join(f", {name} {old:.3f} -> {new:.3f}" for name, (old, new) in fit.thresholds.items())
        show.say(
            f"fitted again on {fit.temperature_int8.n} validation windows: temperature {fit.tail.temperature:.3f} "
            f"(float {fit.temperature_float.value:.3f}){moved}"
        )
    for item in preview.alternatives:
        changed = f"{item.code_flip_rate:.2%} codes flip, {item.label_change_rate:.2%} labels change"
        show.say(f"tried {item.name}: {changed}")
    for line in preview.suggestions:
        show.print(f"[yellow]suggestion[/yellow]: {escape(line)}", soft_wrap=True)
