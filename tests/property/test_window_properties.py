"""Windows and splits hold for any recordings: pure, inside one recording, never shared, never lost."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge.data import cut_windows
from fsq_edge.data.splitting.leaks import check_leaks
from fsq_edge.data.splitting.splits import split_by_subject, split_temporal
from fsq_edge_runtime.errors import DataError
from tests.factories.recordings import make_dataset, make_recording

CHECK = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@st.composite
def datasets(draw):
    recordings = []
    for number in range(draw(st.integers(1, 5))):
        runs = draw(st.lists(st.tuples(st.integers(-1, 1), st.integers(1, 40)), min_size=1, max_size=5))
        labels = np.concatenate([np.full(length, label) for label, length in runs])
        steps = draw(st.lists(st.sampled_from([0.02, 0.02, 0.02, 0.09, 0.5, -1.0]), min_size=5, max_size=5))
        timestamps = None
        if draw(st.booleans()):
            timestamps = np.cumsum(np.resize(steps, len(labels)))
        recordings.append(
            make_recording(
                f"r{number}",
                n=len(labels),
                labels=labels,
                subject=str(number),
                seed=number,
                timestamps=timestamps,
            )
        )
    return make_dataset(recordings)


@CHECK
@given(datasets(), st.integers(1, 30), st.integers(1, 20))
def test_every_window_is_pure_unbroken_and_verbatim(dataset, window, hop):
    try:
        index = cut_windows(dataset, window, hop)
    except DataError:
        return
    gathered = index.gather()
    for row in range(len(index)):
        recording = dataset.recordings[index.recording[row]]
        inside = slice(index.start[row], index.start[row] + window)
        assert index.start[row] + window <= len(recording)
        assert set(recording.labels[inside].tolist()) == {int(index.label[row])}
        assert index.subject[row] == recording.subject
        np.testing.assert_array_equal(gathered[row], recording.samples[inside].T)
        if recording.timestamps is not None:
            step = np.diff(recording.timestamps[inside])
            assert ((step >= 0) & (step <= 0.1)).all()


@CHECK
@given(datasets(), st.integers(1, 30), st.integers(1, 20))
def test_windows_are_used_mixed_or_unlabelled_and_none_is_lost(dataset, window, hop):
    whole = make_dataset(
        [
            make_recording(f"r{i}", n=len(r), labels=r.labels, subject=r.subject)
            for i, r in enumerate(dataset.recordings)
        ]
    )
    try:
        index = cut_windows(whole, window, hop)
    except DataError:
        return
    possible = sum(max(0, (len(r) - window) // hop + 1) for r in whole.recordings)
    assert len(index) + index.n_mixed + index.n_unlabelled == possible


@CHECK
@given(datasets(), st.integers(1, 10), st.integers(1, 10), st.data())
def test_gathering_in_chunks_equals_gathering_at_once(dataset, window, hop, data):
    try:
        index = cut_windows(dataset, window, hop)
    except DataError:
        return
    size = data.draw(st.integers(1, len(index)))
    rows = np.arange(len(index))
    parts = [index.gather(rows[begin : begin + size]) for begin in range(0, len(index), size)]
    np.testing.assert_array_equal(np.concatenate(parts), index.gather())


@CHECK
@given(st.integers(3, 12), st.integers(0, 5), st.floats(0.05, 0.9), st.data())
def test_subject_splits_share_nothing_and_lose_nothing(n_subjects, seed, share, data):
    dataset = make_dataset([make_recording(f"r{i}", n=4, subject=str(i % n_subjects)) for i in range(2 * n_subjects)])
    test = data.draw(st.sets(st.sampled_from(dataset.subjects), min_size=1, max_size=n_subjects - 2))
    split = split_by_subject(dataset, test, val_share=share, seed=seed)
    sides = [set(side.subjects) for side in (split.train, split.val, split.test)]
    assert sides[2] == test
    assert sum(len(side) for side in sides) == len(set.union(*sides)) == n_subjects
    kept = sorted(r.recording_id for side in (split.train, split.val, split.test) for r in side.recordings)
    assert kept == sorted(r.recording_id for r in dataset.recordings)


@CHECK
@given(st.lists(st.integers(1, 400), min_size=1, max_size=4), st.integers(1, 20), st.integers(0, 20))
def test_temporal_splits_never_let_windows_touch(lengths, window, more):
    dataset = make_dataset([make_recording(f"r{i}", n=n) for i, n in enumerate(lengths)])
    try:
        split = split_temporal(dataset, window, window + more)
    except DataError:
        return
    sides = [cut_windows(side, window, 1) for side in (split.train, split.val, split.test)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert check_leaks(sides[a], sides[b], keep_apart="interval", gap_samples=window + more).clean


@CHECK
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100), st.integers(1, 40)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100), st.integers(1, 40)), min_size=1, max_size=8),
    st.integers(0, 15),
)
def test_the_leak_check_agrees_with_comparing_every_pair(first, second, gap):
    sources = [make_recording(f"w{i}", n=140) for i in range(3)]

    def side(parts):
        unique = sorted(set(parts))
        return make_dataset([sources[s].part(start, start + length) for s, start, length in unique]), unique

    (train, a), (test, b) = side(first), side(second)
    expected = sum(
        any(s == s2 and start < s2_start + n2 + gap and s2_start < start + n + gap for s2, s2_start, n2 in a)
        for s, start, n in b
    )
    assert check_leaks(train, test, keep_apart="interval", gap_samples=gap).n_overlaps == expected
