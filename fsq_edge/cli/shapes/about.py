"""What the verbs that run, look and surround write with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from fsq_edge.cli.shapes import Versioned, joined
from fsq_edge_benchmarks.bench.placement import Placement
from fsq_edge_benchmarks.bench.result import BenchResult, Comparison
from fsq_edge_runtime.doctor.facts import Facts
from fsq_edge_runtime.findings import Confidence, Severity, Stage
from fsq_edge_runtime.stream.counters import StreamCounters


class Alert(TypedDict):
    """An alert or its end, as in the log of ``run``; times are seconds of the source."""

    type: Literal["alert"]
    stream: NotRequired[str]
    rule: str
    kind: str
    state: Literal["firing", "clear"]
    t_start: float
    t_end: float
    value: float | None
    message: str


class Alerts(Versioned):
    """Alerts by rule, and each of them."""

    counts: dict[str, int]
    alerts: list[Alert]


class Budget(Versioned):
    """One list of rows a table; the columns are those of the printed tables and of ``--csv``."""

    budget: list[dict[str, Any]]
    bouts: list[dict[str, Any]]
    transitions: list[dict[str, Any]]
    days: NotRequired[list[dict[str, Any]]]
    hours: NotRequired[list[dict[str, Any]]]
    subjects: NotRequired[list[dict[str, Any]]]
    truth: NotRequired[list[dict[str, Any]]]
    corrected: NotRequired[list[dict[str, Any]]]


class Pages(Versioned):
    """Name of each page -> its title."""

    pages: dict[str, str]


class Page(Versioned):
    """One page."""

    page: str
    path: str


class FoundLines(Versioned):
    """Lines that hold the words: [page, number of the line, line]."""

    lines: list[list[Any]]


class DoctorRow(TypedDict):
    """What is wrong; ``because`` is the rule of its root cause, or empty."""

    rule: str
    severity: Severity
    message: str
    fix: str
    source: str
    because: str


@dataclass(frozen=True, slots=True)
class PlacementFact(Placement):
    """Where the network runs best, as measured here."""

    schema_version: int


class Doctor(Versioned):
    """The machine and what is wrong with it."""

    healthy: bool
    facts: Facts
    findings: list[DoctorRow]
    placement: NotRequired[PlacementFact]


class LogRow(TypedDict):
    """A cause that a log shows; ``consequences`` are numbers of the lines that follow from it."""

    line: int
    text: str
    id: str
    node: str
    layer: str
    op: str
    rule: str
    stage: Stage
    cause: str
    fix: str
    source: str
    confidence: Confidence
    consequences: list[int]


class UnexplainedLine(TypedDict):
    """An error line that no row of the table explains."""

    line: int
    text: str


class Explain(Versioned):
    """What a log says."""

    findings: list[LogRow]
    end_nodes: list[str]
    unexplained: list[UnexplainedLine]


class Init(Versioned):
    """The project folder."""

    folder: str
    files: list[str]


class Metric(TypedDict):
    """A metric of ``run --metrics``."""

    name: str
    type: str
    labels: list[str]
    text: str


class Metrics(Versioned):
    """Every metric."""

    metrics: list[Metric]


class Files(Versioned):
    """The files that were written."""

    files: list[str]


class RunFacts(Versioned):
    """What a run did; sources and sinks count in the order in which they were given.

    ``device`` is there where a device ran, ``workers`` where several processes did.
    """

    streams: int
    forgotten: int
    sources: list[dict[str, int]]
    sinks: list[dict[str, int | str]]
    device: NotRequired[dict[str, float | int | str | None]]
    workers: NotRequired[int]


class Score(Versioned):
    """What was scored now and kept from before; ``failed`` says why a recording has no decisions."""

    recordings: int
    scored: int
    kept: int
    failed: dict[str, str]
    hours: float
    windows: int
    passed_over: int
    out: str


class Collate(Versioned):
    """The whole archive; ``labels`` counts windows."""

    out: str
    rows: int
    model: str
    bundle_sha256: str
    recordings: int
    scored: int
    failed: dict[str, str]
    hours: float
    decided: int
    abstained: int
    missed: int
    labels: dict[str, int]


class Service(Versioned):
    """The unit of systemd; ``verified`` is null where systemd-analyze is not installed."""

    unit: str
    written: bool
    verified: bool | None
    said: list[str]
    text: str


class Wheel(TypedDict):
    """A wheel of the folder."""

    name: str
    bytes: int
    unpacked_bytes: int
    sha256: str


class Wheelhouse(Versioned):
    """A folder from which a device installs."""

    folder: str
    platform: str
    python: str
    unpacked_bytes: int
    wheels: list[Wheel]


class Picture(Versioned):
    """A report as a picture."""

    page: str
    picture: str
    bytes: int


OUTPUTS = {
    "alerts": (Alerts,),
    "bench": (BenchResult,),
    "bench compare": (Comparison,),
    "budget": (Budget,),
    "docs": (Pages, Page, FoundLines),
    "doctor": (Doctor,),
    "explain": (Explain,),
    "init": (Init,),
    "metrics list": (Metrics,),
    "metrics export": (Files,),
    "picture": (Picture,),
    "run": (joined(StreamCounters, RunFacts),),
    "score": (Score,),
    "score collate": (Collate,),
    "service install": (Service,),
    "wheelhouse": (Wheelhouse,),
}
