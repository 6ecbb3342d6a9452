"""The grid samples that windows still need, as they came, so that a window is one view."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float32Array, Int64Array
from fsq_edge_runtime.stream.grid import Piece

KEPT_SPOTS = 16  # pushes of a stream in good order begin at a few places of the buffer only


class Spot(NamedTuple):
    """A place of the buffer to which a push was written that made a window due.

    Attributes:
        n: samples of the push.
        rows: (n, C), to write them to.
        first: row at which the window begins.
        window: (C, T) view of it.
        front: (n, C) view of the front of the buffer where the push is written, too, since another one of its size
            behind it finds no room and goes on there; None where it does, and for a push longer than a window.
    """

    n: int
    rows: Float32Array
    first: int
    window: Float32Array
    front: Float32Array | None


class SampleRing:
    """A sliding buffer over one segment's grid.

    Wherever nothing irregular was written, ``used`` is one and ``imputed`` False, so that the common append writes
    samples only. When the buffer is full the few samples that are still needed move to its front, which costs less
    than writing each sample twice; the latest of many equal pushes is written there at once, which costs less than the
    move. Positions are grid indices of the segment.

    Args:
        channels: C.
        window: T, samples of a window.

    Attributes:
        room: how many samples may be appended at a time.
        rows: (capacity, C), the buffer; what :meth:`extend` does is a write there.
        capacity: rows of it.
        base: grid index of its first row.
        end: grid index after the last sample.
        spots: some places, by the row at which they begin.
        fronted: grid index after the push that was written to the front, too, and how many samples it had.
        irregular_until: grid index after the last sample that was not simply taken from the source.
        latest_due: view (C, T) of the window that the latest common push made due; until the next push.
    """

    __slots__ = (
        "_columns",
        "_imputed",
        "_move",
        "_used",
        "_window",
        "base",
        "capacity",
        "end",
        "fronted",
        "irregular_until",
        "latest_due",
        "room",
        "rows",
        "spots",
    )

    def __init__(self, channels: int, window: int) -> None:
        self._window = window
        self.capacity = 4 * window
        self.room = self.capacity - window
        self._columns: Float32Array = np.zeros((channels, self.capacity), dtype=np.float32)
        self.rows: Float32Array = self._columns.T
        self._used: Int64Array = np.ones(self.capacity, dtype=np.int64)
        self._imputed: BoolArray = np.zeros(self.capacity, dtype=np.bool_)
        self.spots: dict[int, Spot] = {}
        self.latest_due: Float32Array = self._columns[:, :window]
        self._move = (0, 0, self._columns[:, :0], self._columns[:, :0])  # the latest: from where, how many, to, from
        self.clear()

    def clear(self) -> None:
        """Begin a new segment."""
        self.base = self.end = 0
        self.irregular_until = 0
        self.fronted = (0, 0)
        self._used[:] = 1
        self._imputed[:] = False

    def append(self, piece: Piece, first: int, last: int, keep: int) -> None:
        """Write rows ``first:last`` of a piece, at most ``room``, keeping what lies from ``keep`` on."""
        self.extend(piece.rows[first:last], last - first, keep)
        if piece.used is not None and piece.imputed is not None:
            until = self.end - self.base
            at = until - (last - first)
            self._used[at:until] = piece.used[first:last]
            self._imputed[at:until] = piece.imputed[first:last]
            self.irregular_until = self.end

    def extend(self, rows: Float32Array, n: int, keep: int) -> None:
        """Write n rows (n, C) that were taken as they are, at most ``room``, keeping what lies from ``keep`` on."""
        at = self.end - self.base
        if at + n > self.capacity:
            at = self.move_to_front(keep)
        self.rows[at : at + n] = rows
        self.end += n

    def restore(self, rows: Float32Array, end: int) -> None:
        """Take the place of a ring whose latest samples are rows (n, C), at least one, and which ends at ``end``."""
        self._used[:] = 1
        self._imputed[:] = False
        self.rows[: len(rows)] = rows
        self.base, self.end = end - len(rows), end

    def latest(self, n: int) -> Float32Array:
        """Return a view (C, n) of the latest n samples."""
        at = self.end - self.base
        return self._columns[:, at - n : at]

    def window(self, start: int) -> Float32Array:
        """Return a view (C, T) of the window that starts at ``start``."""
        at = start - self.base
        return self._columns[:, at : at + self._window]

    def keep_spot(self, n: int, start: int) -> None:
        """Keep where the latest n samples were written, and the window that starts at ``start``, for the next time."""
        if len(self.spots) < KEPT_SPOTS:
            at, first = self.end - self.base - n, start - self.base
            # Nothing at the front is needed any more then, and behind it there is room for whatever comes.
            goes_on = at + 2 * n > self.capacity and min(at, first) >= n and n <= self._window
            front = self.rows[:n] if goes_on else None
            self.spots[at] = Spot(n, self.rows[at : at + n], first, self.window(start), front)

    def last(self) -> Float32Array:
        """Return a view (C,) of the last sample written."""
        row: Float32Array = self.rows[self.end - self.base - 1]
        return row

    def used(self, start: int) -> int:
        """Return how many source samples the steps between the window's samples consumed."""
        at = start - self.base
        return int(self._used[at + 1 : at + self._window].sum())

    def imputed(self, start: int) -> int:
        """Return how many of the window's samples bridge a gap."""
        at = start - self.base
        return int(np.count_nonzero(self._imputed[at : at + self._window]))

    def move_to_front(self, keep: int) -> int:
        """Move what lies from ``keep`` on to the front of the buffer; return the row behind it."""
        end = self.end
        if self.fronted[0] == end and end - keep <= self.fronted[1] and self.irregular_until <= self.base:
            self.base = end - self.fronted[1]
            return self.fronted[1]
        at, kept = end - self.base, end - keep if end > keep else 0
        last, latest, to, source = self._move
        if last != at or latest != kept:
            to, source = self._columns[:, :kept], self._columns[:, at - kept : at]
            self._move = at, kept, to, source
        to[...] = source
        if self.irregular_until > self.base:
            for store, regular in ((self._used, 1), (self._imputed, False)):
                store[:kept] = store[at - kept : at]
                store[kept:] = regular
        self.base = end - kept
        return kept
