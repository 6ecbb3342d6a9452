import numpy as np
import pytest
from pydantic import ValidationError

from fsq_edge_runtime.decision import UNKNOWN, DecisionChain, DecisionSettings

HOP_MS = 100.0


def run(rows, **settings):
    chain = DecisionChain(DecisionSettings(**settings), HOP_MS)
    return [
        UNKNOWN - 1 if row is None else chain.step(row)[0] for row in rows if row is not None or chain.skip() is None
    ]


def of(first):
    return (first, 1.0 - first)


def test_the_defaults_report_the_argmax():
    rows = np.random.default_rng(0).dirichlet(np.ones(4), 50).tolist()
    assert run(rows) == [int(np.argmax(row)) for row in rows]


def test_hysteresis_enters_high_and_leaves_low():
    rows = [of(0.55), of(0.75), of(0.45), of(0.31), of(0.29), of(0.55), of(0.1)]
    assert run(rows, enter=0.7, leave=0.3) == [UNKNOWN, 0, 0, 0, 1, 1, 1]
    assert run([of(0.75), of(0.35), of(0.25)], enter=0.8, leave=0.3) == [UNKNOWN, UNKNOWN, UNKNOWN]
    assert run([(0.75, 0.2, 0.05), (0.25, 0.4, 0.35)], enter=0.7, leave=0.3) == [0, UNKNOWN]


def test_dwell_wants_a_lead_of_that_many_milliseconds():
    rows = [of(0.9)] * 4 + [of(0.1)] * 3 + [of(0.9)] + [of(0.1)] * 4
    # 250 ms are three hops after the first window that leads; the single window of the old class breaks the lead.
    assert run(rows, dwell_ms=250) == [UNKNOWN] * 3 + [0] * 8 + [1]


def test_refractory_holds_a_new_label_whatever_comes():
    rows = [of(0.9)] + [of(0.1)] * 5
    assert run(rows, refractory_ms=300) == [0, 0, 0, 0, 1, 1]
    assert run(rows, refractory_ms=300, enter=0.5, leave=0.4) == [0, 0, 0, 0, 1, 1]


def test_unknown_below_reports_without_forgetting():
    rows = [of(0.9), of(0.52), of(0.9)]
    assert run(rows, unknown_below=0.6) == [0, UNKNOWN, 0]


def test_ema_and_median_smooth_the_probabilities():
    spike = [of(0.9)] * 5 + [of(0.1)] + [of(0.9)] * 3
    assert 1 in run(spike)
    assert 1 not in run(spike, smoothing="ema", smoothing_ms=300)
    assert 1 not in run(spike, smoothing="median", smoothing_ms=300)
    chain = DecisionChain(DecisionSettings(smoothing="ema", smoothing_ms=300), HOP_MS)
    chain.step(of(1.0))
    _, smoothed = chain.step(of(0.0))
    assert smoothed[0] == pytest.approx(np.exp(-1 / 3))
    assert sum(smoothed) == pytest.approx(1.0)


def test_nothing_looks_ahead():
    draw = np.random.default_rng(3)
    rows = draw.dirichlet(np.ones(3), 80).tolist()
    settings = {
        "smoothing": "median", "smoothing_ms": 500, "enter": 0.45, "leave": 0.3, "dwell_ms": 200, "refractory_ms": 300,
    }  # fmt: skip
    whole = run(rows, **settings)
    assert all(run(rows[:n], **settings) == whole[:n] for n in range(0, 80, 7))


def test_a_window_without_scores_breaks_a_lead_but_time_passes():
    lead = [of(0.9), of(0.9), None, of(0.9), of(0.9), of(0.9)]
    assert run(lead, dwell_ms=200) == [UNKNOWN, UNKNOWN, UNKNOWN - 1, UNKNOWN, UNKNOWN, 0]
    held = [of(0.9), None, None, None, of(0.1)]
    assert run(held, refractory_ms=300)[-1] == 1


def test_reset_forgets_everything():
    chain = DecisionChain(DecisionSettings(smoothing="ema", smoothing_ms=1000, refractory_ms=10_000), HOP_MS)
    chain.step(of(0.9))
    chain.reset()
    label, smoothed = chain.step(of(0.1))
    assert (label, tuple(smoothed)) == (1, of(0.1))


def test_thresholds_out_of_order_are_refused():
    with pytest.raises(ValidationError, match="above enter"):
        DecisionSettings(enter=0.3, leave=0.5)


def test_a_plain_chain_takes_the_best_class_as_a_step_would():
    rows = np.random.default_rng(5).dirichlet(np.ones(3), 200).tolist()
    stepping, taking = DecisionChain(DecisionSettings(), 100.0), DecisionChain(DecisionSettings(), 100.0)
    assert taking.plain
    assert not DecisionChain(DecisionSettings(unknown_below=0.4), 100.0).plain
    for at, row in enumerate([[0.5, 0.5, 0.0], *rows]):
        if at % 17 == 3:
            stepping.skip()
            taking.skip()
        assert taking.take(row.index(max(row))) == stepping.step(row)[0]
        assert taking.state == stepping.state
