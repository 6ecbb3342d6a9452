"""Tiny ONNX graphs for tests, written in one line each.

graph = GraphFactory("x", [1, 9, 2, 50])
y = graph.conv("x", 8, (1, 5))
y = graph.add("Relu", y)
model = graph.model(y)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_compile.checker.rewrites.proving import Prover


class GraphFactory:
    """Builds a model node by node; every tensor is named after the node that makes it."""

    def __init__(
        self,
        name: str | None = "x",
        shape: Sequence[int | str | None] | None = None,
        dtype: int = TensorProto.FLOAT,
        seed: int = 0,
    ) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.shapes: dict[str, list[Any]] = {}
        self.random = np.random.default_rng(seed)
        if name is not None:
            self.input(name, shape, dtype)

    def input(self, name: str, shape: Sequence[int | str | None] | None, dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        self.shapes[name] = list(shape or [])
        return name

    def const(self, value: Any, dtype: Any = np.float32, name: str | None = None) -> str:
        array = np.asarray(value, dtype=dtype)
        name = name or f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, *values: int) -> str:
        return self.const(list(values), np.int64)

    def weights(self, *shape: int) -> str:
        fan_in = int(np.prod(shape[1:])) or 1
        return self.const(self.random.standard_normal(shape) / np.sqrt(fan_in))

    def add(self, op: str, *inputs: str, outputs: int = 1, name: str | None = None, **attributes: Any) -> Any:
        name = name if name is not None else f"/{op}_{len(self.nodes)}"
        made = [f"{name or f'{op}_{len(self.nodes)}'}_out{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), made, name=name, **attributes))
        return made[0] if outputs == 1 else made

    def conv(
        self,
        x: str,
        channels: int,
        kernel: tuple[int, ...] = (3, 3),
        inputs: int | None = None,
        groups: int = 1,
        strides: tuple[int, ...] | None = None,
        bias: bool = True,
        **attributes: Any,
    ) -> str:
        inputs = inputs if inputs is not None else self._channels(x)
        weights = self.weights(channels, inputs // groups, *kernel)
        operands = [x, weights] + ([self.const(self.random.standard_normal(channels) * 0.1)] if bias else [])
        pads = [size // 2 for size in kernel] * 2
        y = self.add(
            "Conv",
            *operands,
            kernel_shape=list(kernel),
            pads=pads,
            strides=list(strides or (1,) * len(kernel)),
            group=groups,
            **attributes,
        )
        self.shapes[y] = [1, channels]
        return y

    def batch_norm(self, x: str, channels: int | None = None) -> str:
        channels = channels or self._channels(x)
        positive = np.abs(self.random.standard_normal(channels)) + 0.5
        y = self.add(
            "BatchNormalization",
            x,
            self.const(positive),
            self.const(self.random.standard_normal(channels) * 0.1),
            self.const(self.random.standard_normal(channels) * 0.1),
            self.const(positive),
        )
        self.shapes[y] = [1, channels]
        return y

    def unary(self, op: str, x: str, **attributes: Any) -> str:
        """A node that keeps the channel count, so that ``conv`` after it needs no ``inputs``."""
        y = self.add(op, x, **attributes)
        if x in self.shapes:
            self.shapes[y] = self.shapes[x]
        return str(y)

    def gemm(self, x: str, inputs: int, outputs: int) -> str:
        return str(self.add("Gemm", x, self.weights(outputs, inputs), self.weights(outputs), transB=1))

    def _channels(self, x: str) -> int:
        return int(self.shapes[x][1])

    def model(
        self, *outputs: str, opset: int = 17, ir: int = 8, dtypes: dict[str, int] | None = None
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            self.inputs,
            [
                helper.make_tensor_value_info(name, (dtypes or {}).get(name, TensorProto.FLOAT), None)
                for name in outputs
            ],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
        return _with_output_shapes(model)


def _with_output_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """State the output shapes as an exporter does; leave the model alone where onnx cannot infer them."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        return model
    shapes = {value.name: value for value in inferred.graph.output}
    for value in model.graph.output:
        value.CopyFrom(shapes[value.name])
    return model


def imu_encoder(channels: int = 12, width: int = 50, dims: int = 3, batch_norm: bool = True) -> GraphFactory:
    """The project's own device graph; the last tensor is ``graph.last``."""
    graph = GraphFactory("input", [1, channels, 2, width])
    x = "input"
    for index, features in enumerate((32, 64, 64)):
        x = graph.conv(x, features, (1, 9))
        x = graph.batch_norm(x) if batch_norm else x
        x = graph.unary("Relu", x)
        if index < 2:
            x = graph.unary("MaxPool", x, kernel_shape=[1, 2], strides=[1, 2])
    x = graph.add("GlobalAveragePool", x)
    x = graph.add("Flatten", x, axis=1)
    x = graph.gemm(x, 64, dims)
    graph.last = graph.add("Tanh", x)  # type: ignore[attr-defined] # a factory's note for the caller
    return graph


def fsq_model(classes: int = 7) -> onnx.ModelProto:
    """Device graph and host tail in one file: round, index, table, arg max."""
    graph = imu_encoder()
    scaled = graph.add("Mul", graph.last, graph.const([3.5, 2.5, 2.0]))  # type: ignore[attr-defined] # see above
    shifted = graph.add("Sub", scaled, graph.const([0.5, 0.5, 0.0]))
    digits = graph.add("Add", graph.add("Round", shifted), graph.const([4.0, 3.0, 2.0]))
    index = graph.add("ReduceSum", graph.add("Mul", digits, graph.const([1.0, 8.0, 48.0])), graph.ints(1), keepdims=0)
    code = graph.add("Cast", index, to=TensorProto.INT64)
    logits = graph.add("Gather", graph.weights(240, classes), code, axis=0)
    label = graph.add("ArgMax", logits, axis=1, keepdims=0)
    return graph.model(logits, label, dtypes={label: TensorProto.INT64})


def outputs_of(model: onnx.ModelProto, feeds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What onnxruntime makes of a model, with nothing optimised."""
    with Prover(model) as prover:
        return prover.run(model, feeds)
