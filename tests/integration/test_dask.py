"""An archive on a real Dask cluster: scheduler and workers are processes of their own on the loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge.scoring.folder import RECORDINGS
from tests.factories.bundles import motion, random_bundle

pytest.importorskip("distributed", reason="the package 'distributed' is not installed (extra cluster)")
CLUSTER_S = 90.0  # for the processes to be there, on a busy machine


class Cluster:
    """A scheduler and workers on the loopback, ended with the block."""

    def __init__(self, folder: Path) -> None:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        words = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard", "--no-show"]
        return self._start("dask_scheduler", words)

    def start_worker(self, name: str) -> subprocess.Popen[bytes]:
        words = [self.address, "--no-dashboard", "--no-nanny", "--nthreads", "1", "--name", name]
        return self._start("dask_worker", [*words, "--local-directory", str(self.folder), "--host", "127.0.0.1"])

    def wait_for(self, workers: int) -> None:
        from distributed import Client

        with Client(self.address, timeout=CLUSTER_S, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=CLUSTER_S)

    def _start(self, module: str, words: list[str]) -> subprocess.Popen[bytes]:
        roots = os.pathsep.join(path for path in sys.path if path)
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *words],
            env={**os.environ, "PYTHONPATH": roots, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as started:
        yield started


def files_of(out: Path) -> dict[str, bytes]:
    left_out = ("summary.html", "summary.md")  # the page says when it was made
    paths = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name not in left_out]
    found = [path for path in paths if not path.name.startswith(".lock")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def test_a_cluster_gives_the_bytes_of_one_process_whoever_dies(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    random_bundle().save(tmp_path / "b.fsqb")
    (tmp_path / "archive").mkdir()
    for number in range(12):
        np.savez(tmp_path / f"archive/{number}.npz", samples=motion(60_000, seed=number))
    (tmp_path / "archive/bad.npz").write_bytes(b"bad")
    words = ["score", str(tmp_path / "b.fsqb"), str(tmp_path / "archive"), "--quiet", "--out"]
    assert run([*words, str(tmp_path / "one")]) == 1
    (tmp_path / "dask.yaml").write_text(f"scheduler-address: {cluster.address}\n")
    scheduler = cluster.start_scheduler()
    first = cluster.start_worker("first")
    cluster.start_worker("second")
    cluster.wait_for(2)
    assert run([*words, str(tmp_path / "two"), "--dask-config", str(tmp_path / "dask.yaml")]) == 1
    assert files_of(tmp_path / "two") == files_of(tmp_path / "one")

    command = [sys.executable, "-m", "fsq_edge", *words, str(tmp_path / "three"), "--scheduler", cluster.address]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for_entries(tmp_path / "three", 2, running)
    first.kill()  # what it held is scored by the other
    wait_for_entries(tmp_path / "three", 5, running)
    scheduler.kill()
    _, said = running.communicate(timeout=120)
    if running.returncode != 1:  # it was not through by then
        assert running.returncode == 69, said
        lines = [line for line in said.splitlines() if line.startswith(("error", "hint"))]
        assert lines[0].startswith(f"error: the Dask scheduler at {cluster.address} was lost")
        assert "run the same command again" in lines[1]
        assert "Traceback" not in said
    whole, known = files_of(tmp_path / "three"), files_of(tmp_path / "one")
    assert all(whole[name] == known[name] for name in whole)
    assert run([*words, str(tmp_path / "three")]) == 1
    assert files_of(tmp_path / "three") == known


def wait_for_entries(out: Path, count: int, running: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + CLUSTER_S
    while len(list((out / RECORDINGS).rglob("*.json"))) < count and running.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_no_scheduler_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsq_edge.scoring import cluster

    monkeypatch.setattr(cluster, "CONNECT_S", 0.2)
    random_bundle().save(tmp_path / "b.fsqb")
    np.savez(tmp_path / "a.npz", samples=motion(500))
    words = ["score", str(tmp_path / "b.fsqb"), str(tmp_path / "a.npz"), "--out", str(tmp_path / "out")]
    assert run([*words, "--scheduler", "tcp://127.0.0.1:1"]) == 69
    lines = capfd.readouterr().err.splitlines()
    assert "error: no Dask scheduler answers at tcp://127.0.0.1:1" in lines
    (tmp_path / "empty.yaml").write_text("distributed: {}\n")
    assert run([*words, "--dask-config", str(tmp_path / "empty.yaml")]) == 65
    assert run([*words, "--scheduler", "tcp://127.0.0.1:1", "--workers", "2"]) == 64
