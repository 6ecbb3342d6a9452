"""The frames of a stream, of a batch and of the formula: the same window, the same bits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge_runtime.preprocess import FrameWriter, Preprocessor
from fsq_edge_runtime.stream import StreamSettings
from fsq_edge_runtime.stream.quality import QualityCheck
from tests.factories.bundles import preprocess_config

OFTEN = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def windows(draw):
    """Windows of motion, rest and steps, of any offset and size."""
    seed, n = draw(st.integers(0, 1000)), draw(st.integers(1, 9))
    size = draw(st.sampled_from([0.0, 1e-6, 1e-3, 1.0, 50.0, 1e4]))
    offset = draw(st.sampled_from([0.0, 1.0, -9.81, 300.0]))
    found = np.random.default_rng(seed).normal(offset, size, (n, 6, 100))
    found[0, 0] = offset  # a channel that rests
    return found.astype(np.float32)


@OFTEN
@given(x=windows(), zscore=st.booleans(), fold=st.sampled_from([1, 2, 4]))
def test_a_window_gives_the_same_bits_alone_in_a_batch_and_in_place(x, zscore, fold):
    preprocessor = Preprocessor(preprocess_config(window_zscore=zscore, fold=fold))
    together = preprocessor.frames(x)
    frame = np.zeros((1, *preprocessor.config.frame_shape), np.float32)
    writer = FrameWriter(preprocessor, frame[0])
    for number, window in enumerate(x):
        assert preprocessor.frames(x[number : number + 1])[0].tobytes() == together[number].tobytes()
        writer.raw[...] = window
        writer.finish()
        assert frame[0].tobytes() == together[number].tobytes()


@OFTEN
@given(
    x=windows(),
    spoilt=st.sampled_from([np.nan, np.inf, 1e30, 500.0, 0.0]),
    channel=st.integers(0, 5),
    at=st.integers(0, 90),
    length=st.integers(1, 60),
)
def test_what_a_batch_calls_sound_is_sound(x, spoilt, channel, at, length):
    config = preprocess_config(mean=(0.0, 0.0, 1.0, *(0.0,) * 9))  # trained with gravity
    check = QualityCheck(config, StreamSettings(full_scale={"gyr_x": 60.0}))
    x = x.copy()
    x[-1, channel, at : at + length] = spoilt
    for window, surely in zip(x, check.sound_rows(x), strict=True):
        if surely:
            assert check.sound(window)
            assert check.examine(window) == ()
        elif not check.sound(window):
            assert check.examine(window) or np.isnan(window).any()  # a short run of missing values is filled


@OFTEN
@given(x=windows())
def test_frames_are_what_the_formula_says(x):
    config = preprocess_config()
    exact = x.astype(np.float64)
    spread = exact.std(axis=-1, keepdims=True) + config.zscore_floor().astype(np.float64)[:, None]
    z = (exact - exact.mean(axis=-1, keepdims=True)) / spread
    flat = np.concatenate([exact, z], axis=1)
    mean, std = np.asarray(config.mean)[:, None], np.asarray(config.std)[:, None]
    expected = np.clip((flat - mean) / std, -config.clip_sigma, config.clip_sigma)
    found = Preprocessor(config).frames(x).reshape(expected.shape)
    # Rounding of the mean, in units of the floor: what float32 leaves of a channel that rests far from zero.
    tolerance = 1e-5 + 1e-6 * np.abs(exact).max() / config.zscore_floor().min()
    assert np.abs(found - expected).max() <= tolerance
