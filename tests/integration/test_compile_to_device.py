"""The whole way of a HEF: plan, compiler (stand-in), add-hef, install, run on the device (fake), as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge_compile.packing.bundle import build_bundle
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.testing import write_fake_package
from tests.factories.build_folders import random_build
from tests.factories.bundles import motion
from tests.factories.hailo_rig import forget_binding

STANDINS = Path(__file__).parents[1] / "standins"


def test_plan_compile_add_install_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build = random_build(tmp_path / "build", windows=64)
    bundle, plan = tmp_path / "dog.fsqb", tmp_path / "plan"
    build_bundle(build).save(bundle)

    assert run(["compile", str(build.path), "--arch", "hailo8l", "--plan", str(plan), "--quiet"]) == 0
    roots = [STANDINS, *(Path(path) for path in sys.path if path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, roots))}
    subprocess.run([sys.executable, "compile.py"], cwd=plan, env=environment, check=True, capture_output=True)
    (hef,) = plan.glob("*.hef")

    assert run(["hef", "inspect", str(hef), "--bundle", str(bundle), "--device", "hailo8l", "--hailort", "4.22.0"]) == 0
    assert run(["bundle", "add-hef", str(bundle), str(hef)]) == 0
    opened = Bundle.open(bundle)
    assert opened.hef_architectures == ("hailo8l",)
    assert opened.manifest.forced == ()
    assert json.loads(hef.with_name(hef.name + ".json").read_text())["hef_sha256"] == opened.manifest.files[-1].sha256

    np.savez(tmp_path / "walk.npz", samples=motion(400, seed=3))
    capsys.readouterr()
    _plug_in(opened, tmp_path, monkeypatch)
    assert run(["bundle", "install", str(bundle), str(tmp_path / "dest"), "--backend", "hailo", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["selftest"]["backend"] == "hailo-fake"
    assert report["selftest"]["label_agreement"] >= 0.8
    words = ["--source", f"npz:{tmp_path / 'walk.npz'}", "--backend", "hailo"]
    assert run(["run", str(tmp_path / "dest"), *words]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    decisions = [line for line in lines if line["type"] == "decision"]
    assert len(decisions) == 7
    assert {line["backend"] for line in decisions} == {"hailo-fake"}
    assert run(["run", str(bundle), "--source", f"npz:{tmp_path / 'walk.npz'}", "--backend", "onnx"]) == 0
    reference = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    labels = [line["raw_label"] for line in reference if line["type"] == "decision"]
    agree = np.mean([line["raw_label"] == label for line, label in zip(decisions, labels, strict=True)])
    assert agree >= 0.7, "eight bits move a code now and then, not most of them"


def _plug_in(bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Put the fake binding, quantized like a chip, where every process that is started finds it."""
    package = write_fake_package(folder / "binding", graph=bundle.read("encoder"), quantized=True, **options)
    forget_binding(monkeypatch)
    monkeypatch.syspath_prepend(str(package.folder))
    monkeypatch.setenv("PYTHONPATH", str(package.folder), prepend=os.pathsep)


def test_a_hef_calibrated_with_noise_gets_no_further_than_add_hef(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And were it forced, the backend's own parity check on the self-test windows refuses to run it."""
    build = random_build(tmp_path / "build", windows=64)
    bundle = tmp_path / "dog.fsqb"
    build_bundle(build).save(bundle)
    roots = [STANDINS, *(Path(path) for path in sys.path if path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, roots)))
    monkeypatch.setenv("STANDIN_DFC_FAULT", "noise")
    assert run(["compile", str(build.path), "--arch", "hailo8", "--dfc-python", sys.executable]) == 1
    assert "calibrated with uniform noise" in capsys.readouterr().out
    (hef,) = (build.path / "compiled" / "hailo8").glob("*.hef")
    before = bundle.read_bytes()
    assert run(["bundle", "add-hef", str(bundle), str(hef)]) == 1
    assert bundle.read_bytes() == before
    assert run(["bundle", "add-hef", str(bundle), str(hef), "--force", "to see it fail"]) == 0
    opened = Bundle.open(bundle)
    assert opened.manifest.forced == ("add-hef hailo8 in spite of input-limits, input-noise: to see it fail",)
    capsys.readouterr()
    _plug_in(opened, tmp_path, monkeypatch, devices=["hailo8"])
    assert run(["bundle", "install", str(bundle), str(tmp_path / "dest"), "--backend", "hailo"]) == 69
    assert "0 of 16 self-test windows" in capsys.readouterr().err
    assert not (tmp_path / "dest").exists()


def test_what_was_forced_before_compiling_stands_in_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record beside the HEF carries it; a record of another file is not believed."""
    build = random_build(tmp_path / "build", windows=64)
    bundle = tmp_path / "dog.fsqb"
    build_bundle(build).save(bundle)
    roots = [STANDINS, *(Path(path) for path in sys.path if path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, roots)))
    (build.path / "calibration.json").unlink()  # never audited
    words = ["compile", str(build.path), "--arch", "hailo8", "--dfc-python", sys.executable]
    assert run(words) == 1
    assert run([*words, "--force", "the audit is lost"]) == 0
    (hef,) = (build.path / "compiled" / "hailo8").glob("*.hef")
    assert run(["bundle", "add-hef", str(bundle), str(hef), "--out", str(tmp_path / "new.fsqb")]) == 0
    forced = Bundle.open(tmp_path / "new.fsqb").manifest.forced
    assert forced == ("compile hailo8: the calibration audit refuses the set: the audit is lost",)
    record = hef.with_name(hef.name + ".json")
    value = json.loads(record.read_text())
    record.write_text(json.dumps({**value, "hef_sha256": "0" * 64}))
    assert run(["bundle", "add-hef", str(bundle), str(hef)]) == 0
    assert Bundle.open(bundle).manifest.forced == ()
