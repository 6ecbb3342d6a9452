"""Is the wearer still as the overlay saw them? Another mounting moves the features where the overlay knows nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from fsq_edge_runtime.arrays import Float16Array, Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.feature_statistics import FeatureStatistics
from fsq_edge_runtime.tail import FsqCodebook

DIRECTIONS: Final = 16
PROTOTYPES: Final = 128
INSIDE: Final = 0.95  # share of the wearer's own held-out windows that count as inside
SPAN_S: Final = 4.5  # seconds over which windows outside are averaged
LEAVE: Final = 0.5  # average share of windows outside at which the base head takes over
RETURN: Final = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Where the wearer's windows were: points in the directions that matter, and how near a window has to be.

    Attributes:
        directions: (V, R) float16: from what is looked at (V features in steps, or V digits) to R coordinates.
        points: (P, R) float16.
        reach: distance from the nearest point up to which a window is inside.
    """

    directions: Float16Array
    points: Float16Array
    reach: float


def directions_of(statistics: FeatureStatistics) -> Float16Array:
    """Return (F, R): the directions in which training windows differ most, in units of their spread within a class."""
    within, overall = statistics.within_class(), statistics.overall()
    width = statistics.width
    within = within + (1e-2 * np.trace(within) / width + 1e-6) * np.eye(width)
    whitening = np.linalg.inv(np.linalg.cholesky(within))
    _, vectors = np.linalg.eigh(whitening @ overall @ whitening.T)
    chosen = vectors[:, ::-1][:, :DIRECTIONS]
    # An eigenvector has no sign of its own: the largest entry is made positive, so that equal data give equal bytes.
    chosen = chosen * np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
    return np.asarray(whitening.T @ chosen, dtype=np.float16)


def digit_directions(codebook: FsqCodebook) -> Float16Array:
    """Return (D, D): digits as they are."""
    return np.eye(codebook.dimensions, dtype=np.float16)


def spread_points(places: Float32Array, most: int = PROTOTYPES) -> Float32Array:
    """Return at most ``most`` of places (N, R), each the farthest from those before it; the first is the innermost."""
    if len(places) <= most:
        return places
    chosen = [int(((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    nearest = ((places - places[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < most:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((places - places[chosen[-1]]) ** 2).sum(axis=1))
    return places[chosen]


def distances(points: Float32Array, places: Float32Array) -> Float64Array:
    """Return the distance (N,) of places (N, R) from the nearest of points (P, R)."""
    exact, theirs = places.astype(np.float64), points.astype(np.float64)
    squares = (exact**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1)[None, :] - 2.0 * exact @ theirs.T
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0.0)))


def places_of(directions: Float16Array, looked_at: Float32Array) -> Float32Array:
    """Return the coordinates (N, R) of features in steps, or digits, (N, V)."""
    return np.asarray(looked_at @ directions.astype(np.float32), dtype=np.float32)


def fit_range(directions: Float16Array, looked_at: Float32Array, held_out: Float64Array) -> Range:
    """Return the range of a wearer.

    Args:
        directions: (V, R).
        looked_at: (N, V) of all the wearer's windows.
        held_out: (M,) distances of windows that were held out from those that were not; sets the reach.
    """
    places = spread_points(places_of(directions, looked_at))
    reach = float(np.quantile(held_out, INSIDE)) if len(held_out) else 0.0
    return Range(directions, places.astype(np.float16), max(reach, 1e-3))


class Guard:
    """Averages over a few seconds whether windows are outside, and says when the base head has to answer.

    Args:
        hop_s: seconds between windows.

    Attributes:
        away: whether the base head answers.
        share: average share of windows outside, 0 to 1.
    """

    __slots__ = ("_weight", "away", "share")

    def __init__(self, hop_s: float) -> None:
        self._weight = -math.expm1(-hop_s / SPAN_S)
        self.away = False
        self.share = 0.0

    def see(self, outside: bool) -> bool:
        """Take note of a window; return whether ``away`` changed."""
        self.share += self._weight * ((1.0 if outside else 0.0) - self.share)
        if self.away:
            if self.share < RETURN:
                self.away = False
                return True
        elif self.share > LEAVE:
            self.away = True
            return True
        return False


def codes_outside(codebook: FsqCodebook, found: Range) -> list[bool]:
    """Return for every code whether it is outside a range over digits."""
    digits = codebook.digits_of(np.arange(codebook.n_codes, dtype=np.int64)).astype(np.float32)
    outside: list[bool] = (
        distances(found.points.astype(np.float32), places_of(found.directions, digits)) > found.reach
    ).tolist()
    return outside


def digits_of(codebook: FsqCodebook, codes: Int64Array) -> Float32Array:
    """Return the digits (N, D) float32 of codes (N,)."""
    return np.asarray(codebook.digits_of(codes), dtype=np.float32)
