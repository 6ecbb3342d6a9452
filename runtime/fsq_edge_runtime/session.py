"""A stream session: samples in, one decision per due window out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.backends import Backend
from fsq_edge_runtime.decision import UNKNOWN, UNKNOWN_LABEL, DecisionChain
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.tail import softmax

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle import Bundle

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Decision:
    """What one due window ended as.

    Attributes:
        seq: number of the window in its stream, from 0.
        stream: id of the stream.
        t_start: source time of the window's first sample, seconds.
        t_end: source time of its last sample, seconds.
        label: the decided class, ``unknown``, or None when the window abstained.
        raw_label: the class with the highest probability of this window alone; None when it abstained.
        confidence: smoothed probability of ``label`` (of the best class for ``unknown``), 0 to 1.
        code: FSQ code index; None when the window abstained.
        quality: reasons against the window; empty when it is sound.
        backend: which backend computed it.
        probabilities: (classes,) float32 of this window, before smoothing.
        latency_us: microseconds by stage.
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
    probabilities: Float32Array | None = None
    latency_us: dict[str, float] = field(default_factory=dict)

    def to_dict(self, latency: bool = True) -> dict[str, Any]:
        """Return the JSON line's fields."""
        line: dict[str, Any] = {
            "type": "decision",
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
        if latency:
            line["latency_us"] = self.latency_us
        return line


@dataclass(frozen=True, slots=True)
class Predictions:
    """What :meth:`Session.predict` found, window by window.

    Attributes:
        t: (N, D) float32, output of the device graph; NaN rows where invalid.
        codes: (N,) int64, -1 where invalid.
        raw_labels: (N,) int64 class indices, -1 where invalid.
        probabilities: (N, classes) float32; NaN rows where invalid.
        valid: (N,) bool.
    """

    t: Float32Array
    codes: npt.NDArray[np.int64]
    raw_labels: npt.NDArray[np.int64]
    probabilities: Float32Array
    valid: npt.NDArray[np.bool_]


class _Stream:
    """Samples of one stream that are still needed, and its decision chain."""

    def __init__(self, chain: DecisionChain, channels: int) -> None:
        self.chain = chain
        self.samples: Float32Array = np.empty((0, channels), dtype=np.float32)
        self.times: npt.NDArray[np.float64] = np.empty(0, dtype=np.float64)
        self.received = 0
        self.seq = 0


class Session:
    """Streams through one opened bundle on one backend.

    Args:
        bundle: the verified bundle.
        backend: runs the device graph; closed with the session.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self.bundle = bundle
        self.backend = backend
        self._preprocess = Preprocessor(bundle.preprocess)
        self._temperature = bundle.decision.temperature or bundle.tail.temperature
        self._streams: dict[str, _Stream] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the backend."""
        self.backend.close()

    def push(
        self, samples: npt.ArrayLike, timestamps: npt.ArrayLike | None = None, stream: str = "0"
    ) -> list[Decision]:
        """Take samples and return the decisions that became due, in order.

        Args:
            samples: (n, C) float32, raw units, any n.
            timestamps: (n,) seconds, increasing; None counts samples at the nominal rate.
            stream: which stream they belong to.

        Raises:
            DataError: wrong shape.
        """
        return list(self._push(samples, timestamps, stream))

    def _push(self, samples: npt.ArrayLike, timestamps: npt.ArrayLike | None, name: str) -> Iterator[Decision]:
        config = self.bundle.preprocess
        rows = np.atleast_2d(np.asarray(samples, dtype=np.float32))
        if rows.size and rows.shape[1] != len(config.channels):
            raise DataError(f"samples have {rows.shape[1]} channels, the bundle expects {len(config.channels)}")
        state = self._streams.get(name)
        if state is None:
            chain = DecisionChain(self.bundle.decision, config.hop_samples / config.sample_rate_hz * 1000.0)
            state = self._streams[name] = _Stream(chain, len(config.channels))
        if timestamps is None:
            times = (state.received + np.arange(len(rows))) / config.sample_rate_hz
        else:
            times = np.asarray(timestamps, dtype=np.float64)
        state.received += len(rows)
        state.samples = np.concatenate([state.samples, rows])
        state.times = np.concatenate([state.times, times])
        size, hop = config.window_samples, config.hop_samples
        while len(state.samples) >= size:
            yield self._decide(state, name, state.samples[:size], state.times[:size])
            state.samples, state.times = state.samples[hop:], state.times[hop:]

    def _decide(self, state: _Stream, name: str, window: Float32Array, times: npt.NDArray[np.float64]) -> Decision:
        started = time.perf_counter_ns()
        seq, state.seq = state.seq, state.seq + 1
        span = (name, float(times[0]), float(times[-1]))
        filled, valid = self._preprocess.fill_gaps(window.T[None])
        if not valid[0]:
            state.chain.skip()
            return Decision(seq, *span, None, None, None, None, ("missing",), self.backend.name)
        frame = self._preprocess.frames(filled)
        ready = time.perf_counter_ns()
        t = self.backend.infer(frame)[None]
        inferred = time.perf_counter_ns()
        code = int(self.bundle.tail.index(t)[0])
        probabilities = softmax(self.bundle.tail.table[code], self._temperature)
        label, smoothed = state.chain.step(probabilities)
        classes = self.bundle.classes
        done = time.perf_counter_ns()
        return Decision(
            seq,
            *span,
            UNKNOWN_LABEL if label == UNKNOWN else classes[label],
            classes[int(probabilities.argmax())],
            float(smoothed.max() if label == UNKNOWN else smoothed[label]),
            code,
            (),
            self.backend.name,
            probabilities,
            {
                "preprocess": (ready - started) / 1e3,
                "inference": (inferred - ready) / 1e3,
                "decision": (done - inferred) / 1e3,
                "total": (done - started) / 1e3,
            },
        )

    def predict(self, windows: npt.ArrayLike) -> Predictions:
        """Classify independent windows, with no smoothing between them.

        Args:
            windows: (N, C, T) float32, raw units.

        Raises:
            DataError: wrong shape.
        """
        filled, valid = self._preprocess.fill_gaps(windows)
        tail = self.bundle.tail
        n = len(filled)
        t = np.full((n, tail.codebook.dimensions), np.nan, dtype=np.float32)
        codes = np.full(n, -1, dtype=np.int64)
        probabilities = np.full((n, tail.table.shape[1]), np.nan, dtype=np.float32)
        labels = np.full(n, -1, dtype=np.int64)
        if valid.any():
            t[valid] = self.backend.infer_batch(self._preprocess.frames(filled[valid]))
            codes[valid] = tail.index(t[valid])
            probabilities[valid] = softmax(tail.table[codes[valid]], self._temperature)
            labels[valid] = probabilities[valid].argmax(axis=1)
        return Predictions(t, codes, labels, probabilities, valid)
