"""From an ONNX file that was trained elsewhere, and plain windows, to a verified bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_calibration import CalibrationAudit, audit_set, build_calibration_set
from fsq_edge_calibration.description import describe_windows
from fsq_edge_compile.checker.checking import check
from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_compile.int8.quantize import quantize_scores
from fsq_edge_compile.own.device_graph import (
    ForeignNetwork,
    HeadKind,
    device_graph,
    kind_of_head,
    read_network,
    require_layout,
)
from fsq_edge_compile.own.network_input import NetworkInput
from fsq_edge_compile.own.scores import ScoreAgreement, compare_scores
from fsq_edge_compile.packing.bundle import SELFTEST_WINDOWS
from fsq_edge_compile.packing.model_name import plain_name
from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.backends.onnx import open_onnx
from fsq_edge_runtime.bundle.bundle import Bundle, Fingerprint, Role, make_bundle, selftest_bytes
from fsq_edge_runtime.bundle.edit import check_reason
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.score_tails import AnomalyTail, SoftmaxTail, Tail

EXACT: Final = 1e-4  # of a score, against the original in onnxruntime
ANOMALY_CLASSES: Final = ("normal", "anomaly")
FEWEST_WINDOWS: Final = 64  # the calibration audit asks for as many


@dataclass(frozen=True, slots=True)
class OwnBuild:
    """What :func:`build_bundle` made and found.

    Attributes:
        bundle: None where a gate is shut.
        check: of the device graph.
        audit: of the calibration set.
        exact: the original in onnxruntime against the device graph.
        int8: the device graph against its int8 preview.
        shut: the gates that refuse the network, one line each.
        forced: those that were overridden, with the reason.
    """

    bundle: Bundle | None
    check: CheckReport
    audit: CalibrationAudit
    exact: ScoreAgreement
    int8: ScoreAgreement
    shut: tuple[str, ...]
    forced: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, ``schema_version`` first."""
        return {
            "schema_version": 1,
            "status": "built" if self.bundle is not None else "not built",
            "check": self.check.to_dict(),
            "calibration": [f"{finding.rule}: {finding.message}" for finding in self.audit.findings],
            "parity": {"onnx": self.exact.to_dict(), "int8-preview": self.int8.to_dict()},
            "shut": list(self.shut),
            "forced": list(self.forced),
        }


def build_bundle(
    model: str | Path,
    preprocess: NetworkInput,
    windows: Float32Array,
    *,
    classes: Sequence[str] = (),
    labels: Int64Array | None = None,
    arch: str = "hailo8l",
    head: HeadKind | None = None,
    false_alarm_rate: float = 0.01,
    min_label_agreement: float = 0.95,
    name: str | None = None,
    force: str = "",
) -> OwnBuild:
    """Check, rewrite, calibrate, quantise, compare and pack a network that was trained elsewhere.

    Args:
        model: ONNX file with one float32 input, one window, and one output: logits or probabilities of K classes, one
            anomaly score, or a reconstruction of the input.
        preprocess: what the network takes.
        windows: (N, C, T) float32 raw units, at least 64, as in training; for an anomaly head, normal ones.
        classes: names in the order of the output; an anomaly head has ``normal`` and ``anomaly``.
        labels: (N,) class of each window, for the balance of the calibration set; with an anomaly head 0 marks the
            normal windows, which alone fit the threshold.
        arch: target architecture.
        head: what the output is; None reads it off the output's size.
        false_alarm_rate: share of normal windows that an anomaly head may call anomalies, above 0 and below 1.
        min_label_agreement: share of windows whose label the int8 preview must keep, 0 to 1.
        name: of the model; None takes the file's.
        force: why to go on although a gate is shut; recorded.

    Raises:
        MissingInputError, DataError: the file, the windows, the layout or the classes do not fit.
        UsageError: an unknown target, a rate out of range or a reason that is not one printable line.
    """
    check_reason(force)
    if not 0 < false_alarm_rate < 1:
        raise UsageError(f"the false-alarm rate is {false_alarm_rate:g}, expected a share above 0 and below 1")
    path = Path(model)
    network = read_network(path)
    x = _windows(windows, preprocess)
    known = _labels(labels, len(x))
    config = preprocess.config(x)
    require_layout(network, preprocess, config.graph_channels)
    kind = head or kind_of_head(network)
    graph = device_graph(network, preprocess.layout, config.graph_channels, kind)
    frames, usable = Preprocessor(config).usable_frames(x)
    if not len(frames):
        raise DataError("no window is usable: every one has missing values beyond max_gap_ms")
    x, known = x[usable], known[usable]
    names = _class_names(classes, network, kind)
    if kind == "softmax" and known.max(initial=-1) >= len(names):
        raise DataError(f"labels reach {known.max()}, the classes have indices 0 to {len(names) - 1}")
    t = OnnxBackend(graph).infer_batch(frames)
    tail = _tail(kind, t, known, len(names), false_alarm_rate)
    original = _original(network, preprocess, frames, kind)
    exact = compare_scores(tail, original, t)
    report = check(_loaded(graph), arch)
    subjects = np.full(len(x), "", dtype=np.str_)
    shown = names if kind == "softmax" else ()  # the labels of an anomaly head's windows may be of any activity
    calibration = build_calibration_set(x, known, subjects, config, size=min(1024, len(x)), classes=shown)
    audit = audit_set(calibration, describe_windows(x, config, known, subjects, classes=shown), config)
    int8 = quantize_scores(graph, np.ascontiguousarray(calibration.frames_nchw))
    rounded = compare_scores(tail, t, OnnxBackend(int8, name="onnx-int8").infer_batch(frames))
    shut = _shut(report, audit, exact, rounded, original, t, min_label_agreement, network.softmax)
    forced = tuple(f"{gate}: {force}" for gate in shut) if force else ()
    if shut and not force:
        return OwnBuild(None, report, audit, exact, rounded, shut, ())
    rows = np.linspace(0, len(x) - 1, min(SELFTEST_WINDOWS, len(x))).astype(np.int64)
    answers = tail.index(t)
    counts = tuple(int(count) for count in np.bincount(answers, minlength=tail.n_answers))
    parts: dict[tuple[Role, str | None], tuple[str, bytes]] = {
        ("preprocess", None): ("preprocess.json", config.to_json().encode()),
        ("encoder", None): ("encoder.onnx", graph),
        ("head", None): ("head.json", tail.to_bytes()),
        ("decision", None): ("decision.json", DecisionSettings().to_json().encode()),
        ("fingerprint", None): (
            "fingerprint.json",
            Fingerprint(counts=counts, windows=len(answers)).to_json().encode(),
        ),
        ("selftest", None): ("selftest.npz", selftest_bytes(x[rows], t[rows], answers[rows], answers[rows])),
        ("encoder-int8", None): ("encoder_int8.onnx", int8),
        ("calibration", None): ("calibration.json", audit.to_json().encode()),
    }
    bundle = make_bundle(
        plain_name(name or path.stem),
        names,
        parts,
        provenance={
            "source": "an ONNX file that was trained elsewhere",
            "onnx_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "layout": list(preprocess.layout),
            "head": kind,
            "windows": len(x),
        },
        check={arch: report.verdict},
        parity={"onnx": exact.to_dict(), "int8-preview": rounded.to_dict()},
        forced=forced,
    )
    return OwnBuild(bundle, report, audit, exact, rounded, shut, forced)


def _shut(
    report: CheckReport,
    audit: CalibrationAudit,
    exact: ScoreAgreement,
    rounded: ScoreAgreement,
    original: Float32Array,
    t: Float32Array,
    least: float,
    probabilities: bool,
) -> tuple[str, ...]:
    lines = []
    if report.verdict != "full":
        lines.append(f"check {report.arch} says {report.verdict}")
    lines += [f"the calibration audit refuses the windows: {item.rule}: {item.message}" for item in audit.errors]
    if probabilities:
        worst = exact.max_probability_difference
    else:
        worst = float(np.abs(original - t).max()) / max(1.0, float(np.abs(original).max()))
    if not worst <= EXACT or exact.label_agreement.value < 1.0:
        lines.append(f"the device graph differs from the original: scores by {worst:.2g}, labels on some windows")
    if rounded.label_agreement.value < least:
        lines.append(f"the int8 preview keeps {rounded.label_agreement.value:.1%} of the labels, least {least:.0%}")
    return tuple(lines)


def _windows(windows: Float32Array, given: NetworkInput) -> Float32Array:
    x = np.asarray(windows)
    wanted = (len(given.channels), given.window_samples)
    if x.ndim != 3 or x.shape[1:] != wanted or x.dtype.kind not in "fiu":
        turned = x.ndim == 3 and x.shape[1:] == wanted[::-1]
        raise DataError(
            f"the windows have shape {x.shape} of {x.dtype}, expected (N, {wanted[0]}, {wanted[1]}) numbers: channels, "
            "then samples, in raw units",
            hint="turn the last two axes: numpy.save(FILE, windows.transpose(0, 2, 1))" if turned else "",
        )
    if len(x) < FEWEST_WINDOWS:
        raise DataError(f"{len(x)} windows are too few to calibrate with, give at least {FEWEST_WINDOWS}")
    return np.ascontiguousarray(x, dtype=np.float32)


def _labels(labels: Int64Array | None, count: int) -> Int64Array:
    if labels is None:
        return np.full(count, -1, dtype=np.int64)
    known = np.asarray(labels)
    if known.shape != (count,) or known.dtype.kind not in "iu":
        raise DataError(f"labels are {known.dtype} of shape {known.shape}, expected {count} integers")
    return known.astype(np.int64)


def _class_names(classes: Sequence[str], network: ForeignNetwork, kind: HeadKind) -> tuple[str, ...]:
    if kind == "anomaly":
        if classes and tuple(classes) != ANOMALY_CLASSES:
            raise DataError("an anomaly head has the classes normal and anomaly", hint="leave --classes out")
        return ANOMALY_CLASSES
    outputs = int(np.prod(network.sink_shape))
    if len(classes) != outputs:
        raise DataError(
            f"{len(classes)} class names for a network with {outputs} outputs {network.sink_shape}",
            hint="name every class in the order of the outputs: --classes A,B,C",
        )
    return tuple(classes)


def _tail(kind: HeadKind, t: Float32Array, labels: Int64Array, classes: int, rate: float) -> Tail:
    if not np.isfinite(t).all():
        raise DataError("the network gives values that are not numbers on these windows")
    if kind == "softmax":
        sums = t.sum(axis=1)
        if t.min() >= 0 and np.abs(sums - 1).max() < 1e-3:
            raise DataError(
                "the output is probabilities already, and a softmax would be applied twice",
                hint="export the network up to its logits, or with its softmax as the last node",
            )
        return SoftmaxTail(classes)
    normal = t[labels == 0, 0] if (labels == 0).any() else t[:, 0]
    threshold = float(np.quantile(normal.astype(np.float64), 1.0 - rate, method="higher"))
    return AnomalyTail(threshold, max(float(normal.std()), 1e-6))


def _original(network: ForeignNetwork, given: NetworkInput, frames: Float32Array, kind: HeadKind) -> Float32Array:
    """Return what the file as it came gives in onnxruntime, as ``t``: for a softmax, the logarithm of its output."""
    session = open_onnx(network.model.SerializeToString())
    turned = list(given.layout).index("T") < list(given.layout).index("C")
    flat = frames[:, :, 0]
    inputs = flat.transpose(0, 2, 1) if turned else flat
    found = []
    for row in inputs:
        window = np.ascontiguousarray(row).reshape(network.source_shape)
        answer = session.run([network.sink], {network.source: window})[0]
        if kind == "anomaly" and answer.size == window.size:
            answer = np.mean((window - answer) ** 2, dtype=np.float64)
        if network.softmax and answer.min() >= 0:
            answer = np.log(np.maximum(answer, np.float32(1e-30)))
        found.append(np.asarray(answer, dtype=np.float32).ravel())
    return np.stack(found)


def _loaded(graph: bytes) -> Any:
    import onnx

    return onnx.load_from_string(graph)
