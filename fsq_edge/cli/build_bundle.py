"""``fsq-edge bundle build``: the gates of a build folder, and the bundle of what has passed them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fsq_edge.cli.bundle import show_bundle
from fsq_edge.cli.gate_report import gate_options, stop_if_shut
from fsq_edge.cli.onnx_options import network_options
from fsq_edge.cli.options import bundle_option, default_option
from fsq_edge.cli.output import Output, force_option, need, output_options
from fsq_edge_compile.checker.targets import ARCHES
from fsq_edge_runtime.errors import UsageError


@click.command(
    "build",
    epilog="Exit codes: 0 the bundle is written; 1 the check, the calibration audit or the parity ladder refuses it "
    "and nothing is written, unless --force.",
)
@click.argument("build", type=click.Path(path_type=Path), required=False)
@network_options
@bundle_option(
    "--out", required=True, help="Write the bundle here: a file NAME.fsqb, or a folder, whose name has no suffix."
)
@click.option("--name", help="Call the model this (default: the name in export.json).")
@default_option("--arch", "hailo8l", click.Choice(ARCHES), "Check the device graph for this chip.")
@gate_options
@force_option
@output_options
def command(
    build: Path | None,
    out: Path,
    name: str | None,
    arch: str,
    min_code_agreement: float,
    max_drop: float,
    force: str,
    output: Output,
    **network: Any,
) -> None:
    """Make a bundle from the BUILD folder of export, calibrate and quantize, or from --onnx MODEL.

    Before, the device graph is checked for the target, the calibration set is audited again, and the parity ladder is
    climbed from torch to the int8 preview, and to the compiler's emulator where BUILD holds a compilation.

    With --onnx, --preprocess and --windows, the network was trained elsewhere: it is rewritten as check --fix does,
    checked, calibrated, previewed in int8 and compared with the file as it came, in one go.
    """
    need("onnx", "compile")
    from fsq_edge.cli.own_network import build_own
    from fsq_edge_compile.build_folder import BuildFolder
    from fsq_edge_compile.packing.bundle import build_bundle
    from fsq_edge_compile.packing.gate import check_gate
    from fsq_edge_compile.parity.ladder import Gates

    if (build is None) == (network["onnx"] is None):
        raise UsageError("give a BUILD folder or --onnx MODEL, one of the two", hint="fsq-edge bundle build --help")
    if build is None:
        bundle = build_own(network, output, name, arch, min_code_agreement, force)
    else:
        folder = BuildFolder(build)
        gate = check_gate(folder, arch, force=force, parity=Gates(min_code_agreement, max_drop))
        stop_if_shut(output, gate, "not built")
        climbed = gate.ladder.to_dict() if gate.ladder else {}
        bundle = build_bundle(folder, name=name, check={arch: gate.report.verdict}, parity=climbed, forced=gate.forced)
    bundle.save(out)
    show_bundle(bundle, output, f"wrote {out}")
    output.say_next("fsq-edge", "run", out, "--source", "npz:FILE")
