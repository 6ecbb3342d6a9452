"""Does the personal head help beyond noise? Judged on windows that were held out, pair by pair with the base head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from fsq_edge_runtime.arrays import Float64Array, Int64Array
from fsq_edge_runtime.personal.basis import Basis
from fsq_edge_runtime.personal.evidence import Evidence
from fsq_edge_runtime.personal.heads import LEAST_PROBABILITY, fit_scale, losses
from fsq_edge_runtime.scores import REPLICATES, Interval, bootstrap_confusions, confusion, macro_f1, percentile_interval

LEAST_NEW_RECALL: Final = 0.5
MOST_OLD_LOSS: Final = 0.02  # share of the other classes' windows


@dataclass(frozen=True, slots=True)
class Change:
    """One score before and after.

    Attributes:
        before: of the base head.
        after: of the personal head.
        better: by how much the personal head is better, with its paired bootstrap interval over blocks of time.
    """

    before: float
    after: float
    better: Interval


@dataclass(frozen=True, slots=True, eq=False)
class Gain:
    """The personal head against the base head, on windows that were held out.

    Attributes:
        held_out: ``blocks`` of time, or whole ``recordings``.
        windows: that were judged.
        macro_f1: of the raw labels.
        log_loss: of the probabilities, each head's scaled to suit the wearer; it tells small differences that no
            label shows.
        tables: confusion (K, K) before and after, row the truth.
    """

    held_out: str
    windows: int
    macro_f1: Change
    log_loss: Change
    tables: tuple[Int64Array, Int64Array]

    @property
    def beyond_noise(self) -> bool:
        """Whether labels got better beyond noise, or probabilities did and labels got better at all."""
        by_labels, by_loss = self.macro_f1.better, self.log_loss.better
        return by_labels.low > 0.0 or (by_loss.low > 0.0 and by_labels.value > 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "held_out": self.held_out,
            "windows": self.windows,
            "macro_f1": asdict(self.macro_f1),
            "log_loss": asdict(self.log_loss),
        }


def gain_of(held_out: str, basis: Basis, evidence: Evidence, scores: Float64Array, margin: float) -> Gain:
    """Compare the two heads.

    Args:
        held_out: ``blocks`` or ``recordings``.
        basis: the base head.
        evidence: of the wearer.
        scores: (N, K) of personal heads that were fitted without the window; NaN where there is none.
        margin: that a new class has to lead by.
    """
    rows = np.flatnonzero(np.isfinite(scores).all(axis=1))
    some, own = evidence.take(rows), scores[rows].copy()
    own[:, basis.trained.shape[1] :] -= margin
    trained = np.full((len(rows), basis.classes), LEAST_PROBABILITY)
    trained[:, : basis.trained.shape[1]] = basis.trained[some.codes]
    base = np.log(np.maximum(trained, LEAST_PROBABILITY))
    labels, blocks = some.labels, evidence.blocks()[rows]
    answers = (np.asarray(base.argmax(axis=1)), np.asarray(own.argmax(axis=1)))
    before, after = (confusion(labels, one, basis.classes) for one in answers)
    drawn = macro_f1(_drawn_tables(labels, answers, basis.classes, blocks))
    scaled = [fit_scale(one, labels) * one for one in (base, own)]
    lost = [losses(one, labels) for one in scaled]
    better = float(lost[0].mean() - lost[1].mean())
    f1 = float(macro_f1(before)), float(macro_f1(after))
    return Gain(
        held_out,
        len(rows),
        Change(*f1, percentile_interval(f1[1] - f1[0], drawn[:, 1] - drawn[:, 0])),
        Change(
            float(lost[0].mean()),
            float(lost[1].mean()),
            percentile_interval(better, _drawn_means(lost[0] - lost[1], labels, blocks)),
        ),
        (before, after),
    )


def _drawn_tables(
    labels: Int64Array, answers: tuple[Int64Array, Int64Array], classes: int, blocks: Int64Array
) -> Int64Array:
    """Return (replicates, 2, K, K): blocks of time are drawn within each class, since the wearer chose how many."""
    rng = np.random.default_rng(0)
    total = np.zeros((REPLICATES, len(answers), classes, classes), dtype=np.int64)
    for label in np.unique(labels):
        mine = labels == label
        pair = (answers[0][mine], answers[1][mine])
        total += bootstrap_confusions(labels[mine], pair, classes, blocks[mine], rng)
    return total


def _drawn_means(values: Float64Array, labels: Int64Array, blocks: Int64Array) -> Float64Array:
    """Return (replicates,) means of values (N,), with blocks drawn within each class."""
    rng = np.random.default_rng(0)
    sums, counts = np.zeros(REPLICATES), np.zeros(REPLICATES)
    for label in np.unique(labels):
        mine = labels == label
        _, place = np.unique(blocks[mine], return_inverse=True)
        size = int(place.max()) + 1
        drawn = rng.multinomial(size, np.full(size, 1 / size), size=REPLICATES)
        sums += drawn @ np.bincount(place.ravel(), weights=values[mine])
        counts += drawn @ np.bincount(place.ravel())
    return np.asarray(sums / np.maximum(counts, 1))


def shut_gates(gains: Sequence[Gain]) -> Iterator[str]:
    """Yield a sentence for each kind of held-out windows on which nothing is gained beyond noise."""
    for gain in gains:
        if not gain.beyond_noise:
            labels, loss = gain.macro_f1, gain.log_loss
            yield (
                f"no gain beyond noise on held-out {gain.held_out}: macro-F1 {labels.before:.3f} before, "
                f"{labels.after:.3f} after (better by {labels.better.low:+.3f} to {labels.better.high:+.3f}, 95 %), "
                f"log loss {loss.before:.3f} before, {loss.after:.3f} after (better by {loss.better.low:+.3f} to "
                f"{loss.better.high:+.3f})"
            )


def lost_classes(tables: tuple[Int64Array, Int64Array], names: Sequence[str], known: int) -> Iterator[str]:
    """Yield a sentence for each new class that is not found, and where the other classes lose by it.

    Args:
        tables: confusion (K, K) before and after.
        names: K, the new classes last.
        known: how many are the bundle's.
    """
    before, after = tables
    for label in range(known, len(names)):
        recall = after[label, label] / max(after[label].sum(), 1)
        if recall < LEAST_NEW_RECALL:
            yield f"the new class {names[label]!r} is found in {recall:.0%} of its held-out windows"
    if len(names) > known and before[:known].sum():
        kept = [float(np.trace(table[:known, :known]) / table[:known].sum()) for table in (before, after)]
        if kept[1] < kept[0] - MOST_OLD_LOSS:
            yield f"the other classes lose: {kept[0]:.1%} of their windows were right, {kept[1]:.1%} would be"
