"""Plans and the driver, against the stand-in compiler of tests/standins. No real DFC was available."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge_calibration import CalibrationSet, load_calibration_set
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.checker.targets import target_for
from fsq_edge_compile.dfc import plan_compile
from fsq_edge_compile.dfc.child import TimeLimitError
from fsq_edge_compile.dfc.driver import Compilation, docker_command, python_command, run_plan
from fsq_edge_compile.dfc.emulator import read_emulator
from fsq_edge_compile.dfc.plan import Plan, PlanOptions, network_name, write_plan
from fsq_edge_compile.packing.gate import check_gate
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.errors import DataError, UnavailableError, UsageError
from fsq_edge_runtime.hef import compare_hef
from tests.factories.build_folders import random_build
from tests.factories.bundles import random_bundle

STANDINS = Path(__file__).parents[1] / "standins"
EVENTS = [("begin", "end"), ("parse", "begin"), ("parse", "end"), ("optimise", "begin"), ("compile", "end")]


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-in on the child's path, with ours: it is made of our test writer."""
    roots = [STANDINS, *(Path(path) for path in sys.path if path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, roots)))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    return random_build(tmp_path_factory.mktemp("build"), windows=96)


def planned(build: BuildFolder, folder: Path, arch: str = "hailo8l", **options: Any) -> Plan:
    return write_plan(build, target_for(arch), folder, PlanOptions(check="full", **options))


def compiled(folder: Path, **options: Any) -> Compilation:
    return run_plan(folder, python_command(sys.executable), **{"time_limit_s": 60.0, **options})


def test_a_plan_is_complete_and_the_same_every_time(build: BuildFolder, tmp_path: Path) -> None:
    first = planned(build, tmp_path / "a")
    planned(build, tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == [
        "README.md",
        "SHA256SUMS",
        "calib.npy",
        "compile.py",
        "compile.sh",
        "encoder.onnx",
        "model.alls",
        "plan.json",
        "windows.npz",
    ]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "a", check=False)
    assert done.returncode == 0
    assert subprocess.run(["bash", "-n", "compile.sh"], cwd=tmp_path / "a", check=False).returncode == 0
    assert os.access(tmp_path / "a" / "compile.sh", os.X_OK)
    assert (first.end_nodes, first.start_nodes) == (("tanh",), ("input",))


def test_the_calibration_file_is_nhwc_float32_and_the_script_asks_for_no_more(
    build: BuildFolder, tmp_path: Path
) -> None:
    planned(build, tmp_path)
    frames = np.load(tmp_path / "calib.npy", allow_pickle=False)
    assert (frames.shape, frames.dtype) == ((96, 2, 50, 12), np.float32)
    assert "calibset_size=96" in (tmp_path / "model.alls").read_text()


def test_the_commands_are_the_documented_ones(build: BuildFolder, tmp_path: Path) -> None:
    plan = planned(build, tmp_path, "hailo8")
    shell = " ".join((tmp_path / "compile.sh").read_text().replace("\\\n", " ").split())
    name = plan.network
    assert f"hailo parser onnx encoder.onnx --net-name {name} --hw-arch hailo8 --start-node-names input" in shell
    assert f"--end-node-names tanh --har-path {name}.har -y" in shell
    assert f"hailo optimize {name}.har --hw-arch hailo8 --calib-set-path calib.npy --model-script model.alls" in shell
    assert f"hailo compiler {name}_optimized.har --hw-arch hailo8" in shell


@pytest.mark.parametrize(
    ("arch", "pairing", "package"),
    [("hailo8l", "DFC 3.32 with 4.22", "hailo-all"), ("hailo10h", "5.2 with 5.2", "h10")],
)
def test_the_readme_names_the_version_pairing(
    arch: str, pairing: str, package: str, build: BuildFolder, tmp_path: Path
) -> None:
    planned(build, tmp_path, arch)
    text = (tmp_path / "README.md").read_text()
    assert pairing in text
    assert package in text


@pytest.mark.parametrize("name", ["dog", "my-model.v1", "9 lives", "ü", "", "a" * 200])
def test_network_names_are_plain_scope_names(name: str) -> None:
    """Case F53: "Invalid scope name"."""
    bundle = random_bundle()
    found = network_name(name, bundle.preprocess.digest(), b"x")
    assert found.isascii()
    assert found.isidentifier()
    assert len(found) <= 128
    assert bundle.preprocess.digest()[:8] in found


def test_compile_py_runs_on_python_3_10_and_imports_nothing_of_ours() -> None:
    source = Path(plan_compile.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 10))
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    assert imported <= set(sys.stdlib_module_names) | {"numpy"}
    assert "fsq_edge" not in source.replace("@fsq-edge", "")


def test_compile_py_on_a_real_python_3_10(build: BuildFolder, tmp_path: Path) -> None:
    interpreter = shutil.which("python3.10")
    if not interpreter or subprocess.run([interpreter, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("no python3.10 on this machine")
    planned(build, tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([interpreter, "compile.py"], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 69, done.stderr
    assert json.loads((tmp_path / "result.json").read_text())["error"]["class"] == "ModuleNotFoundError"


@pytest.mark.usefixtures("standin")
def test_a_plan_becomes_a_hef_that_fits_the_bundle(build: BuildFolder, tmp_path: Path) -> None:
    plan = planned(build, tmp_path)
    events: list[dict[str, Any]] = []
    lines: list[str] = []
    done = compiled(tmp_path, on_event=events.append, on_line=lines.append)
    assert done.hef is not None
    assert done.hef.network_name == plan.network
    assert done.result.seconds.keys() == {"parse", "optimise", "compile"}
    assert {(event["stage"], event["state"]) for event in events} >= set(EVENTS)
    assert "[info] Translation completed" in lines
    assert (tmp_path / "dfc.log").read_text().count("@fsq-edge") == len(events)
    hars = sorted(path.name for path in tmp_path.glob("*.har"))
    assert hars == [f"{plan.network}.har", f"{plan.network}_compiled.har", f"{plan.network}_optimized.har"]
    bundle = random_bundle()
    assert [finding for finding in compare_hef(done.hef, bundle) if finding.severity != "info"] == []
    record = json.loads(done.hef_path.with_suffix(".hef.json").read_text())
    assert (record["hef_sha256"], record["preprocess_sha256"]) == (done.hef.sha256, bundle.preprocess.digest())


@pytest.mark.usefixtures("standin")
def test_emulator_outputs_are_rungs_for_the_parity_ladder(build: BuildFolder, tmp_path: Path) -> None:
    planned(build, tmp_path)
    done = compiled(tmp_path)
    assert done.emulator_path is not None
    outputs = read_emulator(done.emulator_path)
    frames = np.load(tmp_path / "windows.npz")["frames_nhwc"]
    expected = OnnxBackend(build.read("encoder.onnx")).infer_batch(frames.transpose(0, 3, 1, 2))
    assert outputs.reference_index.tolist() == list(range(96))
    np.testing.assert_allclose(outputs.t["native"], expected, atol=1e-5)
    assert 0 < np.abs(outputs.t["quantized"] - expected).max() < 0.01


@pytest.mark.usefixtures("standin")
def test_a_refused_graph_is_matched_with_the_check(tmp_path: Path) -> None:
    build = random_build(tmp_path / "build", windows=64, encoder=encoder_with_round())
    gate = check_gate(build, "hailo8l", force="to see what the compiler says")
    assert gate.report.verdict == "cut"
    planned(build, tmp_path / "plan", forced=gate.forced)
    done = compiled(tmp_path / "plan", report=gate.report)
    assert (done.hef, done.result.status, done.result.stage) == (None, "refused", "parse")
    assert [(one.node, one.foreseen) for one in done.refusals] == [("snap", True)]
    assert "recommends the end nodes that the check found: tanh" in done.end_nodes
    assert json.loads((tmp_path / "plan" / "plan.json").read_text())["forced"] == [
        "check hailo8l says cut: to see what the compiler says"
    ]


def encoder_with_round() -> bytes:
    import onnx
    from onnx import helper

    model = onnx.load_from_string(random_bundle().read("encoder"))
    model.graph.node[-1].output[0] = "s"
    model.graph.node.append(helper.make_node("Round", ["s"], ["t"], "snap"))
    serialised: bytes = model.SerializeToString()
    return serialised


@pytest.mark.usefixtures("standin")
def test_an_allocation_failure_names_our_rule(
    build: BuildFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_DFC_FAULT", "allocation")
    planned(build, tmp_path)
    done = compiled(tmp_path)
    assert (done.result.status, done.result.stage) == ("refused", "compile")
    assert done.refusals[0].kind == "BackendAllocatorException"
    assert done.refusals[0].rule


@pytest.mark.usefixtures("standin")
def test_the_wrong_generation_is_refused_before_anything_runs(
    build: BuildFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(build, tmp_path, "hailo10h")
    with pytest.raises(UnavailableError, match=r"DFC 3\.32\.0 is installed, hailo10h needs DFC 5\.x"):
        compiled(tmp_path)
    monkeypatch.setenv("STANDIN_DFC_VERSION", "5.1.0")
    planned(build, tmp_path, "hailo15l")
    with pytest.raises(UnavailableError, match=r"hailo15l needs DFC 5\.x from 5\.2 on"):
        compiled(tmp_path)
    for arch, version in (("hailo10h", "3.33"), ("hailo8", "5.2"), ("hailo15l", "5.1")):
        with pytest.raises(UsageError, match="does not serve"):
            target_for(arch, version)


@pytest.mark.usefixtures("standin")
def test_generation_5_compiles_for_hailo10h(
    build: BuildFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_DFC_VERSION", "5.2.0")
    planned(build, tmp_path, "hailo10h", output_16bit=True)
    report = compiled(tmp_path).hef
    assert report is not None
    assert (report.generation, report.header.version, report.outputs[0].dtype) == (5, 3, "uint16")


@pytest.mark.usefixtures("standin")
def test_a_compiler_that_hangs_is_stopped(build: BuildFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_DFC_FAULT", "hang")
    planned(build, tmp_path)
    with pytest.raises(TimeLimitError, match="time limit"):
        compiled(tmp_path, time_limit_s=3.0)
    assert "Translation started" in (tmp_path / "dfc.log").read_text()


@pytest.mark.usefixtures("standin")
def test_a_compiler_that_dies_is_one_error(build: BuildFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_DFC_FAULT", "crash")
    planned(build, tmp_path)
    with pytest.raises(UnavailableError, match="left no result"):
        compiled(tmp_path)


def test_no_compiler_is_said_so(build: BuildFolder, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no Dataflow Compiler"):
        python_command(None)
    planned(build, tmp_path)
    with pytest.raises(UnavailableError, match="No module named 'hailo_sdk_client'"):
        compiled(tmp_path)
    with pytest.raises(UnavailableError, match="cannot run"):
        run_plan(tmp_path, ["/no/such/python"], time_limit_s=5.0)


@pytest.mark.usefixtures("standin")
def test_a_damaged_plan_is_not_compiled(build: BuildFolder, tmp_path: Path) -> None:
    planned(build, tmp_path)
    with (tmp_path / "calib.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    with pytest.raises(DataError, match=r"calib\.npy is damaged"):
        compiled(tmp_path)


@pytest.mark.usefixtures("standin")
def test_the_container_gets_the_plan_and_nothing_else(
    build: BuildFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A docker of our own on the path: it writes down its arguments and runs the plan here."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "docker").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/arguments"\nexec "{sys.executable}" -u compile.py\n'
    )
    (tools / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    planned(build, tmp_path / "plan")
    command, stop = docker_command("hailo/dfc:3.32", tmp_path / "plan")
    assert run_plan(tmp_path / "plan", command, time_limit_s=60.0, on_stop=stop).hef is not None
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert arguments[:2] == ["run", "--rm"]
    assert arguments[arguments.index("--network") + 1] == "none"
    mounts = [value for value in arguments if value.startswith("type=bind")]
    assert mounts == [f"type=bind,source={tmp_path / 'plan'},target=/plan"]
    assert arguments[-5:] == ["--entrypoint", "python3", "hailo/dfc:3.32", "-u", "compile.py"]
    assert stop == ["docker", "kill", arguments[arguments.index("--name") + 1]]
    with pytest.raises(DataError, match="comma"):
        docker_command("x", tmp_path / "a,b")


def changed_set(build: BuildFolder, **changes: Any) -> CalibrationSet:
    whole = load_calibration_set(build.path / "calibration.npz")
    values = {name: getattr(whole, name) for name in CalibrationSet.__slots__}
    return CalibrationSet(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preprocess_sha256": "0" * 64}, "other preprocessing"),
        ({"frames_nhwc": "nchw"}, "channels first"),
        ({"frames_nhwc": "nan"}, "NaN or Inf"),
    ],
)
def test_calibration_data_of_the_wrong_kind_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Case F58 and its like are found here, before the compiler is asked."""
    build = random_build(tmp_path / "build", windows=64)
    frames = load_calibration_set(build.path / "calibration.npz").frames_nhwc
    if changes.get("frames_nhwc") == "nchw":
        turned = np.ascontiguousarray(frames.transpose(0, 3, 1, 2))
        changes = {"frames_nhwc": turned, "channel_names": tuple(map(str, range(turned.shape[-1])))}
    elif changes.get("frames_nhwc") == "nan":
        changes = {"frames_nhwc": np.where(np.arange(50)[:, None] == 7, np.float32(np.nan), frames)}
    changed_set(build, **changes).save(build.path / "calibration.npz")
    with pytest.raises(DataError, match=message):
        planned(build, tmp_path / "plan")
    assert not (tmp_path / "plan").exists()


def test_too_few_windows_are_refused(tmp_path: Path) -> None:
    build = random_build(tmp_path / "build", windows=40)
    with pytest.raises(DataError, match="40 calibration windows, at least 64"):
        planned(build, tmp_path / "plan")


def test_a_script_of_ones_own_is_linted(build: BuildFolder, tmp_path: Path) -> None:
    script = "model_optimization_config(calibration, calibset_size=64)\n"
    planned(build, tmp_path / "good", script=script)
    assert (tmp_path / "good" / "model.alls").read_text() == script
    with pytest.raises(UsageError, match=r"line 1: calibset_size=2048, the calibration file holds 96"):
        planned(build, tmp_path / "bad", script="model_optimization_config(calibration, calibset_size=2048)")


def test_the_calibration_audit_shuts_the_gate(tmp_path: Path) -> None:
    build = random_build(tmp_path / "build", windows=40)
    gate = check_gate(build, "hailo8l")
    assert not gate.opened
    assert any("40 windows" in line for line in gate.calibration)
    forced = check_gate(build, "hailo8l", force="a trial")
    assert forced.forced == ("the calibration audit refuses the set: a trial",)
