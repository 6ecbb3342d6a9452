"""A process that uses the device must always end: unclosed, with a request that never came back, or forked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fsq_edge.cli.main import run
from tests.factories.hailo_rig import bundle_with_hefs, hide_binding

ROOT = Path(__file__).resolve().parents[2]
OPEN = """
import sys, time
sys.path.insert(0, {root!r})
from tests.factories.hailo_rig import make_rig
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.testing import Fault, FaultScript
script = FaultScript()
rig = make_rig({generation}, faults=script)
backend = rig.device(timeout_s=0.02, open_timeout_s=5.0)
backend.infer(rig.frames[:1], time.monotonic_ns() + 10**10)  # the first one loads the graph
"""
ENDINGS = {
    "never closed": "",
    "kept in a cycle": "loop = [backend]; loop.append(loop); del backend",
    "with a request that never returns": """
script.inject(Fault("never"))
try:
    backend.infer(rig.frames[:1])
except BackendError as error:
    print(error.status)
""",
    "with a late request": """
script.inject(Fault("late", seconds=1.0))
try:
    backend.infer(rig.frames[:1])
except BackendError as error:
    print(error.status)
""",
    "from another thread": """
import threading
thread = threading.Thread(target=backend.close); thread.start(); thread.join()
""",
    "by an exception": "raise SystemExit(7)",
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_the_process_ends(ending: str) -> None:
    generation = 5 if "late" in ending else 4
    done = subprocess.run(
        [sys.executable, "-c", OPEN.format(root=str(ROOT), generation=generation) + ending],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("", "runtime"))},
    )
    assert done.returncode == (7 if "SystemExit" in ending else 0), done.stderr
    assert "Error" not in done.stderr, done.stderr
    assert done.stdout.split() == (["4"] if "inject" in ending else [])


def test_run_on_hailo_without_a_binding_exits_69_with_the_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_binding(monkeypatch)
    bundle_with_hefs("hailo8l").save(tmp_path / "dog.fsqb")
    (tmp_path / "in.csv").write_text("acc_x,acc_y,acc_z,gyr_x,gyr_y,gyr_z\n" + "0,0,1,0,0,0\n" * 120)
    arguments = ["run", str(tmp_path / "dog.fsqb"), "--source", f"csv:{tmp_path / 'in.csv'}", "--backend"]
    assert run([*arguments, "hailo"]) == 69
    error = capsys.readouterr().err
    assert "hailo_platform" in error
    assert "hint: sudo apt install python3-hailort" in error
    assert run([*arguments, "auto"]) == 0
