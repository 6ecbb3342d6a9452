"""The check itself: load, normalise, judge, cut, report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from fsq_edge_compile.checker.cut import Cut, cut_around, find_cut, part_of
from fsq_edge_compile.checker.families.predicate import Breach
from fsq_edge_compile.checker.filelimits import file_breaches
from fsq_edge_compile.checker.graph import Graph
from fsq_edge_compile.checker.judge import Judgement, judge, make_finding, weakest
from fsq_edge_compile.checker.loading import read_model
from fsq_edge_compile.checker.normalise import Normalised, normalise
from fsq_edge_compile.checker.report import CheckReport, NodeVerdict, Verdict
from fsq_edge_compile.checker.rulebook import rulebook
from fsq_edge_compile.checker.targets import Target, target_for
from fsq_edge_runtime.findings import Confidence, NodeFinding, worst_first


def check(
    model: str | Path | onnx.ModelProto,
    arch: str = "hailo8l",
    dfc: str | None = None,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> CheckReport:
    """Judge an ONNX model against a Hailo chip and its compiler, with nothing of Hailo's installed.

    The rules come from public reports and carry their source and confidence; nothing here ran the compiler.

    Args:
        model: path of an .onnx file of at most 768 MiB (external data is not read), or a model in memory, which is
            not changed.
        arch: ``hailo8``, ``hailo8l``, ``hailo8r``, ``hailo10h``, ``hailo15h``, ``hailo15m`` or ``hailo15l``.
        dfc: compiler version such as ``"3.33"``; None reads the rules for the chip's generation.
        input_shapes: sizes of the graph inputs by name, as they would be given to the parser; they replace what
            the file declares, and leaving an input out is an error finding.

    Returns:
        the report; an incompatible model is a finding, never an exception.

    Raises:
        MissingInputError: the file cannot be read.
        DataError: the file is not a valid ONNX model.
        UsageError: unknown chip or compiler, or sizes for an input that the model does not have.
    """
    return examine(model, arch, dfc, input_shapes=input_shapes).report


@dataclass(frozen=True, slots=True)
class Examination:
    """A report together with the graph it speaks of.

    Attributes:
        report: the verdict.
        graph: the normalised graph, its nodes in the order of ``report.nodes``.
    """

    report: CheckReport
    graph: Graph


def examine(
    model: str | Path | onnx.ModelProto,
    arch: str = "hailo8l",
    dfc: str | None = None,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> Examination:
    """Check a model as ``check`` does, and keep the graph, for drawing it."""
    target = target_for(arch, dfc)
    if isinstance(model, onnx.ModelProto):
        name, folder = model.graph.name or "model", None
    else:
        name, folder = Path(model).name, Path(model).parent
        model = read_model(model)
    normalised = normalise(model, name, folder, input_shapes)
    report = judge_normalised(normalised, name, target, from_file=folder is not None)
    return Examination(report, normalised.graph)


def judge_normalised(normalised: Normalised, name: str, target: Target, *, from_file: bool = False) -> CheckReport:
    """Judge a graph that is already normalised, for one target.

    Args:
        normalised: as ``normalise`` returns it; one graph can be judged for many targets.
        name: for the report.
        target: chip and compiler.
        from_file: ``name`` is a file name, from which the compiler would take its net name.
    """
    judgement = judge(normalised.graph, target)
    file_findings = list(_file_findings(normalised, name, target, from_file))
    if any(finding.severity == "error" for finding in file_findings):
        judgement.refused = {node.name for node in normalised.graph.nodes}
    cut = _stable_cut(normalised.graph, judgement, target)
    refused = judgement.refused
    verdict: Verdict = "full" if cut.device and cut.complete else "cut" if cut.device else "none"
    findings = worst_first(file_findings + judgement.findings)
    return CheckReport(
        model=name,
        arch=target.arch,
        dfc=target.dfc,
        verdict=verdict,
        confidence=_confidence(judgement, cut, findings),
        start_nodes=cut.start_nodes,
        end_nodes=cut.end_nodes,
        nodes=tuple(
            NodeVerdict(node.name, node.op, node.name not in refused, node.name in cut.device)
            for node in normalised.graph.nodes
        ),
        findings=findings,
        simplifier=normalised.facts.simplifier,
    )


def _stable_cut(graph: Graph, judgement: Judgement, target: Target) -> Cut:
    """Cut, judge what is left as a graph of its own, and cut again until all of it is accepted.

    Some nodes are taken only because of what reads them: a Split whose parts would leave the device, a reshape whose
    layer went to the host. Their findings join those of the whole graph.
    """
    cut = find_cut(graph, judgement.refused, judgement.decoder)
    left, device = graph, cut.device
    while device and len(device) < len(left.nodes):
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
    return cut if device == cut.device else cut_around(graph, device)


def _file_findings(normalised: Normalised, name: str, target: Target, from_file: bool) -> Iterator[NodeFinding]:
    book = rulebook()
    breaches: list[Breach] = list(file_breaches(normalised, target, Path(name).stem if from_file else None))
    for breach in breaches:
        finding = make_finding(book, breach, target)
        if finding is not None:
            yield finding


def _confidence(judgement: Judgement, cut: Cut, findings: Sequence[NodeFinding]) -> Confidence:
    """The weakest evidence among the device nodes and the errors; anything unknown makes it low."""
    levels: list[Confidence] = [judgement.confidence.get(name, "high") for name in cut.device]
    levels += [finding.confidence for finding in findings if finding.severity == "error"]
    if any(finding.support == "unknown" for finding in findings if finding.severity == "error"):
        levels.append("low")
    return weakest(levels)
