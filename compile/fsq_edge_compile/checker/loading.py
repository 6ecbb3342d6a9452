"""Reads an ONNX file that may be anything: bounded, without its large weights, and with one clear error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.files import read_errors

# A file twice in memory (bytes and parsed) has to stay well below 2 GB. Larger weights travel as external data,
# which is never read for a check.
MAX_FILE_BYTES = 768 << 20
# Constants up to this size keep their value; above it only shape and type matter to any rule.
KEPT_BYTES = 1024
# Integer constants are shapes, axes and indices: worth keeping a little longer.
KEPT_INDEX_BYTES = 64 << 10
MAX_NODES = 200_000

_DAMAGED = "the file is damaged or of another kind"
_WIDTHS: dict[int, int] = {
    onnx.TensorProto.FLOAT: 4,
    onnx.TensorProto.UINT8: 1,
    onnx.TensorProto.INT8: 1,
    onnx.TensorProto.UINT16: 2,
    onnx.TensorProto.INT16: 2,
    onnx.TensorProto.INT32: 4,
    onnx.TensorProto.INT64: 8,
    onnx.TensorProto.BOOL: 1,
    onnx.TensorProto.FLOAT16: 2,
    onnx.TensorProto.DOUBLE: 8,
    onnx.TensorProto.UINT32: 4,
    onnx.TensorProto.UINT64: 8,
    onnx.TensorProto.BFLOAT16: 2,
}
_INTEGERS = frozenset({onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL})


@dataclass(frozen=True, slots=True)
class StandIn:
    """A constant whose value was not kept.

    Attributes:
        dtype: ``TensorProto`` element type.
        shape: dimensions.
    """

    dtype: int
    shape: tuple[int, ...]


@dataclass(slots=True)
class LightModel:
    """A model without its large weights, small enough for every native tool.

    Attributes:
        name: file name or graph name.
        proto: the model; constants are initialisers, large ones are graph inputs instead.
        constants: small constants by name.
        stand_ins: large constants by name.
        external: names of tensors whose data lies beside the file.
        generated: names given here to nodes that came without one, or with one that another node has.
    """

    name: str
    proto: onnx.ModelProto
    constants: dict[str, AnyArray] = field(default_factory=dict)
    stand_ins: dict[str, StandIn] = field(default_factory=dict)
    external: tuple[str, ...] = ()
    generated: set[str] = field(default_factory=set)

    @property
    def opset(self) -> int:
        """Version of the standard operators, as far as this onnx knows them."""
        return max(1, min(opset_of(self.proto), onnx.defs.onnx_opset_version()))


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators; 0 when the model states none."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def read_model(path: str | Path) -> onnx.ModelProto:
    """Parse an ONNX file; external tensor data stays where it is.

    Args:
        path: file of at most ``MAX_FILE_BYTES``.

    Raises:
        MissingInputError: no such file, or not a readable file.
        DataError: too large, or not an ONNX model.
    """
    path = Path(path)
    with read_errors(path):
        size = path.stat().st_size
        if not path.is_file():
            raise MissingInputError(f"{path} is not a file", hint="give the path of an .onnx file")
        if size > MAX_FILE_BYTES:
            raise DataError(
                f"{path} has {size / 2**20:.0f} MiB, more than the {MAX_FILE_BYTES >> 20} MiB that are read",
                hint="store the weights as external data: they are not needed for a check",
            )
        payload = path.read_bytes()
    return parse_model(payload, str(path))


def parse_model(payload: bytes, name: str) -> onnx.ModelProto:
    """Parse the bytes of an ONNX file.

    Raises:
        DataError: the bytes are no ONNX model.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(payload)
    except DecodeError as error:
        raise DataError(f"{name} is not an ONNX model: {error}", hint=_DAMAGED) from error
    if not model.HasField("graph"):
        raise DataError(f"{name} is not an ONNX model: it holds no graph", hint=_DAMAGED)
    return model


def lighten(model: onnx.ModelProto, name: str, folder: Path | None) -> LightModel:
    """Copy a model without its large weights.

    Constants become initialisers (``Constant`` nodes too). Those above ``KEPT_BYTES`` become graph inputs of the
    same shape, so that checker, shape inference and simplifier never touch a weight. The caller's model is not
    changed.

    Args:
        model: the model as read.
        name: for messages.
        folder: folder of the file, for external data; None for a model in memory.

    Raises:
        DataError: contradictory or unreadable tensors, external data outside the folder, too many nodes.
    """
    source = model.graph
    _require_text(model, name)
    if len(source.node) > MAX_NODES:
        raise DataError(f"{name} has {len(source.node)} nodes, more than the {MAX_NODES} that are judged")
    # A version that this onnx does not know yet says nothing against the graph.
    version = max(4, min(model.ir_version, onnx.IR_VERSION))
    # Before IR 4 every initialiser had to be a graph input as well; here none is.
    light = LightModel(name, onnx.ModelProto(ir_version=version, producer_name=model.producer_name))
    light.proto.opset_import.extend(model.opset_import)
    light.proto.functions.extend(model.functions)
    graph = light.proto.graph
    graph.name = source.name or "graph"
    external: list[str] = []
    for tensor in source.initializer:
        _add_tensor(light, tensor, tensor.name, folder, external)
    for sparse in source.sparse_initializer:
        _stand_in(light, sparse.values.name, sparse.values.data_type, tuple(sparse.dims))
    for node, given in zip(source.node, node_names(source.node), strict=True):
        if _add_constant(light, node, folder, external):
            continue
        copy = graph.node.add()
        copy.CopyFrom(node)
        if copy.domain == "ai.onnx":
            copy.domain = ""
        if copy.name != given:
            copy.name = given
            light.generated.add(given)
    known = light.constants.keys() | light.stand_ins.keys()
    graph.input.extend(value for value in source.input if value.name not in known)
    for tensor_name, stand_in in light.stand_ins.items():
        graph.input.append(onnx.helper.make_tensor_value_info(tensor_name, stand_in.dtype, stand_in.shape))
    graph.output.extend(source.output)
    graph.value_info.extend(value for value in source.value_info if value.name not in known)
    light.external = tuple(external)
    return light


def give_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> None:
    """Write the caller's sizes over those of the graph inputs, in place; shapes that followed from them go."""
    for value in model.graph.input:
        if value.name in shapes:
            tensor = value.type.tensor_type
            tensor.shape.ClearField("dim")
            for size in shapes[value.name]:
                tensor.shape.dim.add().dim_value = size
    if shapes:
        del model.graph.value_info[:]
        for output in model.graph.output:
            if output.type.HasField("tensor_type"):
                output.type.tensor_type.ClearField("shape")


def _require_text(model: onnx.ModelProto, name: str) -> None:
    """Refuse names that are not UTF-8; protobuf hands them out as bytes."""
    graph = model.graph
    texts: list[Any] = [graph.name, model.producer_name, *(entry.domain for entry in model.opset_import)]
    for node in graph.node:
        texts += (node.name, node.op_type, node.domain, *node.input, *node.output)
        texts += (attribute.name for attribute in node.attribute)
    for values in (graph.input, graph.output, graph.value_info, graph.initializer):
        texts += (value.name for value in values)
    if any(isinstance(text, bytes) for text in texts):
        raise DataError(f"{name} holds a name that is not text", hint=_DAMAGED)


def node_names(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    """Return one name a node, all different: its own where it is the first to have it, else one made here.

    Every file that is written from the model uses the same names.
    """
    nodes = list(nodes)
    taken = {node.name for node in nodes}
    names: list[str] = []
    used: set[str] = set()
    for index, node in enumerate(nodes):
        name = node.name
        if not name or name in used:
            name = f"{node.op_type or 'node'}_{index}"
            while name in taken:
                name += "_"
            taken.add(name)
        used.add(name)
        names.append(name)
    return names


def give_names(graph: onnx.GraphProto) -> list[str]:
    """Give each node its name of :func:`node_names`, and return the new ones."""
    given = []
    for node, name in zip(graph.node, node_names(graph.node), strict=True):
        if node.name != name:
            node.name = name
            given.append(name)
    return given


def _add_constant(light: LightModel, node: onnx.NodeProto, folder: Path | None, external: list[str]) -> bool:
    """Turn a ``Constant`` node into an initialiser; False for other nodes and for values that are no tensors."""
    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return False
    if len(node.attribute) != 1 or len(node.output) != 1:
        return False
    attribute = node.attribute[0]
    if attribute.name == "value":
        _add_tensor(light, attribute.t, node.output[0], folder, external)
        return True
    values: Any = {
        "value_int": lambda: (onnx.TensorProto.INT64, [], [attribute.i]),
        "value_float": lambda: (onnx.TensorProto.FLOAT, [], [attribute.f]),
        "value_ints": lambda: (onnx.TensorProto.INT64, [len(attribute.ints)], list(attribute.ints)),
        "value_floats": lambda: (onnx.TensorProto.FLOAT, [len(attribute.floats)], list(attribute.floats)),
    }.get(attribute.name)
    if values is None:
        return False
    dtype, dims, data = values()
    _add_tensor(light, onnx.helper.make_tensor(node.output[0], dtype, dims, data), node.output[0], folder, external)
    return True


def _add_tensor(
    light: LightModel, tensor: onnx.TensorProto, name: str, folder: Path | None, external: list[str]
) -> None:
    if not name:
        raise DataError(f"{light.name}: an initialiser has no name")
    shape = tuple(tensor.dims)
    if any(size < 0 for size in shape):
        raise DataError(f"{light.name}: the constant {name!r} declares the shape {list(shape)}")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        external.append(name)
        if folder is not None:
            _check_external(light.name, tensor, name, folder)
        _stand_in(light, name, tensor.data_type, shape)
        return
    width = element_bytes(tensor.data_type)
    size = math.prod(shape) * width
    if width and tensor.HasField("raw_data") and len(tensor.raw_data) != size:
        raise DataError(f"{light.name}: the constant {name!r} of shape {list(shape)} has {len(tensor.raw_data)} bytes")
    if size > (KEPT_INDEX_BYTES if tensor.data_type in _INTEGERS else KEPT_BYTES) or width == 0:
        _stand_in(light, name, tensor.data_type, shape)
        return
    try:
        value = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise DataError(f"{light.name}: the constant {name!r} cannot be read: {error}") from error
    copy = light.proto.graph.initializer.add()
    copy.CopyFrom(tensor)
    copy.name = name
    light.constants[name] = value


def _stand_in(light: LightModel, name: str, dtype: int, shape: tuple[int, ...]) -> None:
    light.stand_ins[name] = StandIn(dtype, shape)


def element_bytes(dtype: int) -> int:
    """Return the width of an element; 0 for strings, for packed types and for types unknown to this onnx."""
    return _WIDTHS.get(dtype, 0)


def _check_external(model: str, tensor: onnx.TensorProto, name: str, folder: Path) -> None:
    """Refuse external data that leaves the model's folder or is not there (its bytes are not read)."""
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    root = folder.resolve()
    try:
        target = (root / location).resolve()
    except (OSError, ValueError) as error:
        raise DataError(f"{model}: the data of {name!r} has an unusable location") from error
    if not location or not target.is_relative_to(root):
        raise DataError(f"{model}: the data of {name!r} lies outside the model's folder: {location!r}")
    if not target.is_file():
        raise DataError(f"{model}: the data of {name!r} is missing: no file {location!r} beside the model")
