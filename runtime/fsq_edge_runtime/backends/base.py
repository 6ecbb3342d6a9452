"""The seam between the stream engine and whatever runs the device graph."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]


class Backend(Protocol):
    """Runs the device graph. One owner thread; not safe to share."""

    name: str

    def infer(self, frame: Float32Array) -> Float32Array:
        """Return ``t`` (D,) float32 in [-1, 1] for one frame (1, C', H, W) float32 NCHW.

        The result may be a view of a buffer that the next call overwrites.

        Raises:
            BackendError: the inference failed; nothing was returned in its place.
        """

    def infer_batch(self, frames: Float32Array) -> Float32Array:
        """Return ``t`` (N, D) float32 for frames (N, C', H, W) float32, a copy, row by row as :meth:`infer` would."""

    def close(self) -> None:
        """Release what the backend holds; a second call does nothing."""
