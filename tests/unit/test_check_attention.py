"""Attention in every exporter's spelling, what is no attention, layouts between layers, and detectors' decoders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from fsq_edge_compile import check
from fsq_edge_compile.checker.report import CheckReport
from tests.factories.attention_graphs import ATTENTION, REFUSED, detector, pooled_sequence_first
from tests.factories.onnx_graphs import GraphFactory


def errors(report: CheckReport) -> set[str]:
    return {finding.rule for finding in report.errors}


@pytest.mark.parametrize("arch", ["hailo8", "hailo10h"])
@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_taken_in_every_spelling(name: str, arch: str) -> None:
    report = check(ATTENTION[name](), arch)
    assert (report.verdict, errors(report)) == ("full", set())


@pytest.mark.parametrize("name", REFUSED)
def test_what_lies_between_heads_and_product_breaks_attention(name: str) -> None:
    report = check(REFUSED[name](), "hailo8")
    assert report.verdict == "cut"
    assert errors(report) & {"reshape.shuffle", "transpose.shuffle"}


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize(
    ("decode", "first"), [("dfl", "reshape.shuffle"), ("topk", "op.top-k"), ("none", "transpose.shuffle")]
)
def test_a_detector_ends_at_its_heads_and_names_what_stops_it(decode: str, first: str, pack: bool) -> None:
    model = detector(decode=decode, pack=pack, output_transposed=decode == "none")
    report = check(model, "hailo8")
    assert set(report.end_nodes) == _heads(model)
    assert first in errors(report)
    assert not errors(report) & {"concat.flattened-maps", "elementwise.constant-layout"}


def _heads(model: onnx.ModelProto) -> set[str]:
    """The 1x1 convolutions in front of everything that is decoded."""
    names = [node.name for node in model.graph.node if node.op_type in ("Conv", "Softmax")]
    decoded = next((index for index, name in enumerate(names) if "Softmax" in name), len(names))
    return set(names[2:decoded])


@pytest.mark.parametrize("read_on_the_device", [False, True])
def test_a_map_that_is_enlarged_for_the_host_alone_leaves_before_it(read_on_the_device: bool) -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    scales = graph.const([1.0, 1.0, 2.0, 2.0])
    large = graph.add("Resize", graph.conv("x", 4), "", scales, mode="nearest")
    top, _ = graph.add("TopK", large, graph.ints(2), outputs=2)
    outputs, device = [top], ["Conv"]
    if read_on_the_device:
        outputs, device = [top, graph.add("Relu", large)], ["Conv", "Resize", "Relu"]
    report = check(graph.model(*outputs), "hailo8")
    assert report.verdict == "cut"
    assert [node.op for node in report.nodes if node.device] == device


def test_flattened_maps_that_only_leave_are_refused_at_the_reshape() -> None:
    graph = GraphFactory("x", [1, 8, 16, 16])
    flat = graph.add("Reshape", graph.conv("x", 8), graph.ints(1, 8, 256))
    report = check(graph.model(graph.add("Sigmoid", flat)), "hailo8")
    assert (report.verdict, errors(report), report.end_nodes) == ("cut", {"reshape.shuffle"}, ("/Conv_0",))


def tokens_behind_a_depthwise_convolution() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 4, 4])
    mapped = graph.conv("x", 8, groups=8)
    tokens = graph.add("Transpose", graph.add("Reshape", mapped, graph.ints(1, 8, 16)), perm=[0, 2, 1])
    back = graph.add("Reshape", graph.add("MatMul", tokens, graph.weights(8, 8)), graph.ints(1, 4, 4, 8))
    return graph.model(graph.add("Transpose", back, perm=[0, 3, 1, 2]))


def tokens_pooled_in_one_dimension() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 4, 4])
    flat = graph.add("Reshape", graph.conv("x", 8), graph.ints(1, 8, 16))
    pooled = graph.batch_norm(graph.add("AveragePool", flat, kernel_shape=[4], strides=[4]), 8)
    return graph.model(graph.add("MatMul", graph.add("Transpose", pooled, perm=[0, 2, 1]), graph.weights(8, 8)))


def batch_dropped_around_a_norm() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 16, 8])
    rows = graph.add("Reshape", graph.add("MatMul", "x", graph.weights(8, 8)), graph.ints(16, 8))
    normed = graph.batch_norm(rows, 8)
    return graph.model(graph.add("MatMul", graph.add("Reshape", normed, graph.ints(1, 16, 8)), graph.weights(8, 8)))


def two_squeezes() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 4, 4])
    pooled = graph.add("GlobalAveragePool", graph.conv("x", 8))
    once = graph.add("Squeeze", pooled, graph.ints(3))
    return graph.model(graph.gemm(graph.add("Squeeze", once, graph.ints(2)), 8, 4))


def class_token() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 4, 4])
    flat = graph.add("Reshape", graph.conv("x", 8), graph.ints(1, 8, 16))
    tokens = graph.add("Transpose", flat, perm=[0, 2, 1])
    joined = graph.add("Concat", graph.weights(1, 1, 8), tokens, axis=1)
    mixed = graph.add("LayerNormalization", joined, graph.weights(8), axis=-1)
    return graph.model(graph.gemm(graph.add("Gather", mixed, graph.const(0, np.int64), axis=1), 8, 4))


def patches_merged_channels_last() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 16, 8])
    mapped = graph.add("Reshape", graph.add("MatMul", "x", graph.weights(8, 8)), graph.ints(1, 4, 4, 8))
    blocks = graph.add("Reshape", mapped, graph.ints(1, 2, 2, 2, 2, 8))
    merged = graph.add("Reshape", graph.add("Transpose", blocks, perm=[0, 1, 3, 4, 2, 5]), graph.ints(1, 2, 2, 32))
    return graph.model(graph.add("LayerNormalization", merged, graph.weights(32), axis=-1))


@pytest.mark.parametrize(
    "build",
    [
        tokens_behind_a_depthwise_convolution,
        tokens_pooled_in_one_dimension,
        batch_dropped_around_a_norm,
        two_squeezes,
        class_token,
        patches_merged_channels_last,
    ],
)
def test_moves_between_layers_are_taken(build: Callable[[], onnx.ModelProto]) -> None:
    report = check(build(), "hailo8")
    assert (report.verdict, errors(report)) == ("full", set())


def behind_a_recurrent_layer(op: str) -> onnx.ModelProto:
    graph = GraphFactory("x", [6, 1, 8])
    steps = graph.add("GRU", "x", graph.weights(1, 12, 8), graph.weights(1, 12, 4), hidden_size=4)
    if op == "Squeeze":
        return graph.model(graph.add("Squeeze", steps, graph.ints(1)))
    return graph.model(
        graph.add("Slice", graph.add("Reshape", steps, graph.ints(1, 6, 4)), *map(graph.ints, (5, 6, 1)))
    )


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (behind_a_recurrent_layer("Squeeze"), "squeeze.sequence"),
        (behind_a_recurrent_layer("Slice"), "slice.recurrent"),
    ],
)
def test_steps_of_recurrent_layers_stay_refused(model: onnx.ModelProto, rule: str) -> None:
    assert rule in errors(check(model, "hailo8"))


def test_a_real_batch_behind_the_sequence_is_refused() -> None:
    assert {"reduce.batch-axis", "concat.batch", "gather.batch"} <= errors(check(pooled_sequence_first(4), "hailo8"))


def test_a_convolution_along_what_became_the_batch_is_refused() -> None:
    graph = GraphFactory("x", [1, 1, 6, 8])
    places = graph.add("Transpose", graph.add("Reshape", graph.conv("x", 1), graph.ints(1, 1, 48)), perm=[2, 0, 1])
    model = graph.model(graph.add("Conv", places, graph.weights(4, 1, 1), kernel_shape=[1]))
    assert "transpose.batch" in errors(check(model, "hailo8"))


@pytest.mark.parametrize("op", ["Gather", "Slice"])
def test_a_step_of_a_recurrent_layer_is_refused_with_the_sequence_first(op: str) -> None:
    graph = GraphFactory("x", [1, 6, 8])
    steps = graph.add("Transpose", "x", perm=[1, 0, 2])
    steps = graph.add("GRU", steps, graph.weights(1, 12, 8), graph.weights(1, 12, 4), hidden_size=4)
    steps = graph.add("Squeeze", steps, graph.ints(1))
    bounds = [graph.ints(5)] if op == "Gather" else [graph.ints(5), graph.ints(6), graph.ints(0)]
    last = graph.add(op, steps, *bounds, **({"axis": 0} if op == "Gather" else {}))
    assert "slice.recurrent" in errors(check(graph.model(last), "hailo8"))


def test_a_graph_input_of_rank_1_has_no_form() -> None:
    graph = GraphFactory("x", [8])
    assert "tensor.flat" in errors(check(graph.model(graph.add("Relu", "x")), "hailo8"))


def test_a_constant_on_a_guessed_layout_is_refused() -> None:
    graph = GraphFactory("x", [1, 6, 8])
    total = graph.add("Add", "x", graph.weights(1, 6, 8))
    assert "elementwise.guessed-layout" in errors(check(graph.model(graph.add("Relu", total)), "hailo8"))


def test_a_reshape_that_contradicts_itself_is_named_with_both_counts() -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    model = graph.model(graph.add("Reshape", graph.conv("x", 4), graph.ints(1, 4, 100)))
    (finding,) = [finding for finding in check(model, "hailo8").errors if finding.rule == "reshape.counts"]
    assert "400 values" in finding.message
    assert "256 values" in finding.message


def dense_tokens_to_a_map(then: str) -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 4, 4])
    tokens = graph.add("Transpose", graph.add("Reshape", graph.conv("x", 8), graph.ints(1, 8, 16)), perm=[0, 2, 1])
    dense = graph.add("Add", graph.add("MatMul", tokens, graph.weights(8, 8)), graph.weights(8))
    mapped = graph.add("Reshape", graph.add("Transpose", dense, perm=[0, 2, 1]), graph.ints(1, 8, 4, 4))
    if then == "Resize":
        scales = graph.const([1.0, 1.0, 2.0, 2.0])
        mapped = graph.add("Resize", mapped, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric")
    if then == "Conv":
        mapped = graph.add("Conv", mapped, graph.weights(8, 8, 1, 1), kernel_shape=[1, 1])
    return graph.model(mapped)


@pytest.mark.parametrize(("then", "verdict"), [("", "cut"), ("Resize", "cut"), ("Conv", "full")])
def test_dense_tokens_become_a_map_only_for_a_convolution(then: str, verdict: str) -> None:
    assert check(dense_tokens_to_a_map(then), "hailo10h").verdict == verdict


def test_a_batch_first_series_is_turned_for_a_recurrent_layer_and_not_flattened_behind_it() -> None:
    graph = GraphFactory("x", [1, 6, 8])
    steps = graph.add("Transpose", "x", perm=[1, 0, 2])
    steps = graph.add("GRU", steps, graph.weights(1, 12, 8), graph.weights(1, 12, 4), hidden_size=4)
    rows = graph.add("Reshape", steps, graph.ints(6, 4))
    report = check(graph.model(graph.add("MatMul", rows, graph.weights(4, 3))), "hailo8")
    assert {finding.op for finding in report.errors} == {"Reshape"}


def test_a_rotary_embedding_between_heads_and_product_is_refused() -> None:
    graph = GraphFactory("x", [1, 16, 8])

    def heads(turned: bool) -> str:
        split = graph.add("Reshape", graph.add("MatMul", "x", graph.weights(8, 8)), graph.ints(1, 16, 2, 4))
        moved = graph.add("Transpose", split, perm=[0, 2, 1, 3])
        if not turned:
            return str(moved)
        low = graph.add("Slice", moved, graph.ints(0), graph.ints(2), graph.ints(3))
        high = graph.add("Slice", moved, graph.ints(2), graph.ints(4), graph.ints(3))
        swapped = graph.add("Concat", graph.add("Neg", high), low, axis=-1)
        sine = graph.add("Mul", swapped, graph.weights(1, 1, 16, 4))
        return str(graph.add("Add", graph.add("Mul", moved, graph.weights(1, 1, 16, 4)), sine))

    def network(turned: bool) -> onnx.ModelProto:
        keys = graph.add("Transpose", heads(turned), perm=[0, 1, 3, 2])
        weights = graph.add("Softmax", graph.add("MatMul", heads(turned), keys), axis=-1)
        mixed = graph.add("Transpose", graph.add("MatMul", weights, heads(False)), perm=[0, 2, 1, 3])
        joined = graph.add("Reshape", mixed, graph.ints(1, 16, 8))
        return graph.model(graph.add("MatMul", joined, graph.weights(8, 8)))

    report = check(network(True), "hailo10h")
    assert report.verdict != "full"
    assert {"Reshape", "Transpose"} & {finding.op for finding in report.errors}


def test_an_unsqueeze_that_a_squeeze_undoes_is_nothing() -> None:
    graph = GraphFactory("x", [1, 8, 4, 4])
    tokens = graph.add("Transpose", graph.add("Reshape", graph.conv("x", 8), graph.ints(1, 8, 16)), perm=[0, 2, 1])
    widened = graph.add("Unsqueeze", tokens, graph.ints(0))
    narrowed = graph.add("Squeeze", widened, graph.ints(0))
    report = check(graph.model(graph.add("MatMul", narrowed, graph.weights(8, 8))), "hailo8")
    assert (report.verdict, errors(report)) == ("full", set())
