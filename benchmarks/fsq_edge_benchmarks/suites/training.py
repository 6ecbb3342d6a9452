"""Epoch time against a bare loop of the same steps on tensors in memory, in one process, turn by turn.

python -m fsq_edge_benchmarks.suites.training [--quick]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fsq_edge.training.assembly import fit_on_training, make_loop
from fsq_edge.training.loop import make_optimizer
from fsq_edge.training.split import open_sides
from fsq_edge.training.world import ALONE
from fsq_edge_benchmarks.measure.stopwatch import in_turns
from fsq_edge_benchmarks.suites.accuracy_parts.held_out import DEMO_FOLD, fold_config
from fsq_edge_benchmarks.suites.command import run_command

ROUNDS, QUICK_ROUNDS = 7, 2


def run(quick: bool = False) -> dict[str, Any]:
    """Time epochs of the training loop and of the bare loop in turns; one torch thread each.

    Returns:
        ``bare_s``, ``epoch_s``, ``epoch_with_validation_s`` (medians of the rounds), ``ratio`` and
        ``ratio_with_validation`` (medians of the rounds' ratios), and what was timed.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        timers, facts = _timers()
        # The first round fills caches and compiles kernels.
        taken = in_turns(timers, (QUICK_ROUNDS if quick else ROUNDS) - 1, 1)
    finally:
        torch.set_num_threads(threads)
    bare, epoch = taken["bare"] / 1e9, taken["epoch"] / 1e9
    whole = epoch + taken["validation"] / 1e9
    return {
        "schema_version": 1,
        "benchmark": "training",
        **facts,
        "rounds": len(bare),
        "bare_s": float(np.median(bare)),
        "epoch_s": float(np.median(epoch)),
        "epoch_with_validation_s": float(np.median(whole)),
        "ratio": float(np.median(epoch / bare)),
        "ratio_with_validation": float(np.median(whole / bare)),
    }


def _timers() -> tuple[dict[str, Callable[[int], object]], dict[str, Any]]:
    """Return what is timed: the bare loop, a training epoch, a validation pass."""
    config = fold_config("watch", DEMO_FOLD)
    sides = open_sides(config)
    with tempfile.TemporaryDirectory() as folder:
        loop = make_loop(config, sides, fit_on_training(sides, config), ALONE, Path(folder) / "samples.tmp")
    stage = loop.validated
    batches = list(stage.feed.epoch(1))
    bare_model = type(loop.model)(6, num_classes=len(sides.train.dataset.classes))
    bare_model = bare_model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    optimiser, loss_of = make_optimizer(bare_model, config.training), nn.CrossEntropyLoss()

    def bare(_: int) -> None:
        bare_model.train()
        for frames, label in batches:
            optimiser.zero_grad(set_to_none=True)
            loss_of(bare_model(frames).logits, label).backward()
            optimiser.step()

    facts = {
        "dataset": "watch",
        "windows": len(stage.feed.windows),
        "validation_windows": len(sides.val),
        "batch_size": stage.feed.batch_size,
        "steps": stage.feed.steps,
    }
    return {"bare": bare, "epoch": lambda _: loop.train_epoch(stage), "validation": lambda _: loop.check(stage)}, facts


if __name__ == "__main__":
    sys.exit(run_command("training", run))
