"""Motion networks of several families, trained on watch for a moment and exported as others export theirs."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

CHANNELS, SAMPLES = 6, 100
STEPS, BATCH = 300, 64


class MeanOverTime(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(-1)


class Residual(nn.Module):
    """Two convolutions and a shortcut (Wang et al. 2017, arXiv 1611.06455)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(width, width, 7, padding=3),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=1),
            nn.BatchNorm1d(width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + x)


class CausalConv(nn.Module):
    """A dilated convolution that sees the past only (Bai et al. 2018, arXiv 1803.01271)."""

    def __init__(self, inputs: int, width: int, dilation: int) -> None:
        super().__init__()
        self.past = nn.ConstantPad1d((2 * dilation, 0), 0.0)
        self.conv = nn.Conv1d(inputs, width, 3, dilation=dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(self.past(x)))


class ChannelsLast(nn.Module):
    """A network that takes (T, C), as exports of Keras do."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x.transpose(1, 2))


class ConvLstm(nn.Module):
    """Convolutions and a recurrent layer (after Ordonez and Roggen 2016, doi 10.3390/s16010115)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(CHANNELS, 8, 5), nn.ReLU(), nn.Conv1d(8, 8, 5, stride=4), nn.ReLU())
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.body(x).transpose(1, 2))[0][:, -1])


def network(family: str, classes: int) -> nn.Module:
    """Return an untrained network: plain, fcn, resnet, tcn, keras-like, labels, conv-lstm or autoencoder."""
    torch.manual_seed(0)
    if family == "plain":
        body = [nn.Conv1d(CHANNELS, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2)]
        return nn.Sequential(*body, MeanOverTime(), nn.Linear(16, classes))
    if family == "fcn":
        body = [nn.Conv1d(CHANNELS, 16, 7, padding="same"), nn.BatchNorm1d(16), nn.ReLU()]
        end = [nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, classes), nn.Softmax(dim=1)]
        return nn.Sequential(*body, *end)
    if family == "resnet":
        return nn.Sequential(nn.Conv1d(CHANNELS, 16, 1), Residual(16), MeanOverTime(), nn.Linear(16, classes))
    if family == "tcn":
        body = [CausalConv(CHANNELS, 16, 1), CausalConv(16, 16, 2), CausalConv(16, 16, 4)]
        return nn.Sequential(*body, MeanOverTime(), nn.Linear(16, classes))
    if family == "keras-like":
        return ChannelsLast(network("plain", classes))
    if family == "labels":
        return nn.Sequential(network("tcn", classes), nn.Sigmoid())
    if family == "conv-lstm":
        return ConvLstm(classes)
    down = [nn.Conv1d(CHANNELS, 12, 4, 2, 1), nn.ReLU(), nn.Conv1d(12, 8, 4, 2, 1), nn.ReLU()]
    up = [nn.ConvTranspose1d(8, 12, 4, 2, 1), nn.ReLU(), nn.ConvTranspose1d(12, CHANNELS, 4, 2, 1)]
    return nn.Sequential(*down, *up)


def train_and_export(family: str, windows: np.ndarray, labels: np.ndarray, classes: int, path: Path) -> None:
    """Train for a few steps on normalised windows (N, C, T) and write an ONNX file by torch's older exporter."""
    torch.set_num_threads(1)  # two on a busy machine wait for each other
    model = network(family, classes)
    whole = torch.from_numpy(np.ascontiguousarray(windows.transpose(0, 2, 1) if family == "keras-like" else windows))
    order = np.random.default_rng(0).permutation(len(whole))
    whole, truth = whole[order], torch.from_numpy(labels)[order]
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(STEPS):
        rows = torch.arange(step * BATCH, (step + 1) * BATCH) % len(whole)
        x, y = whole[rows], truth[rows]
        out = model(x)
        if family == "autoencoder":
            loss = ((out - x) ** 2).mean()
        elif family == "labels":
            loss = nn.functional.binary_cross_entropy(out, nn.functional.one_hot(y, classes).float())
        elif family == "fcn":
            loss = nn.functional.nll_loss(torch.log(out + 1e-9), y)
        else:
            loss = nn.functional.cross_entropy(out, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model.eval(), (whole[:1],), str(path), input_names=["x"], output_names=["y"], dynamo=False)
