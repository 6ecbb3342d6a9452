"""The event score: tallies of streams summed up, as reports show it and as ``events.json`` keeps it in the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
from pydantic import Field

from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.artefact import Artefact, StrictModel
from fsq_edge_runtime.events import Tally, Truth
from fsq_edge_runtime.scores import poisson, wilson

P90_EVENTS: Final = 64  # fewer cannot place a 90th percentile at 99 % confidence
_DIGITS: Final = 6


class ClassEvents(StrictModel):
    """Events of one class.

    Attributes:
        events: in the truth.
        missed: of these.
        false_events: of the stream.
        delay_median_s: of those found; None where none was.
    """

    events: int = Field(ge=0)
    missed: int = Field(ge=0)
    false_events: int = Field(ge=0)
    delay_median_s: float | None


class EventScore(StrictModel):
    """How well a stream of decisions tells events; the rule is that of :mod:`fsq_edge_runtime.events`.

    Attributes:
        hours: labelled time.
        events: in the truth.
        missed: of these.
        false_events: of the stream.
        repeats: events of the stream beyond the first for one event of the truth.
        false_per_hour: ``false_events / hours``.
        false_per_hour_95: its 95 % interval, if false events came independently of each other.
        miss_rate: ``missed / events``, 0 to 1.
        miss_rate_95: its 95 % interval, likewise.
        delay_median_s: from onset to the first decision of the class, of the events found; None where none was.
        delay_p90_s: likewise; None below 64 events found.
        added_delay_median_s: median, over the events that both found, of the delay less that of raw argmax; None for
            raw argmax itself.
        classes: the same by class.
    """

    hours: float = Field(ge=0)
    events: int = Field(ge=0)
    missed: int = Field(ge=0)
    false_events: int = Field(ge=0)
    repeats: int = Field(ge=0)
    false_per_hour: float = Field(ge=0)
    false_per_hour_95: tuple[float, float]
    miss_rate: float = Field(ge=0, le=1)
    miss_rate_95: tuple[float, float]
    delay_median_s: float | None
    delay_p90_s: float | None
    added_delay_median_s: float | None
    classes: dict[str, ClassEvents]


class EventReport(Artefact):
    """``events.json``: what the decision settings were fitted to, and the event score on recordings they never saw.

    Attributes:
        dataset: name of the recordings.
        recordings: how they were made into streams; says ``stitched`` where they were joined.
        hop_samples: step between windows that the settings were fitted and scored at.
        hop_ms: the same in milliseconds.
        fitted_on: subjects, recordings or time that the settings were chosen by.
        reported_on: those of ``raw`` and ``tuned``.
        held_out: whether the network was never trained on ``reported_on``; None where the bundle cannot tell.
        rule: how the settings were chosen, in words.
        settings_searched: how many.
        seed: of stitching and of shares.
        fit_raw: score of raw argmax on ``fitted_on``.
        fit_tuned: score of the chosen settings there; flattering, since they were chosen by it.
        raw: score of raw argmax on ``reported_on``.
        tuned: score of the chosen settings there.
        int8_preview: score there of the int8 preview with its own thresholds; None without a preview.
    """

    KIND: ClassVar[str] = "events.json"

    dataset: str
    recordings: str
    hop_samples: int = Field(ge=1)
    hop_ms: float = Field(gt=0)
    fitted_on: str
    reported_on: str
    held_out: bool | None
    rule: str
    settings_searched: int = Field(ge=1)
    seed: int
    fit_raw: EventScore
    fit_tuned: EventScore
    raw: EventScore
    tuned: EventScore
    int8_preview: EventScore | None


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
