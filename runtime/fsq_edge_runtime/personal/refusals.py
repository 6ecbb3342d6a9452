"""Why a wearer's data are not good enough to fit anything to: found before fitting, as plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from fsq_edge_runtime.arrays import Int64Array
from fsq_edge_runtime.personal.evidence import Evidence
from fsq_edge_runtime.scores import confusion

LEAST_WINDOWS: Final = 4
MOST_UNUSABLE: Final = 0.25
MAJORITY: Final = 0.6  # share of a class's windows from which another class counts as what the base head says
LEAST_AGREEMENT: Final = 0.2  # of labels with the base head, over all windows


def refusals(evidence: Evidence, base: Int64Array, names: Sequence[str], known: int, least: int) -> Iterator[str]:
    """Yield each reason not to fit.

    Args:
        evidence: of the wearer.
        base: (N,) answers of the bundle's own head.
        names: of all classes, the new ones last.
        known: how many of them are the bundle's.
        least: windows that each class needs.
    """
    counts = np.bincount(evidence.labels, minlength=len(names))
    given = np.flatnonzero(counts)
    labelled = len(evidence) + evidence.unusable
    if not labelled:
        yield "no labelled window: the recordings are shorter than a window, or have no label that lasts for one"
        return
    if not len(evidence):
        yield f"no usable window: {evidence.unusable} of {labelled} abstained for their quality"
        return
    if len(few := given[counts[given] < least]):
        found = ", ".join(f"{counts[label]} windows of {names[label]!r}" for label in few)
        yield f"only {found}, at least {least} are needed"
    if len(given) < 2 and given[0] < known:
        yield f"only one class, {names[given[0]]!r}: a head cannot learn what else there is"
    if evidence.unusable > MOST_UNUSABLE * labelled:
        yield f"bad quality: {evidence.unusable} of {labelled} windows abstained"
    yield from _contradictions(evidence, base, names, known)


def _contradictions(evidence: Evidence, base: Int64Array, names: Sequence[str], known: int) -> Iterator[str]:
    """Yield how the labels contradict the base head in a way that wrong labels do and a person does not."""
    old = evidence.labels < known
    if not old.any():
        return
    table = confusion(evidence.labels[old], base[old], known)
    rows = table.sum(axis=1)
    shares = table / np.maximum(rows, 1)[:, None]
    usual = np.where(shares.max(axis=1) >= MAJORITY, shares.argmax(axis=1), -1)
    for label in range(known):
        path = [label]
        while 0 <= usual[path[-1]] != path[-1] and usual[path[-1]] not in path and len(path) < known:
            path.append(int(usual[path[-1]]))
        closes = usual[path[-1]] == label and len(path) > 1
        if closes and label == min(path):
            circle = " and ".join(repr(names[one]) for one in path)
            yield f"the labels of {circle} look swapped: the base head takes each for the next"
    agreement = float(np.trace(table) / max(table.sum(), 1))
    if agreement < LEAST_AGREEMENT:
        yield f"the labels agree with the base head on {agreement:.0%} of the windows: they contradict it everywhere"
