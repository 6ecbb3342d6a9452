"""From a wearer's windows to an overlay, or to the reasons why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fsq_edge_runtime.arrays import BoolArray, Float64Array, Int64Array
from fsq_edge_runtime.personal.basis import Basis
from fsq_edge_runtime.personal.evidence import Evidence
from fsq_edge_runtime.personal.gate import Gain, gain_of, lost_classes, shut_gates
from fsq_edge_runtime.personal.guard import Range, distances, fit_range, places_of, spread_points
from fsq_edge_runtime.personal.heads import Choice, fit_scale, log_loss
from fsq_edge_runtime.personal.overlay import ClassScore, Overlay, channel_texts, network_digest
from fsq_edge_runtime.personal.refusals import LEAST_WINDOWS, refusals

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

MARGIN: Final = 0.1  # of a score that is 1 for the class and 0 for the others


@dataclass(frozen=True, slots=True, eq=False)
class Personalization:
    """What fitting found.

    Attributes:
        overlay: None where it would not help.
        reasons: why there is none, or what was overridden; empty otherwise.
        choice: the way to fit that was chosen; None where the data were refused before.
        tried: log loss on held-out windows by way to fit.
        gains: on held-out blocks, and on held-out recordings where there are any.
        classes: names.
        confusion_before: (K, K) of held-out windows, row the truth.
        confusion_after: (K, K).
        evidence: the windows.
    """

    overlay: Overlay | None
    reasons: tuple[str, ...]
    choice: Choice | None
    tried: tuple[tuple[Choice, float], ...]
    gains: tuple[Gain, ...]
    classes: tuple[str, ...]
    confusion_before: Int64Array
    confusion_after: Int64Array
    evidence: Evidence

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        counts = np.bincount(self.evidence.labels, minlength=len(self.classes)).tolist()
        return {
            "reasons": list(self.reasons),
            "windows": {name: count for name, count in zip(self.classes, counts, strict=True) if count},
            "unusable": self.evidence.unusable,
            "method": self.choice.method if self.choice else None,
            "strength": self.choice.strength if self.choice else None,
            "tried": [
                {"method": choice.method, "strength": choice.strength, "log_loss": loss} for choice, loss in self.tried
            ],
            "gains": [gain.to_dict() for gain in self.gains],
            "classes": list(self.classes),
            "confusion_before": self.confusion_before.tolist(),
            "confusion_after": self.confusion_after.tolist(),
            "overlay": self.overlay.record.to_dict() if self.overlay else None,
        }


def personalize(
    bundle: Bundle,
    evidence: Evidence,
    wearer: str,
    *,
    new_classes: Sequence[str] = (),
    method: str = "auto",
    least: int = LEAST_WINDOWS,
    force: str = "",
) -> Personalization:
    """Fit a wearer's own head and judge it on windows that it did not see.

    Args:
        bundle: the verified bundle.
        evidence: labelled windows of the wearer; labels from ``len(bundle.classes)`` on are the new classes.
        wearer: an id, goes into the overlay.
        new_classes: names of classes that the network was never trained on.
        method: ``auto``, ``head`` or ``table``.
        least: windows that each class needs.
        force: why the overlay shall be made although it is refused; goes into it. Nothing helps where nothing can be
            fitted.

    Raises:
        UsageError: the bundle's head has no codes, or the method needs features that are not there.
    """
    names = (*bundle.classes, *new_classes)
    basis, known = Basis.of(bundle, len(new_classes)), len(bundle.classes)
    choices = basis.choices(method, evidence)
    base = basis.base_answers(evidence) if len(evidence) else np.zeros(0, dtype=np.int64)
    folds = [fold for fold in evidence.block_folds() if fold[0].any()]
    judged = _judged(evidence, folds)
    reasons = [*refusals(evidence, base, names, known, least), *_unjudged(evidence, judged, names)]
    if (reasons and not force) or not judged.any():
        nothing = np.zeros((len(names), len(names)), dtype=np.int64)
        return Personalization(None, tuple(reasons), None, (), (), names, nothing, nothing, evidence)
    tried, held_out = _try(basis, choices, evidence, folds)
    choice = min(tried, key=lambda pair: pair[1])[0]
    margin = MARGIN if new_classes and choice.method == "head" else 0.0
    held = {"blocks": held_out[choice]}
    recordings = list(evidence.recording_folds())
    if recordings:
        held["recordings"] = basis.held_out_scores(choice, evidence, recordings)
    gains = tuple(gain_of(name, basis, evidence, scores, margin) for name, scores in held.items())
    before, after = tables = gains[0].tables
    reasons += [*shut_gates(gains), *lost_classes(tables, names, known)]
    overlay = None
    if not reasons or force:
        overlay = Overlay.make(
            basis.fit(choice, evidence).astype(np.float32),
            _range(basis, choice, evidence, folds),
            wearer=wearer,
            method=choice.method,
            strength=choice.strength,
            scale=fit_scale(*_known(held_out[choice], evidence.labels)),
            margin=margin,
            classes=names,
            forced=force if reasons else "",
            **_facts(bundle, evidence, gains[0], names),
        )
    return Personalization(overlay, tuple(reasons), choice, tuple(tried), gains, names, before, after, evidence)


def _judged(evidence: Evidence, folds: Sequence[tuple[BoolArray, BoolArray]]) -> BoolArray:
    """Return (N,) bool: windows whose class is learnt from in the fold that holds them out."""
    found = np.zeros(len(evidence), dtype=np.bool_)
    for learnt, judged in folds:
        found |= judged & np.isin(evidence.labels, evidence.labels[learnt])
    return found


def _unjudged(evidence: Evidence, judged: BoolArray, names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each class of which no window can be held out and learnt from."""
    for label in np.setdiff1d(evidence.labels, evidence.labels[judged]).tolist():
        yield f"no window of {names[label]!r} can be held out: its recordings are too short, or it has too few"


def _facts(bundle: Bundle, evidence: Evidence, gain: Gain, names: Sequence[str]) -> dict[str, Any]:
    """Return what an overlay says of its network and of how it was judged."""
    return {
        "known": len(bundle.classes),
        "channels": channel_texts(bundle),
        "network_sha256": network_digest(bundle),
        "bundle": bundle.manifest.name,
        "recordings": len(np.unique(evidence.recordings)),
        "macro_f1_before": gain.macro_f1.before,
        "macro_f1_after": gain.macro_f1.after,
        "scores": _class_scores(names, evidence, gain.tables),
    }


def _try(
    basis: Basis, choices: Sequence[Choice], evidence: Evidence, folds: list[tuple[BoolArray, BoolArray]]
) -> tuple[list[tuple[Choice, float]], dict[Choice, Float64Array]]:
    """Return the log loss on held-out windows of every way to fit, and their scores."""
    held_out = {choice: basis.held_out_scores(choice, evidence, folds) for choice in choices}
    tried = []
    for choice, scores in held_out.items():
        some, labels = _known(scores, evidence.labels)
        factor = fit_scale(some, labels) if len(labels) else 1.0
        tried.append((choice, log_loss(factor * some, labels) if len(labels) else float("inf")))
    return tried, held_out


def _known(scores: Float64Array, labels: Int64Array) -> tuple[Float64Array, Int64Array]:
    rows = np.isfinite(scores).all(axis=1)
    return scores[rows], labels[rows]


def _range(basis: Basis, choice: Choice, evidence: Evidence, folds: list[tuple[BoolArray, BoolArray]]) -> Range:
    """Return the range of the wearer; its reach comes from windows that were held out."""
    directions = basis.directions(choice.method)
    looked_at = basis.looked_at(choice.method, evidence)
    places = places_of(directions, looked_at)
    away = [distances(spread_points(places[learnt]), places[judged]) for learnt, judged in folds if learnt.any()]
    return fit_range(directions, looked_at, np.concatenate(away))


def _class_scores(
    names: Sequence[str], evidence: Evidence, tables: tuple[Int64Array, Int64Array]
) -> tuple[ClassScore, ...]:
    """Return how each class of the wearer did on held-out windows, before and after."""
    before, after = (np.diagonal(table) / np.maximum(table.sum(axis=1), 1) for table in tables)
    counts = np.bincount(evidence.labels, minlength=len(names))
    return tuple(
        ClassScore(
            name=names[label],
            windows=int(counts[label]),
            recall_before=float(before[label]),
            recall_after=float(after[label]),
        )
        for label in np.flatnonzero(counts).tolist()
    )
