"""What callers push, in the one form that a stream takes: almost always as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.errors import DataError

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


class SampleInput:
    """Reads samples of one model.

    Args:
        names: of the C channels, for error messages.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._channels = names, len(names)

    def read(
        self, samples: npt.ArrayLike, timestamps: npt.ArrayLike | None
    ) -> tuple[Float32Array, Float64Array | None]:
        """Return samples (n, C) float32 and timestamps (n,) float64 or None; the caller's own arrays where they fit.

        Args:
            samples: (n, C), or one sample (C,), of any numbers; what float32 cannot hold becomes Inf.
            timestamps: (n,) seconds, or None.

        Raises:
            DataError: not numbers, or another shape.
        """
        if (
            isinstance(samples, np.ndarray)
            and samples.dtype is FLOAT32
            and samples.ndim == 2
            and samples.shape[1] == self._channels
        ):  # as nearly all samples come
            if timestamps is None:
                return samples, None
            if (
                isinstance(timestamps, np.ndarray)
                and timestamps.dtype is FLOAT64
                and timestamps.shape == samples.shape[:1]
            ):
                return samples, timestamps
        try:
            rows = samples if isinstance(samples, np.ndarray) and samples.dtype == np.float32 else _float32(samples)
            times = None if timestamps is None else np.asarray(timestamps, np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"samples or timestamps are not numbers: {error}") from error
        if rows.ndim == 1 and rows.size:
            rows, times = rows[None], None if times is None else np.atleast_1d(times)
        if rows.size == 0 and rows.ndim < 2:
            rows = rows.reshape(0, self._channels)
        if rows.ndim != 2 or rows.shape[1] != self._channels:
            names = ", ".join(self._names)
            got = f"{rows.shape[1]} channels" if rows.ndim == 2 else f"shape {rows.shape}"
            raise DataError(
                f"samples have {got}, the bundle expects {self._channels}", hint=f"(n, channels) of {names}"
            )
        if times is not None and times.shape != rows.shape[:1]:
            raise DataError(f"{times.shape} timestamps for {len(rows)} samples")
        return rows, times


def _float32(samples: npt.ArrayLike) -> Float32Array:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes Inf, and Inf is missing
        return np.asarray(samples, dtype=np.float32)
