import numpy as np
import pytest

from fsq_edge.data import Channel, Dataset
from fsq_edge_runtime.errors import DataError, UsageError
from tests.factories.recordings import CHANNELS, make_dataset, make_recording


def test_subjects_are_sorted_as_numbers_then_names():
    dataset = make_dataset([make_recording(f"r{s}", subject=s) for s in ("10", "rex", "2", "1", "ada")])
    assert dataset.subjects == ("1", "2", "10", "ada", "rex")


def test_select_keeps_whole_subjects_and_shares_samples():
    dataset = make_dataset()
    chosen = dataset.select(["2", "5"])
    assert [r.recording_id for r in chosen.recordings] == ["s2-0", "s2-1", "s5-0", "s5-1"]
    assert np.shares_memory(chosen.recordings[0].samples, dataset.recordings[2].samples)
    assert chosen.n_samples == 1200


@pytest.mark.parametrize("wanted", [["7"], []])
def test_select_names_the_known_subjects(wanted):
    with pytest.raises(UsageError) as caught:
        make_dataset().select(wanted)
    assert "1, 2, 3, 4, 5, 6" in caught.value.hint


def test_part_remembers_its_source():
    part = make_recording("r", n=100).part(10, 60).part(5, 20)
    assert (part.origin, part.source_start, len(part)) == ("r", 15, 15)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": np.zeros((4, 3, 1), np.float32)}, "must be (n, channels)"),
        ({"samples": np.zeros((0, 3), np.float32), "labels": np.zeros(0, np.int16)}, "holds no samples"),
        ({"labels": np.zeros(3, np.int16)}, "labels must be (300,)"),
        ({"timestamps": np.zeros(3)}, "timestamps must be (300,)"),
    ],
)
def test_recording_arrays_must_agree(change, words):
    good = make_recording()
    fields = {name: getattr(good, name) for name in good.__slots__} | change
    with pytest.raises(DataError) as caught:
        type(good)(**fields)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: make_dataset([make_recording(channels=2)]), "has 2 channels, the data set declares 3"),
        (lambda: make_dataset([make_recording(label=2)]), "label 2, the data set declares 2 classes"),
        (lambda: make_dataset([make_recording(label=-2)]), "label -2"),
        (lambda: make_dataset([make_recording(), make_recording()]), "recording name 'r0'"),
        (lambda: make_dataset([]), "no recordings"),
        (lambda: make_dataset(classes=("a", "a")), "class name 'a'"),
        (lambda: make_dataset(mirror=(1, -1)), "mirror must be 3 signs"),
        (lambda: make_dataset(mirror=(1, -1, 0)), "mirror must be 3 signs"),
        (lambda: make_dataset(rate=0.0), "sample_rate_hz must be above 0"),
        (lambda: make_dataset(channels=()), "declares no channels"),
        (lambda: make_dataset(channels=(*CHANNELS[:2], Channel("acc_x", "g"))), "channel name 'acc_x'"),
    ],
)
def test_dataset_refuses_what_cannot_be(build, words):
    with pytest.raises(DataError) as caught:
        build()
    assert words in caught.value.message


def test_datasets_with_many_names_stay_quick_to_check():
    recordings = [make_recording(f"r{i}", n=1) for i in range(3000)]
    assert isinstance(make_dataset(recordings), Dataset)
