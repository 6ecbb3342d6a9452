"""Training as the command line runs it: killed and continued, alone and on two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fsq_edge.training import load_run
from fsq_edge.training.world import ALONE
from tests.factories.training import classify, write_exercises
from tests.programs.gradients_of_shares import first_gradient

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT, *(ROOT / name for name in ("runtime", "compile", "calibration", "benchmarks"))]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def environment() -> dict[str, str]:
    path = os.pathsep.join(map(str, SOURCES))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*arguments: str) -> str:
    process = start(*arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_killed_training_continues_to_the_same_bits(tmp_path):
    _, config = write_exercises(tmp_path, training={"max_epochs": 20, "refit_epochs": 4})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finish("-m", "fsq_edge", "train", str(config), "--out", str(whole), "--quiet")
    process = start("-m", "fsq_edge", "train", str(config), "--out", str(broken), "--quiet")
    checkpoint = broken / "checkpoint.safetensors"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert checkpoint.exists()
    assert not (broken / "run.json").exists()
    out = finish("-m", "fsq_edge", "train", str(config), "--out", str(broken), "--json", "-")
    assert 1 <= json.loads(out)["resumed_after"] < 24
    for name in ("model.safetensors", "validated.safetensors", "preprocess.json"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name


def test_two_processes_have_the_gradient_of_one_on_the_same_batch(tmp_path):
    _, config = write_exercises(tmp_path, model={"dropout": 0.0})
    target = tmp_path / "gradient.npy"
    script = Path(__file__).parents[1] / "programs" / "gradients_of_shares.py"
    finish(*TORCHRUN, str(script), str(config), str(target))
    alone = first_gradient(config, tmp_path / "alone.tmp", ALONE)
    both = np.load(target, allow_pickle=False)
    assert np.abs(alone).max() > 1e-3
    np.testing.assert_allclose(both, alone, atol=1e-5)


def test_two_processes_train_one_run_as_good_as_one_process_does(tmp_path):
    _, config = write_exercises(tmp_path, training={"max_epochs": 6})
    scores = {}
    for name, launcher in (("one", []), ("two", TORCHRUN)):
        finish(*launcher, "-m", "fsq_edge", "train", str(config), "--out", str(tmp_path / name), "--quiet")
        run = load_run(tmp_path / name)
        scores[name] = classify(run.model, run.windows().test, run.preprocessor).macro_f1
    assert load_run(tmp_path / "two").record.processes == 2
    assert scores["two"] == pytest.approx(scores["one"], abs=0.02)
    assert scores["one"] > 0.9
    assert not list((tmp_path / "two").glob("*.tmp"))
