"""The parts of the loop, each against something simpler."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from torch import nn

from fsq_edge.data import Channel, Dataset, Recording, cut_windows
from fsq_edge.data.quality import QualityControl
from fsq_edge.model import ModelOutput
from fsq_edge.training.augmentation import Augmenter
from fsq_edge.training.config import AugmentationSection
from fsq_edge.training.feed import TrainingFeed, pack, read_at
from fsq_edge.training.gate import check_quality
from fsq_edge.training.journal import CELL_PIXELS, confusion_image
from fsq_edge.training.metrics import Pass, PassCounter
from fsq_edge.training.schedule import Plateau, default_epochs, one_cycle
from fsq_edge.training.split import cut_sides
from fsq_edge.training.world import ALONE, World
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, Preprocessor
from tests.factories.training import make_config, make_exercises

OFF = AugmentationSection(shift=0, warp=1, rotation_degrees=0, amplitude=0, mirror=0)


def make_ramp(labels: np.ndarray, timestamps: np.ndarray | None = None, channels: int = 1) -> Dataset:
    """Recordings whose sample values are their own positions."""
    n = len(labels)
    samples = np.repeat(np.arange(n, dtype=np.float32)[:, None], channels, axis=1)
    recordings = tuple(
        Recording(f"r{i}", samples + 1000 * i, labels.astype(np.int16), str(i), "", timestamps) for i in range(3)
    )
    return Dataset("ramp", tuple(Channel(f"c{i}", "V") for i in range(channels)), 50.0, ("a", "b"), recordings)


def identity(samples: int) -> Preprocessor:
    return Preprocessor(
        PreprocessConfig(
            channels=(ChannelSpec(name="c0", unit="V"),), sample_rate_hz=50.0, window_samples=samples, fold=1,
            window_zscore=False, mean=(0.0,), std=(1.0,), clip_sigma=1e6,
        )
    )  # fmt: skip


def feed_of(dataset: Dataset, tmp_path, section=OFF, batch=4, world: World = ALONE) -> TrainingFeed:
    index = cut_windows(dataset, 20, 10)
    packed = pack(index, 100.0, memory_bytes=1 << 20, spill=tmp_path / "samples.tmp")
    return TrainingFeed(
        packed, identity(20), Augmenter(dataset.channels, None), section, batch_size=batch, seed=1, world=world
    )


def test_an_unaugmented_epoch_shows_every_window_once_with_its_label(tmp_path):
    labels = np.repeat([0, 1], 100)
    feed = feed_of(make_ramp(labels), tmp_path, batch=2)
    rows = [
        (float(f[0, 0, 0]), int(y), f) for frames, label in feed.epoch(1) for f, y in zip(frames, label, strict=True)
    ]
    assert len(rows) == len(feed.windows) == 54
    assert len({start for start, _, _ in rows}) == 54
    for start, label, frame in rows:
        assert label == int(start % 1000 >= 100)
        np.testing.assert_array_equal(frame.flatten(), start + np.arange(20))


def test_shifted_and_warped_windows_stay_on_their_label_and_segment(tmp_path):
    labels = np.repeat([0, 1], 100)
    stamps = np.arange(200) / 50.0
    stamps[150:] += 5.0  # a hole
    section = OFF.model_copy(update={"shift": 1.0, "warp": 2.0})
    feed = feed_of(make_ramp(labels, stamps), tmp_path, section)
    stretches = {0: [(0, 99)], 1: [(100, 149), (150, 199)]}
    starts = set()
    for epoch in range(1, 30):
        for frames, label in feed.epoch(epoch):
            for frame, y in zip(frames.flatten(1).numpy() % 1000, label.tolist(), strict=True):
                assert any(low <= frame.min() and frame.max() <= high for low, high in stretches[y])
                starts.add(round(float(frame[0]), 2))
    assert len(starts) > 200


def test_epochs_follow_from_seed_and_number(tmp_path):
    feed = feed_of(make_ramp(np.zeros(200)), tmp_path, AugmentationSection())
    first, again, other = (torch.cat([f for f, _ in feed.epoch(number)]) for number in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_shares_of_two_processes_make_up_the_batch_of_one(tmp_path):
    dataset = make_ramp(np.repeat([0, 1], 100))
    whole = list(feed_of(dataset, tmp_path, AugmentationSection(), batch=8).epoch(3))
    shares = [
        list(feed_of(dataset, tmp_path, AugmentationSection(), 8, World(rank, 2, torch.device("cpu"))).epoch(3))
        for rank in range(2)
    ]
    assert len(whole) == len(shares[0]) == len(shares[1])
    for (frames, label), *parts in zip(whole, *shares, strict=True):
        torch.testing.assert_close(torch.cat([part[0] for part in parts]), frames, atol=1e-4, rtol=0)
        assert torch.equal(torch.cat([part[1] for part in parts]), label)


def test_too_few_windows_for_the_processes_are_refused(tmp_path):
    dataset = make_ramp(np.zeros(20))
    assert feed_of(dataset, tmp_path, batch=64).batch_size == 3
    with pytest.raises(DataError, match="too few for 2 processes"):
        feed_of(dataset, tmp_path, world=World(0, 2, torch.device("cpu")))


def test_reading_between_samples_is_linear():
    samples = np.array([[0.0, 10.0], [1.0, 20.0], [4.0, np.nan]], np.float32)
    out = read_at(samples, np.array([[0.25, 1.0]]), np.array([1]))
    np.testing.assert_allclose(out[0], [[0.25, 1.0], [12.5, 20.0]])


def test_scores_are_scikit_learns():
    rng = np.random.default_rng(0)
    label, predicted = rng.integers(0, 4, size=(2, 200))
    predicted[predicted == 3] = 0  # a class that is never answered
    found = Pass(0.0, label, predicted, label * 3, classes=6, codes=20)
    assert found.accuracy == pytest.approx(accuracy_score(label, predicted))
    assert found.macro_f1 == pytest.approx(f1_score(label, predicted, average="macro"))
    assert np.array_equal(found.confusion, confusion_matrix(label, predicted, labels=range(6)))
    assert found.code_usage == 4 / 20
    assert 3.5 < found.perplexity <= 4


def test_loss_is_weighted_by_windows_not_by_batches():
    tally, losses = PassCounter(2, 4), []
    for n, seed in ((10, 0), (3, 1)):
        logits = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)) * 3
        label = torch.zeros(n, dtype=torch.int64)
        output = ModelOutput(logits, label, logits)
        tally.add(output, label, nn.functional.cross_entropy(logits, label))
        losses.append(nn.functional.cross_entropy(logits, label, reduction="none"))
    assert tally.result(ALONE).loss == pytest.approx(float(torch.cat(losses).mean()), rel=1e-5)
    with pytest.raises(ValueError, match="at least one window"):
        PassCounter(2, 4).result(ALONE)


def test_one_cycle_is_torchs():
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=0.003, total_steps=97, pct_start=0.25, cycle_momentum=False
    )
    for step in range(97):
        assert one_cycle(step, 97, 0.003, 0.25) == pytest.approx(schedule.get_last_lr()[0], rel=1e-6)
        optimiser.step()
        if step < 96:
            schedule.step()


def test_plateau_waits_its_patience_then_cuts():
    plateau = Plateau(1.0, patience=1, factor=0.5)
    rates = []
    for improved in (True, False, False, False, True, False, False):
        plateau.step(improved)
        rates.append(plateau.rate)
    assert rates == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_epochs_follow_the_size_of_the_set():
    assert default_epochs(3_709, 57, 130_000) == 32
    assert default_epochs(2_880, 45, 65_000) == 23  # 1,000 steps need them
    assert default_epochs(12_400, 193, 130_000) == 10
    assert default_epochs(1_000_000, 15_625, 130_000) == 5
    assert default_epochs(32, 1, 65_000) == 400
    assert default_epochs(640, 10, 65_000) == 100


def test_confusion_image_is_dark_where_the_share_is_large():
    image = confusion_image(np.array([[8, 2], [0, 10]]))
    assert image.shape == (3, 2 * CELL_PIXELS, 2 * CELL_PIXELS)
    middle = image[:, CELL_PIXELS // 2 :: CELL_PIXELS, CELL_PIXELS // 2 :: CELL_PIXELS].sum(axis=0)
    assert middle[1, 1] < middle[0, 0] < middle[0, 1] < middle[1, 0]


class Follower(World):
    """The second of two processes; the leading one has refused the data."""

    def gather(self, rows):
        return torch.cat([torch.ones_like(rows), rows])


def test_only_the_leading_process_examines_the_data_and_all_of_them_refuse_it(monkeypatch):
    def never(*args):
        raise AssertionError("the data were read in a process that does not lead")

    monkeypatch.setattr(QualityControl, "validate_dataset", never)
    config = make_config(preprocessing={"strict_mode": True})
    sides = cut_sides(make_exercises(), config)
    with pytest.raises(DataError, match="leading process"):
        check_quality(sides, config.preprocessing, Follower(1, 2, torch.device("cpu")))
