"""What a suite is: a module with ``run(quick)``, the figures that are worth a line of the table, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from fsq_edge_benchmarks.measure.machine import Machine
from fsq_edge_runtime.artefact import Artefact

MAX_OTHERS: float = 0.1  # cores that other processes may keep busy before a suite's times are called disturbed


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a suite's result.

    Attributes:
        what: it is, as a line of the table says it.
        path: keys into the result, parted by ``/``.
        unit: ``x`` (a ratio), ``%`` (of a share), ``s``, ``ms``, ``us``, ``MB``, ``points``, or nothing.
        at_most: the largest value that holds; None judges nothing.
        at_least: the smallest value that holds.
    """

    what: str
    path: str
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    def of(self, result: dict[str, Any]) -> float | None:
        """Return the value, None where the result says that there is none.

        Raises:
            KeyError: the result has no such key.
        """
        found: Any = result
        for key in self.path.split("/"):
            if not isinstance(found, dict):
                raise KeyError(key)
            found = found[key]
        return None if found is None else float(found)

    def missing_from(self, result: dict[str, Any]) -> bool:
        """Return whether the result has no such key."""
        try:
            self.of(result)
        except KeyError:
            return True
        return False

    def holds(self, value: float | None) -> bool | None:
        """Return whether a value is within the limits; None where there is no limit or no value."""
        if value is None or (self.at_most is None and self.at_least is None):
            return None
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)

    def shown(self, value: float | None) -> str:
        """Return a value with its unit."""
        if value is None:
            return "n/a"
        if self.unit == "%":
            return f"{value:.1%}" if value >= 0.1 else f"{value:.2%}"
        text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        return f"{text} {self.unit}".rstrip()

    def target(self) -> str:
        """Return the limits as text, empty where there are none."""
        parts = [("<=", self.at_most), (">=", self.at_least)]
        return " and ".join(f"{sign} {self.shown(limit)}" for sign, limit in parts if limit is not None)


@dataclass(frozen=True, slots=True)
class Suite:
    """One independent benchmark.

    Attributes:
        name: of the module in this package.
        title: of its lines in the table.
        about: what is measured, in one sentence.
        figures: what the table shows.
        minutes: at most, before it is stopped.
        timed: its figures are times or ratios of times, which other work on the machine disturbs.
    """

    name: str
    title: str
    about: str
    figures: tuple[Figure, ...]
    minutes: float = 30.0
    timed: bool = True

    def limit(self, path: str) -> float:
        """Return the limit of the figure at a path.

        Raises:
            KeyError: no figure there has a limit.
        """
        for figure in self.figures:
            limit = figure.at_least if figure.at_most is None else figure.at_most
            if figure.path == path and limit is not None:
                return limit
        raise KeyError(path)

    def judged(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return the result with ``targets`` (path -> limit as text) and ``passed``: it meets them, and its own."""
        targets = {figure.path: figure.target() for figure in self.figures if figure.target()}
        kept = not self.absent(result) and not self.missed(result)
        return {**result, "targets": targets, "passed": kept and result.get("passed", True)}

    def absent(self, result: dict[str, Any]) -> list[str]:
        """Return the paths of figures that the result does not have."""
        return [figure.path for figure in self.figures if figure.missing_from(result)]

    def missed(self, result: dict[str, Any]) -> bool:
        """Return whether a figure of the result is outside its limits."""
        return any(not one.missing_from(result) and one.holds(one.of(result)) is False for one in self.figures)

    def lines(self, result: dict[str, Any]) -> list[str]:
        """Return a line a figure for a person: its value, its target, and whether that is missed."""
        lines = []
        for figure in self.figures:
            if figure.missing_from(result):
                lines.append(f"  {figure.what:<52}     absent  (no {figure.path} in the result)")
                continue
            value = figure.of(result)
            missed = ": MISSED" if figure.holds(value) is False else ""
            target = f"  (target {figure.target()}{missed})" if figure.target() else ""
            lines.append(f"  {figure.what:<52} {figure.shown(value):>10}{target}")
        return lines


class SuiteResult(Artefact):
    """``benchmarks/results/NAME.json``.

    Attributes:
        suite: name of the module.
        made: date and time, UTC, ISO 8601.
        machine: where.
        quick: made to show that it runs, not to be kept.
        seconds: that it took; None where its own command ran it.
        others_cores: cores that other processes kept busy meanwhile, on average; None where the kernel does not say.
        result: what the module's ``run`` returned.
    """

    KIND: ClassVar[str] = "suite result"

    suite: str
    made: str
    machine: Machine
    quick: bool
    seconds: float | None = Field(ge=0)
    others_cores: float | None
    result: dict[str, Any]

    @property
    def disturbed(self) -> bool:
        """Whether other work had part of the machine while it ran."""
        return self.others_cores is not None and self.others_cores > MAX_OTHERS
