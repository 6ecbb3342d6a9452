"""The check itself: load, normalise, judge, cut, report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from fsq_edge_compile.checker.certainty import chip_differences, confidence_of, first_blockers
from fsq_edge_compile.checker.cut import Work
from fsq_edge_compile.checker.families.predicate import Breach
from fsq_edge_compile.checker.graph import Graph
from fsq_edge_compile.checker.judge import judge, make_finding, stable_cut
from fsq_edge_compile.checker.loading import read_model
from fsq_edge_compile.checker.normalise import Normalised, normalise
from fsq_edge_compile.checker.report import CheckReport, NodeVerdict, Verdict
from fsq_edge_compile.checker.rulebook import rulebook
from fsq_edge_compile.checker.targets import Target, target_for
from fsq_edge_runtime.findings import NodeFinding, worst_first

# A device part with less of the work than this is hardly worth a device.
LITTLE = 0.05


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
    graph = normalised.graph
    cut = stable_cut(graph, judgement, target)
    refused = judgement.refused
    verdict: Verdict = "full" if cut.device and cut.complete else "cut" if cut.device else "none"
    work = Work.of(graph, cut)
    if verdict == "cut" and work.share < LITTLE:
        blocker = first_blockers(graph, judgement)
        breach = Breach("cut.little-left", f"{100 * work.share:.2g} %", blocker[0].node if blocker else "")
        file_findings += [finding for finding in [make_finding(rulebook(), breach, target)] if finding is not None]
    findings = worst_first(file_findings + judgement.findings)
    confidence, reason = confidence_of(graph, judgement, cut, file_findings, target)
    return CheckReport(
        model=name,
        arch=target.arch,
        dfc=target.dfc,
        verdict=verdict,
        confidence=confidence,
        start_nodes=cut.start_nodes,
        end_nodes=cut.end_nodes,
        nodes=tuple(
            NodeVerdict(node.name, node.op, node.name not in refused, node.name in cut.device) for node in graph.nodes
        ),
        findings=findings,
        simplifier=normalised.facts.simplifier,
        macs=work,
        lowered_by=reason,
        chips=chip_differences(judgement),
    )


def _file_findings(normalised: Normalised, name: str, target: Target, from_file: bool) -> Iterator[NodeFinding]:
    book = rulebook()
    breaches: list[Breach] = list(file_breaches(normalised, target, Path(name).stem if from_file else None))
    for breach in breaches:
        finding = make_finding(book, breach, target)
        if finding is not None:
            yield finding


# Source: opsets that 3.x users ship (11, 13, 17) and that the 5.3 documents list (15-21; 13 and 23 were seen).
OPSETS = {"3.x": (11, 17), "5.x": (11, 23)}
# IR 10 and later broke DFC 3.2x.
LAST_IR = 9
_NET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def file_breaches(normalised: Normalised, target: Target, net_name: str | None) -> Iterator[Breach]:
    """Yield what the file as a whole breaks.

    Args:
        normalised: graph and facts.
        target: chip and compiler.
        net_name: name that the compiler would take from the file; None for a model in memory.
    """
    facts, graph = normalised.facts, normalised.graph
    if not graph.nodes:
        yield Breach("file.empty-graph")
    low, high = OPSETS[target.generation]
    if facts.opset < low:
        yield Breach("file.opset-old", str(facts.opset), f"{low} to {high}")
    elif facts.opset > high:
        yield Breach("file.opset-new", str(facts.opset), f"{low} to {high}")
    if facts.ir_version > LAST_IR:
        broken = target.version is not None and target.version < (3, 30)
        yield Breach("file.ir-refused" if broken else "file.ir-new", str(facts.ir_version), f"at most {LAST_IR}")
    yield from _inputs(normalised)
    if facts.inference_failure:
        yield Breach("file.shape-inference", facts.inference_failure)
    if facts.external:
        yield Breach("file.external-data", f"{len(facts.external)} tensors")
    if facts.unnamed:
        yield Breach("file.unnamed-nodes", str(facts.unnamed))
    if facts.computed_shapes:
        yield Breach("file.computed-shapes", f"{len(facts.computed_shapes)}, first {facts.computed_shapes[0]}")
    if net_name is not None and not _NET_NAME.match(net_name):
        yield Breach("file.net-name", net_name)


def _inputs(normalised: Normalised) -> Iterator[Breach]:
    facts, graph = normalised.facts, normalised.graph
    if facts.symbolic_batch:
        yield Breach("file.symbolic-batch", ", ".join(facts.symbolic_batch))
    if facts.undeclared:
        yield Breach("file.input-not-declared", ", ".join(facts.undeclared))
    if facts.dynamic:
        yield Breach("file.dynamic-shape", ", ".join(f"{name} axis {axis}" for name, axis in facts.dynamic[:8]))
    if facts.batches:
        yield Breach("file.batch", ", ".join(f"{name}: {size}" for name, size in facts.batches.items()))
    for name in graph.inputs:
        rank, dtype = facts.ranks.get(name), facts.dtypes.get(name, onnx.TensorProto.FLOAT)
        if not graph.consumers(name):
            yield Breach("file.unused-input", name)
        elif rank is None:
            yield Breach("file.input-without-shape", name)
        elif rank not in (4, 5) and dtype == onnx.TensorProto.FLOAT:
            yield Breach("file.input-rank", f"{name}: rank {rank}")
