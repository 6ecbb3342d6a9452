"""Channels of judged windows against the training split."""

import numpy as np
import pytest

from fsq_edge.data import cut_windows, open_dataset
from fsq_edge.evaluation.channels import ChannelCounter
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig

PREPROCESS = PreprocessConfig(
    channels=(ChannelSpec(name="acc_x", unit="m/s2"), ChannelSpec(name="gyro_z", unit="rad/s")),
    sample_rate_hz=50.0,
    mean=(9.8, 0.0, 0.0, 0.0),
    std=(2.0, 0.5, 1.0, 1.0),
)


def drawn(n=40, seed=0):
    windows = np.random.default_rng(seed).normal(size=(n, 2, 100)) * [[2.0], [0.5]] + [[9.8], [0.0]]
    return windows.astype(np.float32)


def shifts(*batches):
    tally = ChannelCounter(PREPROCESS)
    for batch in batches:
        tally.add(batch)
    return tally.shifts()


def test_data_like_the_training_split_are_healthy():
    for channel in shifts(drawn()):
        assert channel.shift == pytest.approx(0, abs=0.05)
        assert channel.spread == pytest.approx(1, abs=0.05)
        assert (channel.missing, channel.clipped, channel.finding) == (0.0, 0.0, None)


def test_batches_add_up():
    whole = drawn()
    for part, one in zip(shifts(whole[:13], whole[13:]), shifts(whole), strict=True):
        assert (part.shift, part.spread) == pytest.approx((one.shift, one.spread))


def test_missing_values_are_counted_and_do_not_move_the_mean():
    windows = drawn()
    windows[:, 0, :10] = np.nan
    windows[:, 0, 10:20] = np.inf
    first, second = shifts(windows)
    assert first.missing == pytest.approx(0.2)
    assert first.shift == pytest.approx(0, abs=0.05)
    assert first.spread == pytest.approx(1, abs=0.05)
    assert "20.0 % of the samples are missing" in str(first.finding)
    assert second.missing == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x / 9.80665, "mean lies -4.4"),  # g where m/s2 was trained
        (lambda x: x + 9.0, "mean lies +4.5"),
        (lambda x: (x - 9.8) * 5 + 9.8, "moves 5."),
        (lambda x: (x - 9.8) * 0.01 + 9.8, "moves 0.01"),
        (lambda x: np.where(np.arange(100) % 8 == 0, 9.8 + 2.0 * 5.5, 9.8 - 1.3), "are clipped"),
    ],
)
def test_what_is_wrong_is_named(change, said):
    windows = drawn()
    windows[:, 0] = change(windows[:, 0])
    first, second = shifts(windows)
    assert said in str(first.finding)
    assert second.finding is None


def test_a_dead_channel_is_found_although_all_its_values_are_there():
    windows = drawn()
    windows[:, 1] = 0.0
    assert "moves 0.00 times" in str(shifts(windows)[1].finding)


def test_every_healthy_subject_of_watch_passes_against_the_others():
    index = cut_windows(open_dataset("watch"), 100, 100)
    windows = index.gather()
    for subject in index.dataset.subjects:
        others = windows[index.subject != subject]
        mean, std = others.mean(axis=(0, 2)), others.std(axis=(0, 2))
        config = PreprocessConfig(
            channels=tuple(ChannelSpec(name=c.name, unit=c.unit) for c in index.dataset.channels),
            sample_rate_hz=50.0,
            window_zscore=False,
            mean=tuple(map(float, mean)),
            std=tuple(map(float, std)),
        )
        tally = ChannelCounter(config)
        tally.add(windows[index.subject == subject])
        assert [channel.finding for channel in tally.shifts()] == [None] * 6
