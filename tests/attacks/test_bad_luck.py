"""What happens to a running stream: readers that hang, disks that fill, terminals that close, floods of streams."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from fsq_edge.cli.endings import ending_signals
from fsq_edge_runtime.sinks.files import JsonlSink, Output
from fsq_edge_runtime.stream.records import StreamEvent
from tests.factories.bundles import motion, random_bundle
from tests.factories.live import eventually, free_port

ROOT = Path(__file__).parents[2]
STARTER = "import sys; from fsq_edge.cli.main import main; main()"
# Files of more bytes than the second argument says cannot be written, as on a full disk.
SMALL_DISK = "import resource, sys; n = int(sys.argv.pop(1)); resource.setrlimit(resource.RLIMIT_FSIZE, (n, n)); "


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad-luck")
    random_bundle().save(folder / "dog.fsqb")
    np.savez(folder / "walk.npz", samples=motion(40_000))
    np.savez(folder / "short.npz", samples=motion(250))
    return folder


@pytest.fixture(autouse=True)
def hanging_up_counts() -> Iterator[None]:
    """Undo what ``nohup`` leaves to whatever it starts: an ignored SIGHUP, which the program would leave ignored."""
    former = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, former)


def started(place: Path, *words: str, disk_bytes: int | None = None) -> subprocess.Popen[bytes]:
    roots = [str(ROOT / part) for part in (".", "compile", "calibration", "runtime", "benchmarks")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(roots), "OMP_NUM_THREADS": "1"}
    start = [STARTER] if disk_bytes is None else [SMALL_DISK + STARTER, str(disk_bytes)]
    command = [sys.executable, "-c", *start, "run", str(place / "dog.fsqb"), "--backend", "onnx", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def records(path: Path) -> list[dict[str, object]]:
    """Every line of a file; a half one is an error here."""
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def ends_within_2_s(process: subprocess.Popen[bytes], number: int) -> int:
    begun = time.monotonic()
    process.send_signal(number)
    code = process.wait(20)
    assert time.monotonic() - begun < 2.0
    return code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_replay_whose_reader_hangs_ends_and_says_so_elsewhere(place: Path, tmp_path: Path, number: int) -> None:
    other = tmp_path / "other.jsonl"
    words = ("--source", f"npz:{place / 'walk.npz'}", "--sink", "jsonl:-", "--sink", f"jsonl:{other}")
    with started(place, *words) as process:

        def full() -> bool:
            pipe = os.open(f"/proc/{process.pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
            try:
                return not select.select([], [pipe], [], 0)[1]
            finally:
                os.close(pipe)

        eventually(full, "the pipe is full")
        assert ends_within_2_s(process, number) == 69
        assert process.stderr is not None
        error = process.stderr.read().decode()
    assert error.startswith("error: standard output: its reader takes nothing")
    assert "Traceback" not in error
    assert records(other)[-1]["type"] == "end"


def test_what_a_library_makes_of_a_signal_while_it_loads_is_no_error() -> None:
    with ending_signals(threading.Event()) as endings:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:  # as a compiled module does
            raise ImportError("initialization failed") from error
    assert endings.received == {signal.SIGTERM}
    with pytest.raises(ImportError), ending_signals(threading.Event()):
        raise ImportError("without a signal it is one")


def test_a_main_thread_that_cannot_be_interrupted_is_given_up() -> None:
    script = (
        "import ctypes, threading; from fsq_edge.cli.endings import ending_signals\n"
        "def held():\n"
        "    libc = ctypes.CDLL(None)\n"
        "    while True: libc.pause()\n"
        "with ending_signals(threading.Event()) as endings:\n"
        "    endings.opening = False\n"
        "    print('in', flush=True)\n"
        "    try: held()\n"
        "    finally: held()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 69
        assert 1.5 < time.monotonic() - begun < 5.0
        assert process.stderr is not None
        assert process.stderr.read().startswith(b"error: the stream did not end in time")


@pytest.mark.parametrize("streams", [4000, 10_000])
def test_a_flood_of_streams_ends_in_time_with_every_sample_counted(place: Path, tmp_path: Path, streams: int) -> None:
    out, port = tmp_path / "out.jsonl", free_port()
    rows = [[float(value) for value in row] for row in motion(3)]
    with started(place, "--source", f"udp:127.0.0.1:{port}", "--sink", f"jsonl:{out}") as process:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

            def answers() -> bool:
                sender.sendto(json.dumps({"stream": "first", "x": rows}).encode(), ("127.0.0.1", port))
                time.sleep(0.05)
                return out.exists() and out.stat().st_size > 0

            eventually(answers, "the first record: it runs")
            for number in range(streams):
                sender.sendto(json.dumps({"stream": f"s{number}", "x": rows}).encode(), ("127.0.0.1", port))
                if number % 100 == 0:
                    time.sleep(0.002)
        assert ends_within_2_s(process, signal.SIGTERM) == 0
    end = records(out)[-1]
    assert end["type"] == "end"
    fates = ("accepted", "duplicate", "late", "bad_time", "paused", "overrun")
    assert end["received"] == sum(int(str(end[fate])) for fate in fates)


def test_a_closed_standard_output_ends_the_run_with_an_end_record(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    words = ("--source", f"npz:{place / 'walk.npz'}", "--sink", "jsonl:-", "--sink", f"jsonl:{other}")
    with started(place, *words) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 0
    assert records(other)[-1]["type"] == "end"


def test_a_full_disk_ends_a_replay_with_one_line_and_whole_lines(place: Path, tmp_path: Path) -> None:
    full = tmp_path / "full.jsonl"
    words = ("--source", f"npz:{place / 'walk.npz'}", "--sink", f"jsonl:{full}", "--sink", "jsonl:-")
    with started(place, *words, disk_bytes=100_001) as process:
        out, error = process.communicate(timeout=30)
    assert process.returncode == 69
    assert error.decode().startswith(f"error: {full}: ")
    assert len(error.splitlines()) == 2
    assert records(full)[-1]["type"] == "decision"
    assert 99_000 < full.stat().st_size <= 100_001
    assert json.loads(out.splitlines()[-1])["type"] == "end"


def test_a_full_disk_costs_a_live_stream_records_and_no_half_lines(place: Path, tmp_path: Path) -> None:
    full = tmp_path / "full.jsonl"
    words = ("--source", f"npz:{place / 'short.npz'}", "--pace", "realtime", "--sink")
    both = {f"records were not written to {full}: ": f"jsonl:{full}", "/dev/full: No space left": "jsonl:/dev/full"}
    with ExitStack() as stack:
        running = [stack.enter_context(started(place, *words, sink, disk_bytes=1_000)) for sink in both.values()]
        ended = [(process.communicate(timeout=60)[1].decode(), process.returncode) for process in running]
    for said, (error, code) in zip(both, ended, strict=True):
        assert code == 69
        assert said in error
    assert records(full)


def test_a_long_line_to_a_slow_pipe_arrives_whole() -> None:
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, resource.getpagesize())
    sink = JsonlSink(Output(Path(f"/proc/self/fd/{ends[1]}")))
    child = os.fork()
    if not child:
        sink.write(StreamEvent("stats", "", {"x": "y" * 60_000}))
        os._exit(0)
    os.close(ends[1])
    with os.fdopen(ends[0]) as pipe:
        line = pipe.readline()
    os.waitpid(child, 0)
    assert json.loads(line)["x"] == "y" * 60_000
