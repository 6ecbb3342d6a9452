"""Reading foreign networks: layouts, normalisations and heads that fit, and one line for each that does not."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_compile.checker.checking import check
from fsq_edge_compile.foreign.cutting import cut_graph, without_rows
from fsq_edge_compile.foreign.heads import make_tail, tail_after_rounding
from fsq_edge_compile.foreign.network_input import NetworkInput
from fsq_edge_compile.own.building import build_bundle
from fsq_edge_compile.own.network import prepare_network
from fsq_edge_runtime.backends.host import HostGraph
from fsq_edge_runtime.backends.onnx import OnnxBackend, open_onnx
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.label_tail import SigmoidTail
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.score_tails import AnomalyTail
from tests.factories.plain_networks import CLASSES, SHAPES, described, motion, network


def answers_of(path, inputs):
    session = open_onnx(path.read_bytes())
    shape = session.get_inputs()[0].shape
    return np.stack([session.run(None, {"x": np.ascontiguousarray(row).reshape(shape)})[0][0] for row in inputs])


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("layout", SHAPES)
def test_every_layout_gives_the_answers_of_the_file(tmp_path, layout, batched):
    shape = SHAPES[layout] if batched else SHAPES[layout][1:]
    path = network(tmp_path / "n.onnx", shape=shape)
    x = motion()
    made = prepare_network(path, described(layout), x, classes=CLASSES)
    given = x.transpose(0, 2, 1) if layout.index("T") < layout.index("C") else x
    np.testing.assert_allclose(made.scores, answers_of(path, given), rtol=1e-4, atol=1e-5)
    assert made.report.verdict == "full"


def rules(x):
    mean, std = x.mean(axis=(0, 2), dtype=np.float64), x.std(axis=(0, 2), dtype=np.float64)
    low, high = x.min(axis=(0, 2)).astype(np.float64), x.max(axis=(0, 2)).astype(np.float64)
    across = {axis: value[:, None] for axis, value in (("m", mean), ("s", std), ("l", low), ("h", high))}
    return {
        "none": ({"kind": "none"}, x),
        "given": ({"kind": "given", "mean": mean.tolist(), "std": std.tolist()}, (x - across["m"]) / across["s"]),
        "fitted": ({"kind": "fitted"}, (x - across["m"]) / across["s"]),
        "minmax": (
            {"kind": "minmax", "low": low.tolist(), "high": high.tolist()},
            (x - across["l"]) / (across["h"] - across["l"]),
        ),
        "window-zscore": (
            {"kind": "window-zscore"},
            (x - x.mean(axis=2, keepdims=True)) / x.std(axis=2, keepdims=True),
        ),
        "torch-zscore": (
            {"kind": "window-zscore", "epsilon": 0.05, "ddof": 1},
            (x - x.mean(axis=2, keepdims=True)) / (x.std(axis=2, keepdims=True, ddof=1) + 0.05),
        ),
    }


@pytest.mark.parametrize("kind", ["none", "given", "fitted", "minmax", "window-zscore", "torch-zscore"])
def test_every_normalisation_gives_the_answers_of_the_training(tmp_path, kind):
    x = motion()
    rule, wanted = rules(x)[kind]
    path = network(tmp_path / "n.onnx")
    made = prepare_network(path, described(**rule), x, classes=CLASSES)
    np.testing.assert_allclose(made.scores, answers_of(path, wanted.astype(np.float32)), rtol=1e-3, atol=1e-4)


def test_yaml_and_json_say_the_same(tmp_path):
    text = described(kind="minmax", low=[0.0] * 6, high=[1.0] * 6).to_dict()
    (tmp_path / "p.json").write_text(json.dumps(text))
    lines = [
        "schema_version: 1", "layout: [C, T]", "sample_rate_hz: 50.0", "window_samples: 40", "hop_samples: 20",
        "normalization: {kind: minmax, low: [0, 0, 0, 0, 0, 0], high: [1, 1, 1, 1, 1, 1]}", "channels:",
        *(f"  - {{name: ch{index}, unit: ''}}" for index in range(6)),
    ]  # fmt: skip
    (tmp_path / "p.yaml").write_text("\n".join(lines))
    assert NetworkInput.read(tmp_path / "p.yaml") == NetworkInput.read(tmp_path / "p.json")


@pytest.mark.parametrize(
    ("network_of", "described_as", "words"),
    [
        ({"shape": (1, 40, 6)}, {}, "takes (1, 40, 6), layout [C, T]"),
        ({"inputs": 2}, {}, "2 inputs and 1 outputs"),
        ({"shape": (1, 6, "T")}, {}, "open sizes [1, 6, 'T']"),
        ({"last": "Softmax,Softmax"}, {}, "a softmax twice at its end"),
        ({"last": "Sigmoid,Sigmoid"}, {}, "a sigmoid twice at its end"),
        ({"last": "Sigmoid,Softmax"}, {}, "a softmax to what a sigmoid gives"),
        ({"last": "Softmax,Identity"}, {}, "a softmax would be applied twice"),
        ({"last": "Sigmoid,Identity"}, {"head": "sigmoid"}, "a sigmoid would be applied twice"),
        ({"last": "Sigmoid"}, {"head": "softmax"}, "ends in a sigmoid"),
        ({"last": "Softmax"}, {"head": "sigmoid"}, "ends in a softmax"),
        ({"outputs": 1}, {"head": "sigmoid"}, "at least 2 labels"),
        ({"outputs": 5}, {}, "4 class names for a network with 5 outputs"),
        ({}, {"classes": ("a", "b", "c", "b")}, "the class name 'b' is there twice"),
        ({}, {"labels": np.full(80, 4)}, "labels reach 4"),
        ({}, {"labels": np.zeros((80, 4), int)}, "several a window"),
        ({"last": "Sigmoid"}, {"labels": np.full((80, 4), 2)}, "not 0 or 1"),
        ({"last": "Sigmoid"}, {"thresholds": (0.5, 0.5)}, "2 thresholds for 4 labels"),
        ({"last": "Sigmoid"}, {"thresholds": (0.5, 0.5, 0.5, 1.0)}, "must lie above 0 and below 1"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, network_of, described_as, words):
    path = network(tmp_path / "n.onnx", **network_of)
    with pytest.raises(DataError) as caught:
        prepare_network(path, described(), motion(), **{"classes": CLASSES, **described_as})
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 65


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.INT32, TensorProto.FLOAT16])
def test_only_float32_is_taken(tmp_path, kind):
    node = helper.make_node("Cast", ["x"], ["y"], "cast", to=TensorProto.FLOAT)
    ports = helper.make_tensor_value_info("x", kind, [1, 6, 40]), helper.make_tensor_value_info("y", 1, [1, 6, 40])
    onnx.save(helper.make_model(helper.make_graph([node], "g", ports[:1], ports[1:])), tmp_path / "n.onnx")
    with pytest.raises(DataError, match=r"expected float \(32 bits\)"):
        prepare_network(tmp_path / "n.onnx", described(), motion(), classes=CLASSES)


def test_a_network_that_normalises_itself_is_said_to_double(tmp_path):
    x = motion()
    path = network(tmp_path / "n.onnx", first="Sub")
    assert prepare_network(path, described(), x, classes=CLASSES).notes == ()
    rule, _ = rules(x)["given"]
    (note,) = prepare_network(path, described(**rule), x, classes=CLASSES).notes
    assert "first node is Sub" in note
    assert prepare_network(network(tmp_path / "m.onnx"), described(**rule), x, classes=CLASSES).notes == ()


def test_windows_of_another_scale_are_warned_of(tmp_path):
    x = motion()
    rule, _ = rules(x)["given"]
    path = network(tmp_path / "n.onnx")
    usual, scaled = (
        build_bundle(path, described(**rule), windows, classes=CLASSES, min_label_agreement=0.0).audit.findings
        for windows in (x, 9.81 * x)
    )
    assert "scale" not in {finding.rule for finding in usual}
    (found,) = [finding for finding in scaled if finding.rule == "scale"]
    assert found.severity == "warning"


def test_labels_of_several_kinds_fit_thresholds():
    draw = np.random.default_rng(0)
    present = draw.integers(0, 2, (200, 2))
    scores = np.where(present, 1.0, -1.0) + draw.normal(0, 0.1, (200, 2)) + np.asarray([3.0, 0.0])
    tail = make_tail("sigmoid", scores.astype(np.float32), present, 2, false_alarm_rate=0.01)
    assert isinstance(tail, SigmoidTail)
    assert ((tail.logits(scores.astype(np.float32)) >= 0) == present).all()
    assert tail.thresholds[0] > 0.9, "the first label's scores lie 3 higher"


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1])
def test_no_normal_window_lies_on_the_threshold(rate):
    scores = np.random.default_rng(0).exponential(1.0, (400, 1)).astype(np.float32)
    tail = make_tail("anomaly", scores, np.zeros(400, np.int64), 2, false_alarm_rate=rate)
    answers = tail.index(scores)
    assert answers.sum() == int(rate * 399)
    for moved in (1 - 1e-6, 1 + 1e-6):
        np.testing.assert_array_equal(tail.index(scores * np.float32(moved)), answers)


def test_the_threshold_moves_with_what_rounding_adds():
    before = np.linspace(0, 1, 101, dtype=np.float32)[:, None]
    moved = tail_after_rounding(AnomalyTail(0.895, 0.1), before, before + 5)
    assert moved.index(before + 5).sum() == 11
    assert tail_after_rounding(AnomalyTail(2.0, 0.1), before, before + 5).index(before + 5).sum() == 0
    assert tail_after_rounding(AnomalyTail(-1.0, 0.1), before, before + 5).index(before + 5).sum() == 101


def test_what_a_chip_does_not_take_runs_on_the_host(tmp_path):
    draw = np.random.default_rng(0)
    arrays = {
        "w": draw.normal(0, 0.3, (4, 6, 1, 5)).astype(np.float32),
        "v": draw.normal(0, 0.3, (3, 6, 1, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["a"], "left", kernel_shape=[1, 5]),
        helper.make_node("Conv", ["input", "v"], ["b"], "right", kernel_shape=[1, 3]),
        helper.make_node("Erf", ["a"], ["c"], "erf"),  # no public report compiles one outside of a GELU
        helper.make_node("ReduceMean", ["c"], ["d"], "mean", axes=[1, 2, 3], keepdims=0),
        helper.make_node("ReduceMax", ["b"], ["e"], "most", axes=[1, 2, 3], keepdims=0),
        helper.make_node("Concat", ["d", "e"], ["f"], "join", axis=0),
        helper.make_node("Unsqueeze", ["f", "zero"], ["t"], "row"),
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    constants.append(numpy_helper.from_array(np.asarray([0]), "zero"))
    ports = [helper.make_tensor_value_info(n, 1, s) for n, s in (("input", [1, 6, 1, 40]), ("t", [1, 2]))]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], constants)
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    cut = cut_graph(whole, "hailo8l")
    assert cut.report.verdict == "cut"
    assert cut.host is not None
    frames = motion()[:, :, None]
    t = OnnxBackend(cut.device).infer_batch(frames)
    found = HostGraph(cut.host).scores_of_all(t)
    session = open_onnx(whole)
    wanted = np.stack([session.run(None, {"input": frame[None]})[0][0] for frame in frames])
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert check(without_rows(cut.device), "hailo8l").verdict == "full"


def test_a_bundle_with_a_host_graph_answers_window_by_window_and_in_batches_alike(tmp_path):
    path = network(tmp_path / "n.onnx", last="Erf")
    made = build_bundle(path, described(), motion(), classes=CLASSES, min_label_agreement=0.0)
    assert made.bundle is not None
    assert made.bundle.has("host")
    samples = np.random.default_rng(2).normal(0, 0.4, (2000, 6)).cumsum(axis=0).astype(np.float32)
    frames = Preprocessor(made.bundle.preprocess)
    with made.bundle.open_session("onnx") as one, made.bundle.open_session("onnx") as many:
        first = one.push(samples)
        second = many.push_many([("0", samples, None)])
    assert [record.probabilities for record in first] == [record.probabilities for record in second]
    assert all(len(record.stages_ns) == 6 for record in first)
    assert frames.config.window_samples == 40
