"""One graph for every row of the operator table: taken in its good form, refused in its bad one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.factories.onnx_graphs import GraphFactory
from tests.factories.reported_cases import attention, layer_norm, torch_gelu

Build = Callable[[GraphFactory, str], Any]


def refused_node(op: str, domain: str = "") -> onnx.ModelProto:
    """A convolution and one node of ``op`` behind it, with the least that its schema asks for."""
    graph = GraphFactory("x", [1, 8, 8, 8])
    maps = graph.conv("x", 8)
    if domain:
        node = helper.make_node(op, [maps], ["y"], name="/odd", domain=domain)
        graph.nodes.append(node)
        model = graph.model("y")
        model.opset_import.append(helper.make_opsetid(domain, 1))
        return model
    schema = _schema(op)
    condition = graph.input("condition", [1], TensorProto.BOOL) if op in ("If", "Loop") else ""
    inputs = [maps] * max(schema.min_input, 1 if schema.max_input else 0)
    if op == "If":
        inputs = [condition]
    elif op == "Loop":
        inputs = ["", condition, maps]
    attributes = {name: _value(item) for name, item in schema.attributes.items() if item.required}
    if op == "Scan":
        attributes["num_scan_inputs"] = 1
    outputs = [f"y{index}" for index in range(max(1, schema.min_output))]
    graph.nodes.append(helper.make_node(op, inputs, outputs, name="/odd", **attributes))
    # The convolution leaves the graph too: not every operator reads it.
    return graph.model(maps, *outputs, opset=10 if op == "Scatter" else 17)


def _schema(op: str) -> onnx.defs.OpSchema:
    for version in (17, 10, 23):
        if onnx.defs.has(op, version):
            return onnx.defs.get_schema(op, version)
    raise KeyError(op)


def _value(attribute: onnx.defs.OpSchema.Attribute) -> Any:
    kind = onnx.defs.OpSchema.AttrType
    body = helper.make_graph(
        [helper.make_node("Constant", [], ["inner"], value_float=1.0)],
        "body",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [])],
    )
    values: dict[Any, Any] = {
        kind.INT: 1,
        kind.INTS: [1],
        kind.FLOAT: 1.0,
        kind.FLOATS: [1.0],
        kind.STRING: "linear",
        kind.GRAPH: body,
        kind.TENSOR: helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0]),
    }
    return values[attribute.type]


def after_conv(build: Build, shape: tuple[int, ...] = (1, 8, 8, 8), opset: int = 17) -> onnx.ModelProto:
    """A convolution and whatever ``build`` puts behind it."""
    graph = GraphFactory("x", shape)
    last = build(graph, graph.conv("x", shape[1]))
    dtypes = {last: TensorProto.INT64} if graph.nodes[-1].op_type == "ArgMax" else {}
    return graph.model(last, opset=opset, dtypes=dtypes)


def _node(op: str, *constants: Any, **attributes: Any) -> Build:
    return lambda graph, x: graph.add(op, x, *(graph.const(value) for value in constants), **attributes)


def _with_ints(op: str, *values: int, **attributes: Any) -> Build:
    return lambda graph, x: graph.add(op, x, graph.ints(*values), **attributes)


def _two(op: str, **attributes: Any) -> Build:
    return lambda graph, x: graph.add(op, x, graph.add("Relu", x), **attributes)


def _as_float(op: str) -> Build:
    return lambda graph, x: graph.add("Cast", graph.add(op, x, graph.const(0.5)), to=TensorProto.FLOAT)


def _pooled(graph: GraphFactory, x: str) -> str:
    return str(graph.add("Flatten", graph.add("GlobalAveragePool", x)))


def _tokens(graph: GraphFactory, x: str) -> str:
    """[1, 8, 8, 8] to [1, 64, 8], and a dense layer."""
    flat = graph.add("Transpose", graph.add("Reshape", x, graph.ints(1, 8, 64)), perm=[0, 2, 1])
    return str(graph.add("MatMul", flat, graph.weights(8, 8)))


def _recurrent(op: str, gates: int) -> Build:
    def build(graph: GraphFactory, x: str) -> Any:
        weights, recurrence = graph.weights(1, gates * 4, 8), graph.weights(1, gates * 4, 4)
        return graph.add(op, _tokens(graph, x), weights, recurrence, hidden_size=4, outputs=1)

    return build


def _dynamic_product(graph: GraphFactory, x: str) -> str:
    bounded = graph.add("Sigmoid", x)
    return str(graph.add("MatMul", bounded, graph.add("Relu", x)))


# Rows that are taken, in the form that was reported. Value: builder, and the opset when it matters.
TAKEN: dict[str, tuple[Build, int]] = {
    "Conv/2d": (lambda graph, x: graph.conv(x, 4, (1, 9)), 17),
    "ConvTranspose": (
        lambda graph, x: graph.add("ConvTranspose", x, graph.weights(8, 4, 2, 2), kernel_shape=[2, 2], strides=[2, 2]),
        17,
    ),
    "Gemm": (lambda graph, x: graph.gemm(_pooled(graph, x), 8, 4), 17),
    "MatMul/constant": (_tokens, 17),
    "MatMul/dynamic": (_dynamic_product, 17),
    "BatchNormalization": (lambda graph, x: graph.batch_norm(x), 17),
    "InstanceNormalization": (_node("InstanceNormalization", np.ones(8), np.zeros(8)), 17),
    "LayerNormalization": (lambda graph, x: layer_norm(graph, x, (1, 2, 3), (8, 8, 8)), 17),
    "Relu": (_node("Relu"), 17),
    "LeakyRelu": (_node("LeakyRelu", alpha=0.1), 17),
    "PRelu": (_node("PRelu", np.full((8, 1, 1), 0.1)), 17),
    "Elu": (_node("Elu"), 17),
    "Sigmoid": (_node("Sigmoid"), 17),
    "HardSigmoid": (_node("HardSigmoid", alpha=1 / 6, beta=0.5), 17),
    "Tanh": (_node("Tanh"), 17),
    "Softplus": (_node("Softplus"), 17),
    "Softsign": (_node("Softsign"), 17),
    "SiLU (Mul+Sigmoid)": (lambda graph, x: graph.add("Mul", x, graph.add("Sigmoid", x)), 17),
    "Gelu (Erf pattern)": (torch_gelu, 17),
    "HardSwish": (
        lambda graph, x: graph.add("Mul", x, graph.add("HardSigmoid", x, alpha=1 / 6, beta=0.5)),
        17,
    ),
    "Mish": (lambda graph, x: graph.add("Mul", x, graph.add("Tanh", graph.add("Softplus", x))), 17),
    "Clip": (_node("Clip", -1.0, 1.0), 17),
    "Softmax": (_node("Softmax", axis=1), 17),
    "LogSoftmax": (_node("LogSoftmax", axis=1), 17),
    "Add": (_two("Add"), 17),
    "Sub": (_node("Sub", np.full((1, 8, 1, 1), 0.5)), 17),
    "Mul": (_two("Mul"), 17),
    "Div": (_node("Div", 2.0), 17),
    "Reciprocal": (
        lambda graph, x: graph.add("Reciprocal", graph.add("Clip", x, graph.const(0.1), graph.const(6.0))),
        17,
    ),
    "Neg": (_node("Neg"), 17),
    "Abs": (_node("Abs"), 17),
    "Exp": (_node("Exp"), 17),
    "Log": (lambda graph, x: graph.add("Log", graph.add("Clip", x, graph.const(0.1), graph.const(6.0))), 17),
    "Sqrt": (lambda graph, x: graph.add("Sqrt", graph.add("Add", graph.add("Relu", x), graph.const(0.1))), 17),
    "Pow": (_node("Pow", 2.0), 17),
    "Min": (_two("Min"), 17),
    "Max": (_two("Max"), 17),
    "Sum": (_two("Sum"), 17),
    "Mean": (_two("Mean"), 17),
    "Cast": (_as_float("Greater"), 17),
    "Equal": (_as_float("Equal"), 17),
    "Greater": (_as_float("Greater"), 17),
    "Less": (_as_float("Less"), 17),
    "MaxPool": (_node("MaxPool", kernel_shape=[2, 2], strides=[2, 2]), 17),
    "AveragePool": (_node("AveragePool", kernel_shape=[2, 2], strides=[2, 2]), 17),
    "GlobalAveragePool": (_node("GlobalAveragePool"), 17),
    "AdaptiveAvgPool (torch)": (_node("AveragePool", kernel_shape=[4, 4], strides=[4, 4]), 17),
    "ReduceMean": (_node("ReduceMean", axes=[2, 3], keepdims=1), 17),
    "ReduceSum": (_with_ints("ReduceSum", 1, keepdims=1), 17),
    "ReduceMax": (_node("ReduceMax", axes=[1], keepdims=1), 17),
    "ReduceMin": (_node("ReduceMin", axes=[1], keepdims=1), 17),
    "ReduceL2": (_node("ReduceL2", axes=[1], keepdims=1), 17),
    "ReduceSumSquare": (_node("ReduceSumSquare", axes=[1], keepdims=1), 17),
    "ArgMax": (_node("ArgMax", axis=1), 17),
    "Concat": (_two("Concat", axis=1), 17),
    "Split": (
        lambda graph, x: graph.add("Add", *graph.add("Split", x, graph.ints(4, 4), outputs=2, axis=1)),
        17,
    ),
    "Slice": (lambda graph, x: graph.add("Slice", x, graph.ints(0), graph.ints(4), graph.ints(1)), 17),
    "Gather": (lambda graph, x: graph.add("Gather", x, graph.ints(2, 3, 4), axis=1), 17),
    "OneHot": (
        lambda graph, x: graph.add(
            "Squeeze",
            graph.add(
                "Transpose",
                graph.add(
                    "OneHot",
                    graph.add("ReduceMax", x, axes=[1], keepdims=1),
                    graph.const(4, np.int64),
                    graph.const([0.0, 1.0]),
                    axis=-1,
                ),
                perm=[0, 4, 2, 3, 1],
            ),
            graph.ints(4),
        ),
        17,
    ),
    "Reshape": (_with_ints("Reshape", 1, 8, 8, 8), 17),
    "Flatten": (_pooled, 17),
    "Squeeze": (lambda graph, x: graph.add("Squeeze", graph.add("GlobalAveragePool", x), graph.ints(2, 3)), 17),
    "Unsqueeze": (lambda graph, x: graph.add("Unsqueeze", graph.gemm(_pooled(graph, x), 8, 4), graph.ints(2, 3)), 17),
    "Transpose": (
        lambda graph, x: graph.add("Transpose", graph.add("Transpose", x, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2]),
        17,
    ),
    "Pad": (lambda graph, x: graph.add("Pad", x, graph.ints(0, 0, 1, 1, 0, 0, 1, 1), graph.const(0.0)), 17),
    "Resize": (lambda graph, x: graph.add("Resize", x, "", graph.const([1.0, 1.0, 2.0, 2.0]), mode="nearest"), 17),
    "Upsample": (_node("Upsample", [1.0, 1.0, 2.0, 2.0], mode="nearest"), 9),
    "DepthToSpace": (_node("DepthToSpace", blocksize=2), 17),
    "SpaceToDepth": (_node("SpaceToDepth", blocksize=2), 17),
    "Tile": (_with_ints("Tile", 1, 1, 2, 2), 17),
    "Shape": (lambda graph, x: graph.add("Reshape", x, graph.add("Shape", x)), 17),
    "Size": (
        lambda graph, x: graph.gemm(
            graph.add(
                "Reshape",
                x,
                graph.add("Concat", graph.ints(1), graph.add("Unsqueeze", graph.add("Size", x), graph.ints(0)), axis=0),
            ),
            512,
            4,
        ),
        17,
    ),
    "Constant": (
        lambda graph, x: graph.add("Mul", x, graph.add("Constant", value_float=2.0)),
        17,
    ),
    "ConstantOfShape": (
        lambda graph, x: graph.add(
            "Add",
            x,
            graph.add(
                "ConstantOfShape", graph.add("Shape", x), value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.5])
            ),
        ),
        17,
    ),
    "Range": (
        lambda graph, x: graph.add(
            "Add",
            x,
            graph.add(
                "Cast",
                graph.add("Range", graph.const(0, np.int64), graph.const(8, np.int64), graph.const(1, np.int64)),
                to=TensorProto.FLOAT,
            ),
        ),
        17,
    ),
    "EyeLike": (lambda graph, x: graph.add("Add", x, graph.add("EyeLike", graph.weights(8, 8))), 17),
    "Identity": (_node("Identity"), 17),
    "Dropout": (lambda graph, x: graph.add("Dropout", x), 17),
    "LSTM": (_recurrent("LSTM", 4), 17),
    "GRU": (_recurrent("GRU", 3), 17),
    "RNN": (_recurrent("RNN", 1), 17),
    "MultiHeadAttention (pattern)": (lambda graph, x: attention(graph, _tokens(graph, x), 64, 8, 2), 17),
}
