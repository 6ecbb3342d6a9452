"""How long training runs and how fast it learns: the number of epochs, one-cycle, plateau."""

from __future__ import annotations

import math
from dataclasses import dataclass

EPOCHS = 32
LEAST_EPOCHS, MOST_EPOCHS = 5, 400
# Windows shown in all, by the validated stage and by the refit: together about a minute of one core, whatever the size
# of the set. The refit makes the network that is shipped, so it has the larger part. Counted in windows and not in
# seconds, so that a busy machine trains the same network.
MOST_VALIDATED_PASSES, MOST_REFIT_PASSES = 65_000, 130_000
LEAST_STEPS = 1_000  # below it the codes have not settled

START_DIVISOR = 25.0  # one-cycle starts at peak / 25 and ends at peak / 250,000, as in torch's OneCycleLR
END_DIVISOR = START_DIVISOR * 1e4


def default_epochs(n_windows: int, steps_per_epoch: int, most_passes: int) -> int:
    """Return the epochs of a stage that the configuration leaves open.

    32, fewer where that would show more than ``most_passes`` windows, more where it would be under 1,000 steps; never
    below 5 or above 400.

    Example:
        >>> default_epochs(n_windows=1_000, steps_per_epoch=15, most_passes=65_000)
        67
    """
    epochs = max(min(EPOCHS, most_passes // n_windows), math.ceil(LEAST_STEPS / steps_per_epoch))
    return min(max(epochs, LEAST_EPOCHS), MOST_EPOCHS)


def one_cycle(step: int, total_steps: int, peak: float, warmup_fraction: float) -> float:
    """Return the rate of ``step``, 0 .. total_steps - 1: up to ``peak``, then down, both along a cosine.

    Source: Smith and Topin 2018, arXiv 1708.07120; shape and divisors of ``torch.optim.lr_scheduler.OneCycleLR``.
    """
    top = max(warmup_fraction * total_steps - 1, 1e-9)
    if step <= top:
        return _cosine(peak / START_DIVISOR, peak, step / top)
    return _cosine(peak, peak / END_DIVISOR, min((step - top) / max(total_steps - 1 - top, 1e-9), 1.0))


def _cosine(begin: float, end: float, share: float) -> float:
    return end + (begin - end) * (1.0 + math.cos(math.pi * share)) / 2.0


@dataclass(slots=True)
class Plateau:
    """Lowers the rate when the watched metric has not improved for ``patience`` epochs.

    Attributes:
        rate: learning rate now.
        patience: epochs without improvement that are borne.
        factor: what the rate is multiplied with then.
        bad_epochs: epochs since the last improvement or the last cut.
    """

    rate: float
    patience: int
    factor: float
    bad_epochs: int = 0

    def step(self, improved: bool) -> None:
        """Take note of one epoch."""
        self.bad_epochs = 0 if improved else self.bad_epochs + 1
        if self.bad_epochs > self.patience:
            self.rate *= self.factor
            self.bad_epochs = 0
