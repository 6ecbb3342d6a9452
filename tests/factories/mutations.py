"""Damaged models: bytes flipped in a file, and parts of a parsed model set to values no exporter writes."""

from __future__ import annotations

import random
from collections.abc import Callable

import onnx
from onnx import TensorProto

ODD_INTEGERS = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 255, 2**16, 2**31 - 1, 2**40, 2**63 - 1)
ODD_NAMES = ("", "x", "nobody", "input", "y0", "\x00", "a" * 300, "/Conv_0")
ODD_OPERATORS = (
    "Reshape",
    "Transpose",
    "Concat",
    "Gather",
    "Slice",
    "Resize",
    "MatMul",
    "Softmax",
    "ReduceMean",
    "Expand",
    "Tile",
    "ConstantOfShape",
    "Range",
    "Shape",
    "Where",
    "If",
    "Loop",
    "Split",
    "Pad",
    "LSTM",
    "NoSuchOperator",
    "",
)


def flip_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, insert, delete or overwrite a few bytes of a file."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not damaged:
            break
        at = rng.randrange(len(damaged))
        kind = rng.randrange(5)
        if kind == 0:
            damaged[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            damaged[at] = rng.randrange(256)
        elif kind == 2:
            del damaged[at : at + rng.randrange(1, 9)]
        elif kind == 3:
            damaged[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        else:
            damaged[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(damaged)


def mutate_model(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """Change one to four parts of a copy of a model."""
    mutant = onnx.ModelProto()
    mutant.CopyFrom(model)
    for _ in range(rng.randrange(1, 5)):
        rng.choice(MUTATIONS)(mutant, rng)
    return mutant


def _node(model: onnx.ModelProto, rng: random.Random) -> onnx.NodeProto:
    if not model.graph.node:
        model.graph.node.add(op_type="Relu", input=["x"], output=["y"])
    return rng.choice(model.graph.node)


def _operator(model: onnx.ModelProto, rng: random.Random) -> None:
    _node(model, rng).op_type = rng.choice(ODD_OPERATORS)


def _input_name(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    names = [name for other in model.graph.node for name in (*other.input, *other.output)]
    if node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice((*ODD_NAMES, *names))
    else:
        node.input.append(rng.choice(names or ["x"]))


def _output_name(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    if node.output:
        node.output[rng.randrange(len(node.output))] = rng.choice(ODD_NAMES)


def _extra_input(model: onnx.ModelProto, rng: random.Random) -> None:
    _node(model, rng).input.append(rng.choice(("", "x", "nobody")))


def _drop_input(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    if node.input:
        del node.input[rng.randrange(len(node.input))]


def _attribute(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    if not node.attribute:
        return
    attribute = rng.choice(node.attribute)
    kind = rng.randrange(6)
    if kind == 0:
        attribute.i = rng.choice(ODD_INTEGERS)
    elif kind == 1:
        attribute.ints[:] = [rng.choice(ODD_INTEGERS) for _ in range(rng.randrange(0, 7))]
    elif kind == 2:
        attribute.s = rng.choice((b"", b"linear", b"\xff\xfe", b"reflect", b"cubic"))
    elif kind == 3:
        attribute.f = rng.choice((0.0, -1.0, 1e38, float("nan"), float("inf")))
    elif kind == 4:
        attribute.type = rng.choice((0, 1, 2, 3, 4, 5, 7, 8))
    else:
        node.attribute.remove(attribute)


def _constant_shape(model: onnx.ModelProto, rng: random.Random) -> None:
    if model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        tensor.dims[:] = [rng.choice(ODD_INTEGERS) for _ in range(rng.randrange(0, 6))]


def _constant_value(model: onnx.ModelProto, rng: random.Random) -> None:
    if model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        size = len(tensor.raw_data) // 8
        if tensor.data_type == TensorProto.INT64 and size:
            values = (rng.choice(ODD_INTEGERS) for _ in range(size))
            tensor.raw_data = b"".join(value.to_bytes(8, "little", signed=True) for value in values)
        else:
            tensor.data_type = rng.randrange(0, 24)


def _drop_constant(model: onnx.ModelProto, rng: random.Random) -> None:
    if model.graph.initializer:
        del model.graph.initializer[rng.randrange(len(model.graph.initializer))]


def _external(model: onnx.ModelProto, rng: random.Random) -> None:
    if model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=rng.choice(("../secret", "", "weights.bin", "/etc/passwd")))


def _input_shape(model: onnx.ModelProto, rng: random.Random) -> None:
    if model.graph.input:
        tensor = rng.choice(model.graph.input).type.tensor_type
        del tensor.shape.dim[:]
        for _ in range(rng.randrange(0, 7)):
            dim = tensor.shape.dim.add()
            if rng.random() < 0.7:
                dim.dim_value = rng.choice(ODD_INTEGERS)
            else:
                dim.dim_param = rng.choice(("N", "", "height"))


def _input_type(model: onnx.ModelProto, rng: random.Random) -> None:
    if model.graph.input:
        rng.choice(model.graph.input).type.tensor_type.elem_type = rng.randrange(0, 24)


def _opset(model: onnx.ModelProto, rng: random.Random) -> None:
    if model.opset_import:
        model.opset_import[0].version = rng.choice((0, 1, 6, 9, 12, 18, 23, 99, -1))
    if rng.random() < 0.3:
        model.ir_version = rng.choice((0, 1, 3, 9, 99))


def _domain(model: onnx.ModelProto, rng: random.Random) -> None:
    _node(model, rng).domain = rng.choice(("com.microsoft", "ai.onnx", "ai.onnx.ml", "x"))


def _swap_nodes(model: onnx.ModelProto, rng: random.Random) -> None:
    nodes = list(model.graph.node)
    rng.shuffle(nodes)
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _subgraph(model: onnx.ModelProto, rng: random.Random) -> None:
    inner = onnx.GraphProto(name="inner")
    inner.node.add(op_type="Relu", input=["x"], output=["z"])
    inner.output.add(name="z")
    _node(model, rng).attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH, g=inner)


def _graph_output(model: onnx.ModelProto, rng: random.Random) -> None:
    if model.graph.output and rng.random() < 0.5:
        del model.graph.output[rng.randrange(len(model.graph.output))]
    else:
        model.graph.output.add(name=rng.choice(ODD_NAMES))


MUTATIONS: tuple[Callable[[onnx.ModelProto, random.Random], None], ...] = (
    _operator,
    _input_name,
    _output_name,
    _extra_input,
    _drop_input,
    _attribute,
    _attribute,
    _constant_shape,
    _constant_value,
    _drop_constant,
    _external,
    _input_shape,
    _input_type,
    _opset,
    _domain,
    _swap_nodes,
    _subgraph,
    _graph_output,
)
