"""Shares corrected for the mistakes that a classifier is known to make, with an interval."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from fsq_edge.budget.decisions import ABSTAINED, MISSED
from fsq_edge.budget.truth import overlay
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.scores import LEAST_GROUPS, LEVEL

ROUNDS = 3000
ENOUGH = 1e-7  # largest change of a share in a round that ends the search
MAX_UNSEEN = 0.01  # share of a stream's time; less is left out
LEAST_SINGULAR = 0.02
LEAST_RATE = 1e-4  # no answer is impossible
WITHOUT_ANSWER = (ABSTAINED, MISSED)


class Correction(Artefact):
    """How long each true class was answered by what, stream by stream (``correction.json``).

    Attributes:
        classes: K true classes.
        answers: A labels that decisions had, in the order of the columns.
        streams: names of the labelled streams; one wearer each, so that their differences say how sure the rest is.
        seconds: streams x K x A.
    """

    KIND: ClassVar[str] = "the correction"

    classes: tuple[str, ...] = Field(min_length=1, max_length=512)
    answers: tuple[str, ...] = Field(min_length=1, max_length=512)
    streams: tuple[str, ...] = Field(min_length=1, max_length=4096)
    seconds: tuple[tuple[tuple[float, ...], ...], ...]

    @model_validator(mode="after")
    def _shaped(self) -> Self:
        shape = (len(self.streams), len(self.classes), len(self.answers))
        rows = [row for table in self.seconds for row in table]
        if len(self.seconds) != shape[0] or any(len(table) != shape[1] for table in self.seconds):
            raise ValueError(f"seconds must be {shape}")
        if any(len(row) != shape[2] or min(row) < 0 for row in rows):
            raise ValueError(f"seconds must be {shape}, not negative")
        if len(set(self.classes)) < shape[1] or len(set(self.answers)) < shape[2]:
            raise ValueError("a class or an answer occurs twice")
        return self

    @classmethod
    def measure(cls, pieces: pd.DataFrame, truth: pd.DataFrame) -> Correction:
        """Measure it on streams that were labelled.

        Args:
            pieces: table of ``read_decisions``.
            truth: table of ``read_truth``.

        Raises:
            DataError: no labelled time has an answer.
        """
        both = overlay(pieces, truth)
        both = both[~both["state"].isin(WITHOUT_ANSWER)]
        if both.empty:
            raise DataError("no labelled time has an answer")
        both["length_s"] = both["end"] - both["start"]
        sums = both.groupby(["stream", "truth", "state"])["length_s"].sum()
        streams, classes, answers = (sorted(sums.index.unique(level=level)) for level in ("stream", "truth", "state"))
        whole = pd.MultiIndex.from_product([streams, classes, answers])
        table = sums.reindex(whole, fill_value=0.0).to_numpy().reshape(len(streams), len(classes), len(answers))
        seconds = tuple(tuple(tuple(float(cell) for cell in row) for row in rows) for rows in table)
        return cls(classes=tuple(classes), answers=tuple(answers), streams=tuple(streams), seconds=seconds)


def correct(pieces: pd.DataFrame, correction: Correction) -> pd.DataFrame:
    """Estimate the true shares of each stream's answered time.

    Undoing a classifier's mistakes helps where wearers are alike, and does harm where each has habits of its own. So
    the estimate lies between the decided shares and those under which the answers are most likely, where the labelled
    streams would have come nearest to the truth, each corrected by the others. How far they would still have been off
    gives the interval, for the stream of one more wearer.

    Args:
        pieces: table of ``read_decisions``.
        correction: measured on other streams.

    Returns:
        ``stream``, ``state``, ``percent`` (of the answered time, as decided), ``corrected`` and, 95 %, ``low`` and
        ``high``; those are NaN with fewer than three labelled streams, and where the answers do not tell the classes
        apart. ``corrected`` adds up to 100 a stream.

    Raises:
        DataError: more than ``MAX_UNSEEN`` of a stream's time has an answer that the correction has never seen.

    Source: expectation maximization for shares under a known confusion matrix: Dempster, Laird and Rubin 1977.
    """
    habits = _Habits(correction)
    answered = pieces[~pieces["state"].isin(WITHOUT_ANSWER)]
    parts = []
    for stream, own in answered.groupby("stream", sort=True):
        seconds = (own["end"] - own["start"]).groupby(own["state"]).sum()
        unseen = seconds[~seconds.index.isin(correction.answers)]
        if unseen.sum() > MAX_UNSEEN * seconds.sum():
            raise DataError(
                f"stream {stream!r} has the answer {unseen.idxmax()!r}, which the correction has never seen",
                hint="measure it again, on labelled streams of this bundle",
            )
        answers = seconds.reindex(list(correction.answers), fill_value=0.0).to_numpy()
        estimate, margin = habits.estimate(answers / answers.sum())
        row = pd.DataFrame({"stream": stream, "state": habits.states})
        decided = dict(zip(correction.answers, answers / answers.sum(), strict=True))
        row["percent"] = [100 * decided.get(name, 0.0) for name in habits.states]
        row["corrected"] = 100 * estimate
        row["low"], row["high"] = 100 * np.maximum(estimate - margin, 0.0), 100 * np.minimum(estimate + margin, 1.0)
        parts.append(row)
    return pd.concat(parts, ignore_index=True)


class _Habits:
    """What each labelled stream's classifier answers to each class, and how well that can be undone.

    Shares are arrays over ``states``: the true classes, then the answers that are none of them.
    """

    def __init__(self, correction: Correction) -> None:
        classes, answers = correction.classes, correction.answers
        self.states = [*classes, *(name for name in answers if name not in classes)]
        place = [self.states.index(name) for name in answers]
        tables = np.zeros((len(correction.streams), len(self.states), len(self.states)))
        tables[:, : len(classes), place] = np.array(correction.seconds)
        self._place, self._classes = place, len(classes)
        self._pooled = _rates(tables.sum(axis=0))
        known = tables.sum(axis=2, keepdims=True) > 0
        self._own = np.where(known, _rates(tables), self._pooled)
        singular = np.linalg.svd(self._pooled[: len(classes)], compute_uv=False)
        self._telling = bool(singular[-1] > LEAST_SINGULAR)  # or the answers do not tell the classes apart
        self._others = np.stack([_rates(tables.sum(axis=0) - own) for own in tables])

    def estimate(self, answers: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return the estimated shares and how far they may be off (NaN where that cannot be told)."""
        decided = np.zeros(len(self.states))
        decided[self._place] = answers
        undone, named = self._undo(decided[None], self._pooled[None])[0], self._named(decided)
        if len(self._own) < LEAST_GROUPS or not self._telling:
            return undone, np.full(len(undone), np.nan)
        # Tried at the shares that may be true: which of them is, nobody knows.
        weight, _ = self._try(np.stack([undone, named]))
        estimate = weight * undone + (1 - weight) * named
        _, off = self._try(np.stack([undone, named, estimate]), weight)
        count = len(self._own)
        spread = (off**2).mean(axis=1).max(axis=0)
        return estimate, _t_quantile(count - 1) * np.sqrt(spread * (1 + 1 / count))

    def _try(self, true: Float64Array, weight: float | None = None) -> tuple[float, Float64Array]:
        """Correct the labelled streams as if they had true shares (P, states).

        Args:
            true: shares of the classes.
            weight: of undoing, 0 to 1; None finds the one that does best.

        Returns:
            The weight, and how far each stream is off then, (P, G, states).
        """
        answers = np.einsum("pk,gka->pga", true, self._own)
        others = np.broadcast_to(self._others, (len(true), *self._others.shape))
        shape = (-1, len(self.states))
        undone = self._undo(answers.reshape(shape), others.reshape(-1, *others.shape[2:])).reshape(answers.shape)
        decided = self._named(answers)
        step, rest = undone - decided, true[:, None] - decided
        if weight is None:
            weight = float(np.clip((step * rest).sum() / max(float((step * step).sum()), 1e-12), 0.0, 1.0))
        return weight, weight * step - rest

    def _named(self, answers: Float64Array) -> Float64Array:
        """Return answers (..., states) as shares of the classes alone."""
        named = answers.copy()
        named[..., self._classes :] = 0.0
        return np.asarray(named / np.maximum(named.sum(axis=-1, keepdims=True), 1e-300), dtype=np.float64)

    def _undo(self, answers: Float64Array, rates: Float64Array) -> Float64Array:
        """Return the most likely shares (R, states) of classes behind answers (R, states).

        The rates are (R, states, states). What is no class has no share.
        """
        found = np.zeros(answers.shape)
        found[:, : self._classes] = 1 / self._classes
        for _ in range(ROUNDS):
            mixed = np.einsum("rk,rka->ra", found, rates)
            new = found * np.einsum("rka,ra->rk", rates, answers / np.maximum(mixed, 1e-300))
            new /= np.maximum(new.sum(axis=1, keepdims=True), 1e-300)
            moved = float(np.abs(new - found).max(initial=0.0))
            found = new
            if moved < ENOUGH:
                break
        return found


def _rates(seconds: Float64Array) -> Float64Array:
    """Return the share of each answer given a class, (..., K, A); a class without time has even ones."""
    whole = seconds.sum(axis=-1, keepdims=True)
    shares = np.where(whole > 0, seconds / np.maximum(whole, 1e-300), 1 / seconds.shape[-1])
    shares = np.maximum(shares, LEAST_RATE)
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True), dtype=np.float64)


def _t_quantile(freedom: int) -> float:
    """Return the two-sided quantile of Student's t at ``LEVEL``."""
    stats: Any = need("scipy.stats", "data", "a corrected budget")
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))
