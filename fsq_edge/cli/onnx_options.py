"""The options of ``bundle build --onnx`` and ``export --onnx``, for a network that was trained elsewhere."""

from __future__ import annotations

import click

from fsq_edge.cli.options import default_option, path_option
from fsq_edge.cli.workstation_options import together

#: What ``bundle build`` and ``export`` need for a network that was trained elsewhere.
network_options = together(
    path_option("--onnx", help="Take this ONNX file, trained elsewhere, as the network (default: none)."),
    path_option("--preprocess", help="With --onnx: what the network takes, JSON or YAML (see preprocess fit)."),
    click.option("--classes", metavar="FILE|A,B", help="With --onnx: class names in the order of the outputs."),
    click.option(
        "--windows",
        metavar="FILE|DATA",
        help="With --onnx: windows (N, C, T) in raw units, npy, or npz with windows and, where known, labels; or "
        "watch, quadruped or folder:PATH, which is cut here.",
    ),
    click.option(
        "--head",
        type=click.Choice(["softmax", "sigmoid", "anomaly"]),
        help="With --onnx: what the output is; sigmoid is several labels at once (default: read off its end and size).",
    ),
    default_option(
        "--false-alarms",
        0.01,
        click.FloatRange(0, 1, min_open=True, max_open=True),
        "With an anomaly head: fit the threshold so that this share of the normal windows is above it.",
    ),
    click.option(
        "--thresholds",
        metavar="P,Q",
        help="With a sigmoid head: probability from which on each label is there (default: fitted where the npz "
        "has labels (N, K) of 0 and 1, else 0.5 each).",
    ),
)
