from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_calibration import build_calibration_set
from fsq_edge_compile.constants import fold_constants
from fsq_edge_compile.int8.agreement import compare_codes
from fsq_edge_compile.int8.probe import ActivationProbe
from fsq_edge_compile.int8.quantize import quantize_preview, quantize_scores
from fsq_edge_compile.int8.ranges import RANGE_METHODS, Histogram, entropy_range, mse_range, percentile_range
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.backends.onnx import open_onnx
from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.tail import FsqTail
from tests.factories.device_graph import make_branched_graph, make_device_graph
from tests.factories.motion import make_motion

MOTION = make_motion(500)
FRAMES = Preprocessor(MOTION.preprocess).frames(MOTION.windows)
CALIBRATION = build_calibration_set(MOTION.windows, MOTION.labels, MOTION.subjects, MOTION.preprocess, size=128)
ENCODER = make_device_graph()
TAIL = FsqTail([8, 6, 5], np.random.default_rng(0).normal(size=(240, 4)).astype(np.float32))
REFERENCE = OnnxBackend(ENCODER).infer_batch(FRAMES)


def flips(model: bytes) -> float:
    return compare_codes(TAIL, REFERENCE, OnnxBackend(model, name="onnx-int8").infer_batch(FRAMES)).code_flip_rate


@pytest.mark.parametrize("method", RANGE_METHODS)
def test_every_method_runs_in_the_runtime_and_keeps_most_codes(method: str) -> None:
    assert 0.0 < flips(quantize_preview(ENCODER, CALIBRATION, method=method)) < 0.25


def test_sixteen_bit_output_lies_on_a_finer_grid() -> None:
    eight = OnnxBackend(quantize_preview(ENCODER, CALIBRATION)).infer_batch(FRAMES)
    sixteen = OnnxBackend(quantize_preview(ENCODER, CALIBRATION, sixteen_bit_output=True)).infer_batch(FRAMES)
    steps = eight.astype(np.float64) * 255 / 2
    assert np.abs(steps - np.rint(steps)).max() < 1e-3
    assert len(np.unique(eight)) <= 256 < len(np.unique(sixteen))
    assert np.abs(sixteen - REFERENCE).mean() < np.abs(eight - REFERENCE).mean()


def test_the_mean_error_of_the_last_layer_is_taken_back() -> None:
    quantized = onnx.load_from_string(quantize_preview(ENCODER, CALIBRATION, sixteen_bit_output=True))
    tanh = next(node for node in quantized.graph.node if node.op_type == "Tanh")
    t, wide = (np.concatenate([row[name] for row in ActivationProbe(quantized, [name]).observe(FRAMES[:50])])
               for name in ("t", tanh.input[0]))  # fmt: skip
    assert np.abs(np.tanh(wide) - t).max() < 1e-4
    backend = OnnxBackend(quantized.SerializeToString()).infer_batch(FRAMES[:50])
    assert np.abs(backend - t).max() < 1e-4  # the probe computes what the backend computes
    error = OnnxBackend(quantized.SerializeToString()).infer_batch(CALIBRATION.frames_nchw) - OnnxBackend(
        ENCODER
    ).infer_batch(CALIBRATION.frames_nchw)
    assert np.abs(error.mean(axis=0)).max() < 0.2 * error.std()


def test_every_block_that_devices_take_is_rounded_and_the_last_layer_stays_wide() -> None:
    encoder = make_branched_graph()
    quantized = quantize_preview(encoder, CALIBRATION)
    t = OnnxBackend(quantized).infer_batch(FRAMES)
    assert np.abs(t - OnnxBackend(encoder).infer_batch(FRAMES)).max() < 0.05
    rounded = {
        node.input[0] for node in onnx.load_from_string(quantized).graph.node if node.op_type == "QuantizeLinear"
    }
    assert {"input", "sr", "b", "c", "g", "t_wide"} <= rounded
    assert not {"z", "zf"} & rounded


def test_calibration_with_noise_ruins_the_codes() -> None:
    noise = np.random.default_rng(0).uniform(0, 1, FRAMES[:128].shape).astype(np.float32)
    assert flips(quantize_preview(ENCODER, noise)) > 0.5


def test_weights_are_symmetric_int8_per_channel_and_activations_uint8() -> None:
    graph = onnx.load_from_string(quantize_preview(ENCODER, CALIBRATION)).graph
    values = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
    weights = values["conv1.weight_quantized"]
    assert weights.dtype == np.int8
    assert values["conv1.weight_scale"].shape == (16,)
    assert not values["conv1.weight_zero_point"].any()
    assert values["input_zero_point"].dtype == np.uint8
    assert values["input_zero_point"] != 0
    assert "z_scale" not in {name for node in graph.node for name in node.input}


def test_a_file_serves_as_well_as_bytes_and_nothing_is_logged_or_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    handlers = list(logging.getLogger().handlers)
    (tmp_path / "encoder.onnx").write_bytes(ENCODER)
    assert quantize_preview(tmp_path / "encoder.onnx", CALIBRATION) == quantize_preview(ENCODER, CALIBRATION)
    assert not caplog.records
    assert logging.getLogger().handlers == handlers
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.onnx"]


def test_wrong_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown quantisation method"):
        quantize_preview(ENCODER, CALIBRATION, method="max")
    with pytest.raises(DataError, match="do not fit"):
        quantize_preview(ENCODER, FRAMES[:, :6])
    with pytest.raises(DataError, match="not a readable ONNX model"):
        quantize_preview(b"nonsense", CALIBRATION)
    with pytest.raises(MissingInputError):
        quantize_preview(tmp_path / "none.onnx", CALIBRATION)


def test_ranges_by_histogram() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, 100_000), [-40.0, 60.0]])
    counts = np.histogram(values, bins=2048, range=(-40, 60))[0].astype(np.float64)
    full = Histogram(-40.0, 60.0, counts)
    low, high = percentile_range(full)
    assert -4.5 < low < -3.5
    assert 3.5 < high < 4.5
    for choose in (mse_range, entropy_range):
        low, high = choose(full)
        assert -40 < low < -8
        assert 12 < high < 60
    flat = Histogram(0.0, 1.0, np.ones(2048))
    assert mse_range(flat) == (0.0, 1.0)
    assert percentile_range(flat) == pytest.approx((0.0, 1.0), abs=2e-3)


def test_computed_weights_and_a_normalization_of_its_own_are_taken() -> None:
    """As torch exports weight normalisation, and BatchNorm whose equal parameters became one tensor."""
    draw = np.random.default_rng(0)
    shapes = {"v": (4, 3, 1, 3), "g": (4, 1, 1, 1), "bias": (4,), "w": (2, 24), "w_bias": (2,)}
    constants = [numpy_helper.from_array(draw.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
    constants += [numpy_helper.from_array(np.full(4, value, np.float32), n) for n, value in (("one", 1), ("zero", 0))]
    nodes = [
        helper.make_node("ReduceL2", ["v"], ["length"], axes=[1, 2, 3], keepdims=1, name="length"),
        helper.make_node("Div", ["v", "length"], ["unit"], name="unit"),
        helper.make_node("Mul", ["unit", "g"], ["weight"], name="weight"),
        helper.make_node("Conv", ["input", "weight", "bias"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("BatchNormalization", ["r", "one", "zero", "zero", "one"], ["n"], name="norm"),
        helper.make_node("Flatten", ["n"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "w", "w_bias"], ["t"], transB=1, name="scores"),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("input", (1, 3, 1, 8)), ("t", (1, 2)))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    frames = draw.normal(size=(32, 3, 1, 8)).astype(np.float32)
    exact, rounded = open_onnx(model), open_onnx(quantize_scores(model, frames))
    for frame in frames[:8, None]:
        right = exact.run(None, {"input": frame})[0]
        assert rounded.run(None, {"input": frame})[0] == pytest.approx(right, abs=0.15)
    quantized = onnx.load_from_string(quantize_scores(model, frames))
    assert not {"ReduceL2", "Div", "Mul"} & {node.op_type for node in quantized.graph.node}


def scores_graph(*nodes: onnx.NodeProto) -> bytes:
    """input (1, 1, 2, 2) times a constant that the nodes make of ``a`` (2, 2)."""
    constants = [numpy_helper.from_array(np.ones((2, 2), np.float32), "a")]
    constants += [numpy_helper.from_array(np.array([60_000, 60_000], np.int64), "size")]
    nodes = (*nodes, helper.make_node("Mul", ["input", "made"], ["m"]), helper.make_node("Flatten", ["m"], ["t"]))
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("input", (1, 1, 2, 2)), ("t", (1, 4)))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_constants_that_are_huge_or_drawn_or_unknown_are_left_in_the_graph() -> None:
    huge = scores_graph(
        helper.make_node("Tile", ["a", "size"], ["big"]),
        helper.make_node("ReduceMean", ["big"], ["made"], keepdims=0),
    )
    drawn = scores_graph(helper.make_node("RandomNormalLike", ["a"], ["made"]))
    for graph in (huge, drawn):
        model = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph))
        assert fold_constants(model) == []


def test_a_constant_that_cannot_be_computed_is_bad_data() -> None:
    model = onnx.load_from_string(scores_graph(helper.make_node("Reshape", ["a", "size"], ["made"])))
    model.graph.value_info.append(helper.make_tensor_value_info("made", TensorProto.FLOAT, (2, 2)))
    with pytest.raises(DataError, match="cannot be computed"):
        fold_constants(model)


def test_what_only_a_branch_reads_stays() -> None:
    branches = [
        helper.make_graph([helper.make_node("Identity", ["kept"], [f"o{n}"])], f"b{n}", [],
                          [helper.make_tensor_value_info(f"o{n}", TensorProto.FLOAT, (2, 2))])
        for n in range(2)
    ]  # fmt: skip
    model = onnx.load_from_string(scores_graph(
        helper.make_node("Neg", ["a"], ["minus"]),
        helper.make_node("ReduceSum", ["input"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["yes"], to=TensorProto.BOOL),
        helper.make_node("If", ["yes"], ["chosen"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Add", ["chosen", "minus"], ["made"]),
    ))  # fmt: skip
    model.graph.initializer.append(numpy_helper.from_array(np.ones((2, 2), np.float32), "kept"))
    model = onnx.shape_inference.infer_shapes(model)
    assert fold_constants(model) == ["minus"]
    assert {entry.name for entry in model.graph.initializer} == {"kept", "minus"}
    onnx.checker.check_model(model)
