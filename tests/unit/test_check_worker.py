"""The child process that checks and infers: late by its own processor time, not because the machine is busy."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from fsq_edge_compile.checker.native import NativeError, Worker

ANSWER = """
import struct, sys, time
header = struct.Struct("<BQ")
task, length = header.unpack(sys.stdin.buffer.read(header.size))
sys.stdin.buffer.read(length)
{work}
sys.stdout.buffer.write(header.pack(0, 2) + b"ok")
sys.stdout.buffer.flush()
"""


def worker(folder: Path, work: str, timeout_s: float, patience: float) -> Worker:
    script = folder / "child.py"
    script.write_text(ANSWER.format(work=work))
    return Worker(timeout_s, script=str(script), patience=patience)


def test_a_child_that_waits_for_the_processor_is_not_late(tmp_path: Path) -> None:
    with closing(worker(tmp_path, "time.sleep(1.2)", 1.0, 100.0)) as patient:
        assert patient.ask(0, b"model") == b"ok"


@pytest.mark.parametrize(("work", "patience"), [("while True: pass", 1000.0), ("time.sleep(1000)", 2.0)])
def test_a_child_that_computes_or_waits_too_long_is_ended(tmp_path: Path, work: str, patience: float) -> None:
    asked = worker(tmp_path, work, 0.3, patience)
    with pytest.raises(NativeError, match="took over 0 s"):
        asked.ask(0, b"model")
