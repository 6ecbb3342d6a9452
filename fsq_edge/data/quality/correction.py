"""Six strategies for missing values; labels, groups and timestamps follow by one index."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fsq_edge.data.quality.arrays import as_array
from fsq_edge_runtime.arrays import AnyArray, BoolArray, Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.preprocess import fill_missing

Strategy = Literal["zero", "mean", "median", "interpolate", "drop", "raise"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """Corrected windows and everything that belongs to them.

    Attributes:
        data: float32 (M, C, T), finite.
        index: int64 (M,), which of the N windows these are, ascending: apply it to every other array of theirs.
        labels: the labels of those windows, or None where none were given.
        groups: their subjects or recordings, or None.
        timestamps: (M,) or (M, T), or None.
        strategy: as asked for.
        n_missing: NaN and Inf found.
        n_filled: missing values that were given one.
        n_dropped: windows left out.
    """

    data: Float32Array
    index: Int64Array
    labels: AnyArray | None
    groups: AnyArray | None
    timestamps: AnyArray | None
    strategy: Strategy
    n_missing: int
    n_filled: int
    n_dropped: int


def apply_corrections(
    windows: Any,
    nan_strategy: Strategy = "interpolate",
    *,
    labels: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    timestamps: npt.ArrayLike | None = None,
    max_gap_samples: int = 10,
    fill: npt.ArrayLike | None = None,
) -> Correction:
    """Replace or remove missing values. Inf is missing from the start: it never enters a mean.

    Args:
        windows: (N, C, T); left unchanged.
        nan_strategy: ``zero``; ``mean`` or ``median`` of the channel's finite values; ``interpolate`` linearly,
            gaps of up to ``max_gap_samples``, windows with longer ones are dropped; ``drop`` windows with anything
            missing; ``raise``.
        labels: (N, ...), one entry a window, or None.
        groups: (N, ...), who each window is of, or None.
        timestamps: (N, ...), when each window was taken, or None.
        max_gap_samples: longest run that is interpolated; at an end of a window the nearest value is held.
        fill: (C,) values for ``mean`` and ``median`` from the training split, so that no other split is measured by
            itself; None takes them from ``windows``.

    Returns:
        What is left. ``data`` is a new array unless nothing was missing.

    Raises:
        UsageError: an unknown strategy.
        DataError: wrong shape or length; with ``raise``, anything missing; with ``mean`` or ``median``, a channel
            without a finite value; no window left.
    """
    if nan_strategy not in STRATEGIES:
        raise UsageError(f"unknown strategy {nan_strategy!r}", hint=f"one of {', '.join(STRATEGIES)}")
    x = as_array(windows)
    if x.ndim != 3:
        raise DataError(f"expected windows (N, channels, samples), got shape {x.shape}")
    x = x.astype(np.float32, copy=False)
    labels_, groups_, timestamps_ = (
        _companion(name, value, len(x))
        for name, value in (("labels", labels), ("groups", groups), ("timestamps", timestamps))
    )
    missing = ~np.isfinite(x)
    n_missing = int(np.count_nonzero(missing))
    index = np.arange(len(x))
    if n_missing:
        x, index = _repair(x, missing, nan_strategy, max_gap_samples, fill)
        if not len(index):
            raise DataError(
                f"no window is left after {nan_strategy!r}: every one has missing values that it cannot fill"
            )
    dropped = len(missing) - len(index)
    n_filled = int(np.count_nonzero(missing[index]))
    if n_missing:
        _log.warning(
            "%d missing values (%.3g %%): strategy %s filled %d and dropped %d of %d windows",
            n_missing, 100 * n_missing / missing.size, nan_strategy, n_filled, dropped, len(missing),
        )  # fmt: skip
    return Correction(
        data=x,
        index=index,
        labels=None if labels_ is None else labels_[index],
        groups=None if groups_ is None else groups_[index],
        timestamps=None if timestamps_ is None else timestamps_[index],
        strategy=nan_strategy,
        n_missing=n_missing,
        n_filled=n_filled,
        n_dropped=dropped,
    )


def _repair(
    x: Float32Array, missing: BoolArray, strategy: Strategy, max_gap: int, fill: npt.ArrayLike | None
) -> tuple[Float32Array, Int64Array]:
    """Return finite windows and which ones they are."""
    n, channels, length = x.shape
    if strategy == "raise":
        windows = int(np.count_nonzero(missing.any(axis=(1, 2))))
        raise DataError(
            f"{np.count_nonzero(missing)} values are missing in {windows} of {n} windows",
            hint="choose a strategy: zero, mean, median, interpolate or drop",
        )
    if strategy == "drop":
        index = np.flatnonzero(~missing.any(axis=(1, 2)))
        return x[index], index
    if strategy == "interpolate":
        rows = np.flatnonzero(missing.any(axis=2))
        repaired = x.copy()
        flat = repaired.reshape(n * channels, length)
        flat[rows] = fill_missing(flat[rows], max_gap)
        index = np.flatnonzero(np.isfinite(repaired).all(axis=(1, 2)))
        return (repaired if len(index) == n else repaired[index]), index
    value = np.zeros(channels) if strategy == "zero" else _fill_values(x, missing, strategy, fill)
    return np.where(missing, value.astype(np.float32)[:, None], x), np.arange(n)


def _fill_values(x: Float32Array, missing: BoolArray, strategy: Strategy, fill: npt.ArrayLike | None) -> Float64Array:
    """One value a channel (C,)."""
    channels = x.shape[1]
    if fill is not None:
        given = np.asarray(fill, np.float64)
        if given.shape != (channels,) or not np.isfinite(given).all():
            raise DataError(f"fill must be {channels} finite values, got shape {given.shape}")
        return given
    measure = np.mean if strategy == "mean" else np.median
    values = np.zeros(channels)
    for channel in np.flatnonzero(missing.any(axis=(0, 2))):
        finite = x[:, channel][~missing[:, channel]]
        if not finite.size:
            raise DataError(f"channel {channel} has no finite value to take a {strategy} of")
        values[channel] = measure(finite.astype(np.float64))
    return values


def _companion(name: str, value: npt.ArrayLike | None, n: int) -> AnyArray | None:
    if value is None:
        return None
    array = np.asarray(value)
    if array.ndim < 1 or len(array) != n:
        raise DataError(f"{name} must have {n} entries like the windows, got shape {array.shape}")
    return array
