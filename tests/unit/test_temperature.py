"""The temperature is positive, restores what was scaled away, and never changes an answer."""

import numpy as np
import pytest
import torch

from fsq_edge.evaluation.reliability import reliability_of
from fsq_edge_compile.int8.temperature import HIGHEST, LOWEST, fit_temperature
from fsq_edge_runtime.tail import softmax


def calibrated(n=20_000, seed=0):
    """Logits whose softmax is the true distribution of the labels."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, 5)).astype(np.float32)
    labels = (softmax(logits).cumsum(axis=1) < rng.uniform(size=(n, 1))).sum(axis=1).clip(max=4)
    return logits, labels


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_scale_of_the_logits_is_found_again(scale):
    logits, labels = calibrated()
    fitted = fit_temperature(logits * np.float32(scale), labels, ["7", "8"])
    assert fitted.value == pytest.approx(scale, rel=0.03)
    assert fitted.groups == ("7", "8")
    assert fitted.n == len(labels)
    assert fitted.log_loss_after <= fitted.log_loss_before
    assert not fitted.at_limit


def test_it_is_the_minimum_that_a_gradient_method_finds():
    logits, labels = calibrated(2000, seed=3)
    parameter = torch.zeros((), dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([parameter], line_search_fn="strong_wolfe", tolerance_grad=1e-10, tolerance_change=1e-15)
    z, y = torch.from_numpy(3 * logits.astype(np.float64)), torch.from_numpy(labels)

    def closure():
        solver.zero_grad()
        loss = torch.nn.functional.cross_entropy(z / parameter.exp(), y)
        loss.backward()
        return loss

    solver.step(closure)
    fitted = fit_temperature(3 * logits, labels, ["a"])
    assert fitted.value == pytest.approx(float(parameter.detach().exp()), rel=1e-5)
    assert fitted.log_loss_after == pytest.approx(closure().item(), rel=1e-9)


def test_overconfidence_on_other_windows_shrinks():
    logits, labels = calibrated()
    logits = 4 * logits
    fitted = fit_temperature(logits[:10_000], labels[:10_000], ["a"])
    before = reliability_of(softmax(logits[10_000:]), labels[10_000:]).ece
    after = reliability_of(softmax(logits[10_000:], fitted.value), labels[10_000:]).ece
    assert after < before / 5


def test_answers_that_are_all_wrong_end_at_the_bound_and_never_below_zero():
    logits = np.tile(np.array([[5.0, 0.0]]), (50, 1))
    fitted = fit_temperature(logits, np.ones(50, np.int64), ["a"])
    assert fitted.at_limit
    assert fitted.value == pytest.approx(HIGHEST, rel=1e-6)


def test_answers_that_are_all_right_end_at_the_other_bound():
    fitted = fit_temperature(np.tile(np.array([[5.0, 0.0]]), (50, 1)), np.zeros(50, np.int64), ["a"])
    assert fitted.at_limit
    assert fitted.value == pytest.approx(LOWEST, rel=1e-6)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [(np.empty((0, 2)), np.empty(0, int)), (np.array([[np.nan, 0.0]]), np.zeros(1, int)), (np.ones((2, 2)), [0])],
)
def test_nothing_to_fit_is_refused(logits, labels):
    with pytest.raises(ValueError, match="finite logits"):
        fit_temperature(logits, np.asarray(labels), [])
