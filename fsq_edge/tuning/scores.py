"""Event scores and Pareto fronts as rows of tables, for the terminal and for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fsq_edge.report.document import Cell, Table
from fsq_edge.tuning.search import SearchResult
from fsq_edge_runtime.decision import DecisionSettings

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.event_report import EventReport, EventScore


def _score_cells(score: EventScore) -> list[Cell]:
    low, high = score.false_per_hour_95
    return [
        f"{score.false_per_hour:.1f} ({low:.1f}-{high:.1f})",
        f"{score.missed} of {score.events}",
        score.repeats,
        seconds(score.delay_median_s),
        seconds(score.delay_p90_s),
        seconds(score.added_delay_median_s),
    ]


def score_table(report: EventReport, caption: str = "") -> Table:
    """Return the table of scores; those named ``fit`` are of the recordings fitted on."""
    rows = [("raw argmax", report.raw), ("tuned", report.tuned)]
    if report.int8_preview is not None:
        rows.append(("int8 preview", report.int8_preview))
    rows += [("fit: raw argmax", report.fit_raw), ("fit: tuned", report.fit_tuned)]
    columns = ("", "false/h (95 %)", "missed", "repeats", "delay s", "p90 s", "added s")
    return Table(columns, [[name, *_score_cells(score)] for name, score in rows], caption)


def settings_text(settings: DecisionSettings) -> str:
    """Return the settings that differ from raw argmax, in one line."""
    changed = settings.model_dump(exclude_defaults=True)
    return ", ".join(f"{name} {value}" for name, value in changed.items()) or "raw argmax"


def front_table(result: SearchResult, caption: str = "", limit: int = 12, *, chosen: int | None = None) -> Table:
    """Return rows of the front, at most ``limit`` of them, spread evenly over it, and the chosen setting."""
    count = len(result.front)
    shown = result.front[np.unique(np.linspace(0, count - 1, min(limit, count)).round().astype(np.int64))]
    if chosen is not None:
        shown = np.union1d(shown, [chosen])
        shown = shown[np.argsort(result.false_per_hour[shown], kind="stable")]
    rows: list[list[Cell]] = [
        [
            f"{result.false_per_hour[at]:.1f}",
            f"{result.missed[at]} of {result.events}",
            seconds(float(result.added_delay_s[at])),
            int(result.repeats[at]),
            settings_text(result.settings[at]),
            *([] if chosen is None else ["chosen" if at == chosen else ""]),
        ]
        for at in shown.tolist()
    ]
    columns = ("false/h", "missed", "added delay s", "repeats", "settings", *([] if chosen is None else [""]))
    return Table(columns, rows, caption)


def seconds(value: float | None) -> str | None:
    """Return a time as it is shown; None where there is none."""
    return None if value is None or not np.isfinite(value) else f"{value:.2f}"
