"""Applies the rule table to every node of a normalised graph and collects the findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import onnx

from fsq_edge_compile.checker.cut import Cut, before_layers, cut_around, find_cut, part_of
from fsq_edge_compile.checker.decoders import (
    HARMLESS,
    decoder_nodes,
    enlarged_for_the_host,
    meets_refused,
    packed_heads,
)
from fsq_edge_compile.checker.families import PREDICATES, Breach, Context
from fsq_edge_compile.checker.families.movement import always
from fsq_edge_compile.checker.families.predicate import text
from fsq_edge_compile.checker.graph import Graph, Node
from fsq_edge_compile.checker.layout import channel_axes
from fsq_edge_compile.checker.normalise import STATIC_PARAMETERS, UNREGISTERED
from fsq_edge_compile.checker.patterns import FLATTENED, Claim, Claims, find_patterns
from fsq_edge_compile.checker.rulebook import Operator, Rule, Rulebook, rulebook
from fsq_edge_compile.checker.targets import Target
from fsq_edge_runtime.findings import Confidence, NodeFinding

MIN_RANK, MAX_RANK = 2, 4
MAX_CUTS = 16
# 3-D convolutions were compiled, so rank 5 passes on them and on what works element by element.
_LAYERS_5 = {"Conv", "BatchNormalization", "GlobalAveragePool", "ReduceMean"}
_RANK_5 = _LAYERS_5 | {"Relu", "LeakyRelu", "Sigmoid", "Add", "Mul", "Reshape", "Flatten"}
# Comparisons make masks and ArgMax makes indices; everything else computes in float.
_OTHER_TYPES = frozenset({"Equal", "Greater", "Less", "ArgMax", "Cast"})


@dataclass(slots=True)
class Judgement:
    """The findings on all nodes.

    Attributes:
        findings: in graph order.
        refused: names of the nodes with an error.
        confidence: evidence behind each accepted node, by name.
        foreign: accepted nodes whose operator was only ever measured on the other compiler generation, with its chips.
        decoder: accepted nodes that only prepare maps for the host; the device part ends before them.
        chips: rules met here that read differently for other chips or generations.
    """

    findings: list[NodeFinding] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    confidence: dict[str, Confidence] = field(default_factory=dict)
    foreign: dict[str, tuple[str, ...]] = field(default_factory=dict)
    decoder: set[str] = field(default_factory=set)
    chips: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)


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
        claim = claims.get(node.name)
        operator = operator_for(node, graph, book)
        breaches = _breaches(Context(node, graph, channels, target), operator, claim)
        _record(judgement, book, target, node, breaches)
        evidence = book.operators[claim.row] if claim is not None and claim.row else operator
        if node.name not in judgement.refused and evidence is not None:
            judgement.confidence[node.name] = _evidence(evidence, target)
            if evidence.measured and not evidence.measured_for(target):
                judgement.foreign[node.name] = evidence.measured
    _end_before_decoders(judgement, graph, claims, target)
    for node, breach in packed_heads(graph, channels, judgement.refused | judgement.decoder):
        _record(judgement, book, target, node, [breach])
    return judgement


def _end_before_decoders(judgement: Judgement, graph: Graph, claims: Claims, target: Target) -> None:
    """Let decoders speak by their first refused operator; a flattened map that meets none is refused itself."""
    errors: dict[str, set[str]] = {}
    for finding in judgement.findings:
        if finding.severity == "error":
            errors.setdefault(finding.node, set()).add(finding.rule)
    hard = {name for name, rules in errors.items() if not rules <= HARMLESS}
    inside = decoder_nodes(graph, claims, hard)
    judgement.findings = [
        finding for finding in judgement.findings if finding.node not in inside or finding.rule not in HARMLESS
    ]
    judgement.refused -= inside
    stopped = meets_refused(graph, inside, judgement.refused)
    for node in graph.nodes:
        if node.name in inside and node.name not in stopped and claims_flattened(claims, node):
            shapes = f"{text(graph.shape(node.input(0)))} to {text(graph.shape(node.outputs[0]))}"
            _record(judgement, rulebook(), target, node, [Breach("reshape.shuffle", shapes)])
    judgement.decoder = inside - judgement.refused
    judgement.decoder |= enlarged_for_the_host(graph, judgement.refused | judgement.decoder) - judgement.refused


def claims_flattened(claims: Claims, node: Node) -> bool:
    """Whether a node flattens a map for no layer."""
    return node.name in claims and claims[node.name].pattern == FLATTENED


def _record(judgement: Judgement, book: Rulebook, target: Target, node: Node, breaches: Iterable[Breach]) -> None:
    for breach in breaches:
        rule = book.rules[breach.rule]
        if rule.overrides:
            judgement.chips[rule.id] = rule.overrides
        finding = make_finding(book, breach, target, node)
        if finding is not None:
            judgement.findings.append(finding)
            if finding.severity == "error":
                judgement.refused.add(node.name)


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
        return book.operators["Gelu (Erf pattern)"]
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
    accepted = claim is not None and claim.accepts
    if operator.rule.severity == "error" and not accepted:
        yield Breach(operator.rule.id, f"{node.domain}.{node.op}" if node.domain else node.op)
        return
    broken = _tensor_breach(context, any_rank=accepted)
    if broken is not None:
        yield broken
        return
    if operator.rule.severity == "warning":
        yield Breach(operator.rule.id, text(context.shape()))
    if claim is not None:
        yield from claim.breaches
    yield from always(context)
    predicate = PREDICATES.get(node.op)
    if predicate is not None and not accepted:
        yield from predicate(context)


def _tensor_breach(context: Context, any_rank: bool) -> Breach | None:
    """Limits that hold for every node: known static shapes, something in them, rank, float32."""
    graph, node = context.graph, context.node
    parameters = {node.input(index) for index in STATIC_PARAMETERS.get(node.op, ())}
    read = [name for name in graph.activations(node) if name not in parameters]
    for name in (*read, *(name for name in node.outputs if name and _is_used(graph, name))):
        shape = graph.shape(name)
        if shape is None or None in shape:
            return Breach("tensor.unknown-shape", f"{name}: {text(shape)}")
        if 0 in shape:
            return Breach("tensor.empty", f"{name}: {text(shape)}")
        if len(shape) > MAX_RANK and not any_rank and node.op not in _RANK_5:
            return Breach("tensor.rank", f"rank {len(shape)}")
        dtype = graph.dtypes.get(name, onnx.TensorProto.FLOAT)
        is_index = node.op == "Gather" and name == node.input(1)
        if dtype == onnx.TensorProto.FLOAT and len(shape) < MIN_RANK and name in graph.inputs:
            return Breach("tensor.flat", f"rank {len(shape)}")
        if dtype != onnx.TensorProto.FLOAT and node.op not in _OTHER_TYPES and not is_index:
            return Breach("tensor.dtype", f"{name}: {_type_name(dtype)}")
    return None


def _is_used(graph: Graph, name: str) -> bool:
    return bool(graph.consumers(name)) or name in graph.outputs


def _type_name(dtype: int) -> str:
    try:
        return str(onnx.TensorProto.DataType.Name(dtype)).lower()
    except ValueError:
        return f"type {dtype}"


def make_finding(book: Rulebook, breach: Breach, target: Target, node: Node | None = None) -> NodeFinding | None:
    """Turn a breach into a finding for one target; None when the rule does not apply there."""
    rule: Rule | None = book.rules[breach.rule].for_target(target)
    if rule is None:
        return None
    op = node.op if node is not None else ""
    limit = breach.limit or rule.limit
    return NodeFinding(
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


def stable_cut(graph: Graph, judgement: Judgement, target: Target) -> Cut:
    """Cut, judge what is left as a graph of its own, and cut again until all of it is accepted.

    Some nodes are taken only because of what reads them: a Split whose parts would leave the device, a reshape whose
    layer went to the host. Their errors join ``judgement``.
    """
    cut = find_cut(graph, judgement.refused, judgement.decoder)
    left, device = graph, cut.device
    for count in range(MAX_CUTS):
        if not device or len(device) == len(left.nodes):
            break
        left = part_of(graph, device)
        again = judge(left, target)
        if not again.refused and not again.decoder:
            break
        known = {(finding.node, finding.rule) for finding in judgement.findings}
        judgement.findings += [
            finding
            for finding in again.findings
            if finding.severity == "error" and (finding.node, finding.rule) not in known
        ]
        judgement.refused |= again.refused
        device = find_cut(left, again.refused, again.decoder).device
        if count >= MAX_CUTS // 2:
            # A long tail of moves goes at once, in place of one node a round.
            device = before_layers(left, device)
    else:
        device = frozenset()
    return cut if device == cut.device else cut_around(graph, device)
