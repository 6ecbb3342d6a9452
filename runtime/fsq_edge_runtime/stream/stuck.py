"""When a repeated value is a fault: more than the step and the noise of a live sensor explain."""

from __future__ import annotations

import math
from typing import Final

# A run of one value is stuck where a live sensor would give it in less than one case of twenty.
EXPLAINED: Final = 0.05
# So many steps of movement on another axis leave a live one on its value in one case of twenty: a movement in a random
# direction has a part along this axis that is uniform between none and all of it (Archimedes' theorem on the sphere).
LIVE_STEPS: Final = 1 / EXPLAINED
ALL_STILL: Final = 4  # times `stuck_ms` that a living body keeps all axes still: 0.1 % of a night in steps of 1/64 g


def still_chance(step: float, noise: float, samples: int) -> float:
    """Return how likely a still body keeps a live channel on one value for so many samples, 0 to 1.

    Args:
        step: least difference between two values, above 0.
        noise: standard deviation on a still body, in the unit of ``step``, at least 0.
        samples: in a row.

    The value is taken to lie in the middle of its step, where it is kept longest, and the noise to be normal and
    independent.
    """
    return 1.0 if noise <= 0 else math.erf(step / (math.sqrt(8) * noise)) ** max(samples - 1, 0)


def is_coarse(step: float, noise: float, samples: int) -> bool:
    """Return whether a still body explains so many equal samples, so that they say nothing about the channel."""
    return step > 0 and still_chance(step, noise, samples) >= EXPLAINED
