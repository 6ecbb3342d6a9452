"""A network that was trained elsewhere, made ready: its device graph, its host graph, its head, its windows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_compile.foreign.cutting import CutGraph, cut_graph
from fsq_edge_compile.foreign.device_graph import device_graph
from fsq_edge_compile.foreign.heads import HeadKind, class_names, kind_of_head, make_tail, require_kind, require_labels
from fsq_edge_compile.foreign.network_input import NetworkInput
from fsq_edge_compile.foreign.normalizing import normalizes_twice
from fsq_edge_compile.foreign.reading import ForeignNetwork, read_network, require_layout
from fsq_edge_compile.foreign.scores import ScoreAgreement, compare_scores
from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.backends.host import HostGraph
from fsq_edge_runtime.backends.onnx import open_onnx
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.preprocess import PreprocessConfig, Preprocessor
from fsq_edge_runtime.score_tails import Tail

EXACT: Final = 1e-4  # of a score, against the original in onnxruntime
FEWEST_WINDOWS: Final = 64  # the calibration audit asks for as many
LEAST_PROBABILITY: Final = 1e-30  # so that its logarithm is a number
CLEAR: Final = 1e-7  # nearer to 0 or 1 a float32 probability has no logit


@dataclass(frozen=True, slots=True)
class OwnNetwork:
    """What :func:`prepare_network` made and found.

    Attributes:
        kind: of the head.
        classes: names, in the order of the head.
        config: preprocessing as the device applies it.
        cut: device graph, host graph and the check of the whole.
        tail: the head.
        windows: (N, C, T) float32 raw units, the usable ones.
        labels: (N,) or (N, K) of those windows, -1 where unknown.
        frames: (N, C', 1, T) float32 of them.
        scores: (N, K) float32, what device graph and host graph give.
        original: (N, K) float32, what the file as it came gives in onnxruntime.
        exact: the two compared.
        worst: largest difference from it: of probabilities where the head computes them from the network's own last
            node, else relative to the largest score.
        notes: what is to be looked at and shuts no gate.
        sha256: of the ONNX file.
        layout: of the network's input.
        moves_by_one: whether the preprocess file divides by the spread of the training, so that frames have one near 1.
    """

    kind: HeadKind
    classes: tuple[str, ...]
    config: PreprocessConfig
    cut: CutGraph
    tail: Tail
    windows: Float32Array
    labels: Int64Array
    frames: Float32Array
    scores: Float32Array
    original: Float32Array
    exact: ScoreAgreement
    worst: float
    notes: tuple[str, ...]
    sha256: str
    layout: tuple[str, ...]
    moves_by_one: bool

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the network came from, for manifest and export record."""
        return {
            "source": "an ONNX file that was trained elsewhere",
            "onnx_sha256": self.sha256,
            "layout": list(self.layout),
            "head": self.kind,
            "windows": len(self.windows),
        }

    @property
    def report(self) -> CheckReport:
        """The check of the whole network."""
        return self.cut.report

    def scores_of(self, t: Float32Array) -> Float32Array:
        """Return what the head reads (N, K) of the device graph's t (N, D)."""
        return t if self.cut.host is None else HostGraph(self.cut.host).scores_of_all(t)

    def shut(self) -> tuple[str, ...]:
        """Return the gates that refuse the network before anything is quantised, one line each."""
        lines = []
        if self.report.verdict == "none" or self.cut.refusal:
            reason = f": {self.cut.refusal}" if self.cut.refusal else ""
            lines.append(f"check {self.report.arch} says {self.report.verdict}{reason}")
        if not self.worst <= EXACT or self.exact.label_agreement.value < 1.0:
            lines.append(f"the device graph differs from the original: scores by {self.worst:.2g}, or a label")
        return tuple(lines)


def prepare_network(
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
) -> OwnNetwork:
    """Read a network, rewrite it as ``check --fix`` does, check it, cut it, and compare it with the file as it came.

    Arguments and errors as :func:`fsq_edge_compile.own.building.build_bundle`.
    """
    if not 0 < false_alarm_rate < 1:
        raise UsageError(f"the false-alarm rate is {false_alarm_rate:g}, expected a share above 0 and below 1")
    path = Path(model)
    network = read_network(path)
    x = _windows(windows, preprocess)
    known = _labels(labels, len(x))
    config = preprocess.config(x)
    require_layout(network, preprocess, config.graph_channels)
    kind = head or kind_of_head(network)
    require_kind(network, kind)
    names = class_names(classes, network, kind)
    require_labels(known, kind, len(names))
    cut = cut_graph(device_graph(network, preprocess.layout, config.graph_channels, kind), arch)
    frames, usable = Preprocessor(config).usable_frames(x)
    if not len(frames):
        raise DataError(
            "no window is usable: every one has missing values beyond max_gap_ms",
            hint="fsq-edge data inspect SOURCE shows what is missing; NaN stands for a missing value",
        )
    x, known = x[usable], known[usable]
    t = OnnxBackend(cut.device).infer_batch(frames)
    scores = t if cut.host is None else HostGraph(cut.host).scores_of_all(t)
    tail = make_tail(kind, scores, known, len(names), false_alarm_rate=false_alarm_rate, thresholds=thresholds)
    original = _original(network, preprocess, frames, kind)
    exact = compare_scores(tail, original, scores)
    if network.ending and kind != "anomaly":
        worst = exact.max_probability_difference
    else:
        worst = float(np.abs(original - scores).max()) / max(1.0, float(np.abs(original).max()))
    notes = tuple(filter(None, [normalizes_twice(network, preprocess)]))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return OwnNetwork(
        kind=kind,
        classes=names,
        config=config,
        cut=cut,
        tail=tail,
        windows=x,
        labels=known,
        frames=frames,
        scores=scores,
        original=original,
        exact=exact,
        worst=worst,
        notes=notes,
        sha256=digest,
        layout=preprocess.layout,
        moves_by_one=preprocess.normalization.kind == "given",
    )


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
        raise DataError(
            f"{len(x)} windows are too few to calibrate with, give at least {FEWEST_WINDOWS}",
            hint="cut them with more overlap: --windows folder:PATH cuts recordings every hop_samples of the file",
        )
    return np.ascontiguousarray(x, dtype=np.float32)


def _labels(labels: Int64Array | None, count: int) -> Int64Array:
    if labels is None:
        return np.full(count, -1, dtype=np.int64)
    known = np.asarray(labels)
    if known.ndim not in (1, 2) or len(known) != count or known.dtype.kind not in "iub":
        raise DataError(
            f"labels are {known.dtype} of shape {known.shape}, expected {count} integers, or ({count}, K) of 0 and 1"
        )
    return known.astype(np.int64)


def _original(network: ForeignNetwork, given: NetworkInput, frames: Float32Array, kind: HeadKind) -> Float32Array:
    """Return what the file as it came gives in onnxruntime, as the head's scores: logits where it gives shares."""
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
        elif kind == "softmax" and network.ending == "Softmax":
            answer = np.log(np.maximum(answer, np.float32(LEAST_PROBABILITY)))
        elif kind == "sigmoid" and network.ending == "Sigmoid":
            share = np.clip(answer.astype(np.float64), CLEAR, 1 - CLEAR)
            answer = np.log(share / (1 - share))
        found.append(np.asarray(answer, dtype=np.float32).ravel())
    return np.stack(found)
