"""Hostile heads, host graphs and preprocess files of foreign networks: one error each, and nothing is run."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fsq_edge.cli.main import run
from fsq_edge_compile.foreign.network_input import MAX_BYTES, NetworkInput
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import with_files
from fsq_edge_runtime.errors import DataError, FsqEdgeError
from fsq_edge_runtime.label_tail import SigmoidTail
from fsq_edge_runtime.score_tails import AnomalyTail, SoftmaxTail
from tests.attacks.test_bundle_attacks import forged, forged_manifest
from tests.factories.foreign_bundles import WIDTH, foreign_bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return foreign_bundle(SigmoidTail([0.5, 0.25, 0.75]), host=True)


@pytest.mark.parametrize("tail", [SoftmaxTail(3), SigmoidTail([0.5, 0.2]), AnomalyTail(0.5, 0.1)], ids=lambda t: t.kind)
@pytest.mark.parametrize("host", [False, True])
def test_sound_bundles_verify_install_and_answer(tail, host, tmp_path):
    path = tmp_path / "b.fsqb"
    foreign_bundle(tail, host=host).save(path)
    assert run(["bundle", "verify", str(path)]) == 0
    assert run(["bundle", "install", str(path), str(tmp_path / "dest"), "--backend", "onnx", "--quiet"]) == 0


def refused(files: dict[str, bytes], tmp_path, capsys) -> str:
    path = tmp_path / "evil.fsqb"
    path.write_bytes(forged(files))
    capsys.readouterr()
    assert run(["bundle", "verify", str(path)]) == 65
    error = capsys.readouterr().err
    assert len(error.splitlines()) <= 2, error
    assert run(["bundle", "install", str(path), str(tmp_path / "dest"), "--backend", "onnx"]) == 65
    assert not (tmp_path / "dest").exists()
    return error


@pytest.mark.parametrize(
    "value",
    [
        {"schema_version": 1, "kind": "sigmoid", "thresholds": [0.5, 0.5]},  # fewer than the graph gives
        {"schema_version": 1, "kind": "sigmoid", "thresholds": [0.5] * 5000},
        {"schema_version": 1, "kind": "sigmoid", "thresholds": [0.5, 0.5, 1e308]},
        {"schema_version": 1, "kind": "sigmoid", "thresholds": [0.5, 0.5, "0.5"]},
        {"schema_version": 1, "kind": "sigmoid", "thresholds": [0.5, 0.5, float("nan")]},
        {"schema_version": 1, "kind": "sigmoid", "thresholds": [0.5, 0.5, [[[0.5]]]]},
        {"schema_version": 1, "kind": "sigmoid", "thresholds": [0.5] * 4},  # more than the graph and the classes
        {"schema_version": 1, "kind": "sigmoid", "thresholds": [0.5] * 3, "temperature": float("nan")},
        {"schema_version": 1, "kind": "sigmoid", "thresholds": [0.5] * 3, "outputs": 3},
        {"schema_version": 1, "kind": "softmax", "outputs": 4},
        {"schema_version": 1, "kind": "softmax", "outputs": 3.5},
        {"schema_version": 1, "kind": "softmax", "outputs": -3},
        {"schema_version": 1, "kind": "softmax", "outputs": True},
        {"schema_version": 1, "kind": "anomaly", "outputs": 3},  # one class more than such a head has
        {"schema_version": 1, "kind": "anomaly", "outputs": 1, "threshold": float("nan")},
        {"schema_version": 1, "kind": "anomaly", "outputs": 1, "threshold": float("-inf")},
        {"schema_version": 1, "kind": ["softmax"], "outputs": 3},
        {"schema_version": 1, "kind": "sigmoid", "thresholds": [0.5, 0.5, 0.5], "temperature": 1e-300},
        {"schema_version": 2, "kind": "sigmoid", "thresholds": [0.5, 0.5, 0.5]},
        {"schema_version": 1, "kind": "softmax", "outputs": 3, "temperature": 1e999},
        {"schema_version": 1, "kind": "softmax", "outputs": 2**40},
        {"schema_version": 1, "kind": "anomaly", "outputs": 1, "threshold": 0.0, "scale": 0.0},
        {"schema_version": 1, "kind": "exec", "outputs": 3},
        [],
    ],
)
def test_hostile_heads(value, bundle, tmp_path, capsys):
    text = json.dumps(value).replace("Infinity", "1e999").encode()
    refused(forged_manifest(bundle, **{"head.json": text}), tmp_path, capsys)


@pytest.mark.parametrize(
    "text", [b"{", b'{"kind":' * 3000, b'{"kind":"sigmoid","kind":"softmax"}', b"{" + b" " * (65 << 20)]
)
def test_heads_that_are_no_documents(text, bundle, tmp_path, capsys):
    refused(forged_manifest(bundle, **{"head.json": text}), tmp_path, capsys)


def graph(nodes, constants=(), width=3, inputs=1):
    ports = [
        helper.make_tensor_value_info("t" if n == 0 else f"t{n}", TensorProto.FLOAT, [1, WIDTH]) for n in range(inputs)
    ]
    scores = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, width])]
    made = helper.make_graph(nodes, "host", ports, scores, list(constants))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def dense(rows=WIDTH, columns=3, name="w"):
    return numpy_helper.from_array(np.ones((rows, columns), np.float32), name)


DENSE = [helper.make_node("MatMul", ["t", "w"], ["scores"], "dense")]


def huge():
    """Ask for 40 GB in a few bytes: a constant shape, expanded."""
    shape = numpy_helper.from_array(np.asarray([1, 10_000_000_000 // 8, WIDTH]), "shape")
    nodes = [
        helper.make_node("Expand", ["t", "shape"], ["big"], "expand"),
        helper.make_node("ReduceMean", ["big"], ["small"], "mean", axes=[1], keepdims=0),
        helper.make_node("MatMul", ["small", "w"], ["scores"], "dense"),
    ]
    return graph(nodes, [shape, dense()])


def looping():
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["s"], ["u"])],
        "body",
        [
            helper.make_tensor_value_info("i", 7, []),
            helper.make_tensor_value_info("c", 9, []),
            helper.make_tensor_value_info("s", 1, [1, 3]),
        ],
        [helper.make_tensor_value_info("d", 9, []), helper.make_tensor_value_info("u", 1, [1, 3])],
    )
    nodes = [
        helper.make_node("MatMul", ["t", "w"], ["first"], "dense"),
        helper.make_node("Loop", ["", "go", "first"], ["scores"], "for-ever", body=body),
    ]
    return graph(nodes, [dense(), numpy_helper.from_array(np.asarray(True), "go")])


def of_a_shape(operator):
    """Ask for 40 GB by a constant's own words."""
    sizes = numpy_helper.from_array(
        np.asarray([10_000_000_000, 1] if operator == "Tile" else [10_000_000_000]), "shape"
    )
    made = {
        "Tile": [helper.make_node("Tile", ["t", "shape"], ["big"], "tile")],
        "ConstantOfShape": [helper.make_node("ConstantOfShape", ["shape"], ["big"], "constant")],
        "Resize": [
            helper.make_node("Reshape", ["t", "four"], ["image"], "image"),
            helper.make_node("Resize", ["image", "", "scales"], ["big"], "resize"),
        ],
    }[operator]
    constants = [sizes, dense(1), numpy_helper.from_array(np.asarray([1, 1, 1, WIDTH]), "four")]
    constants.append(numpy_helper.from_array(np.asarray([1, 1, 1e5, 1e5], np.float32), "scales"))
    nodes = [
        *made,
        helper.make_node("ReduceMean", ["big"], ["one"], "mean", keepdims=0),
        helper.make_node("Mul", ["one", "w"], ["scores"], "spread"),
    ]
    return graph(nodes, constants)


def choosing():
    """Hide a branch that no reader of the outer graph sees."""
    inner = [
        helper.make_graph([helper.make_node("Identity", ["first"], [name])], name, [], [
            helper.make_tensor_value_info(name, 1, [1, 3])
        ])
        for name in ("yes", "no")
    ]  # fmt: skip
    nodes = [
        helper.make_node("MatMul", ["t", "w"], ["first"], "dense"),
        helper.make_node("If", ["go"], ["scores"], "choose", then_branch=inner[0], else_branch=inner[1]),
    ]
    return graph(nodes, [dense(), numpy_helper.from_array(np.asarray(True), "go")])


def scanning():
    body = helper.make_graph(
        [helper.make_node("Identity", ["s"], ["u"]), helper.make_node("Identity", ["e"], ["v"])],
        "body",
        [helper.make_tensor_value_info(name, 1, [3]) for name in ("s", "e")],
        [helper.make_tensor_value_info(name, 1, [3]) for name in ("u", "v")],
    )
    nodes = [
        helper.make_node("MatMul", ["t", "w"], ["first"], "dense"),
        helper.make_node("Scan", ["zero", "first"], ["last", "scores"], "scan", body=body, num_scan_inputs=1),
    ]
    return graph(nodes, [dense(), numpy_helper.from_array(np.zeros(3, np.float32), "zero")])


def pooling():
    """Walk a window of a million million values, with gaps so that nothing cuts it short."""
    far = 10**12
    nodes = [
        helper.make_node("Reshape", ["t", "image"], ["map"], "image"),
        helper.make_node("MaxPool", ["map"], ["p"], "pool", kernel_shape=[1, far], strides=[1, far], dilations=[1, 2],
                         pads=[0, far - 1, 0, far - 1]),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("MatMul", ["f", "w"], ["scores"], "dense"),
    ]  # fmt: skip
    return graph(nodes, [dense(), numpy_helper.from_array(np.asarray([1, WIDTH, 1, 1]), "image")])


def promising():
    """Promise more weights than the file has."""
    weight = onnx.TensorProto(name="w", data_type=1, dims=[WIDTH, 3_000_000_000], raw_data=b"\x00" * 96)
    return graph(DENSE, [weight])


def unknown(operator):
    return graph([helper.make_node(operator, ["t", "w"], ["scores"], "dense", domain="com.microsoft")], [dense()])


def outside():
    weight = onnx.TensorProto(name="w", data_type=1, dims=[WIDTH, 3], data_location=onnx.TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="../../../etc/passwd")
    return graph([helper.make_node("MatMul", ["t", "w"], ["scores"], "dense")], [weight])


HOSTILE = {
    "empty": b"",
    "zeros": b"\x00" * 64,
    "huge": huge(),
    "loop": looping(),
    "outside": outside(),
    "tile": of_a_shape("Tile"),
    "constant-of-shape": of_a_shape("ConstantOfShape"),
    "resize": of_a_shape("Resize"),
    "if": choosing(),
    "scan": scanning(),
    "promise": promising(),
    "pool": pooling(),
    "unknown": unknown("NoSuchOperator"),
    "other-rows": graph(DENSE, [dense(rows=WIDTH + 1)]),
    "named-size": graph(DENSE, [dense()], width="K"),
    "cut-off": graph(DENSE, [dense()])[:-40],
    "wider": graph(DENSE, [dense(columns=4)], width=4),  # more scores than the head reads
    "two-inputs": graph([helper.make_node("MatMul", ["t1", "w"], ["scores"], "dense")], [dense()], inputs=2),
    "domain": graph([helper.make_node("MatMul", ["t", "w"], ["scores"], "dense", domain="evil")], [dense()]),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_host_graphs(data, bundle, tmp_path, capsys):
    refused(forged_manifest(bundle, **{"host.onnx": data}), tmp_path, capsys)


@pytest.mark.parametrize("classes", [["a", "b"], ["a", "b", "c", "d"], ["a", "a", "b"], ["a", "", "b"], []])
def test_classes_that_are_not_those_of_the_head(classes, bundle, tmp_path, capsys):
    files = forged_manifest(bundle)
    manifest = json.loads(files["manifest.json"])
    refused({**files, "manifest.json": json.dumps({**manifest, "classes": classes}).encode()}, tmp_path, capsys)


def test_parts_that_do_not_go_together(bundle):
    from tests.factories.bundles import random_bundle

    with pytest.raises(FsqEdgeError, match="FSQ head takes no host graph"):
        with_files(random_bundle(), {("host", None): ("host.onnx", bundle.read("host"))})
    settings = bundle.decision.model_copy(update={"smoothing": "median", "smoothing_ms": 500.0})
    with pytest.raises(FsqEdgeError, match="not by median"):
        with_files(bundle, {("decision", None): ("decision.json", settings.to_json().encode())})
    with pytest.raises(FsqEdgeError, match="maps"):
        with_files(bundle, {("encoder-batch", None): ("encoder_batch.onnx", bundle.read("encoder"))})


def test_a_network_that_asks_for_terabytes_is_run_in_a_child(tmp_path, capsys):
    shape = numpy_helper.from_array(np.asarray([200_000, 6, 40_000]), "shape")
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["one"], "most", axes=[1, 2], keepdims=1),
        helper.make_node("Expand", ["one", "shape"], ["big"], "expand"),
        helper.make_node("ReduceMean", ["big"], ["y"], "mean", axes=[0, 1], keepdims=0),
    ]
    ports = helper.make_tensor_value_info("x", 1, [1, 6, 40]), helper.make_tensor_value_info("y", 1, [40_000])
    made = helper.make_graph(nodes, "bomb", ports[:1], ports[1:], [shape])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "b.onnx")
    np.save(tmp_path / "W.npy", np.zeros((80, 6, 40), np.float32))
    for words in (
        ["quantize", str(tmp_path / "b.onnx"), "--calib", str(tmp_path / "W.npy")],
        ["bench", str(tmp_path / "b.onnx")],
    ):
        assert run(words) == 65
        assert len(capsys.readouterr().err.splitlines()) <= 2


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['true']",
        "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(5)),
        "layout: [C, T]\n" * 3,
        "{" * 5000,
        "[C, T]",
        "layout: [C, T]\nchannels: 5",
        '{"schema_version": 1, "layout": ["C", "T"], "channels": [], "sample_rate_hz": 1e999}',
        '{"schema_version": 1, "__class__": "os.system"}',
        "\x00\xff",
        "",
    ],
)
def test_hostile_preprocess_files(text, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        NetworkInput.read(path)
    assert len(caught.value.message.splitlines()) == 1


def test_a_preprocess_file_of_any_size_is_not_read(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(DataError, match="bytes"):
        NetworkInput.read(path)


def test_yaml_that_doubles_itself_ends_at_once(tmp_path):
    path = tmp_path / "p.yaml"
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    path.write_text("\n".join(lines))
    with pytest.raises(DataError):
        NetworkInput.read(path)
