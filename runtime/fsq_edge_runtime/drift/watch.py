"""Drift of every stream of a session, judged every 64 windows; an alarm is a ``drift`` record."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.drift.arrival import ArrivalWatch
from fsq_edge_runtime.drift.codes import COMMON_CODES, CodeReference, perplexity
from fsq_edge_runtime.drift.looks import LEAST_SQUARE, InputLooks
from fsq_edge_runtime.drift.page_hinkley import LEARNED
from fsq_edge_runtime.drift.past import ABSTAINED, BLOCK, LOOK_EVERY, NO_PLACE, StreamPast
from fsq_edge_runtime.drift.rounds import CODE, Rounds
from fsq_edge_runtime.drift.series import (
    FLOORS,
    LIMITS,
    MAX_LOG_PERPLEXITY,
    MAX_STABILITY_INDEX,
    OTHERS,
    RELEASED,
    REST,
    RESTING,
    Series,
)
from fsq_edge_runtime.drift.sphere import Offset, fit_offset
from fsq_edge_runtime.drift.subjects import Beyond, SubjectReference
from fsq_edge_runtime.stream.records import Decision, Record, StreamEvent

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

LEAST_DECIDED: Final = 16  # of a block's windows, or its codes say too little
LEAST_LOOKS: Final = 4
MOST_WEIGHTLESS: Final = 3  # blocks that show data without gravity, until it is judged no more
MOST_ERROR: Final = 0.02  # g: of an offset that is taken off before the length of gravity is judged
LEAST_PERIOD: Final = LEARNED * LEAST_LOOKS  # looks of 32 blocks, or its figures say too little
SPREAD: Final = 16  # rounds over which the blocks of streams in step are judged, which all end in the same one
MAX_COUNTED_CODES: Final = 4096  # of a larger code book no perplexity is kept: it would take too much of every stream

Found = tuple[Series, float, float, float, int]  # series, value, usual value, score, blocks since it began


class DriftWatch:
    """Watches every stream of a session and reports moves of its input, codes, confidence and abstentions.

    Two tests run. *Change* compares each series with the stream's own past (Page-Hinkley), and the accelerometer's
    offset with that of the stream before; after an alarm the stream learns anew, so a change that stays is reported
    once. *Training* compares 32 blocks at a time with the training data, for faults that were there from the beginning;
    what stays beyond a limit is reported once. Where the bundle knows how far the subjects of training differ, the
    stream is also held against that.

    Args:
        bundle: its statistics and its fingerprint. Where its head has no codes, classes stand in for them.

    Attributes:
        every: the input of windows is to be looked at whose number is a multiple of this.
        arrival: watches the rate at which samples without timestamps come.

    Cost: see docs/drift.md; about 25 KB a stream of six channels and a hundred samples a window.
    """

    def __init__(self, bundle: Bundle) -> None:
        config, prints = bundle.preprocess, bundle.fingerprint
        names = [channel.name for channel in config.channels]
        size = len(names)
        self._codes = CodeReference(prints.counts)
        coded = getattr(bundle.tail, "codebook", None) is not None
        classes = {} if coded else {name: place for place, name in enumerate(bundle.manifest.classes)}
        self._place_of = None if coded else lambda record: classes.get(record.raw_label, NO_PLACE)
        self._counted = len(prints.counts) if len(prints.counts) <= MAX_COUNTED_CODES else 0
        self._input = InputLooks(config)
        self._subjects = SubjectReference(prints.between, self._input, size)
        self._series = [Series(kind, name) for kind in ("mean", "spread", "step") for name in names]
        self._series += [Series(kind, "") for kind in OTHERS]
        self._floors = np.array([FLOORS[series.kind] for series in self._series])
        self._known_codes = prints.tells
        unknown = set() if self._known_codes else {"unseen"}
        unknown |= set() if self._input.is_known else {"mean", "spread"}
        self._limits = [
            math.inf if series.kind in unknown else LIMITS.get(series.kind, math.inf) for series in self._series
        ]
        self._limits[: len(self._subjects.mean_limits)] = self._subjects.mean_limits
        self._place = {kind: 3 * size + at for at, kind in enumerate(OTHERS)}
        self._channels = size
        self._streams: dict[str, StreamPast] = {}
        self.arrival, self.every = ArrivalWatch(), LOOK_EVERY
        self._rounds: dict[int, Rounds] = {}
        self._waiting: deque[tuple[StreamPast, Decision]] = deque()  # complete blocks, each with its latest record
        self._share = 0  # of them, judged at every round

    def of(self, stream: str) -> StreamPast:
        """Return what is known of a stream, which is opened where it is new."""
        return self._streams.get(stream) or self._open(stream)

    def look(self, stream: str, seq: int, window: Float32Array, rate: float | None = None) -> None:
        """Take the input of window ``seq``, before it is decided; it counts with its decision.

        Args:
            stream: id of the stream.
            seq: number of the window.
            window: (C, T), raw units.
            rate: measured rate of the source over its nominal one; None where it is not known.
        """
        self.of(stream).hold(seq, window, rate)

    def see(self, record: Record) -> list[StreamEvent]:
        """Take a record; return the ``drift`` record of the block that it completes, if that raises an alarm."""
        found = self.settle()
        if isinstance(record, Decision):
            past = self.of(record.stream)
            if past.count(record):
                found += self.judge(past, record)
        return found

    def see_round(self, names: list[str], answered: Sequence[Decision]) -> list[StreamEvent]:
        """Take, and judge, answered windows (none missed, none abstained) of streams of a cohort, one of each.

        Args:
            names: of the streams, in order; the same list every time.
            answered: their records.
        """
        found = self._judge_waiting(self._share)
        rounds = self._rounds.get(id(names))
        if rounds is None:
            if not all(set(names).isdisjoint(other.names) for other in self._rounds.values()):
                found += self.settle()
            rounds = self._rounds[id(names)] = Rounds(names, list(map(self.of, names)), self._place_of or CODE)
        if rounds.add(answered):
            del self._rounds[id(names)]
            if any(len(past.codes) >= BLOCK for past in rounds.pasts):
                found += self._judge_waiting(len(self._waiting))
            rounds.hand_over()
            self._waiting += [pair for pair in zip(rounds.pasts, answered, strict=True) if len(pair[0].codes) >= BLOCK]
            self._share = math.ceil(len(self._waiting) / SPREAD)
        return found

    def settle(self) -> list[StreamEvent]:
        """Hand the rounds to their streams and judge every block that is complete; return the alarms.

        Due before one of those streams takes a record by itself; :meth:`see` does it.
        """
        if not (self._rounds or self._waiting):
            return []
        found = self._judge_waiting(len(self._waiting))
        for rounds in self._rounds.values():  # no block is complete
            rounds.hand_over()
        self._rounds.clear()
        return found

    def _judge_waiting(self, most: int) -> list[StreamEvent]:
        """Judge blocks of streams in step that are complete, at most so many of them."""
        return [event for _ in range(min(most, len(self._waiting))) for event in self.judge(*self._waiting.popleft())]

    def forget(self, stream: str) -> None:
        """Drop what is known of a stream that was closed."""
        self.settle()  # completes no block
        self._streams.pop(stream, None)

    def _open(self, stream: str) -> StreamPast:
        size = self._counted or COMMON_CODES + 2
        past = self._streams[stream] = StreamPast(self._input, size, self._floors, self._place_of)
        return past

    def judge(self, past: StreamPast, last: Decision) -> list[StreamEvent]:
        """End the block of a stream; return its alarm, if there is one.

        Args:
            past: of the stream.
            last: record of the window that completed the block.
        """
        values, first = self._values(past, last.seq)
        past.end_block()
        found: list[Found] = [
            (self._series[change.series], float(values[change.series]), change.usual, change.score, change.values)
            for change in past.test.step(values, first)
        ]
        test, codes = "change", {}
        if not found and past.blocks % LEARNED == 0:
            found, beyond = self._against_subjects(past)
            if not found:
                codes = self._code_facts(past)
                beyond += self._against_training(past, codes)
                test, found = "training", past.news([entry for entry in beyond if entry[3] > RELEASED])
            past.counts[:] = 0
        if not found:
            return []
        facts = self._facts(test, found, past, last)
        if codes:
            facts["codes"] = {name: round(value, 4) for name, value in codes.items()}
        if test == "change":  # what it is now is the new past; a stream far from training is watched for changes, too
            past.learn_anew()
        return [StreamEvent("drift", last.stream, facts)]

    def _values(self, past: StreamPast, seq: int) -> tuple[Float64Array, int]:
        """Return the series (K,) of the block that ends with window ``seq``; unknown ones take their usual value.

        Returns:
            The series, and the first that counts: of a wearer who rests, posture, codes and abstentions say nothing.
        """
        values = past.test.usual.copy()
        look, rates = past.look(seq)
        within: list[list[float]] = []
        place = self._place
        if look is not None and look.windows >= LEAST_LOOKS:
            values[: 3 * self._channels] = self._input.series(look)
            within = self._input.within(look)
            if self._input.has_gravity and past.weightless < MOST_WEIGHTLESS:
                length = self._input.gravity(look, within, past.center)
                if length is not None and math.isnan(length):
                    past.weightless += 1
                elif length is not None:
                    values[place["gravity"]] = math.log(max(LEAST_SQUARE, length))
        if len(rates) >= LEAST_LOOKS and sum(rates) > 0:
            values[place["rate"]] = math.log(sum(rates) / len(rates))
        if within and sum(max(variances) < REST**2 for variances in within) >= RESTING * len(within):
            return values, place["gravity"]
        codes = np.array(past.codes)
        decided = len(codes) - past.codes.count(ABSTAINED)
        if min(past.codes) < 0:
            codes = codes[codes >= 0]
        if len(codes):
            kinds = codes if self._counted else self._codes.bins[codes]
            past.counts += np.bincount(kinds, minlength=len(past.counts))
            if len(codes) >= LEAST_DECIDED:
                strange = np.add.reduce(self._codes.strangeness[codes], axis=0) / len(codes)
                values[place["unseen"]], values[place["surprise"]] = strange.tolist()
                values[place["confidence"]] = past.confidence / decided
        values[place["abstained"]] = 1.0 - decided / len(past.codes)
        return values, 0

    def _against_subjects(self, past: StreamPast) -> tuple[list[Found], list[Found]]:
        """Return what of the latest 32 blocks moved against the stream's own past, and what lies beyond subjects."""
        period = past.end_period()
        if period is None or period.windows < LEAST_PERIOD:
            return [], []
        offset = None
        if self._input.has_gravity:
            sphere = self._input.sphere(period)
            offset, former = _offset(sphere), None if past.former is None else _offset(past.former)
            moved = self._subjects.moved(offset, former) if offset is not None and former is not None else []
            sure = [axis for axis in moved if axis[0] in past.doubted]
            past.doubted = {axis[0] for axis in moved}
            if sure:  # two periods in a row: the fit of one alone may be led astray by its postures
                return _since(sure, 2 * LEARNED), []
            if moved:
                offset = None
            else:
                past.remember(sphere)
                if offset is not None and offset.error.max() < MOST_ERROR:
                    past.center = offset.center
        return [], _since(self._subjects.beyond(self._input.figures(period), offset))

    def _code_facts(self, past: StreamPast) -> dict[str, float]:
        """Return how the codes since the last judgement differ from training's; empty when there are too few."""
        counts = past.counts
        if not self._known_codes or counts.sum() < LEARNED * LEAST_DECIDED:
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

    def _against_training(self, past: StreamPast, codes: dict[str, float]) -> list[Found]:
        """Return how all that was seen lies against the limits of training; a score is 1 at the limit."""
        usual, size = past.test.usual.tolist(), self._channels
        first = 0 if past.test.seen >= LEAST_DECIDED else self._place["gravity"]  # a wearer who only rested
        # Where every channel moves less, the wearer rests: each is held against the liveliest then.
        rest = min(0.0, max(usual[size : 2 * size]))
        usual[size : 2 * size] = [value - rest for value in usual[size : 2 * size]]
        found: list[Found] = [
            (series, value, 0.0, abs(value) / limit, LEARNED)
            for series, value, limit in islice(zip(self._series, usual, self._limits, strict=True), first, None)
            if limit < math.inf
        ]
        index = codes.get("stability_index", 0.0)
        if index:
            found.append((Series("codes", ""), index, 0.0, index / MAX_STABILITY_INDEX, LEARNED))
        fewer = math.log(codes["usual_perplexity"] / codes["perplexity"]) if "perplexity" in codes else 0.0
        if fewer > 0:
            found.append((Series("perplexity", ""), -fewer, 0.0, fewer / MAX_LOG_PERPLEXITY, LEARNED))
        return found

    def _facts(self, test: str, found: list[Found], past: StreamPast, last: Decision) -> dict[str, object]:
        series, value, usual, score, blocks = found[0]
        also = [other[0].name for other in found[1:]]
        return series.facts(last.seq, past.began(blocks), last.t_end, test, value, usual, score, also)


def _offset(sums: Float64Array) -> Offset | None:
    offset = fit_offset(sums)
    return offset if offset is not None and offset.is_of_gravity else None


def _since(beyond: list[Beyond], blocks: int = LEARNED) -> list[Found]:
    return [(*entry, blocks) for entry in sorted(beyond, key=lambda entry: -entry[3])]
