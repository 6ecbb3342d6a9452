"""How often a verdict was right at each stated confidence: by exports, and by families, whose exports hang together."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from dataclasses import dataclass

from fsq_edge_runtime.counted_scores import wilson

LEVELS = ("high", "medium", "low")


@dataclass(frozen=True)
class Level:
    """What was seen at one level of confidence.

    Attributes:
        right, count: exports.
        families_right, families: families without a wrong verdict at this level, and all of them.
        without: lowest and highest share when any one family is left out; None where one family is all there is.
    """

    right: int
    count: int
    families_right: int
    families: int
    without: tuple[float, float] | None

    def text(self) -> str:
        """Return share, its interval and its range without any one family, in words."""
        if not self.count:
            return "none"
        shown = wilson(self.right, self.count)
        left = f"{self.without[0]:.1%} to {self.without[1]:.1%}" if self.without else "no other family"
        return (
            f"{self.right} of {self.count}: {shown.value:.1%} ({shown.low:.0%} to {shown.high:.0%}); "
            f"without any one family {left}; families {self.families_right} of {self.families}"
        )


def level_of(answers: Iterable[tuple[str, bool]]) -> Level:
    """Return the level that these (family, verdict is right) make."""
    families = collections.defaultdict(list)
    for family, right in answers:
        families[family].append(right)
    hits = {family: (sum(values), len(values)) for family, values in families.items()}
    right, count = (sum(pair[index] for pair in hits.values()) for index in (0, 1))
    others = [(right - good) / (count - of) for good, of in hits.values() if count > of]
    return Level(
        right,
        count,
        sum(good == of for good, of in hits.values()),
        len(hits),
        (min(others), max(others)) if others else None,
    )
