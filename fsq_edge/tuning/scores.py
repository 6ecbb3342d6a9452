"""The event score summed up over streams, and as rows of tables with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fsq_edge.report.document import Cell, Table
from fsq_edge.tuning.events import Tally, Truth
from fsq_edge.tuning.search import SearchResult
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.bundle.event_report import ClassEvents, EventReport, EventScore
from fsq_edge_runtime.counted_scores import poisson, wilson
from fsq_edge_runtime.decision import DecisionSettings

P90_EVENTS: Final = 64  # fewer cannot place a 90th percentile at 99 % confidence
_DIGITS: Final = 6


def event_score(
    truths: Sequence[Truth],
    tallies: Sequence[Tally],
    classes: Sequence[str],
    *,
    row: int = 0,
    raw: Sequence[Tally] | None = None,
) -> EventScore:
    """Sum up one setting over streams.

    Args:
        truths: of each stream; at least one.
        tallies: of each stream.
        classes: names of the K classes.
        row: which of the tallies' S label streams.
        raw: tallies of raw argmax, row 0, to compare delays with.
    """
    labels = np.array([event.label for truth in truths for event in truth.events], dtype=np.int64)
    found = np.concatenate([tally.found[row] for tally in tallies])
    delay = np.concatenate([tally.delay_s[row] for tally in tallies])
    false = np.sum([tally.false[row] for tally in tallies], axis=0)
    hours = sum(truth.labelled_s for truth in truths) / 3600.0
    count, missed = int(false.sum()), int((~found).sum())
    added = None
    if raw is not None:
        added = delay - np.concatenate([tally.delay_s[0] for tally in raw])
    rate, missing = poisson(count), wilson(missed, len(labels))
    return EventScore(
        hours=round(hours, _DIGITS),
        events=len(labels),
        missed=missed,
        false_events=count,
        repeats=int(sum(tally.repeats[row] for tally in tallies)),
        false_per_hour=round(count / hours, _DIGITS) if hours else 0.0,
        false_per_hour_95=(round(rate.low / hours, _DIGITS), round(rate.high / hours, _DIGITS))
        if hours
        else (0.0, 0.0),
        miss_rate=round(missed / len(labels), _DIGITS) if len(labels) else 0.0,
        miss_rate_95=(round(missing.low, _DIGITS), round(missing.high, _DIGITS)),
        delay_median_s=_quantile(delay, 0.5),
        delay_p90_s=_quantile(delay, 0.9, P90_EVENTS),
        added_delay_median_s=None if added is None else _quantile(added, 0.5),
        classes={
            name: ClassEvents(
                events=int((labels == index).sum()),
                missed=int((~found[labels == index]).sum()),
                false_events=int(false[index]),
                delay_median_s=_quantile(delay[labels == index], 0.5),
            )
            for index, name in enumerate(classes)
        },
    )


def _quantile(values: Float64Array, share: float, least: int = 1) -> float | None:
    known = values[~np.isnan(values)]
    return round(float(np.quantile(known, share)), _DIGITS) if len(known) >= least else None


def _score_cells(score: EventScore) -> list[Cell]:
    low, high = score.false_per_hour_95
    return [
        f"{score.false_per_hour:.1f} ({low:.1f} to {high:.1f})",
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
    columns = ("decisions", "false/h (95 %)", "missed", "repeats", "delay s", "p90 s", "added s")
    return Table(columns, [[name, *_score_cells(score)] for name, score in rows], caption)


def settings_text(settings: DecisionSettings) -> str:
    """Return the settings that differ from raw argmax, in one line."""
    changed = settings.model_dump(exclude_defaults=True)
    return (
        ", ".join(f"{name} {f'{value:g}' if isinstance(value, float) else value}" for name, value in changed.items())
        or "raw argmax"
    )


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
