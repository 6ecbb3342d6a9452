"""What a personal head is fitted on top of: the bundle's own head, its code book, its training statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float16Array, Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.feature_statistics import FeatureStatistics
from fsq_edge_runtime.personal.evidence import Evidence
from fsq_edge_runtime.personal.guard import digit_directions, digits_of, directions_of
from fsq_edge_runtime.personal.heads import HEADS, TABLES, Choice, fit_head, fit_table, scores_of
from fsq_edge_runtime.tail import FsqCodebook, FsqTail, softmax

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """A bundle as fitting sees it.

    Attributes:
        codebook: the grid.
        trained: (codes, K0) probabilities of the bundle's head.
        statistics: of the training features; None where the bundle has none: then only tables can be fitted.
        classes: K, with the new class where there is one.
    """

    codebook: FsqCodebook
    trained: Float32Array
    statistics: FeatureStatistics | None
    classes: int

    @classmethod
    def of(cls, bundle: Bundle, new_classes: int = 0) -> Basis:
        """Return the basis of a bundle.

        Raises:
            UsageError: the bundle's head has no codes.
        """
        if not isinstance(bundle.tail, FsqTail):
            raise UsageError(
                f"a bundle with a head of kind {bundle.tail.kind} cannot be made a wearer's own",
                hint="personal heads need the codes or features of a Conv2d-FSQ network",
            )
        tail = bundle.tail
        trained = softmax(tail.table, tail.temperature)
        return cls(tail.codebook, trained, bundle.statistics, len(bundle.classes) + new_classes)

    def choices(self, method: str, evidence: Evidence) -> tuple[Choice, ...]:
        """Return the ways to fit that a method allows.

        Args:
            method: ``head``, ``table``, or ``auto`` for both.
            evidence: of the wearer.

        Raises:
            UsageError: ``head`` was asked for, and the bundle or the evidence has no features.
        """
        able = self.statistics is not None and evidence.features.shape[1] == self.statistics.width
        if method == "head" and not able:
            raise UsageError(
                "the bundle has no statistics of features, or the windows have no features",
                hint="fsq-edge export RUN --features and build the bundle again, or --method table",
            )
        tables = () if method == "head" else TABLES
        return (*tables, *HEADS) if able and method != "table" else tables

    def fit(self, choice: Choice, evidence: Evidence) -> Float64Array:
        """Return the fitted head: (F + 1, K) weights, or (codes, K) log-probabilities."""
        if choice.method == "head" and self.statistics is not None:
            return fit_head(self.statistics, evidence.features, evidence.labels, self.classes, choice.strength)
        return fit_table(self.codebook, self.trained, evidence.codes, evidence.labels, self.classes, choice.strength)

    def scores(self, choice: Choice, fitted: Float64Array, evidence: Evidence) -> Float64Array:
        """Return the scores (N, K) of windows."""
        return scores_of(fitted, evidence.features) if choice.method == "head" else fitted[evidence.codes]

    def base_answers(self, evidence: Evidence) -> Int64Array:
        """Return the class (N,) that the bundle's own head gives."""
        return np.asarray(self.trained[evidence.codes].argmax(axis=1), dtype=np.int64)

    def held_out_scores(
        self, choice: Choice, evidence: Evidence, folds: list[tuple[BoolArray, BoolArray]]
    ) -> Float64Array:
        """Return the scores (N, K) of windows by heads that were fitted without them; NaN where none was."""
        found = np.full((len(evidence), self.classes), np.nan)
        for learnt, judged in folds:
            # A class that would vanish from the fold altogether cannot be judged by it.
            rows = judged & np.isin(evidence.labels, evidence.labels[learnt])
            if learnt.any() and rows.any():
                some = evidence.take(rows)
                found[rows] = self.scores(choice, self.fit(choice, evidence.take(learnt)), some)
        return found

    def looked_at(self, method: str, evidence: Evidence) -> Float32Array:
        """Return what the guard looks at, (N, V): the features in steps, or the digits of the codes."""
        return evidence.features if method == "head" else digits_of(self.codebook, evidence.codes)

    def directions(self, method: str) -> Float16Array:
        """Return the directions (V, R) in which the guard measures."""
        if method == "head" and self.statistics is not None:
            return directions_of(self.statistics)
        return digit_directions(self.codebook)
