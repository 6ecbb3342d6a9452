"""How long reading a HEF takes, against merely hashing its bytes. Run: ``python -m fsq_edge_benchmarks.suites.hef``."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import xxhash

from fsq_edge_benchmarks.bench.latency import percentile
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
    inspecting, hashing = [], []
    with tempfile.TemporaryDirectory() as folder:
        names = tuple(f"/encoder/block{index}/Conv" for index in range(20))
        payload = np.random.default_rng(0).bytes(FILE_BYTES)
        source = TensorSpec("input_layer1", (2, 50, 12), original_names=names)
        path = write_hef(Path(folder) / "x.hef", inputs=[source], contexts=8, payload=payload)
        for _ in range(rounds):
            started = time.perf_counter_ns()
            report = inspect_hef(path)
            inspected = time.perf_counter_ns()
            data = path.read_bytes()
            xxhash.xxh3_64(data).digest()
            hashlib.sha256(data).digest()
            hashed = time.perf_counter_ns()
            inspecting.append(inspected - started)
            hashing.append(hashed - inspected)
    inspect_us, hash_us = percentile(inspecting, 50) or 0.0, percentile(hashing, 50) or 0.0
    return {
        "file_bytes": report.file_bytes,
        "inspect_ms_p50": inspect_us / 1e3,
        "hash_ms_p50": hash_us / 1e3,
        "ratio": inspect_us / hash_us,
        "samples": rounds,
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
