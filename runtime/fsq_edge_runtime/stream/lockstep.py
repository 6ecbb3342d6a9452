"""Finds streams that are pushed together again and again, and puts them into cohorts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.preprocess import PreprocessConfig
from fsq_edge_runtime.stream.batch import MAX_TOGETHER
from fsq_edge_runtime.stream.cohort import Cohort
from fsq_edge_runtime.stream.samples import FLOAT32, FLOAT64
from fsq_edge_runtime.stream.state import StreamState

Pushed = tuple[str, npt.ArrayLike, npt.ArrayLike | None]
Part = tuple[Cohort, tuple[Float32Array, ...], tuple[Float64Array, ...] | None]

LEAST_STREAMS = 8  # below that, calls over columns cost as much as the steps that they replace
LEAST_ROUNDS = 2  # equal pushes before streams join
MOST_ROUNDS = 64  # before they join again, however often they were parted: joining costs a third of a window each
_shape_of, _dtype_of = attrgetter("shape"), attrgetter("dtype")


class Lockstep:
    """The cohorts of a session, and what must happen before there are any.

    Args:
        config: the model's grid.
        classes: K; 0 where decisions have no form as columns, and no cohort is ever formed.

    Attributes:
        cohorts: all streams of the latest pushes, in their order; empty while streams move one by one.
    """

    def __init__(self, config: PreprocessConfig, classes: int) -> None:
        self.cohorts: list[Cohort] = []
        self._config, self._classes = config, classes
        self._channels, self._hop = len(config.channels), config.hop_samples
        self._names: list[str] = []
        self._rounds, self._wanted, self._together = 0, LEAST_ROUNDS, 0

    def note(self, pushed: Mapping[str, npt.ArrayLike] | Iterable[Pushed], streams: Mapping[str, StreamState]) -> None:
        """Take notice of what was pushed one by one; form cohorts where that was so several times."""
        if not self._classes or not isinstance(pushed, Mapping | list) or len(pushed) < LEAST_STREAMS:
            return
        names = list(pushed) if isinstance(pushed, Mapping) else [one[0] for one in pushed]
        self._rounds = self._rounds + 1 if names == self._names else 1
        self._names = names
        if self._rounds < self._wanted:
            return
        states = [streams[name] for name in names if name in streams]
        if len(set(names)) < len(names) or not all(state.keeps_step() for state in states):
            self._back_off()
            return
        self._together = 0
        for at in range(0, len(states), MAX_TOGETHER):
            self.cohorts.append(Cohort(states[at : at + MAX_TOGETHER], self._config, self._classes))

    def parts(self, pushed: Mapping[str, npt.ArrayLike] | Iterable[Pushed]) -> Iterator[Part] | None:
        """Return each cohort's samples and timestamps where all are as the cohorts take them; None otherwise."""
        samples: Any
        times: Any
        if isinstance(pushed, Mapping):
            names, samples, times = list(pushed), tuple(pushed.values()), None
        elif isinstance(pushed, list) and len(pushed) == len(self._names):
            first, samples, times = zip(*pushed, strict=True)
            names = list(first)
        else:
            return None
        if names != self._names or set(map(type, samples)) != {np.ndarray}:
            return None
        shapes = set(map(_shape_of, samples))
        shape = shapes.pop()
        if shapes or set(map(_dtype_of, samples)) != {FLOAT32} or len(shape) != 2 or shape[1] != self._channels:
            return None
        if not 0 < shape[0] <= self._hop:
            return None
        if times is not None and all(one is None for one in times):
            times = None
        if times is not None:
            kinds = set(map(type, times))
            if kinds != {np.ndarray} or set(map(_dtype_of, times)) != {FLOAT64}:
                return None
            if set(map(_shape_of, times)) != {shape[:1]}:
                return None
        self._together += 1
        return self._divide(samples, times)

    def part(self) -> None:
        """Let every stream move by itself again, from where it stands."""
        if not self.cohorts:
            return
        for cohort in self.cohorts:
            cohort.part()
        self.cohorts = []
        self._back_off()

    def _divide(self, samples: tuple[Float32Array, ...], times: tuple[Float64Array, ...] | None) -> Iterator[Part]:
        for number, cohort in enumerate(self.cohorts):
            place = slice(number * MAX_TOGETHER, (number + 1) * MAX_TOGETHER)
            yield cohort, samples[place], None if times is None else times[place]

    def _back_off(self) -> None:
        lasted = self._together >= MOST_ROUNDS
        self._wanted = LEAST_ROUNDS if lasted else min(2 * self._wanted, MOST_ROUNDS)
        self._rounds = self._together = 0
