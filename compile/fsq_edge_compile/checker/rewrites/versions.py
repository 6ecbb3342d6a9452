"""Passes about the file's versions: the operator set, and the IR."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from fsq_edge_compile.checker.loading import lighten
from fsq_edge_compile.checker.native import convert_version
from fsq_edge_compile.checker.operators import REDUCTIONS
from fsq_edge_compile.checker.rewrites.rewrite import FormRewrite
from fsq_edge_compile.checker.rewrites.workbench import Workbench, get, put
from fsq_edge_compile.messages import copied, set_nodes
from fsq_edge_runtime.errors import DataError

# Both compiler generations were seen to read these.
TARGET_OPSET = 17
TARGET_IR = 8
OLDEST_OPSET = 11
_REDUCTIONS_OF_18 = REDUCTIONS - {"ReduceSum"}  # whose axes became an input in opset 13


class RaiseOpset(FormRewrite):
    """Opsets older than 11 are raised, by onnx's own converter."""

    name = "raise-opset"
    summary = f"the operator set becomes version {TARGET_OPSET}"

    def requires(self, bench: Workbench) -> bool:
        """Whether the opset is older than what was seen."""
        return bench.opset < OLDEST_OPSET

    def call(self, bench: Workbench) -> list[str]:
        """Convert the structure only; the weights stay where they are."""
        before = bench.opset
        light = lighten(bench.model, "model", None)
        converted = convert_version(light.proto, TARGET_OPSET)
        graph = bench.model.graph
        set_nodes(graph, converted.graph.node)
        present = {tensor.name for tensor in graph.initializer}
        graph.initializer.extend(tensor for tensor in converted.graph.initializer if tensor.name not in present)
        _set_opset(bench.model, TARGET_OPSET)
        bench.model.ir_version = max(4, bench.model.ir_version)
        bench.clean()
        return [f"opset {before}"]


class LowerOpset(FormRewrite):
    """Opsets newer than 17 are lowered, where every operator can be said in 17."""

    name = "lower-opset"
    summary = f"the operator set becomes version {TARGET_OPSET}"

    def requires(self, bench: Workbench) -> bool:
        """Whether the opset is newer than what was seen."""
        return bench.opset > TARGET_OPSET

    def call(self, bench: Workbench) -> list[str]:
        """Say every node as opset 17 does."""
        before = bench.opset
        adapted = [self._adapt(bench, node) for node in list(bench.model.graph.node)]
        set_nodes(bench.model.graph, adapted)
        _set_opset(bench.model, TARGET_OPSET)
        bench.clean()
        return [f"opset {before}"]

    @staticmethod
    def _adapt(bench: Workbench, node: onnx.NodeProto) -> onnx.NodeProto:
        copy = copied(node)
        if node.domain not in ("", "ai.onnx"):
            return copy
        if node.op_type in _REDUCTIONS_OF_18:
            axes = bench.integers(node, 1, "axes")
            if axes is None:
                raise DataError(f"{node.name}: the axes of {node.op_type} are computed")
            del copy.input[1:]
            put(copy, "axes", axes or None)
        elif node.op_type == "Split":
            put(copy, "num_outputs", None)
            if len(node.input) < 2:
                copy.input.append(bench.add_constant(_part_sizes(bench, node), node.name, np.int64))
        if not onnx.defs.has(node.op_type, TARGET_OPSET):
            raise DataError(f"{node.name}: opset {TARGET_OPSET} has no {node.op_type}")
        known = onnx.defs.get_schema(node.op_type, TARGET_OPSET)
        newer = [item for item in copy.attribute if item.name not in known.attributes]
        odd = [item.name for item in newer if not _is_default(item, node.op_type, bench.opset)]
        for item in newer:
            put(copy, item.name, None)
        if odd or len(copy.input) > known.max_input:
            raise DataError(f"{node.name}: {node.op_type} of opset {TARGET_OPSET} does not have {odd or 'its inputs'}")
        return copy


def _is_default(attribute: onnx.AttributeProto, op: str, opset: int) -> bool:
    """Whether an attribute says what its absence would say as well."""
    version = min(opset, onnx.defs.onnx_opset_version())
    described = onnx.defs.get_schema(op, version).attributes.get(attribute.name)
    if described is None or not described.default_value.name:
        return False
    return bool(helper.get_attribute_value(described.default_value) == helper.get_attribute_value(attribute))


def _part_sizes(bench: Workbench, node: onnx.NodeProto) -> list[int]:
    """Return the sizes of a Split's outputs."""
    shapes = [bench.shapes.get(name) or () for name in node.output]
    axis = int(get(node, "axis", 0))
    sizes = [shape[axis] for shape in shapes if -len(shape) <= axis < len(shape)]
    if len(sizes) != len(node.output) or None in sizes:
        raise DataError(f"{node.name}: the sizes of Split are not known")
    return [size or 0 for size in sizes]


def _set_opset(model: onnx.ModelProto, version: int) -> None:
    others = [entry for entry in model.opset_import if entry.domain not in ("", "ai.onnx")]
    kept = [helper.make_opsetid(entry.domain, entry.version) for entry in others]
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", version), *kept])


class ConvertIr(FormRewrite):
    """The IR version becomes 8."""

    name = "convert-ir"
    summary = f"the IR version becomes {TARGET_IR}"

    def requires(self, bench: Workbench) -> bool:
        """Whether it is another one than that."""
        return not 4 <= bench.model.ir_version <= TARGET_IR

    def call(self, bench: Workbench) -> list[str]:
        """Write the number; since IR 4 initialisers are no inputs."""
        before = bench.model.ir_version
        bench.model.ir_version = TARGET_IR
        constants = {tensor.name for tensor in bench.model.graph.initializer}
        kept = [value for value in bench.model.graph.input if value.name not in constants]
        inputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in kept]
        del bench.model.graph.input[:]
        bench.model.graph.input.extend(inputs)
        bench.refresh()
        return [f"IR {before}"]
