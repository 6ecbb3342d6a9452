"""The decision chain: causal, in whole hops, and the same one at a time as thousands at once."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge.tuning.chains import Scores, decide, smooth
from fsq_edge.tuning.events import NO_ANSWER
from fsq_edge_runtime.decision import UNKNOWN, DecisionChain, DecisionSettings, hops

HOP_MS = 100.0
OFTEN = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def chain_settings(draw):
    enter = draw(st.sampled_from([0.0, 0.4, 0.5, 0.7, 0.9]))
    return DecisionSettings(
        smoothing=draw(st.sampled_from(["none", "ema", "median"])),
        smoothing_ms=draw(st.sampled_from([0.0, 90.0, 300.0, 410.0, 1000.0])),
        enter=enter,
        leave=draw(st.sampled_from([0.0, enter / 2, enter])),
        dwell_ms=draw(st.sampled_from([0.0, 50.0, 100.0, 250.0, 600.0])),
        refractory_ms=draw(st.sampled_from([0.0, 100.0, 450.0, 1500.0])),
        unknown_below=draw(st.sampled_from([0.0, 0.45, 0.6])),
    )


def windows(seed: int, count: int, classes: int = 3, silent: float = 0.1) -> list[list[float] | None]:
    """Probabilities with some persistence, None for windows that abstain."""
    draw = np.random.default_rng(seed)
    favoured = np.repeat(draw.integers(0, classes, count // 5 + 1), 5)[:count]
    rows = draw.dirichlet(np.ones(classes), count)
    rows[np.arange(count), favoured] += 1.0
    rows /= rows.sum(axis=1, keepdims=True)
    return [None if draw.random() < silent else row.tolist() for row in rows]


def run(settings, rows, resets=(), hop_ms=HOP_MS):
    chain = DecisionChain(settings, hop_ms)
    labels = []
    for at, row in enumerate(rows):
        if at in resets:
            chain.reset()
        if row is None:
            chain.skip()
        labels.append(NO_ANSWER if row is None else chain.step(row)[0])
    return labels


@OFTEN
@given(settings=chain_settings(), seed=st.integers(0, 999), cut=st.integers(0, 60))
def test_a_decision_never_depends_on_later_windows(settings, seed, cut):
    rows, other = windows(seed, 60), windows(seed + 1, 60)
    assert run(settings, rows)[:cut] == run(settings, rows[:cut] + other[cut:])[:cut]


@OFTEN
@given(settings=chain_settings(), seed=st.integers(0, 999), cut=st.integers(0, 40))
def test_nothing_is_left_of_the_time_before_a_reset(settings, seed, cut):
    before, after = windows(seed, cut), windows(seed + 1, 40)
    assert run(settings, before + after, resets={cut})[cut:] == run(settings, after)


@OFTEN
@given(settings=st.lists(chain_settings(), min_size=1, max_size=6), seed=st.integers(0, 999), data=st.data())
def test_many_chains_at_once_say_what_each_says_alone(settings, seed, data):
    lengths = data.draw(st.lists(st.integers(1, 50), min_size=1, max_size=3))
    streams = [windows(seed + at, length) for at, length in enumerate(lengths)]
    resets = [set(data.draw(st.lists(st.integers(0, length - 1), max_size=3))) for length in lengths]
    scores = Scores(
        np.zeros((max(lengths), len(lengths), 3)),
        np.zeros((max(lengths), len(lengths)), dtype=bool),
        np.zeros((max(lengths), len(lengths)), dtype=bool),
    )
    for column, rows in enumerate(streams):
        for at, row in enumerate(rows):
            scores.resets[at, column] = at in resets[column]
            if row is not None:
                scores.probabilities[at, column], scores.answered[at, column] = row, True
    labels = decide(scores, settings, HOP_MS)
    assert labels.shape == (len(settings), len(lengths), max(lengths))
    for one, found in zip(settings, labels, strict=True):
        for column, rows in enumerate(streams):
            assert found[column, : len(rows)].tolist() == run(one, rows, resets[column])
            smoothed = smooth(scores, one.smoothing, one.smoothing_ms, HOP_MS)[:, column]
            chain = DecisionChain(one, HOP_MS)
            for at, row in enumerate(rows):
                if at in resets[column]:
                    chain.reset()
                if row is None:
                    chain.skip()
                else:
                    np.testing.assert_allclose(smoothed[at], chain.step(row)[1], rtol=0, atol=1e-12)


@OFTEN
@given(settings=chain_settings(), seed=st.integers(0, 999))
def test_labels_are_those_of_some_window_so_far(settings, seed):
    """No median over class ids: a label in between two others is never made up."""
    rows = windows(seed, 60, classes=5, silent=0.0)
    two = [[row[0], 0.0, 0.0, 0.0, row[4]] for row in rows]
    two = [[value / sum(row) for value in row] for row in two]
    assert set(run(settings, two)) <= {UNKNOWN, 0, 4}


@OFTEN
@given(milliseconds=st.floats(0, 5000), hop_ms=st.sampled_from([20.0, 100.0, 200.0, 333.3, 1000.0]))
def test_milliseconds_become_whole_hops(milliseconds, hop_ms):
    count = hops(milliseconds, hop_ms)
    assert count * hop_ms >= milliseconds - 1e-6
    assert (count - 1) * hop_ms < milliseconds or count == 0


@OFTEN
@given(dwell_ms=st.floats(0, 3000), hop_ms=st.sampled_from([50.0, 100.0, 200.0, 1000.0]))
def test_dwell_lasts_as_long_at_every_hop(dwell_ms, hop_ms):
    settings = DecisionSettings(dwell_ms=dwell_ms)
    rows = [[0.9, 0.1]] * (math.ceil(dwell_ms / hop_ms) + 2)
    labels = run(settings, rows, hop_ms=hop_ms)
    assert labels.index(0) == hops(dwell_ms, hop_ms)
    assert 0 <= labels.index(0) * hop_ms - dwell_ms + 1e-6 <= hop_ms + 2e-6


@OFTEN
@given(settings=chain_settings(), seed=st.integers(0, 999), silent=st.integers(20, 60))
def test_after_a_long_silence_smoothing_starts_from_the_new_window(settings, seed, silent):
    rows = windows(seed, 20, silent=0.0)
    chain = DecisionChain(settings, HOP_MS)
    for row in rows:
        chain.step(row)
    for _ in range(silent):
        chain.skip()
    new = [0.2, 0.5, 0.3]
    _, smoothed = chain.step(new)
    if settings.smoothing == "ema":
        left = math.exp(-(silent + 1) * HOP_MS / settings.smoothing_ms) if settings.smoothing_ms else 0.0
        assert max(abs(a - b) for a, b in zip(smoothed, new, strict=True)) <= left + 1e-9
    else:
        np.testing.assert_allclose(smoothed, new)
