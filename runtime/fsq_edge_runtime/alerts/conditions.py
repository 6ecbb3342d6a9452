"""When the condition of a rule holds on one stream, told from its windows in order."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from fsq_edge_runtime.alerts.rules import Abstention, AnyRule, CountPerDay, Lasting, ShareOfTime
from fsq_edge_runtime.tables.zones import open_zone

EARLIEST_S, LATEST_S = 31_536_000, 2**32  # 1971 to 2106: what is below counts from a start of its own
DAY_S: Final = 86_400.0
STEPS: Final = 60  # a share is judged so often in its window


class Piece(NamedTuple):
    """The time that one window adds to what the windows before it cover.

    Attributes:
        start: seconds of the source.
        end: seconds of the source.
        label: None without an answer.
    """

    start: float
    end: float
    label: str | None


class Holding(NamedTuple):
    """A condition that holds.

    Attributes:
        since: seconds of the source; names the episode.
        value: what was measured.
    """

    since: float
    value: float


class Condition(Protocol):
    """The condition of one rule on one stream."""

    def step(self, piece: Piece) -> Holding | None:
        """Take the next piece; return what holds at its end."""


class LastingCondition:
    """Classes that last longer than a time; breaks up to ``max_break_s`` do not end them."""

    def __init__(self, classes: tuple[str, ...], longer_than_s: float, max_break_s: float) -> None:
        self._classes, self._limit_s, self._break_s = frozenset(classes), longer_than_s, max_break_s
        self._since = self._until = 0.0
        self._on = False

    def step(self, piece: Piece) -> Holding | None:
        """Take the next piece; the length is up to the end of the last piece of the classes."""
        if piece.label in self._classes:
            if not self._on or piece.start - self._until > self._break_s:
                self._since, self._on = piece.start, True
            self._until = piece.end
        elif piece.end - self._until > self._break_s:
            self._on = False
        length = self._until - self._since
        return Holding(self._since, length) if self._on and length > self._limit_s else None


class ShareCondition:
    """A share of the last ``window_s`` seconds, judged ``STEPS`` times in them.

    Cost: 2 x ``STEPS`` numbers a stream, whatever the rate.
    """

    def __init__(
        self,
        window_s: float,
        least_coverage: float,
        counts: Callable[[str | None], tuple[bool, bool]],
        beyond: Callable[[float], bool],
    ) -> None:
        self._step_s, self._least_s = window_s / STEPS, least_coverage * window_s
        self._counts, self._beyond = counts, beyond
        self._covered, self._matched = [0.0] * STEPS, [0.0] * STEPS
        self._at: int | None = None  # the step under way, counted from the source's zero
        self._holding: Holding | None = None

    def step(self, piece: Piece) -> Holding | None:
        """Take the next piece; what holds changes at the end of a step only."""
        matched, covered = self._counts(piece.label)
        first, last = int(piece.start // self._step_s), int(piece.end // self._step_s)
        for number in range(max(first, last - STEPS), last + 1):
            self._go_to(number)
            length = min(piece.end, (number + 1) * self._step_s) - max(piece.start, number * self._step_s)
            self._covered[number % STEPS] += length if covered else 0.0
            self._matched[number % STEPS] += length if matched else 0.0
        return self._holding

    def _go_to(self, number: int) -> None:
        """Judge at the end of each step that is over, and empty the steps that begin."""
        if self._at is None or number - self._at > 2 * STEPS:
            self._covered, self._matched, self._holding = [0.0] * STEPS, [0.0] * STEPS, None
            self._at = number
        while self._at < number:
            self._judge(self._at + 1)
            self._at += 1
            self._covered[self._at % STEPS] = self._matched[self._at % STEPS] = 0.0

    def _judge(self, end: int) -> None:
        covered = sum(self._covered)
        share = sum(self._matched) / covered if covered > 0.0 else 0.0
        if covered <= 0.0 or covered < self._least_s * (1 - 1e-9) or not self._beyond(share):
            self._holding = None
        else:
            since = self._holding.since if self._holding else (end - STEPS) * self._step_s
            self._holding = Holding(since, share)


class CountCondition:
    """Bouts that begin in a calendar day."""

    def __init__(self, rule: CountPerDay) -> None:
        self._rule, self._zone = rule, open_zone(rule.zone)
        self._classes = frozenset(rule.classes)
        self._day = (0.0, 0.0)  # start and end of the day, seconds of the source
        self._count, self._known_s = 0, 0.0
        self._bout: tuple[float, float, bool] | None = None  # start, end, whether it has counted
        self._holding: Holding | None = None

    def step(self, piece: Piece) -> Holding | None:
        """Take the next piece; a bout counts on the day it begins, once it is long enough."""
        self._know(piece)
        if not self._day[0] < piece.end <= self._day[1]:
            self._next_day(piece)
            self._know(piece)
        if piece.label in self._classes:
            self._extend(piece)
        rule = self._rule
        if rule.above is not None:
            self._holding = Holding(self._day[0], self._count) if self._count > rule.above else None
        return self._holding

    def _know(self, piece: Piece) -> None:
        if piece.label is not None:
            self._known_s += max(0.0, min(piece.end, self._day[1]) - max(piece.start, self._day[0]))

    def _extend(self, piece: Piece) -> None:
        bout = self._bout
        if bout is None or piece.start - bout[1] > self._rule.max_break_s:
            bout = (piece.start, piece.end, False)
        start, _, counted = bout
        if not counted and piece.end - start >= self._rule.min_bout_s:
            self._count += start >= self._day[0]
            counted = True
        self._bout = (start, piece.end, counted)

    def _next_day(self, piece: Piece) -> None:
        rule, (low, high) = self._rule, self._day
        if rule.below is not None:
            known = high > low and self._known_s >= rule.least_coverage * (high - low) * (1 - 1e-9)
            self._holding = Holding(low, self._count) if known and self._count < rule.below else None
        self._day = self._day_of(math.nextafter(piece.end, -math.inf))
        self._count, self._known_s = 0, 0.0

    def _day_of(self, time: float) -> tuple[float, float]:
        if not EARLIEST_S <= time <= LATEST_S:
            return time // DAY_S * DAY_S, (time // DAY_S + 1) * DAY_S
        date = datetime.fromtimestamp(time, UTC).astimezone(self._zone).date()
        edges = [
            datetime(at.year, at.month, at.day, tzinfo=self._zone).timestamp()
            for at in (date, date + timedelta(days=1))
        ]
        # A zone that changes its clock at midnight may name a midnight that lies on the other side of ``time``.
        return min(edges[0], math.nextafter(time, -math.inf)), max(edges[1], math.nextafter(time, math.inf))


def make_condition(rule: AnyRule) -> Condition | None:
    """Return the condition of a rule that is told from windows; None for silence and drift."""
    match rule:
        case Lasting():
            return LastingCondition(rule.classes, rule.longer_than_s, rule.max_break_s)
        case ShareOfTime():
            classes, above, below = frozenset(rule.classes), rule.above, rule.below
            return ShareCondition(
                rule.window_s,
                rule.least_coverage,
                lambda label: (label in classes, label is not None),
                lambda share: share > above if above is not None else below is not None and share < below,
            )
        case Abstention():
            limit = rule.above
            return ShareCondition(
                rule.window_s, rule.least_coverage, lambda label: (label is None, True), lambda share: share > limit
            )
        case CountPerDay():
            return CountCondition(rule)
    return None
