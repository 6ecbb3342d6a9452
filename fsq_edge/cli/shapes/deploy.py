"""What the verbs between a trained network and its bundle write with ``--json``."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from fsq_edge.cli.shapes import Nulls, Versioned, joined
from fsq_edge.cli.shapes.bundle import HefRow, Refused
from fsq_edge.cli.shapes.check import Check
from fsq_edge_benchmarks.bench.layers import NetworkCost
from fsq_edge_benchmarks.measure.machine import Machine
from fsq_edge_calibration.audit import CalibrationAudit
from fsq_edge_calibration.comparison import ChannelComparison
from fsq_edge_compile.build_folder import ExportRecord
from fsq_edge_compile.checker.report import Verdict
from fsq_edge_compile.dfc.plan import Plan
from fsq_edge_compile.dfc.refusal import Refusal
from fsq_edge_compile.foreign.network_input import NetworkInput
from fsq_edge_compile.foreign.scores import ScoreAgreement
from fsq_edge_compile.int8.agreement import PreviewReport
from fsq_edge_compile.int8.layer_errors import LayerError
from fsq_edge_compile.int8.suggestions import Alternative
from fsq_edge_compile.int8.temperature import FittedTemperature
from fsq_edge_compile.parity.ladder import LadderReport
from fsq_edge_runtime.bundle.event_report import EventReport
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.personal.overlay import OverlayRecord
from fsq_edge_runtime.scores import Interval


class Built(TypedDict):
    """The folder that was written."""

    build: str


class OwnExport(TypedDict):
    """What was found of a network that was trained elsewhere; ``build`` is null where nothing was written."""

    build: str | None
    check: Check
    parity: ScoreAgreement
    notes: list[str]
    shut: list[str]


class CalibrationFile(TypedDict):
    """The file of the set, null where none was written, and the comparison of ``--against``."""

    set: str | None
    found: dict[str, Any] | None
    training: dict[str, Any] | None
    against: list[ChannelComparison] | None


class Planned(TypedDict):
    """The folder of the plan."""

    plan: str


class NotPlanned(Versioned):
    """A network that the chip does not take."""

    plan: None
    check: Check


class Compiled(Versioned):
    """How a compilation ended, and its seconds by stage; ``hef`` is null where the compiler refused."""

    status: str
    stage: str
    arch: str
    dfc_version: str
    check: Verdict
    forced: list[str]
    seconds: dict[str, float]
    refusals: list[Refusal]
    end_nodes: str
    emulator: str | None
    hef: str | None
    hef_sha256: str
    findings: list[HefRow]


class Ladder(Versioned):
    """Which forms were compared, and whether all hold the gates."""

    passed: bool
    bundle: str


class Attempt(TypedDict):
    """One way to fit, with its log loss on held-out blocks, nats."""

    method: str
    strength: float
    log_loss: float


class BeforeAfter(TypedDict):
    """A score of the bundle's head and of the wearer's."""

    before: float
    after: float
    better: Interval


class Gain(TypedDict):
    """What the wearer's head gains on what was held out."""

    held_out: Literal["blocks", "recordings"]
    windows: int
    macro_f1: BeforeAfter
    log_loss: BeforeAfter


class Personalized(Versioned):
    """The overlay, or why there is none."""

    written: str | None
    reasons: list[str]
    windows: dict[str, int]
    unusable: int
    method: str | None
    strength: float | None
    tried: list[Attempt]
    gains: list[Gain]
    classes: list[str]
    confusion_before: list[list[int]]
    confusion_after: list[list[int]]
    overlay: OverlayRecord | None


class Gated(TypedDict):
    """The folder, and whether the gates hold."""

    build: str
    passed: bool
    broken: list[str]


class Refit(TypedDict):
    """Host parameters that were fitted again for int8; thresholds are [float, int8]."""

    temperature_float: FittedTemperature
    temperature_int8: FittedTemperature
    temperature_used: float
    thresholds: dict[str, list[float]]


class Int8(Versioned):
    """The int8 preview of an FSQ network: simulated in onnxruntime, not measured on a device."""

    kind: str
    method: str
    sixteen_bit_output: bool
    calibration_windows: int
    report: PreviewReport
    layers: list[LayerError]
    worst_layers: list[str]
    alternatives: list[Alternative]
    suggestions: list[str]
    refit: Refit | None


class Int8Scores(Versioned):
    """The int8 preview of a network that was trained elsewhere."""

    kind: str
    method: str
    calibration_windows: int
    agreement: ScoreAgreement
    layers: list[LayerError]


class Int8Plain(Versioned):
    """The int8 preview of an ONNX file alone."""

    method: str
    windows: int
    snr_db: float
    correlation: float | None
    label_agreement: Interval | None
    layers: list[LayerError]
    model: str


class Int8Bare(Versioned):
    """The int8 preview of a device graph alone, which knows no labels."""

    model: str
    layers: list[LayerError]
    method: str
    sixteen_bit_output: bool


class Candidate(TypedDict):
    """Settings of the Pareto front, on the recordings fitted on."""

    false_per_hour: float
    missed: int
    added_delay_s: float
    repeats: int
    settings: DecisionSettings


class Tune(Versioned):
    """The settings that were chosen, null where none beat raw argmax, and the limits that do not hold."""

    written: str | None
    decision: DecisionSettings | None
    decision_int8: DecisionSettings | None
    events: EventReport | None
    broken: list[str]
    unsigned: bool
    windows: int
    abstained: int
    front: list[Candidate]


class MeasuredOn(Versioned):
    """The machine that measured."""

    machine: Machine


OUTPUTS = {
    "bench layers": (joined(NetworkCost, MeasuredOn),),
    "calibrate": (joined(CalibrationAudit, CalibrationFile),),
    "compile": (joined(Plan, Planned), Compiled, NotPlanned, Refused),
    "export": (joined(ExportRecord, Built), joined(ExportRecord, Versioned, OwnExport), joined(Versioned, OwnExport)),
    "parity": (joined(LadderReport, Ladder),),
    "personalize": (Personalized,),
    "preprocess fit": (NetworkInput,),
    "quantize": (Nulls(joined(Int8, Gated)), Nulls(joined(Int8Scores, Gated)), Nulls(Int8Plain), Nulls(Int8Bare)),
    "tune": (Tune,),
}
