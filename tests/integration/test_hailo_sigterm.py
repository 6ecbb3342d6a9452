"""SIGTERM while the device says nothing: the run ends in good order within two seconds in every state."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fsq_edge_runtime.testing import Fault
from tests.factories.bundles import motion
from tests.factories.hailo_rig import ProcessRig, make_process_rig
from tests.factories.live import eventually

ROOT = Path(__file__).resolve().parents[2]
SELF_TEST = 8  # inferences of each opening
# state -> (the fault of the window after the third, the calls that are not answered from then on)
STATES: dict[str, tuple[Fault | None, tuple[str, ...]]] = {
    "serving": (None, ()),
    "waiting for a reply that never comes": (Fault("never"), ()),
    "asked for its temperature": (None, ("temperature",)),
    "being destroyed": (Fault("fail", status=63), ("destroy",)),
    "being opened again": (Fault("lost", status=62), ("open", "identify")),
    "being configured again": (Fault("fail", status=63), ("configure",)),
    "silent in everything": (Fault("never"), ("open", "identify", "temperature", "configure", "destroy")),
}


def environment(rig: ProcessRig) -> dict[str, str]:
    roots = [str(ROOT / part) for part in (".", "compile", "calibration", "runtime", "benchmarks")]
    path = os.pathsep.join([str(rig.package.folder), *roots])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@contextmanager
def running(rig: ProcessRig, place: Path, backend: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the bundle on standard input, fed at twice its rate: two windows a second."""
    starter = "import sys; from fsq_edge.cli.main import main; main()"
    arguments = ["run", str(place / "dog.fsqb"), "--source", "stdin:", "--pace", "realtime", "--backend", backend]
    process = subprocess.Popen(
        [sys.executable, "-c", starter, *arguments, "--quiet", "--sink", f"jsonl:{place / 'out.jsonl'}"],
        env=environment(rig),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    feeder = threading.Thread(target=feed, args=(process,), daemon=True)
    feeder.start()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        feeder.join()
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


def feed(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    samples = motion(10_000)
    try:
        for at, row in enumerate(samples):
            process.stdin.write(json.dumps({"t": at / 50, "x": [float(value) for value in row]}).encode() + b"\n")
            process.stdin.flush()
            time.sleep(0.01)
    except (BrokenPipeError, ValueError):
        return


def records(place: Path) -> list[dict[str, object]]:
    out = place / "out.jsonl"
    text = out.read_text() if out.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


@pytest.mark.parametrize("state", STATES)
def test_sigterm_ends_the_run_within_two_seconds(state: str, tmp_path: Path) -> None:
    fault, silent = STATES[state]
    rig = make_process_rig(tmp_path, 5, lives=[{} if fault is None else {SELF_TEST + 3: fault}])
    rig.bundle.save(tmp_path / "dog.fsqb")
    if "temperature" in silent and fault is None:
        rig.package.silence.begin(60.0, *silent)  # it is asked for with the first window
    with running(rig, tmp_path, "auto") as process:
        eventually(lambda: any(record["type"] == "decision" for record in records(tmp_path)), "a window")
        if silent:
            rig.package.silence.begin(60.0, *silent)
        if fault is not None and fault.kind != "never":
            eventually(lambda: sum(record["type"] == "backend" for record in records(tmp_path)) > 1, "the switch")
            time.sleep(2.0)  # the reopening has begun: 0.5 s and eight windows
        else:
            time.sleep(1.5)
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)
        took = time.monotonic() - sent
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert code == 0
    assert took < 2.0
    ended = records(tmp_path)[-1]
    assert ended["type"] == "end"


def test_sigterm_during_the_first_opening(tmp_path: Path) -> None:
    rig = make_process_rig(tmp_path, 5)
    rig.bundle.save(tmp_path / "dog.fsqb")
    rig.package.silence.begin(60.0, "open")
    with running(rig, tmp_path, "auto") as process:
        eventually(lambda: rig.package.lives == 1, "the device process")
        time.sleep(0.5)
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)
    assert time.monotonic() - sent < 2.0
    assert code == 0
