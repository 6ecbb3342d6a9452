"""How much quicker a machine runs a network in two processes than in one: the bound of whatever works in processes.

python -m fsq_edge_benchmarks.measure.twins BUNDLE WINDOWS    # one of them; it begins when standard input has a line
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from fsq_edge_benchmarks.measure.bare import bare_network
from fsq_edge_benchmarks.measure.children import child_environment
from fsq_edge_benchmarks.measure.fixed_network import motion_windows
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.preprocess import Preprocessor

READY: Final = "ready"
DONE: Final = "done"
FRAMES: Final = 64


def bare_seconds(bundle: Path, windows: int, processes: int) -> float:
    """Return how long processes take that run the bare network for so many windows each, without their start."""
    line = [sys.executable, "-m", __name__, str(bundle), str(windows)]
    running = [
        subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=child_environment()
        )
        for _ in range(processes)
    ]
    try:
        _each_says(running, READY)
        begun = time.perf_counter()
        for process in running:
            assert process.stdin is not None
            process.stdin.write("\n")
        _each_says(running, DONE)
        return time.perf_counter() - begun
    finally:
        for process in running:
            process.kill()
            process.communicate()


def _each_says(running: list[subprocess.Popen[str]], word: str) -> None:
    for process in running:
        assert process.stdout is not None
        if process.stdout.readline().strip() != word:
            raise RuntimeError("a process with the bare network failed")


def _work(path: Path, windows: int) -> None:
    bundle = Bundle.open(path)
    frames = Preprocessor(bundle.preprocess).frames(motion_windows(FRAMES))
    call = bare_network(bundle.read("encoder"), frames)
    call()
    print(READY, flush=True)
    sys.stdin.readline()
    for _ in range(max(1, windows // FRAMES)):
        call()
    print(DONE, flush=True)


if __name__ == "__main__":
    _work(Path(sys.argv[1]), int(sys.argv[2]))
