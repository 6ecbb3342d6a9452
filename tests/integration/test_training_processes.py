"""Training as the command line runs it: killed and continued, alone and on two processes."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fsq_edge.training import load_run
from fsq_edge.training.world import ALONE
from tests.factories.training import classify, write_exercises
from tests.programs.gradients_of_shares import first_gradient

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT, *(ROOT / name for name in ("runtime", "compile", "calibration", "benchmarks"))]
WEIGHTS_WITHIN = 2e-5  # sums of float32 in another order
# A bias in front of a BatchNorm has no gradient but rounding, which Adam takes full steps along; the norm takes it out.
NO_GRADIENT = ("projection.bias", "projection_norm.running_mean")
# A training that ends itself soon after a checkpoint: from outside, a busy machine would do it when it is over.
KILLED = """
import os, signal, threading
from fsq_edge.cli.main import main
from fsq_edge.training.checkpoint import Checkpoint
write = Checkpoint.write
def killed(self, path):
    write(self, path)
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGKILL)).start()
Checkpoint.write = killed
main()
"""
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
    process = start("-c", KILLED, "train", str(config), "--out", str(broken), "--quiet")
    _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, err
    assert (broken / "checkpoint.safetensors").exists()
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


def nodes(port: int) -> list[list[str]]:
    """The words of two machines with a process each, here both on the loopback."""
    shared = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1"]
    return [[*shared, "--master-port", str(port), "--node-rank", str(rank)] for rank in (0, 1)]


def test_two_machines_train_the_run_that_one_process_trains(tmp_path):
    # More samples than may stay in memory, so that every process reads its share from the disk.
    _, config = write_exercises(tmp_path, training={"max_epochs": 4, "refit_epochs": 2}, data={"memory_mb": 0})
    words = ["-m", "fsq_edge", "train", str(config), "--quiet", "--out"]
    finish(*words, str(tmp_path / "one"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [start(*node, *words, str(tmp_path / "two")) for node in nodes(port)]
    for process in started:
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    one, two = load_run(tmp_path / "one"), load_run(tmp_path / "two")
    assert (one.record.processes, two.record.processes) == (1, 2)
    assert not list((tmp_path / "two").glob("*.tmp"))
    for mine, other in zip(one.history, two.history, strict=True):
        assert other.train_loss == pytest.approx(mine.train_loss, rel=1e-5)
    weights = one.model.state_dict()
    for name, value in two.model.state_dict().items():
        if name in NO_GRADIENT:
            continue
        np.testing.assert_allclose(value.numpy(), weights[name].numpy(), atol=WEIGHTS_WITHIN, err_msg=name)
    scores = [classify(run.model, run.windows().test, run.preprocessor).macro_f1 for run in (one, two)]
    assert scores[1] == pytest.approx(scores[0], abs=0.01)
    assert scores[0] > 0.9
