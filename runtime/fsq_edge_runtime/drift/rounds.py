"""Windows of many streams that were answered together: kept by round, handed to each stream by column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add, itemgetter

from fsq_edge_runtime.drift.past import BLOCK, StreamPast
from fsq_edge_runtime.stream.records import Decision

T_START, RAW_LABEL, CONFIDENCE, CODE = (
    itemgetter(Decision._fields.index(name)) for name in ("t_start", "raw_label", "confidence", "code")
)


class Rounds:
    """What is not yet handed to the streams of one cohort: answered windows, of every stream one a round.

    Cost: a round is two lists of what other records hold, too. What is known of each stream, which the network has
    driven from the caches, is touched once in up to 64 rounds.

    Args:
        names: of the streams; kept, since this is found by the identity of that list.
        pasts: of the streams, in the order of every round.
        place: from a record to its code's place among those counted, as :attr:`StreamPast.codes` holds it.

    Attributes:
        names, pasts: as given.
    """

    def __init__(self, names: list[str], pasts: list[StreamPast], place: Callable[[Decision], int]) -> None:
        self.names, self.pasts, self._place = names, pasts, place
        self._left = BLOCK - max(len(past.codes) % BLOCK for past in pasts)  # a block that is judged next is none
        self._begins: list[float] = []
        self._codes: list[list[int]] = []
        self._confidences: list[list[float]] = []

    def add(self, answered: Sequence[Decision]) -> bool:
        """Take a round; return whether a stream's block is complete now, before which :meth:`hand_over` is due."""
        if not self._codes:
            self._begins = list(map(T_START, answered))
        self._codes.append(list(map(self._place, answered)))
        self._confidences.append(list(map(CONFIDENCE, answered)))
        return len(self._codes) >= self._left

    def hand_over(self) -> None:
        """Give every stream its own."""
        codes, confidences = zip(*self._codes, strict=True), zip(*self._confidences, strict=True)
        for past, begins, own, sure in zip(self.pasts, self._begins, codes, confidences, strict=True):
            if not past.codes:
                past.begins = begins
            past.codes += own
            past.confidence = reduce(add, sure, past.confidence)  # in order, to the bit
