"""Verbs on an ONNX file, a HEF or plain arrays, without a run, a BUILD folder or a bundle."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, load, numpy_helper, save

from fsq_edge.cli.main import run
from fsq_edge_benchmarks.bench.result import BenchResult
from fsq_edge_calibration import load_calibration_set
from fsq_edge_compile.dfc.plan import load_plan
from fsq_edge_runtime.testing import TensorSpec, hef_bytes


def network(path: Path, *, width: int = 8, sizes: tuple[int, ...] = (6, 1, 40), kind: int = TensorProto.FLOAT) -> Path:
    """Write Conv, Relu, GlobalAveragePool, Flatten and Gemm over maps (1, C, 1, T), or series (1, C, T)."""
    draw = np.random.default_rng(0)
    kernel = [1] * (len(sizes) - 2) + [5]
    arrays = {
        "w": draw.normal(0, 0.3, (width, sizes[0], *kernel)),
        "p": draw.normal(0, 0.5, (width, 4)),
        "b": draw.normal(0, 0.5, 4),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["h"], "conv", kernel_shape=kernel),
            helper.make_node("Relu", ["h"], ["r"], "relu"),
            helper.make_node("GlobalAveragePool", ["r"], ["g"], "pool"),
            helper.make_node("Flatten", ["g"], ["f"], "flatten"),
            helper.make_node("Gemm", ["f", "p", "b"], ["y"], "dense"),
        ],
        "net",
        [helper.make_tensor_value_info("x", kind, [1, *sizes])],
        [helper.make_tensor_value_info("y", kind, [1, 4])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in arrays.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def motion(count: int = 80) -> np.ndarray:
    """Return smooth windows (N, 6, 40) float32."""
    draw = np.random.default_rng(1)
    return draw.normal(0, 0.4, (count, 6, 40)).cumsum(axis=2).astype(np.float32)


def test_calibrate_takes_a_file_of_windows(tmp_path, capsys):
    np.save(tmp_path / "W.npy", motion())
    words = ["preprocess", "fit", "--windows", str(tmp_path / "W.npy"), "--out", str(tmp_path / "p.json"), "--quiet"]
    assert run(words) == 0
    words = ["calibrate", str(tmp_path / "W.npy"), "--preprocess", str(tmp_path / "p.json")]
    assert run([*words, "--out", str(tmp_path / "set.npz")]) == 0
    chosen = load_calibration_set(tmp_path / "set.npz")
    assert chosen.frames_nhwc.shape == (80, 1, 40, 6)
    np.testing.assert_allclose(chosen.frames_nhwc.mean(axis=(0, 1, 2)), 0, atol=0.01)
    capsys.readouterr()
    np.save(tmp_path / "T.npy", motion().transpose(0, 2, 1))
    assert run(["calibrate", str(tmp_path / "T.npy"), *words[2:], "--out", str(tmp_path / "t.npz")]) == 65
    assert "expected (N, 6, 40)" in capsys.readouterr().err
    assert not (tmp_path / "t.npz").exists()


def test_audit_alone_says_what_an_array_is(tmp_path, capsys):
    good, noise, few = tmp_path / "good.npy", tmp_path / "noise.npy", tmp_path / "few.npy"
    np.save(good, motion())
    np.save(noise, np.random.default_rng(0).normal(size=(80, 6, 40)).astype(np.float32))
    np.save(few, motion(10))
    assert run(["calibrate", "--audit", str(good)]) == 0
    assert run(["calibrate", "--audit", str(noise)]) == 1
    assert "Gaussian noise" in capsys.readouterr().out
    assert run(["calibrate", "--audit", str(few)]) == 1
    assert run(["calibrate", "--audit", str(few), "--allow-small"]) == 0
    assert run(["calibrate"]) == 64
    assert run(["calibrate", "--audit", str(tmp_path / "none.npy")]) == 66


@pytest.mark.parametrize("sizes", [(6, 1, 40), (6, 40)])
def test_quantize_takes_any_network_with_plain_windows(tmp_path, capsys, sizes):
    model, windows = network(tmp_path / "n.onnx", sizes=sizes), motion().reshape(80, *sizes)
    np.save(tmp_path / "W.npy", windows)
    words = ["quantize", str(model), "--calib", str(tmp_path / "W.npy"), "--json", str(tmp_path / "q.json")]
    assert run(words) == 0
    session = onnxruntime.InferenceSession(tmp_path / "n_int8.onnx")
    assert [entry.name for entry in (*session.get_inputs(), *session.get_outputs())] == ["x", "y"]
    reference = onnxruntime.InferenceSession(model)
    pairs = [(reference.run(None, {"x": row[None]})[0], session.run(None, {"x": row[None]})[0]) for row in windows]
    kept = np.mean([a.argmax() == b.argmax() for a, b in pairs])
    found = json.loads((tmp_path / "q.json").read_text())
    assert found["label_agreement"]["value"] == pytest.approx(kept)
    assert found["snr_db"] > 25
    capsys.readouterr()
    np.save(tmp_path / "W.npy", windows.swapaxes(1, -1))
    assert run(words) == 65
    assert "the network takes" in capsys.readouterr().err


def test_compile_plans_any_network(tmp_path, capsys):
    model = network(tmp_path / "n.onnx")
    np.save(tmp_path / "W.npy", motion()[:, :, None])
    words = ["compile", str(model), "--arch", "hailo8l", "--calib", str(tmp_path / "W.npy")]
    assert run(words) == 64
    assert run([*words, "--plan", str(tmp_path / "plan")]) == 0
    plan = load_plan(tmp_path / "plan")
    assert (plan.input_name, plan.input_shape, plan.end_nodes) == ("x", (1, 6, 1, 40), ("dense",))
    assert np.load(tmp_path / "plan" / "calib.npy").shape == (80, 1, 40, 6)
    assert (tmp_path / "plan" / "encoder.onnx").read_bytes() == model.read_bytes()
    capsys.readouterr()
    assert "stays on the host" in (tmp_path / "plan" / "README.md").read_text()
    assert "[-1, 1]" not in (tmp_path / "plan" / "README.md").read_text()
    series = [
        *words[:1],
        str(network(tmp_path / "s.onnx", sizes=(6, 40))),
        *words[2:4],
        "--calib",
        str(tmp_path / "S.npy"),
    ]
    np.save(tmp_path / "S.npy", motion())
    assert run([*series, "--plan", str(tmp_path / "p")]) == 1
    assert "--fix" in capsys.readouterr().out
    assert run([*series, "--plan", str(tmp_path / "p"), "--force", "a try"]) == 0
    assert load_plan(tmp_path / "p").forced == ("check hailo8l says none: a try",)


def test_weights_beside_the_file_are_taken_along(tmp_path):
    model = load(network(tmp_path / "n.onnx"))
    save(model, tmp_path / "ext.onnx", save_as_external_data=True, location="ext.data", size_threshold=0)
    np.save(tmp_path / "W.npy", motion()[:, :, None])
    words = ["--calib", str(tmp_path / "W.npy")]
    plan = ["compile", str(tmp_path / "ext.onnx"), "--arch", "hailo8l", *words, "--plan", str(tmp_path / "plan")]
    assert run(plan) == 0
    onnxruntime.InferenceSession((tmp_path / "plan" / "encoder.onnx").read_bytes())
    assert run(["quantize", str(tmp_path / "ext.onnx"), *words]) == 0
    assert run(["bench", str(tmp_path / "ext.onnx"), "--decisions", "20", "--quiet"]) == 0


def test_bench_times_networks_alone(tmp_path, capsys):
    small, large = network(tmp_path / "small.onnx"), network(tmp_path / "large.onnx", width=256)
    np.save(tmp_path / "W.npy", motion()[:, :, None])
    words = ["bench", str(small), "--decisions", "50", "--windows", str(tmp_path / "W.npy"), "--against", str(large)]
    assert run([*words, "--backend", "onnx,onnx-int8", "--json", str(tmp_path / "b.json")]) == 0
    found = BenchResult.load(tmp_path / "b.json")
    assert [(line.mode, line.backend) for line in found.runs] == [("single", "onnx"), ("single", "onnx-int8")]
    assert found.pair is not None
    assert found.pair.ratio.value > 1.5, "32 times the products"
    assert (found.bundle.name, found.bundle.channels, found.bundle.window_samples) == ("small.onnx", 6, 40)
    gate = ["bench", str(large), "--decisions", "50", "--baseline", str(tmp_path / "b.json"), "--max-regress", "20%"]
    assert run([*gate, "--backend", "onnx", "--allow-disturbed"]) == 1
    capsys.readouterr()
    assert run(["bench", str(small), "--mode", "offline", "--windows", "4", "--quick"]) == 0
    assert "inputs are random" in capsys.readouterr().out
    for words in (["--mode", "cold"], ["--backend", "hailo"], ["--streams", "4"], ["--against", "x.fsqb"]):
        assert run(["bench", str(small), *words]) == 64, words


def test_bench_takes_a_hef_with_a_devices_packages_and_refuses_kindly_without_one(tmp_path, capsys, monkeypatch):
    for workstation in ("onnx", "fsq_edge_compile", "fsq_edge.deploy"):
        for name in [name for name in sys.modules if name.startswith(f"{workstation}.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, workstation, None)
    monkeypatch.delitem(sys.modules, "fsq_edge_benchmarks.measure.fixed_bundle", raising=False)
    hef = tmp_path / "n.hef"
    hef.write_bytes(
        hef_bytes(arch="hailo8l", inputs=[TensorSpec("in", (1, 40, 6))], outputs=[TensorSpec("fc1", (4,), -9.0, 9.0)])
    )
    assert run(["bench", str(hef), "--backend", "fake", "--decisions", "50", "--json", str(tmp_path / "b.json")]) == 0
    found = BenchResult.load(tmp_path / "b.json")
    assert found.runs[0].backend == "hailo-fake"
    assert any("stand-in" in note for note in found.runs[0].notes)
    capsys.readouterr()
    code = run(["bench", str(hef)])
    assert code == 69, "no binding or no device here"
    assert capsys.readouterr().err.count("hint:") == 1
    assert run(["bench", str(hef), "--backend", "onnx"]) == 64


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("m.tflite", "python -m tf2onnx.convert --tflite"),
        ("saved", "python -m tf2onnx.convert --saved-model"),
        ("m.keras", "format='onnx'"),
        ("m.pt", "torch.onnx.export"),
    ],
)
def test_models_of_other_frameworks_get_the_line_that_converts_them(tmp_path, capsys, name, line):
    path = tmp_path / name
    if name == "saved":
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"")
    else:
        path.write_bytes(b"TFL3")
    words = ["--preprocess", "p.json", "--windows", "W.npy"]
    for verb in (
        ["bundle", "build", "--onnx", str(path), *words, "--out", "b.fsqb"],
        ["export", "--onnx", str(path), *words, "--out", "B"],
        ["check", str(path)],
    ):
        assert run(verb) == 65
        assert line in capsys.readouterr().err
