"""``fsq-edge export``: from a run folder to ONNX graphs and the rest of a BUILD folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fsq_edge.cli.early import require_run
from fsq_edge.cli.onnx_options import network_options
from fsq_edge.cli.options import default_option
from fsq_edge.cli.output import Output, force_option, need, output_options
from fsq_edge.cli.workstation_options import folder_option
from fsq_edge_compile.checker.targets import ARCHES
from fsq_edge_runtime.errors import UsageError


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path), required=False)
@network_options
@folder_option(
    "--out", required=True, metavar="BUILD", help="Write the graphs and what a bundle needs into this folder."
)
@click.option("--name", help="Name of the model. Default: that of the data set.")
@click.option("--features/--no-features", default=True,
              help="Put out the pooled features beside t, for personal heads (default: features).")  # fmt: skip
@default_option("--arch", "hailo8l", click.Choice(ARCHES), "With --onnx: check and cut the network for this chip.")
@force_option
@output_options
def command(
    run: Path | None,
    out: Path,
    name: str | None,
    features: bool,
    arch: str,
    force: str,
    output: Output,
    **network: Any,
) -> None:
    """Export RUN: model.onnx, the device graph encoder.onnx, the host tail head.npz, and what a bundle needs.

    The graphs are static (opset 17, IR 8, inline weights) and proven equal to torch before anything is written.

    With --onnx, --preprocess and --windows, the network was trained elsewhere: encoder.onnx, the host graph behind a
    cut and head.json are written, proven equal to the file in onnxruntime; calibrate, quantize, parity and bundle
    build take the folder. Exit 1 where the chip does not take the network.
    """
    if network["onnx"] is not None and run is None:
        need("onnx", "compile")
        from fsq_edge.cli.own_network import export_own

        export_own(network, output, name, arch, force, out)
        return
    if run is None or network["onnx"] is not None:
        raise UsageError("give a RUN folder or --onnx MODEL, one of the two", hint="fsq-edge export --help")
    require_run(run)
    torch = need("torch", "train")
    need("onnx", "compile")
    torch.set_num_threads(1)
    from fsq_edge.deploy.build import export_run
    from fsq_edge.training import load_run

    record = export_run(load_run(run), out, name=name, features=features)
    checked = record.onnx_check
    output.say(
        f"wrote {out}: ONNX equals torch on {checked['n']:.0f} held-out windows "
        f"({checked['code_mismatch']:.0f} codes differ off the rounding boundaries, "
        f"{checked['label_mismatch']:.0f} labels; largest difference of t {checked['max_abs_t']:.1e})"
    )
    output.say_next("fsq-edge", "calibrate", run, "--out", out)
    output.write_json({"schema_version": 1, "build": str(out), **record.to_dict()})
