"""``selftest.npz``: windows with the answers that the reference gave when the bundle was built."""

from __future__ import annotations

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.errors import BundleError
from fsq_edge_runtime.npz import npz_bytes, read_arrays


class SelfTest:
    """Windows with the answers that the reference gave when the bundle was built.

    Args:
        data: ``selftest.npz`` with ``windows`` (K, C, T) float32 raw units, ``t`` (K, D) float32, ``codes`` (K,)
            int64 (classes where the head has no codes) and ``labels`` (K,) int64. With a host graph ``t`` are its
            scores: what the head reads.

    Raises:
        BundleError: damaged or sizes that do not agree.
    """

    def __init__(self, data: bytes) -> None:
        try:
            windows, t, codes, labels = read_arrays(data, ("windows", "t", "codes", "labels"))
        except ValueError as error:
            raise BundleError(f"selftest.npz cannot be read: {error}") from error
        if any(array.dtype.kind not in "fiu" or not array.ndim for array in (windows, t, codes, labels)):
            raise BundleError("selftest.npz: the arrays are not numbers in rows")
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is judged by the agreement check
            self.windows: Float32Array = windows.astype(np.float32, copy=False)
            self.t: Float32Array = t.astype(np.float32, copy=False)
            self.codes: Int64Array = codes.astype(np.int64, copy=False)
            self.labels: Int64Array = labels.astype(np.int64, copy=False)
        sizes = {len(self.windows), len(self.t), len(self.codes), len(self.labels)}
        if len(sizes) != 1 or 0 in sizes:
            raise BundleError(f"selftest.npz: the arrays differ in length or are empty: {sorted(sizes)}")


def selftest_bytes(windows: Float32Array, t: Float32Array, codes: Int64Array, labels: Int64Array) -> bytes:
    """Return ``selftest.npz`` (see :class:`SelfTest`), the same bytes for the same content."""
    return npz_bytes(windows=windows, t=t, codes=codes, labels=labels)
