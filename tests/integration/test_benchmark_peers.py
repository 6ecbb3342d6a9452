"""The peers that run our network give our classes: only then is their time worth comparing."""

from __future__ import annotations

import numpy as np
import torch

from fsq_edge_benchmarks.measure.fixed_bundle import bundle_around
from fsq_edge_benchmarks.measure.fixed_network import motion_windows
from fsq_edge_benchmarks.suites.accuracy_parts.torch_loops import TorchLoops
from fsq_edge_benchmarks.suites.peers import plain_onnxruntime, untrained_network
from fsq_edge_benchmarks.suites.preprocessing import loop_fill, plain_zscore, windows_with_gaps
from fsq_edge_runtime.preprocess import Preprocessor


def test_the_same_window_gets_the_same_class() -> None:
    windows, threads = motion_windows(300), torch.get_num_threads()
    network, exported, config = untrained_network(windows)
    loops, plain = TorchLoops(network, config), plain_onnxruntime(exported, config)
    bundle = bundle_around(exported.encoder.SerializeToString(), exported.tail, config, windows)
    with bundle.open_session(backend="onnx") as session:
        ours = session.predict(windows).raw_labels
    for classify in (loops, plain):
        # Another order of the same arithmetic may flip a code that lies on a rounding boundary.
        assert np.mean([classify(window) for window in windows] == ours) > 0.98
    assert torch.get_num_threads() == threads
    broken = windows[0].copy()
    broken[2, 3] = np.nan
    assert loops(broken) >= 0
    broken[:2] = np.nan
    assert loops(broken) == plain(broken) == -1
    still = windows[0].copy()
    still[1] = 1.0
    assert loops(still) == -1


def test_the_baselines_of_preprocessing_compute_what_they_say() -> None:
    windows = motion_windows(50)
    scaled = plain_zscore(windows)
    np.testing.assert_allclose(scaled.mean(axis=-1), 0.0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=-1), 1.0, atol=1e-4)
    damaged = windows_with_gaps(windows)
    assert 0.005 < np.isnan(damaged).mean() < 0.02
    config = untrained_network(windows)[2]
    ours, valid = Preprocessor(config).fill_gaps(damaged)
    # Runs that touch are longer than one that is filled; everywhere else both interpolate alike.
    np.testing.assert_allclose(loop_fill(damaged)[valid], ours[valid], atol=1e-4)
    assert valid.mean() > 0.9
