import json

import numpy as np
import pytest
from pydantic import ValidationError

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import (
    ChannelSpec,
    PreprocessConfig,
    Preprocessor,
    WindowZscore,
    fill_missing,
    fit_preprocess,
)
from tests.factories.bundles import motion, preprocess_config


def windows(n: int = 5) -> np.ndarray:
    return motion(100 * n).reshape(n, 100, 6).transpose(0, 2, 1).copy()


def test_frames_match_the_written_order() -> None:
    config, x = preprocess_config(), windows()
    z = (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + config.zscore_floor()[:, None])
    both = np.concatenate([x, z], axis=1)
    expected = (both - np.array(config.mean)[:, None]) / np.array(config.std)[:, None]
    expected = expected.clip(-5, 5).reshape(5, 12, 2, 50)
    frames = Preprocessor(config).frames(x)
    assert frames.shape == (5, *config.frame_shape) == (5, 12, 2, 50)
    np.testing.assert_allclose(frames, expected, atol=2e-5)


def test_the_fold_puts_the_first_half_in_row_0() -> None:
    config = preprocess_config(window_zscore=False, mean=(0.0,) * 6, std=(1.0,) * 6, clip_sigma=1e6)
    x = np.arange(600, dtype=np.float32).reshape(1, 6, 100)
    frames = Preprocessor(config).frames(x)
    np.testing.assert_array_equal(frames[0, 2, 0], x[0, 2, :50])
    np.testing.assert_array_equal(frames[0, 2, 1], x[0, 2, 50:])


def test_a_window_does_not_depend_on_its_neighbours() -> None:
    preprocessor, x = Preprocessor(preprocess_config()), windows(9)
    together = preprocessor.frames(x)
    for index in range(9):
        np.testing.assert_array_equal(together[index], preprocessor.frames(x[index : index + 1])[0])


def test_fit_standardises_channels_of_different_scale() -> None:
    x = windows(20) * np.array([1, 10, 100, 1e3, 1, 1], dtype=np.float32)[:, None] + 7
    config = fit_preprocess(x, preprocess_config(clip_sigma=100.0))
    frames = Preprocessor(config).frames(x).reshape(20, 12, 100)
    np.testing.assert_allclose(frames.mean(axis=(0, 2)), 0, atol=2e-3)
    np.testing.assert_allclose(frames.std(axis=(0, 2)), 1, atol=2e-3)


def test_a_dead_channel_is_not_blown_up() -> None:
    x = windows(20)
    x[:, 1] = 0.25
    frames = Preprocessor(fit_preprocess(x, preprocess_config())).frames(x).reshape(20, 12, 100)
    assert np.abs(frames[:, 1]).max() < 1
    assert np.abs(frames[:, 7]).max() < 1


def test_short_gaps_are_interpolated_and_long_ones_invalidate() -> None:
    x = windows(3)
    x[0, 2, 10:15] = np.nan
    x[1, 0, 20:26] = np.inf  # six samples are 120 ms at 50 Hz, above max_gap_ms
    filled, valid = Preprocessor(preprocess_config()).fill_gaps(x)
    assert valid.tolist() == [True, False, True]
    np.testing.assert_allclose(filled[0, 2, 9:16], np.linspace(x[0, 2, 9], x[0, 2, 15], 7), rtol=1e-5)
    assert np.isnan(filled[1, 0, 20:26]).all()
    np.testing.assert_array_equal(filled[2], x[2])


def test_gaps_at_the_ends_hold_the_nearest_value_and_an_empty_row_stays_missing() -> None:
    rows = np.array([[np.nan, 2, 3, np.nan], [np.nan] * 4], dtype=np.float32)
    np.testing.assert_array_equal(fill_missing(rows, 9), [[2, 2, 3, 3], [np.nan] * 4])


def test_floors_follow_the_units() -> None:
    config = preprocess_config(
        (("a", "g"), ("b", "m/s2"), ("c", "rad/s"), ("d", "uT")), std=(2.0,) * 8, mean=(0.0,) * 8
    )
    np.testing.assert_allclose(config.zscore_floor(), [0.004, 0.04, 0.01, 0.002], rtol=1e-6)


def test_json_keeps_the_digest_and_writes_every_default() -> None:
    config = preprocess_config()
    again = PreprocessConfig.from_json(config.to_json())
    assert again == config
    assert again.digest() == config.digest() != preprocess_config(clip_sigma=4.0).digest()
    assert set(config.to_dict()) >= {"hop_samples", "max_gap_ms", "clip_sigma", "qa", "schema_version"}


def test_z_scores_alone_are_those_of_each_window() -> None:
    config = preprocess_config(
        window_zscore=False, mean=(3.0,) * 6, std=(2.0,) * 6, zscore_only=WindowZscore(epsilon=1e-6, ddof=1)
    )
    x = windows(9) + np.array([0, 9.81, -1000, 0, 0, 5], dtype=np.float32)[:, None]
    x[:, 5] = 5.25
    exact = x.astype(np.float64)
    wanted = (exact - exact.mean(-1, keepdims=True)) / (exact.std(-1, keepdims=True, ddof=1) + 1e-6)
    frames = Preprocessor(config).frames(x)
    assert frames.shape == (9, 6, 2, 50)
    np.testing.assert_allclose(frames.reshape(x.shape), wanted.clip(-5, 5), atol=1e-5)
    assert np.abs(frames.reshape(x.shape)[:, 5]).max() == 0.0  # a sensor that rests is not blown up by rounding
    np.testing.assert_array_equal(frames[4], Preprocessor(config).frames(x[4:5])[0])


def test_a_file_without_z_scores_alone_is_the_one_that_earlier_releases_wrote() -> None:
    config = preprocess_config()
    assert "zscore_only" not in json.loads(config.to_json())
    assert config.digest() == "7d835f1736da8781f0d18760b2b7abe57b114b611a399627468900be300e922d"
    alone = preprocess_config(window_zscore=False, mean=(0.0,) * 6, std=(1.0,) * 6, zscore_only=WindowZscore())
    assert PreprocessConfig.from_json(alone.to_json()) == alone
    assert alone.digest() != preprocess_config(window_zscore=False, mean=(0.0,) * 6, std=(1.0,) * 6).digest()
    with pytest.raises(ValidationError, match="window_zscore must be false"):
        preprocess_config(zscore_only=WindowZscore())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ('{"schema_version": 2}', "schema version 2, this release reads version 1"),
        (preprocess_config().to_json().replace('"fold": 2', '"fold": 3'), "not a multiple of fold"),
        (preprocess_config().to_json().replace('"fold": 2', '"fold": 2, "extra": 1'), "extra"),
        (preprocess_config().to_json().replace('"clip_sigma": 5.0', '"clip_sigma": "5"'), "clip_sigma"),
    ],
)
def test_bad_documents_are_one_clear_error(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        PreprocessConfig.from_json(text)


def test_wrong_shape_names_both_shapes() -> None:
    with pytest.raises(DataError, match=r"\(2, 5, 100\), expected \(N, 6, 100\)"):
        Preprocessor(preprocess_config()).frames(np.zeros((2, 5, 100), np.float32))
    assert ChannelSpec(name="a", unit="g").unit == "g"
