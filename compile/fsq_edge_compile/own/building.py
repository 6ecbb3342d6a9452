"""From an ONNX file that was trained elsewhere, and plain windows, to a verified bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fsq_edge_calibration import CalibrationAudit, audit_set, build_calibration_set
from fsq_edge_calibration.description import describe_windows
from fsq_edge_calibration.scale import with_scale
from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_compile.foreign.heads import HeadKind, decision_for, one_label, tail_after_rounding
from fsq_edge_compile.foreign.network_input import NetworkInput
from fsq_edge_compile.foreign.scores import ScoreAgreement, compare_scores
from fsq_edge_compile.int8.quantize import quantize_scores
from fsq_edge_compile.own.network import OwnNetwork, prepare_network
from fsq_edge_compile.packing.bundle import SELFTEST_WINDOWS
from fsq_edge_compile.packing.model_name import plain_name
from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import check_reason, make_bundle
from fsq_edge_runtime.bundle.fingerprint import Fingerprint
from fsq_edge_runtime.bundle.manifest import Role
from fsq_edge_runtime.bundle.reference import selftest_bytes
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.score_tails import Tail

MAX_CALIBRATION = 1024
MAX_SHOWN = 160  # characters of what onnxruntime says


@dataclass(frozen=True, slots=True)
class OwnBuild:
    """What :func:`build_bundle` made and found.

    Attributes:
        bundle: None where a gate is shut.
        check: of the whole network.
        host_operators: operators that the host graph runs; empty where the device runs all.
        audit: of the calibration set.
        exact: the original in onnxruntime against device graph and host graph.
        int8: those against the int8 preview of the device graph; None where there is none.
        notes: what is to be looked at and shuts no gate.
        shut: the gates that refuse the network, one line each.
        forced: those that were overridden, with the reason.
    """

    bundle: Bundle | None
    check: CheckReport
    host_operators: tuple[str, ...]
    audit: CalibrationAudit
    exact: ScoreAgreement
    int8: ScoreAgreement | None
    notes: tuple[str, ...]
    shut: tuple[str, ...]
    forced: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, ``schema_version`` first."""
        return {
            "schema_version": 1,
            "status": "built" if self.bundle is not None else "not built",
            "check": self.check.to_dict(),
            "host_operators": list(self.host_operators),
            "calibration": [f"{finding.rule}: {finding.message}" for finding in self.audit.findings],
            "parity": {"onnx": self.exact.to_dict(), "int8-preview": self.int8.to_dict() if self.int8 else None},
            "notes": list(self.notes),
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
    thresholds: Sequence[float] = (),
    min_label_agreement: float = 0.95,
    name: str | None = None,
    force: str = "",
) -> OwnBuild:
    """Check, rewrite, cut, calibrate, quantise, compare and pack a network that was trained elsewhere.

    Args:
        model: ONNX file with one float32 input, one window, and one output: logits or probabilities of K classes or K
            labels, one anomaly score, or a reconstruction of the input.
        preprocess: what the network takes.
        windows: (N, C, T) float32 raw units, at least 64, as in training; for an anomaly head, normal ones.
        classes: names in the order of the output; an anomaly head has ``normal`` and ``anomaly``.
        labels: (N,) class of each window, for the balance of the calibration set; with an anomaly head 0 marks the
            normal windows, which alone fit the threshold. For a sigmoid head (N, K) of 0 and 1 fits the thresholds.
        arch: target architecture.
        head: what the output is; None reads it off the network's end and the output's size.
        false_alarm_rate: share of normal windows that an anomaly head may call anomalies, above 0 and below 1.
        thresholds: of a sigmoid head, one probability a label; none fits them, or takes 0.5 each.
        min_label_agreement: share of windows whose label the int8 preview must keep, 0 to 1.
        name: of the model; None takes the file's.
        force: why to go on although a gate is shut; recorded.

    Raises:
        MissingInputError, DataError: the file, the windows, the layout or the classes do not fit.
        UsageError: an unknown target, a rate out of range or a reason that is not one printable line.
    """
    check_reason(force)
    network = prepare_network(
        model,
        preprocess,
        windows,
        classes=classes,
        labels=labels,
        arch=arch,
        head=head,
        false_alarm_rate=false_alarm_rate,
        thresholds=thresholds,
    )
    calibration, audit = _calibrated(network)
    shut = list(network.shut())
    if shut and not force:
        found = network.report, network.cut.host_operators, audit, network.exact
        return OwnBuild(None, *found, None, network.notes, tuple(shut), ())
    preview, kept = None, None
    try:
        model_int8 = quantize_scores(network.cut.device, calibration)
        rounded = network.scores_of(OnnxBackend(model_int8, name="onnx-int8").infer_batch(network.frames))
    except DataError as error:  # onnxruntime does not run its own int8 form of every network
        shut.append(f"no int8 preview can be made: {error.message[:MAX_SHOWN]}")
    else:
        preview = model_int8, tail_after_rounding(network.tail, network.scores, rounded)
        kept = compare_scores(network.tail, network.scores, rounded, preview[1])
    shut += [f"the calibration audit refuses the windows: {item.rule}: {item.message}" for item in audit.errors]
    if kept is not None and kept.label_agreement.value < min_label_agreement:
        value = kept.label_agreement.value
        shut.append(f"the int8 preview keeps {value:.1%} of the labels, least {min_label_agreement:.0%}")
    forced = tuple(f"{gate}: {force}" for gate in shut) if force else ()
    bundle = None
    if not shut or force:
        parity = {"onnx": network.exact.to_dict()}
        if kept is not None:
            parity["int8-preview"] = kept.to_dict()
        called = plain_name(name or Path(model).stem)
        bundle = pack(network, preview, audit, called, parity=parity, forced=forced)
    found = network.report, network.cut.host_operators, audit, network.exact
    return OwnBuild(bundle, *found, kept, network.notes, tuple(shut), forced)


def pack(
    network: OwnNetwork,
    int8: tuple[bytes, Tail] | None,
    audit: CalibrationAudit,
    name: str,
    *,
    parity: dict[str, Any],
    forced: tuple[str, ...] = (),
) -> Bundle:
    """Return the bundle of a network, with its self-test; equal input gives equal bytes.

    Args:
        network: made ready.
        int8: the int8 device graph and the head for it; None leaves both out.
        audit: of the calibration set.
        name: of the model.
        parity: figures for the manifest.
        forced: gates that were overridden, for the manifest.
    """
    x, tail = network.windows, network.tail
    rows = np.linspace(0, len(x) - 1, min(SELFTEST_WINDOWS, len(x))).astype(np.int64)
    answers = tail.index(network.scores)
    counts = tuple(int(count) for count in np.bincount(answers, minlength=tail.n_answers))
    prints = Fingerprint(counts=counts, windows=len(answers))
    test = selftest_bytes(x[rows], network.scores[rows], answers[rows], answers[rows])
    parts: dict[tuple[Role, str | None], tuple[str, bytes]] = {
        ("preprocess", None): ("preprocess.json", network.config.to_json().encode()),
        ("encoder", None): ("encoder.onnx", network.cut.device),
        ("head", None): ("head.json", tail.to_bytes()),
        ("decision", None): ("decision.json", decision_for(network.kind).to_json().encode()),
        ("fingerprint", None): ("fingerprint.json", prints.to_json().encode()),
        ("selftest", None): ("selftest.npz", test),
        ("calibration", None): ("calibration.json", audit.to_json().encode()),
    }
    if int8 is not None:
        parts["encoder-int8", None] = ("encoder_int8.onnx", int8[0])
        if int8[1] is not tail:
            parts["head-int8", None] = ("head_int8.json", int8[1].to_bytes())
    if network.cut.host is not None:
        parts["host", None] = ("host.onnx", network.cut.host)
    return make_bundle(
        name,
        network.classes,
        parts,
        provenance=network.provenance,
        check={network.report.arch: network.report.verdict},
        parity=parity,
        forced=forced,
    )


def _calibrated(network: OwnNetwork) -> tuple[Float32Array, CalibrationAudit]:
    """Return calibration frames (N, C', 1, T) and their audit."""
    x, config, labels = network.windows, network.config, one_label(network.labels)
    subjects = np.full(len(x), "", dtype=np.str_)
    # The labels of an anomaly head's windows may be of any activity.
    shown = () if network.kind == "anomaly" else network.classes
    size = min(MAX_CALIBRATION, len(x))
    chosen = build_calibration_set(x, labels, subjects, config, size=size, classes=shown)
    audit = audit_set(chosen, describe_windows(x, config, labels, subjects, classes=shown), config)
    return np.ascontiguousarray(chosen.frames_nchw), with_scale(audit, moves_by_one=network.moves_by_one)
