"""What a personal head needs to know of the training windows: sums over their features, never the windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.npz import npz_bytes, read_arrays

STEPS: Final = 64  # features are read in steps of 1/64: about what the 8-bit output of a device resolves
MAX_FEATURES: Final = 4096
MAX_FEATURE: Final = 1e6
MAX_STATISTICS_BYTES: Final = 256 * 1024 * 1024


def in_steps(features: Float32Array) -> Float32Array:
    """Return features (..., F) in whole steps of 1/64, as float32 integers.

    A batch of another size rounds the last bits of a feature differently. In steps, nearly every window has the same
    features whatever it was inferred with, and so has its answer.
    """
    return np.asarray(np.rint(features * np.float32(STEPS)), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureStatistics:
    """``features.npz``: sufficient statistics of the training windows for least squares.

    Attributes:
        counts: (K,) int64 windows of each class.
        sums: (K, F) float64 sums of the features of each class, in steps.
        products: (F, F) float64 sum of the outer products over all windows, in steps squared.
    """

    counts: Int64Array
    sums: Float64Array
    products: Float64Array

    @classmethod
    def of(cls, features: Float32Array, labels: Int64Array, classes: int) -> FeatureStatistics:
        """Return the statistics of windows.

        Args:
            features: (N, F) float32, as the graph puts them out.
            labels: (N,) class indices.
            classes: K.
        """
        steps = in_steps(features).astype(np.float64)
        sums = np.zeros((classes, steps.shape[1]))
        np.add.at(sums, labels, steps)
        return cls(np.bincount(labels, minlength=classes).astype(np.int64), sums, steps.T @ steps)

    @property
    def windows(self) -> int:
        """N, how many windows they are of."""
        return int(self.counts.sum())

    @property
    def width(self) -> int:
        """F."""
        return int(self.sums.shape[1])

    def within_class(self) -> Float64Array:
        """Return the covariance (F, F) of the features around the means of their classes, in steps squared."""
        means = self.sums / np.maximum(self.counts, 1)[:, None]
        return np.asarray((self.products - means.T @ self.sums) / max(self.windows, 1))

    def overall(self) -> Float64Array:
        """Return the covariance (F, F) of the features around their common mean, in steps squared."""
        total = self.sums.sum(axis=0) / max(self.windows, 1)
        return np.asarray(self.products / max(self.windows, 1) - np.outer(total, total))

    def to_bytes(self) -> bytes:
        """Return ``features.npz``, the same bytes for the same content; the products are stored as a triangle."""
        triangle = self.products[np.triu_indices(self.width)]
        return npz_bytes(counts=self.counts, sums=self.sums, triangle=triangle)

    @classmethod
    def from_bytes(cls, data: bytes, features: int, classes: int) -> FeatureStatistics:
        """Read ``features.npz``.

        Args:
            data: the file.
            features: F that is expected.
            classes: K that is expected.

        Raises:
            DataError: damaged, of other sizes, or values that no windows can have.
        """
        if len(data) > MAX_STATISTICS_BYTES or not 0 < features <= MAX_FEATURES:
            raise DataError(f"features.npz: {len(data)} bytes for {features} features is more than is allowed")
        try:
            counts, sums, triangle = read_arrays(data, ("counts", "sums", "triangle"))
        except ValueError as error:
            raise DataError(f"features.npz cannot be read: {error}") from error
        wanted = ((classes,), (classes, features), (features * (features + 1) // 2,))
        kinds = [array.dtype.str for array in (counts, sums, triangle)]
        if (counts.shape, sums.shape, triangle.shape) != wanted or kinds != ["<i8", "<f8", "<f8"]:
            raise DataError(f"features.npz: arrays {counts.shape}, {sums.shape}, {triangle.shape}, expected {wanted}")
        products = np.zeros((features, features))
        products[np.triu_indices(features)] = triangle
        products = products + np.triu(products, 1).T
        n = int(np.clip(counts, 0, 1 << 40).sum())
        bound = n * (MAX_FEATURE * STEPS) ** 2
        sound = (counts >= 0).all() and n > 0 and (np.abs(sums) <= bound).all() and (np.abs(products) <= bound).all()
        if not sound or (np.diag(products) < 0).any():
            raise DataError("features.npz holds values that no training windows can have")
        return cls(counts, sums, products)
