"""The decision chains of several streams as columns: one step of all costs little more than one step of one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fsq_edge_runtime.arrays import Float64Array, Int64Array
from fsq_edge_runtime.decision import UNKNOWN, ChainState, DecisionChain

Rows = slice | Int64Array


class DecisionChains:
    """What :class:`DecisionChain` is for one stream, to the bit, for S streams.

    The chains given stand still until :meth:`settle` brings them up to date.

    Args:
        chains: of equal settings, without a median, which keeps a history that has no form as columns.
        classes: K.

    Attributes:
        decays: whether probabilities are smoothed.
        plain: as of :class:`DecisionChain`.
    """

    def __init__(self, chains: Sequence[DecisionChain], classes: int) -> None:
        self._chains = chains
        self._settings = first = chains[0]
        states = [chain.state for chain in chains]
        self._label: Int64Array = np.asarray([state.label for state in states], dtype=np.int64)
        self._age: Int64Array = np.asarray([state.age for state in states], dtype=np.int64)
        self._candidate: Int64Array = np.asarray([state.candidate for state in states], dtype=np.int64)
        self._lead: Int64Array = np.asarray([state.lead for state in states], dtype=np.int64)
        self.decays, self.plain = first.weight < 1.0, first.plain
        if self.decays:
            self._elapsed: Int64Array = np.asarray([state.elapsed for state in states], dtype=np.int64)
            self._known = np.asarray([state.smoothed is not None for state in states], dtype=np.bool_)
            none = [0.0] * classes
            self._smoothed: Float64Array = np.asarray([state.smoothed or none for state in states], dtype=np.float64)
            # After windows without scores the old ones have faded; numpy's expm1 would differ in the last bit.
            weights = [first.weight if one.elapsed == 1 else -math.expm1(-one.elapsed * first.rate) for one in states]
            self._weight: Float64Array = np.asarray(weights, dtype=np.float64)[:, None]

    def step(self, probabilities: Float64Array, rows: Rows) -> tuple[Int64Array, Float64Array, Float64Array]:
        """Take the probabilities (N, K) of the next window of the streams ``rows``.

        Returns:
            As :meth:`DecisionChain.step`, the labels (N,) and the smoothed probabilities (N, K), and each label's own
            (the best class's for ``UNKNOWN``) (N,).
        """
        settings = self._settings
        smoothed = self._smooth(probabilities, rows)
        numbers = np.arange(len(smoothed))
        age = self._age[rows] + 1
        top = smoothed.argmax(axis=1)
        best = smoothed[numbers, top]
        label, candidate, lead = self._label[rows], self._candidate[rows], self._lead[rows]
        free = age > settings.refractory
        if settings.leave > 0.0:
            given_up = (label != UNKNOWN) & (smoothed[numbers, label] < settings.leave) & free
            label = np.where(given_up, UNKNOWN, label)
        contends = (top != label) & (best >= settings.enter)
        lead = np.where(contends & (top == candidate), lead + 1, 0)
        wins = contends & (lead >= settings.dwell) & free
        label = np.where(wins, top, label)
        stays = contends & ~wins
        self._label[rows], self._age[rows] = label, np.where(wins, 0, age)
        self._candidate[rows], self._lead[rows] = np.where(stays, top, UNKNOWN), np.where(stays, lead, 0)
        if settings.unknown_below > 0.0:
            label = np.where(best < settings.unknown_below, UNKNOWN, label)
        return label, smoothed, np.where(label == UNKNOWN, best, smoothed[numbers, label])

    def take(self, raw: Int64Array, rows: Rows) -> None:
        """Take the best class (N,) of the next window of the streams ``rows``, which are plain: it is the label."""
        self._age[rows] = np.where(self._label[rows] == raw, self._age[rows] + 1, 0)
        self._label[rows] = raw

    def settle(self) -> None:
        """Bring the chains up to date."""
        columns = (column.tolist() for column in (self._label, self._age, self._candidate, self._lead))
        for row, (chain, *plain) in enumerate(zip(self._chains, *columns, strict=True)):
            label, age, candidate, lead = plain
            smoothed, elapsed = None, 1
            if self.decays:
                smoothed = self._smoothed[row].tolist() if self._known[row] else None
                elapsed = int(self._elapsed[row])
            chain.state = ChainState(label, age, candidate, lead, smoothed, elapsed)

    def _smooth(self, probabilities: Float64Array, rows: Rows) -> Float64Array:
        if not self.decays:
            return probabilities
        old = self._smoothed[rows]
        moved = old + self._weight[rows] * (probabilities - old)
        smoothed = np.where(self._known[rows, None], moved, probabilities)
        self._smoothed[rows], self._known[rows], self._elapsed[rows] = smoothed, True, 1
        self._weight[rows] = self._settings.weight
        return np.asarray(smoothed)
