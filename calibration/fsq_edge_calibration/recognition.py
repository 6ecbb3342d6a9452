"""Which training windows an array of frames holds: whose they are, when the file itself does not say."""

from __future__ import annotations

from typing import Final

import numpy as np

from fsq_edge_calibration.build import CHUNK_WINDOWS
from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.preprocess import Preprocessor

DIRECTIONS: Final = 6  # projections that two different windows do not share
NEAR: Final = 1e-3  # of a projection's spread: other rounding, not another window


def recognize_windows(frames_nhwc: Float32Array, windows: Float32Array, preprocessor: Preprocessor) -> Int64Array:
    """Find each frame among the preprocessed training windows.

    Args:
        frames_nhwc: (K, H, W, C') float32.
        windows: (N, C, T) float32 raw units of the training split; may be memory-mapped, read in chunks.
        preprocessor: of the training split.

    Returns:
        (K,) int64 row of ``windows``; -1 where the frame is none of them.

    Cost: one pass over the windows; K log N comparisons.
    """
    size = int(np.prod(frames_nhwc.shape[1:]))
    directions = np.random.default_rng(0).normal(size=(size, DIRECTIONS)) / np.sqrt(size)
    known = np.full((len(windows), DIRECTIONS), np.nan)
    for first in range(0, len(windows), CHUNK_WINDOWS):
        part = slice(first, first + CHUNK_WINDOWS)
        frames = preprocessor.frames(preprocessor.fill_gaps(windows[part])[0])
        known[part] = frames.reshape(len(frames), size) @ directions
    asked = frames_nhwc.transpose(0, 3, 1, 2).reshape(len(frames_nhwc), size) @ directions
    order = np.argsort(known[:, 0], kind="stable")  # unusable windows are NaN and sort last
    keys = known[order, 0]
    starts, ends = np.searchsorted(keys, asked[:, 0] - NEAR), np.searchsorted(keys, asked[:, 0] + NEAR, side="right")
    found = np.full(len(asked), -1, dtype=np.int64)
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        near = order[start:end]
        apart = np.abs(known[near] - asked[row]).max(axis=1, initial=0.0)
        if len(near) and apart.min() < NEAR:
            found[row] = near[int(np.argmin(apart))]
    return found
