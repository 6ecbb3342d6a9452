"""Epoch time against a bare loop of the same steps on tensors in memory, in one process, turn by turn.

python -m fsq_edge_benchmarks.suites.training [--quick]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LIMIT = 1.3  # times the bare loop; the rest is reading, augmentation, preprocessing, clipping and bookkeeping
ROUNDS, QUICK_ROUNDS = 7, 2


def run(quick: bool = False) -> dict[str, Any]:
    """Time epochs of the training loop and of the bare loop in turns; one torch thread each.

    Args:
        quick: two rounds, to show that it runs.

    Returns:
        ``bare_s``, ``epoch_s``, ``epoch_with_validation_s`` (medians of the rounds), ``ratio`` and
        ``ratio_with_validation`` (medians of the rounds' ratios), ``limit``, ``within_limit``, and what was timed.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        timers, facts = _timers()
        rounds = [
            {name: _seconds(work) for name, work in timers.items()} for _ in range(QUICK_ROUNDS if quick else ROUNDS)
        ]
    finally:
        torch.set_num_threads(threads)
    # The first round fills caches and compiles kernels.
    rounds = rounds[1:]
    ratio = float(np.median([(one["epoch"]) / one["bare"] for one in rounds]))
    whole = float(np.median([(one["epoch"] + one["validation"]) / one["bare"] for one in rounds]))
    return {
        "schema_version": 1,
        "benchmark": "training",
        **facts,
        "rounds": len(rounds),
        "bare_s": float(np.median([one["bare"] for one in rounds])),
        "epoch_s": float(np.median([one["epoch"] for one in rounds])),
        "epoch_with_validation_s": float(np.median([one["epoch"] + one["validation"] for one in rounds])),
        "ratio": ratio,
        "ratio_with_validation": whole,
        "limit": LIMIT,
        "within_limit": ratio <= LIMIT,
    }


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _timers() -> tuple[dict[str, Callable[[], object]], dict[str, Any]]:
    """Return what is timed: the bare loop, a training epoch, a validation pass."""
    import torch
    from torch import nn

    from fsq_edge.training import load_config
    from fsq_edge.training.assembly import fit_on_training, make_loop
    from fsq_edge.training.loop import make_optimizer
    from fsq_edge.training.split import open_sides
    from fsq_edge.training.world import ALONE

    config = load_config(None, {"data": {"source": "watch", "test_subjects": ["5", "6"]}})
    sides = open_sides(config)
    with tempfile.TemporaryDirectory() as folder:
        loop = make_loop(config, sides, fit_on_training(sides, config), ALONE, Path(folder) / "samples.tmp")
    stage = loop.validated
    batches = list(stage.feed.epoch(1))
    bare_model = type(loop.model)(6, num_classes=len(sides.train.dataset.classes))
    bare_model = bare_model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    optimiser, loss_of = make_optimizer(bare_model, config.training), nn.CrossEntropyLoss()

    def bare() -> None:
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
    return {"bare": bare, "epoch": lambda: loop.train_epoch(stage), "validation": lambda: loop.check(stage)}, facts


def main() -> int:
    """Print the result as JSON; exit 1 beyond the limit."""
    result = run(quick="--quick" in sys.argv[1:])
    print(json.dumps(result, indent=2))
    return 0 if result["within_limit"] else 1


if __name__ == "__main__":
    sys.exit(main())
