"""Run by torchrun: the averaged gradient of every process's share of one batch, written by the first process.

Arguments: the run configuration (YAML) and the file to write.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fsq_edge.training import load_config
from fsq_edge.training.assembly import fit_on_training
from fsq_edge.training.augmentation import Augmenter
from fsq_edge.training.feed import TrainingFeed, pack
from fsq_edge.training.run import build_model
from fsq_edge.training.split import open_sides
from fsq_edge.training.world import World, join_world
from fsq_edge_runtime.preprocess import Preprocessor


def first_gradient(config_path: Path, spill: Path, world: World) -> np.ndarray:
    """The gradient of the first batch of epoch 1, dropout off and BatchNorm's statistics frozen."""
    config = load_config(config_path)
    sides = open_sides(config)
    preprocess = fit_on_training(sides, config)
    torch.manual_seed(0)
    model = build_model(config, 6, 3, preprocess).eval()
    windows = pack(sides.train, 100.0, memory_bytes=1 << 30, spill=spill, world=world)
    dataset = sides.train.dataset
    feed = TrainingFeed(
        windows,
        Preprocessor(preprocess),
        Augmenter(dataset.channels, dataset.mirror),
        config.augmentation,
        batch_size=32,
        seed=0,
        world=world,
    )
    frames, label = next(iter(feed.epoch(1)))
    assert len(label) == 32 // world.size
    nn.functional.cross_entropy(model(frames).logits, label).backward()
    world.average_gradients(model.parameters())
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).numpy()


if __name__ == "__main__":
    torch.set_num_threads(1)
    with join_world("cpu") as world:
        target = Path(sys.argv[2])
        gradient = first_gradient(Path(sys.argv[1]), target.with_suffix(".tmp"), world)
        if world.leads:
            np.save(target, gradient)
