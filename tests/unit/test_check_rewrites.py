"""Every rewrite, on a graph that needs it: what it does, that the outputs stay, and what the check says then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fsq_edge_compile import check, fix
from fsq_edge_compile.checker.rewrites import fixing, proving
from fsq_edge_compile.checker.rewrites.fixing import PASSES
from fsq_edge_compile.checker.rewrites.proving import (
    Prover,
    largest_difference,
    random_feeds,
    responding,
    with_random_weights,
)
from fsq_edge_compile.checker.rewrites.rewrite import OperatorRewrite
from fsq_edge_compile.checker.rewrites.workbench import Workbench
from fsq_edge_runtime.errors import DataError
from tests.factories.onnx_graphs import GraphFactory, fsq_model, imu_encoder, outputs_of
from tests.factories.reported_cases import keras_gelu, torch_gelu


def conv1d() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 6, 50])
    x = graph.batch_norm(graph.conv("x", 16, (9,)))
    x = graph.unary("MaxPool", graph.unary("Relu", x), kernel_shape=[2], strides=[2])
    y = graph.conv(x, 16, (3,), groups=4)
    x = graph.add("Relu", graph.add("Add", x, y))
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    return graph.model(graph.gemm(x, 16, 5))


def conv1d_with_mean() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 6, 50])
    x = graph.conv("x", 16, (5,), strides=(2,))
    return graph.model(graph.gemm(graph.add("ReduceMean", x, axes=[-1], keepdims=0), 16, 5))


def batch_norms() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    x = graph.batch_norm(graph.conv("x", 8, bias=False))
    flat = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    return graph.model(graph.batch_norm(graph.gemm(flat, 8, 4), 4))


def mean_over_space() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    return graph.model(graph.gemm(graph.add("ReduceMean", graph.conv("x", 8), axes=[2, 3], keepdims=0), 8, 4))


def one_layer_norm() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 16, 32])
    x = graph.add("MatMul", "x", graph.weights(32, 32))
    return graph.model(graph.add("LayerNormalization", x, graph.weights(32), graph.weights(32), axis=-1))


def group_norm(groups: int) -> Callable[[], onnx.ModelProto]:
    def build() -> onnx.ModelProto:
        graph = GraphFactory("x", [1, 3, 8, 8])
        flat = graph.add("Reshape", graph.conv("x", 8), graph.ints(1, groups, -1))
        normed = graph.add("InstanceNormalization", flat, graph.const(np.ones(groups)), graph.const(np.zeros(groups)))
        x = graph.add("Reshape", normed, graph.ints(1, 8, 8, 8))
        scaled = graph.add("Mul", x, graph.const(np.linspace(0.5, 2, 8).reshape(1, 8, 1, 1)))
        return graph.model(graph.add("Add", scaled, graph.const(np.ones((1, 8, 1, 1)))))

    return build


def one_operator(op: str, opset: int) -> Callable[[], onnx.ModelProto]:
    def build() -> onnx.ModelProto:
        graph = GraphFactory("x", [1, 3, 8, 8])
        return graph.model(graph.add(op, graph.conv("x", 8)), opset=opset)

    return build


def gelu_of_keras() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    return graph.model(keras_gelu(graph, graph.conv("x", 8)))


def square() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    maps = graph.conv("x", 8)
    return graph.model(graph.add("Mul", maps, maps))


def masks() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    maps = graph.conv("x", 8)
    high = graph.add("GreaterOrEqual", maps, graph.const(0.25))
    low = graph.add("Not", graph.add("LessOrEqual", maps, graph.const(-0.25)))
    mask = graph.add("Or", graph.add("And", high, low), graph.add("Xor", high, low))
    shown = graph.add("Cast", mask, to=TensorProto.FLOAT)
    chosen = graph.add("Where", high, maps, graph.const(0.5))
    return graph.model(graph.add("Add", graph.add("Mul", maps, shown), chosen))


def constant_mask() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    mask = graph.const(np.arange(64).reshape(1, 1, 8, 8) % 3 == 0, np.bool_)
    return graph.model(graph.add("Where", mask, graph.conv("x", 8), graph.const(0.0)))


def dynamic_batch() -> onnx.ModelProto:
    graph = GraphFactory("x", ["N", 4, 4, 4])
    maps = graph.conv("x", 8)
    batch = graph.add("Gather", graph.add("Shape", maps), graph.const(0, np.int64))
    target = graph.add("Concat", graph.add("Unsqueeze", batch, graph.ints(0)), graph.ints(-1), axis=0)
    return graph.model(graph.gemm(graph.add("Reshape", maps, target), 128, 10))


def no_ops() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    x = graph.add("Dropout", graph.add("Identity", graph.conv("x", 8)))
    x = graph.add("Cast", graph.add("Relu", x), to=TensorProto.FLOAT)
    return graph.model(graph.add("Identity", x))


def missing_attributes() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 7, 7])
    x = graph.add("Conv", "x", graph.weights(8, 3, 3, 3), pads=[1, 1, 1, 1])
    x = graph.add(
        "Resize", x, "", "", graph.ints(1, 8, 15, 15), mode="nearest", coordinate_transformation_mode="asymmetric"
    )
    pooled = graph.add("GlobalAveragePool", x)
    return graph.model(graph.gemm(graph.add("Reshape", pooled, graph.ints(1, 8), allowzero=1), 8, 4))


def unnamed() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    model = graph.model(graph.add("Relu", graph.conv("x", 8)))
    for node in model.graph.node:
        node.name = ""
    return model


def new_opset() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    maps = graph.conv("x", 8)
    parts = graph.add("Split", maps, outputs=2, axis=1, num_outputs=2)
    mean = graph.add("ReduceMean", graph.add("Add", *parts), graph.ints(1), keepdims=1)
    return graph.model(graph.add("Gelu", mean), opset=20, ir=10)


def old_opset() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    x = graph.add("Clip", graph.conv("x", 8), min=0.0, max=6.0)
    pooled = graph.add("Squeeze", graph.add("GlobalAveragePool", x), axes=[2, 3])
    return graph.model(graph.gemm(pooled, 8, 4), opset=9, ir=4)


def keras_series() -> onnx.ModelProto:
    """Conv1D, BatchNormalization, ReLU, MaxPooling1D as tf2onnx writes them: maps that are series in between."""
    graph = GraphFactory("x", [1, 6, 1, 50])
    series = graph.add("Squeeze", graph.conv("x", 16, (1, 5)), graph.ints(2))
    scaled = graph.add("Mul", series, graph.weights(1, 16, 1))
    active = graph.add("Relu", graph.add("Add", scaled, graph.weights(1, 16, 1)))
    pooled = graph.unary("MaxPool", graph.add("Unsqueeze", active, graph.ints(2)), kernel_shape=[1, 2], strides=[1, 2])
    series = graph.add("Relu", graph.add("Squeeze", graph.conv(pooled, 8, (1, 3), inputs=16), graph.ints(2)))
    mean = graph.add("Squeeze", graph.add("GlobalAveragePool", series), graph.ints(2))
    return graph.model(graph.add("MatMul", mean, graph.weights(8, 5)))


def keras_flatten() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 6, 4, 10])
    last = graph.add("Transpose", graph.add("Relu", graph.conv("x", 8, (3, 3))), perm=[0, 2, 3, 1])
    flat = graph.add("Reshape", last, graph.ints(1, 320))
    return graph.model(graph.gemm(graph.add("MatMul", flat, graph.weights(320, 12)), 12, 5))


# name -> (builder, verdict before, pass that must be kept)
def squeezed_neck() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 3, 20])
    series = graph.add("Squeeze", graph.conv("x", 16, (3, 3), strides=(3, 1)), graph.ints(2))
    tokens = graph.add("Transpose", series, perm=[0, 2, 1])
    mixed = graph.add("MatMul", tokens, graph.weights(16, 16))
    back = graph.add("Unsqueeze", graph.add("Transpose", mixed, perm=[0, 2, 1]), graph.ints(2))
    return graph.model(graph.conv(back, 8, (1, 1), inputs=16))


def power_of_ten() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 3, 8, 8])
    return graph.model(graph.add("Pow", graph.const(10.0), graph.conv("x", 4)))


def expanded_gate() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 8, 8])
    gate = graph.add("Expand", graph.add("GlobalAveragePool", "x"), graph.ints(1, 8, 8, 8))
    return graph.model(graph.add("Mul", graph.conv("x", 8), gate))


def padded_pool(value: float = -np.inf) -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 4, 8, 8])
    padded = graph.add("Pad", graph.conv("x", 8), graph.ints(0, 0, 0, 0, 0, 0, 1, 1), graph.const(value))
    return graph.model(graph.add("MaxPool", padded, kernel_shape=[3, 3], strides=[2, 2]))


def sum_of_stack(
    *,
    op: str = "ReduceSum",
    move: str = "Unsqueeze",
    weights: Any = None,
    by: str = "Mul",
    axis: int = -1,
    keeps: bool = False,
    squeezes: bool = True,
) -> Callable[[], onnx.ModelProto]:
    """Maps that are stacked along a new axis, scaled by constants or not, and summed over that axis."""

    def build() -> onnx.ModelProto:
        graph = GraphFactory("x", [1, 4, 8, 8])
        shape = [1, 8, 8, 8]
        shape.insert(axis if axis >= 0 else 5 + axis, 1)
        parameter = graph.ints(axis) if move == "Unsqueeze" else graph.ints(*shape)
        stack = graph.add("Concat", *(graph.add(move, graph.conv("x", 8), parameter) for _ in range(3)), axis=axis)
        if weights is not None:
            stack = graph.add(by, stack, graph.const(weights))
        total = graph.add(op, stack, graph.ints(axis), keepdims=int(keeps))
        total = graph.add("Squeeze", total, graph.ints(axis)) if keeps and squeezes else total
        return graph.model(graph.add("Relu", total), opset=18 if op == "ReduceMean" else 17)

    return build


def guarded_attention(*, mask: float = 0.0, fill: float = 0.0, folded_to: Sequence[int] = (2, 6, 8)) -> onnx.ModelProto:
    """Attention as torch's newer exporter writes ``scaled_dot_product_attention``: keys turned at rank 3, a guard."""
    graph = GraphFactory("x", [1, 6, 16])
    heads = []
    for _ in range(3):
        split = graph.add("Reshape", graph.add("MatMul", "x", graph.weights(16, 16)), graph.ints(1, 6, 2, 8))
        heads.append(graph.add("Transpose", split, perm=[0, 2, 1, 3]))
    folded = graph.add("Reshape", heads[1], graph.ints(*folded_to))
    keys = graph.add("Reshape", graph.add("Transpose", folded, perm=[0, 2, 1]), graph.ints(1, 2, 8, 6))
    scores = graph.add("Mul", graph.add("MatMul", heads[0], keys), graph.const(0.35))
    values = np.zeros((1, 1, 6, 6))
    values[..., 0, :] = mask
    share = graph.add("Softmax", graph.add("Add", scores, graph.const(values)), axis=-1)
    share = graph.add("Where", graph.add("IsNaN", share), graph.const(fill), share)
    mixed = graph.add("Transpose", graph.add("MatMul", share, heads[2]), perm=[0, 2, 1, 3])
    merged = graph.add("Reshape", mixed, graph.ints(1, 6, 16))
    return graph.model(graph.add("MatMul", merged, graph.weights(16, 16)))


def mask_of_rank_3() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 6, 16])
    heads = []
    for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
        split = graph.add("Reshape", graph.add("MatMul", "x", graph.weights(16, 16)), graph.ints(1, 6, 2, 8))
        heads.append(graph.add("Transpose", split, perm=perm))
    mask = graph.const(np.triu(np.full((1, 6, 6), -9.0), 1))
    scores = graph.add("Add", graph.add("MatMul", heads[0], heads[1]), mask)
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), heads[2])
    merged = graph.add("Reshape", graph.add("Transpose", mixed, perm=[0, 2, 1, 3]), graph.ints(1, 6, 16))
    return graph.model(graph.add("MatMul", merged, graph.weights(16, 16)))


NEEDS: dict[str, tuple[Callable[[], onnx.ModelProto], str, str]] = {
    "conv1d": (conv1d, "none", "conv1d-as-conv2d"),
    "series of Keras": (keras_series, "cut", "conv1d-as-conv2d"),
    "Flatten of Keras": (keras_flatten, "cut", "flatten-channels-first"),
    "conv1d with a mean": (conv1d_with_mean, "none", "conv1d-as-conv2d"),
    "batch norm": (batch_norms, "full", "fold-batch-norm"),
    "mean over space": (mean_over_space, "full", "global-average-pool"),
    "layer norm operator": (one_layer_norm, "full", "decomposed-layer-norm"),
    "group norm, one group": (group_norm(1), "full", "group-norm"),
    "group norm, four groups": (group_norm(4), "full", "group-norm"),
    "HardSwish": (one_operator("HardSwish", 17), "full", "activation-patterns"),
    "Mish": (one_operator("Mish", 18), "cut", "activation-patterns"),
    "Selu": (one_operator("Selu", 17), "cut", "activation-patterns"),
    "Gelu": (one_operator("Gelu", 20), "cut", "exact-gelu"),
    "GELU of Keras": (gelu_of_keras, "cut", "exact-gelu"),
    "square": (square, "cut", "activation-patterns"),
    "masks": (masks, "cut", "mask-arithmetic"),
    "constant mask": (constant_mask, "cut", "mask-arithmetic"),
    "dynamic batch": (dynamic_batch, "full", "static-batch"),
    "no-ops": (no_ops, "full", "remove-no-ops"),
    "missing attributes": (missing_attributes, "full", "write-attributes"),
    "unnamed": (unnamed, "full", "name-nodes"),
    "squeezed neck": (squeezed_neck, "cut", "reshape-for-squeeze"),
    "power of ten": (power_of_ten, "cut", "activation-patterns"),
    "expanded gate": (expanded_gate, "full", "drop-expand"),
    "mask of rank 3": (mask_of_rank_3, "full", "mask-rank"),
    "padded pool": (padded_pool, "full", "pad-into-pool"),
    "guarded attention": (guarded_attention, "cut", "drop-nan-guard"),
    "keys turned at rank 3": (guarded_attention, "cut", "turn-at-rank-4"),
    "sum of a stack": (sum_of_stack(), "cut", "sum-of-stack"),
    "mean of a stack": (sum_of_stack(op="ReduceMean", axis=1), "cut", "sum-of-stack"),
    "stack by reshapes": (sum_of_stack(move="Reshape", axis=2), "cut", "sum-of-stack"),
    "weighted stack": (sum_of_stack(weights=[0.5, 2.0, -1.0]), "cut", "sum-of-stack"),
    "weighted stack, axis 1": (sum_of_stack(weights=np.full((3, 1, 1, 1), 0.4), axis=1), "cut", "sum-of-stack"),
    "divided stack": (sum_of_stack(weights=3.0, by="Div", axis=0), "cut", "sum-of-stack"),
    "stack with its axis squeezed": (sum_of_stack(keeps=True), "cut", "sum-of-stack"),
    "new opset": (new_opset, "cut", "lower-opset"),
    "old opset": (old_opset, "full", "raise-opset"),
}


@pytest.mark.parametrize("name", NEEDS)
def test_a_rewrite_makes_the_model_fit_and_keeps_its_outputs(name: str) -> None:
    build, before, needed = NEEDS[name]
    model = build()
    assert check(model).verdict == before
    result = fix(model)
    assert not result.rejections
    assert needed in {change.rewrite for change in result.changes}
    assert check(result.model).verdict == "full"
    onnx.checker.check_model(result.model, full_check=True)
    feeds = random_feeds(model, 4, (-3.0, 3.0), seed=7)
    before_outputs = outputs_of(model, feeds)
    after_outputs = outputs_of(result.model, feeds)
    assert largest_difference(before_outputs, after_outputs) <= 1e-4


@pytest.mark.parametrize("name", NEEDS)
def test_a_second_round_changes_nothing(name: str) -> None:
    once = fix(NEEDS[name][0]()).model
    again = fix(once)
    assert not again.changes
    assert again.model.SerializeToString() == once.SerializeToString()


def test_what_a_loop_reads_from_outside_stays_before_it() -> None:
    graph = GraphFactory("x", [1, 4, 6])
    turned = graph.add("Reshape", graph.add("Identity", "x"), graph.ints(1, 24))
    counter, going = (helper.make_tensor_value_info(*item, []) for item in (("i", 7), ("going", 9)))
    state = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 24]) for name in ("s", "s_out")]
    nodes = [helper.make_node("Add", ["s", turned], ["s_out"], "add"), helper.make_node("Identity", ["going"], ["on"])]
    on = helper.make_tensor_value_info("on", TensorProto.BOOL, [])
    body = helper.make_graph(nodes, "body", [counter, going, state[0]], [on, state[1]])
    start = graph.const(np.zeros((1, 24)))
    model = graph.model(
        graph.add(
            "Loop", graph.const(np.asarray(3), np.int64), graph.const(np.asarray(True), np.bool_), start, body=body
        )
    )
    fixed = fix(model).model
    assert [node.op_type for node in fixed.graph.node][-2:] == ["Reshape", "Loop"]
    feeds = random_feeds(model, 2, (-3.0, 3.0), seed=7)
    assert largest_difference(outputs_of(model, feeds), outputs_of(fixed, feeds)) == 0.0


def test_the_callers_model_is_not_changed() -> None:
    model = conv1d()
    before = model.SerializeToString()
    fix(model)
    assert model.SerializeToString() == before


def test_a_model_that_needs_nothing_stays_as_it_is() -> None:
    graph = imu_encoder(batch_norm=False)
    model = graph.model(graph.last)
    result = fix(model)
    assert not result.changes
    assert not result.rejections


def test_a_change_of_outputs_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folding that scales by a wrong factor must not survive the proof."""
    (fold,) = (rewrite for rewrite in PASSES if rewrite.name == "fold-batch-norm")
    right = type(fold).call

    def wrong(self: object, bench: Workbench) -> list[str]:
        changed = right(fold, bench)
        for tensor in bench.model.graph.initializer:
            if len(tensor.dims) == 4:
                tensor.raw_data = (np.frombuffer(tensor.raw_data, np.float32) * 1.01).tobytes()
        return changed

    monkeypatch.setattr(type(fold), "call", wrong)
    result = fix(batch_norms())
    assert [rejection.rewrite for rejection in result.rejections] == ["fold-batch-norm"]
    assert "differ" in result.rejections[0].reason
    assert any(node.op_type == "BatchNormalization" for node in result.model.graph.node)


def test_another_padding_in_front_of_a_max_pool_is_refused_and_left_alone() -> None:
    model = padded_pool(-1e30)
    assert [finding.rule for finding in check(model).errors] == ["pad.value"]
    assert "pad-into-pool" not in {change.rewrite for change in fix(model).changes}


def stack_with_computed_weights() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 4, 8, 8])
    stack = graph.add(
        "Concat", *(graph.add("Unsqueeze", graph.conv("x", 8), graph.ints(-1)) for _ in range(2)), axis=-1
    )
    gate = graph.add("Reshape", graph.add("GlobalAveragePool", graph.conv("x", 2)), graph.ints(1, 1, 1, 1, 2))
    return graph.model(graph.add("ReduceSum", graph.add("Mul", stack, gate), graph.ints(-1), keepdims=0))


def sum_over_joined_channels() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 4, 8, 8])
    joined = graph.add("Concat", graph.conv("x", 8), graph.conv("x", 8), axis=1)
    return graph.model(graph.add("ReduceSum", joined, graph.ints(1), keepdims=0))


@pytest.mark.parametrize(
    "build",
    [
        sum_of_stack(keeps=True, squeezes=False),
        sum_of_stack(weights=np.full((1, 8, 1, 1, 3), 0.5)),
        sum_of_stack(weights=np.full((1, 8, 1, 1, 1), 0.5), by="Div"),
        stack_with_computed_weights,
        sum_over_joined_channels,
    ],
    ids=["axis kept", "a weight for each channel", "a divisor for each channel", "computed weights", "channels"],
)
def test_another_sum_is_not_taken_for_that_of_a_stack(build: Callable[[], onnx.ModelProto]) -> None:
    assert "sum-of-stack" not in {change.rewrite for change in fix(build()).changes}


@pytest.mark.parametrize("changes", [{"mask": -np.inf}, {"fill": 1.0}], ids=["an empty row", "another value"])
def test_a_guard_that_may_be_needed_stays(changes: dict[str, float]) -> None:
    result = fix(guarded_attention(**changes))
    assert "drop-nan-guard" not in {change.rewrite for change in result.changes}


def test_a_turn_that_mixes_heads_stays_at_rank_3() -> None:
    result = fix(guarded_attention(folded_to=(4, 3, 8)))
    assert "turn-at-rank-4" not in {change.rewrite for change in result.changes}


@pytest.mark.parametrize(
    ("wall", "here", "child", "late"),
    [(2.0, 0.1, 0.1, False), (2.0, 1.1, 0.0, True), (2.0, 0.5, 0.6, True), (proving.PATIENCE + 0.1, 0.1, 0.1, True)],
    ids=["busy machine", "long passes", "long runs", "stuck"],
)
def test_a_proof_is_late_by_processor_time(
    wall: float, here: float, child: float, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times are parts of the budget: a machine that is busy with other work does not undo a rewrite."""
    clock = SimpleNamespace(wall=0.0, here=0.0)
    times = SimpleNamespace(monotonic=lambda: clock.wall, process_time=lambda: clock.here)
    monkeypatch.setattr(proving, "time", times)
    monkeypatch.setattr(proving, "_SHARED", SimpleNamespace(spent_s=7.0))
    prover = Prover(conv1d())
    budget = prover.left_s
    clock.wall, clock.here = wall * budget, here * budget
    proving._SHARED.spent_s += child * budget
    assert (prover.left_s <= 0) == late


def test_random_weights_leave_variances_positive() -> None:
    """Ones or zeros stand for weights that are not there, and one tensor may be scale and variance."""
    graph = GraphFactory("x", [1, 16, 8, 8])
    ones, zeros = graph.const(np.ones(16)), graph.const(np.zeros(16))
    first = graph.add("BatchNormalization", "x", ones, zeros, zeros, graph.add("Identity", ones))
    model = graph.model(graph.add("BatchNormalization", first, ones, zeros, zeros, graph.const(np.zeros(16))))
    feeds = random_feeds(model, 2, (-3.0, 3.0))
    with Prover(model) as prover:
        runs = prover.run(with_random_weights(model), feeds)
    assert responding(runs)
    assert all(np.isfinite(value).all() for run in runs for value in run.values())


def test_scales_in_place_of_sizes_give_the_sizes() -> None:
    """3 times the nearest single of 5/3 is below 5 in double precision, in which onnxruntime counts."""
    graph = GraphFactory("x", [1, 4, 3, 3])
    modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    result = fix(graph.model(graph.add("Resize", "x", "", "", graph.ints(1, 4, 5, 5), **modes)))
    assert not result.rejections
    assert "write-attributes" in {change.rewrite for change in result.changes}


def test_an_infinite_mask_is_left_alone() -> None:
    graph = GraphFactory("x", [1, 3, 8, 8])
    mask = graph.const(np.arange(64).reshape(1, 1, 8, 8) % 3 == 0, np.bool_)
    model = graph.model(graph.add("Where", mask, graph.conv("x", 8), graph.const(-np.inf)))
    assert [rejection.rewrite for rejection in fix(model).rejections] == ["mask-arithmetic"]


def test_weights_beside_the_file_come_in(tmp_path: Path) -> None:
    graph = imu_encoder(batch_norm=False)
    path = tmp_path / "encoder.onnx"
    onnx.save(graph.model(graph.last), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    report = check(path)
    assert report.verdict == "full"
    assert "file.external-data" in {finding.rule for finding in report.warnings}
    result = fix(path)
    assert result.changes[0].rewrite == "inline-weights"
    assert check(result.model).warnings == ()


def test_local_functions_are_inlined() -> None:
    graph = GraphFactory("x", [1, 3, 8, 8])
    body = [helper.make_node("Relu", ["a"], ["b"], name="inner")]
    function = helper.make_function("local", "twice", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    graph.nodes.append(helper.make_node("twice", [graph.conv("x", 8)], ["y"], name="call", domain="local"))
    model = graph.model("y")
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    assert check(model).verdict == "full"
    result = fix(model)
    assert "inline-functions" in {change.rewrite for change in result.changes}
    assert not result.model.functions


def test_every_pass_says_what_it_is() -> None:
    assert all(rewrite.name and rewrite.summary for rewrite in PASSES)
    graph = GraphFactory("x", [1, 3, 8, 8])
    model = graph.model(torch_gelu(graph, graph.conv("x", 8)))
    assert "exact-gelu" not in {change.rewrite for change in fix(model).changes}


def test_the_host_tail_survives_every_pass() -> None:
    model = fsq_model()
    result = fix(model)
    feeds = random_feeds(model, 8, (-3.0, 3.0), seed=3)
    expected, found = outputs_of(model, feeds), outputs_of(result.model, feeds)
    assert largest_difference(expected, found) <= 1e-4


def test_more_weights_than_a_file_can_hold_are_refused_before_they_are_read(tmp_path: Path) -> None:
    graph = GraphFactory("x", [1, 2**16])
    model = graph.model(graph.add("MatMul", "x", "w"))
    tensor = model.graph.initializer.add(
        name="w", dims=[2**16, 2**14], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value="weights.bin")
    (tmp_path / "weights.bin").write_bytes(b"")
    path = tmp_path / "large.onnx"
    path.write_bytes(model.SerializeToString())
    # 4 GiB: judged all the same, for a check reads no weight.
    assert check(path).nodes
    with pytest.raises(DataError, match=r"4\.0 GiB of weights"):
        fix(path)


def test_a_constant_answer_proves_nothing_until_the_weights_respond() -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    zeros = graph.const(np.zeros((8, 4, 3, 3)))
    model = graph.model(graph.add("HardSwish", graph.add("Conv", "x", zeros, kernel_shape=[3, 3])))
    result = fix(model)
    assert [change.rewrite for change in result.changes] == ["activation-patterns"]
    assert not result.rejections


class Wrong(OperatorRewrite):
    """Turns Relu into LeakyRelu, which shows only where something is negative."""

    name = "wrong"
    summary = "Relu is written as something else"
    operators = frozenset({"Relu"})

    def call(self, bench: Workbench) -> list[str]:
        def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
            if node.op_type != "Relu":
                return None
            return [bench.node("LeakyRelu", [node.input[0]], node.name, node.output[0], alpha=0.5)]

        return bench.rewrite(change)


@pytest.mark.parametrize("weight", [0.0, 1e-9])
def test_a_wrong_rewrite_is_seen_where_the_outputs_are_silent(weight: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsq_edge_compile.checker.rewrites.fixing.PASSES", (Wrong(),))
    graph = GraphFactory("x", [1, 4, 8, 8])
    hidden = graph.unary("Relu", graph.conv("x", 8))
    silent = graph.add("Conv", hidden, graph.const(np.full((2, 8, 1, 1), weight)), kernel_shape=[1, 1])
    result = fix(graph.model(silent))
    assert not result.changes
    assert "differ" in result.rejections[0].reason


def test_a_proof_ends_within_its_memory() -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    huge = graph.add("ConstantOfShape", graph.ints(1, 4, 40000, 40000))
    largest = graph.add("ReduceMax", huge, axes=[2, 3], keepdims=1)
    with pytest.raises(DataError, match=r"the proof needs, takes more than [\d,]+ MB of memory$"):
        fix(graph.model(graph.add("Add", graph.conv("x", 4), largest)))


def test_an_input_too_large_for_a_proof_is_refused_before_it_is_made() -> None:
    graph = GraphFactory("x", [1, 3, 1 << 16, 1 << 15])
    with pytest.raises(DataError, match="too large for a proof"):
        fix(graph.model(graph.add("HardSwish", "x")))


def chain_of_identities(count: int) -> onnx.ModelProto:
    names = ["x", *(f"t{index}" for index in range(count))]
    nodes = [
        helper.make_node("Identity", [names[index]], [names[index + 1]], name=f"n{index}") for index in range(count)
    ]
    nodes[0].op_type = "Relu"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in (names[0], names[-1])]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def test_to_remove_four_times_as_many_nodes_takes_no_sixteen_times_as_long() -> None:
    (remove,) = {rewrite.name: rewrite for rewrite in PASSES if rewrite.name == "remove-no-ops"}.values()

    def seconds(count: int) -> float:
        bench = Workbench(chain_of_identities(count))
        started = time.process_time()
        assert len(remove.call(bench)) == count - 1
        return time.process_time() - started

    assert min(seconds(4000) for _ in range(2)) < 10 * max(seconds(1000) for _ in range(2))


def test_a_graph_too_large_to_be_proven_is_refused_before_it_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixing, "MAX_FIXED_NODES", 1000)
    with pytest.raises(DataError, match="has 1,001 nodes; rewrites are proven by running the model") as refused:
        fix(chain_of_identities(1001))
    assert refused.value.hint == "check it without --fix"


def test_large_inner_tensors_are_not_kept_for_every_input(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[int] = []
    run = Prover.run

    def counted(prover: Prover, model: onnx.ModelProto, feeds: Any, inner: Sequence[str] = ()) -> Any:
        wanted.append(len(inner))
        return run(prover, model, feeds, inner)

    graph = GraphFactory("x", [1, 4, 16, 16])
    x = graph.unary("HardSwish", graph.unary("HardSwish", graph.unary("HardSwish", "x")))
    model = graph.model(graph.unary("Relu", x))
    monkeypatch.setattr(Prover, "run", counted)
    for room, compared in ((3 * 4096, 1), (3 * 2 * 4096, 2), (3 * 3 * 4096, 3)):
        monkeypatch.setattr(fixing, "MAX_COMPARED_BYTES", room)
        wanted.clear()
        assert fix(model).changes
        assert compared in wanted
        assert max(wanted) <= compared + 1  # the output stands beside the inner tensors
