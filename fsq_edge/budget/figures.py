"""Ethogram, actogram and time budget as SVG text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from fsq_edge.budget.calendar import EARLIEST, LATEST, cut_at
from fsq_edge.budget.decisions import ABSTAINED, MISSED
from fsq_edge.budget.shares import UNCOVERED
from fsq_edge.report.canvas import STYLE, legend_above, name_rows, new_figure, svg_text
from fsq_edge.report.palette import class_color, class_hatch
from fsq_edge_runtime.arrays import Float64Array, IntArray

COLUMNS = 1500  # of an ethogram: more cannot be told apart on a screen
SLOTS = 288  # of a day: five minutes each
MOST_DAYS = 62
DAY_S = 86_400.0
GREYS = {ABSTAINED: "#B0B0B0", MISSED: "#707070", UNCOVERED: "#88888833"}


@dataclass(frozen=True, slots=True)
class Colors:
    """How states are drawn.

    Attributes:
        states: in the order in which they are drawn.
        classes: whose place gives each behavior its color.
    """

    states: tuple[str, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, pieces: pd.DataFrame, classes: Sequence[str] = ()) -> Colors:
        """Order the behaviors by their time, the longest first; what is no answer comes last.

        Args:
            pieces: table of ``read_decisions``.
            classes: of the bundle in its order, which colors them as every other page does; without them the names in
                their order, so that a behavior keeps its color from log to log.
        """
        total = (pieces["end"] - pieces["start"]).groupby(pieces["state"]).sum().sort_values(ascending=False)
        names = [str(name) for name in total.index if name not in GREYS]
        known = tuple(dict.fromkeys((*classes, *sorted(names))))
        return cls((*names, *(name for name in GREYS if name in total.index)), known)

    def __getitem__(self, state: str) -> str:
        return GREYS.get(state) or class_color(self.classes.index(state))

    def look(self, state: str) -> dict[str, Any]:
        """Return what matplotlib fills a state's bars with."""
        hatch = "" if state in GREYS else class_hatch(self.classes.index(state))
        return {"facecolor": self[state], "hatch": hatch or None, "edgecolor": "#FFFFFF", "linewidth": 0}


def ethogram(pieces: pd.DataFrame, stream: str, colors: Colors, zone: str | None = None) -> str:
    """Draw what one stream did over time: a row a behavior.

    Args:
        pieces: table of ``read_decisions``.
        stream: which one.
        colors: of all streams of the page.
        zone: labels the time axis with the clock of this zone where the times count from 1970.
    """
    own = pieces[pieces["stream"] == stream]
    low, high = float(own["start"].min()), float(own["end"].max())
    found = dominant(own, np.linspace(low, high, COLUMNS + 1), colors.states)
    rows = [state for state in colors.states if state in set(own["state"])]
    at_s, unit, dated = _axis(low, high, zone)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(9.0, 0.9 + 0.27 * len(rows))
        for row, state in enumerate(rows):
            spans = _runs(found == colors.states.index(state))
            edges = [(at_s(low + (high - low) * a / COLUMNS), at_s(low + (high - low) * b / COLUMNS)) for a, b in spans]
            axes.broken_barh([(a, b - a) for a, b in edges], (row - 0.4, 0.8), **colors.look(state))
        name_rows(axes, np.arange(len(rows)), rows, "behavior")
        axes.set_ylim(len(rows) - 0.5, -0.5)  # a state that fills no pixel has its row, too
        axes.set_xlim(at_s(low), at_s(high))
        _label_axis(axes, unit, dated)
        return svg_text(figure, f"Ethogram of stream {_plain(stream)}")


def actogram(pieces: pd.DataFrame, stream: str, colors: Colors, zone: str | None = None) -> str:
    """Draw what one stream did by day and hour: a row a day, in slots of five minutes, the longest state of each.

    Args:
        pieces: table of ``read_decisions``.
        stream: which one.
        colors: of all streams of the page.
        zone: whose days; without one, or where the times do not count from 1970, days are 24 hours from 0.
    """
    own = pieces[pieces["stream"] == stream]
    begins, names = _days(float(own["start"].min()), float(own["end"].max()), zone)
    longest = max(np.diff(begins)) / 3600.0
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(9.0, 0.9 + 0.2 * len(names))
        for row, (begin, end) in enumerate(pairwise(begins.tolist())):
            today = own[(own["end"] > begin) & (own["start"] < end)]
            if today.empty:
                continue
            step = DAY_S / SLOTS
            edges = begin + step * np.arange(round((end - begin) / step) + 1)
            today = today.assign(start=today["start"].clip(lower=begin), end=today["end"].clip(upper=edges[-1]))
            found = dominant(today[today["end"] > today["start"]], edges, colors.states)
            for code, state in enumerate(colors.states):
                bars = [(a * step / 3600, (b - a) * step / 3600) for a, b in _runs(found == code)]
                axes.broken_barh(bars, (row - 0.42, 0.84), **colors.look(state))
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0, longest)
        axes.set_xticks(range(0, round(longest) + 1, 3))
        axes.set(xlabel="hours since midnight" if zone else "hours", ylabel="day")
        _legend(axes, [state for state in colors.states if state in set(own["state"])], colors)
        return svg_text(figure, f"Actogram of stream {_plain(stream)}")


def budget_bars(budget: pd.DataFrame, colors: Colors, column: str = "stream") -> str:
    """Draw time budgets as stacked bars that end at 100 %.

    Args:
        budget: with ``column``, ``state`` and ``percent``.
        colors: of all streams of the page.
        column: what has a bar each.
    """
    table = budget.pivot_table(index=column, columns="state", values="percent", fill_value=0.0, sort=False)
    states = [state for state in (*colors.states, UNCOVERED) if state in table]
    states = list(dict.fromkeys(states))
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(9.0, 0.9 + 0.3 * len(table))
        left = np.zeros(len(table))
        for state in states:
            axes.barh(range(len(table)), table[state], left=left, height=0.7, **colors.look(state))
            left += table[state].to_numpy()
        name_rows(axes, range(len(table)), [str(name) for name in table.index], column)
        axes.set(xlim=(0, 100), xlabel="percent of the time")
        _legend(axes, states, colors)
        return svg_text(figure, "Time budget")


def dominant(pieces: pd.DataFrame, edges: Float64Array, states: Sequence[str]) -> IntArray:
    """Return the state (n,) that fills most of each part of time, as an index; -1 where nothing is known.

    Args:
        pieces: of one stream, within the edges.
        edges: (n + 1,) ascending, seconds.
        states: what the indices mean.
    """
    cut = cut_at(pieces, np.concatenate([[-np.inf], edges[1:-1], [np.inf]]))
    code = {state: number for number, state in enumerate(states)}
    length = np.zeros((len(edges) - 1, len(states)))
    np.add.at(
        length, (cut["part"].to_numpy(), cut["state"].map(code).to_numpy()), (cut["end"] - cut["start"]).to_numpy()
    )
    return np.where(length.max(axis=1) > 0, length.argmax(axis=1), -1)


def _runs(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    """Return (begin, end) of each run of True."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _days(low: float, high: float, zone: str | None) -> tuple[Float64Array, list[str]]:
    if zone is not None and low >= EARLIEST and high <= LATEST:
        ends = pd.to_datetime([low, high], unit="s", utc=True).tz_convert(zone)
        dates = pd.date_range(ends[0].date(), ends[1].date() + pd.Timedelta(days=1), freq="D")
        marks = dates.tz_localize(zone, ambiguous=[True] * len(dates), nonexistent="shift_forward")
        begins, names = np.array([mark.timestamp() for mark in marks]), [str(date.date()) for date in dates[:-1]]
    else:
        first = int(low // DAY_S)
        begins = DAY_S * np.arange(first, int(-(-high // DAY_S)) + 1)
        names = [f"day {first + number + 1}" for number in range(len(begins) - 1)]
    return begins[-MOST_DAYS - 1 :], names[-MOST_DAYS:]


class _Scale:
    """Turns seconds of the source into positions on an axis."""

    def __init__(self, origin: float, unit_s: float) -> None:
        self._origin, self._unit_s = origin, unit_s

    def __call__(self, time: float) -> float:
        return (time - self._origin) / self._unit_s


def _axis(low: float, high: float, zone: str | None) -> tuple[_Scale, str, ZoneInfo | None]:
    if zone is not None and low >= EARLIEST and high <= LATEST:
        return _Scale(0.0, DAY_S), f"clock of {zone}", ZoneInfo(zone)
    unit_s, unit = next((pair for pair in ((3600.0, "h"), (60.0, "min")) if high - low > 3 * pair[0]), (1.0, "s"))
    return _Scale(low, unit_s), f"time since the first window ({unit})", None


def _label_axis(axes: Axes, unit: str, zone: ZoneInfo | None) -> None:
    axes.set_xlabel(unit)
    if zone is not None:
        make_locator: Any = AutoDateLocator  # matplotlib gives the two no types
        make_formatter: Any = ConciseDateFormatter
        locator = make_locator(tz=zone)
        axes.xaxis.set_major_locator(locator)
        formatter = make_formatter(locator, tz=zone)
        formatter.offset_formats = ["", "%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%d", "%Y-%m-%d %H:%M"]
        axes.xaxis.set_major_formatter(formatter)


def _legend(axes: Axes, states: Sequence[str], colors: Colors) -> None:
    for state in states:
        axes.barh(0, 0, label=state, **colors.look(state))
    if states:
        legend_above(axes, 5)


def _plain(text: str) -> str:
    """Return a stream's id as it may stand in the title of an SVG element."""
    return "".join(letter for letter in text if letter.isalnum() or letter in " _-.")[:64]
