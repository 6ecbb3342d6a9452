"""The histogram of codes that training left, and how a stream's codes differ from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float64Array, Int64Array

COMMON_CODES = 9  # bins of their own; the other codes of training share one, codes it never had another
LEAST_EXPECTED = 5.0  # occurrences, before a code that never came says something
PRIOR = 0.5  # added to each bin: an empty one would make the index infinite


class CodeReference:
    """The fingerprint of a bundle, as bins and as surprise.

    Args:
        counts: occurrences by code on the training split.

    Attributes:
        strangeness: (codes, 2) whether training never had a code, 1 or 0, and -log2 of its share there, bits; half an
            occurrence is added to each.
        bins: the bin of each code; the last bin holds what training never had.
        unseen: whether training never had the code, by code.
        perplexity: of training: how many codes it used, were all used equally often.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        seen = np.asarray(counts, dtype=np.int64)
        share = (seen + PRIOR) / (seen.sum() + PRIOR * len(seen))
        self.unseen: BoolArray = seen == 0
        self.strangeness: Float64Array = np.stack([self.unseen, -np.log2(share)], axis=1)
        self._share = seen / max(1, int(seen.sum()))
        self.perplexity = perplexity(seen)
        order = np.argsort(-seen, kind="stable")
        places = np.full(len(seen), COMMON_CODES, dtype=np.int64)
        common = order[:COMMON_CODES]
        places[common] = np.arange(len(common))
        places[seen == 0] = COMMON_CODES + 1
        self.bins: Int64Array = places
        self._expected = self._shares(np.bincount(places, seen, COMMON_CODES + 2).astype(np.int64))

    def dead_share(self, counts: Int64Array) -> float:
        """Return the share of training's windows whose codes should have come (five times or more) and never did.

        Args:
            counts: (codes,) occurrences now.
        """
        due = self._share * counts.sum() >= LEAST_EXPECTED
        return float(self._share[due & (counts == 0)].sum())

    def stability_index(self, counts: Int64Array) -> float:
        """Return the population stability index of binned counts (bins,) against training, 0 for equal shares.

        Source: Siddiqi 2006, Credit Risk Scorecards: the sum of (actual - expected) ln(actual / expected).
        """
        actual = self._shares(counts)
        return float(((actual - self._expected) * np.log(actual / self._expected)).sum())

    @staticmethod
    def _shares(counts: Int64Array) -> Float64Array:
        return np.asarray((counts + PRIOR) / (counts.sum() + PRIOR * len(counts)), dtype=np.float64)


def perplexity(counts: Int64Array) -> float:
    """Return the exponential of the entropy of counts: the number of codes in use, weighted by how often."""
    share = counts[counts > 0] / max(1, int(counts.sum()))
    return float(np.exp(-(share * np.log(share)).sum()))
