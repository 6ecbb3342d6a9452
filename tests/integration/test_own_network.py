"""From an ONNX file that was trained elsewhere to a streamed, benched and tuned bundle, by commands alone."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import Dataset, cut_windows, open_dataset
from fsq_edge_compile.foreign.network_input import NetworkInput
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import with_files
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.testing import TensorSpec, fake_hailo_platform, hef_bytes
from tests.factories.foreign_networks import train_and_export

FAMILIES = ("fcn", "resnet", "tcn", "keras-like", "labels", "conv-lstm", "autoencoder")
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


@pytest.fixture(scope="module")
def built(watch, tmp_path_factory):
    """Give each family's ONNX file and bundle, made by the commands when it is first asked for."""
    folder, dataset, windows, labels, _ = watch
    places: dict[str, tuple[Path, Path]] = {}

    def of(family: str) -> tuple[Path, Path]:
        if family not in places:
            place = tmp_path_factory.mktemp(family)
            model, out = place / f"{family}.onnx", place / "b.fsqb"
            train_and_export(family, normalised(folder, windows), labels, len(dataset.classes), model)
            words = ["bundle", "build", *network_words(folder, dataset, family, model, place), "--out", str(out)]
            assert run([*words, "--min-code-agreement", "0.8"]) == 0
            places[family] = model, out
        return places[family]

    return of


def network_words(folder: Path, dataset: Dataset, family: str, model: Path, place: Path) -> list[str]:
    """Return the options of a foreign network that ``bundle build`` and ``export`` share."""
    settings = json.loads((folder / "p.json").read_text())
    settings["layout"] = ["T", "C"] if family == "keras-like" else ["C", "T"]
    (place / "p.json").write_text(json.dumps(settings))
    words = ["--onnx", str(model), "--preprocess", str(place / "p.json"), "--windows", str(folder / "W.npz"), "--quiet"]
    return words if family == "autoencoder" else [*words, "--classes", ",".join(dataset.classes)]


@pytest.mark.parametrize(
    ("family", "backend"), [*((family, "onnx") for family in FAMILIES), ("conv-lstm", "hailo"), ("labels", "hailo")]
)
def test_a_foreign_network_streams_the_labels_of_its_own_file(watch, built, family, backend, tmp_path, monkeypatch):
    folder, dataset, _, _, long = watch
    model, out = built(family)
    bundle, lines = Bundle.open(out), tmp_path / "d.jsonl"
    if backend == "hailo":
        out = on_stand_in(bundle, tmp_path, monkeypatch)
    stream = ["run", str(out), "--source", f"npz:{folder / 'stream.npz'}", "--sink", f"jsonl:{lines}", "--quiet"]
    assert run([*stream, "--backend", backend]) == 0
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    decided = [record for record in records if record["type"] == "decision"]
    assert len(decided) == (len(long) - 100) // 50 + 1
    assert all(record["code"] is None for record in decided)
    assert {record["backend"] for record in decided} == {"onnx" if backend == "onnx" else "hailo-fake"}

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    assert bundle.has("host") == (family == "conv-lstm")
    raw = np.stack([long[at : at + 100].T for at in (round(r["t_start"] * dataset.sample_rate_hz) for r in decided)])
    with bundle.open_session(backend="onnx") as opened:
        found = opened.predict(raw)
    for row, record in enumerate(decided):
        x = normalised(folder, raw[row])[None]
        x = np.ascontiguousarray(x.transpose(0, 2, 1)) if family == "keras-like" else x
        (y,) = session.run(None, {"x": x})
        assert ("host" in record["latency_us"]) == (family == "conv-lstm")
        if family == "autoencoder":
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


def on_stand_in(bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a bundle a HEF, and put the stand-in device in the place of HailoRT's binding."""
    frames = Preprocessor(bundle.preprocess).frames(bundle.selftest.windows)
    t = OnnxBackend(bundle.read("encoder")).infer_batch(frames)
    channels, height, width = bundle.preprocess.frame_shape
    hef = hef_bytes(
        arch="hailo8l",
        inputs=[TensorSpec("input_layer1", (height, width, channels), -30.0, 30.0)],
        outputs=[TensorSpec("out", (bundle.device_width,), float(t.min()) - 50, float(t.max()) + 50)],
    )
    fake = fake_hailo_platform(4, graph=bundle.read("encoder"))
    monkeypatch.setitem(sys.modules, "hailo_platform", fake)
    path = folder / "with_hef.fsqb"
    with_files(bundle, {("hef", "hailo8l"): ("hef/hailo8l.hef", hef)}).save(path)
    return path


@pytest.fixture(scope="module")
def recordings(watch):
    """Give continuous recordings of three subjects as they are, and of one recording with bursts marked as anomaly."""
    folder, dataset, *_ = watch
    channels = [{"name": channel.name, "unit": channel.unit} for channel in dataset.channels]
    chosen = [one for one in dataset.recordings if one.subject in dataset.subjects[:4]]
    write(
        folder / "moves",
        channels,
        dataset,
        dataset.classes,
        [(r.subject, r.samples[:600], r.labels[:600]) for r in chosen],
    )
    draw, bursts = np.random.default_rng(0), []
    for recording in chosen[::4]:
        samples, labels = recording.samples[:1500].copy(), np.zeros(min(1500, len(recording)), np.int16)
        for start in range(300, len(samples) - 200, 450):
            samples[start : start + 150] += draw.normal(0, 8, (150, samples.shape[1])).astype(np.float32)
            labels[start : start + 150] = 1
        bursts.append((recording.subject, samples, labels))
    write(folder / "bursts", channels, dataset, ("normal", "anomaly"), bursts)
    return folder


def write(place: Path, channels: list[dict[str, str]], dataset: Dataset, classes: Sequence[str], parts: list) -> None:
    """Write a dataset folder."""
    place.mkdir()
    listed = []
    for number, (subject, samples, labels) in enumerate(parts):
        np.savez(place / f"{number}.npz", samples=samples, labels=labels.astype(np.int16))
        listed.append({"file": f"{number}.npz", "subject": subject, "session": str(number)})
    document = {"schema_version": 1, "name": place.name, "channels": channels, "classes": list(classes)}
    document |= {"sample_rate_hz": dataset.sample_rate_hz, "licence": "", "source": "", "recordings": listed}
    (place / "dataset.json").write_text(json.dumps(document))


@pytest.mark.parametrize("family", ["fcn", "resnet", "tcn", "labels", "autoencoder"])
def test_five_families_are_benched_compared_and_tuned_by_commands(built, recordings, family, tmp_path, capsys):
    _, bundle = built(family)
    words = ["bench", str(bundle), "--backend", "onnx,onnx-int8,fake", "--decisions", "40", "--quiet"]
    assert run([*words, "--json", str(tmp_path / "bench.json")]) == 0
    runs = json.loads((tmp_path / "bench.json").read_text())["runs"]
    assert [one["backend"] for one in runs] == ["onnx", "onnx-int8", "hailo-fake"]
    assert run(["parity", str(bundle), "--json", str(tmp_path / "parity.json"), "--quiet"]) in (0, 1)
    rungs = json.loads((tmp_path / "parity.json").read_text())["rungs"]
    assert [rung["name"] for rung in rungs] == ["stored", "split", "int8-preview"]
    assert rungs[2]["scores"]["label_agreement"]["value"] > 0.8
    source = f"folder:{recordings / ('bursts' if family == 'autoencoder' else 'moves')}"
    tuned = ["tune", str(bundle), "--recordings", source, "--max-delay", "3", "--keep", "1"]
    assert run([*tuned, "--out", str(tmp_path / "t.fsqb"), "--json", str(tmp_path / "t.json"), "--quiet"]) in (0, 2)
    again = Bundle.open(tmp_path / "t.fsqb")
    assert again.events is not None
    assert again.decision.smoothing != "median" or family != "labels"
    assert run(["bundle", "verify", str(tmp_path / "t.fsqb"), "--quiet"]) == 0


@pytest.mark.parametrize("family", ["conv-lstm", "labels", "fcn", "autoencoder"])
def test_step_by_step_gives_the_bundle_of_one_go(watch, built, family, tmp_path):
    folder, dataset, *_ = watch
    model, whole = built(family)
    build, out = tmp_path / "BUILD", tmp_path / "b.fsqb"
    assert run(["export", *network_words(folder, dataset, family, model, tmp_path), "--out", str(build)]) == 0
    assert run(["calibrate", str(folder / "W.npz"), "--out", str(build), "--quiet"]) == 0
    assert run(["quantize", str(build), "--min-code-agreement", "0.8", "--windows", "1024", "--quiet"]) == 0
    assert run(["parity", str(build), "--min-code-agreement", "0.8", "--max-drop", "100", "--quiet"]) == 0
    plan = ["compile", str(build), "--arch", "hailo8l", "--plan", str(tmp_path / "plan"), "--quiet"]
    assert run(plan) == 0
    end = json.loads((tmp_path / "plan" / "plan.json").read_text())["end_nodes"]
    assert not any(name.startswith("fsq_row") for name in end)
    words = ["bundle", "build", str(build), "--min-code-agreement", "0.8", "--max-drop", "100", "--out", str(out)]
    assert run([*words, "--quiet"]) == 0
    one, other = Bundle.open(whole), Bundle.open(out)
    for role in ("preprocess", "encoder", "head", "decision", "fingerprint", "encoder-int8"):
        assert one.read(role) == other.read(role), role
    assert one.has("head-int8") == other.has("head-int8") == (family == "autoencoder")
    assert one.has("host") == other.has("host") == (family == "conv-lstm")


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


@pytest.mark.parametrize("kind", ["given", "none", "minmax", "window-zscore", "z-copies", "fitted"])
def test_a_preprocess_file_is_made_for_every_layout_and_normalisation(watch, tmp_path, kind):
    folder, _, windows, *_ = watch
    words = ["preprocess", "fit", "--windows", str(folder / "W.npz"), "--layout", "1,T,C", "--normalization", kind]
    assert run([*words, "--out", str(tmp_path / "p.json"), "--quiet"]) == 0
    given = NetworkInput.read(tmp_path / "p.json")
    assert (given.layout, given.normalization.kind) == (("1", "T", "C"), kind)
    config = given.config(windows)
    assert config.graph_channels == windows.shape[1] * (2 if kind == "z-copies" else 1)
    if kind == "minmax":
        np.testing.assert_allclose(config.mean, windows.min(axis=(0, 2)))
    assert run([*words[:-3], "T", "--out", str(tmp_path / "q.json")]) == 65
    assert not (tmp_path / "q.json").exists()


def test_windows_are_cut_from_a_data_source(watch, built, recordings, tmp_path, capsys):
    folder, dataset, *_ = watch
    model, _ = built("resnet")
    words = network_words(folder, dataset, "resnet", model, tmp_path)
    words[words.index(str(folder / "W.npz"))] = f"folder:{recordings / 'moves'}"
    assert run(["bundle", "build", *words, "--out", str(tmp_path / "b.fsqb"), "--min-code-agreement", "0.8"]) == 0
    assert Bundle.open(tmp_path / "b.fsqb").manifest.provenance["windows"] > 100
    settings = json.loads((tmp_path / "p.json").read_text())
    settings["channels"][0]["name"] = "nose_x"
    (tmp_path / "p.json").write_text(json.dumps(settings))
    capsys.readouterr()
    assert run(["bundle", "build", *words, "--out", str(tmp_path / "c.fsqb")]) == 65
    assert "has no channel 'nose_x'" in capsys.readouterr().err
    settings["channels"][0]["name"] = "acc_x"
    (tmp_path / "p.json").write_text(json.dumps({**settings, "sample_rate_hz": 25.0}))
    assert run(["bundle", "build", *words, "--out", str(tmp_path / "c.fsqb")]) == 65
    assert "50 Hz, the preprocess file 25 Hz" in capsys.readouterr().err
    assert not (tmp_path / "c.fsqb").exists()
