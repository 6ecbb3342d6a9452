"""A stream whose device stops answering: how many windows are lost.

Run as a program it takes the sizes of a real stream, 10 windows a second and 10 s of silence:
``python -m tests.factories.silent_device --hop 0.1 --silent 10 --windows 200``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from fsq_edge_runtime.backends.base import BackendSwitch, Missed
from fsq_edge_runtime.backends.fallback import FallbackBackend
from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy
from fsq_edge_runtime.backends.selection import select_backend
from fsq_edge_runtime.testing import Fault
from tests.factories.hailo_rig import make_process_rig

# state -> the calls that go unanswered
STATES = {
    "temperature": ("temperature",),
    "reopen": ("open", "identify"),
    "destroy": ("destroy",),
    "configure": ("configure",),
}
SILENT_FROM = 20  # window
COME_BACK_S = 20.0  # after the last window, for the device to be opened again
FAILS_AT = 22  # window whose inference fails, so that the device is closed, opened and configured again


@dataclass
class Result:
    """What became of the windows."""

    state: str
    windows: int
    missed: int
    wrong: int
    on_device: int
    processes: int
    last: str
    close_s: float
    causes: list[str]


def stream_through_silence(state: str, folder: Path, hop_s: float, silent_s: float, windows: int) -> Result:
    """Stream windows at a fixed pace through a device that goes silent in one kind of call.

    Args:
        state: a key of ``STATES``.
        folder: on the import path; the fake binding is written there.
        hop_s: seconds from window to window, and the deadline of each.
        silent_s: how long the device is silent.
        windows: how many.
    """
    rig = make_process_rig(folder, 5)
    proofs = len(rig.bundle.selftest.codes)
    if state != "temperature":
        fault = Fault("fail", status=63) if state != "reopen" else Fault("lost", status=62)
        rig = make_process_rig(folder, 5, lives=[{proofs + FAILS_AT: fault}])
    events: list[BackendSwitch] = []
    policy = FallbackPolicy(deadline_s=hop_s, first_retry_s=5 * hop_s, poll_s=5 * hop_s)
    backend = select_backend(rig.bundle, "auto", policy=policy, on_event=events.append).backend
    assert isinstance(backend, FallbackBackend)
    assert backend.name == "hailo-fake"
    missed = wrong = 0
    started = time.monotonic_ns()
    for window in range(windows):
        due = started + int(window * hop_s * 1e9)
        time.sleep(max(0.0, (due - time.monotonic_ns()) / 1e9))
        if window == SILENT_FROM:
            rig.package.silence.begin(silent_s, *STATES[state])
        row = window % len(rig.frames)
        try:
            t = backend.infer(rig.frames[row : row + 1], due + int(hop_s * 1e9))
        except Missed:
            missed += 1
        else:
            wrong += int(rig.code(t) != rig.codes[row])
    until = time.monotonic() + COME_BACK_S
    while backend.name != "hailo-fake" and time.monotonic() < until:
        backend.infer(rig.frames[:1], time.monotonic_ns() + 10**10)
        time.sleep(hop_s / 10)
    last = backend.name
    closing = time.monotonic()
    backend.close()
    close_s = time.monotonic() - closing
    causes = [event.cause for event in events]
    return Result(state, windows, missed, wrong, backend.counters.on_device, rig.package.lives, last, close_s, causes)


def main() -> None:
    """Print one line of JSON for every state."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hop", type=float, default=0.1)
    parser.add_argument("--silent", type=float, default=10.0)
    parser.add_argument("--windows", type=int, default=200)
    options = parser.parse_args()
    for state in STATES:
        with tempfile.TemporaryDirectory() as folder:
            sys.path.insert(0, folder)
            result = stream_through_silence(state, Path(folder), options.hop, options.silent, options.windows)
            sys.path.remove(folder)
        print(json.dumps(asdict(result)), flush=True)


if __name__ == "__main__":
    main()
