"""Many decision chains at once: what :class:`fsq_edge_runtime.decision.DecisionChain` would say for each of S settings.

The runtime's chain decides one window of one stream in a microsecond; a search asks for millions. Here the streams lie
beside each other and all settings of one smoothing advance together. A test holds the two to equal labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fsq_edge.tuning.events import NO_ANSWER, NO_EVENT
from fsq_edge_runtime.arrays import BoolArray, Float64Array, Int16Array, Int64Array
from fsq_edge_runtime.decision import DecisionSettings, hops


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Probabilities of B streams, padded to the longest of T windows.

    Attributes:
        probabilities: (T, B, K) float64, anything where there is no answer.
        answered: (T, B) bool: the window has probabilities.
        resets: (T, B) bool: a new segment begins with this window.
    """

    probabilities: Float64Array
    answered: BoolArray
    resets: BoolArray


def smooth(scores: Scores, smoothing: str, smoothing_ms: float, hop_ms: float) -> Float64Array:
    """Return smoothed probabilities (T, B, K), as each stream's chain would have them."""
    if smoothing == "median":
        return _median(scores, max(1, hops(smoothing_ms, hop_ms)))
    if smoothing == "ema" and smoothing_ms > 0:
        return _ema(scores, hop_ms / smoothing_ms)
    return scores.probabilities


def _ema(scores: Scores, rate: float) -> Float64Array:
    steps, streams, _ = scores.probabilities.shape
    out = np.empty_like(scores.probabilities)
    state = np.zeros_like(out[0])
    started = np.zeros(streams, dtype=np.bool_)
    elapsed = np.ones(streams)
    for step in range(steps):
        new, answered = scores.probabilities[step], scores.answered[step]
        started &= ~scores.resets[step]
        weight = np.where(started, -np.expm1(-elapsed * rate), 1.0)[:, None]
        moved = np.where(started[:, None], state + weight * (new - state), new)
        state = np.where(answered[:, None], moved, state)
        elapsed = np.where(answered, 1.0, elapsed + 1.0)
        started |= answered
        out[step] = state
    return out


def _median(scores: Scores, span: int) -> Float64Array:
    if span == 1:
        return scores.probabilities
    steps, streams, _ = scores.probabilities.shape
    values = np.where(scores.answered[:, :, None], scores.probabilities, np.nan)
    out = np.empty_like(values)
    begin = np.zeros(streams, dtype=np.int64)
    for step in range(steps):
        begin = np.where(scores.resets[step], step, begin)
        first = max(0, step - span + 1)
        recent = values[first : step + 1]
        if (begin > first).any():
            old = np.arange(first, step + 1)[:, None] < begin
            recent = np.where(old[:, :, None], np.nan, recent)
        out[step] = _nanmedian(recent)
    whole = out.sum(axis=2, keepdims=True)
    return np.asarray(out / np.where(whole > 0, whole, 1.0))


def _nanmedian(values: Float64Array) -> Float64Array:
    """Return the median over the first axis without NaN; 0 where there is nothing else."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = (~np.isnan(ordered)).sum(axis=0)
    low, high = np.maximum((count - 1) // 2, 0), np.maximum(count // 2, 0)
    low_value = np.take_along_axis(ordered, low[None], axis=0)[0]
    high_value = np.take_along_axis(ordered, np.minimum(high, len(ordered) - 1)[None], axis=0)[0]
    return np.asarray(np.where(count > 0, (low_value + high_value) / 2, 0.0))


def decide(scores: Scores, settings: Sequence[DecisionSettings], hop_ms: float) -> Int16Array:
    """Return the labels (S, B, T) that each of S settings reports.

    Args:
        scores: the streams.
        settings: S of them; their temperature is not looked at, it belongs to the probabilities.
        hop_ms: time between windows.

    Cost: about 20 numpy operations on (S, B) a window, whatever S.
    """
    steps, streams, _ = scores.probabilities.shape
    kinds = list(dict.fromkeys((one.smoothing, one.smoothing_ms) for one in settings))
    kind = np.array([kinds.index((one.smoothing, one.smoothing_ms)) for one in settings])
    smoothed = np.stack([smooth(scores, *one, hop_ms) for one in kinds], axis=1)
    best, top = smoothed.max(axis=3), smoothed.argmax(axis=3).astype(np.int16)
    # One more column, above every threshold: `unknown` is never left for being unlikely.
    padded = np.concatenate([smoothed, np.full((*best.shape, 1), np.inf)], axis=3)
    unknown_below = np.array([[one.unknown_below] for one in settings])
    chains = _Chains(settings, kind, streams, hop_ms)
    out = np.empty((steps, len(settings), streams), dtype=np.int16)
    for step in range(steps):
        answered, resets = scores.answered[step], scores.resets[step]
        if resets.any():
            chains.reset(resets)
        likeliest = best[step][kind]
        chains.step(padded[step], likeliest, top[step][kind], answered)
        out[step] = np.where(likeliest < unknown_below, np.int16(NO_EVENT), chains.label)
        if not answered.all():
            out[step][:, ~answered] = NO_ANSWER
    return np.ascontiguousarray(out.transpose(1, 2, 0))


class _Chains:
    """The state of S chains on each of B streams; see :class:`fsq_edge_runtime.decision.DecisionChain`."""

    def __init__(self, settings: Sequence[DecisionSettings], kind: Int64Array, streams: int, hop_ms: float) -> None:
        shape = len(settings), streams
        self.enter = np.array([[one.enter] for one in settings])
        self.leave = np.array([[one.leave] for one in settings])
        self.dwell = np.array([[hops(one.dwell_ms, hop_ms)] for one in settings], dtype=np.int32)
        self.refractory = np.array([[hops(one.refractory_ms, hop_ms)] for one in settings], dtype=np.int32)
        self.label: Int16Array = np.full(shape, NO_EVENT, dtype=np.int16)
        self.candidate: Int16Array = self.label.copy()
        self.age = np.broadcast_to(self.refractory, shape).copy()
        self.lead = np.zeros(shape, dtype=np.int32)
        self._kind, self._stream = kind[:, None], np.arange(streams)

    def reset(self, streams: BoolArray) -> None:
        """Forget everything about some streams (B,)."""
        self.label[:, streams] = self.candidate[:, streams] = NO_EVENT
        self.lead[:, streams] = 0
        self.age[:, streams] = self.refractory

    def step(self, padded: Float64Array, best: Float64Array, top: Int16Array, answered: BoolArray) -> None:
        """Take one window of every stream.

        Args:
            padded: (kinds, B, K + 1) smoothed probabilities by smoothing, infinity behind the last class.
            best: (S, B), the highest of them.
            top: (S, B), its class.
            answered: (B,) bool.
        """
        self.age += 1
        free = answered & (self.age > self.refractory)
        dropped = free & (padded[self._kind, self._stream, self.label] < self.leave)
        self.label[dropped] = NO_EVENT
        contends = answered & (top != self.label) & (best >= self.enter)
        self.lead = np.where(contends & (top == self.candidate), self.lead + 1, 0)
        wins = contends & (self.lead >= self.dwell) & free
        self.candidate = np.where(contends & ~wins, top, np.int16(NO_EVENT))
        self.lead[wins] = 0
        self.label[wins] = top[wins]
        self.age[wins] = 0
