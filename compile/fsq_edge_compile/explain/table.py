"""The table of log texts: what a line means is data, read once from the package."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from fsq_edge_compile.checker.rulebook import Rule, Rulebook, rulebook
from fsq_edge_runtime.findings import Confidence, Stage


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row: a pattern, and what a line that it matches means.

    Attributes:
        id: name of the row.
        pattern: searched in one line, without regard to case; its named groups fill ``{group}`` in cause and fix.
        stage: compiler stage, or load.
        rule: rule of ``check`` that says the same; empty when there is none.
        cause: what is behind the line.
        fix: what to change; ``{advice}`` stands for the advice by kind of layer.
        source: where this is known from.
        confidence: how far the evidence carries.
        envelope: the line only repeats a failure whose cause stands in another line.
        explains: ids of rows, or ``hailort.CODE``, that follow from this one when both are in a log.
        general: the row only repeats what the line says; it follows from any other finding of its stage.
    """

    id: str
    pattern: re.Pattern[str]
    stage: Stage
    rule: str
    cause: str
    fix: str
    source: str
    confidence: Confidence
    envelope: bool
    explains: tuple[str, ...]
    general: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the compiler, told by the Python package that raises its exceptions.

    Attributes:
        pattern: matched against the start of a module's dotted path.
        stage: compiler stage, or load.
        name: the step as a person says it.
        fix: what can be done about an exception that no row names.
    """

    pattern: re.Pattern[str]
    stage: Stage
    name: str
    fix: str


@dataclass(frozen=True, slots=True)
class LayerKind:
    """What to do about a layer of one kind that the allocator cannot place.

    Attributes:
        pattern: matched against the layer's own name, without the network's name before it.
        name: the kind as a person says it.
        advice: what to change.
    """

    pattern: re.Pattern[str]
    name: str
    advice: str


@dataclass(frozen=True, slots=True)
class LogTable:
    """The table as read.

    Attributes:
        rows: in the order in which they are tried; the first that matches a line counts.
        trouble: a line that matches one of these looks like an error.
        harmless: a line that matches one of these does not, whatever it holds.
        kinds: kinds of layer; the last takes every name.
        layers: finds a layer's name, such as ``net/ew_add3_d0``, in any text.
        errors: what a number of the kernel means, by number.
        status_fixes: what to do when HailoRT's own words stand beside a status, by number, where the status's own
            advice would be about something else.
        steps: steps of the compiler; the first whose pattern matches a module's path counts.
    """

    rows: tuple[LogRow, ...]
    trouble: tuple[re.Pattern[str], ...]
    harmless: tuple[re.Pattern[str], ...]
    kinds: tuple[LayerKind, ...]
    layers: re.Pattern[str]
    errors: Mapping[str, str]
    status_fixes: Mapping[str, str]
    steps: tuple[Step, ...]

    def layer_in(self, text: str) -> str:
        """Return the first layer's name in a text; empty when it names none."""
        found = self.layers.search(text)
        return found[0] if found else ""

    def step(self, *modules: str) -> Step | None:
        """Return the most exact step that dotted paths belong to; None when none is in a package of Hailo's."""
        return next((step for step in self.steps if any(map(step.pattern.match, modules))), None)

    def kind(self, layer: str) -> LayerKind:
        """Return the kind of a layer by its name, such as ``net/concat24``."""
        name = layer.rpartition("/")[2]
        return next(kind for kind in self.kinds if kind.pattern.match(name))


def log_rows() -> tuple[LogRow, ...]:
    """Return the rows of the table that ships with the package."""
    return log_table().rows


@cache
def log_table() -> LogTable:
    """Return the table that ships with the package, read once."""
    path = resources.files(__package__).joinpath("data", "log_lines.json")
    table = json.loads(path.read_text(encoding="utf-8"))
    book = rulebook()
    sources = {**book.sources, **table["sources"]}
    return LogTable(
        rows=tuple(_row(item, book, sources) for item in table["lines"]),
        trouble=tuple(re.compile(pattern) for pattern in table["trouble"]),
        harmless=tuple(re.compile(pattern) for pattern in table["harmless"]),
        kinds=tuple(
            LayerKind(re.compile(kind["pattern"], re.IGNORECASE), kind["name"], kind["advice"])
            for kind in table["layer_kinds"]
        ),
        layers=re.compile(table["layer_names"]),
        errors=table["errors"],
        status_fixes=table["status_fixes"],
        steps=tuple(
            Step(re.compile(step["pattern"]), step["stage"], step["name"], step["fix"]) for step in table["steps"]
        ),
    )


def _row(item: Mapping[str, Any], book: Rulebook, sources: Mapping[str, str]) -> LogRow:
    rule: Rule | None = book.rules[item["rule"]] if "rule" in item else None
    said = rule.fix.format(op="the operator", limit=rule.limit) if rule else ""
    return LogRow(
        id=item["id"],
        pattern=re.compile(item["pattern"], re.IGNORECASE),
        stage=item["stage"],
        rule=rule.id if rule else "",
        cause=item["cause"],
        fix=item.get("fix") or said,
        source=book.source_text(rule) if rule else "; ".join(sources[code] for code in item["sources"]),
        confidence=rule.confidence if rule else item["confidence"],
        envelope=item.get("envelope", False),
        explains=tuple(item.get("explains", ())),
        general=item.get("general", False),
    )
