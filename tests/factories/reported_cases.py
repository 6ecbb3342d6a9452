"""The accept and refuse cases of public reports, each as the smallest graph that shows it.

F = reported as refused (or as taken and wrong), A = reported as taken. A case that concerns calibration data, the
order of compiler calls, loading, installing or log texts is tested where that happens, not here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from tests.factories.onnx_graphs import GraphFactory


@dataclass(frozen=True)
class Case:
    """One reported case.

    Attributes:
        id: of the collection of cases.
        build: makes the model.
        expected: ``refused`` (not full, and one of ``rules`` is an error), ``warned`` (full, and one of ``rules`` is
            a warning) or ``taken`` (full).
        rules: rules that must show.
        arch: target of the report.
        end: substring of the only end node, where the report names it.
        options: further arguments of ``check``.
    """

    id: str
    build: Callable[[], onnx.ModelProto]
    expected: str
    rules: tuple[str, ...] = ()
    arch: str = "hailo8"
    end: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


CASES: dict[str, Case] = {}


def case(
    id: str, expected: str, *rules: str, arch: str = "hailo8", end: str | None = None, **options: Any
) -> Callable[[Callable[[], onnx.ModelProto]], Callable[[], onnx.ModelProto]]:
    def register(build: Callable[[], onnx.ModelProto]) -> Callable[[], onnx.ModelProto]:
        CASES[id] = Case(id, build, expected, rules, arch, end, options)
        return build

    return register


def _after_conv(op: str, *inputs: Any, shape: tuple[int, ...] = (1, 8, 8, 8), **attributes: Any) -> onnx.ModelProto:
    graph = GraphFactory("x", shape)
    operands = [graph.const(value) for value in inputs]
    return graph.model(graph.add(op, graph.conv("x", 8), *operands, **attributes))


@case("F01", "refused", "op.round", end="/Sub")
def round_on_the_data_path() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 9, 2, 50])
    bounded = graph.add("Tanh", graph.conv("x", 8, (1, 5)))
    scaled = graph.add("Sub", graph.add("Mul", bounded, graph.const(3.5)), graph.const(0.5))
    return graph.model(graph.add("Round", scaled))


@case("F02", "refused", "op.floor", arch="hailo10h", end="/Conv")
def floor_alone() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 2, 50])
    return graph.model(graph.add("Floor", graph.conv("x", 8, (1, 1))))


@case("F03", "refused", "op.floor", arch="hailo10h", end="/Add")
def floor_as_rounding() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 2, 50])
    return graph.model(graph.add("Floor", graph.add("Add", graph.conv("x", 8, (1, 1)), graph.const(0.5))))


@case("F04", "refused", "cast.float-to-integer", arch="hailo10h", end="/Conv")
def cast_to_integer_and_back() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 2, 50])
    whole = graph.add("Cast", graph.conv("x", 8, (1, 1)), to=TensorProto.INT32)
    return graph.model(graph.add("Cast", whole, to=TensorProto.FLOAT))


@case("F06", "refused", "op.gather-elements", arch="hailo8l")
def gather_elements() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 4, 64, 1])
    index = graph.const(np.zeros((1, 4, 10, 1)), np.int64)
    return graph.model(graph.add("GatherElements", "x", index, axis=2))


@case("F07", "refused", "op.mod", arch="hailo8l", end="/Conv")
def modulo() -> onnx.ModelProto:
    return _after_conv("Mod", 2.0, fmod=1)


@case("F09", "refused", "reduce-sum.axis", arch="hailo10h", end="/Conv")
def sum_over_height() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 16, 32])
    return graph.model(graph.add("ReduceSum", graph.conv("x", 8), graph.ints(-2), keepdims=0))


@case("F10", "refused", "reduce-mean.one-spatial-axis", end="/Conv")
def mean_over_one_axis_then_dense() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 16, 4, 50])
    pooled = graph.add("ReduceMean", graph.conv("x", 16), axes=[2], keepdims=0)
    flat = graph.add("Reshape", pooled, graph.ints(1, -1))
    return graph.model(graph.gemm(flat, 800, 10))


@case("F11", "refused", "op.selu", end="/Conv")
def selu() -> onnx.ModelProto:
    return _after_conv("Selu")


@case("F12", "refused", "op.erf", arch="hailo10h", end="/Conv")
def erf_alone() -> onnx.ModelProto:
    return _after_conv("Erf")


@case("F13", "refused", "op.sign", arch="hailo10h", end="/Conv")
def sign() -> onnx.ModelProto:
    return _after_conv("Sign")


@case("F16", "refused", "op.where")
def where() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 8, 8])
    mask = graph.input("m", [1, 8, 8, 8], TensorProto.BOOL)
    return graph.model(graph.add("Where", mask, "x", graph.const(0.0)))


@case("F17", "refused", "op.expand", arch="hailo10h", end="/Conv")
def expand() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 1, 1])
    return graph.model(graph.add("Expand", graph.conv("x", 8, (1, 1)), graph.ints(1, 8, 4, 4)))


@case("F19", "refused", "gather.embedding")
def embedding() -> onnx.ModelProto:
    graph = GraphFactory("ids", [1, 128], TensorProto.INT64)
    return graph.model(graph.add("Gather", graph.weights(3000, 384), "ids"))


@case("F20", "refused", "gather.computed-index", arch="hailo8l", end="/Conv")
def computed_index() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 64, 8, 8])
    index = graph.input("index", [4], TensorProto.INT64)
    return graph.model(graph.add("Gather", graph.conv("x", 64), index, axis=1))


@case("F21", "refused", "gather.batch")
def gather_over_the_batch() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 16, 3, 8])
    heads = graph.add("Transpose", "x", perm=[2, 0, 1, 3])
    return graph.model(graph.add("Gather", heads, graph.const(0, np.int64), axis=0))


@case("F23", "refused", "tile.batch", arch="hailo10h")
def tile_over_the_batch() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 1, 384])
    return graph.model(graph.add("Relu", graph.add("Tile", "x", graph.ints(4, 1, 1))))


@case("F24", "refused", "concat.flat")
def join_of_flat_tensors() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 8, 8])
    y = graph.input("y", [1, 8, 4, 4])
    parts = [graph.add("Flatten", graph.conv(name, 8), axis=1) for name in ("x", y)]
    return graph.model(graph.add("Concat", *parts, axis=1))


@case("F25", "refused", "reshape.shuffle", arch="hailo8l", end="/Conv")
def flatten_as_last_node() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 64, 20, 20])
    last = graph.add("Transpose", graph.conv("x", 64), perm=[0, 2, 3, 1])
    return graph.model(graph.add("Flatten", last))


@case("F27", "warned", "file.computed-shapes", arch="hailo8l")
def dynamic_flatten() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 4, 4, 4])
    maps = graph.conv("x", 8)
    batch = graph.add("Gather", graph.add("Shape", maps), graph.const(0, np.int64))
    target = graph.add("Concat", graph.add("Unsqueeze", batch, graph.ints(0)), graph.ints(-1), axis=0)
    return graph.model(graph.gemm(graph.add("Reshape", maps, target), 128, 10))


@case("F28", "refused", "reshape.shuffle", "transpose.shuffle", arch="hailo10h")
def heads_away_from_their_transpose() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 128, 512])
    heads = graph.add("Mul", graph.add("Reshape", "x", graph.ints(1, 128, 16, 32)), graph.const(0.125))
    return graph.model(graph.add("Transpose", heads, perm=[0, 2, 1, 3]))


@case("F33", "warned", "layer-norm.untracked-layout", arch="hailo10h")
def layer_norm_behind_concat() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 64, 8, 8])
    tokens = graph.add("Transpose", graph.add("Reshape", "x", graph.ints(1, 64, 64)), perm=[0, 2, 1])
    joined = graph.add("Concat", graph.weights(1, 1, 64), tokens, axis=1)
    return graph.model(graph.add("LayerNormalization", joined, graph.weights(64), graph.weights(64), axis=-1))


@case("F35", "refused", "conv-transpose.groups")
def grouped_transposed_convolution() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 16, 8, 8])
    return graph.model(
        graph.add("ConvTranspose", "x", graph.weights(16, 1, 2, 2), group=16, strides=[2, 2], kernel_shape=[2, 2])
    )


@case("F40", "refused", "op.quantize-linear", "op.dequantize-linear")
def quantised_model() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    scale, zero = graph.const(0.1), graph.const(0, np.uint8)
    real = graph.add("DequantizeLinear", graph.add("QuantizeLinear", "x", scale, zero), scale, zero)
    return graph.model(graph.conv(real, 8, inputs=3))


@case("F42", "warned", "conv.kernel-shape-missing")
def missing_kernel_shape() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    return graph.model(graph.add("Conv", "x", graph.weights(8, 3, 3, 3), pads=[1, 1, 1, 1]))


@case("F43", "warned", "resize.sizes")
def resize_by_sizes() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 8, 8])
    maps = graph.conv("x", 8)
    return graph.model(
        graph.add(
            "Resize",
            maps,
            "",
            "",
            graph.ints(1, 8, 16, 16),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    )


@case("F43-allowzero", "warned", "reshape.allowzero")
def reshape_with_allowzero() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 8, 8])
    pooled = graph.add("GlobalAveragePool", graph.conv("x", 8))
    return graph.model(graph.gemm(graph.add("Reshape", pooled, graph.ints(1, 8), allowzero=1), 8, 4))


@case("F45", "refused", "file.empty-graph")
def identity_alone() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 8, 8])
    return graph.model(graph.add("Identity", "x"))


@case("F45-neutral", "refused", "file.empty-graph", arch="hailo10h")
def neutral_arithmetic() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 8, 8])
    return graph.model(graph.add("Mul", graph.add("Add", "x", graph.const(0.0)), graph.const(1.0)))


@case("F45-equal", "refused", "equal.same-tensor", arch="hailo10h")
def equal_to_itself() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 8, 8])
    return graph.model(graph.add("Cast", graph.add("Equal", "x", "x"), to=TensorProto.FLOAT))


@case("F46", "refused", "tensor.rank")
def unfold_in_five_dimensions() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 1, 64, 64])
    high = graph.add("Unsqueeze", graph.add("Unsqueeze", "x", graph.ints(3)), graph.ints(5))
    part = graph.add("Slice", high, graph.ints(0), graph.ints(32), graph.ints(2))
    return graph.model(graph.add("Transpose", part, perm=[0, 1, 3, 2, 5, 4]))


@case("F49", "warned", "file.opset-old")
def old_opset() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    return graph.model(graph.conv("x", 8), opset=10)


@case("F54", "refused", "file.input-not-declared", arch="hailo10h", input_shapes={"x": (1, 8, 8, 8)})
def input_without_a_shape() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 8, 8])
    mask = graph.input("attention_mask", [1, 8, 8, 8])
    return graph.model(graph.add("Add", graph.conv("x", 8), mask))


@case("F62", "warned", "matmul.negative-range")
def signed_product() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 4, 8, 16])
    y = graph.input("y", [1, 4, 16, 8])
    return graph.model(graph.add("MatMul", "x", y))


@case("F72", "warned", "conv.wide-map")
def wide_map() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 256, 1, 1024])
    return graph.model(graph.conv("x", 256, (1, 3)))


@case("A01", "taken")
def fsq_encoder_as_compiled() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 9, 2, 100])
    x = graph.unary("Relu", graph.conv("x", 32, (1, 5)))
    x = graph.unary("Relu", graph.conv(x, 64, (1, 3)))
    flat = graph.add("Reshape", graph.add("GlobalAveragePool", x), graph.ints(1, 64))
    bounded = graph.add("Tanh", graph.gemm(flat, 64, 3))
    return graph.model(graph.add("Sub", graph.add("Mul", bounded, graph.const(3.5)), graph.const(0.5)))


@case("A02", "taken")
def convolution_with_batch_norm() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 1, 28, 28])
    return graph.model(graph.add("Relu", graph.batch_norm(graph.conv("x", 8))))


for _size in (1, 3, 5):

    @case(f"A03-{_size}", "taken")
    def convolution(size: int = _size) -> onnx.ModelProto:
        graph = GraphFactory("x", [1, 1, 28, 28])
        return graph.model(graph.conv("x", 8, (size, size)))


@case("A04", "taken")
def depthwise_convolution() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 16, 28, 28])
    return graph.model(graph.conv("x", 16, groups=16))


for _flat in ("Squeeze", "Flatten"):

    @case(f"A09-{_flat}", "taken")
    def classifier_head(flat: str = _flat) -> onnx.ModelProto:
        graph = GraphFactory("x", [1, 16, 7, 7])
        pooled = graph.add("GlobalAveragePool", graph.conv("x", 16))
        vector = graph.add("Squeeze", pooled, graph.ints(2, 3)) if flat == "Squeeze" else graph.add(flat, pooled)
        return graph.model(graph.add("Softmax", graph.gemm(vector, 16, 10), axis=1))


@case("A12", "taken")
def exact_gelu() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 28, 28])
    return graph.model(torch_gelu(graph, graph.conv("x", 8)))


@case("A14", "taken")
def layer_norm_over_chw() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 28, 28])
    x = layer_norm(graph, graph.conv("x", 8), (-3, -2, -1), (8, 28, 28))
    return graph.model(x, opset=11)


@case("A17", "taken")
def spatial_attention() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 28, 28])
    mask = graph.add("Sigmoid", graph.conv("x", 1))
    return graph.model(graph.add("Mul", "x", mask))


@case("A18", "taken")
def zero_padding() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 28, 28])
    padded = graph.add("Pad", "x", graph.ints(0, 0, 1, 1, 0, 0, 1, 1), graph.const(0.0), mode="constant")
    return graph.model(graph.conv(padded, 8, inputs=3))


for _mode in ("nearest", "linear"):

    @case(f"A20-{_mode}", "taken")
    def resize_by_two(mode: str = _mode) -> onnx.ModelProto:
        graph = GraphFactory("x", [1, 3, 14, 14])
        return graph.model(graph.add("Resize", graph.conv("x", 8), "", graph.const([1.0, 1.0, 2.0, 2.0]), mode=mode))


@case("A21", "taken")
def layout_pair() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 28, 28])
    there = graph.add("Transpose", graph.conv("x", 8), perm=[0, 2, 3, 1])
    return graph.model(graph.add("Relu", graph.add("Transpose", there, perm=[0, 3, 1, 2])))


@case("A25", "taken", arch="hailo10h")
def sum_over_channels() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 16, 32])
    return graph.model(graph.add("ReduceSum", "x", graph.ints(1), keepdims=1))


@case("A26", "taken", arch="hailo10h")
def many_groups() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8192, 1, 8])
    return graph.model(graph.conv("x", 8192, (1, 4), groups=8192))


for _arch in ("hailo8", "hailo10h", "hailo15h", "hailo15l"):

    @case(f"A27-{_arch}", "taken", arch=_arch)
    def arg_max_at_the_end() -> onnx.ModelProto:
        graph = GraphFactory("x", [1, 8, 16, 16])
        last = graph.add("ArgMax", graph.conv("x", 4, (1, 1)), axis=1, keepdims=0)
        return graph.model(last, dtypes={last: TensorProto.INT64})


for _arch in ("hailo8", "hailo10h"):

    @case(f"A28-{_arch}", "taken", arch=_arch)
    def encoder_block() -> onnx.ModelProto:
        graph = GraphFactory("x", [1, 64, 128])
        return graph.model(transformer_block(graph, "x", 64, 128, 4))


@case("A29", "taken")
def space_to_depth() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 1, 64, 64])
    return graph.model(graph.conv(graph.add("SpaceToDepth", "x", blocksize=8), 24, (1, 1), inputs=64))


def torch_gelu(graph: GraphFactory, x: str) -> str:
    """Exact GELU in torch's order."""
    erf = graph.add("Erf", graph.add("Div", x, graph.const(math.sqrt(2.0))))
    product = graph.add("Mul", x, graph.add("Add", erf, graph.const(1.0)))
    return str(graph.add("Mul", product, graph.const(0.5)))


def keras_gelu(graph: GraphFactory, x: str) -> str:
    """Exact GELU as Keras and tf2onnx write it."""
    erf = graph.add("Erf", graph.add("Mul", x, graph.const(1.0 / math.sqrt(2.0))))
    halved = graph.add("Mul", x, graph.const(0.5))
    return str(graph.add("Mul", halved, graph.add("Add", erf, graph.const(1.0))))


def layer_norm(
    graph: GraphFactory, x: str, axes: tuple[int, ...] = (-1,), shape: tuple[int, ...] = (128,), opset: int = 17
) -> str:
    """LayerNorm with its operators written out (axes as attribute: up to opset 17)."""
    centred = graph.add("Sub", x, graph.add("ReduceMean", x, axes=list(axes), keepdims=1))
    square = graph.add("Pow", centred, graph.const(2.0))
    variance = graph.add("ReduceMean", square, axes=list(axes), keepdims=1)
    root = graph.add("Sqrt", graph.add("Add", variance, graph.const(1e-5)))
    scaled = graph.add("Mul", graph.add("Div", centred, root), graph.const(np.ones(shape) * 1.1))
    return str(graph.add("Add", scaled, graph.const(np.ones(shape) * 0.1)))


def dense(graph: GraphFactory, x: str, inputs: int, outputs: int) -> str:
    """Linear over the last axis."""
    return str(graph.add("Add", graph.add("MatMul", x, graph.weights(inputs, outputs)), graph.weights(outputs)))


def attention(graph: GraphFactory, x: str, tokens: int, width: int, heads: int) -> str:
    """Multi-head attention with one projection each for query, key and value."""
    size = width // heads

    def head(perm: list[int]) -> str:
        split = graph.add("Reshape", dense(graph, x, width, width), graph.ints(1, tokens, heads, size))
        return str(graph.add("Transpose", split, perm=perm))

    query, key, value = head([0, 2, 1, 3]), head([0, 2, 3, 1]), head([0, 2, 1, 3])
    scores = graph.add("Div", graph.add("MatMul", query, key), graph.const(math.sqrt(size)))
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
    merged = graph.add("Reshape", graph.add("Transpose", mixed, perm=[0, 2, 1, 3]), graph.ints(1, tokens, width))
    return dense(graph, merged, width, width)


def transformer_block(graph: GraphFactory, x: str, tokens: int, width: int, heads: int) -> str:
    """Pre-norm encoder block."""
    x = str(graph.add("Add", x, attention(graph, layer_norm(graph, x, shape=(width,)), tokens, width, heads)))
    hidden = torch_gelu(graph, dense(graph, layer_norm(graph, x, shape=(width,)), width, 2 * width))
    return str(graph.add("Add", x, dense(graph, hidden, 2 * width, width)))
