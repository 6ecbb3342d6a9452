"""``bench layers``: counts against a network counted by hand, times that add up, and what it refuses."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper, load_from_string, numpy_helper

from fsq_edge.cli.main import run
from fsq_edge_benchmarks.bench.layers import network_cost, peak_activation
from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_compile.checker.normalise import normalise
from fsq_edge_runtime.preprocess import Preprocessor

MADE = {"conv0", "relu0", "pool0", "conv1", "relu1", "pool1", "conv2", "relu2", "mean", "flatten", "projection"}


@pytest.fixture(scope="module")
def cost():
    bundle = fixed_bundle()
    return network_cost(
        bundle.read("encoder"), Preprocessor(bundle.preprocess).frames(bundle.selftest.windows), runs=100
    )


def test_the_counts_are_those_of_the_network(cost):
    # (1, 9) kernels over 12 channels of 2 rows of 50, 25 and 12 samples, then a product of 64 by 3.
    work = [32 * 12 * 9 * 100, 64 * 32 * 9 * 50, 64 * 64 * 9 * 24, 64 * 3]
    weights = [32 * (12 * 9 + 1), 64 * (32 * 9 + 1), 64 * (64 * 9 + 1), 3 * (64 + 1)]
    assert (cost.macs, cost.parameters) == (sum(work), sum(weights))
    assert [layer.macs for layer in cost.layers if layer.macs] == work
    assert [layer.parameters for layer in cost.layers if layer.parameters] == weights
    assert [layer.activation for layer in cost.layers if layer.macs] == [32 * 100, 64 * 50, 64 * 24, 3]
    assert cost.peak_activation_bytes == 4 * 2 * 64 * 50, "a convolution's output beside its ReLU's"


def test_the_times_add_up_to_the_network(cost):
    assert sum(layer.us for layer in cost.layers) == pytest.approx(cost.us)
    assert sum(layer.share for layer in cost.layers) == pytest.approx(1.0)
    assert min(layer.us for layer in cost.layers) == 0.0, "the cheapest node is taken for the profiler's own time"
    convolutions = sum(layer.share for layer in cost.layers if layer.op == "Conv")
    assert convolutions > 0.5, "99.99 % of the multiply-accumulates"


def test_a_branch_is_held_until_it_is_read():
    """x -> a -> b, and x + b: x stays while a and b are made."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "a"),
        helper.make_node("Concat", ["a", "a"], ["b"], "b", axis=1),
        helper.make_node("Slice", ["b", "zero", "four", "one"], ["c"], "c"),
        helper.make_node("Add", ["x", "c"], ["y"], "y"),
    ]
    made = [
        numpy_helper.from_array(np.asarray([value]), name) for name, value in (("zero", 0), ("four", 4), ("one", 1))
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "branch", ports[:1], ports[1:], made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    # While b (8 values) is made, a and x (4 each) are still needed.
    assert peak_activation(normalise(load_from_string(model.SerializeToString()), "branch").graph) == 16


def test_the_command_says_it_in_80_columns(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    fixed_bundle().save(tmp_path / "b.fsqb")
    assert run(["bench", "layers", str(tmp_path / "b.fsqb"), "--json", str(tmp_path / "layers.json")]) == 0
    shown = capsys.readouterr().out
    assert "GlobalAveragePool" in shown
    assert "2,152,128 MACs, 59,107 parameters, activations take 25,600 bytes" in shown
    found = json.loads((tmp_path / "layers.json").read_text())
    assert found["schema_version"] == 1
    assert found["machine"]["cpu"]
    assert len(found["layers"]) == 9


def test_a_network_alone_is_measured_on_random_inputs(tmp_path, capsys):
    (tmp_path / "encoder.onnx").write_bytes(fixed_bundle().read("encoder"))
    assert run(["bench", "layers", str(tmp_path / "encoder.onnx"), "--json", "-", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["macs"] == 2_152_128


def test_a_graph_with_features_beside_t_is_measured_and_names_are_short(tmp_path, capsys):
    model = load_from_string(fixed_bundle().read("encoder"))
    for node in model.graph.node:
        node.name = f"/device_part/features/{node.output[0]}"
        node.output[:] = [name if name == "t" else f"/device/{name}_output_0" for name in node.output]
        node.input[:] = [f"/device/{name}_output_0" if name in MADE else name for name in node.input]
    model.graph.output.append(helper.make_tensor_value_info("/device/flatten_output_0", TensorProto.FLOAT, [1, 64]))
    (tmp_path / "features.onnx").write_bytes(model.SerializeToString())
    assert run(["bench", "layers", str(tmp_path / "features.onnx")]) == 0
    shown = capsys.readouterr().out
    assert "2,152,128 MACs" in shown
    assert "device/relu0 " in shown
    assert "_output_0" not in shown


@pytest.mark.parametrize(("name", "content", "code"), [
    ("b.fsqb", None, 66), ("b.hef", b"x", 64), ("m.onnx", b"no model", 65), ("m.tflite", b"x", 65),
])  # fmt: skip
def test_what_cannot_be_measured_is_one_line_and_a_hint(name, content, code, tmp_path, capsys):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert run(["bench", "layers", str(tmp_path / name)]) == code
    error = capsys.readouterr().err.strip().splitlines()
    assert error[0].startswith("error: ")
    assert len(error) <= 2
