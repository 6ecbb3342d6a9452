"""Where the seconds of intervals go: the parts add up, and every sample is labelled or unlabelled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsq_edge.data.labels.painting import Placed, first_overlap, paint

TIMES = st.integers(-500, 1500).map(lambda tenths: tenths / 10)
INTERVALS = st.lists(
    st.tuples(TIMES, st.integers(0, 400).map(lambda tenths: tenths / 10), st.integers(0, 3)).map(
        lambda t: Placed(t[0], t[0] + t[1], t[2])
    ),
    max_size=12,
)
SPANS = st.sampled_from([[(0.0, 100.0)], [(0.0, 30.0), (55.5, 100.0)], [(10.0, 10.1)]])


@given(INTERVALS, SPANS, st.sampled_from([0.0, 0.5, 3.0]))
def test_the_seconds_add_up_and_equal_a_count_of_fine_samples(intervals, spans, trim):
    painting = paint(intervals, spans, trim)
    seconds = painting.seconds
    parts = seconds.labelled + seconds.trimmed + seconds.overlapping + seconds.outside
    assert parts == pytest.approx(seconds.intervals, abs=1e-6)
    times = np.arange(-1000, 2500) / 10 + 0.05 / 2  # within each tenth, all borders lie on tenths or half of them
    inside = np.zeros(len(times), bool)
    for begin, end in spans:
        inside |= (times >= begin) & (times < end)
    labels = painting.at(times)
    assert (labels[~inside] == -1).all()
    expected = np.full(len(times), -1)
    for entry in intervals:
        begin, end = entry.start + trim, entry.stop - trim
        expected[(times >= begin) & (times < end)] = entry.label
    expected[~inside] = -1
    assert (labels == expected).all()
    assert seconds.labelled == pytest.approx((labels >= 0).sum() / 10, abs=0.051 * (2 * len(intervals) + 1))


@given(INTERVALS)
def test_an_overlap_is_found_exactly_when_there_is_one(intervals):
    pair = first_overlap(intervals)
    real = [
        (a, b)
        for i, a in enumerate(intervals)
        for b in intervals[i + 1 :]
        if a.label != b.label and max(a.start, b.start) < min(a.stop, b.stop)
    ]
    if pair is None:
        assert not [1 for a, b in real if a.stop > a.start and b.stop > b.start and not _touch(a, b)]
    else:
        one, two = intervals[pair[0]], intervals[pair[1]]
        assert one.label != two.label
        assert max(one.start, two.start) <= min(one.stop, two.stop)


def _touch(a, b):
    return max(a.start, b.start) >= min(a.stop, b.stop)
