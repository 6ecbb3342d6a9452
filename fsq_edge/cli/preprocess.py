"""``fsq-edge preprocess fit``: what a network takes that was trained elsewhere."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from fsq_edge.cli.options import default_option, names_of, path_option
from fsq_edge.cli.output import Output, need, output_options, write_text
from fsq_edge.deploy.plain_windows import read_windows
from fsq_edge_runtime.errors import DataError


@click.group("preprocess")
def command() -> None:
    """Describe what a network takes that was trained elsewhere."""


@command.command()
@path_option("--windows", required=True, help="Windows (N, C, T) in raw units, npy or npz with the key windows.")
@path_option("--out", required=True, help="Write the preprocess file here, as JSON.")
@default_option("--rate", 50.0, click.FloatRange(0.001, 1e6), "Say how many samples a second the windows have.")
@click.option("--hop", type=click.IntRange(1, 65536), help="Step between windows, samples (default: half a window).")
@click.option("--channels", callback=names_of(), metavar="A:UNIT,B", help="Name the channels (default: ch0,ch1).")
@click.option(
    "--layout",
    default="C,T",
    show_default=True,
    metavar="AXES",
    help="Order the axes of one window without the batch so: C,T; T,C; 1,C,T; C,1,T or 1,T,C.",
)
@click.option(
    "--normalization",
    type=click.Choice(["given", "none", "minmax", "window-zscore", "z-copies", "fitted"]),
    default="given",
    show_default=True,
    help="Say what the training applied outside the network: mean and std of the windows, nothing, their minimum and "
    "maximum, each window's own mean and spread, such a copy of each channel behind the raw ones, or mean and std of "
    "the windows that the bundle is built with.",
)
@output_options
def fit(
    windows: Path,
    out: Path,
    rate: float,
    hop: int | None,
    channels: tuple[str, ...] | None,
    layout: str,
    normalization: str,
    output: Output,
) -> None:
    """Write a preprocess file for windows, with the mean and spread of every channel.

    Then replace the statistics by those of the training, where they differ. Exit 0.
    """
    need("onnx", "compile")
    from fsq_edge_compile.foreign.network_input import draft_of

    x = read_windows(windows).windows
    if x.ndim != 3 or x.dtype.kind not in "fiu" or not len(x):
        raise DataError(f"the windows have shape {x.shape} of {x.dtype}, expected (N, C, T) numbers")
    axes = [axis.strip() for axis in layout.strip("[]() ").split(",")]
    step = hop or max(1, x.shape[2] // 2)
    draft = draft_of(x.astype(np.float32), rate, step, channels or (), layout=axes, kind=normalization)
    write_text(out, draft.to_json())
    output.say(f"wrote {out}: {x.shape[1]} channels, {x.shape[2]} samples")
    output.say_next(
        *("fsq-edge", "bundle", "build", "--onnx", "MODEL.onnx", "--preprocess", out, "--classes", "A,B"),
        *("--windows", windows, "--out", "NAME.fsqb"),
    )
    output.write_json(draft.to_dict())
