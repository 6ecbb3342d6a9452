"""The training benchmarks run, agree with themselves and say what they measured."""

import numpy as np
import pytest

from fsq_edge_benchmarks.suites import accuracy, training
from fsq_edge_benchmarks.suites.accuracy_parts.contenders import motion_features
from fsq_edge_benchmarks.suites.registry import suite_named


def test_accuracy_compares_on_the_same_subjects():
    result = accuracy.run(quick=True)
    ours, forest = result["contenders"].values()
    assert ours["parameters"] <= 100_000
    assert 0.5 < ours["macro_f1"] <= 1
    assert 0.5 < forest["macro_f1"] <= 1
    assert ours["ours_minus_this"] == {"macro_f1": 0, "low": 0, "high": 0, "share_of_draws_not_ahead": 1}
    paired = forest["ours_minus_this"]
    assert paired["low"] <= paired["macro_f1"] <= paired["high"]
    assert len(suite_named("accuracy").lines(result)) == len(suite_named("accuracy").figures)


def test_training_names_its_ratio():
    result = training.run(quick=True)
    assert result["ratio"] > 0
    assert result["ratio_with_validation"] > result["ratio"]
    assert result["steps"] == result["windows"] // result["batch_size"]


def test_features_of_known_signals():
    time = np.arange(100) / 50.0
    windows = np.zeros((1, 6, 100), np.float32)
    windows[0, 0] = 2 * np.sin(2 * np.pi * 5 * time)
    windows[0, 2] = 1.0
    features = motion_features(windows, 50.0).reshape(9, 13)
    assert features.size == 117
    assert features[0, 1] == pytest.approx(np.sqrt(2), rel=1e-3)
    assert features[0, 11] == pytest.approx(5.0)
    assert features[2, 0] == pytest.approx(1.0)
    assert features[0, 12] < 0.1
