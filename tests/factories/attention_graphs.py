"""Attention, windows and decoders in the spellings of several exporters, as tiny graphs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from tests.factories.onnx_graphs import GraphFactory

TOKENS, WIDTH, HEADS = 12, 16, 2
DEPTH = WIDTH // HEADS


def _projection(graph: GraphFactory, x: str, width: int = WIDTH) -> str:
    return str(graph.add("MatMul", x, graph.weights(WIDTH, width)))


def _reshape(graph: GraphFactory, x: str, *sizes: int) -> str:
    return str(graph.add("Reshape", x, graph.ints(*sizes)))


def _attend(graph: GraphFactory, query: str, key: str, value: str) -> str:
    """Softmax(q k) v, with the key already transposed."""
    scores = graph.add("Mul", graph.add("MatMul", query, key), graph.const(0.35))
    return str(graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value))


def _merge(graph: GraphFactory, x: str) -> str:
    return _projection(graph, _reshape(graph, graph.add("Transpose", x, perm=[0, 2, 1, 3]), 1, TOKENS, WIDTH))


def three_projections() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, TOKENS, WIDTH])
    heads = []
    for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
        split = _reshape(graph, _projection(graph, "x"), 1, TOKENS, HEADS, DEPTH)
        heads.append(graph.add("Transpose", split, perm=perm))
    return graph.model(_merge(graph, _attend(graph, *heads)))


def key_through_rank_3() -> onnx.ModelProto:
    """The key as torch's newer exporter transposes it: heads laid along the batch and back."""
    graph = GraphFactory("x", [1, TOKENS, WIDTH])
    heads = []
    for _ in range(3):
        split = _reshape(graph, _projection(graph, "x"), 1, TOKENS, HEADS, DEPTH)
        heads.append(graph.add("Transpose", split, perm=[0, 2, 1, 3]))
    flat = graph.add("Transpose", _reshape(graph, heads[1], HEADS, TOKENS, DEPTH), perm=[0, 2, 1])
    key = _reshape(graph, flat, 1, HEADS, DEPTH, TOKENS)
    return graph.model(_merge(graph, _attend(graph, heads[0], key, heads[2])))


def one_projection_rank_5() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, TOKENS, WIDTH])
    joint = _reshape(graph, _projection(graph, "x", 3 * WIDTH), 1, TOKENS, 3, HEADS, DEPTH)
    turned = graph.add("Transpose", joint, perm=[2, 0, 3, 1, 4])
    parts = [graph.add("Gather", turned, graph.const(index, np.int64), axis=0) for index in range(3)]
    key = graph.add("Transpose", parts[1], perm=[0, 1, 3, 2])
    return graph.model(_merge(graph, _attend(graph, parts[0], key, parts[2])))


def split_behind_the_heads() -> onnx.ModelProto:
    """Query, key and value cut from the last axis of the heads, as LeViT does."""
    graph = GraphFactory("x", [1, TOKENS, WIDTH])
    joint = _reshape(graph, _projection(graph, "x", 3 * WIDTH), 1, TOKENS, HEADS, 3 * DEPTH)
    parts = graph.add("Split", joint, graph.ints(DEPTH, DEPTH, DEPTH), outputs=3, axis=3)
    heads = [
        graph.add("Transpose", part, perm=perm)
        for part, perm in zip(parts, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
    ]
    return graph.model(_merge(graph, _attend(graph, *heads)))


def sequence_first() -> onnx.ModelProto:
    """torch's MultiheadAttention: the sequence in front, heads along the batch."""
    graph = GraphFactory("x", [1, TOKENS, WIDTH])
    turned = graph.add("Transpose", _projection(graph, "x"), perm=[1, 0, 2])
    heads = []
    for perm in ([1, 0, 2], [1, 2, 0], [1, 0, 2]):
        split = _reshape(graph, _projection(graph, turned), TOKENS, HEADS, DEPTH)
        heads.append(graph.add("Transpose", split, perm=perm))
    mixed = graph.add("Transpose", _attend(graph, *heads), perm=[1, 0, 2])
    return graph.model(_projection(graph, _reshape(graph, mixed, 1, TOKENS, WIDTH)))


def pooled_sequence_first(batch: int = 1) -> onnx.ModelProto:
    """CLIP's ResNet: a map as tokens with the batch behind them, their mean in front, the first one taken."""
    graph = GraphFactory("x", [batch, WIDTH, 3, 4])
    flat = _reshape(graph, graph.conv("x", WIDTH), batch, WIDTH, TOKENS)
    tokens = graph.add("Transpose", flat, perm=[2, 0, 1])
    joined = graph.add("Concat", graph.add("ReduceMean", tokens, axes=[0], keepdims=1), tokens, axis=0)
    heads = []
    for perm in ([1, 0, 2], [1, 2, 0], [1, 0, 2]):
        split = _reshape(graph, _projection(graph, joined), TOKENS + 1, batch * HEADS, DEPTH)
        heads.append(graph.add("Transpose", split, perm=perm))
    mixed = graph.add("Transpose", _attend(graph, *heads), perm=[1, 0, 2])
    rows = _projection(graph, _reshape(graph, mixed, (TOKENS + 1) * batch, WIDTH))
    again = _reshape(graph, rows, TOKENS + 1, batch, WIDTH)
    return graph.model(graph.add("Gather", again, graph.const(0, np.int64), axis=0))


def over_a_map() -> onnx.ModelProto:
    """YOLO11's block: heads in front of the places, Split on axis 2, the position by a depthwise convolution."""
    graph = GraphFactory("x", [1, WIDTH, 4, 5])
    joint = _reshape(graph, graph.conv("x", 2 * WIDTH, (1, 1)), 1, HEADS, 2 * DEPTH, 20)
    query, key, value = graph.add("Split", joint, graph.ints(DEPTH // 2, DEPTH // 2, DEPTH), outputs=3, axis=2)
    scores = graph.add("MatMul", graph.add("Transpose", query, perm=[0, 1, 3, 2]), key)
    weights = graph.add("Transpose", graph.add("Softmax", scores, axis=-1), perm=[0, 1, 3, 2])
    mixed = _reshape(graph, graph.add("MatMul", value, weights), 1, WIDTH, 4, 5)
    place = graph.conv(_reshape(graph, value, 1, WIDTH, 4, 5), WIDTH, (3, 3), inputs=WIDTH, groups=WIDTH)
    return graph.model(graph.conv(graph.add("Add", mixed, place), WIDTH, (1, 1), inputs=WIDTH))


def pooled_query() -> onnx.ModelProto:
    """A learned query pools the tokens, as in SigLIP's head."""
    graph = GraphFactory("x", [1, TOKENS, WIDTH])
    key, value = (_reshape(graph, _projection(graph, "x"), 1, TOKENS, HEADS, DEPTH) for _ in range(2))
    query = graph.weights(1, HEADS, 1, DEPTH)
    turned = graph.add("Transpose", key, perm=[0, 2, 3, 1])
    mixed = _attend(graph, query, turned, graph.add("Transpose", value, perm=[0, 2, 1, 3]))
    merged = _reshape(graph, graph.add("Transpose", mixed, perm=[0, 2, 1, 3]), 1, 1, WIDTH)
    return graph.model(_projection(graph, merged))


def windows() -> onnx.ModelProto:
    """Swin: a map of tokens cut into windows along the batch, attention in each, and back."""
    graph = GraphFactory("x", [1, 16, WIDTH])
    tokens = graph.add("LayerNormalization", _projection(graph, "x"), graph.weights(WIDTH), axis=-1)
    rows = _reshape(graph, _reshape(graph, tokens, 1, 4, 4, WIDTH), 1, 2, 2, 2, 2, WIDTH)
    window = _reshape(graph, graph.add("Transpose", rows, perm=[0, 1, 3, 2, 4, 5]), 4, 4, WIDTH)
    heads = []
    for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
        heads.append(graph.add("Transpose", _reshape(graph, _projection(graph, window), 4, 4, HEADS, DEPTH), perm=perm))
    mixed = _reshape(graph, graph.add("Transpose", _attend(graph, *heads), perm=[0, 2, 1, 3]), 4, 4, WIDTH)
    rows = _reshape(graph, _projection(graph, mixed), 1, 2, 2, 2, 2, WIDTH)
    back = _reshape(graph, graph.add("Transpose", rows, perm=[0, 1, 3, 2, 4, 5]), 1, 16, WIDTH)
    return graph.model(_projection(graph, graph.add("Add", back, "x")))


ATTENTION: dict[str, Callable[[], onnx.ModelProto]] = {
    "three projections": three_projections,
    "key through rank 3": key_through_rank_3,
    "one projection, rank 5": one_projection_rank_5,
    "split behind the heads": split_behind_the_heads,
    "sequence first": sequence_first,
    "pooled sequence first": pooled_sequence_first,
    "over a map": over_a_map,
    "pooled query": pooled_query,
    "windows": windows,
}


def normalized_query() -> onnx.ModelProto:
    """Query and key divided by their lengths between the heads and the product."""
    graph = GraphFactory("x", [1, TOKENS, WIDTH])
    heads = []
    for _ in range(3):
        split = _reshape(graph, _projection(graph, "x"), 1, TOKENS, HEADS, DEPTH)
        heads.append(graph.add("Transpose", split, perm=[0, 2, 1, 3]))
    lengths = [graph.add("ReduceL2", head, axes=[-1], keepdims=1) for head in heads[:2]]
    query, key = (graph.add("Div", head, length) for head, length in zip(heads[:2], lengths, strict=True))
    turned = graph.add("Transpose", key, perm=[0, 1, 3, 2])
    return graph.model(_merge(graph, _attend(graph, query, turned, heads[2])))


def normalized_in_a_joint_projection() -> onnx.ModelProto:
    """Attention between channels, as in XCiT: query, key and value of one projection, two of them normalised."""
    graph = GraphFactory("x", [1, TOKENS, WIDTH])
    joint = _reshape(graph, _projection(graph, "x", 3 * WIDTH), 1, TOKENS, 3, HEADS, DEPTH)
    turned = graph.add("Transpose", joint, perm=[2, 0, 3, 4, 1])
    parts = [graph.add("Gather", turned, graph.const(index, np.int64), axis=0) for index in range(3)]
    lengths = [graph.add("ReduceL2", part, axes=[-1], keepdims=1) for part in parts[:2]]
    query, key = (graph.add("Div", part, length) for part, length in zip(parts[:2], lengths, strict=True))
    mixed = _attend(graph, query, graph.add("Transpose", key, perm=[0, 1, 3, 2]), parts[2])
    merged = _reshape(graph, graph.add("Transpose", mixed, perm=[0, 3, 1, 2]), 1, TOKENS, WIDTH)
    return graph.model(_projection(graph, merged))


def heads_for_nothing() -> onnx.ModelProto:
    """A projection by constant weights behind the heads is no attention."""
    graph = GraphFactory("x", [1, TOKENS, WIDTH])
    split = _reshape(graph, _projection(graph, "x"), 1, TOKENS, HEADS, DEPTH)
    turned = graph.add("Transpose", split, perm=[0, 2, 1, 3])
    return graph.model(graph.add("MatMul", turned, graph.weights(DEPTH, DEPTH)))


REFUSED: dict[str, Callable[[], onnx.ModelProto]] = {
    "normalized query": normalized_query,
    "normalized in a joint projection": normalized_in_a_joint_projection,
    "heads for nothing": heads_for_nothing,
}


def detector(*, decode: str = "dfl", pack: bool = False, output_transposed: bool = False) -> onnx.ModelProto:
    """Two scales with a box and a class head each, and a decoder behind them.

    Args:
        decode: ``dfl`` (softmax over bins), ``topk`` (boxes by arithmetic, then TopK) or ``none``.
        pack: boxes and classes are joined in front of the reshape, as YOLOv8 does.
        output_transposed: the joined result leaves with its last axes swapped.
    """
    graph = GraphFactory("x", [1, 8, 16, 16])
    maps = [graph.unary("Relu", graph.conv("x", 8)), graph.unary("Relu", graph.conv("x", 8, strides=(2, 2)))]
    boxes, classes = [], []
    for index, scale in enumerate(maps):
        size = 256 >> (2 * index)
        box, label = graph.conv(scale, 16, (1, 1)), graph.conv(scale, 3, (1, 1))
        if pack:
            boxes.append(_reshape(graph, graph.add("Concat", box, label, axis=1), 1, 19, size))
        else:
            boxes.append(_reshape(graph, box, 1, 16, size))
            classes.append(_reshape(graph, label, 1, 3, size))
    box = graph.add("Concat", *boxes, axis=2)
    if pack:
        box, label = graph.add("Split", box, graph.ints(16, 3), outputs=2, axis=1)
    else:
        label = graph.add("Concat", *classes, axis=2)
    label = graph.add("Sigmoid", label)
    if decode == "dfl":
        bins = graph.add("Transpose", _reshape(graph, box, 1, 4, 4, 320), perm=[0, 2, 1, 3])
        box = _reshape(graph, graph.conv(graph.add("Softmax", bins, axis=1), 1, (1, 1), inputs=4), 1, 4, 320)
    anchors = graph.const(np.arange(320 * (4 if decode == "dfl" else 16)).reshape(1, -1, 320))
    joined = graph.add("Concat", graph.add("Sub", anchors, box), label, axis=1)
    if decode == "topk":
        return graph.model(graph.add("TopK", joined, graph.ints(10), outputs=2, axis=2)[0])
    if output_transposed:
        joined = graph.add("Transpose", joined, perm=[0, 2, 1])
    return graph.model(joined)
