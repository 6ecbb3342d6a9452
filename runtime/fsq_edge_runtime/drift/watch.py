"""Drift of every stream of a session, judged every 64 windows; an alarm is a ``drift`` record."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.drift.page_hinkley import LEARNED, PageHinkley
from fsq_edge_runtime.drift.reference import COMMON_CODES, CodeReference, InputReference
from fsq_edge_runtime.stream.records import Decision, StreamEvent

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

BLOCK: Final = 64  # windows between two judgements
LOOK_EVERY: Final = 8  # the input of one window in eight is looked at: a look costs as much as half a decision
LEAST_DECIDED: Final = 16  # of a block's windows, or its codes say too little
LEAST_LOOKS: Final = 4
LEAST_SQUARE: Final = 1e-8  # of a spread in training sigmas: a dead channel's logarithm stays a number

# Limits against training, on the mean of what was seen since the last restart; chosen on clean held-out streams.
MAX_OFFSET = 1.5  # training sigmas
MAX_LOG_SPREAD = math.log(4.0)
MAX_LOG_GRAVITY = math.log(1.15)
MAX_UNSEEN = 0.25
MAX_ABSTAINED = 0.5
MAX_STABILITY_INDEX = 4.0

# The least standard deviation of each series between blocks: what moves less is of no practical interest.
FLOORS = {"mean": 0.03, "spread": 0.03, "step": 0.03, "unseen": 0.01, "surprise": 0.1, "confidence": 0.01,
          "abstained": 0.02, "gravity": 0.01}  # fmt: skip
UNITS = {"mean": "training sigmas", "spread": "log ratio to training", "step": "log ratio of step to spread",
         "unseen": "share", "surprise": "bits", "confidence": "probability", "abstained": "share",
         "gravity": "log ratio to gravity", "codes": "stability index"}  # fmt: skip
ADVICE = {
    "mean": "check that the sensor sits as it did, its axes and its bias",
    "spread": "check the sensor's full scale, its unit and whether an axis is dead",
    "step": "check the sensor's output rate and its filter",
    "gravity": "check the accelerometer's gain, bias and unit: lay it still, its axes should add up to 1 g",
    "unseen": "the network sees what it was not trained on: record it, label it and train again",
    "surprise": "the mix of codes moved: look for an activity that training did not have, or a moved sensor",
    "confidence": "record and label some of it, and compare with fsq-edge evaluate",
    "abstained": "read the flags of the decisions: they name the channel and the fault",
    "codes": "the mix of codes is not that of training: record and label some of it, and evaluate",
}


class _Series(NamedTuple):
    """One number that is watched: its kind (a key of ``FLOORS``) and its channel, empty where it has none."""

    kind: str
    channel: str

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.channel}" if self.channel else self.kind


class _StreamDrift:
    """What one stream carries: the sums of the block under way and the test of its series."""

    __slots__ = ("abstained", "begins", "bins", "confidence", "decided", "gravity", "looks", "reported", "starts",
                 "sums", "surprise", "test", "unseen", "waiting", "windows")  # fmt: skip

    def __init__(self, channels: int, floors: Float64Array) -> None:
        self.test = PageHinkley(floors)
        self.sums = np.zeros((3, channels))
        self.bins = np.zeros(COMMON_CODES + 2, dtype=np.int64)
        # Looks at windows whose decision is not out yet: at most a batch of them, and nobody may ask for records.
        self.waiting: deque[tuple[int, tuple[Float64Array, float]]] = deque(maxlen=BLOCK)
        self.reported: set[_Series] = set()  # beyond a limit against training when last judged
        self.starts: list[float] = []  # when the latest 64 blocks since the last change began
        self.clear()

    def clear(self) -> None:
        self.windows = self.looks = self.decided = self.abstained = self.unseen = 0
        self.confidence = self.surprise = self.gravity = 0.0
        self.begins = math.nan
        self.sums[:] = 0.0


class DriftWatch:
    """Watches every stream of a session and reports moves of its input, codes, confidence and abstentions.

    Two tests run. *Change* compares each series with the stream's own past (Page-Hinkley); after an alarm the stream
    learns anew, so a change that stays is reported once. *Training* compares the running mean with the training data
    every 32 blocks, for faults that were there from the beginning; what stays beyond a limit is reported once.

    Args:
        bundle: its statistics and its fingerprint.

    Cost: a few microseconds a window; about 6 KB a stream. See docs/streaming.md.
    """

    def __init__(self, bundle: Bundle) -> None:
        config = bundle.preprocess
        names = [channel.name for channel in config.channels]
        size = len(names)
        self._codes = CodeReference(bundle.fingerprint.counts)
        self._input = InputReference(config)
        self._series = [_Series(kind, name) for kind in ("mean", "spread", "step") for name in names]
        self._series += [_Series(kind, "") for kind in ("unseen", "surprise", "confidence", "abstained", "gravity")]
        self._floors = np.array([FLOORS[series.kind] for series in self._series])
        self._channels = size
        self._streams: dict[str, _StreamDrift] = {}

    def look(self, stream: str, seq: int, window: Float32Array) -> None:
        """Take the input of window ``seq`` (C, T), raw units, before it is decided; it counts with its decision."""
        drift = self._streams.get(stream) or self._open(stream)
        found = self._input.look(window)
        if found is not None:
            drift.waiting.append((seq, found))

    def see(self, decision: Decision) -> StreamEvent | None:
        """Take what a window ended as; return a ``drift`` record when it completes a block that raises an alarm."""
        drift = self._streams.get(decision.stream) or self._open(decision.stream)
        while drift.waiting and drift.waiting[0][0] <= decision.seq:
            sums, acceleration = drift.waiting.popleft()[1]
            drift.sums += sums
            drift.gravity = max(drift.gravity, acceleration)  # the stillest look of a block is nearest to gravity
            drift.looks += 1
        if decision.missed:
            return None
        code, codes = decision.code, self._codes
        if drift.windows == 0:
            drift.begins = decision.t_start
        drift.windows += 1
        if code is None:
            drift.abstained += 1
        else:
            drift.decided += 1
            drift.confidence += max(decision.probabilities or (0.0,))
            drift.surprise += codes.surprise[code]
            drift.unseen += codes.unseen[code]
            drift.bins[codes.bins[code]] += 1
        return self._judge(drift, decision) if drift.windows == BLOCK else None

    def forget(self, stream: str) -> None:
        """Drop what is known of a stream that was closed."""
        self._streams.pop(stream, None)

    def _open(self, stream: str) -> _StreamDrift:
        drift = self._streams[stream] = _StreamDrift(self._channels, self._floors)
        return drift

    def _judge(self, drift: _StreamDrift, last: Decision) -> StreamEvent | None:
        values = self._values(drift)
        drift.starts.append(drift.begins)
        del drift.starts[:-BLOCK]
        drift.clear()
        found = [
            (self._series[change.series], float(values[change.series]), change.usual, change.score, change.values)
            for change in drift.test.step(values)
        ]
        test = "change"
        seen = drift.test.seen
        if not found and seen % LEARNED == 0:
            beyond = self._against_training(drift)
            test, found = "training", [entry for entry in beyond if entry[0] not in drift.reported]
            drift.reported = {entry[0] for entry in beyond}
            drift.bins[:] = 0
        if not found:
            return None
        facts = self._facts(test, found, drift, last)
        if test == "change":  # what it is now is the new past; a stream far from training is watched for changes, too
            drift.test.reset()
            drift.bins[:] = 0
            drift.starts.clear()
        return StreamEvent("drift", last.stream, facts)

    def _values(self, drift: _StreamDrift) -> Float64Array:
        """Return the series (K,) of the block; what cannot be known takes its usual value."""
        values = drift.test.usual.copy()
        size = self._channels
        if drift.looks >= LEAST_LOOKS:
            mean, square, step = drift.sums / drift.looks
            spread = np.maximum(square - mean * mean, LEAST_SQUARE)
            values[:size] = mean
            values[size : 2 * size] = 0.5 * np.log(spread)
            values[2 * size : 3 * size] = 0.5 * np.log(np.maximum(step, LEAST_SQUARE) / spread)
            if self._input.has_gravity:
                values[-1] = math.log(max(drift.gravity, LEAST_SQUARE))
        if drift.decided >= LEAST_DECIDED:
            sums = np.array([drift.unseen, drift.surprise, drift.confidence])
            values[3 * size : 3 * size + 3] = sums / drift.decided
        values[3 * size + 3] = drift.abstained / drift.windows
        return values

    def _against_training(self, drift: _StreamDrift) -> list[tuple[_Series, float, float, float, int]]:
        """Return what lies beyond the limits against training, the worst first; its score is 1 at the limit."""
        limits = {"mean": MAX_OFFSET, "spread": MAX_LOG_SPREAD, "unseen": MAX_UNSEEN, "abstained": MAX_ABSTAINED,
                  "gravity": MAX_LOG_GRAVITY}  # fmt: skip
        found = []
        for series, value in zip(self._series, drift.test.usual.tolist(), strict=True):
            limit = limits.get(series.kind)
            if limit is not None and abs(value) > limit:
                found.append((series, value, 0.0, abs(value) / limit, LEARNED))
        if drift.bins.sum() >= LEARNED * LEAST_DECIDED:
            index = self._codes.stability_index(drift.bins)
            if index > MAX_STABILITY_INDEX:
                found.append((_Series("codes", ""), index, 0.0, index / MAX_STABILITY_INDEX, LEARNED))
        return sorted(found, key=lambda entry: -entry[3])

    def _facts(
        self, test: str, found: list[tuple[_Series, float, float, float, int]], drift: _StreamDrift, last: Decision
    ) -> dict[str, object]:
        series, value, usual, score, blocks = found[0]
        return {
            "seq": last.seq,
            "t_start": drift.starts[max(0, len(drift.starts) - blocks)],
            "t_end": last.t_end,
            "test": test,
            "what": series.name,
            "value": round(value, 4),
            "usual": round(usual, 4),
            "unit": UNITS[series.kind],
            "score": round(score, 3),
            "also": [other[0].name for other in found[1:]],
            "advice": ADVICE[series.kind],
        }
