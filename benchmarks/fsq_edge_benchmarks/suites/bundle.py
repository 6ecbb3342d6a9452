"""How long verifying and installing a bundle takes. Run: ``python -m fsq_edge_benchmarks.suites.bundle``."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.measure.stopwatch import in_turns
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import add_hef
from fsq_edge_runtime.bundle.install import install, verify_parts
from fsq_edge_runtime.testing import TensorSpec, hef_bytes

BUNDLE_BYTES: Final = 5_000_000


def run(quick: bool = False) -> dict[str, Any]:
    """Time ``bundle verify`` on a bundle of 5 MB, alternating with bare hashing, and ``bundle install``.

    Args:
        quick: 11 readings instead of 100.

    Returns:
        ``verify_ms_p50``; ``sha256_ms_p50`` of the same bytes and their ``ratio``; ``install_ms_p50`` (self-test and
        waiting for the disk included); ``bundle_bytes``.
    """
    rounds = 11 if quick else 100
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.fsqb" for index in range(2)]
        for index, path in enumerate(paths):
            sample_bundle(BUNDLE_BYTES, index).save(path)
        taken = in_turns(
            {
                "verify": lambda index: verify_parts(Bundle.open(paths[index % 2])),
                "sha256": lambda index: hashlib.sha256(paths[index % 2].read_bytes()).digest(),
                "install": lambda index: install(paths[index % 2], Path(folder) / "dest", backend="onnx"),
            },
            rounds,
            0,
        )
        size = paths[0].stat().st_size
    medians = {name: float(np.median(durations)) / 1e6 for name, durations in taken.items()}
    return {
        "bundle_bytes": size,
        **{f"{name}_ms_p50": median for name, median in medians.items()},
        "ratio": medians["verify"] / medians["sha256"],
        "samples": rounds,
    }


def sample_bundle(size: int, seed: int = 0) -> Bundle:
    """Return the fixed network with a synthetic HEF that fills the bundle up to about ``size`` bytes."""
    bundle = fixed_bundle()
    channels, height, width = bundle.preprocess.frame_shape
    clip = bundle.preprocess.clip_sigma
    source = TensorSpec("input_layer1", (height, width, channels), -clip, clip, original_names=("conv0",))
    sink = TensorSpec("fc1", (bundle.tail.width,), -1.0, 1.0, original_names=("t",))
    payload = np.random.default_rng(seed).bytes(size)
    added = add_hef(bundle, hef_bytes(arch="hailo8l", inputs=[source], outputs=[sink], payload=payload)).bundle
    if added is None:
        raise ValueError("the synthetic HEF does not match the fixed network")
    return added


if __name__ == "__main__":
    sys.exit(run_command("bundle", run))
