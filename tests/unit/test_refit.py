from __future__ import annotations

import numpy as np
import pytest

from fsq_edge_compile.int8.refit import match_share, refit_int8
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tail import FsqTail

RNG = np.random.default_rng(0)
TAIL = FsqTail([8, 6, 5], 3 * RNG.normal(size=(240, 4)).astype(np.float32))
T = RNG.uniform(-1, 1, (400, 3)).astype(np.float32)
LABELS = np.where(RNG.random(400) < 0.7, TAIL.logits(T).argmax(axis=1), RNG.integers(0, 4, 400))
GROUPS = np.repeat(["a", "b"], 200)
SETTINGS = DecisionSettings(enter=0.7, leave=0.4, unknown_below=0.5, smoothing="ema", smoothing_ms=2000.0)


def test_equal_scores_keep_every_threshold() -> None:
    scores = RNG.random(500)
    assert match_share(0.6, scores, scores) == pytest.approx(0.6, abs=1e-12)


def test_a_moved_threshold_is_passed_by_as_many() -> None:
    scores = RNG.beta(5, 2, 5000)
    other = np.clip(scores * 0.9 - 0.02, 0, 1)
    moved = match_share(0.7, scores, other)
    assert (other >= moved).mean() == pytest.approx((scores >= 0.7).mean(), abs=0.01)


def test_the_temperature_is_fitted_on_the_int8_outputs() -> None:
    noisy = (T + RNG.normal(0, 0.2, T.shape)).clip(-1, 1).astype(np.float32)
    refit = refit_int8(TAIL, DecisionSettings(), T, noisy, LABELS, GROUPS, hop_ms=1000.0)
    assert refit.tail.temperature == refit.temperature_int8.value
    # Noisier answers deserve less confidence.
    assert refit.temperature_int8.value > 1.1 * refit.temperature_float.value
    assert np.array_equal(refit.tail.table, TAIL.table)
    assert refit.decision == DecisionSettings()
    assert refit.thresholds == {}


def test_thresholds_in_use_move_and_stay_in_order() -> None:
    noisy = (T + RNG.normal(0, 0.2, T.shape)).clip(-1, 1).astype(np.float32)
    refit = refit_int8(TAIL, SETTINGS, T, noisy, LABELS, GROUPS, hop_ms=1000.0)
    assert set(refit.thresholds) == {"enter", "leave", "unknown_below"}
    assert refit.decision.enter != SETTINGS.enter
    assert refit.decision.leave <= refit.decision.enter
    assert refit.decision.smoothing_ms == SETTINGS.smoothing_ms
    assert refit.to_dict()["thresholds"]["enter"] == [0.7, refit.decision.enter]


def test_a_temperature_in_the_decision_settings_is_replaced() -> None:
    given = DecisionSettings(temperature=2.0)
    refit = refit_int8(TAIL, given, T, T, LABELS, GROUPS, hop_ms=1000.0)
    assert refit.decision.temperature == refit.temperature_int8.value


def test_windows_too_easy_for_a_fit_keep_the_float_temperature() -> None:
    tail = FsqTail([8, 6, 5], TAIL.table, 1.7)
    sure = tail.logits(T).argmax(axis=1)
    refit = refit_int8(tail, DecisionSettings(), T, T, sure, GROUPS, hop_ms=1000.0)
    assert refit.temperature_int8.at_limit
    assert refit.tail.temperature == 1.7


def test_too_few_windows_are_refused() -> None:
    with pytest.raises(DataError, match="49 held-out windows"):
        refit_int8(TAIL, SETTINGS, T[:49], T[:49], LABELS[:49], GROUPS[:49], hop_ms=1000.0)
    with pytest.raises(DataError):
        refit_int8(TAIL, SETTINGS, T, T[:300], LABELS, GROUPS, hop_ms=1000.0)
