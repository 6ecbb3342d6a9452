"""What comes out of a session: decisions, gaps, switches of the backend and other events, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple

from fsq_edge_runtime.arrays import BoolArray, Float32Array, Int64Array
from fsq_edge_runtime.backends.base import BackendSwitch

RELIEF: Final = 64  # records between two times that a sink works off what it only kept: ``sinks.base.KeepsRecords``
STAGES = ("grid", "preprocess", "inference", "decision", "total")
HOST_STAGES = ("grid", "preprocess", "inference", "host", "decision", "total")  # of a network with a host graph


class Decision(NamedTuple):
    """What one due window ended as: a label, an abstention (label None), or missed (label None).

    A named tuple since a frozen dataclass of this size takes five times as long to make, once for every window.

    Attributes:
        seq: number of the window in its stream, from 0, over all segments.
        stream: id of the stream.
        t_start: source time of the window's first grid sample, seconds.
        t_end: source time of its last grid sample, seconds.
        label: the decided class, ``unknown``, or None when the window abstained or was missed.
        raw_label: the class with the highest probability of this window alone; None without inference.
        confidence: smoothed probability of ``label`` (of the best class for ``unknown``), 0 to 1.
        code: FSQ code index; None without inference.
        quality: flags of the window, ``flag`` or ``flag:channel``; empty when it is sound.
        backend: what computed it.
        missed: why the window was lost (``deadline``, ``overrun``, ``backend``), or None.
        probabilities: (classes,) of this window alone; None without inference.
        smoothed: (classes,) after smoothing; None without inference.
        stages_ns: nanoseconds on the monotonic clock by stage, in the order of ``STAGES``, or of ``HOST_STAGES`` where
            a host graph runs behind the device graph.
        labels: of a head with several labels at once: those whose smoothed probability reaches their threshold; None
            with any other head and without inference. ``label`` is then the leading one, ``smoothed`` has every
            threshold at 0.5, and ``probabilities`` are the network's own.
        features: (F,) in whole steps of 1/64, where the session was asked to keep them.
    """

    seq: int
    stream: str
    t_start: float
    t_end: float
    label: str | None
    raw_label: str | None
    confidence: float | None
    code: int | None
    quality: tuple[str, ...]
    backend: str
    missed: str | None
    probabilities: Sequence[float] | None
    smoothed: Sequence[float] | None
    stages_ns: tuple[int, ...]
    labels: tuple[str, ...] | None = None
    features: tuple[int, ...] | None = None

    @property
    def latency_us(self) -> dict[str, float]:
        """Microseconds by stage, from the arrival of the window's last sample."""
        names = STAGES if len(self.stages_ns) == len(STAGES) else HOST_STAGES
        return {stage: nanoseconds / 1e3 for stage, nanoseconds in zip(names, self.stages_ns, strict=True)}

    def to_dict(self, latency: bool = True, *, scores: bool = False) -> dict[str, Any]:
        """Return the fields of the JSON line.

        Args:
            latency: with ``latency_us``; without it a replay gives the same bytes every time.
            scores: with the raw and smoothed probabilities.
        """
        line: dict[str, Any] = {
            "type": "missed" if self.missed else "decision",
            "seq": self.seq,
            "stream": self.stream,
            "t_start": self.t_start,
            "t_end": self.t_end,
            "label": self.label,
            "raw_label": self.raw_label,
            "confidence": self.confidence,
            "code": self.code,
            "quality": list(self.quality),
            "backend": self.backend,
        }
        if self.labels is not None:
            line["labels"] = list(self.labels)
        if self.missed:
            line["reason"] = self.missed
        if scores:
            line["probabilities"] = self.probabilities
            line["smoothed"] = self.smoothed
        if self.features is not None:
            line["features"] = list(self.features)
        if latency:
            line["latency_us"] = self.latency_us
        return line


@dataclass(frozen=True, slots=True)
class Gap:
    """A segment of a stream ended and another began: no window spans the two.

    Attributes:
        stream: id of the stream.
        cause: ``gap``, ``clock``, ``resume`` or ``overrun``.
        t_start: source time of the last sample before, seconds; None where there was none.
        t_end: source time of the first sample after, seconds.
    """

    kind: ClassVar[str] = "gap"

    stream: str
    cause: str
    t_start: float | None
    t_end: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of the JSON line."""
        return {
            "type": self.kind,
            "stream": self.stream,
            "cause": self.cause,
            "t_start": self.t_start,
            "t_end": self.t_end,
        }


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event with facts of its own: ``drift``, ``overlay``, ``stats`` or ``end``.

    Attributes:
        kind: its name.
        stream: id of the stream, empty when it concerns them all.
        facts: the remaining fields of the JSON line.
    """

    kind: str
    stream: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of the JSON line."""
        return {"type": self.kind, **({"stream": self.stream} if self.stream else {}), **self.facts}


Record = Decision | Gap | BackendSwitch | StreamEvent
"""Anything that a session reports."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What :meth:`fsq_edge_runtime.Session.predict` found, window by window.

    Attributes:
        t: (N, D) float32, output of the device graph; NaN rows where invalid.
        codes: (N,) int64, -1 where invalid or where the head has no codes.
        raw_labels: (N,) int64 class indices, -1 where invalid.
        probabilities: (N, classes) float32; NaN rows where invalid.
        valid: (N,) bool.
    """

    t: Float32Array
    codes: Int64Array
    raw_labels: Int64Array
    probabilities: Float32Array
    valid: BoolArray
