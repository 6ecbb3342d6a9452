"""The grid samples that windows still need, as they came, so that a window is one view."""

from __future__ import annotations

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float32Array, Int64Array
from fsq_edge_runtime.stream.grid import Piece

KEPT_VIEWS = 16  # windows of a stream in good order begin at a few places of the buffer only


class SampleRing:
    """A sliding buffer over one segment's grid.

    Wherever nothing irregular was written, ``used`` is one and ``imputed`` False, so that the common append writes
    samples only. When the buffer is full the few samples that are still needed move to its front, which costs less
    than writing each sample twice. Positions are grid indices of the segment.

    Args:
        channels: C.
        window: T, samples of a window.

    Attributes:
        room: how many samples may be appended at a time.
        end: grid index after the last sample.
        irregular_until: grid index after the last sample that was not simply taken from the source.
    """

    __slots__ = (
        "_base",
        "_capacity",
        "_columns",
        "_data",
        "_imputed",
        "_used",
        "_views",
        "_window",
        "end",
        "irregular_until",
        "room",
    )

    def __init__(self, channels: int, window: int) -> None:
        self._window = window
        self._capacity = 4 * window
        self.room = self._capacity - window
        self._columns: Float32Array = np.zeros((channels, self._capacity), dtype=np.float32)
        self._data: Float32Array = self._columns.T
        self._used: Int64Array = np.ones(self._capacity, dtype=np.int64)
        self._imputed: BoolArray = np.zeros(self._capacity, dtype=np.bool_)
        self._views: dict[int, Float32Array] = {}  # windows by where they begin in the buffer
        self.clear()

    def clear(self) -> None:
        """Begin a new segment."""
        self._base = self.end = 0
        self.irregular_until = 0
        self._used[:] = 1
        self._imputed[:] = False

    def append(self, piece: Piece, first: int, last: int, keep: int) -> None:
        """Write rows ``first:last`` of a piece, at most ``room``, keeping what lies from ``keep`` on."""
        self.extend(piece.rows[first:last], last - first, keep)
        if piece.used is not None and piece.imputed is not None:
            until = self.end - self._base
            at = until - (last - first)
            self._used[at:until] = piece.used[first:last]
            self._imputed[at:until] = piece.imputed[first:last]
            self.irregular_until = self.end

    def extend(self, rows: Float32Array, n: int, keep: int) -> None:
        """Write n rows (n, C) that were taken as they are, at most ``room``, keeping what lies from ``keep`` on."""
        at = self.end - self._base
        if at + n > self._capacity:
            at = self._move_to_front(keep)
        self._data[at : at + n] = rows
        self.end += n

    def restore(self, rows: Float32Array, end: int) -> None:
        """Take the place of a ring whose latest samples are rows (n, C), at least one, and which ends at ``end``."""
        self._used[:] = 1
        self._imputed[:] = False
        self._data[: len(rows)] = rows
        self._base, self.end = end - len(rows), end

    def latest(self, n: int) -> Float32Array:
        """Return a view (C, n) of the latest n samples."""
        at = self.end - self._base
        return self._columns[:, at - n : at]

    def window(self, start: int) -> Float32Array:
        """Return a view (C, T) of the window that starts at ``start``."""
        at = start - self._base
        view = self._views.get(at)
        if view is None:
            view = self._columns[:, at : at + self._window]
            if len(self._views) < KEPT_VIEWS:
                self._views[at] = view
        return view

    def last(self) -> Float32Array:
        """Return a view (C,) of the last sample written."""
        row: Float32Array = self._data[self.end - self._base - 1]
        return row

    def used(self, start: int) -> int:
        """Return how many source samples the steps between the window's samples consumed."""
        at = start - self._base
        return int(self._used[at + 1 : at + self._window].sum())

    def imputed(self, start: int) -> int:
        """Return how many of the window's samples bridge a gap."""
        at = start - self._base
        return int(np.count_nonzero(self._imputed[at : at + self._window]))

    def _move_to_front(self, keep: int) -> int:
        kept = max(0, self.end - keep)
        at = self.end - self._base
        self._columns[:, :kept] = self._columns[:, at - kept : at]
        if self.irregular_until > self._base:
            for store, regular in ((self._used, 1), (self._imputed, False)):
                store[:kept] = store[at - kept : at]
                store[kept:] = regular
        self._base = self.end - kept
        return kept
