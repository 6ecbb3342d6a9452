"""Convolutions and dense layers: Conv, ConvTranspose, Gemm, MatMul."""

from __future__ import annotations

from collections.abc import Iterator

from fsq_edge_compile.checker.families.predicate import Breach, Context, Predicate, text
from fsq_edge_compile.checker.ranges import range_of

# Sizes that public reports hold; none of them is the vendor's limit.
WIDE_MAP = 1024
WIDE_MAP_CHANNELS = 256
MEASURED_SQUARE_KERNELS = (1, 3, 5, 7)
MEASURED_STRIDES = (1, 2)
MEASURED_DILATIONS = (1, 2)
WIDE_DENSE_OUTPUTS = 51865
WIDE_DENSE_WEIGHTS = 8192 * 1024


def conv(context: Context) -> Iterator[Breach]:
    """Conv over 4-D maps; 1-D and 3-D are other rows of the table."""
    node = context.node
    if not context.graph.is_constant(node.input(1)):
        yield Breach("conv.computed-weights", node.input(1))
    if node.attribute("kernel_shape") is None:
        yield Breach("conv.kernel-shape-missing")
    if context.rank() != 4:
        return
    yield from _size(context)
    yield from _beyond_measured(context)


def _size(context: Context) -> Iterator[Breach]:
    out, weights = context.graph.shape(context.node.outputs[0]), context.shape(1)
    if out is None or weights is None or len(out) != 4 or len(weights) != 4:
        return
    width, channels = out[3] or 0, max(weights[0] or 0, weights[1] or 0)
    if width >= WIDE_MAP and channels >= WIDE_MAP_CHANNELS:
        yield Breach("conv.wide-map", f"{channels} channels over a width of {width}")


def _beyond_measured(context: Context) -> Iterator[Breach]:
    node, weights = context.node, context.shape(1)
    kernel = tuple(size or 0 for size in (weights or ())[2:])
    strides = tuple(node.attribute("strides") or ())
    dilations = tuple(node.attribute("dilations") or ())
    square = len(set(kernel)) == 1 and kernel[0] in MEASURED_SQUARE_KERNELS
    row = len(kernel) == 2 and kernel[0] == 1
    odd = []
    if kernel and not square and not row:
        odd.append(f"kernel {text(kernel)}")
    if any(stride not in MEASURED_STRIDES for stride in strides):
        odd.append(f"strides {list(strides)}")
    if any(dilation not in MEASURED_DILATIONS for dilation in dilations):
        odd.append(f"dilations {list(dilations)}")
    if odd:
        yield Breach("conv.beyond-measured", ", ".join(odd))


def conv_transpose(context: Context) -> Iterator[Breach]:
    """ConvTranspose: rank 4, constant weights, one group."""
    node = context.node
    if not context.graph.is_constant(node.input(1)):
        yield Breach("conv.computed-weights", node.input(1))
    if node.attribute("kernel_shape") is None:
        yield Breach("conv.kernel-shape-missing")
    if context.rank() not in (4, None):
        yield Breach("conv-transpose.rank", f"rank {context.rank()}")
    groups = int(node.attribute("group", 1))
    if groups > 1:
        yield Breach("conv-transpose.groups", str(groups))
    kernel, strides = node.attribute("kernel_shape"), node.attribute("strides")
    if kernel is not None and (list(kernel) != [2, 2] or list(strides or ()) != [2, 2]):
        yield Breach("conv-transpose.beyond-measured", f"kernel {kernel}, strides {strides}")


def gemm(context: Context) -> Iterator[Breach]:
    """Gemm: constant weights, default alpha, beta and transA."""
    node, graph = context.node, context.graph
    if not graph.is_constant(node.input(1)) or (node.input(2) and not graph.is_constant(node.input(2))):
        yield Breach("gemm.computed-weights", node.input(1))
    unusual = [
        f"{name}={node.attribute(name)}"
        for name, usual in (("alpha", 1.0), ("beta", 1.0), ("transA", 0))
        if node.attribute(name, usual) != usual
    ]
    if unusual:
        yield Breach("gemm.unusual-attributes", ", ".join(unusual))
    if node.input(0) in graph.inputs:
        yield Breach("gemm.rank-2-input", text(context.shape()))
    yield from _wide_dense(context)


def matmul(context: Context) -> Iterator[Breach]:
    """MatMul with a constant is a dense layer; with two activations it belongs to attention."""
    node, graph = context.node, context.graph
    if graph.is_constant(node.input(1)):
        if (context.rank(1) or 2) != 2:
            yield Breach("matmul.batched-weights", text(context.shape(1)))
        yield from _wide_dense(context)
        return
    if graph.is_constant(node.input(0)):
        yield Breach("matmul.constant-first", text(context.shape(0)))
        return
    maker = graph.producer(node.input(1))
    transposed = maker is not None and maker.op == "Transpose"
    if not transposed and range_of(graph, node.input(0)).low < 0:
        yield Breach("matmul.negative-range", "data that may be negative")


def _wide_dense(context: Context) -> Iterator[Breach]:
    weights = context.shape(1)
    if weights is None or len(weights) != 2 or None in weights:
        return
    rows, columns = (size or 0 for size in weights)
    outputs = rows if context.node.attribute("transB", 0) else columns
    if outputs >= WIDE_DENSE_OUTPUTS:
        yield Breach("dense.many-outputs", str(outputs))
    elif rows * columns >= WIDE_DENSE_WEIGHTS:
        yield Breach("dense.large", f"{rows}x{columns}")


PREDICATES: dict[str, Predicate] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
}
