"""From probabilities to one steady label: smoothing, hysteresis, dwell, refractory, unknown. Causal throughout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.tail import MAX_TEMPERATURE, MIN_TEMPERATURE

UNKNOWN = -1  # class index of the label `unknown`
UNKNOWN_LABEL = "unknown"


class DecisionSettings(Artefact):
    """``decision.json``: how scores become the label that is reported. The defaults report the raw argmax.

    Times are in milliseconds of source time and are rounded up to whole hops.

    Attributes:
        temperature: divides the logits; None takes the head's own.
        smoothing: what smooths the probabilities of successive windows.
        smoothing_ms: time constant of ``ema``, or span of ``median``.
        enter: smoothed probability that a class needs to become the label.
        leave: the label is given up (for ``unknown``) when its smoothed probability falls below this.
        dwell_ms: how long a new class must lead, above ``enter``, before it becomes the label.
        refractory_ms: how long a new label is held, whatever comes.
        unknown_below: ``unknown`` is reported while the best smoothed probability is below this.
    """

    KIND: ClassVar[str] = "decision.json"

    temperature: float | None = Field(default=None, ge=MIN_TEMPERATURE, le=MAX_TEMPERATURE)
    smoothing: Literal["none", "ema", "median"] = "none"
    smoothing_ms: float = Field(default=0.0, ge=0, le=600_000)
    enter: float = Field(default=0.0, ge=0, le=1)
    leave: float = Field(default=0.0, ge=0, le=1)
    dwell_ms: float = Field(default=0.0, ge=0, le=600_000)
    refractory_ms: float = Field(default=0.0, ge=0, le=600_000)
    unknown_below: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> Self:
        if self.leave > self.enter:
            raise ValueError(f"leave {self.leave} is above enter {self.enter}")
        return self


class ChainState(NamedTuple):
    """What a chain without a median carries from window to window.

    Attributes:
        label: index of the label now held, or ``UNKNOWN``.
        age: windows since it became the label.
        candidate: class that leads, or ``UNKNOWN``.
        lead: windows for which it has led.
        smoothed: probabilities (classes,) of the exponential mean; None before the first.
        elapsed: hops since those.
    """

    label: int
    age: int
    candidate: int
    lead: int
    smoothed: Sequence[float] | None
    elapsed: int


class DecisionChain:
    """The state of one stream.

    Args:
        settings: what to apply.
        hop_ms: time between windows, milliseconds.

    Attributes:
        label: index of the label now held, or ``UNKNOWN``.
        enter, leave, unknown_below: as in the settings.
        dwell, refractory: as in the settings, in hops.
        plain: whether the label is always the class with the highest probability, so that :meth:`take` may serve.
        span: windows of the median; 1 is none.
        rate, weight: of the exponential mean: hops in its time constant, and the weight of a new window; 1.0 is none.
    """

    __slots__ = (
        "_age",
        "_candidate",
        "_elapsed",
        "_history",
        "_lead",
        "_smoothed",
        "dwell",
        "enter",
        "label",
        "leave",
        "plain",
        "rate",
        "refractory",
        "span",
        "unknown_below",
        "weight",
    )

    def __init__(self, settings: DecisionSettings, hop_ms: float) -> None:
        self.enter, self.leave, self.unknown_below = settings.enter, settings.leave, settings.unknown_below
        self.dwell = hops(settings.dwell_ms, hop_ms)
        self.refractory = hops(settings.refractory_ms, hop_ms)
        self.span = max(1, hops(settings.smoothing_ms, hop_ms)) if settings.smoothing == "median" else 1
        decays = settings.smoothing == "ema" and settings.smoothing_ms > 0
        self.rate = hop_ms / settings.smoothing_ms if decays else math.inf
        self.weight = -math.expm1(-self.rate)
        limits = self.enter, self.leave, self.unknown_below, self.dwell, self.refractory
        self.plain = self.span == 1 and not decays and not any(limits)
        self.reset()

    def reset(self) -> None:
        """Forget everything: a new segment begins."""
        self.label = UNKNOWN
        self._age = self.refractory
        self._candidate = UNKNOWN
        self._lead = 0
        self._smoothed: Sequence[float] | None = None
        self._elapsed = 1  # hops since the scores in `_smoothed`
        self._history: list[Sequence[float] | None] = []

    @property
    def state(self) -> ChainState:
        """What is carried to the next window; to be set, too."""
        return ChainState(self.label, self._age, self._candidate, self._lead, self._smoothed, self._elapsed)

    @state.setter
    def state(self, state: ChainState) -> None:
        self.label, self._age, self._candidate, self._lead, self._smoothed, self._elapsed = state

    def skip(self) -> None:
        """Account for a window without scores (abstained or missed): time passes, old scores fade, a lead is broken."""
        self._age += 1
        self._candidate, self._lead = UNKNOWN, 0
        if self.span > 1:
            self._remember(None)
        elif self.weight < 1.0:
            self._elapsed += 1

    def step(self, probabilities: Sequence[float]) -> tuple[int, Sequence[float]]:
        """Take the probabilities (classes,) of the next window.

        Returns:
            ``(label, smoothed)``: the label's index or ``UNKNOWN``, and the smoothed probabilities (classes,).
        """
        smoothed = self._smooth(probabilities)
        self._age += 1
        best = max(smoothed)
        top = smoothed.index(best)
        held = self._age <= self.refractory
        if self.label != UNKNOWN and smoothed[self.label] < self.leave and not held:
            self.label = UNKNOWN
        if top != self.label and best >= self.enter:
            self._lead = self._lead + 1 if top == self._candidate else 0
            self._candidate = top
            if self._lead >= self.dwell and not held:
                self.label, self._age = top, 0
                self._candidate, self._lead = UNKNOWN, 0
        else:
            self._candidate, self._lead = UNKNOWN, 0
        return (UNKNOWN if best < self.unknown_below else self.label), smoothed

    def take(self, raw: int) -> int:
        """Take the best class of the next window, the first of equals; return the label, as :meth:`step` would."""
        if raw == self.label:
            self._age += 1
        else:
            self.label, self._age = raw, 0
        return raw

    def _smooth(self, probabilities: Sequence[float]) -> Sequence[float]:
        # Plain Python: on a handful of classes it is several times faster than arrays.
        if self.span > 1:
            self._remember(probabilities)
            known = [row for row in self._history if row is not None]
            middle = [median(values) for values in zip(*known, strict=True)]
            whole = sum(middle) or 1.0
            return [value / whole for value in middle]
        if self.weight < 1.0:
            weight = self.weight if self._elapsed == 1 else -math.expm1(-self._elapsed * self.rate)
            if self._smoothed is not None:
                probabilities = [
                    old + weight * (new - old) for old, new in zip(self._smoothed, probabilities, strict=True)
                ]
            self._smoothed, self._elapsed = probabilities, 1
        return probabilities

    def _remember(self, probabilities: Sequence[float] | None) -> None:
        self._history.append(probabilities)
        del self._history[: -self.span]


def hops(milliseconds: float, hop_ms: float) -> int:
    """Return how many hops it takes until so many milliseconds have passed: rounded up to whole hops.

    Example:
        >>> hops(600.0, 200.0), hops(250.0, 200.0)
        (3, 2)
    """
    return math.ceil(milliseconds / hop_ms - 1e-9)
