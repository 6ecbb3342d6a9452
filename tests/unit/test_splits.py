from dataclasses import replace

import numpy as np
import pytest

from fsq_edge.data import cut_windows, read_folder, write_folder
from fsq_edge.data.splitting.folds import folds_by_recording, folds_by_subject, folds_temporal
from fsq_edge.data.splitting.leaks import check_leaks, refuse_leaks
from fsq_edge.data.splitting.splits import split_as_declared, split_by_recording, split_by_subject, split_temporal
from fsq_edge.data.splitting.window_split import split_windows_at_random
from fsq_edge_runtime.errors import DataError, UsageError
from tests.factories.recordings import make_dataset, make_recording


def test_by_subject_takes_a_seeded_share_of_the_others_for_validation():
    split = split_by_subject(make_dataset(), ["5", "6"], seed=3)
    assert split.test.subjects == ("5", "6")
    assert len(split.val.subjects) == 1
    assert set(split.train.subjects) | set(split.val.subjects) == {"1", "2", "3", "4"}
    assert split.val.subjects == split_by_subject(make_dataset(), ["5", "6"], seed=3).val.subjects
    assert f"validation {split.val.subjects[0]} (seeded 20% of the others, seed 3)" in split.description
    others = {split_by_subject(make_dataset(), ["5", "6"], seed=seed).val.subjects for seed in range(8)}
    assert len(others) > 1


def test_by_subject_with_given_validation():
    split = split_by_subject(make_dataset(), ["1"], ["2", "3"])
    assert (split.train.subjects, split.val.subjects) == (("4", "5", "6"), ("2", "3"))
    assert (len(split.train.recordings), split.train.n_samples) == (6, 1800)


@pytest.mark.parametrize(
    ("test", "val", "words"),
    [
        (["9"], None, "unknown test subject 9"),
        (["1"], ["x"], "unknown validation subject x"),
        ([], None, "no test subject given"),
        (["1"], ["1", "2"], "subject 1 is asked for in both"),
        (["1", "2", "3", "4", "5"], None, "1 subject left"),
        (["1", "2", "3"], ["4", "5", "6"], "no subject is left to train on"),
    ],
)
def test_by_subject_refusals(test, val, words):
    with pytest.raises(UsageError) as caught:
        split_by_subject(make_dataset(), test, val)
    assert words in caught.value.message
    if "unknown" in words:
        assert "1, 2, 3, 4, 5, 6" in caught.value.hint


def test_by_recording_takes_every_class_in_proportion():
    split = split_by_recording(make_dataset(), test_share=1 / 3, val_share=0.25, seed=1)
    sides = [{r.recording_id for r in side.recordings} for side in (split.train, split.val, split.test)]
    assert [len(side) for side in sides] == [6, 2, 4]
    assert len(set.union(*sides)) == 12
    for side in (split.val, split.test):
        labels = [int(r.labels[0]) for r in side.recordings]
        assert labels.count(0) == labels.count(1)


def test_parts_of_one_recording_stay_together():
    whole = [make_recording(f"r{i}", n=400, label=i % 2) for i in range(6)]
    parts = [recording.part(a, a + 100) for recording in whole for a in range(0, 400, 100)]
    split = split_by_recording(make_dataset(parts))
    origins = [{r.origin for r in side.recordings} for side in (split.train, split.val, split.test)]
    assert sum(len(side) for side in origins) == 6


def test_temporal_keeps_the_gap_and_the_order():
    split = split_temporal(make_dataset([make_recording(n=1000)]), 50, 60)
    train, val, test = (side.recordings[0] for side in (split.train, split.val, split.test))
    assert train.source_start == 0
    assert val.source_start - len(train) == 60
    assert test.source_start - (val.source_start + len(val)) == 60
    assert test.source_start + len(test) == 1000


def test_temporal_refuses_a_gap_below_a_window_and_short_recordings():
    with pytest.raises(UsageError, match="shorter than a window"):
        split_temporal(make_dataset(), 100, 99)
    with pytest.raises(DataError, match="no recording is long enough"):
        split_temporal(make_dataset(), 100, 100)


def test_a_class_that_training_never_sees_is_noted():
    labels = np.repeat([0, 1], [800, 200])
    split = split_temporal(make_dataset([make_recording(n=1000, labels=labels)]), 20, 20)
    assert "classes in the test but not in training: walk" in split.notes


def test_declared_sides():
    recordings = [make_recording(f"{s}{i}", session=s, subject=s) for s in ("train", "val", "test") for i in range(2)]
    split = split_as_declared(make_dataset(recordings))
    assert [len(side.recordings) for side in (split.train, split.val, split.test)] == [2, 2, 2]
    assert "cannot be checked" in split.notes[-1]
    with pytest.raises(DataError, match="no session 'test'"):
        split_as_declared(make_dataset(recordings[:4]))


def test_declared_sides_that_overlap_are_refused():
    whole = make_recording("w", n=300)
    recordings = [replace(whole.part(a, a + 100), session=s) for a, s in ((0, "train"), (100, "val"), (50, "test"))]
    with pytest.raises(DataError, match="leaks between train and"):
        split_as_declared(make_dataset(recordings))


def test_declared_sides_are_held_to_what_they_keep_apart():
    whole = make_recording("w", n=300)
    sides = [("train", 0), ("val", 100), ("test", 200)]
    in_time = split_as_declared(make_dataset([replace(whole.part(a, a + 100), session=s) for s, a in sides]))
    assert in_time.keep_apart == "interval"
    assert "recordings, but no sample" in in_time.description
    by_recording = split_as_declared(make_dataset([make_recording(s, session=s) for s, _ in sides]))
    assert by_recording.keep_apart == "recording"


def test_folds_hold_out_everything_once():
    dataset = make_dataset()
    by_subject = folds_by_subject(dataset, 3)
    assert sorted(s for split in by_subject for s in split.test.subjects) == list("123456")
    by_recording = folds_by_recording(dataset, 4)
    held_out = sorted(r.recording_id for split in by_recording for r in split.test.recordings)
    assert held_out == sorted(r.recording_id for r in dataset.recordings)
    assert all({int(r.labels[0]) for r in split.test.recordings} == {0, 1} for split in by_recording)


def test_temporal_folds_are_apart_in_every_recording():
    dataset = make_dataset([make_recording(f"r{i}", n=1000, subject=str(i)) for i in range(3)])
    splits = folds_temporal(dataset, 4, 50, 50)
    covered = sorted({(r.origin, r.source_start) for split in splits for r in split.test.recordings})
    assert len(covered) == 12
    for split in splits:
        train = cut_windows(split.train, 50, 10)
        test = cut_windows(split.test, 50, 10)
        assert check_leaks(train, test, keep_apart="interval", gap_samples=50).clean


@pytest.mark.parametrize(
    "call",
    [
        lambda d: folds_by_subject(d, 7),
        lambda d: folds_by_subject(d, 1),
        lambda d: folds_by_recording(d, 13),
        lambda d: folds_temporal(d, 2, 50, 50),
        lambda d: split_by_recording(d, test_share=1.5),
        lambda d: split_temporal(d, 10, 10, val_share=0),
    ],
)
def test_counts_that_cannot_be_are_usage_errors(call):
    with pytest.raises(UsageError):
        call(make_dataset())


def test_a_random_split_of_overlapping_windows_is_refused_unless_forced_and_then_marked():
    index = cut_windows(make_dataset(), 100, 50)
    with pytest.raises(UsageError, match="over samples that training sees"):
        split_windows_at_random(index)
    forced = split_windows_at_random(index, force=True)
    assert forced.forced
    assert "FORCED" in forced.description
    apart = split_windows_at_random(cut_windows(make_dataset(), 100, 100))
    assert not apart.forced
    assert len(apart.train) + len(apart.test) == 36


def test_why_random_splits_of_overlapping_windows_are_refused():
    """Labels of pure noise per recording are recalled from overlapping neighbours, and are chance by recording."""
    rng = np.random.default_rng(0)
    classes = tuple("abcd")
    recordings = [
        make_recording(f"r{i}", n=600, label=int(rng.integers(4)), seed=i, subject=str(i % 8)) for i in range(40)
    ]
    index = cut_windows(make_dataset(recordings, classes=classes), 100, 25)
    windows = index.gather().reshape(len(index), -1)

    def nearest(train, test, stride):
        # Compare at every shift of the hop, so an overlapping neighbour matches exactly on what it shares.
        def keys(rows, lag):
            cube = windows[rows].reshape(-1, 3, 100)
            return cube[:, :, lag : lag + 50].reshape(len(rows), -1)

        best = np.full(len(test), np.inf)
        label = np.zeros(len(test), int)
        for lag_a in range(0, 51, stride):
            for lag_b in range(0, 51, stride):
                a, b = keys(train, lag_a), keys(test, lag_b)
                distance = (b**2).sum(1)[:, None] + (a**2).sum(1)[None] - 2 * b @ a.T
                closest = distance.argmin(1)
                value = distance[np.arange(len(b)), closest]
                label = np.where(value < best, index.label[train][closest], label)
                best = np.minimum(best, value)
        return (label == index.label[test]).mean()

    order = rng.permutation(len(index))
    random_score = nearest(order[168:], order[:168], 25)
    by_recording = np.flatnonzero(index.recording % 5 != 0), np.flatnonzero(index.recording % 5 == 0)
    assert random_score > 0.99
    assert nearest(*by_recording, 25) < 0.5


def test_leak_report_says_what_is_shared():
    dataset = make_dataset()
    report = check_leaks(dataset.select(["1", "2"]), dataset.select(["2", "3"]))
    assert report.shared_subjects == ("2",)
    assert report.shared_recordings == ("s2-0", "s2-1")
    assert report.n_overlaps == 2
    assert not report.clean
    with pytest.raises(DataError, match="leaks between train and val"):
        refuse_leaks({"train": dataset, "val": dataset.select(["1"]), "test": dataset.select(["2"])})


def test_shared_subjects_are_a_leak_only_by_subject():
    dataset = make_dataset()
    first = make_dataset(dataset.recordings[:1])
    second = make_dataset(dataset.recordings[1:2])
    assert not check_leaks(first, second).clean
    assert check_leaks(first, second, keep_apart="recording").clean


@pytest.mark.parametrize(("start", "gap", "clean"), [(100, 0, True), (99, 0, False), (100, 1, False), (120, 20, True)])
def test_the_gap_counts_samples_between_intervals(start, gap, clean):
    whole = make_recording("w", n=300)
    train, test = make_dataset([whole.part(0, 100)]), make_dataset([whole.part(start, start + 50)])
    for a, b in ((train, test), (test, train)):
        assert check_leaks(a, b, keep_apart="interval", gap_samples=gap).clean is clean


def test_splits_of_a_mapped_folder_load_nothing(tmp_path):
    write_folder(make_dataset(), tmp_path / "d")
    split = split_by_subject(read_folder(tmp_path / "d"), ["1"])
    assert all(not r.samples.flags.owndata for r in split.train.recordings)
