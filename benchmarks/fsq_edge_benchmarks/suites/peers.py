"""One window to its class by what a user would write or pick instead of a session, each in turns with ours.

The deep contenders run one network with one set of weights; the two classical ones are fitted on the training subjects
of watch. Whatever the others would need around them in a stream (a buffer, timestamps, gaps, smoothing) is
not timed: they are handed ready windows. Ours is handed the samples of one hop and returns a decision.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from fsq_edge.data.sources import open_dataset
from fsq_edge.deploy.export import Exported, export_model
from fsq_edge.model import Conv2dFSQ
from fsq_edge.training.split import cut_sides
from fsq_edge_benchmarks.measure.distribution import Distribution
from fsq_edge_benchmarks.measure.fixed_bundle import bundle_around
from fsq_edge_benchmarks.measure.fixed_network import fixed_preprocess
from fsq_edge_benchmarks.measure.ratio import interval_json, ratio_of_medians
from fsq_edge_benchmarks.measure.stopwatch import in_turns
from fsq_edge_benchmarks.suites.accuracy_parts.contenders import forest, rocket
from fsq_edge_benchmarks.suites.accuracy_parts.held_out import DEMO_FOLD, fold_config
from fsq_edge_benchmarks.suites.accuracy_parts.torch_loops import TorchLoops
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.backends.onnx import open_onnx
from fsq_edge_runtime.preprocess import PreprocessConfig

Classify = Callable[[Float32Array], object]  # one window (C, T), raw units, to its class

WINDOWS, QUICK_WINDOWS = 700, 11
WARM_UP: Final = 20
TREES: Final = 100  # scikit-learn's own default
QUICK_FIT: Final = 60  # training windows
WHAT: Final = {
    "ours": "one hop pushed into a session, to its decision",
    "torch_loops": "checks and scaling channel by channel in numpy, the network in eager PyTorch without gradients",
    "plain_onnxruntime": "numpy on whole arrays, model.onnx through InferenceSession.run, one thread",
    "mini_rocket": "aeon's MiniRocketClassifier.predict, 10,000 features, one thread",
    "random_forest": f"117 features in numpy and scikit-learn's RandomForestClassifier, {TREES} trees, one thread",
}


def run(quick: bool = False) -> dict[str, Any]:
    """Time every peer on windows of watch's held-out subjects, each in turns with ours.

    Args:
        quick: 11 windows and a small training set, to show that it runs.

    Returns:
        ``what`` each is; ``peers``: name -> distributions ``theirs`` and ``ours`` of the time of one window, and
        ``ratio`` of the medians, theirs over ours, with interval; ``windows``: how many were timed.
    """
    training, labels, held_out = _windows(QUICK_FIT if quick else None)
    network, exported, config = untrained_network(training)
    bundle = bundle_around(exported.encoder.SerializeToString(), exported.tail, config, training)
    mini_rocket = rocket("MiniRocketClassifier", training, labels)
    trees = forest(TREES, training, labels, config.sample_rate_hz)
    peers: dict[str, Classify] = {
        "torch_loops": TorchLoops(network, config),
        "plain_onnxruntime": plain_onnxruntime(exported, config),
        "mini_rocket": lambda window: mini_rocket(window[None]),
        "random_forest": lambda window: trees(window[None]),
    }
    torch.set_num_threads(1)  # observed: a second thread makes small networks several times slower
    half = config.window_samples - config.hop_samples
    count = QUICK_WINDOWS if quick else WINDOWS
    with bundle.open_session(backend="onnx") as session:
        session.push(np.ascontiguousarray(held_out[0].T))
        found = {
            name: _pair(
                lambda window: session.push(np.ascontiguousarray(window.T[half:])),
                classify,
                held_out,
                count,
                2 if quick else WARM_UP,
            )
            for name, classify in peers.items()
        }
    return {"what": WHAT, "windows": count, "peers": found}


def _pair(ours: Classify, theirs: Classify, windows: Float32Array, count: int, warm_up: int) -> dict[str, Any]:
    """Give each window to both, every other window in reverse order."""

    def each(classify: Classify) -> Callable[[int], object]:
        return lambda index: classify(windows[index % len(windows)])

    taken = in_turns({"theirs": each(theirs), "ours": each(ours)}, count, warm_up)
    sides = {name: Distribution.of(durations).model_dump(mode="json") for name, durations in taken.items()}
    return {**sides, "ratio": interval_json(ratio_of_medians(taken["theirs"], taken["ours"]))}


def _windows(fewer: int | None) -> tuple[Float32Array, Int64Array, Float32Array]:
    """Return training windows (N, C, T) with labels (N,), and windows of the held-out subjects."""
    sides = cut_sides(open_dataset("watch"), fold_config("watch", DEMO_FOLD))
    step = 1 if fewer is None else max(1, len(sides.train) // fewer)
    rows = np.arange(0, len(sides.train), step)
    return sides.train.gather(rows), sides.train.label[rows], sides.test.gather()


def untrained_network(training: Float32Array) -> tuple[Conv2dFSQ, Exported, PreprocessConfig]:
    """Return the default network, its graphs and its preprocessing; what it has learnt costs no time, so: nothing."""
    torch.manual_seed(0)
    network = Conv2dFSQ(training.shape[1], num_classes=7).eval()
    return network, export_model(network), fixed_preprocess(training)


def plain_onnxruntime(exported: Exported, config: PreprocessConfig) -> Classify:
    """Return the network as plain onnxruntime with numpy on whole arrays around it."""
    run = open_onnx(exported.full.SerializeToString()).run
    floor = config.zscore_floor()[:, None]
    mean, std = (np.asarray(values, np.float32)[:, None] for values in (config.mean, config.std))
    shape, clip = (1, *config.frame_shape), config.clip_sigma

    def classify(window: Float32Array) -> int:
        if not np.isfinite(window).all():
            return -1
        centred = window - window.mean(axis=1, keepdims=True)
        both = np.concatenate([window, centred / (window.std(axis=1, keepdims=True) + floor)])
        frame = np.clip((both - mean) / std, -clip, clip).reshape(shape)
        return int(run(["logits"], {"input": frame})[0].argmax())

    return classify


if __name__ == "__main__":
    sys.exit(run_command("peers", run))
