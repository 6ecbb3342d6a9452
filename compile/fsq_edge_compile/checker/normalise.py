"""Brings any ONNX graph into the form that the rules judge: static, folded, without no-ops.

What folding removes does not count against a model: the vendor's parser retries on a simplified graph. Everything
that was changed is kept as a fact, because several of the changes deserve a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from fsq_edge_compile.checker.folding import MAX_STAND_IN_ELEMENTS, NEVER_FOLDED, fold
from fsq_edge_compile.checker.graph import Graph
from fsq_edge_compile.checker.inference import short_shapes
from fsq_edge_compile.checker.kernels import result_bound
from fsq_edge_compile.checker.loading import LightModel, lighten, opset_of
from fsq_edge_compile.checker.native import NativeError, check_model, inline_functions
from fsq_edge_compile.checker.simplify import simplify
from fsq_edge_compile.checker.view import build_graph
from fsq_edge_compile.messages import names_read
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.files import first_line

# Standard operators unknown to the installed onnx are moved here, so that checker and inference let them pass.
UNREGISTERED = "unregistered"
# Inputs that are shapes, axes or bounds, by operator.
STATIC_PARAMETERS: dict[str, tuple[int, ...]] = {
    "Reshape": (1,),
    "Expand": (1,),
    "Tile": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Pad": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
}


@dataclass(slots=True)
class Facts:
    """What the file looked like before normalising.

    Attributes:
        ir_version: of the file.
        opset: of the standard operators, as declared.
        unnamed: nodes without a name.
        external: tensors whose data lies beside the file.
        symbolic_batch: inputs whose first size is not fixed and was set to 1.
        dynamic: (input, axis) of every other size that is not fixed.
        undeclared: inputs for which the caller gave no shape although it gave some.
        computed_shapes: nodes whose shape parameter was computed in the graph and then folded.
        batches: inputs with a fixed first size other than 1.
        dtypes: element type of every graph input.
        ranks: rank of every graph input; None where it is not declared.
        inference_failure: why no shape could be inferred; empty when shapes could.
        simplifier: what folded the graph.
    """

    ir_version: int = 0
    opset: int = 0
    unnamed: int = 0
    external: tuple[str, ...] = ()
    symbolic_batch: list[str] = field(default_factory=list)
    dynamic: list[tuple[str, int]] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)
    computed_shapes: list[str] = field(default_factory=list)
    batches: dict[str, int] = field(default_factory=dict)
    dtypes: dict[str, int] = field(default_factory=dict)
    ranks: dict[str, int | None] = field(default_factory=dict)
    inference_failure: str = ""
    simplifier: str = "built-in"


@dataclass(frozen=True, slots=True)
class Normalised:
    """A graph ready to be judged, and what was found on the way."""

    graph: Graph
    facts: Facts


def normalise(
    model: onnx.ModelProto,
    name: str,
    folder: Path | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> Normalised:
    """Bring a model into the form that the rules judge. The caller's model is not changed.

    Args:
        model: any ONNX model.
        name: for messages.
        folder: folder of the file, where external data may lie.
        input_shapes: sizes for graph inputs, by name; they replace what the file declares.

    Raises:
        DataError: the model is not a valid ONNX graph.
        UsageError: sizes are given for an input that the model does not have.
    """
    if model.functions:
        model = _inline(model, name)
    light = lighten(model, name, folder)
    facts = Facts(ir_version=model.ir_version, external=light.external)
    facts.opset = opset_of(light.proto)
    _set_aside_unregistered(light.proto, facts.opset)
    validate(light.proto, name)
    _fix_inputs(light, facts, input_shapes)
    computed = _with_computed_parameters(light)
    info = fold(light)
    if not facts.dynamic and _shape_arithmetic_left(light) and short_shapes(light.proto):
        facts.simplifier, simplified = simplify(light)
        if simplified is not None:
            light = simplified
            info = fold(light)
    facts.inference_failure = info.failure
    graph = build_graph(light, info, facts.opset)
    present = {node.name for node in graph.nodes}
    facts.unnamed = len(light.generated & present)
    still = _with_computed_parameters(light)
    facts.computed_shapes = [node for node in computed if node in present and node not in still]
    return Normalised(graph, facts)


def _inline(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    try:
        return inline_functions(model)
    except NativeError as error:
        raise DataError(f"{name}: the local functions cannot be inlined: {first_line(error)}") from error


def _set_aside_unregistered(model: onnx.ModelProto, opset: int) -> None:
    """Move standard operators that this opset does not have (any more) into a domain of their own."""
    moved = False
    known: dict[str, bool] = {}
    for node in model.graph.node:
        if node.domain:
            continue
        if node.op_type not in known:
            known[node.op_type] = _in_opset(node.op_type, opset)
        if not known[node.op_type]:
            node.domain = UNREGISTERED
            moved = True
    if moved:
        model.opset_import.append(onnx.helper.make_opsetid(UNREGISTERED, 1))


def _in_opset(op: str, opset: int) -> bool:
    version = max(1, min(opset, onnx.defs.onnx_opset_version()))
    return bool(onnx.defs.has(op, version) and not onnx.defs.get_schema(op, version).deprecated)


def validate(model: onnx.ModelProto, name: str) -> None:
    """Let onnx's checker look at a light model.

    Raises:
        DataError: it is not valid.
    """
    # The checker wants a shape on every input and output; a file without them can be judged all the same.
    bare = [
        value.type.tensor_type
        for value in (*model.graph.input, *model.graph.output)
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")
    ]
    for tensor in bare:
        tensor.shape.SetInParent()
    try:
        check_model(model)
    except NativeError as error:
        raise DataError(
            f"{name} is not a valid ONNX graph: {first_line(error)}", hint="export it again; onnx.checker refuses it"
        ) from error
    finally:
        for tensor in bare:
            tensor.ClearField("shape")


def _fix_inputs(light: LightModel, facts: Facts, given: Mapping[str, Sequence[int]] | None) -> None:
    """Apply the caller's shapes, set a symbolic batch to 1, and note whatever stays open."""
    inputs = [value.name for value in light.proto.graph.input if value.name not in light.stand_ins]
    for name in given or ():
        if name not in inputs:
            raise UsageError(f"{light.name} has no input {name!r}", hint=f"its inputs are: {', '.join(inputs)}")
    for value in light.proto.graph.input:
        if value.name in light.stand_ins:
            continue
        tensor = value.type.tensor_type
        facts.dtypes[value.name] = tensor.elem_type
        if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
            facts.ranks[value.name] = None
            continue
        if given is not None:
            if value.name in given:
                tensor.shape.ClearField("dim")
                for size in given[value.name]:
                    tensor.shape.dim.add().dim_value = size
            else:
                facts.undeclared.append(value.name)
        dims = tensor.shape.dim
        facts.ranks[value.name] = len(dims)
        for axis, dim in enumerate(dims):
            fixed = dim.HasField("dim_value") and dim.dim_value >= 0
            if not fixed and axis == 0:
                dim.dim_value = 1
                facts.symbolic_batch.append(value.name)
            elif not fixed:
                facts.dynamic.append((value.name, axis))
        if dims and len(dims) > 1 and dims[0].dim_value != 1 and value.name not in facts.symbolic_batch:
            facts.batches[value.name] = dims[0].dim_value
    if facts.symbolic_batch or given:
        # Shapes that the file states for inner tensors and outputs still carry the symbol.
        del light.proto.graph.value_info[:]
        for output in light.proto.graph.output:
            if output.type.HasField("tensor_type"):
                output.type.tensor_type.ClearField("shape")


def _with_computed_parameters(light: LightModel) -> list[str]:
    """Return the nodes with a shape parameter that is computed in the graph."""
    known = light.constants.keys() | light.stand_ins.keys()
    found = []
    for node in light.proto.graph.node:
        for index in STATIC_PARAMETERS.get(node.op_type, ()):
            if index < len(node.input) and node.input[index] and node.input[index] not in known:
                found.append(node.name)
                break
    return found


def _shape_arithmetic_left(light: LightModel) -> bool:
    """Whether a node is left whose result does not depend on the values of any input, so that it ought to fold.

    A constant that no machine can hold does not count: to try costs the simplifier seconds and all its memory.
    """
    depends = {value.name for value in light.proto.graph.input} - light.stand_ins.keys()
    left = False
    for node in light.proto.graph.node:
        reads = names_read(node)
        if (
            node.op_type in NEVER_FOLDED
            or node.domain
            or (node.op_type not in ("Shape", "Size") and any(name in depends for name in reads))
            or result_bound(node, [light.constants.get(name) for name in node.input]) > MAX_STAND_IN_ELEMENTS
        ):
            depends.update(node.output)
        else:
            left = True
    return left
