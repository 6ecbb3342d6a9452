"""Sweeps: on one machine's file, and on a real PostgreSQL by three processes of which one is killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from fsq_edge.cli.main import run
from fsq_edge.sweep.storage import DEAD_AFTER
from tests.factories.postgres import PASSWORD, Postgres, needs_postgres
from tests.factories.training import write_exercises

optuna = pytest.importorskip("optuna", reason="the package 'optuna' is not installed (extra sweep)")
SPACE = {
    "model.hidden_dim": {"choices": [4, 8, 16]},
    "model.fsq_levels": {"choices": [[8, 6, 5], [5, 5]]},
    "training.learning_rate": {"low": 1e-3, "high": 2e-2, "log": True},
    "augmentation.warp": {"low": 1.0, "high": 1.4},
    "preprocessing.window_samples": {"choices": [40, 41]},  # 41 is no multiple of the fold: impossible
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_exercises(tmp_path, training={"max_epochs": 2})
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(SPACE))
    return tmp_path


def words(project: Path, storage: str, out: str, *more: str) -> list[str]:
    config, space = str(project / "config.yaml"), str(project / "space.yaml")
    return ["sweep", config, "--space", space, "--storage", storage, "--out", str(project / out), *more]


@pytest.mark.parametrize("kind", ["sqlite:///", "journal:"])
def test_a_sweep_on_one_file_goes_on_and_reports(project: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    storage = f"{kind}{project / 'trials.db'}"
    report = project / "report.json"
    some = ["--objectives", "macro-f1,parameters", "--json", str(report), "--quiet"]
    assert run(words(project, storage, "out", "--trials", "2", *some)) == 0
    assert run(words(project, storage, "out", "--trials", "5", *some)) == 0
    found = json.loads(report.read_text())
    counts = found["trials"]
    assert counts["finished"] + counts["pruned"] + counts["impossible"] == 5
    assert found["held_out"] == ["5", "6"]
    assert sorted(found["train"] + found["validation"]) == ["1", "2", "3", "4"]
    values = [entry["values"] for entry in found["front"]]
    assert bool(values) == bool(counts["finished"])
    if not values:  # settings are drawn by chance: each of five was the impossible one
        return
    for one in values:  # nothing on the front is beaten in both
        assert not any(
            other["macro-f1"] >= one["macro-f1"] and other["parameters"] <= one["parameters"] and other != one
            for other in values
        )
    best = yaml.safe_load((project / "out" / f"trial-{found['front'][0]['number']}.yaml").read_text())
    assert best["data"]["test_subjects"] == ["5", "6"]
    assert (project / "out/sweep.html").is_file() or (project / "out/sweep.md").is_file()
    assert run(words(project, storage, "out", "--trials", "0", "--objectives", "macro-f1")) == 64
    (project / "space.yaml").write_text(yaml.safe_dump({"model.hidden_dim": {"choices": [4]}}))
    assert run(words(project, storage, "out", "--trials", "0", "--objectives", "macro-f1,parameters")) == 64
    assert "is of another space" in capfd.readouterr().err


def test_trials_read_no_file_of_the_test_subjects(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsq_edge.deploy import trial
    from fsq_edge.sweep import study

    seen: list[set[str]] = []
    plain = trial.train

    def watched(config: object, out: Path, **more: object) -> object:
        result = plain(config, out, **more)  # type: ignore[arg-type]
        folder = Path(config.data.source.removeprefix("folder:"))  # type: ignore[attr-defined]
        seen.append({entry["subject"] for entry in json.loads((folder / "dataset.json").read_text())["recordings"]})
        return result

    monkeypatch.setattr(trial, "train", watched)
    monkeypatch.setattr(study, "WARM_UP", 100)
    space = {"model.hidden_dim": {"choices": [4, 8]}}
    (project / "space.yaml").write_text(yaml.safe_dump(space))
    some = ["--trials", "2", "--objectives", "macro-f1,int8-flips,latency", "--quiet"]
    assert run(words(project, f"sqlite:///{project / 't.db'}", "out", *some)) == 0
    assert seen == [{"1", "2", "3", "4"}] * 2
    front = json.loads((project / "out/sweep.json").read_text())["front"]
    assert all(0 <= entry["values"]["int8-flips"] <= 1 and entry["values"]["latency"] > 0 for entry in front)


def test_what_is_wrong_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "postgresql://me:hush@127.0.0.1:1/db"  # noqa: S105 - of nothing
    monkeypatch.setenv("SWEEP_DB", secret)
    cases = [
        (secret, 64), ("mysql://host/db", 64), ("env:NO_SUCH_VARIABLE", 66), ("env:SWEEP_DB", 69),
        ("sqlite:////no/such/folder/t.db", 69), ("journal:/no/such/folder/t.db", 69),
    ]  # fmt: skip
    for storage, code in cases:
        assert run(words(project, storage, "out")) == code, storage
        said = capfd.readouterr().err
        assert "hush" not in said
        assert "Traceback" not in said
        assert len(said.splitlines()) == 2
    for text in (
        "data.source: {choices: [a]}",
        "model.colour: {choices: [1]}",
        "model.kernel: {low: 9}",
        "- a",
        "a: [",
    ):
        (project / "space.yaml").write_text(text)
        assert run(words(project, f"sqlite:///{project / 't.db'}", "out")) == 65, text
        assert "Traceback" not in capfd.readouterr().err


def test_a_killed_worker_of_a_journal_is_known_by_its_process(project: Path) -> None:
    storage = f"journal:{project / 'trials.log'}"
    space = {"model.hidden_dim": {"choices": [4, 8]}}
    (project / "space.yaml").write_text(yaml.safe_dump(space))
    process = start(words(project, storage, "out", "--trials", "50"), {})
    wait_for_trial(storage, [process])
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(finished(storage))
    assert run(words(project, storage, "out", "--trials", str(done + 1), "--quiet")) == 0
    (dead,) = [trial for trial in trials_of(storage) if trial.state == optuna.trial.TrialState.FAIL]
    again = [trial for trial in trials_of(storage) if trial.system_attrs.get("failed_trial") == dead.number]
    assert [trial.params for trial in again] == [dead.params]
    assert again[0].state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)


def test_a_worker_that_slept_for_too_long_goes_on_with_another_trial(project: Path) -> None:
    storage = f"sqlite:///{project / 'trials.db'}"
    (project / "space.yaml").write_text(yaml.safe_dump({"model.hidden_dim": {"choices": [4, 8]}}))
    call = words(project, storage, "out", "--heartbeat", "1")
    sleeper = start([*call, "--trials", "4"], {})
    wait_for_trial(storage, [sleeper])  # the worker is stopped now
    (first,) = [trial for trial in trials_of(storage) if trial.state == optuna.trial.TrialState.RUNNING]
    done = len(finished(storage))
    other = start([*call, "--trials", str(done + 1)], {})  # it waits for the sleeper, until that counts as dead
    said, error = other.communicate(timeout=120)
    assert other.returncode == 0, error
    assert f"trial {first.number + 1}: " in said
    sleeper.send_signal(signal.SIGCONT)
    said, error = sleeper.communicate(timeout=120)
    assert sleeper.returncode == 0, error
    assert error == ""
    assert f"trial {first.number}: fail for too long without a sign of life" in said
    again = trials_of(storage)[first.number + 1]
    assert (again.system_attrs["failed_trial"], again.params) == (first.number, first.params)
    assert len(finished(storage)) == max(4, done + 1)


@needs_postgres()
def test_three_processes_share_a_postgresql_and_one_is_killed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg", reason="the package 'psycopg' is not installed (extra sweep)")
    trials = 8
    with Postgres() as database:
        passwords = database.write_passwords(project / "pgpass")
        more = {"PGPASSFILE": str(passwords)}
        monkeypatch.setenv("PGPASSFILE", str(passwords))
        storage = database.address
        call = words(project, storage, "out", "--trials", str(trials), "--heartbeat", "1")
        workers = [start(call, more) for _ in range(3)]
        killed = wait_for_trial(storage, workers)
        command_lines = [Path(f"/proc/{worker.pid}/cmdline").read_bytes() for worker in workers]
        workers.remove(killed)
        killed.send_signal(signal.SIGKILL)
        said = "".join(killed.communicate())
        for worker in workers:
            out, err = worker.communicate(timeout=240)
            assert worker.returncode == 0, err
            said += out + err
        unfinished = (optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.WAITING)
        if any(trial.state in unfinished for trial in trials_of(storage)):
            # The others had their number before the dead one was missed, or just when it was: a later call takes its
            # settings up.
            time.sleep(DEAD_AFTER * 1.0 + 1.0)
            trials += 1
            late = start(words(project, storage, "out", "--trials", str(trials), "--heartbeat", "1"), more)
            out, err = late.communicate(timeout=240)
            assert late.returncode == 0, err
            said += out + err
        found = trials_of(storage)
        ended = [
            trial
            for trial in found
            if trial.state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
            or "why" in trial.user_attrs
        ]
        assert trials <= len(ended) <= trials + 2
        assert not [trial for trial in found if trial.state == optuna.trial.TrialState.RUNNING]
        # Those of the killed one, and on a busy machine of another that gave no sign of life for too long.
        died = [one for one in found if one.state == optuna.trial.TrialState.FAIL and "why" not in one.user_attrs]
        dead = [trial for trial in died if trial.user_attrs.get("worker", {}).get("pid") == killed.pid]
        for trial in dead:  # its settings were tried again, by another worker
            again = [one for one in found if one.system_attrs.get("failed_trial") == trial.number]
            assert all(one.params == trial.params for one in again)
            assert again[-1] in ended
        assert dead
        assert len({trial.user_attrs["worker"]["pid"] for trial in ended} - {killed.pid}) >= 1
        report = json.loads((project / "out/sweep.json").read_text())
    everything = said + json.dumps(report) + (project / "out/sweep.html").read_text()
    assert PASSWORD not in everything
    assert all(PASSWORD.encode() not in line for line in command_lines)
    assert report["trials"]["died"] == len(died)


def start(arguments: list[str], more: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fsq_edge", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trials_of(storage: str) -> list[optuna.trial.FrozenTrial]:
    from fsq_edge.sweep import open_storage

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    with open_storage(storage) as opened:
        try:
            return optuna.load_study(study_name="sweep", storage=opened).get_trials()
        except (KeyError, FileNotFoundError):
            return []


def finished(storage: str) -> list[optuna.trial.FrozenTrial]:
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return [trial for trial in trials_of(storage) if trial.state in ended or "why" in trial.user_attrs]


def wait_for_trial(storage: str, workers: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """Wait until one of the workers is in a trial; return that worker, stopped in the middle of it."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert all(worker.poll() is None for worker in workers), [worker.communicate() for worker in workers]
        for worker in workers:
            if worker.pid in running_pids(storage):
                worker.send_signal(signal.SIGSTOP)
                if nobody_writes(storage) and worker.pid in running_pids(storage):
                    return worker
                worker.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    raise AssertionError("no trial began")


def nobody_writes(storage: str) -> bool:
    """Return whether an SQLite file is free: who was stopped while it wrote keeps everybody else out."""
    if not storage.startswith("sqlite:///"):
        return True
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"), timeout=0.1)) as opened:
        try:
            opened.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return False
    return True


def running_pids(storage: str) -> set[int]:
    running = [trial for trial in trials_of(storage) if trial.state == optuna.trial.TrialState.RUNNING]
    return {trial.user_attrs["worker"]["pid"] for trial in running if "config" in trial.user_attrs}
