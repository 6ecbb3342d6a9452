"""A random split of windows: refused while they overlap, and marked for ever when it is forced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsq_edge.data.splitting.leaks import LeakReport, check_leaks
from fsq_edge.data.splitting.splits import count_share
from fsq_edge.data.windows import WindowIndex
from fsq_edge_runtime.errors import UsageError


@dataclass(frozen=True, slots=True, eq=False)
class WindowSplit:
    """Two sides of a window index.

    Attributes:
        train: windows to learn from.
        test: windows to report on.
        description: one line for reports; says when the split was forced.
        leaks: what the two sides share.
        forced: True when windows overlap across the sides; no figure of such a split is about new data.
    """

    train: WindowIndex
    test: WindowIndex
    description: str
    leaks: LeakReport
    forced: bool


def split_windows_at_random(
    index: WindowIndex, test_share: float = 0.2, seed: int = 0, *, force: bool = False
) -> WindowSplit:
    """Deal windows to two sides at random.

    Windows of one recording then stand on both sides. Labels of pure noise, one a recording, score 1.0 that way when
    windows overlap, and chance when recordings are kept apart; so overlap is refused.

    Args:
        index: at least two windows.
        test_share: above 0, below 1.
        seed: of the draw.
        force: make the split although windows overlap, and mark it.

    Raises:
        UsageError: windows overlap and ``force`` is off; fewer than two windows.
    """
    if len(index) < 2:
        raise UsageError(f"a split needs at least two windows, got {len(index)}")
    order = np.random.default_rng(seed).permutation(len(index))
    n_test = min(count_share(len(index), test_share), len(index) - 1)
    test, train = index.take(np.sort(order[:n_test])), index.take(np.sort(order[n_test:]))
    leaks = check_leaks(train, test, keep_apart="interval")
    if not leaks.clean and not force:
        raise UsageError(
            f"a random split would put {leaks.n_overlaps} test windows over samples that training sees",
            hint="split by subject or by recording; force=True makes it all the same and every report says so",
        )
    description = f"random windows, seed {seed}; the same recordings stand on both sides"
    if not leaks.clean:
        description += f"; FORCED: {leaks.n_overlaps} of {n_test} test windows overlap training windows"
    return WindowSplit(train, test, description, leaks, forced=not leaks.clean)
