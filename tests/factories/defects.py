"""Healthy signals and the defects that sensors and loggers add to them."""

from __future__ import annotations

import numpy as np

from fsq_edge.data import Channel

CHANNELS = tuple(Channel(f"{s}_{a}", u) for s, u in (("acc", "g"), ("gyro", "rad/s")) for a in "xyz")


def periodic(n=40, length=200, rate=100.0, seed=0, noise=0.002):
    """Clean movement (n, 6, length): gravity, a slow oscillation, little noise; neighbours correlate above 0.99."""
    rng = np.random.default_rng(seed)
    t = np.arange(length) / rate
    phase = rng.uniform(0, 2 * np.pi, (n, 6, 1))
    amplitude = np.array([0.3, 0.3, 0.3, 1.5, 1.5, 1.5])[:, None]
    wave = amplitude * np.sin(2 * np.pi * 0.8 * t + phase)
    wave[:, 2] += 1.0
    return (wave + noise * rng.normal(size=wave.shape)).astype(np.float32)


def with_nan(x):
    x = x.copy()
    x[3, 1, 40:44] = np.nan
    return x


def with_inf(x):
    x = x.copy()
    x[5, 4, 10] = np.inf
    x[5, 4, 11] = -np.inf
    return x


def with_long_gap(x):
    x = x.copy()
    x[7, :, 60:120] = np.nan
    return x


def with_flatline(x):
    x = x.copy()
    x[9, 2, 50:] = x[9, 2, 50]
    return x


def with_clipping(x):
    return np.clip(x, None, np.array([9, 9, 9, 1.2, 9, 9], np.float32)[:, None])


def with_dead_channel(x):
    x = x.copy()
    x[:, 0] = 0.0
    return x


DEFECTS = {
    "nan": with_nan,
    "inf": with_inf,
    "long gap": with_long_gap,
    "flatline": with_flatline,
    "clipping": with_clipping,
    "dead channel": with_dead_channel,
}
