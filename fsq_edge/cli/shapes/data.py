"""What ``fsq-edge data`` writes with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from fsq_edge.cli.shapes import Nulls, Versioned, joined
from fsq_edge.data.importing.account import ImportRecord
from fsq_edge.data.labels.record import LabelRecord
from fsq_edge.data.quality.metrics import ChannelQuality, QualityMetrics
from fsq_edge.data.sensors import SensorFacts
from fsq_edge_runtime.findings import Severity


class Out(TypedDict):
    """Where it was written."""

    out: str


class Export(Versioned):
    """A recording in a file."""

    file: str
    recording: str
    subject: str
    samples: int


class Presets(Versioned):
    """``--preset list``: name -> what it is for."""

    presets: dict[str, str]


class Guess(Versioned):
    """``--guess``: the map that was written, and what to check in it; ``passed_over`` says why a file is not in it."""

    map: str
    files: int
    doubts: list[str]
    passed_over: dict[str, str]


class Channel(TypedDict):
    """A channel; the unit is empty where it is not known."""

    name: str
    unit: str


class LabelledClass(TypedDict):
    """A class and how much of it there is."""

    name: str
    seconds: float
    windows: int


class WindowCounts(TypedDict):
    """Windows that can be cut: of one label, of two labels, of none."""

    window_samples: int
    hop_samples: int
    pure: int
    mixed: int
    unlabelled: int


class Inspect(Versioned):
    """What a data set holds; ``timestamps`` counts the recordings that have them."""

    name: str
    source: str
    licence: str
    channels: list[Channel]
    sample_rate_hz: float
    measured_rate_hz: float | None
    sensors: dict[str, SensorFacts]
    mirror: list[int] | None
    subjects: list[str]
    recordings: int
    samples: int
    seconds: float
    unlabelled_seconds: float
    timestamps: int
    classes: list[LabelledClass]
    windows: WindowCounts


class Sources(Versioned):
    """Name of each data source -> what it is."""

    sources: dict[str, str]


class Make(Versioned):
    """The synthetic set that was written; windows by side of the split, or recordings."""

    kind: Literal["quadruped"]
    form: Literal["windows", "recordings"]
    out: str
    name: str
    recordings: NotRequired[int]
    windows: NotRequired[dict[str, int]]
    split: NotRequired[str]


class QualityRow(TypedDict):
    """One thing that is wrong with the data, or worth knowing."""

    rule: str
    severity: Severity
    where: str
    message: str
    limit: float | int | str | None
    value: float | int | str | None


@dataclass(frozen=True, slots=True)
class ScoredChannel(ChannelQuality):
    """A channel with its score, 0 to 100."""

    missing_share: float = field()  # not the property of the same name
    score: float = field()


@dataclass(frozen=True, slots=True, eq=False)
class Analysis(QualityMetrics):
    """One data set."""

    channels: tuple[ScoredChannel, ...]  # with two fields more
    findings: tuple[QualityRow, ...]


class Quality(Versioned):
    """The quality of the data, and whether it passes."""

    analyses: list[Analysis]
    passed: bool
    strict: bool


class Burst(TypedDict):
    """A shake or a tap, in seconds from the start."""

    at: float
    strength: float


class Anchor(TypedDict):
    """One moment on the clock of the labels and on that of the sensor, in seconds."""

    label: float
    sensor: float
    correlation: float


class SyncedRecording(TypedDict):
    """A recording with its bursts and the anchors that are proposed."""

    recording: str
    subject: str
    candidates: list[Burst]
    anchors: list[Anchor]


class Sync(Versioned):
    """What ties labels to recordings in time; nothing was changed."""

    applied: Literal[False]
    recordings: list[SyncedRecording]


OUTPUTS = {
    "data export": (Export,),
    "data import": (joined(ImportRecord, Out), Guess, Presets),
    "data inspect": (Inspect,),
    "data label": (joined(LabelRecord, Out),),
    "data list": (Sources,),
    "data make": (Make,),
    "data qa": (Nulls(Quality),),
    "data sync": (Sync,),
}
