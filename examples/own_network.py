"""A network of your own, from training in plain PyTorch to decisions of a stream: a 1-D CNN for shoulder exercises.

    python examples/own_network.py --out build/own

Nothing of the training is fsq-edge's: windows in, an ONNX file out. From there on ``build_bundle`` checks the network
for a Hailo-8L, rewrites what its compiler was not seen to take, calibrates, previews int8 on the CPU, compares every
form with the ONNX file, and packs what a device needs.
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
from fsq_edge_runtime import Bundle
from fsq_edge_runtime.errors import FsqEdgeError

WINDOW, HOP = 100, 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/own"), help="folder for the results")
    parser.add_argument("--steps", type=int, default=400, help="training steps (default 400)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(0)

    data = open_dataset("watch")
    held_out = set(data.subjects[-2:])
    index = cut_windows(data, WINDOW, HOP)
    windows = index.gather()
    test = np.isin(index.subject, list(held_out))
    channels = [f"{channel.name}:{channel.unit}" for channel in data.channels]
    described = draft_of(windows[~test], data.sample_rate_hz, HOP, channels)
    mean, std = np.array(described.normalization.mean), np.array(described.normalization.std)

    model_file = arguments.out / "exercise.onnx"
    ready = ((windows - mean[:, None]) / std[:, None]).astype(np.float32)
    model = train(ready[~test], index.label[~test], len(data.classes), arguments.steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporters warn of their own future
        torch.onnx.export(model, (torch.zeros(1, len(mean), WINDOW),), str(model_file), dynamo=False)

    made = build_bundle(
        model_file, described, windows[~test], classes=data.classes, labels=index.label[~test], arch="hailo8l"
    )
    print(f"check for hailo8l: {made.check.verdict}")
    if made.bundle is None or made.int8 is None:
        print("not built: " + "; ".join(made.shut), file=sys.stderr)
        return 1
    print(f"int8 preview (on the CPU, not a device): {made.int8.label_agreement.value:.1%} of the labels stay")
    bundle_file = arguments.out / "exercise.fsqb"
    made.bundle.save(bundle_file)

    bundle = Bundle.open(bundle_file)
    with bundle.open_session(backend="auto") as session:
        found = session.predict(windows[test])
        right = float((found.raw_labels == index.label[test]).mean())
        print(f"{right:.1%} of {int(test.sum())} windows of {len(held_out)} held-out subjects are right")
        recording = next(one for one in data.recordings if one.subject in held_out)
        for decision in session.push(recording.samples[:500]):
            print(f"{decision.t_end:6.2f} s  {decision.label}  {decision.confidence:.2f}")
    print(f"wrote {bundle_file}")
    return 0


def train(windows: np.ndarray, labels: np.ndarray, classes: int, steps: int) -> nn.Module:
    """Return a small CNN, trained for a moment on normalised windows (N, C, T)."""
    body = [nn.Conv1d(windows.shape[1], 24, 7, padding=3), nn.BatchNorm1d(24), nn.ReLU(), nn.MaxPool1d(2)]
    body += [nn.Conv1d(24, 32, 5, padding=2), nn.BatchNorm1d(32), nn.ReLU()]
    model = nn.Sequential(*body, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, classes))
    x, y = torch.from_numpy(windows), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return model.eval()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FsqEdgeError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
