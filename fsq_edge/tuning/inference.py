"""Every window of every stream inferred once, by the session that a device runs; all settings are tried on that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fsq_edge.tuning.chains import Scores
from fsq_edge.tuning.events import NO_ANSWER, Truth
from fsq_edge.tuning.streams import LabelledStream
from fsq_edge_runtime.arrays import Int16Array
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.decision import DecisionChain, DecisionSettings
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.stream.records import Decision, Gap, Record


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """The probabilities of B streams and what they should have led to.

    Attributes:
        scores: padded to the longest stream.
        truths: of each stream.
        hop_ms: time between windows.
        windows: how many became due.
        abstained: windows without an answer.
    """

    scores: Scores
    truths: tuple[Truth, ...]
    hop_ms: float
    windows: int
    abstained: int

    def trimmed(self, labels: Int16Array, stream: int) -> Int16Array:
        """Return the labels (S, T) of one stream out of (S, B, longest T)."""
        return labels[:, stream, : len(self.truths[stream].decided)]


def infer_streams(bundle: Bundle, streams: Sequence[LabelledStream], rate_hz: float, backend: str = "onnx") -> Inferred:
    """Stream recordings through a bundle and keep the probabilities of each window.

    Args:
        bundle: with the hop that is wanted.
        streams: B, at least one.
        rate_hz: nominal rate of the recordings.
        backend: ``onnx`` or ``onnx-int8``.

    Raises:
        DataError: no window became due in any stream.
        BackendError: the bundle has no such graph.
    """
    config, classes = bundle.preprocess, len(bundle.classes)
    found = [_stream(bundle, stream, rate_hz, backend) for stream in streams]
    kept = [(stream, *one) for stream, one in zip(streams, found, strict=True) if one[0]]
    if not kept:
        raise DataError(f"no recording is as long as a window of {config.window_samples} samples")
    steps, period_s = max(len(decisions) for _, decisions, _ in kept), 1.0 / rate_hz
    scores = Scores(
        np.zeros((steps, len(kept), classes)),
        np.zeros((steps, len(kept)), dtype=np.bool_),
        np.zeros((steps, len(kept)), dtype=np.bool_),
    )
    truths = []
    for column, (stream, decisions, resets) in enumerate(kept):
        for row, decision in enumerate(decisions):
            if decision.smoothed is not None:  # nothing smooths here: what the decision chain was given
                scores.probabilities[row, column] = decision.smoothed
                scores.answered[row, column] = True
        scores.resets[resets, column] = True
        times = np.arange(len(stream.samples)) / rate_hz if stream.timestamps is None else stream.timestamps
        truths.append(
            Truth(
                stream.labels,
                times,
                np.array([decision.t_end for decision in decisions]),
                classes=classes,
                tolerance_s=config.window_samples / config.sample_rate_hz,
                period_s=period_s,
            )
        )
    windows = sum(len(decisions) for _, decisions, _ in kept)
    hop_ms = 1000.0 * config.hop_samples / config.sample_rate_hz
    return Inferred(scores, tuple(truths), hop_ms, windows, windows - int(scores.answered.sum()))


def _stream(bundle: Bundle, stream: LabelledStream, rate_hz: float, backend: str) -> tuple[list[Decision], list[int]]:
    """Return the decisions of one stream, and the positions of those that begin a new segment."""
    decisions: list[Decision] = []
    resets: list[int] = []

    def note(record: Record) -> None:
        if isinstance(record, Decision):
            decisions.append(record)
        elif isinstance(record, Gap):
            resets.append(len(decisions))

    raw = DecisionSettings(temperature=bundle.decision_for(backend).temperature)
    with bundle.open_session(backend, decision=raw, source_rate_hz=rate_hz, deadline_ms=0.0, on_record=note) as session:
        session.push_many([(stream.name, stream.samples, stream.timestamps)])
        session.drain()
    return decisions, [position for position in resets if position < len(decisions)]


def run_chain(inferred: Inferred, settings: DecisionSettings) -> list[Int16Array]:
    """Return the labels (1, T) of each stream by the runtime's own decision chain, window by window."""
    found = []
    for column, truth in enumerate(inferred.truths):
        chain = DecisionChain(settings, inferred.hop_ms)
        labels = np.full((1, len(truth.decided)), NO_ANSWER, dtype=np.int16)
        for row in range(len(truth.decided)):
            if inferred.scores.resets[row, column]:
                chain.reset()
            if inferred.scores.answered[row, column]:
                labels[0, row] = chain.step(inferred.scores.probabilities[row, column].tolist())[0]
            else:
                chain.skip()
        found.append(labels)
    return found
