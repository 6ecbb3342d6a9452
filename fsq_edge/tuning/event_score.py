"""The event score: tallies of streams summed up to what reports show and ``events.json`` keeps in the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fsq_edge.tuning.events import Tally, Truth
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.bundle.event_report import ClassEvents, EventScore
from fsq_edge_runtime.scores import poisson, wilson

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
