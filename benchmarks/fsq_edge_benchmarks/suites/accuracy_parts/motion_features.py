"""Thirteen features of each of nine motion signals: what a random forest is given in place of raw windows."""

from __future__ import annotations

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, FloatArray

_TINY = 1e-9


def motion_features(windows: Float32Array, sample_rate_hz: float) -> FloatArray:
    """Return the features (N, 13 S) of windows (N, C, T) in raw units.

    The S signals are the C channels, the norm of each triad of channels, and the norm of the first triad's
    difference: six channels give nine signals, 117 features. Per signal: mean, standard deviation, least, largest,
    median, interquartile range, skewness, kurtosis, root mean square, crossings of the mean, mean step, strongest
    frequency, spectral entropy.
    """
    x = _signals(windows.astype(np.float64))
    mean, std = x.mean(-1), x.std(-1)
    centred = x - mean[..., None]
    unit = centred / (std[..., None] + _TINY)
    low, median, high = np.percentile(x, [25, 50, 75], axis=-1)
    crossings = (np.signbit(centred[..., 1:]) != np.signbit(centred[..., :-1])).mean(-1)
    power = np.abs(np.fft.rfft(centred, axis=-1)[..., 1:]) ** 2
    share = power / (power.sum(-1, keepdims=True) + _TINY)
    strongest = (power.argmax(-1) + 1) * sample_rate_hz / x.shape[-1]
    entropy = -(share * np.log(share + _TINY)).sum(-1)
    columns = [
        mean, std, x.min(-1), x.max(-1), median, high - low, (unit**3).mean(-1), (unit**4).mean(-1),
        np.sqrt((x**2).mean(-1)), crossings, np.abs(np.diff(x, axis=-1)).mean(-1), strongest, entropy,
    ]  # fmt: skip
    return np.stack(columns, axis=-1).reshape(len(x), -1)


def _signals(x: FloatArray) -> FloatArray:
    triads = [x[:, at : at + 3] for at in range(0, x.shape[1] - 2, 3)]
    norms = [np.linalg.norm(triad, axis=1) for triad in triads]
    if triads:
        jerk = np.linalg.norm(np.diff(triads[0], axis=-1, prepend=triads[0][..., :1]), axis=1)
        norms.append(jerk)
    return np.concatenate([x, *(norm[:, None] for norm in norms)], axis=1)
