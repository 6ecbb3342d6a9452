"""Windows with two labels: which training takes, and what it aims at."""

import json

import numpy as np
import pytest
import torch

from fsq_edge.data import Channel, Dataset, Recording, cut_windows
from fsq_edge.data.windows import WindowLabels, count_labels
from fsq_edge.training.augmentation import Augmenter
from fsq_edge.training.config import AugmentationSection, TrainConfig
from fsq_edge.training.feed import TrainingFeed, pack
from fsq_edge.training.run import load_run
from fsq_edge.training.split import cut_sides, window_labels
from fsq_edge.training.trainer import train
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, Preprocessor
from tests.factories.training import make_config, make_exercises

OFF = AugmentationSection(shift=0, warp=1, rotation_degrees=0, amplitude=0, mirror=0)
# 30 of a, 10 of none, 20 of b, 40 of a
LABELS = np.repeat([0, -1, 1, 0], [30, 10, 20, 40]).astype(np.int16)


def ramp() -> Dataset:
    samples = np.arange(100, dtype=np.float32)[:, None]
    return Dataset("ramp", (Channel("c", "V"),), 50.0, ("a", "b"), (Recording("r", samples, LABELS, "1", ""),))


@pytest.mark.parametrize(
    ("rule", "share", "starts", "labels"),
    [
        ("pure", 0.5, [0, 10, 40, 60, 70, 80], [0, 0, 1, 0, 0, 0]),
        ("majority", 0.5, [0, 10, 20, 30, 40, 50, 60, 70, 80], [0, 0, 0, 1, 1, 0, 0, 0, 0]),
        ("majority", 0.6, [0, 10, 40, 60, 70, 80], [0, 0, 1, 0, 0, 0]),
        ("soft", 0.6, [0, 10, 40, 50, 60, 70, 80], [0, 0, 1, 0, 0, 0, 0]),
        ("soft", 1.0, [0, 10, 40, 50, 60, 70, 80], [0, 0, 1, 0, 0, 0, 0]),
    ],
)
def test_which_windows_count(rule, share, starts, labels):
    index = cut_windows(ramp(), 20, 10, labels=WindowLabels(rule, share))
    assert index.start.tolist() == starts
    assert index.label.tolist() == labels
    assert len(index) + index.n_mixed + index.n_unlabelled == 9


def test_labels_are_counted_by_row():
    rows = np.array([[0, 0, 2], [-1, -1, 1], [-1, -1, -1]], np.int16)
    assert count_labels(rows, 3).tolist() == [[2, 0, 1], [0, 1, 0], [0, 0, 0]]


def aims(tmp_path, rule, section=OFF):
    labels = WindowLabels(rule)
    packed = pack(cut_windows(ramp(), 20, 10, labels=labels), 100.0, labels, memory_bytes=1 << 20, spill=tmp_path / "s")
    config = PreprocessConfig(
        channels=(ChannelSpec(name="c", unit="V"),), sample_rate_hz=50.0, window_samples=20, fold=1,
        window_zscore=False, mean=(0.0,), std=(1.0,), clip_sigma=1e6,
    )  # fmt: skip
    feed = TrainingFeed(packed, Preprocessor(config), Augmenter(ramp().channels, None), section, batch_size=3, seed=1)
    return [
        (frame.flatten().numpy(), aim)
        for epoch in range(1, 8)
        for frames, wanted in feed.epoch(epoch)
        for frame, aim in zip(frames, wanted, strict=True)
    ]


def test_soft_aims_are_the_shares_of_what_the_window_shows_after_its_shift(tmp_path):
    seen = set()
    for frame, aim in aims(tmp_path, "soft", OFF.model_copy(update={"shift": 0.5})):
        shown = LABELS[np.rint(frame).astype(int)]
        expected = np.array([(shown == 0).sum(), (shown == 1).sum()]) / (shown >= 0).sum()
        np.testing.assert_allclose(aim.numpy(), expected, rtol=1e-6)
        assert aim.dtype == torch.float32
        seen.add(round(float(aim[0]), 2))
    assert len(seen) > 4


def test_the_aim_of_a_majority_is_the_most_frequent_label(tmp_path):
    for frame, aim in aims(tmp_path, "majority", OFF.model_copy(update={"shift": 0.5})):
        shown = LABELS[np.rint(frame).astype(int)]
        assert (shown == int(aim)).sum() >= (shown == 1 - int(aim)).sum()


@pytest.mark.parametrize("rule", ["majority", "soft"])
def test_a_training_takes_mixed_windows_and_is_scored_on_pure_ones(tmp_path, rule):
    dataset = make_exercises()
    half = [len(recording) // 2 for recording in dataset.recordings]
    recordings = []
    for recording, middle in zip(dataset.recordings, half, strict=True):
        labels = recording.labels.copy()
        labels[middle:] = (labels[middle:] + 1) % len(dataset.classes)
        recordings.append(type(recording)(
            recording.recording_id, recording.samples, labels, recording.subject, recording.session
        ))  # fmt: skip
    dataset = Dataset(dataset.name, dataset.channels, dataset.sample_rate_hz, dataset.classes, tuple(recordings))
    plain = make_config(windows={"labels": "pure"})
    config = TrainConfig.model_validate({**dict(plain), "windows": {"labels": rule}})
    assert window_labels(config) == WindowLabels(rule, 0.5)
    sides, pure = cut_sides(dataset, config), cut_sides(dataset, plain)
    assert len(sides.train) > len(pure.train)
    assert len(sides.test) == len(pure.test)
    train(config, tmp_path / "run", sides=sides)
    assert load_run(tmp_path / "run").config.windows.labels == rule
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    del record["config"]["windows"]  # as an earlier release wrote it
    path.write_text(json.dumps(record))
    assert load_run(tmp_path / "run").config.windows.labels == "pure"


def test_without_mixed_recordings_the_rule_changes_nothing(tmp_path):
    index = cut_windows(make_exercises(), 40, 20)
    packed = pack(index, 100.0, WindowLabels("soft"), memory_bytes=1 << 20, spill=tmp_path / "s")
    assert packed.sample_label is None
    assert cut_sides(make_exercises(), make_config()).split.description
    assert make_config().windows.labels == "soft"
