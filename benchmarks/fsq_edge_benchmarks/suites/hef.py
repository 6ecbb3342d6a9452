"""How long reading a HEF takes, against merely hashing its bytes. Run: ``python -m fsq_edge_benchmarks.suites.hef``."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import xxhash

from fsq_edge_benchmarks.measure.stopwatch import in_turns
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_runtime.hef import inspect_hef
from fsq_edge_runtime.testing import TensorSpec, write_hef

FILE_BYTES: Final = 800_000  # the size of the one public HEF of this model family


def run(quick: bool = False) -> dict[str, Any]:
    """Time ``inspect_hef`` on a synthetic file of 800 kB, alternating with bare hashing.

    Args:
        quick: 20 readings instead of 200.

    Returns:
        ``inspect_ms_p50`` and ``hash_ms_p50`` (read, xxh3 and SHA-256 of the same file), their ``ratio``, and
        ``file_bytes``.
    """
    rounds = 20 if quick else 200
    with tempfile.TemporaryDirectory() as folder:
        names = tuple(f"/encoder/block{index}/Conv" for index in range(20))
        payload = np.random.default_rng(0).bytes(FILE_BYTES)
        source = TensorSpec("input_layer1", (2, 50, 12), original_names=names)
        path = write_hef(Path(folder) / "x.hef", inputs=[source], contexts=8, payload=payload)
        size = inspect_hef(path).file_bytes
        taken = in_turns({"inspect": lambda _: inspect_hef(path), "hash": lambda _: _hashes(path)}, rounds, 0)
    medians = {name: float(np.median(durations)) / 1e6 for name, durations in taken.items()}
    return {
        "file_bytes": size,
        **{f"{name}_ms_p50": median for name, median in medians.items()},
        "ratio": medians["inspect"] / medians["hash"],
        "samples": rounds,
    }


def _hashes(path: Path) -> None:
    data = path.read_bytes()
    xxhash.xxh3_64(data).digest()
    hashlib.sha256(data).digest()


if __name__ == "__main__":
    sys.exit(run_command("hef", run))
