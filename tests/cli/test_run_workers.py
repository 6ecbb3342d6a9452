"""``run --workers``: the same decisions in several processes, each its own share of the streams."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.gateway import add_facts
from fsq_edge_runtime.runner import ChunkQueue
from fsq_edge_runtime.sources import IterableSource
from fsq_edge_runtime.sources.base import Chunk, worker_of
from fsq_edge_runtime.sources.pipe import PipeSource, append_chunk
from tests.cli.test_run_verb import command, environment, lines_of
from tests.factories.bundles import motion, random_bundle

STREAMS = 6


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle and the lines of several streams, taken in turns."""
    folder = tmp_path_factory.mktemp("workers")
    random_bundle().save(folder / "dog.fsqb")
    rows = {f"dog{number}": motion(500, seed=number).tolist() for number in range(STREAMS)}
    lines = [
        json.dumps({"stream": name, "t": [(at + k) / 50 for k in range(25)], "x": samples[at : at + 25]})
        for at in range(0, 500, 25)
        for name, samples in rows.items()
    ]
    (folder / "lines.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def answer(place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    with (place / "lines.jsonl").open() as lines:
        return subprocess.run(
            command(place, "--source", "stdin:", "--no-latency", *options),
            env=environment(), stdin=lines, capture_output=True, text=True, check=False,
        )  # fmt: skip


def encode_chunk(chunk: Chunk) -> bytes:
    data = bytearray()
    append_chunk(data, chunk)
    return bytes(data)


def decisions(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if json.loads(line)["type"] == "decision")


def test_two_workers_give_the_decisions_and_counters_of_one(place: Path, tmp_path: Path) -> None:
    one = answer(place, "--json", str(tmp_path / "one.json"))
    two = answer(place, "--workers", "2", "--json", str(tmp_path / "two.json"), "--sink", f"jsonl:{tmp_path}/out.jsonl")
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    parts = [(tmp_path / f"out.{number}.jsonl").read_text() for number in range(2)]
    assert len(decisions(one.stdout)) == 9 * STREAMS
    assert decisions("".join(parts)) == decisions(one.stdout)
    for number, part in enumerate(parts):
        streams = {line["stream"] for line in lines_of(part) if line["type"] == "decision"}
        assert streams == {f"dog{k}" for k in range(STREAMS) if worker_of(f"dog{k}", 2) == number}
    alone, shared = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    for name in ("streams", "received", "windows", "decided", "missed"):
        assert shared[name] == alone[name]
    assert shared["workers"] == 2


def test_workers_share_standard_output_line_by_line(place: Path) -> None:
    done = answer(place, "--workers", "3", "--max-wait-ms", "5")
    assert done.returncode == 0, done.stderr
    assert decisions(done.stdout) == decisions(answer(place).stdout)
    assert sum(line["type"] == "end" for line in lines_of(done.stdout)) == 3


def test_a_worker_without_a_stream_gives_no_warning(place: Path) -> None:
    np.savez(place / "one.npz", samples=motion(500))
    words = command(place, "--source", f"npz:{place / 'one.npz'}", "--sink", "jsonl:-", "--workers", "2", "--quiet")
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert '"decision"' in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sink", "http:127.0.0.1:0"], "cannot share the sink http:"),
        (["--sink", "csv:-"], "cannot share the sink csv:"),
        (["--metrics", "0"], "--workers and --metrics exclude each other"),
        (["--stats", "5"], "--workers and --stats exclude each other"),
        (["--workers", "0"], "0 is not in the range"),
    ],
)
def test_what_needs_one_process_is_refused(place: Path, options: list[str], message: str) -> None:
    done = answer(place, "--workers", "2", *options)
    assert done.returncode == 64
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stop_ends_all_workers_with_what_they_had(place: Path) -> None:
    running = subprocess.Popen(
        command(place, "--source", "stdin:", "--pace", "realtime", "--workers", "2"),
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
    )  # fmt: skip
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write((place / "lines.jsonl").read_bytes())
    running.stdin.flush()
    assert json.loads(running.stdout.readline())  # a worker has answered; the input stays open
    running.send_signal(signal.SIGTERM)
    out, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    assert sum(line["type"] == "end" for line in lines_of(out)) == 2


def test_chunks_are_the_same_behind_a_pipe_however_it_is_cut() -> None:
    draw = np.random.default_rng(0)
    chunks = [
        Chunk("rex", motion(7), np.arange(7) / 50, 123, None),
        Chunk("", motion(1), None, 2**60),
        Chunk("Hündin/3", np.full((2, 6), np.nan, np.float32), np.asarray([np.inf, -1e300]), 0),
        Chunk("rex", np.empty((0, 6), np.float32), None, 5, ""),
        Chunk("rex", np.empty((0, 6), np.float32), None, 5, "walk"),
    ]
    data = b"".join(map(encode_chunk, chunks))
    reading, writing = os.pipe()
    source = PipeSource(reading, live=True)
    cuts = [0, *sorted(draw.integers(0, len(data), 20).tolist()), len(data)]

    def write() -> None:
        for first, last in itertools.pairwise(cuts):
            os.write(writing, data[first:last])
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    found = list(source.chunks(threading.Event()))
    thread.join()
    source.close()
    assert [encode_chunk(chunk) for chunk in found] == [encode_chunk(chunk) for chunk in chunks]
    assert source.counters == {"chunks": 5, "samples": 10}


@pytest.mark.parametrize("spoilt", [b"\xff" * 40, encode_chunk(Chunk("a", motion(3), None, 0))[:-1]])
def test_a_pipe_with_something_else_is_refused(spoilt: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, spoilt)
    os.close(writing)
    with pytest.raises(DataError, match="pipe of a worker"):
        list(PipeSource(reading, live=False).chunks(threading.Event()))
    os.close(reading)


def test_a_stream_has_one_worker_for_ever() -> None:
    assert zlib.crc32(b"123456789") == 0xCBF43926  # the check value of CRC-32 in every table of checksums
    assert worker_of("123456789", 1000) == 0xCBF43926 % 1000
    counts = np.bincount([worker_of(f"dog-{number}", 4) for number in range(2000)], minlength=4)
    assert counts.min() > 400  # a quarter each, within what chance allows


def test_under_overload_the_newest_win_and_every_stream_loses_alike() -> None:
    queue, streams = ChunkQueue(limit=1000), 50
    for turn in range(100):
        for number in range(streams):
            queue.put(Chunk(str(number), np.full((1, 6), turn, np.float32), None, 0))
    lost, chunks = queue.take(0.0)
    assert sum(lost.values()) + len(chunks) == 100 * streams
    assert max(lost.values()) - min(lost.values()) <= 1
    assert {float(chunk.samples[0, 0]) for chunk in chunks} == set(map(float, range(80, 100)))


def test_chunks_that_wait_are_bounded_by_their_memory() -> None:
    queue = ChunkQueue(limit=1000)
    for number in range(200):
        queue.put(Chunk(str(number), np.zeros((50, 6), np.float32), None, 0))
    assert queue.waiting == 50 * (1000 // 13), "longer chunks hold four times as many samples"
    queue.put(Chunk("big", np.zeros((10_000, 6), np.float32), None, 0))
    lost, chunks = queue.take(0.0)
    assert [chunk.stream for chunk in chunks] == ["big"], "the newest stays, however large"
    assert sum(lost.values()) == 200 * 50
    assert queue.waiting == 0


def test_facts_add_up() -> None:
    parts = [{"decided": 3, "sinks": [{"name": "a"}], "sources": [{}]}, {"decided": 4, "sinks": [{"name": "b"}]}]
    whole = add_facts(parts, [IterableSource([])])
    assert whole == {"decided": 7, "sinks": [{"name": "a"}, {"name": "b"}], "workers": 2, "sources": [{"samples": 0}]}
