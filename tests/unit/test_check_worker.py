"""The child process that checks and infers: late by its own processor time, not because the machine is busy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fsq_edge_compile.checker import native_worker
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


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the child do other work."""
    script = tmp_path / "child.py"
    monkeypatch.setattr(native_worker, "__file__", str(script))
    return lambda work: script.write_text(ANSWER.format(work=work))


def test_a_child_that_waits_for_the_processor_is_not_late(child: Callable[[str], None]) -> None:
    child("time.sleep(1.2)")
    with closing(Worker(1.0, patience=100.0)) as worker:
        assert worker.ask(0, b"model") == b"ok"


@pytest.mark.parametrize(("work", "patience"), [("while True: pass", 1000.0), ("time.sleep(1000)", 2.0)])
def test_a_child_that_computes_or_waits_too_long_is_ended(
    work: str, patience: float, child: Callable[[str], None]
) -> None:
    child(work)
    with pytest.raises(NativeError, match="took over 0 s"):
        Worker(0.3, patience=patience).ask(0, b"model")
