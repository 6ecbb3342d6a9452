"""A network that is cut at several tensors: its plan, its HEF whatever the order of the outputs, and the device."""

import json
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from fsq_edge.cli.main import run
from fsq_edge_compile.dfc.plan_compile import emulate
from fsq_edge_compile.own.building import build_bundle
from fsq_edge_runtime.backends.selection import open_backend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import add_hef, with_files
from fsq_edge_runtime.errors import BackendError, DataError
from fsq_edge_runtime.onnx_graph import read_cut_outputs
from fsq_edge_runtime.testing import TensorSpec, fake_hailo_platform, hef_bytes
from tests.factories.hailo_rig import ARCHITECTURE, SDK, frames_of
from tests.factories.plain_networks import described, motion, network

LAYOUT = ("C", "1", "T")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Two convolutions of the input that meet behind an operator which no chip takes."""
    draw = np.random.default_rng(0)
    arrays = {name: draw.normal(0, 0.3, (4, 6, 1, 5)).astype(np.float32) for name in ("w", "v")}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "left", kernel_shape=[1, 5]),
        helper.make_node("Conv", ["x", "v"], ["b"], "right", kernel_shape=[1, 5]),
        *(helper.make_node("Erf", [name], [f"{name}_erf"], f"erf_{name}") for name in "ab"),
        helper.make_node("ReduceMean", ["a_erf"], ["c"], "mean", axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMax", ["b_erf"], ["d"], "most", axes=[2, 3], keepdims=0),
        helper.make_node("Sub", ["c", "d"], ["y"], "less"),
    ]
    ports = [helper.make_tensor_value_info(n, 1, s) for n, s in (("x", [1, 6, 1, 40]), ("y", [1, 4]))]
    constants = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], constants)
    path = tmp_path_factory.mktemp("cuts") / "n.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def bundle(model) -> Bundle:
    made = build_bundle(
        model, described(LAYOUT, kind="window-zscore"), motion(), classes="abcd", min_label_agreement=0.0
    )
    assert made.bundle is not None, made.shut
    return made.bundle


def outputs_of(bundle: Bundle) -> list[TensorSpec]:
    """Return the outputs as a compiler may file them: the last first."""
    parts = read_cut_outputs(bundle.read("encoder"))
    return [
        TensorSpec(f"conv{place}", (1, part.values // 4, 4), -40.0, 40.0, original_names=(part.node,))
        for place, part in reversed(list(enumerate(parts)))
    ]


def hef_with(outputs: list[TensorSpec], arch: str = "hailo8l") -> bytes:
    source = TensorSpec("input_layer1", (1, 40, 6), -6.0, 6.0)
    return hef_bytes(arch=arch, inputs=[source], outputs=outputs, sdk=SDK[arch])


@pytest.mark.parametrize("generation", [4, 5])
def test_outputs_in_any_order_give_the_scores_of_the_cpu(bundle, generation):
    assert [part.values for part in bundle.device_outputs] == [144, 144]
    arch = ARCHITECTURE[generation]
    added = add_hef(bundle, hef_with(outputs_of(bundle), arch))
    assert added.bundle is not None, added.findings
    frames = frames_of(bundle, 5)
    wanted = open_backend(bundle, "onnx").infer_batch(frames)
    fake = fake_hailo_platform(generation, graph=bundle.read("encoder"))
    device = open_backend(added.bundle, "hailo", binding=fake)
    try:
        np.testing.assert_allclose(device.infer_batch(frames), wanted, atol=1e-5)
        np.testing.assert_allclose(device.infer(frames[:1]), wanted[0], atol=1e-5)
    finally:
        device.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda made: made[:1], "1 inputs and 1 outputs, expected one input and 2 outputs: "),
        (lambda made: [*made, replace(made[0], name="third")], "1 inputs and 3 outputs"),
        (lambda made: [made[0], replace(made[1], original_names=("elsewhere",))], "no outputs are made from the node"),
        (lambda made: [made[1], replace(made[1], name="twin")], "2 outputs are made from the node"),
        (lambda made: [made[0], replace(made[1], shape=(1, 40, 4))], "conv0 has 160 values"),
        (lambda made: [replace(one, original_names=()) for one in made], "the HEF names no nodes"),
    ],
)
def test_a_wrong_or_missing_output_is_one_line_and_never_reaches_the_device(bundle, change, words):
    wrong = hef_with(change(outputs_of(bundle)))
    added = add_hef(bundle, wrong)
    assert added.bundle is None
    (found,) = [finding for finding in added.findings if finding.severity == "error"]
    assert words in found.message
    assert "\n" not in found.message
    forced = with_files(bundle, {("hef", "hailo8l"): ("hailo8l.hef", wrong)})
    with pytest.raises(BackendError, match="does not fit the bundle"):
        open_backend(forced, "hailo", binding=fake_hailo_platform(4, graph=bundle.read("encoder")))


def test_an_encoder_that_lies_about_its_parts_is_one_error(bundle):
    model = onnx.load_from_string(bundle.read("encoder"))
    (shape,) = [tensor for tensor in model.graph.initializer if tensor.name == "fsq_row_shape_1"]
    shape.CopyFrom(numpy_helper.from_array(np.asarray((1, 2**62)), shape.name))
    forged = with_files(bundle, {("encoder", None): ("encoder.onnx", model.SerializeToString())})
    with pytest.raises(DataError, match="is cut into 144 and 4611686018427387904 values"):
        add_hef(forged, hef_with(outputs_of(bundle)))


def test_outputs_without_names_are_known_by_sizes_that_differ(bundle):
    narrow = TensorSpec("conv9", (1, 10, 4), -40.0, 40.0)
    unnamed = [replace(one, original_names=()) for one in outputs_of(bundle)]
    (found,) = [item for item in add_hef(bundle, hef_with([narrow, unnamed[0]])).findings if item.severity == "error"]
    assert "the HEF names no nodes" in found.message


def test_a_network_that_nothing_clips_takes_the_hef_of_its_own_windows(tmp_path):
    path = network(tmp_path / "n.onnx")
    made = build_bundle(path, described(), motion(), classes="abcd", min_label_agreement=0.0).bundle
    assert made is not None
    most = float(np.abs(motion()).max())
    sink = TensorSpec("fc1", (4,), -90.0, 90.0)
    for limit, rules in ((most, set()), (most / 20, {"input-limits"})):
        source = TensorSpec("input_layer1", (1, 40, 6), -limit, limit)
        found = add_hef(made, hef_bytes(arch="hailo8l", inputs=[source], outputs=[sink], sdk=SDK["hailo8l"])).findings
        assert {item.rule for item in found if item.severity != "info"} == rules


def test_the_plan_ends_at_every_cut(bundle, model, tmp_path):
    (tmp_path / "p.json").write_text(described(LAYOUT, kind="window-zscore").to_json())
    np.savez(tmp_path / "W.npz", windows=motion())
    words = ["export", "--onnx", str(model), "--preprocess", str(tmp_path / "p.json"), "--classes", "a,b,c,d"]
    build, plan = tmp_path / "BUILD", tmp_path / "plan"
    assert run([*words, "--windows", str(tmp_path / "W.npz"), "--out", str(build), "--quiet"]) == 0
    assert run(["calibrate", str(tmp_path / "W.npz"), "--out", str(build), "--quiet"]) == 0
    assert run(["compile", str(build), "--arch", "hailo8l", "--plan", str(plan), "--quiet"]) == 0
    written = json.loads((plan / "plan.json").read_text())
    assert written["end_nodes"] == [part.node for part in read_cut_outputs(bundle.read("encoder"))]
    assert written["parts"] == [144, 144]


class Emulator:
    """Answers as the compiler's emulator does: a list of maps with channels last, in an order of its own."""

    def __init__(self, maps):
        self.maps = maps

    def infer_context(self, context):
        return nullcontext()

    def infer(self, context, frames):
        return self.maps


def test_the_emulators_maps_become_one_row_as_the_host_graph_takes_it():
    first, second = np.random.default_rng(0).normal(size=(2, 3, 1, 7, 2)).astype(np.float32)
    second = second[:, :, :5]
    wanted = np.concatenate([one.transpose(0, 3, 1, 2).reshape(3, -1) for one in (first, second)], axis=1)
    frames = np.zeros((3, 1, 40, 6), np.float32)
    np.testing.assert_array_equal(emulate(Emulator([second, first]), None, frames, [14, 10]), wanted)
    np.testing.assert_array_equal(emulate(Emulator(first), None, frames, []), wanted[:, :14])
    with pytest.raises(ValueError, match="cannot be told apart"):
        emulate(Emulator([first, first]), None, frames, [14, 14])
