"""What is kept of one stream, and what is new of it."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.monitor.about import About
from fsq_edge_runtime.monitor.budget import Budget
from fsq_edge_runtime.monitor.signals import BIN_S, Curve, SignalHistory
from fsq_edge_runtime.monitor.windows import ABSTAINED, MISSED, ROW, Rows, WindowHistory

RECENT: Final = 60  # windows of a small multiple
MAX_POINTS: Final = 4000
MOST_NEW: Final = 1500  # bins, or windows, of one stream in the news
MAX_SHOWN_ROWS: Final = 8000  # of one answer: ten minutes at ten a second, and more


class Past:
    """One stream.

    Args:
        number: by which the page names it.
        name: id of the stream.
        about: facts of the run.
        budget: shared by all streams.

    Attributes:
        number: by which the page names it.
        name: id of the stream.
        fresh: whether the latest collation had windows of it.
        drifted: the latest drift alarm, or empty.
    """

    def __init__(self, number: int, name: str, about: About, budget: Budget) -> None:
        self.number, self.name, self.drifted = number, name, ""
        self._signals = SignalHistory(len(about.channels), about.rate_hz, budget)
        self._windows = WindowHistory(budget)
        self._counts = [0, 0, 0]  # decided, abstained, missed
        self._t = 0.0
        self._seen_s = monotonic()  # when the latest window came
        self.begin()

    @property
    def fresh(self) -> bool:
        """Whether windows came since :meth:`begin`."""
        return len(self._new_rows) > 0

    def begin(self) -> None:
        """Begin a collation: nothing is new."""
        self._new_rows: Rows = np.empty(0, dtype=ROW)
        self._new_bins: list[int] = []

    def take(self, samples: Float32Array, times: Float64Array | None) -> None:
        """Take samples (n, C)."""
        touched = self._signals.add(samples, times)
        if touched is not None:
            self._new_bins += touched

    def see(self, rows: Rows) -> None:
        """Take windows."""
        self._seen_s = monotonic()
        self._windows.add(rows)
        self._new_rows = np.concatenate([self._new_rows, rows])
        abstained, missed = int((rows["label"] == ABSTAINED).sum()), int((rows["label"] == MISSED).sum())
        for place, count in enumerate((len(rows) - abstained - missed, abstained, missed)):
            self._counts[place] += count
        self._t = float(rows["t"][-1])
        if self._signals.counted_s and self._t > self._signals.counted_s:  # samples were lost on the way here
            self._signals.anchor(self._t)

    def latest(self) -> list[Any]:
        """Return the labels that are new, and t, confidence, latency, flags, counts and drift as they are now."""
        return [self._new_rows["label"][-RECENT:].tolist(), *self._now(self._new_rows)]

    def summary(self) -> list[Any]:
        """Return number, name, recent labels, the rest as :meth:`latest` does, and seconds since the last window."""
        rows, silent_s = self._windows.last(RECENT), round(monotonic() - self._seen_s, 1)
        return [self.number, self.name, rows["label"].tolist(), *self._now(rows), silent_s]

    def news(self) -> dict[str, Any]:
        """Return the new windows and bins of the stream that a viewer looks at.

        What a replay leaves in one tick beyond a minute of signals or 1,500 windows is ``skipped``: the page asks for
        the latest stretch instead, which has a bound.
        """
        bins = max(self._new_bins) - min(self._new_bins) if self._new_bins else 0
        if bins > MOST_NEW or len(self._new_rows) > MOST_NEW:
            return {"number": self.number, "skipped": True, **_shown_rows(self._new_rows[:0]), **_shown_curve(None)}
        curve = self._signals.between(min(self._new_bins), max(self._new_bins)) if self._new_bins else None
        return {"number": self.number, **_shown_rows(self._new_rows), **_shown_curve(curve)}

    def view(self, from_s: float | None, length_s: float, points: int) -> dict[str, Any]:
        """Return a stretch of the past.

        Args:
            from_s: its begin, seconds of the source; None is the latest stretch.
            length_s: seconds.
            points: bins of the signals at most, about.
        """
        begin = self._t - length_s if from_s is None else from_s
        end = begin + length_s + (BIN_S * 50 if from_s is None else 0.0)  # samples run ahead of windows
        curve = self._signals.view(begin, end, min(points, MAX_POINTS))
        rows = self._windows.view(begin, end)
        stretch = {"number": self.number, "from": begin, "oldest": self._signals.oldest_s, "latest": self._t}
        return {**stretch, **_shown_rows(rows[-MAX_SHOWN_ROWS:]), **_shown_curve(curve)}

    def clear(self) -> None:
        """Give the memory back."""
        self._signals.clear()
        self._windows.clear()

    def _now(self, rows: Rows) -> list[Any]:
        if not len(rows):
            return [None, 0.0, 0.0, 0, self._counts, self.drifted]
        last = rows[-1]
        shown = [float(last["t"]), round(float(last["confidence"]), 4), round(float(last["latency"]), 1)]
        return [*shown, int(last["flags"]), self._counts, self.drifted]


def _shown_rows(rows: Rows) -> dict[str, Any]:
    columns = {name: rows[name].tolist() for name in ("t", "label", "code", "flags")}
    columns["confidence"] = rows["confidence"].astype(np.float64).round(4).tolist()
    columns["latency"] = rows["latency"].astype(np.float64).round(1).tolist()
    return {"rows": columns}


def _shown_curve(curve: Curve | None) -> dict[str, Any]:
    if curve is None or not len(curve.t):
        return {"curve": None}
    low, high = _columns(curve.low), _columns(curve.high)
    return {"curve": {"t": curve.t.round(3).tolist(), "step": curve.step_s, "low": low, "high": high}}


def _columns(values: Float32Array) -> list[list[float | None]]:
    """Return (C, n) rounded values, None where there is none: JSON has no NaN."""
    rounded = values.astype(np.float64).round(4).T
    return [[None if value != value else value for value in row] for row in rounded.tolist()]
