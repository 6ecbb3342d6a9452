"""What ``check`` writes with ``--json``."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from fsq_edge.cli.shapes import Versioned
from fsq_edge_compile.checker.cut import Work
from fsq_edge_compile.checker.report import Verdict
from fsq_edge_runtime.findings import Confidence, Severity, Stage, Support


class NodeFindingRow(TypedDict):
    """A judgement about a node, or about the file where ``node`` is empty."""

    rule: str
    severity: Severity
    support: Support
    stage: Stage
    node: str
    op: str
    message: str
    limit: str
    actual: str
    fix: str
    source: str
    confidence: Confidence


class NodeCounts(TypedDict):
    """Nodes of the normalised graph, by where they run."""

    total: int
    device: int
    host: int


class Change(TypedDict):
    """A rewrite that was kept; ``difference`` is relative to the largest value of the output."""

    rewrite: str
    summary: str
    nodes: list[str]
    difference: float


class Rejection(TypedDict):
    """A rewrite that was undone."""

    rewrite: str
    reason: str


class Fixed(TypedDict):
    """The copy of ``--fix``, its verdict, and the rules whose warnings stay."""

    file: str
    verdict: Verdict
    end_nodes: list[str]
    stays: list[str]
    changes: list[Change]
    rejections: list[Rejection]


class Split(TypedDict):
    """The parts of ``--split``: their files, inputs and outputs, and by how much they differ from the whole."""

    files: dict[str, str]
    difference: float
    parts: dict[str, dict[Literal["inputs", "outputs"], list[str]]]


class Check(Versioned):
    """The verdict on one model for one chip."""

    model: str
    arch: str
    dfc: str
    verdict: Verdict
    confidence: Confidence
    start_nodes: list[str]
    end_nodes: list[str]
    nodes: NodeCounts
    findings: list[NodeFindingRow]
    macs: Work
    lowered_by: str
    chips: list[str]
    fix: NotRequired[Fixed]
    split: NotRequired[Split | None]


class Failure(TypedDict):
    """Why a model could not be judged."""

    error: str
    hint: str
    exit_code: int


class CheckFailure(Failure, Versioned):
    """A model that cannot be read."""

    model: str
    arch: str


class Accepted(TypedDict):
    """A finding, by its place in ``findings``, that the baseline accepts."""

    finding: int
    reason: str


class JudgedModel(Check):
    """One of several models."""

    path: str
    accepted: list[Accepted]


class UnreadModel(Failure):
    """One of several models that cannot be read."""

    path: str


class ManyChecks(Versioned):
    """The verdicts on several models."""

    models: list[JudgedModel | UnreadModel]


class Rule(Versioned):
    """A rule with its evidence."""

    rule: str
    operator: str | None
    support: Support
    severity: Severity
    stage: Stage
    confidence: Confidence
    message: str
    limit: str
    fix: str
    errors: list[str]
    cases: list[str]
    overrides: dict[str, dict[str, Any]]
    evidence: str | None
    measured: list[str]
    since: str
    notes: list[str]
    contradictions: list[str]
    sources: list[str]


class Rules(Versioned):
    """The rules of an operator."""

    rules: list[Rule]


OUTPUTS = {"check": (Check, ManyChecks, CheckFailure, Rule, Rules)}
