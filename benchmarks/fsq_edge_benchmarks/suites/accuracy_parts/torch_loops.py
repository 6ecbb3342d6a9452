"""Inference as a training script grows into it: loops over channels in numpy, the network in eager PyTorch.

This is the way that tutorials of training pipelines show: check the window, repair it, scale it channel by channel,
fold it, and call the model. It is the slow baseline of the peers, so nothing in it is slower than such a script needs:
the checks are those that a session does as well, repair is left out where nothing is missing, and one thread is used,
which for small networks is the faster setting.
"""

from __future__ import annotations

import numpy as np
import torch

from fsq_edge.model import Conv2dFSQ
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.preprocess import PreprocessConfig

LEAST_STD = 1e-6  # a channel that stands still by less is taken for dead
MOST_MISSING = 0.05  # share of a window


class TorchLoops:
    """Classifies one window at a time."""

    def __init__(self, network: Conv2dFSQ, config: PreprocessConfig) -> None:
        self._torch, self._network, self._config = torch, network, config
        self._floor = [float(floor) for floor in config.zscore_floor()]

    def __call__(self, window: Float32Array) -> int:
        """Return the class of a window (C, T) in raw units, or -1 for one that cannot be used."""
        repaired = self._checked(window)
        if repaired is None:
            return -1
        frame = self._scaled(repaired).reshape(1, *self._config.frame_shape)
        with self._torch.no_grad():
            output = self._network(self._torch.from_numpy(frame))
            probabilities = self._torch.softmax(output.logits, dim=1)
            _, predicted = self._torch.max(probabilities, 1)
        return int(predicted.item())

    def _checked(self, window: Float32Array) -> Float32Array | None:
        """Return the window with missing values replaced by their channel's mean, None if it is beyond that."""
        missing = ~np.isfinite(window)
        if missing.mean() > MOST_MISSING:
            return None
        repaired = window.copy()
        if missing.any():
            for channel in range(len(repaired)):
                repaired[channel, missing[channel]] = window[channel, ~missing[channel]].mean()
        for channel in range(len(repaired)):
            if repaired[channel].std() < LEAST_STD:
                return None
        return repaired

    def _scaled(self, window: Float32Array) -> Float32Array:
        """Return (C', T): the channels and their z-copies, standardised with the training's statistics and clipped."""
        config, channels = self._config, len(window)
        scaled = np.empty((config.graph_channels, window.shape[1]), dtype=np.float32)
        for channel in range(channels):
            row = window[channel]
            scaled[channel] = row
            scaled[channels + channel] = (row - row.mean()) / (row.std() + self._floor[channel])
        for channel in range(config.graph_channels):
            scaled[channel] = (scaled[channel] - config.mean[channel]) / config.std[channel]
        return np.clip(scaled, -config.clip_sigma, config.clip_sigma)
