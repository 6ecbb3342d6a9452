"""``labels.json``: which label files were laid over a data set, how, and where every second went."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fsq_edge_runtime.artefact import Artefact, StrictModel

LABEL_RECORD = "labelling.json"


class LabelSource(StrictModel):
    """A label file that was read."""

    file: str
    sha256: str
    format: str
    intervals: int


class ClockEntry(StrictModel):
    """A clock setting that was used; ``key`` is empty for all others."""

    key: str
    at_label: float
    at_sensor: float
    stretch: float
    drift_s_per_hour: float


class SecondsEntry(StrictModel):
    """Where the seconds of intervals went; the four parts add up to ``intervals``."""

    intervals: float
    labelled: float
    trimmed: float
    overlapping: float
    outside: float


class RecordingLabels(StrictModel):
    """Labels of one recording; labelled and unlabelled samples add up to all of them."""

    recording: str
    subject: str
    samples: int
    labelled_samples: int
    unlabelled_samples: int
    seconds_per_class: dict[str, float]
    seconds: SecondsEntry


class LabelRecord(Artefact):
    """Content of ``labelling.json``, schema version 1.

    Attributes:
        sources: label files in the order given.
        clocks: offsets and anchors.
        renames: label as written -> class; an empty class leaves the interval out.
        points: what became of points: a width in seconds, or 0 where they were left out.
        left_out: reason -> intervals.
        trim_s: taken off both ends of each interval.
        overlaps: how overlaps were decided.
        recordings: in the order of the data set.
        mixed_window_share: share of windows (``window_samples``, hop half of that) that hold two labels.
        window_samples: of that share.
    """

    KIND: ClassVar[str] = LABEL_RECORD

    sources: tuple[LabelSource, ...]
    clocks: tuple[ClockEntry, ...] = ()
    renames: dict[str, str] = Field(default_factory=dict)
    points: float = 0.0
    left_out: dict[str, int] = Field(default_factory=dict)
    trim_s: float = 0.0
    overlaps: str = "refuse"
    recordings: tuple[RecordingLabels, ...]
    mixed_window_share: float
    window_samples: int
