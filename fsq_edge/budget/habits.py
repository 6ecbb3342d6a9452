"""What each wearer's movements are taken for, and what that says about the shares of one more wearer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.scores import LEAST_GROUPS, LEVEL

ROUNDS = 3000
ENOUGH = 1e-7  # largest change of a share in a round that ends the search
LEAST_SINGULAR = 0.02
LEAST_RATE = 1e-4  # no answer is impossible
WEARERS = 400  # imagined ones behind an interval
IMAGINED_ROUNDS, IMAGINED_ENOUGH = 300, 1e-5  # an end of an interval needs no more
UNSEEN_WEARER = 0.5  # of a labelled one: so much is even answers, as five good wearers do not rule out a bad sixth
EVIDENCE = 30.0  # independent bouts that a log counts as: how much likelier are habits that give its answers exactly
MOST_CELLS = 1 << 21  # of confusion matrices that are looked at together


class Habits:
    """What each labelled stream's classifier answers to each class, and how well that can be undone.

    Shares are arrays over ``states``: the true classes, then the answers that are none of them.

    Args:
        classes: K true classes.
        answers: A labels that decisions had.
        seconds: streams x K x A.
    """

    def __init__(
        self, classes: Sequence[str], answers: Sequence[str], seconds: Sequence[Sequence[Sequence[float]]]
    ) -> None:
        self.states = [*classes, *(name for name in answers if name not in classes)]
        place = [self.states.index(name) for name in answers]
        tables = np.zeros((len(seconds), len(self.states), len(self.states)))
        tables[:, : len(classes), place] = np.array(seconds)
        self._place, self._classes = place, len(classes)
        self._pooled = _rates(tables.sum(axis=0))
        known = tables.sum(axis=2, keepdims=True) > 0
        self._own = np.where(known, _rates(tables), self._pooled)
        singular = np.linalg.svd(self._pooled[: len(classes)], compute_uv=False)
        self._telling = bool(singular[-1] > LEAST_SINGULAR)  # or the answers do not tell the classes apart
        self._others = np.stack([_rates(tables.sum(axis=0) - own) for own in tables])

    def estimate(self, answers: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return the estimated shares and the ends of their interval (NaN where it cannot be known).

        Args:
            answers: shares of the answers of a stream, (A,).
        """
        decided = np.zeros(len(self.states))
        decided[self._place] = answers
        undone, named = self._undo(decided[None], self._pooled[None])[0], self._named(decided)
        if len(self._own) < LEAST_GROUPS or not self._telling:
            nothing = np.full(len(undone), np.nan)
            return undone, nothing, nothing
        # Weighed at the shares that may be true: which of them is, nobody knows.
        weight = self._weigh(np.stack([undone, named]))
        estimate = weight * undone + (1 - weight) * named
        low, high = self._interval(decided)
        return estimate, np.minimum(low, estimate), np.maximum(high, estimate)

    def _weigh(self, true: Float64Array) -> float:
        """Return how far to go from the decided shares to the undone ones, 0 to 1.

        Args:
            true: shares (P, states) that the labelled streams are given; each is corrected by the others.
        """
        answers = np.einsum("pk,gka->pga", true, self._own)
        others = np.broadcast_to(self._others, (len(true), *self._others.shape))
        shape = (-1, len(self.states))
        undone = self._undo(answers.reshape(shape), others.reshape(-1, *others.shape[2:])).reshape(answers.shape)
        decided = self._named(answers)
        step, rest = undone - decided, true[:, None] - decided
        return float(np.clip((step * rest).sum() / max(float((step * step).sum()), 1e-12), 0.0, 1.0))

    def _interval(self, decided: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return the interval of each share of one more wearer: quantiles over imagined ones, by how well they fit.

        Source: mean habits by the Bayesian bootstrap over wearers (Rubin 1981); a wearer's own are Dirichlet around
        them, as far spread as the labelled ones are.
        """
        draw = np.random.default_rng(0)  # the same log has the same interval
        rates = self._imagine(draw)
        answers = np.broadcast_to(decided, (WEARERS, len(decided)))
        step = max(1, MOST_CELLS // rates[0].size)
        parts = range(0, WEARERS, step)
        undone = np.concatenate(
            [
                self._undo(answers[at : at + step], rates[at : at + step], IMAGINED_ROUNDS, IMAGINED_ENOUGH)
                for at in parts
            ]
        )
        seen = decided > 0
        mixed = np.einsum("rk,rka->ra", undone, rates)[:, seen]
        misfit = (decided[seen] * np.log(decided[seen] / np.maximum(mixed, 1e-300))).sum(axis=1)
        fits = np.exp(-EVIDENCE * (misfit - misfit.min()))
        order = np.argsort(undone, axis=0)
        below = np.cumsum(fits[order], axis=0) / fits.sum()
        shares = np.take_along_axis(undone, order, axis=0)
        ends = [np.minimum((below < level).sum(axis=0), WEARERS - 1) for level in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
        low, high = (np.take_along_axis(shares, end[None], axis=0)[0] for end in ends)
        # The search comes near to none and never gets there.
        return np.where(low < IMAGINED_ENOUGH, 0.0, low), high

    def _imagine(self, draw: Generator) -> Float64Array:
        """Return the rates (WEARERS, states, states) of wearers who might have been labelled."""
        own = self._own[:, : self._classes][:, :, self._place]
        count, classes, answers = own.shape
        mean = own.mean(axis=0)
        # How far wearers differ, of how far they could: 0 is all alike, 1 is each with one answer only.
        spread = own.var(axis=0, ddof=1).sum() / max(float((mean * (1 - mean)).sum()), 1e-12)
        freedom = classes * (count - 1) / 2
        spreads = np.clip(spread * freedom / draw.chisquare(freedom, WEARERS), 1e-3, 0.9)[:, None, None]
        weights = draw.dirichlet(np.ones(count), size=(WEARERS, classes))
        means = np.einsum("rkg,gka->rka", weights, own)
        means = (count * means + UNSEEN_WEARER / answers) / (count + UNSEEN_WEARER)
        drawn = draw.standard_gamma((1 / spreads - 1) * means)
        rates = np.zeros((WEARERS, *self._pooled.shape))
        rates[:, :classes, self._place] = drawn
        return _rates(rates)

    def _named(self, answers: Float64Array) -> Float64Array:
        """Return answers (..., states) as shares of the classes alone."""
        named = answers.copy()
        named[..., self._classes :] = 0.0
        return np.asarray(named / np.maximum(named.sum(axis=-1, keepdims=True), 1e-300), dtype=np.float64)

    def _undo(
        self, answers: Float64Array, rates: Float64Array, rounds: int = ROUNDS, enough: float = ENOUGH
    ) -> Float64Array:
        """Return the most likely shares (R, states) of classes behind answers (R, states).

        The rates are (R, states, states). What is no class has no share.

        Source: expectation maximization for shares under a known confusion matrix: Dempster, Laird and Rubin 1977.
        """
        found = np.zeros(answers.shape)
        found[:, : self._classes] = 1 / self._classes
        for _ in range(rounds):
            mixed = np.einsum("rk,rka->ra", found, rates)
            new = found * np.einsum("rka,ra->rk", rates, answers / np.maximum(mixed, 1e-300))
            new /= np.maximum(new.sum(axis=1, keepdims=True), 1e-300)
            moved = float(np.abs(new - found).max(initial=0.0))
            found = new
            if moved < enough:
                break
        return found


def _rates(seconds: Float64Array) -> Float64Array:
    """Return the share of each answer given a class, (..., K, A); a class without time has even ones."""
    whole = seconds.sum(axis=-1, keepdims=True)
    shares = np.where(whole > 0, seconds / np.maximum(whole, 1e-300), 1 / seconds.shape[-1])
    shares = np.maximum(shares, LEAST_RATE)
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True), dtype=np.float64)
