"""The offset of an accelerometer, from the sphere on which gravity lies while it is worn in many postures."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import Float64Array

MOTION: Final = 0.1  # g, standard deviation within a window at which it counts half
LEAST_WINDOWS: Final = 64
LEAST_DETERMINANT: Final = 1e-12  # of the normal equations per window: all postures in one plane
MOST_STRAY: Final = math.log(1.15)  # of the radius from standard gravity, as much as the length of gravity may be off


class Offset(NamedTuple):
    """Where the center of gravity's sphere lies.

    Attributes:
        center: (3,) g.
        error: (3,) its standard error, g: large where the postures leave an axis open.
        radius: of the sphere, g.
    """

    center: Float64Array
    error: Float64Array
    radius: float

    @property
    def is_of_gravity(self) -> bool:
        """Whether the sphere is gravity's: that of few postures, as of a leg that stands or lies, is often another."""
        return self.radius > 0 and abs(math.log(self.radius)) < MOST_STRAY


def sphere_sums(vectors: Float64Array, moved: Float64Array) -> Float64Array:
    """Return what windows add to the normal equations of the sphere, (26,).

    Args:
        vectors: (n, 3) mean acceleration of each window, g.
        moved: (n,) variance of the acceleration within it, summed over axes, g squared: the more, the less it counts.
    """
    n = len(vectors)
    rows = np.empty((n, 5))
    rows[:, :3] = 2.0 * vectors
    rows[:, 3] = 1.0
    rows[:, 4] = (vectors * vectors).sum(axis=1)
    weight = MOTION**2 / (MOTION**2 + moved)
    return np.append((rows * weight[:, None]).T @ rows, n)


def fit_offset(sums: Float64Array) -> Offset | None:
    """Return the center of the sphere of added sums (26,); None where there are too few windows or postures.

    A vector m of gravity, seen with an offset b, holds |m - b| = r, so that |m|^2 = 2 b m + (r^2 - |b|^2): linear in b.

    Source: the idea of calibrating by postures at rest: van Hees et al. 2014, J Appl Physiol 117.
    """
    windows = sums[25]
    if windows < LEAST_WINDOWS:
        return None
    products = sums[:25].reshape(5, 5) / windows
    matrix, target = products[:4, :4], products[:4, 4]
    if not np.isfinite(products).all() or np.linalg.det(matrix) < LEAST_DETERMINANT:
        return None
    inverse = np.linalg.inv(matrix)
    solved = inverse @ target
    residual = max(0.0, float(products[4, 4] - solved @ target))
    error = np.sqrt(np.maximum(np.diag(inverse)[:3], 0.0) * residual / windows)
    square = float(solved[3] + solved[:3] @ solved[:3])
    return Offset(solved[:3], error, math.sqrt(max(0.0, square)))
