"""From an ONNX file that was trained elsewhere to a streamed, benched and tuned bundle, by commands alone."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import cut_windows, open_dataset
from fsq_edge_runtime.bundle.bundle import Bundle
from tests.factories.foreign_networks import train_and_export

FAMILIES = ("plain", "fcn", "resnet", "tcn", "keras-like", "labels", "conv-lstm", "autoencoder")
SHARES = ("fcn", "labels")  # their last node makes probabilities


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("own")
    dataset = open_dataset("watch")
    index = cut_windows(dataset, 100, 50)
    rows = np.arange(0, len(index), max(1, len(index) // 300))[:300]
    windows = np.stack(
        [dataset.recordings[index.recording[row]].samples[index.start[row] : index.start[row] + 100].T for row in rows]
    ).astype(np.float32)
    np.savez(folder / "W.npz", windows=windows, labels=index.label[rows].astype(np.int64))
    long = dataset.recordings[0].samples[:3000]
    np.savez(folder / "stream.npz", samples=long, timestamps=np.arange(len(long)) / dataset.sample_rate_hz)
    names = ",".join(f"{channel.name}:{channel.unit}" for channel in dataset.channels)
    words = ["preprocess", "fit", "--windows", str(folder / "W.npz"), "--rate", str(dataset.sample_rate_hz)]
    assert run([*words, "--channels", names, "--out", str(folder / "p.json"), "--quiet"]) == 0
    return folder, dataset, windows, index.label[rows].astype(np.int64), long


def normalised(folder: Path, windows: np.ndarray) -> np.ndarray:
    rule = json.loads((folder / "p.json").read_text())["normalization"]
    mean, std = (np.asarray(rule[key], np.float64)[:, None] for key in ("mean", "std"))
    return ((windows - mean) / std).astype(np.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_foreign_network_streams_the_labels_of_its_own_file(watch, family, tmp_path):
    folder, dataset, windows, labels, long = watch
    model, out, lines = tmp_path / f"{family}.onnx", tmp_path / "b.fsqb", tmp_path / "d.jsonl"
    train_and_export(family, normalised(folder, windows), labels, len(dataset.classes), model)
    settings = json.loads((folder / "p.json").read_text())
    settings["layout"] = ["T", "C"] if family == "keras-like" else ["C", "T"]
    (tmp_path / "p.json").write_text(json.dumps(settings))
    words = ["bundle", "build", "--onnx", str(model), "--preprocess", str(tmp_path / "p.json"), "--quiet"]
    words += ["--windows", str(folder / "W.npz"), "--out", str(out), "--min-code-agreement", "0.8"]
    anomaly = family == "autoencoder"
    assert run([*words, *([] if anomaly else ["--classes", ",".join(dataset.classes)])]) == 0
    stream = ["run", str(out), "--source", f"npz:{folder / 'stream.npz'}", "--sink", f"jsonl:{lines}", "--quiet"]
    assert run([*stream, "--backend", "onnx"]) == 0
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    decided = [record for record in records if record["type"] == "decision"]
    assert len(decided) == (len(long) - 100) // 50 + 1
    assert all(record["code"] is None for record in decided)

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    bundle = Bundle.open(out)
    assert bundle.has("host") == (family == "conv-lstm")
    raw = np.stack([long[at : at + 100].T for at in (round(r["t_start"] * dataset.sample_rate_hz) for r in decided)])
    with bundle.open_session(backend="onnx") as opened:
        found = opened.predict(raw)
    for row, record in enumerate(decided):
        x = normalised(folder, raw[row])[None]
        x = np.ascontiguousarray(x.transpose(0, 2, 1)) if family == "keras-like" else x
        (y,) = session.run(None, {"x": x})
        assert ("host" in record["latency_us"]) == (family == "conv-lstm")
        if anomaly:
            score = float(((x - y) ** 2).mean())
            np.testing.assert_allclose(found.t[row, 0], score, rtol=1e-4, atol=1e-4)
            assert record["raw_label"] == ("anomaly" if score > bundle.tail.threshold else "normal")
            continue
        assert record["raw_label"] == dataset.classes[int(y.argmax())]
        shares = y[0] if family in SHARES else np.exp(y[0] - y[0].max()) / np.exp(y[0] - y[0].max()).sum()
        np.testing.assert_allclose(found.probabilities[row], shares, atol=1e-4)
        if family == "labels":
            assert record["labels"] == [name for name, share in zip(dataset.classes, y[0], strict=True) if share > 0.5]
        else:
            assert "labels" not in record


def test_layouts_and_classes_that_do_not_fit_are_named(watch, tmp_path, capfd):
    folder, dataset, windows, labels, _ = watch
    model = tmp_path / "k.onnx"
    train_and_export("keras-like", normalised(folder, windows), labels, len(dataset.classes), model)
    words = ["bundle", "build", "--onnx", str(model), "--preprocess", str(folder / "p.json")]
    words += ["--windows", str(folder / "W.npz"), "--out", str(tmp_path / "b.fsqb")]
    assert run([*words, "--classes", ",".join(dataset.classes)]) == 65
    assert "write layout: [T, C]" in capfd.readouterr().err
    settings = json.loads((folder / "p.json").read_text())
    (tmp_path / "p.json").write_text(json.dumps({**settings, "layout": ["T", "C"]}))
    words[5] = str(tmp_path / "p.json")
    assert run([*words, "--classes", "a,b"]) == 65
    assert "2 class names for a network with 7 outputs" in capfd.readouterr().err
    assert run(words[:4] + words[-2:]) == 64
    assert run([*words[:3], str(tmp_path / "none.onnx"), *words[4:]]) == 66
    assert not (tmp_path / "b.fsqb").exists()
