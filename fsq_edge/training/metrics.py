"""Metrics of one pass: loss, accuracy, macro-F1, and how the code book is used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """What a pass over n windows gave.

    Args:
        loss: mean cross-entropy per window, not per batch.
        label: (n,) int64 true classes.
        predicted: (n,) int64.
        code: (n,) int64 FSQ indices.
        classes: number of classes.
        codes: size of the code book.
    """

    loss: float
    label: Int64Array
    predicted: Int64Array
    code: Int64Array
    classes: int
    codes: int

    @property
    def accuracy(self) -> float:
        """Share of windows whose class is right."""
        return float(np.mean(self.label == self.predicted))

    @property
    def confusion(self) -> Int64Array:
        """(classes, classes) counts, true class by row."""
        return np.bincount(self.label * self.classes + self.predicted, minlength=self.classes**2).reshape(
            self.classes, self.classes
        )

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur as truth or as answer, as scikit-learn computes it."""
        confusion = self.confusion
        hits, total = np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1)
        return float(np.mean(2 * hits[total > 0] / total[total > 0]))

    @property
    def code_usage(self) -> float:
        """Share of the code book that occurs, 0 to 1."""
        return len(np.unique(self.code)) / self.codes

    @property
    def perplexity(self) -> float:
        """Exponential of the entropy of the codes: how many are used evenly, 1 to codes."""
        counts = np.unique(self.code, return_counts=True)[1]
        share = counts / counts.sum()
        return float(np.exp(-(share * np.log(share)).sum()))
