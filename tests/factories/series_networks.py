"""Time-series networks as public papers describe them, small and untrained: inputs of ``check --fix`` for rank 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from tests.factories.foreign_networks import CausalConv, ChannelsLast, MeanOverTime, Residual

CHANNELS, SAMPLES, CLASSES = 6, 128, 5
Expected = Literal["full", "cut"]


@dataclass(frozen=True)
class SeriesNetwork:
    """A network of the survey.

    Attributes:
        build: makes it.
        after: the verdict that ``check`` should reach after ``--fix`` for hailo8l.
        shape: of the input.
        after_dynamo: the verdict where torch's newer exporter spells it otherwise; None is ``after``.
        source: where the architecture is described.
    """

    build: Callable[[], nn.Module]
    after: Expected
    source: str
    shape: tuple[int, ...] = (1, CHANNELS, SAMPLES)
    after_dynamo: Expected | None = None


def conv(inputs: int, outputs: int, kernel: int, **options: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, **options), nn.BatchNorm1d(outputs), nn.ReLU()
    )


def trial_classifier() -> nn.Module:
    body = [nn.Conv1d(CHANNELS, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2)]
    return nn.Sequential(*body, MeanOverTime(), nn.Linear(16, CLASSES))


def trial_autoencoder() -> nn.Module:
    down = [nn.Conv1d(CHANNELS, 12, 4, 2, 1), nn.ReLU(), nn.Conv1d(12, 8, 4, 2, 1), nn.ReLU()]
    up = [nn.ConvTranspose1d(8, 12, 4, 2, 1), nn.ReLU(), nn.ConvTranspose1d(12, CHANNELS, 4, 2, 1)]
    return nn.Sequential(*down, *up)


def fcn() -> nn.Module:
    body = [conv(CHANNELS, 16, 7), conv(16, 32, 5), conv(32, 16, 3)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, CLASSES))


def resnet() -> nn.Module:
    blocks = [conv(CHANNELS, 16, 7), Residual(16), Residual(16), Residual(16)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, CLASSES))


class Inception(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.narrow = nn.Conv1d(inputs, 8, 1, bias=False)
        self.wide = nn.ModuleList(nn.Conv1d(8, 8, kernel, padding="same", bias=False) for kernel in (39, 19, 9))
        self.pooled = nn.Sequential(nn.MaxPool1d(3, 1, 1), nn.Conv1d(inputs, 8, 1, bias=False))
        self.norm = nn.BatchNorm1d(32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        narrow = self.narrow(x)
        return torch.relu(self.norm(torch.cat([*(one(narrow) for one in self.wide), self.pooled(x)], 1)))


class InceptionTime(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(Inception(CHANNELS), Inception(32), Inception(32))
        self.short = nn.Sequential(nn.Conv1d(CHANNELS, 32, 1), nn.BatchNorm1d(32))
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.first(x) + self.short(x)).mean(-1))


def tcn() -> nn.Module:
    body = [CausalConv(CHANNELS, 16, 1), CausalConv(16, 16, 2), CausalConv(16, 16, 4), CausalConv(16, 16, 8)]
    return nn.Sequential(*body, MeanOverTime(), nn.Linear(16, CLASSES))


class SqueezeExcite(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(width, width // 4), nn.ReLU(), nn.Linear(width // 4, width), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x.mean(-1)).unsqueeze(-1)


def squeeze_excite() -> nn.Module:
    body = [conv(CHANNELS, 16, 7), SqueezeExcite(16), conv(16, 16, 5), SqueezeExcite(16)]
    return nn.Sequential(*body, MeanOverTime(), nn.Linear(16, CLASSES))


def separable() -> nn.Module:
    def block(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(conv(inputs, inputs, 5, groups=inputs), conv(inputs, outputs, 1), nn.AvgPool1d(2))

    return nn.Sequential(block(CHANNELS, 16), block(16, 32), MeanOverTime(), nn.Linear(32, CLASSES))


class DeepConvLstm(nn.Module):
    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(CHANNELS, 16, 5), conv(16, 16, 5), conv(16, 16, 5))
        self.memory = kind(16, 16, num_layers=2, batch_first=True)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.memory(self.body(x).transpose(1, 2))[0][:, -1])


class TinyHar(nn.Module):
    """Convolutions along time, attention across channels, attention over time (after Zhou et al. 2022)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(CHANNELS, 16, 5, stride=2), conv(16, 16, 5, stride=2))
        self.score = nn.Linear(16, 1)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = self.body(x).transpose(1, 2)
        return self.head((torch.softmax(self.score(torch.tanh(steps)), 1) * steps).sum(1))


def mlperf_autoencoder() -> nn.Module:
    sizes = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128]
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(128, 640))


def mlperf_ds_cnn() -> nn.Module:
    def both(inputs: int, outputs: int, kernel: tuple[int, int], **options: int) -> nn.Sequential:
        padding = (kernel[0] // 2, kernel[1] // 2)
        convolution = nn.Conv2d(inputs, outputs, kernel, padding=padding, **options)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())

    body = [both(1, 64, (10, 4), stride=2)]
    for _ in range(4):
        body += [both(64, 64, (3, 3), groups=64), both(64, 64, (1, 1))]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12))


def upsampling_autoencoder() -> nn.Module:
    down = [conv(CHANNELS, 8, 5), nn.MaxPool1d(2), conv(8, 4, 5), nn.MaxPool1d(2)]
    up = [nn.Upsample(scale_factor=2), conv(4, 8, 5), nn.Upsample(scale_factor=2), nn.Conv1d(8, CHANNELS, 5, padding=2)]
    return nn.Sequential(*down, *up)


def circular() -> nn.Module:
    body = [nn.Conv1d(CHANNELS, 16, 5, padding=2, padding_mode="circular"), nn.ReLU()]
    return nn.Sequential(*body, MeanOverTime(), nn.Linear(16, CLASSES))


def padded() -> nn.Module:
    body = [nn.ReflectionPad1d(2), nn.Conv1d(CHANNELS, 16, 5), nn.ReLU(), nn.ReplicationPad1d(1), nn.Conv1d(16, 16, 3)]
    return nn.Sequential(*body, nn.ReLU(), MeanOverTime(), nn.Linear(16, CLASSES))


SERIES = {
    "trial-cnn": SeriesNetwork(trial_classifier, "full", "a plain 1-D CNN classifier"),
    "trial-autoencoder": SeriesNetwork(trial_autoencoder, "full", "strided Conv1d, ConvTranspose1d"),
    "fcn": SeriesNetwork(fcn, "full", "Wang et al. 2017, arXiv 1611.06455"),
    "resnet1d": SeriesNetwork(resnet, "full", "Wang et al. 2017, arXiv 1611.06455"),
    "inceptiontime": SeriesNetwork(InceptionTime, "full", "Fawaz et al. 2020, arXiv 1909.04939"),
    "tcn": SeriesNetwork(tcn, "full", "Bai et al. 2018, arXiv 1803.01271"),
    "squeeze-excite": SeriesNetwork(squeeze_excite, "full", "Hu et al. 2018, arXiv 1709.01507"),
    "separable": SeriesNetwork(separable, "full", "Howard et al. 2017, arXiv 1704.04861, along time"),
    "channels-last": SeriesNetwork(
        lambda: ChannelsLast(fcn()), "cut", "the order of axes of Keras", (1, SAMPLES, CHANNELS)
    ),  # its Transpose stays on the host; bundle build gives the device the frame in the network's own order
    "deepconvlstm": SeriesNetwork(DeepConvLstm, "cut", "Ordonez and Roggen 2016, doi 10.3390/s16010115"),
    "deepconvgru": SeriesNetwork(lambda: DeepConvLstm(nn.GRU), "cut", "the GRU form of DeepConvLSTM"),
    "tinyhar": SeriesNetwork(TinyHar, "cut", "after Zhou et al. 2022, doi 10.1145/3544794.3558467"),
    "mlperf-autoencoder": SeriesNetwork(mlperf_autoencoder, "full", "MLPerf Tiny, anomaly detection", (1, 640)),
    "mlperf-ds-cnn": SeriesNetwork(mlperf_ds_cnn, "full", "MLPerf Tiny, keyword spotting", (1, 1, 49, 10)),
    "upsampling-ae": SeriesNetwork(upsampling_autoencoder, "full", "Upsample in the place of ConvTranspose"),
    "circular-padding": SeriesNetwork(circular, "full", "padding by the other end of the window", after_dynamo="cut"),
    "padding-modes": SeriesNetwork(padded, "cut", "reflection and replication padding"),
}
