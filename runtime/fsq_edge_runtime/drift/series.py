"""What the drift watch follows: kinds of series, their least moves, units, limits and what to do about them."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

# Limits against training, on the mean of what was seen since the last restart; chosen on clean held-out streams.
LIMITS: Final = {
    "mean": 1.5,  # training sigmas
    "spread": math.log(4.0),
    "gravity": math.log(1.15),
    "unseen": 0.25,
    "abstained": 0.5,
    "rate": math.log(1.1),
}
MAX_STABILITY_INDEX: Final = 4.0
MAX_LOG_PERPLEXITY: Final = math.log(12.0)  # below training's
MAX_SUBJECT_SIGMAS: Final = 4.5  # standard deviations between the subjects of training
# Root mean square distance of all figures of a kind to training's subjects, in standard deviations between them.
GROUP_LIMITS: Final = {"posture": 2.4, "motion": 3.6, "tempo": 2.8, "axes": 1.6}
REST: Final = 0.25  # of training's standard deviation: in a window where no channel moves as much, the wearer rests
RESTING: Final = 0.75  # of a block's windows
RELEASED: Final = 0.8  # of a limit: what falls below it may be reported again

# The least standard deviation of each series between blocks: what moves less is of no practical interest.
FLOORS = {"mean": 0.03, "spread": 0.03, "step": 0.03, "unseen": 0.01, "surprise": 0.1, "confidence": 0.01,
          "abstained": 0.02, "gravity": 0.1, "rate": 0.01}  # fmt: skip
UNITS = {"mean": "training sigmas", "spread": "log ratio to training", "step": "log ratio of step to spread",
         "unseen": "share", "surprise": "bits", "confidence": "probability", "abstained": "share",
         "gravity": "log ratio to gravity", "codes": "stability index",
         "perplexity": "log ratio to training", "rate": "log ratio to nominal", "offset": "g",
         **dict.fromkeys(GROUP_LIMITS, "deviations between training's subjects")}  # fmt: skip
ADVICE = {
    "mean": "check that the sensor sits as it did, its axes and its bias",
    "spread": "check the sensor's full scale, its unit and whether an axis is dead",
    "step": "check the sensor's output rate and its filter",
    "gravity": "check the accelerometer's gain, bias and unit: lay it still, its axes should add up to 1 g",
    "unseen": "the network sees what it was not trained on: record it, label it and train again",
    "surprise": "the mix of codes moved: look for an activity that training did not have, or a moved sensor",
    "confidence": "record and label some of it, and compare with fsq-edge evaluate",
    "abstained": "read the flags of the decisions: they name the channel and the fault",
    "perplexity": "the network answers with far fewer codes than in training: look at its input and at the backend",
    "rate": "check the sensor's output rate and its clock",
    "offset": "lay the sensor still on each of its six faces: each should read 1 g, or it needs calibration",
    "posture": "compare how the sensor sits with how it sat in training, or personalize the bundle for this wearer",
    "motion": "check the sensor's full scale, unit and mounting; or this wearer moves unlike any of training",
    "tempo": "check the sensor's output rate: this motion is quicker or slower than that of any subject of training",
    "axes": "check that the sensor is not turned and that its axes are in the order of the bundle's channels",
    "codes": "the mix of codes is not that of training: record and label some of it, and evaluate",
}


OTHERS: Final = ("unseen", "surprise", "confidence", "abstained", "gravity", "rate")  # series without a channel


class Series(NamedTuple):
    """One number that is watched: its kind (a key of ``FLOORS``) and its channel, empty where it has none."""

    kind: str
    channel: str

    @property
    def name(self) -> str:
        """As a record names it."""
        return f"{self.kind}:{self.channel}" if self.channel else self.kind

    def facts(
        self,
        seq: int,
        t_start: float,
        t_end: float,
        test: str,
        value: float,
        usual: float,
        score: float,
        also: list[str],
    ) -> dict[str, object]:
        """Return what a record says of it, see docs/drift.md."""
        return {
            "seq": seq,
            "t_start": t_start,
            "t_end": t_end,
            "test": test,
            "what": self.name,
            "value": round(value, 4),
            "usual": round(usual, 4),
            "unit": UNITS[self.kind],
            "score": round(score, 3),
            "also": also,
            "advice": ADVICE[self.kind],
        }
