"""The windows of one stream, a few bytes each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.monitor.budget import Blocks, Budget
from fsq_edge_runtime.stream.records import Decision

ABSTAINED, MISSED, UNKNOWN = -1, -2, -3  # in place of a class
BLOCK_WINDOWS = 256
MAX_WINDOWS = 40_000  # an hour at ten a second and some
MAX_FLAG_SETS = 4096  # distinct sets of flags; more share the first, which is empty

# The row of a window: end (s of the source), class, confidence, code (-1: none), latency (us), number of its flags.
ROW = np.dtype([("t", "f8"), ("label", "i2"), ("confidence", "f4"), ("code", "i4"), ("latency", "f4"), ("flags", "i2")])
Rows: TypeAlias = AnyArray  # of ROW


class RowMaker:
    """Turns decisions into rows.

    Args:
        classes: labels by class.

    Attributes:
        flag_sets: sets of flags by number.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = {name: number for number, name in enumerate(classes)}
        self._classes.setdefault("unknown", UNKNOWN)
        self._numbers: dict[tuple[str, ...], int] = {(): 0}
        self.flag_sets: list[tuple[str, ...]] = [()]

    def row(self, decision: Decision) -> tuple[float, int, float, int, float, int]:
        """Return the row of a decision."""
        if decision.missed:
            label, flags = MISSED, (f"missed: {decision.missed}", *decision.quality)
        else:
            label = ABSTAINED if decision.label is None else self._classes.get(decision.label, UNKNOWN)
            flags = decision.quality
        code = -1 if decision.code is None or decision.code > 0x7FFFFFFF else decision.code
        latency = decision.stages_ns[-1] / 1e3
        return decision.t_end, label, decision.confidence or 0.0, code, latency, self._number(flags)

    def _number(self, flags: tuple[str, ...]) -> int:
        number = self._numbers.get(flags)
        if number is None:
            if len(self.flag_sets) >= MAX_FLAG_SETS:
                return 0
            number = self._numbers[flags] = len(self.flag_sets)
            self.flag_sets.append(flags)
        return number


class WindowHistory:
    """Rows of one stream, in the order in which they came.

    Args:
        budget: shared by all streams.
    """

    def __init__(self, budget: Budget) -> None:
        size, keep = BLOCK_WINDOWS * ROW.itemsize, MAX_WINDOWS // BLOCK_WINDOWS
        self._blocks: Blocks[Rows] = Blocks(budget, _empty, size, keep)
        self._count = 0

    def add(self, rows: Rows) -> None:
        """Append rows."""
        at = 0
        while at < len(rows):
            number, place = divmod(self._count, BLOCK_WINDOWS)
            part = rows[at : at + BLOCK_WINDOWS - place]
            self._blocks.open(number)[place : place + len(part)] = part
            at += len(part)
            self._count += len(part)

    def view(self, from_s: float, to_s: float) -> Rows:
        """Return the rows whose window ended from ``from_s`` to ``to_s``, in order of arrival."""
        rows = self._kept()
        found: Rows = rows[(rows["t"] >= from_s) & (rows["t"] <= to_s)]
        return found

    def last(self, count: int) -> Rows:
        """Return the latest rows."""
        first = max(0, self._count - count) // BLOCK_WINDOWS
        return self._kept(first)[-count:]

    def clear(self) -> None:
        """Give up every row."""
        self._blocks.clear()

    def _kept(self, first: int = 0) -> Rows:
        parts = [block for _, block in self._blocks.between(first, self._count)]
        rows: Rows = np.concatenate(parts) if parts else np.empty(0, dtype=ROW)
        # The newest block is not full, and one that made way while it was being filled has a hole.
        kept: Rows = rows[~np.isnan(rows["t"])]
        return kept


def _empty() -> Rows:
    block = np.zeros(BLOCK_WINDOWS, dtype=ROW)
    block["t"] = np.nan
    return block
