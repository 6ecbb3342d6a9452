"""What each code of the quantiser stands for: the classes it is seen with, its purity and support."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsq_edge_runtime.arrays import Int64Array, IntArray
from fsq_edge_runtime.scores import perplexity


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """One code that occurred.

    Attributes:
        code: index, 0 <= code < n_codes.
        label: the class it is most often seen with.
        purity: share of that class, above 0 to 1.
        support: windows with this code.
        classes: class -> windows, most frequent first.
    """

    code: int
    label: str
    purity: float
    support: int
    classes: dict[str, int]


@dataclass(frozen=True, slots=True)
class CodeDictionary:
    """Codes seen in an evaluation, most frequent first.

    Attributes:
        n_codes: size of the code book.
        used: codes that occurred.
        perplexity: exp of the entropy of code use; the number of codes in even use that would be as spread.
        purity: share of windows that carry their code's most frequent class.
        entries: one an occurring code, by falling support, then index.
    """

    n_codes: int
    used: int
    perplexity: float
    purity: float
    entries: tuple[CodeEntry, ...]


def code_dictionary(codes: IntArray, labels: IntArray, classes: tuple[str, ...], n_codes: int) -> CodeDictionary:
    """Count codes against true classes.

    Args:
        codes: int (N,), 0 <= code < n_codes, N >= 1.
        labels: int (N,), true classes, indices into ``classes``.
        classes: K names.
        n_codes: size of the code book.

    Raises:
        ValueError: codes are no whole numbers, of another length, or out of range.
    """
    if codes.shape != labels.shape or codes.dtype.kind not in "iu":
        raise ValueError(f"codes must be integers of shape {labels.shape}, got {codes.dtype} {codes.shape}")
    if int(codes.min()) < 0 or int(codes.max()) >= n_codes:
        raise ValueError(f"codes run from {codes.min()} to {codes.max()}, the code book has {n_codes}")
    # Only codes that occur are counted, so a code book of millions costs nothing.
    seen, at = np.unique(codes, return_inverse=True)
    counts = np.bincount(at * len(classes) + labels, minlength=len(seen) * len(classes))
    counts = counts.reshape(len(seen), len(classes))
    support = counts.sum(axis=1)
    entries = tuple(_entry(int(seen[i]), counts[i], classes) for i in np.lexsort((seen, -support)))
    return CodeDictionary(
        n_codes=n_codes,
        used=len(seen),
        perplexity=perplexity(support),
        purity=float(counts.max(axis=1).sum() / support.sum()),
        entries=entries,
    )


def _entry(code: int, counts: Int64Array, classes: tuple[str, ...]) -> CodeEntry:
    order = [int(k) for k in np.argsort(-counts, kind="stable") if counts[k]]
    support = int(counts.sum())
    return CodeEntry(
        code=code,
        label=classes[order[0]],
        purity=float(counts[order[0]] / support),
        support=support,
        classes={classes[k]: int(counts[k]) for k in order},
    )
