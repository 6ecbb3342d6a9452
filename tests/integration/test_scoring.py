"""Archives: one file in, one file of decisions out, equal to run's, whatever ends the run on its way."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge.cli.main import run
from fsq_edge.data.folder import write_folder
from fsq_edge.data.recording import Channel, Dataset, Recording
from fsq_edge.scoring.archive import Shard, find_recordings
from fsq_edge.scoring.outputs import plain_line
from fsq_edge_runtime.sinks.files import json_line
from fsq_edge_runtime.stream.records import Decision
from tests.factories.bundles import IMU, motion, random_bundle

COMMAND = [sys.executable, "-m", "fsq_edge"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "b.fsqb"
    random_bundle().save(path)
    return path


def csv_text(samples: np.ndarray) -> str:
    rows = [",".join(["timestamp", *(name for name, _ in IMU)])]
    rows += [f"{i / 50:.3f}," + ",".join(f"{value:.5f}" for value in row) for i, row in enumerate(samples)]
    return "\n".join(rows) + "\n"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two names that differ in the folder alone, one damaged file, one gzip, one zip member, one file of no kind."""
    folder = tmp_path / "archive"
    for sub in ("rex", "ida", "ben"):
        (folder / sub).mkdir(parents=True)
    np.savez(folder / "rex/walk.npz", samples=motion(3000, seed=1))
    np.savez(folder / "ida/walk.npz", samples=motion(2000, seed=2), timestamps=np.arange(2000) / 50 + 1.7e9)
    (folder / "ben/walk.csv").write_text(csv_text(motion(1500, seed=3)))
    (folder / "ben/run.csv.gz").write_bytes(gzip.compress(csv_text(motion(900, seed=4)).encode()))
    with zipfile.ZipFile(folder / "old.zip", "w") as packed:
        packed.writestr("day1/walk.csv", csv_text(motion(700, seed=5)))
    (folder / "ida/torn.npz").write_bytes((folder / "rex/walk.npz").read_bytes()[:20_000])
    (folder / "README.md").write_text("no recording")
    return folder


def score(bundle: Path, archive: Path | str, out: Path, *more: str) -> int:
    return run(["score", str(bundle), str(archive), "--out", str(out), "--quiet", *more])


def content(out: Path) -> dict[str, bytes]:
    """Every file of an output folder but locks and the page that a whole run adds."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith(".lock") and path.suffix != ".html"
    }


def entries(out: Path) -> dict[str, dict[str, object]]:
    found = [json.loads(path.read_text()) for path in (out / "recordings").rglob("*.json")]
    return {entry["file"]: entry for entry in found}


@pytest.fixture
def scored(bundle: Path, archive: Path, tmp_path: Path) -> dict[str, bytes]:
    assert score(bundle, archive, tmp_path / "one") == 1
    return content(tmp_path / "one")


def test_decisions_are_those_of_run_and_a_bad_file_stops_nothing(
    bundle: Path, archive: Path, tmp_path: Path, scored: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    manifest = entries(tmp_path / "one")
    assert sorted(manifest) == [
        "ben/run.csv.gz", "ben/walk.csv", "ida/torn.npz", "ida/walk.npz", "old/day1/walk.csv", "rex/walk.npz",
    ]  # fmt: skip
    for name in ("rex/walk.npz", "ida/walk.npz", "ben/walk.csv"):
        kind = name[-3:]
        words = ["run", str(bundle), "--source", f"{kind}:{archive / name}", "--no-latency", "--backend", "onnx"]
        capfd.readouterr()
        assert run(words) == 0
        lines = [
            line for line in capfd.readouterr().out.splitlines() if json.loads(line)["type"] in ("decision", "gap")
        ]
        assert len(lines) > 20
        assert scored[f"decisions/{name}.jsonl"].decode().splitlines() == lines
        entry = manifest[name]
        assert entry["decided"] + entry["abstained"] == len(lines)
    torn = manifest["ida/torn.npz"]
    assert torn["output"] is None
    assert torn["error"]["exit_code"] == 65
    assert "decisions/ida/torn.npz.jsonl" not in scored
    assert manifest["rex/walk.npz"]["seconds"] == 60.0


@pytest.mark.parametrize("workers", [1, 2])
def test_shards_and_workers_give_the_bytes_of_one_run(
    bundle: Path, archive: Path, tmp_path: Path, scored: dict[str, bytes], workers: int
) -> None:
    out = tmp_path / "parts"
    parts = 3 if workers == 1 else 1
    for part in range(1, parts + 1):
        shard = ("--shard", f"{part}/{parts}") if parts > 1 else ()
        assert score(bundle, archive, out, "--workers", str(workers), *shard) in (0, 1)
    assert content(out) == scored


def test_every_file_belongs_to_one_shard() -> None:
    names = [f"walk-{number}.npz" for number in range(200)]
    held = [name for part in range(1, 8) for name in names if Shard(part, 7).holds(name)]
    assert sorted(held) == sorted(names)


def test_a_second_run_keeps_what_was_scored_of_the_same_content(
    bundle: Path, archive: Path, tmp_path: Path, scored: dict[str, bytes]
) -> None:
    np.savez(archive / "rex/walk.npz", samples=motion(3000, seed=9))
    (tmp_path / "one/decisions/ben/walk.csv.jsonl").write_text("spoiled\n")
    report = tmp_path / "report.json"
    assert score(bundle, archive, tmp_path / "one", "--json", str(report)) == 1
    found = json.loads(report.read_text())
    assert (found["scored"], found["kept"], list(found["failed"])) == (2, 3, ["ida/torn.npz"])
    now = content(tmp_path / "one")
    assert {name for name in now if now[name] != scored[name]} == {
        "decisions/rex/walk.npz.jsonl", "recordings/rex/walk.npz.json",
    }  # fmt: skip


def test_kill_anywhere_and_run_again_gives_the_same_bytes(
    bundle: Path, archive: Path, tmp_path: Path, scored: dict[str, bytes]
) -> None:
    out = tmp_path / "killed"
    words = [*COMMAND, "score", str(bundle), str(archive), "--out", str(out), "--workers", "2", "--quiet"]
    for wanted in (2, 7):  # files that are there when it is killed
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        while process.poll() is None and sum(path.is_file() for path in out.rglob("*.*")) < wanted:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        whole = content(out)
        assert all(whole[name] == scored[name] for name in whole if not Path(name).name.startswith("."))
    deadline = time.monotonic() + 60
    while score(bundle, archive, out) != 1:  # the killed run's workers may still hold nothing but their own end
        assert time.monotonic() < deadline
    assert content(out) == scored


def test_a_worker_that_dies_costs_its_recording_alone(bundle: Path, archive: Path, tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "import fsq_edge.scoring.scorer as scorer\n"
        "plain = scorer.Scorer.score\n"
        "def score(self, file):\n"
        "    if file.name == 'rex/walk.npz':\n"
        "        os.kill(os.getpid(), 9)\n"
        "    return plain(self, file)\n"
        "scorer.Scorer.score = score\n"
        "from fsq_edge.cli.main import run\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(run(sys.argv[1:]))\n"
    )
    (tmp_path / "dying.py").write_text(program)
    out = tmp_path / "out"
    words = ["score", str(bundle), str(archive), "--out", str(out), "--workers", "2"]
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "dying.py"), *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    manifest = entries(out)
    assert sorted(name for name, entry in manifest.items() if entry["error"]) == ["ida/torn.npz", "rex/walk.npz"]
    assert "worker died twice" in manifest["rex/walk.npz"]["error"]["message"]
    assert score(bundle, archive, out) == 1
    assert [name for name, entry in entries(out).items() if entry["error"]] == ["ida/torn.npz"]


def test_two_runs_on_one_folder_and_foreign_folders_are_one_clear_line(
    bundle: Path, archive: Path, tmp_path: Path, scored: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    import fcntl

    with (tmp_path / "one/.lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert score(bundle, archive, tmp_path / "one") == 69
    assert "another run is scoring into" in capfd.readouterr().err
    assert score(bundle, archive, archive) == 64
    assert "holds other things" in capfd.readouterr().err
    assert score(bundle, archive, tmp_path / "one", "--scores") == 64
    assert "decisions with another scores" in capfd.readouterr().err
    assert content(tmp_path / "one") == scored
    assert score(bundle, tmp_path / "nothing", tmp_path / "two") == 66
    assert score(bundle, f"{archive}/**/*.hdf", tmp_path / "two") == 66
    assert score(bundle, archive, tmp_path / "two", "--shard", "4/3") == 64


def test_a_full_disk_ends_the_run_with_one_line_and_loses_nothing(
    bundle: Path, archive: Path, tmp_path: Path, scored: dict[str, bytes]
) -> None:
    out = tmp_path / "small"
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)); import signal; "
    limited += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from fsq_edge.cli.main import run; "
    limited += "sys.exit(run(sys.argv[1:]))"
    words = ["score", str(bundle), str(archive), "--out", str(out), "--quiet"]
    ended = subprocess.run([sys.executable, "-c", limited, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 69
    assert ended.stderr.startswith("error: cannot write")
    assert len(ended.stderr.splitlines()) == 2
    whole = content(out)
    assert all(whole[name] == scored[name] for name in whole)
    assert score(bundle, archive, out) == 1
    assert content(out) == scored


@given(
    whole=st.integers(0, 2**40),
    stream=st.text(max_size=8),
    times=st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False)),
    labels=st.tuples(st.none() | st.text(max_size=8), st.none() | st.text(max_size=8)),
    confidence=st.none() | st.floats(0, 1),
    flags=st.lists(st.text(max_size=8), max_size=3).map(tuple),
    missed=st.none() | st.just("backend"),
)
@settings(derandomize=True, max_examples=200)
def test_the_quick_line_is_the_line_of_run(
    whole: int, stream: str, times: tuple[float, float], labels: tuple[str | None, str | None],
    confidence: float | None, flags: tuple[str, ...], missed: str | None,
) -> None:  # fmt: skip
    record = Decision(
        whole, stream, *times, *labels, confidence, None if confidence is None else whole % 240, flags, "onnx", missed,
        None, None, (1, 2, 3, 4, 5),
    )  # fmt: skip
    assert plain_line(record) == json_line(record, latency=False)


def test_names_stay_different_when_files_are_named_one_by_one(archive: Path) -> None:
    places = [str(archive / "rex/walk.npz"), str(archive / "ida/walk.npz"), str(archive / "**/*.csv")]
    names = [file.name for file in find_recordings(places)[0]]
    assert names == ["ben/walk.csv", "ida/walk.npz", "rex/walk.npz"]


def test_dataset_folder_states_channels_and_rate(bundle: Path, tmp_path: Path) -> None:
    samples = motion(2000, seed=6, rate=100.0)
    turned = samples[:, ::-1].copy()
    channels = tuple(Channel(name, unit) for name, unit in reversed(IMU))
    recording = Recording("walk", turned, np.full(2000, -1, np.int16), subject="1", session="")
    write_folder(Dataset("set", channels, 100.0, ("a",), (recording,)), tmp_path / "set")
    np.savez(tmp_path / "plain.npz", samples=samples)
    assert score(bundle, tmp_path / "set", tmp_path / "one") == 0
    assert score(bundle, tmp_path / "plain.npz", tmp_path / "two", "--source-rate", "100") == 0
    first = (tmp_path / "one/decisions/walk.npz.jsonl").read_bytes()
    assert len(first.splitlines()) > 15
    assert first == (tmp_path / "two/decisions/plain.npz.jsonl").read_bytes()


def test_parquet_in_and_out_and_collated(bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pandas = pytest.importorskip("pandas")
    parquet = pytest.importorskip("pyarrow.parquet")
    samples = motion(3000, seed=7)
    times = np.arange(3000) / 50 + 1.7e9
    (tmp_path / "a").mkdir()
    columns = {name: samples[:, i] for i, (name, _) in enumerate(IMU)}
    pandas.DataFrame({"timestamp": times, **columns}).to_parquet(tmp_path / "a/walk.parquet")
    np.savez(tmp_path / "a/walk.npz", samples=samples, timestamps=times)
    assert score(bundle, tmp_path / "a", tmp_path / "lines") == 0
    assert score(bundle, tmp_path / "a", tmp_path / "rows", "--format", "parquet") == 0
    lines = {kind: (tmp_path / f"lines/decisions/walk.{kind}.jsonl").read_bytes() for kind in ("parquet", "npz")}
    assert lines["parquet"] == lines["npz"]
    table = parquet.read_table(tmp_path / "rows/decisions/walk.npz.parquet").to_pylist()
    plain = [json.loads(line) for line in lines["npz"].splitlines()]
    assert [{name: row[name] for name in plain[0]} for row in table] == plain
    for folder in ("lines", "rows"):
        for out in ("all.jsonl", "all.parquet"):
            assert run(["score", "collate", str(tmp_path / folder), "--out", str(tmp_path / folder / out)]) == 0
    assert (tmp_path / "lines/all.jsonl").read_bytes() == (tmp_path / "rows/all.jsonl").read_bytes()
    assert (tmp_path / "lines/summary.html").is_file()
    streams = {json.loads(line)["stream"] for line in (tmp_path / "lines/all.jsonl").read_text().splitlines()}
    assert streams == {"walk.npz", "walk.parquet"}
    budgets = []
    for source in ("lines", "rows", "lines/all.jsonl"):
        assert run(["budget", str(tmp_path / source), "--json", str(tmp_path / "b.json"), "--quiet"]) == 0
        budgets.append((tmp_path / "b.json").read_text())
    assert len(set(budgets)) == 1
    capfd.readouterr()


def test_scratch_copies_are_read_and_removed(
    bundle: Path, archive: Path, tmp_path: Path, scored: dict[str, bytes]
) -> None:
    (tmp_path / "scratch").mkdir()
    assert score(bundle, archive, tmp_path / "copied", "--scratch", str(tmp_path / "scratch")) == 1
    assert content(tmp_path / "copied") == scored
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_unreadable_file_is_written_down(bundle: Path, archive: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (archive / "rex/walk.npz").unlink()
        (archive / "rex/walk.npz").symlink_to(archive / "nowhere")
        files = find_recordings([str(archive)])[0]
        assert "rex/walk.npz" not in [file.name for file in files]  # a link to nothing is no file
        (archive / "rex/walk.npz").unlink()
        (archive / "rex/walk.npz").mkdir()
    else:
        (archive / "rex/walk.npz").chmod(0)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert score(bundle, archive, tmp_path / "out") == 1


def test_the_benchmark_of_archives_runs() -> None:
    from fsq_edge_benchmarks.suites.registry import suite_named
    from fsq_edge_benchmarks.suites.scale import measure

    found = measure(0.02, 2, 1)
    values = {figure.path: figure.of(found) for figure in suite_named("scale").figures}
    assert all(value is not None and value > 0 for value in values.values())
