"""Drift of every stream of a session, judged every 64 windows; an alarm is a ``drift`` record."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.drift.page_hinkley import LEARNED, PageHinkley
from fsq_edge_runtime.drift.reference import COMMON_CODES, CodeReference, InputReference, perplexity
from fsq_edge_runtime.drift.series import (
    ADVICE,
    FLOORS,
    LIMITS,
    MAX_LOG_PERPLEXITY,
    MAX_STABILITY_INDEX,
    MAX_SUBJECT_SIGMAS,
    OTHERS,
    UNITS,
    Series,
)
from fsq_edge_runtime.stream.records import Decision, StreamEvent

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle, SubjectSpread

BLOCK: Final = 64  # windows between two judgements
LOOK_EVERY: Final = 8  # the input of one window in eight is looked at: all of them would cost a third of a decision
HELD: Final = 8  # windows that wait for a look together: numpy takes little longer for eight than for one
LEAST_DECIDED: Final = 16  # of a block's windows, or its codes say too little
LEAST_LOOKS: Final = 4
LEAST_SQUARE: Final = 1e-8  # of a spread in training sigmas: a dead channel's logarithm stays a number
MAX_COUNTED_CODES: Final = 4096  # of a larger code book no perplexity is kept: it would take too much of every stream
LEAST_SUBJECTS: Final = 5  # or what they differ by is not known


class _Look(NamedTuple):
    """What was seen of one window's input."""

    seq: int
    sums: Float64Array
    acceleration: float
    rate: float | None


class _StreamDrift:
    """What one stream carries: the sums of the block under way and the test of its series."""

    __slots__ = ("abstained", "begins", "codes", "confidence", "counts", "held", "held_as", "looks", "reported",
                 "starts", "test", "windows")  # fmt: skip

    def __init__(self, window: tuple[int, int], codes: int, floors: Float64Array) -> None:
        self.test = PageHinkley(floors)
        self.counts = np.zeros(codes, dtype=np.int64)  # by code, or by bin, since last held against training
        self.held: Float32Array = np.empty((HELD, *window), dtype=np.float32)
        self.held_as: list[tuple[int, float | None]] = []  # number and rate of the windows held
        # Looks at windows whose decision is not out yet: at most a batch of them, and nobody may ask for records.
        self.looks: deque[_Look] = deque(maxlen=2 * BLOCK)
        self.reported: set[Series] = set()  # beyond a limit against training when last judged
        self.starts: list[float] = []  # when the latest 64 blocks since the last change began
        self.clear()

    def clear(self) -> None:
        self.windows = self.abstained = 0
        self.confidence = 0.0
        self.codes: list[int] = []
        self.begins = math.nan


class DriftWatch:
    """Watches every stream of a session and reports moves of its input, codes, confidence and abstentions.

    Two tests run. *Change* compares each series with the stream's own past (Page-Hinkley); after an alarm the stream
    learns anew, so a change that stays is reported once. *Training* compares the running mean with the training data
    every 32 blocks, for faults that were there from the beginning; what stays beyond a limit is reported once. Where
    the bundle knows how far the subjects of training differ, the mean of a channel is also held against that.

    Args:
        bundle: its statistics and its fingerprint. Where its head has no codes, classes stand in for them.

    Cost: see docs/streaming.md; about 20 KB a stream of six channels and a hundred samples a window.
    """

    def __init__(self, bundle: Bundle) -> None:
        config, prints = bundle.preprocess, bundle.fingerprint
        names = [channel.name for channel in config.channels]
        size = len(names)
        self._codes = CodeReference(prints.counts)
        coded = getattr(bundle.tail, "codebook", None) is not None
        self._classes = None if coded else {name: place for place, name in enumerate(bundle.manifest.classes)}
        self._counted = len(prints.counts) if len(prints.counts) <= MAX_COUNTED_CODES else 0
        self._input = InputReference(config)
        self._series = [Series(kind, name) for kind in ("mean", "spread", "step") for name in names]
        self._series += [Series(kind, "") for kind in OTHERS]
        self._floors = np.array([FLOORS[series.kind] for series in self._series])
        self._place = {kind: 3 * size + at for at, kind in enumerate(OTHERS)}
        self._channels, self._window = size, (size, config.window_samples)
        self._between = _between(prints.between, size)
        self._streams: dict[str, _StreamDrift] = {}

    @staticmethod
    def is_due(seq: int) -> bool:
        """Return whether the input of window ``seq`` is to be looked at."""
        return seq % LOOK_EVERY == 0

    def look(self, stream: str, seq: int, window: Float32Array, rate: float | None = None) -> None:
        """Take the input of window ``seq``, before it is decided; it counts with its decision.

        Args:
            stream: id of the stream.
            seq: number of the window.
            window: (C, T), raw units.
            rate: measured rate of the source over its nominal one; None where it is not known.
        """
        drift = self._streams.get(stream) or self._open(stream)
        drift.held[len(drift.held_as)] = window
        drift.held_as.append((seq, rate))
        if len(drift.held_as) == HELD:
            self._look_at_held(drift)

    def see(self, decision: Decision) -> StreamEvent | None:
        """Take what a window ended as; return a ``drift`` record when it completes a block that raises an alarm."""
        drift = self._streams.get(decision.stream) or self._open(decision.stream)
        if decision.missed:
            return None
        if not drift.windows:
            drift.begins = decision.t_start
        drift.windows += 1
        code = decision.code if self._classes is None else self._classes.get(decision.raw_label or "")
        if code is None:
            drift.abstained += 1
        else:
            drift.codes.append(code)
            if decision.probabilities is not None:
                drift.confidence += max(decision.probabilities)
        return self._judge(drift, decision) if drift.windows >= BLOCK else None

    def forget(self, stream: str) -> None:
        """Drop what is known of a stream that was closed."""
        self._streams.pop(stream, None)

    def _open(self, stream: str) -> _StreamDrift:
        size = self._counted or COMMON_CODES + 2
        drift = self._streams[stream] = _StreamDrift(self._window, size, self._floors)
        return drift

    def _look_at_held(self, drift: _StreamDrift) -> None:
        sums, lengths = self._input.look(drift.held[: len(drift.held_as)])
        sound: list[bool] = np.asarray(np.isfinite(sums).all(axis=(1, 2))).tolist()
        for (seq, rate), good, one, length in zip(drift.held_as, sound, sums, lengths.tolist(), strict=True):
            if good:
                drift.looks.append(_Look(seq, one, length, rate))
        drift.held_as.clear()

    def _judge(self, drift: _StreamDrift, last: Decision) -> StreamEvent | None:
        if drift.held_as:
            self._look_at_held(drift)
        looks = []
        while drift.looks and drift.looks[0].seq <= last.seq:
            looks.append(drift.looks.popleft())
        values = self._values(drift, looks)
        drift.starts.append(drift.begins)
        del drift.starts[:-BLOCK]
        drift.clear()
        found = [
            (self._series[change.series], float(values[change.series]), change.usual, change.score, change.values)
            for change in drift.test.step(values)
        ]
        test, codes = "change", {}
        if not found and drift.test.seen % LEARNED == 0:
            codes = self._code_facts(drift)
            beyond = self._against_training(drift, codes)
            test, found = "training", [entry for entry in beyond if entry[0] not in drift.reported]
            drift.reported = {entry[0] for entry in beyond}
            drift.counts[:] = 0
        if not found:
            return None
        facts = self._facts(test, found, drift, last)
        if codes:
            facts["codes"] = {name: round(value, 4) for name, value in codes.items()}
        if test == "change":  # what it is now is the new past; a stream far from training is watched for changes, too
            drift.test.reset()
            drift.counts[:] = 0
            drift.starts.clear()
        return StreamEvent("drift", last.stream, facts)

    def _values(self, drift: _StreamDrift, looks: list[_Look]) -> Float64Array:
        """Return the series (K,) of the block; what cannot be known takes its usual value."""
        values = drift.test.usual.copy()
        size, place = self._channels, self._place
        if len(looks) >= LEAST_LOOKS:
            mean, square, step = np.add.reduce([look.sums for look in looks]) / len(looks)
            spread = np.maximum(square - mean * mean, LEAST_SQUARE)
            values[:size] = mean
            values[size : 2 * size] = 0.5 * np.log(spread)
            values[2 * size : 3 * size] = 0.5 * np.log(np.maximum(step, LEAST_SQUARE) / spread)
            if self._input.has_gravity:  # the stillest look of a block is nearest to gravity
                values[place["gravity"]] = math.log(max(LEAST_SQUARE, *(look.acceleration for look in looks)))
            rates = [look.rate for look in looks if look.rate is not None]
            if len(rates) >= LEAST_LOOKS and sum(rates) > 0:
                values[place["rate"]] = math.log(sum(rates) / len(rates))
        decided = len(drift.codes)
        if decided:
            codes = np.asarray(drift.codes)
            kinds = codes if self._counted else self._codes.bins[codes]
            drift.counts += np.bincount(kinds, minlength=len(drift.counts))
            if decided >= LEAST_DECIDED:
                values[place["unseen"]] = self._codes.unseen[codes].mean()
                values[place["surprise"]] = self._codes.surprise[codes].mean()
                values[place["confidence"]] = drift.confidence / decided
        values[place["abstained"]] = drift.abstained / drift.windows
        return values

    def _code_facts(self, drift: _StreamDrift) -> dict[str, float]:
        """Return how the codes since the last judgement differ from training's; empty when there are too few."""
        counts = drift.counts
        if counts.sum() < LEARNED * LEAST_DECIDED:
            return {}
        if not self._counted:
            return {"stability_index": self._codes.stability_index(counts)}
        bins = np.bincount(self._codes.bins, counts, COMMON_CODES + 2).astype(np.int64)
        return {
            "stability_index": self._codes.stability_index(bins),
            "perplexity": perplexity(counts),
            "usual_perplexity": self._codes.perplexity,
            "dead": self._codes.dead_share(counts),
            "unseen": float(counts[self._codes.unseen].sum() / counts.sum()),
        }

    def _against_training(
        self, drift: _StreamDrift, codes: dict[str, float]
    ) -> list[tuple[Series, float, float, float, int]]:
        """Return what lies beyond the limits against training, the worst first; its score is 1 at the limit."""
        found = []
        for at, (series, value) in enumerate(zip(self._series, drift.test.usual.tolist(), strict=True)):
            limit = LIMITS.get(series.kind)
            if limit is not None and at < len(self._between):
                limit = min(limit, MAX_SUBJECT_SIGMAS * self._between[at])
            if limit is not None and abs(value) > limit:
                found.append((series, value, 0.0, abs(value) / limit, LEARNED))
        index = codes.get("stability_index", 0.0)
        if index > MAX_STABILITY_INDEX:
            found.append((Series("codes", ""), index, 0.0, index / MAX_STABILITY_INDEX, LEARNED))
        fewer = math.log(codes["usual_perplexity"] / codes["perplexity"]) if "perplexity" in codes else 0.0
        if fewer > MAX_LOG_PERPLEXITY:
            found.append((Series("perplexity", ""), -fewer, 0.0, fewer / MAX_LOG_PERPLEXITY, LEARNED))
        return sorted(found, key=lambda entry: -entry[3])

    def _facts(
        self, test: str, found: list[tuple[Series, float, float, float, int]], drift: _StreamDrift, last: Decision
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


def _between(spread: SubjectSpread | None, channels: int) -> list[float]:
    """Return how far a new subject's mean may lie from training's, standard deviations by channel; empty if unknown.

    The deviation is between subjects, and the training's own mean is as uncertain as its subjects are few.
    """
    if spread is None or spread.subjects < LEAST_SUBJECTS or len(spread.mean) != channels:
        return []
    wider = 1.0 + 1.0 / spread.subjects
    return [math.sqrt(value * value * wider + FLOORS["mean"] ** 2) for value in spread.mean]
