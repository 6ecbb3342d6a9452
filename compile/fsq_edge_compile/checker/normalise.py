"""Brings any ONNX graph into the form that the rules judge: static, folded, without no-ops.

What folding removes does not count against a model: the vendor's parser retries on a simplified graph. Everything
that was changed is kept as a fact, because several of the changes deserve a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import onnx.inliner
from onnx import shape_inference

from fsq_edge_compile.checker.folding import MAX_ROUNDS, NEVER_FOLDED, TensorInfo, fold_once
from fsq_edge_compile.checker.graph import Array, Graph, Node, Shape
from fsq_edge_compile.checker.loading import LightModel, lighten
from fsq_edge_compile.checker.simplify import simplify
from fsq_edge_runtime.errors import DataError

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
    """
    if model.functions:
        model = _inline(model, name)
    light = lighten(model, name, folder)
    facts = Facts(ir_version=model.ir_version, external=light.external)
    facts.opset = _opset(light.proto)
    _set_aside_unregistered(light.proto, facts.opset)
    _validate(light.proto, name)
    _fix_inputs(light, facts, input_shapes)
    computed = _with_computed_parameters(light)
    info = _fold(light)
    if not facts.dynamic and _shape_arithmetic_left(light):
        facts.simplifier, simplified = simplify(light)
        if simplified is not None:
            light = simplified
            info = _fold(light)
    graph = build_graph(light, info, facts.opset)
    present = {node.name for node in graph.nodes}
    facts.unnamed = len(light.generated & present)
    still = _with_computed_parameters(light)
    facts.computed_shapes = [node for node in computed if node in present and node not in still]
    return Normalised(graph, facts)


def _inline(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:
        raise DataError(f"{name}: the local functions cannot be inlined: {_first_line(error)}") from error


def _opset(model: onnx.ModelProto) -> int:
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


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


def _validate(model: onnx.ModelProto, name: str) -> None:
    # The checker wants a shape on every input and output; a file without them can be judged all the same.
    bare = [
        value.type.tensor_type
        for value in (*model.graph.input, *model.graph.output)
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")
    ]
    for tensor in bare:
        tensor.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{name} is not a valid ONNX graph: {_first_line(error)}", hint="export it again; onnx.checker refuses it"
        ) from error
    finally:
        for tensor in bare:
            tensor.ClearField("shape")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _fix_inputs(light: LightModel, facts: Facts, given: Mapping[str, Sequence[int]] | None) -> None:
    """Apply the caller's shapes, set a symbolic batch to 1, and note whatever stays open."""
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
    """Whether a node is left whose result does not depend on the values of any input, so that it ought to fold."""
    depends = {value.name for value in light.proto.graph.input} - light.stand_ins.keys()
    left = False
    for node in light.proto.graph.node:
        reads = (*node.input, *(name for item in node.attribute for name in _captured_by(item)))
        if (
            node.op_type in NEVER_FOLDED
            or node.domain
            or (node.op_type not in ("Shape", "Size") and any(name in depends for name in reads))
        ):
            depends.update(node.output)
        else:
            left = True
    return left


def _captured_by(attribute: onnx.AttributeProto) -> set[str]:
    return _captured(attribute.g) if attribute.type == onnx.AttributeProto.GRAPH else set()


def _fold(light: LightModel) -> TensorInfo:
    info = infer(light.proto)
    for _ in range(MAX_ROUNDS):
        if not fold_once(light, info):
            break
        info = infer(light.proto)
    return info


def infer(model: onnx.ModelProto) -> TensorInfo:
    """Run shape inference and return shapes and types by tensor name; what cannot be inferred is left out."""
    try:
        inferred = shape_inference.infer_shapes(model, strict_mode=False, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        inferred = model
    info = TensorInfo({}, {})
    graph = inferred.graph
    for values in (graph.value_info, graph.output, graph.input):
        for value in values:
            _note(info, value)
    for tensor in graph.initializer:
        info.shapes[tensor.name] = tuple(tensor.dims)
        info.dtypes[tensor.name] = tensor.data_type
    return info


def _note(info: TensorInfo, value: onnx.ValueInfoProto) -> None:
    if not value.type.HasField("tensor_type"):
        return
    tensor = value.type.tensor_type
    if tensor.elem_type:
        info.dtypes[value.name] = tensor.elem_type
    if tensor.HasField("shape"):
        shape: Shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
        info.shapes[value.name] = shape


def build_graph(light: LightModel, info: TensorInfo, opset: int) -> Graph:
    """Build the view that the rules read, without the operators that do nothing."""
    constants: dict[str, Array | None] = dict(light.constants)
    constants.update(dict.fromkeys(light.stand_ins))
    alias: dict[str, str] = {}
    nodes: list[Node] = []
    for proto in light.proto.graph.node:
        inputs = tuple(alias.get(name, name) for name in proto.input)
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        attributes = {item.name: _plain(item) for item in proto.attribute}
        node = Node(proto.name, proto.op_type, proto.domain, inputs, tuple(proto.output), attributes)
        if node.outputs and inputs and _does_nothing(node, constants, info):
            alias[node.outputs[0]] = inputs[_kept_input(node, constants)]
        else:
            nodes.append(node)
    outputs = tuple(alias.get(value.name, value.name) for value in light.proto.graph.output)
    needed = _needed(nodes, outputs)
    graph_inputs = tuple(value.name for value in light.proto.graph.input if value.name not in constants)
    return Graph(
        tuple(node for node in nodes if id(node) in needed),
        graph_inputs,
        outputs,
        info.shapes,
        info.dtypes,
        constants,
        opset,
    )


def _plain(attribute: onnx.AttributeProto) -> object:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return list(value) if attribute.type in _LISTS else value


_LISTS = frozenset({onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS, onnx.AttributeProto.STRINGS})


def _does_nothing(node: Node, constants: Mapping[str, Array | None], info: TensorInfo) -> bool:
    """Whether a node's first output equals one of its inputs."""
    if node.domain:
        return False
    first, out = info.shapes.get(node.inputs[0]), info.shapes.get(node.outputs[0])
    same = first is not None and first == out and None not in first
    match node.op:
        case "Identity":
            return True
        case "Dropout":
            training = constants.get(node.input(2)) if node.input(2) else None
            return len([name for name in node.outputs if name]) == 1 and (training is None or not training.any())
        case "Cast":
            return bool(info.dtypes.get(node.inputs[0]) == node.attribute("to"))
        case "Reshape" | "Flatten" | "Expand":
            return same
        case "Transpose":
            permutation = node.attribute("perm")
            return bool(permutation is not None and permutation == sorted(permutation))
        case "Concat" | "Sum" | "Max" | "Min" | "Mean":
            return len(node.inputs) == 1
        case "Add" | "Sub":
            return _is_filled(node, constants, info, 0.0)
        case "Mul" | "Div":
            return _is_filled(node, constants, info, 1.0)
        case "Pad":
            pads = constants.get(node.input(1)) if node.input(1) else None
            given = node.attribute("pads") if pads is None else pads.reshape(-1).tolist()
            return bool(given is not None and not any(given))
    return False


def _is_filled(node: Node, constants: Mapping[str, Array | None], info: TensorInfo, neutral: float) -> bool:
    """Whether an arithmetic node has an operand that leaves the other one as it is."""
    if len(node.inputs) != 2:
        return False
    for index in (0, 1) if node.op in ("Add", "Mul") else (1,):
        value = constants.get(node.inputs[index])
        other = node.inputs[1 - index]
        if value is None or other in constants or value.dtype.kind not in "fiu" or not value.size:
            continue
        if (value == neutral).all() and info.shapes.get(other) == info.shapes.get(node.outputs[0]) is not None:
            return True
    return False


def _kept_input(node: Node, constants: Mapping[str, Array | None]) -> int:
    """Return the index of the input that a do-nothing node passes on."""
    if node.op in ("Add", "Mul") and node.inputs[0] in constants:
        return 1
    return 0


def _needed(nodes: Sequence[Node], outputs: Sequence[str]) -> set[int]:
    """Return the ids of the nodes that an output depends on (subgraph captures count as inputs)."""
    wanted = set(outputs)
    needed: set[int] = set()
    for node in reversed(nodes):
        if any(name in wanted for name in node.outputs if name):
            needed.add(id(node))
            wanted.update(name for name in node.inputs if name)
            for value in node.attributes.values():
                if isinstance(value, onnx.GraphProto):
                    wanted.update(_captured(value))
    return needed


def _captured(graph: onnx.GraphProto) -> set[str]:
    names = {name for node in graph.node for name in node.input if name}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                names |= _captured(attribute.g)
    return names
