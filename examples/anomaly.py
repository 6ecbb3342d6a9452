"""Unusual motion without examples of it: an autoencoder that learned one exercise, its threshold fitted to 1 % alarms.

    python examples/anomaly.py --out build/anomaly

The network reconstructs a window; the bundle's score is the mean squared difference in normalised units, computed by
the device graph itself. ``build_bundle`` fits the threshold on normal windows, and a second one for the int8 graph.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fsq_edge.data import cut_windows, open_dataset
from fsq_edge_compile import build_bundle
from fsq_edge_compile.foreign.network_input import draft_of
from fsq_edge_runtime.errors import FsqEdgeError

WINDOW, HOP = 100, 50
NORMAL = "pendulum"
FALSE_ALARMS = 0.01


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/anomaly"), help="folder for the results")
    parser.add_argument("--steps", type=int, default=600, help="training steps (default 600)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(0)

    data = open_dataset("watch")
    index = cut_windows(data, WINDOW, HOP)
    windows = index.gather()
    normal = index.label == data.classes.index(NORMAL)
    held_out = np.isin(index.subject, list(data.subjects[-2:]))
    usual = windows[normal & ~held_out]
    described = draft_of(usual, data.sample_rate_hz, HOP, [f"{one.name}:{one.unit}" for one in data.channels])
    mean, std = np.array(described.normalization.mean), np.array(described.normalization.std)

    model_file = arguments.out / "anomaly.onnx"
    model = train(((usual - mean[:, None]) / std[:, None]).astype(np.float32), arguments.steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporters warn of their own future
        torch.onnx.export(model, (torch.zeros(1, len(mean), WINDOW),), str(model_file), dynamo=False)

    made = build_bundle(
        model_file, described, usual, arch="hailo8l", false_alarm_rate=FALSE_ALARMS, min_label_agreement=0.9
    )
    print(f"check for hailo8l: {made.check.verdict}")
    for finding in made.check.findings:
        if finding.op == "ConvTranspose":
            print(f"  {finding.op}: {finding.support}: {finding.message}")
    if made.bundle is None:
        print("not built: " + "; ".join(made.shut), file=sys.stderr)
        return 1
    made.bundle.save(arguments.out / "anomaly.fsqb")
    with made.bundle.open_session(backend="auto") as session:
        for what, rows in ((NORMAL, normal & held_out), ("the other exercises", ~normal & held_out)):
            found = session.predict(windows[rows])
            share = float((found.raw_labels == 1).mean())
            print(f"{share:6.1%} of {int(rows.sum())} held-out windows of {what} are called anomalies")
    print(f"wrote {arguments.out / 'anomaly.fsqb'}")
    return 0


def train(windows: np.ndarray, steps: int) -> nn.Module:
    """Return an autoencoder of strided convolutions, trained for a moment on normalised windows (N, C, T)."""
    count = windows.shape[1]
    down = [nn.Conv1d(count, 16, 4, 2, 1), nn.ReLU(), nn.Conv1d(16, 8, 4, 2, 1), nn.ReLU()]
    up = [nn.ConvTranspose1d(8, 16, 4, 2, 1), nn.ReLU(), nn.ConvTranspose1d(16, count, 4, 2, 1)]
    model = nn.Sequential(*down, *up)
    x = torch.from_numpy(windows)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,))
        optimizer.zero_grad()
        ((model(x[rows]) - x[rows]) ** 2).mean().backward()
        optimizer.step()
    return model.eval()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FsqEdgeError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
