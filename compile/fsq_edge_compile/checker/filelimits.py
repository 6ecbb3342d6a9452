"""Limits on the file as a whole: opset, IR version, sizes, weights beside the file, names."""

from __future__ import annotations

import re
from collections.abc import Iterator

import onnx

from fsq_edge_compile.checker.families.predicate import Breach
from fsq_edge_compile.checker.normalise import Normalised
from fsq_edge_compile.checker.targets import Target

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
