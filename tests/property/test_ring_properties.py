"""The window that reaches the network is the stretch of the stream that its number says, whatever the buffer does."""

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsq_edge_runtime.bundle.bundle import Bundle
from tests.factories.bundles import motion, preprocess_config, random_bundle

SLOWLY = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
TOTAL = 2400


@cache
def bundle(window: int, hop: int) -> Bundle:
    return random_bundle(preprocess=preprocess_config(window_samples=window, hop_samples=hop))


@SLOWLY
@given(
    shape=st.sampled_from([(40, 16), (40, 20), (40, 40), (20, 60), (20, 19), (30, 1)]),
    usual=st.integers(1, 70),
    others=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 130)), max_size=6),
    seed=st.integers(0, 99),
)
def test_the_window_is_the_stretch_that_its_number_says(shape, usual, others, seed):
    window, hop = shape
    samples, at, push, seen = motion(TOTAL, seed=seed), 0, 0, 0
    odd = dict(others)
    with bundle(window, hop).open_session("onnx", deadline_ms=0.0) as session:
        while at < TOTAL:
            n = odd.get(push, usual)
            decisions = session.push(samples[at : at + n])
            at, push = at + n, push + 1
            if decisions:
                start = decisions[-1].seq * hop
                seen += len(decisions)
                looked_at = session.backend.window_graph.windows[-1]
                np.testing.assert_array_equal(looked_at, samples[start : start + window].T)
    assert seen == 1 + (TOTAL - window) // hop


@pytest.mark.parametrize(
    ("window", "hop", "usual", "others"),
    [
        (40, 60, 60, [(4, 110)]),  # behind the front there is no room for it
        (10, 13, 14, []),  # the window that is due begins at the front
    ],
)
def test_a_push_longer_than_a_window_does_not_go_to_the_front(window, hop, usual, others):
    test_the_window_is_the_stretch_that_its_number_says.hypothesis.inner_test((window, hop), usual, others, 0)
