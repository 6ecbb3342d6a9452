"""``events.json``: what the decision settings of a bundle were fitted to, and how well they report events."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fsq_edge_runtime.artefact import Artefact, StrictModel


class ClassEvents(StrictModel):
    """Events of one class.

    Attributes:
        events: how many the truth has.
        missed: how many events of the truth no decision found.
        false_events: how many events of the stream no event of the truth explains.
        delay_median_s: median delay of the events found, seconds; None where none was found.
    """

    events: int = Field(ge=0)
    missed: int = Field(ge=0)
    false_events: int = Field(ge=0)
    delay_median_s: float | None


class EventScore(StrictModel):
    """How well a stream of decisions reports events, by the rule of ``docs/decisions.md``, section "The event score".

    Attributes:
        hours: labelled time.
        events: how many the truth has.
        missed: how many events of the truth no decision found.
        false_events: how many events of the stream no event of the truth explains.
        repeats: events of the stream beyond the first for one event of the truth.
        false_per_hour: ``false_events / hours``.
        false_per_hour_95: its 95 % interval, if false events came independently of each other.
        miss_rate: ``missed / events``, 0 to 1.
        miss_rate_95: its 95 % interval, on the assumption that events are missed independently.
        delay_median_s: median time from the onset to the first decision of the class, over the events found; None where
            none was found.
        delay_p90_s: 90th percentile of that time; None below 64 events found.
        added_delay_median_s: median, over the events that both found, of the delay less that of raw argmax; None for
            raw argmax itself.
        classes: counts and delay of each class, by its name.
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
        hop_ms: that step in milliseconds.
        fitted_on: subjects, recordings or time that the settings were chosen by.
        reported_on: subjects, recordings or time that ``raw`` and ``tuned`` were scored on.
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
