"""``run --workers`` when something goes wrong: one clear line, the right exit code, and an end in time."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsq_edge.cli.run_options import run_workers
from fsq_edge_runtime import gateway
from fsq_edge_runtime.errors import FsqEdgeError
from fsq_edge_runtime.gateway import WorkerPool, feed
from fsq_edge_runtime.sources import IterableSource
from fsq_edge_runtime.sources.base import Chunk
from tests.cli.test_run_verb import command, environment, lines_of
from tests.factories.bundles import motion, random_bundle
from tests.factories.live import eventually

STREAMS = 6


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("failing")
    random_bundle().save(folder / "dog.fsqb")
    return folder


@pytest.fixture
def running(place: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A live run with two workers, which have both answered; ``write`` more to its standard input."""
    options = getattr(request, "param", ())
    process = subprocess.Popen(
        command(place, "--source", "stdin:", "--pace", "realtime", "--workers", "2", *options),
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        write(process)
        for _ in range(STREAMS):
            assert json.loads(process.stdout.readline())
        yield process
        process.kill()


def write(process: subprocess.Popen[bytes], at: int = 0, samples: int = 150) -> None:
    assert process.stdin is not None
    for number in range(STREAMS):
        rows = motion(samples, seed=number).tolist()
        line = {"stream": f"dog{number}", "t": [(at + k) / 50 for k in range(samples)], "x": rows}
        process.stdin.write(json.dumps(line).encode() + b"\n")


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children]


def said(errors: bytes) -> list[str]:
    return [line for line in errors.decode().splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--overlay", "nowhere.fsqo"], 66, "cannot read the overlay nowhere.fsqo"),
        (["--features"], 64, "puts out no features"),
        (["--sink", "jsonl:/nowhere/day.jsonl"], 69, "cannot write /nowhere/day.0.jsonl"),
    ],
)
def test_what_no_worker_can_open_is_said_once_under_its_own_code(
    place: Path, options: list[str], code: int, message: str
) -> None:
    words = command(place, "--source", "stdin:", "--workers", "2", *options)
    done = subprocess.run(words, env=environment(), input=b"", capture_output=True, check=False)
    assert done.returncode == code
    assert len(said(done.stderr)) == 1
    assert message in said(done.stderr)[0]
    assert "worker" not in said(done.stderr)[0], "the same line as without workers"


def test_a_worker_that_dies_is_said() -> None:
    pool = WorkerPool(2, lambda number, told, ready: ["sh", "-c", f"echo r >/proc/self/fd/{ready}; exit {3 * number}"])
    chunks = [Chunk(f"dog{number}", motion(10), None, 0) for number in range(STREAMS)]
    feed(pool, [IterableSource(chunks)], threading.Event())
    with pytest.raises(FsqEdgeError, match=r"worker 1 ended with exit code 3"):
        pool.end()
    assert pool.lost <= 10 * STREAMS


def test_a_worker_that_is_killed_ends_the_run_with_one_line(running: subprocess.Popen[bytes]) -> None:
    os.kill(workers_of(running)[1], signal.SIGKILL)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 69
    assert len(said(errors)) == 1
    assert "worker 1 was killed by SIGKILL" in said(errors)[0]
    assert b"hint: was there memory enough?" in errors


def test_a_stop_does_not_wait_for_a_worker_that_hangs(running: subprocess.Popen[bytes]) -> None:
    for worker in workers_of(running):
        os.kill(worker, signal.SIGSTOP)
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=10)
    assert running.returncode == 69
    assert len(said(errors)) == 1
    assert "had not answered all when its time was over" in said(errors)[0]


def test_a_full_pipe_does_not_hold_up_a_stop() -> None:
    # Nobody reads: the pipe is full after a megabyte, and the source's thread waits with the lock in its hands.
    pool = WorkerPool(1, lambda number, told, ready: ["sh", "-c", f"echo r >/proc/self/fd/{ready}; exec sleep 60"])
    chunks = (Chunk("dog", motion(1000), None, 0) for _ in range(1000))
    stop = threading.Event()

    def stop_when_full() -> None:
        eventually(lambda: not select.select([], [pool._lanes[0]._pipe], [], 0)[1], "the pipe is full")
        stop.set()

    threading.Thread(target=stop_when_full).start()
    feed(pool, [IterableSource(chunks)], stop)
    begun = time.monotonic()
    with pytest.raises(FsqEdgeError, match=r"had not answered all .* samples were lost"):
        pool.end(within_s=0.2)
    assert time.monotonic() - begun < 10, "not the minute that the worker sleeps"


@pytest.mark.parametrize("hangs", [False, True])
def test_an_interrupt_twice_ends_all_with_one_line(running: subprocess.Popen[bytes], hangs: bool) -> None:
    children = workers_of(running)
    for worker in children if hangs else ():
        os.kill(worker, signal.SIGSTOP)
    open_files = Path(f"/proc/{running.pid}/fd")
    before = len(list(open_files.iterdir()))
    running.send_signal(signal.SIGINT)

    def heard() -> bool:
        return running.poll() is not None or len(list(open_files.iterdir())) < before

    eventually(heard, "the pipes to the workers are closed")  # without a look at that the two may be one
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said(errors) == ["error: interrupted"]
    eventually(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "no worker is left")


def test_a_second_interrupt_while_samples_are_read_waits_for_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*rest: object) -> None:
        raise KeyboardInterrupt

    hangs = WorkerPool(1, lambda number, told, ready: ["sleep", "60"])
    monkeypatch.setattr(gateway, "WorkerPool", lambda *rest: hangs)
    monkeypatch.setattr(gateway, "feed", interrupted)
    stop = threading.Event()
    stop.set()
    with pytest.raises(KeyboardInterrupt):  # and not what a worker ended with that had no time
        run_workers(1, [], ["jsonl:-"], [IterableSource([])], stop, [])
    assert hangs.over()


@pytest.mark.parametrize("running", [("--reload",)], indirect=True)
def test_a_bundle_that_is_replaced_is_read_by_every_worker(running: subprocess.Popen[bytes]) -> None:
    assert running.stdout is not None
    running.send_signal(signal.SIGHUP)
    late = threading.Timer(60, running.kill)
    late.start()
    reloads: list[dict[str, object]] = []
    while len(reloads) < 2 and (line := running.stdout.readline()):
        reloads += [record for record in lines_of(line) if record["type"] == "reload"]
    late.cancel()
    assert [record["accepted"] for record in reloads] == [True, True]
    write(running, at=150)
    out, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    assert sum(record["type"] == "decision" for record in lines_of(out)) >= STREAMS, "the streams go on"


def test_a_reader_that_has_enough_ends_the_run_silently(place: Path, tmp_path: Path) -> None:
    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(
            command(place, "--source", "stdin:", "--pace", "realtime", "--workers", "2"),
            env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        write(process)
        assert json.loads(process.stdout.readline())
        process.stdout.close()

        def ended() -> bool:
            with contextlib.suppress(BrokenPipeError):
                write(process)
            return process.poll() is not None

        eventually(ended, "the run ends while its source goes on")
        process.stdin.close()
    assert process.returncode == 0
    assert (tmp_path / "errors").read_bytes() == b""


def test_more_workers_than_cores_are_noted(place: Path) -> None:
    words = command(place, "--source", "stdin:", "--workers", "2", "--features")
    done = subprocess.run(
        ["taskset", "-c", "0", *words], env=environment(), input=b"", capture_output=True, check=False
    )
    assert b"note: 2 workers on 1 core: " in done.stderr


def test_systemd_hears_of_the_service_from_the_process_that_it_started(place: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        listener.settimeout(60)
        process = subprocess.Popen(
            command(place, "--source", "stdin:", "--pace", "realtime", "--workers", "2"),
            env={**environment(), "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"},
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0,
        )  # fmt: skip
        write(process)
        heard = []
        while not heard or heard[-1] != b"WATCHDOG=1":
            text, ancillary, _, _ = listener.recvmsg(64, 64)
            sender = int.from_bytes(ancillary[0][2][:4], "little")
            assert sender == process.pid, "a worker's words would be refused"
            heard.append(text)
        assert heard[0] == b"READY=1"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        while heard[-1] != b"STOPPING=1":
            heard.append(listener.recv(64))
    assert process.returncode == 0
