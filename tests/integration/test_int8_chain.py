"""quantize, parity and bundle build on one BUILD folder whose parts belong together."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fsq_edge.cli.main import run
from fsq_edge_calibration import CalibrationAudit, audit_set, load_calibration_set
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.int8.preview import preview_build
from fsq_edge_compile.int8.suggestions import Alternative, suggestions
from fsq_edge_compile.packing.bundle import build_bundle
from fsq_edge_compile.parity.build_rungs import ladder_of_build
from fsq_edge_compile.parity.bundle_rungs import hef_rung, ladder_of_bundle
from fsq_edge_compile.parity.ladder import Gates
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tail import FsqTail
from fsq_edge_runtime.testing import fake_hailo_platform
from tests.factories.hailo_rig import bundle_with_hefs
from tests.factories.parity_builds import parity_build

GATE = ["--min-code-agreement", "0.9"]  # a network without training has more windows on the boundaries


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = parity_build(tmp_path_factory.mktemp("made") / "build")
    assert run(["quantize", str(build.path), "--no-alternatives", "--quiet", *GATE]) == 0
    return build.path


@pytest.fixture
def build(made: Path, tmp_path: Path) -> BuildFolder:
    shutil.copytree(made, tmp_path / "build")
    return BuildFolder(tmp_path / "build")


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run([*arguments, "--json", "-"])
    return code, json.loads(capsys.readouterr().out)


def spoil(build: BuildFolder, *, audit: bool = True) -> None:
    """Put uniform noise in the place of the calibration frames, as the one public HEF of such a network had it."""
    calibration = load_calibration_set(build.path / "calibration.npz")
    noise = np.random.default_rng(0).uniform(0, 1, calibration.frames_nhwc.shape).astype(np.float32)
    spoilt = replace(calibration, frames_nhwc=noise)
    spoilt.save(build.path / "calibration.npz")
    if audit:
        record = CalibrationAudit.from_json(build.read("calibration.json"))
        assert record.training is not None
        again = audit_set(spoilt, record.training, build.preprocess)
        (build.path / "calibration.json").write_text(again.to_json())


def test_quantize_writes_the_int8_set_of_host_parameters(build: BuildFolder) -> None:
    tail, int8 = (FsqTail.from_bytes(build.read(name)) for name in ("head.npz", "head_int8.npz"))
    assert np.array_equal(tail.table, int8.table)
    assert int8.temperature != tail.temperature
    decision = json.loads(build.read("decision_int8.json"))
    assert 0 < decision["leave"] <= decision["enter"] < 1
    assert decision["smoothing_ms"] == 1500.0


def test_the_preview_report_says_all_that_was_asked_for(
    build: BuildFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "int8.html"
    code, document = told(["quantize", str(build.path), "--method", "mse", "--report", str(page), *GATE], capsys)
    assert code == 0
    report = document["report"]
    assert 0 < report["code_flip_rate"] < 0.1
    assert len(report["flip_rate_by_dimension"]) == 3
    assert report["scores"]["macro_f1_other"]["low"] < report["scores"]["macro_f1_other"]["high"]
    assert {item["name"] for item in document["alternatives"]} == {
        "16-bit output", "method minmax", "method percentile", "method entropy", "half the windows",
    }  # fmt: skip
    assert document["worst_layers"]
    assert "not a measurement on a device" in document["kind"]
    text = page.read_text()
    assert text.count("<svg") >= 5
    assert "preview" in text
    assert "acc_x (z)" in text


def test_every_rung_holds_and_parity_says_so(
    build: BuildFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = told(["parity", str(build.path), "--report", str(tmp_path / "parity.html"), *GATE], capsys)
    assert code == 0
    assert [rung["name"] for rung in document["rungs"]] == ["torch", "onnx", "simplified", "split", "int8-preview"]
    assert all(rung["code_agreement"] == 1.0 for rung in document["rungs"][:4])
    assert 0.9 <= document["rungs"][4]["code_agreement"] < 1.0
    assert "<svg" in (tmp_path / "parity.html").read_text()
    strict, refused = told(["parity", str(build.path), "--min-code-agreement", "0.9999"], capsys)
    assert strict == 1
    assert refused["blame"] == "int8-preview"


def test_an_export_that_changed_a_weight_is_blamed(build: BuildFolder) -> None:
    model = onnx.load(build.path / "model.onnx")
    entry = next(entry for entry in model.graph.initializer if entry.name == "conv1.bias")
    entry.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(entry) + np.float32(0.05), "conv1.bias"))
    onnx.save(model, build.path / "model.onnx")
    assert ladder_of_build(build).blame == "onnx"


def test_an_int8_graph_of_another_export_is_called_so(build: BuildFolder, tmp_path: Path) -> None:
    assert "another export" not in ladder_of_build(build, gates=Gates(0.9999)).cause
    model = onnx.load(build.path / "encoder_int8.onnx")
    entry = next(entry for entry in model.graph.initializer if entry.name.endswith(".weight_quantized"))
    entry.CopyFrom(numpy_helper.from_array(np.flip(numpy_helper.to_array(entry)).copy(), entry.name))
    onnx.save(model, build.path / "encoder_int8.onnx")
    climbed = ladder_of_build(build)
    assert climbed.blame == "int8-preview"
    assert climbed.cause == f"encoder_int8.onnx is from another export: fsq-edge quantize {build.path} makes it again"


def test_a_foreign_head_is_blamed_on_the_split(build: BuildFolder) -> None:
    encoder = onnx.load(build.path / "encoder.onnx")
    entry = next(entry for entry in encoder.graph.initializer if entry.name == "projection.bias")
    entry.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(entry) * np.float32(1.2), "projection.bias"))
    onnx.save(encoder, build.path / "encoder.onnx")
    report = ladder_of_build(build)
    assert report.blame == "split"
    assert "cut, levels or logits table" in report.cause


def test_a_live_forward_takes_the_place_of_the_stored_answers(build: BuildFolder) -> None:
    report = ladder_of_build(build, forward=lambda frames: np.zeros((len(frames), 3), np.float32))
    assert report.blame == "onnx"


def test_bad_calibration_is_seen_by_quantize_and_by_the_ladder(
    build: BuildFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(build)
    code, document = told(["quantize", str(build.path), "--no-alternatives"], capsys)
    assert code == 1
    assert document["report"]["code_flip_rate"] > 0.3
    assert "Audit the calibration set" in document["suggestions"][0]
    report = ladder_of_build(build)
    assert report.blame == "int8-preview"


def test_a_bundle_with_bad_calibration_needs_force_and_says_so(
    build: BuildFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(build)
    target = tmp_path / "dog.fsqb"
    code, document = told(["bundle", "build", str(build.path), "--out", str(target)], capsys)
    assert code == 1
    assert not target.exists()
    assert any("uniform noise" in line for line in document["calibration"])
    assert run(["bundle", "build", str(build.path), "--out", str(target), "--force", "a trial", "--quiet"]) == 0
    assert any("a trial" in line for line in Bundle.open(target).manifest.forced)
    assert run(["bundle", "build", str(build.path), "--out", str(target), "--force", "--quiet"]) == 0
    assert any("no reason given" in line for line in Bundle.open(target).manifest.forced)


def test_an_int8_graph_of_bad_calibration_is_refused_although_the_set_on_disk_is_good(
    build: BuildFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = build.read("calibration.npz")
    spoil(build, audit=False)
    assert run(["quantize", str(build.path), "--no-alternatives", "--quiet"]) == 1
    (build.path / "calibration.npz").write_bytes(good)
    code, document = told(["bundle", "build", str(build.path), "--out", str(tmp_path / "dog.fsqb")], capsys)
    assert code == 1
    assert document["calibration"] == []
    assert document["parity"]["blame"] == "int8-preview"


@pytest.mark.parametrize(
    ("remove", "text"),
    [("calibration.npz", "calibration.npz, which it was made with"), ("calibration.json", "never audited")],
)
def test_an_int8_graph_without_its_audited_set_is_refused(
    build: BuildFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], remove: str, text: str
) -> None:
    (build.path / remove).unlink()
    code, document = told(["bundle", "build", str(build.path), "--out", str(tmp_path / "dog.fsqb")], capsys)
    assert code == 1
    assert text in document["calibration"][0]


def test_the_audit_must_be_of_the_set_that_is_there(
    build: BuildFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(build, audit=False)
    code, document = told(["bundle", "build", str(build.path), "--out", str(tmp_path / "dog.fsqb")], capsys)
    assert code == 1
    assert "describes another set" in document["calibration"][0]


def test_a_good_build_becomes_a_bundle_that_carries_its_ladder(
    build: BuildFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "dog.fsqb"
    assert run(["bundle", "build", str(build.path), "--out", str(target), "--quiet", *GATE]) == 0
    bundle = Bundle.open(target)
    assert bundle.manifest.forced == ()
    assert bundle.manifest.parity["passed"] is True
    assert {"encoder-int8", "head-int8", "decision-int8", "calibration"} <= {f.role for f in bundle.manifest.files}
    code, document = told(["parity", str(target), *GATE], capsys)
    assert code == 0
    assert [rung["name"] for rung in document["rungs"]] == ["stored", "split", "int8-preview"]
    reference = build.reference()
    np.savez(tmp_path / "w.npz", windows=reference.windows, labels=reference.labels, subjects=reference.subjects)
    code, document = told(["parity", str(target), "--windows", str(tmp_path / "w.npz"), *GATE], capsys)
    assert code == 0
    assert document["n_windows"] == len(reference.labels)


def test_windows_for_a_bundle_need_labels_and_a_sound_file(build: BuildFolder, tmp_path: Path) -> None:
    target = tmp_path / "dog.fsqb"
    assert run(["bundle", "build", str(build.path), "--out", str(target), "--quiet", *GATE]) == 0
    with pytest.raises(DataError, match="need their labels"):
        ladder_of_bundle(Bundle.open(target), build.reference().windows)
    np.savez(tmp_path / "w.npz", windows=build.reference().windows)
    assert run(["parity", str(target), "--windows", str(tmp_path / "w.npz")]) == 65
    np.savez_compressed(tmp_path / "z.npz", windows=np.zeros((1, 6, 100)), labels=np.zeros(1))
    assert run(["parity", str(target), "--windows", str(tmp_path / "z.npz")]) == 65
    assert run(["parity", str(tmp_path / "none.fsqb")]) == 66


def test_the_compilers_emulator_adds_three_rungs(build: BuildFolder) -> None:
    t = build.reference().t
    rows = np.arange(0, len(t), 2)
    folder = build.path / "compiled" / "hailo8l"
    folder.mkdir(parents=True)
    bad = np.random.default_rng(0).uniform(-1, 1, t[rows].shape).astype(np.float32)
    np.savez(folder / "emulator.npz", reference_index=rows, native=t[rows], fp_optimized=t[rows], quantized=bad)
    report = ladder_of_build(build, gates=Gates(0.9, 5.0))
    assert [rung.name for rung in report.rungs[5:]] == ["dfc-native", "dfc-fp-optimized", "dfc-quantized"]
    assert report.rungs[5].n_windows == len(rows)
    assert report.rungs[5].code_agreement == 1.0
    assert report.blame == "dfc-quantized"
    assert "calibration set" in report.cause


def test_calibration_of_other_preprocessing_is_refused(build: BuildFolder) -> None:
    other = build.preprocess.model_copy(update={"hop_samples": 25})
    (build.path / "preprocess.json").write_text(other.to_json())
    with pytest.raises(DataError, match="other preprocessing"):
        preview_build(build, load_calibration_set(build.path / "calibration.npz"))


def test_suggestions_are_measured_and_never_within_chance(build: BuildFolder) -> None:
    preview = preview_build(
        build, load_calibration_set(build.path / "calibration.npz").first(64), try_alternatives=False
    )
    report, errors = preview.report, preview.errors
    flips, n = report.code_flip_rate, report.n_windows
    same = Alternative("method mse", "method", flips - 0.2 / n, 0.0)
    better = Alternative("16-bit output", "output", 0.0, 0.0)
    worse = Alternative("half the windows", "data", flips + 0.1, 0.0)
    assert suggestions(report, errors, [same]) == ()
    lines = suggestions(report, errors, [same, better, worse])
    assert "--sixteen-bit-output" in lines[0]
    assert "more may help" in lines[1]


def test_a_bare_graph_gets_its_layers_only(
    build: BuildFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, calib = str(build.path / "encoder.onnx"), str(build.path / "calibration.npz")
    target = tmp_path / "small.onnx"
    code, document = told(["quantize", encoder, "--calib", calib, "--windows", "64", "--out", str(target)], capsys)
    assert code == 0
    assert target.is_file()
    assert len(document["layers"]) == 8
    assert run(["quantize", encoder]) == 64
    assert run(["quantize", encoder, "--calib", calib, "--report", str(tmp_path / "r.html")]) == 64
    assert run(["quantize", str(build.path / "model.onnx"), "--calib", calib]) == 65
    assert run(["quantize", str(tmp_path / "none.onnx"), "--calib", calib]) == 66
    assert run(["quantize", str(build.path), "--out", str(target)]) == 64


def test_the_hef_rung_is_skipped_without_a_device_and_runs_on_a_fake_one(build: BuildFolder) -> None:
    bundle = bundle_with_hefs("hailo8l", bundle=build_bundle(build))
    absent = ladder_of_bundle(bundle, extra=[hef_rung(bundle)]).rungs[-1]
    assert (absent.name, absent.code_agreement) == ("hef", None)
    assert absent.skipped
    windows = build.reference()
    fake = fake_hailo_platform(4, graph=bundle.read("encoder"), quantized=True)
    report = ladder_of_bundle(
        bundle, windows.windows, windows.labels, gates=Gates(0.9, 5.0), extra=[hef_rung(bundle, fake)]
    )
    assert report.passed
    assert 0.9 < (report.rungs[-1].code_agreement or 0.0) <= 1.0
