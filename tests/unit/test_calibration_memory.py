"""A large set out of a memory-mapped array costs memory by its own size, not by the size of what it is chosen from."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fsq_edge_calibration import build_calibration_set, describe_windows
from tests.factories.motion import make_motion


@pytest.mark.parametrize("method", ["class-balanced", "extremes"])
def test_4096_windows_out_of_a_mapped_file(tmp_path: Path, method: str) -> None:
    motion = make_motion(2000)
    copies = 10
    path = tmp_path / "windows.npy"
    mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(2000 * copies, 6, 100))
    for at in range(copies):
        mapped[at * 2000 : (at + 1) * 2000] = motion.windows
    del mapped
    windows = np.load(path, mmap_mode="r")
    labels, subjects = np.tile(motion.labels, copies), np.tile(motion.subjects, copies)
    tracemalloc.start()
    try:
        chosen = build_calibration_set(windows, labels, subjects, motion.preprocess, size=4096, method=method)
        described = describe_windows(windows, motion.preprocess, labels, subjects)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(chosen) == 4096
    assert described.n_windows == 20_000
    assert peak < 200 * 2**20
