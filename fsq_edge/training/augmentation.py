"""Augmentation of raw motion windows: vectorised, in physical units, the label never touched.

Letters: N windows, C channels, T samples. Three axes of one sensor form a triad; triads of a body-fixed unit turn
together, so one rotation per window acts on accelerometer, gyroscope and magnetometer alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fsq_edge.data.recording import Channel
from fsq_edge.data.triads import find_triads, sensor_of
from fsq_edge.training.config import AugmentationSection
from fsq_edge_runtime.arrays import BoolArray, Float32Array, Float64Array, Int64Array, IntArray


@dataclass(frozen=True, slots=True)
class Draws:
    """The random numbers of N windows; drawing and applying are apart so that processes can share a draw.

    Attributes:
        shift: (N,) float32, samples by which the start moves.
        speed: (N,) float32, how much faster time runs, above 0.
        rotation: (N, 3, 3) float32 rotation matrices.
        gain: (N,) float32, factor on motion, above 0.
        mirrored: (N,) bool.
    """

    shift: Float32Array
    speed: Float32Array
    rotation: Float32Array
    gain: Float32Array
    mirrored: BoolArray

    def take(self, rows: IntArray | slice) -> Draws:
        """Return the draws of some windows."""
        return Draws(self.shift[rows], self.speed[rows], self.rotation[rows], self.gain[rows], self.mirrored[rows])


def draw(config: AugmentationSection, n: int, window_samples: int, rng: np.random.Generator) -> Draws:
    """Draw the changes of ``n`` windows of ``window_samples``."""
    furthest = int(config.shift * window_samples)
    shift = rng.integers(-furthest, furthest, size=n, endpoint=True)
    speed = np.exp(rng.uniform(-1.0, 1.0, size=n) * np.log(config.warp))
    axis = rng.standard_normal((n, 3))
    angle = np.radians(config.rotation_degrees) * rng.standard_normal(n)
    gain = np.exp(config.amplitude * rng.standard_normal(n))
    mirrored = rng.random(n) < config.mirror
    return Draws(
        shift.astype(np.float32), speed.astype(np.float32), rotation_matrices(axis, angle),
        gain.astype(np.float32), mirrored,
    )  # fmt: skip


def rotation_matrices(axis: Float64Array, angle: Float64Array) -> Float32Array:
    """Return rotations (N, 3, 3) float32 about ``axis`` (N, 3), any length but 0, by ``angle`` (N,) radians.

    Source: Rodrigues' formula, R = I + sin(a) K + (1 - cos(a)) K^2 with K the cross-product matrix of the unit axis.
    """
    x, y, z = (axis / np.linalg.norm(axis, axis=1, keepdims=True)).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    sine, versine = np.sin(angle)[:, None, None], (1 - np.cos(angle))[:, None, None]
    return np.asarray(np.eye(3) + sine * cross + versine * (cross @ cross), dtype=np.float32)


def sample_positions(
    start: Int64Array,
    lowest: Int64Array,
    highest: Int64Array,
    window_samples: int,
    draws: Draws,
) -> tuple[Float64Array, Float32Array]:
    """Return where N shifted and warped windows read their samples.

    Args:
        start: (N,) first sample of each window.
        lowest: (N,) first sample that the window may touch (same recording, same label, no gap between).
        highest: (N,) last such sample, at least ``start + window_samples - 1``.
        window_samples: T, at least 2.
        draws: shift and speed of each window.

    Returns:
        ``(positions, speed)``: positions (N, T) float64, ``speed`` apart, inside ``lowest..highest``; speed (N,)
        float32 is the drawn one unless the stretch is too short for it. A window that would leave its stretch is
        pushed back in.
    """
    last = window_samples - 1
    speed = np.minimum(draws.speed, ((highest - lowest) / last).astype(np.float32))
    step = speed.astype(np.float64)
    begin = start + (1.0 - step) * last / 2 + draws.shift
    begin = np.clip(begin, lowest, np.maximum(highest - step * last, lowest))
    positions: Float64Array = begin[:, None] + step[:, None] * np.arange(window_samples)
    return np.minimum(positions, highest[:, None]), speed


class Augmenter:
    """Applies draws to raw windows of one channel layout.

    Args:
        channels: the C channels.
        mirror: one sign a channel, or None: then nothing is mirrored.
    """

    def __init__(self, channels: Sequence[Channel], mirror: Sequence[int] | None) -> None:
        self.triads = find_triads(channels)
        self._rates = [at for at, channel in enumerate(channels) if sensor_of(channel) == "rate"]
        self._mirror = None if mirror is None else np.asarray(mirror, dtype=np.float32)[:, None]

    def apply(self, windows: Float32Array, draws: Draws) -> Float32Array:
        """Change windows (N, C, T) in raw units in place and return them.

        Shift and warp are the reader's part (``sample_positions``); here angular rates take the factor of
        ``draws.speed``: the same turn in less time is a faster turn.
        """
        if self._mirror is not None and draws.mirrored.any():
            windows[draws.mirrored] *= self._mirror
        for triad in self.triads:
            axes = windows[:, triad.first : triad.first + 3]
            turned = draws.rotation @ axes
            if triad.sensor == "acceleration":
                steady = turned.mean(axis=2, keepdims=True)
                turned -= steady
                turned *= draws.gain[:, None, None]
                turned += steady
            axes[...] = turned
        windows[:, self._rates] *= (draws.speed * draws.gain)[:, None, None]
        return windows
