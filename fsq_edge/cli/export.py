"""``fsq-edge export``: from a run folder to ONNX graphs and the rest of a BUILD folder."""

from __future__ import annotations

from pathlib import Path

import click

from fsq_edge.cli.options import folder_option
from fsq_edge.cli.output import console, need, output_options, write_json


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@folder_option(
    "--out", required=True, metavar="BUILD", help="Write the graphs and the rest of a bundle into this folder."
)
@click.option("--name", help="Name of the model. Default: that of the data set.")
@output_options
def command(run: Path, out: Path, name: str | None, json_to: str | None, quiet: bool) -> None:
    """Export RUN: model.onnx, the device graph encoder.onnx, the host tail head.npz, and what a bundle needs.

    The graphs are static (opset 17, IR 8, inline weights) and proven equal to torch before anything is written.
    """
    torch = need("torch", "train")
    need("onnx", "compile")
    torch.set_num_threads(1)
    from fsq_edge.deploy.build import export_run
    from fsq_edge.training import load_run

    record = export_run(load_run(run), out, name=name)
    checked = record.onnx_check
    console(quiet, json_to).print(
        f"wrote {out}: ONNX equals torch on {checked['n']:.0f} held-out windows "
        f"({checked['code_mismatch']:.0f} codes differ off the rounding boundaries, "
        f"{checked['label_mismatch']:.0f} labels; largest difference of t {checked['max_abs_t']:.1e})"
    )
    write_json({"schema_version": 1, "build": str(out), **record.to_dict()}, json_to)
