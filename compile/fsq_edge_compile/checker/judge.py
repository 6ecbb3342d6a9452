"""Applies the rule table to every node of a normalised graph and collects the findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import onnx

from fsq_edge_compile.checker.families import PREDICATES, Breach, Context
from fsq_edge_compile.checker.families.predicate import text
from fsq_edge_compile.checker.graph import Graph, Node
from fsq_edge_compile.checker.layout import channel_axes
from fsq_edge_compile.checker.normalise import UNREGISTERED
from fsq_edge_compile.checker.patterns import Claim, find_patterns
from fsq_edge_compile.checker.report import CONFIDENCE_ORDER, Confidence, Finding
from fsq_edge_compile.checker.rulebook import Operator, Rule, Rulebook, rulebook
from fsq_edge_compile.checker.targets import Target

_RANK_5 = frozenset({"Conv", "BatchNormalization", "GlobalAveragePool"})
# Comparisons make masks and ArgMax makes indices; everything else computes in float.
_MAKES_OTHER_TYPES = frozenset({"Equal", "Greater", "Less", "ArgMax", "Cast"})


@dataclass(slots=True)
class Judgement:
    """The findings on all nodes.

    Attributes:
        findings: in graph order.
        refused: names of the nodes with an error.
        confidence: evidence behind each accepted node, by name.
        foreign: operators that were only ever measured on the other compiler generation.
    """

    findings: list[Finding] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    confidence: dict[str, Confidence] = field(default_factory=dict)
    foreign: dict[str, tuple[str, ...]] = field(default_factory=dict)


def judge(graph: Graph, target: Target) -> Judgement:
    """Judge every node; never raises for an incompatible model.

    Args:
        graph: as ``normalise`` returns it.
        target: chip and compiler.
    """
    book = rulebook()
    channels = channel_axes(graph)
    claims = find_patterns(graph, channels)
    judgement = Judgement()
    for node in graph.nodes:
        context = Context(node, graph, channels, target)
        operator = operator_for(node, graph, book)
        findings = [
            finding
            for breach in _breaches(context, operator, claims.get(node.name))
            if (finding := make_finding(book, breach, target, node)) is not None
        ]
        judgement.findings += findings
        if any(finding.severity == "error" for finding in findings):
            judgement.refused.add(node.name)
        elif operator is not None:
            judgement.confidence[node.name] = _evidence(operator, target)
            if operator.measured and not operator.measured_for(target):
                judgement.foreign[operator.key] = operator.measured
    return judgement


def _evidence(operator: Operator, target: Target) -> Confidence:
    """Evidence from the other compiler generation alone is medium at best."""
    if operator.rule.confidence == "high" and not operator.measured_for(target):
        return "medium"
    return operator.rule.confidence


def operator_for(node: Node, graph: Graph, book: Rulebook) -> Operator | None:
    """Return the table's row for a node; None for an operator that the table does not list."""
    if node.domain not in ("", UNREGISTERED):
        return book.operators["custom domain ops"]
    if node.op == "Conv":
        return book.operators[{3: "Conv/1d", 5: "Conv/3d"}.get(graph.rank(node.input(0)) or 4, "Conv/2d")]
    if node.op == "MatMul":
        constant = any(graph.is_constant(name) for name in node.inputs)
        return book.operators["MatMul/constant" if constant else "MatMul/dynamic"]
    if node.op == "Gelu":
        return None
    row = book.operators.get(node.op)
    return row if row is not None and row.op == node.op else None


def _breaches(context: Context, operator: Operator | None, claim: Claim | None) -> Iterator[Breach]:
    node = context.node
    if node.domain == UNREGISTERED:
        yield Breach("operator.not-in-opset", node.op, f"opset {context.graph.opset}")
        return
    if operator is None:
        yield Breach("operator.unlisted", node.op)
        return
    if operator.rule.severity == "error" and not (claim is not None and claim.accepts):
        yield Breach(operator.rule.id, f"{node.domain}.{node.op}" if node.domain else node.op)
        return
    if operator.rule.severity == "warning":
        yield Breach(operator.rule.id, text(context.shape()))
    general = list(_general(context))
    yield from general
    if general and any(breach.rule.startswith("tensor.") for breach in general):
        return
    if claim is not None:
        yield from claim.breaches
        if claim.accepts:
            return
    predicate = PREDICATES.get(node.op)
    if predicate is not None:
        yield from predicate(context)


def _general(context: Context) -> Iterator[Breach]:
    """Limits that hold for every node: known static shapes, rank, size, float32."""
    graph, node = context.graph, context.node
    tensors = [*graph.activations(node), *(name for name in node.outputs if name and _is_used(graph, name))]
    for name in tensors:
        shape = graph.shape(name)
        if shape is None or None in shape:
            yield Breach("tensor.unknown-shape", f"{name}: {text(shape)}")
            return
        if 0 in shape:
            yield Breach("tensor.empty", f"{name}: {text(shape)}")
            return
    for name in tensors:
        if len(graph.shapes[name]) > 4 and not _three_dimensional(context):
            yield Breach("tensor.rank", f"rank {len(graph.shapes[name])}")
            return
    for name in tensors:
        dtype = graph.dtypes.get(name, onnx.TensorProto.FLOAT)
        if dtype == onnx.TensorProto.FLOAT or (dtype == onnx.TensorProto.BOOL and node.op in ("Mul", "Min", "Max")):
            continue
        if node.op not in _MAKES_OTHER_TYPES and not (node.op == "Gather" and name == node.input(1)):
            yield Breach("tensor.dtype", f"{name}: {_type_name(dtype)}")
            return


def _is_used(graph: Graph, name: str) -> bool:
    return bool(graph.consumers(name)) or name in graph.outputs


def _three_dimensional(context: Context) -> bool:
    """3-D convolutions were compiled, so rank 5 passes on them and on what works element by element."""
    return context.node.op in _RANK_5 or context.node.op in ("Relu", "LeakyRelu", "Sigmoid", "Add", "Mul", "Reshape")


def _type_name(dtype: int) -> str:
    try:
        return str(onnx.TensorProto.DataType.Name(dtype)).lower()
    except ValueError:
        return f"type {dtype}"


def make_finding(book: Rulebook, breach: Breach, target: Target, node: Node | None = None) -> Finding | None:
    """Turn a breach into a finding for one target; None when the rule does not apply there."""
    rule: Rule | None = book.rules[breach.rule].for_target(target)
    if rule is None:
        return None
    op = node.op if node is not None else ""
    limit = breach.limit or rule.limit
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        support=rule.support,
        stage=rule.stage,
        node=node.name if node is not None else "",
        op=op,
        message=rule.message.format(op=op, actual=breach.actual, limit=limit, dfc=target.dfc, arch=target.arch),
        limit=limit,
        actual=breach.actual,
        fix=rule.fix.format(op=op, limit=limit),
        source=book.source_text(rule),
        confidence=rule.confidence,
    )


def weakest(levels: list[Confidence]) -> Confidence:
    """Return the lowest of the given confidences; high when there are none."""
    return min(levels, key=lambda level: CONFIDENCE_ORDER[level], default="high")
