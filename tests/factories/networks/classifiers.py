"""Convolutional classifiers, each with the blocks of its family at a small width."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def conv_bn(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: bool = True
) -> nn.Module:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if act else nn.Sequential(*layers)


class Head(nn.Module):
    """Global pool, flatten, dense: how every classifier here ends."""

    def __init__(self, channels: int, classes: int = 10, softmax: bool = False) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Linear(channels, classes)
        self.softmax = softmax

    def forward(self, x: Tensor) -> Tensor:
        logits = self.dense(torch.flatten(self.pool(x), 1))
        return torch.softmax(logits, 1) if self.softmax else logits


class Residual(nn.Module):
    """ResNet's basic or bottleneck block, RegNet's with groups and squeeze-and-excitation."""

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, bottleneck: int = 0, groups: int = 1, squeeze: int = 0
    ) -> None:
        super().__init__()
        middle = bottleneck or outputs
        layers = [conv_bn(inputs, middle, 1) if bottleneck else conv_bn(inputs, outputs, 3, stride)]
        if bottleneck:
            layers.append(conv_bn(middle, middle, 3, stride, groups))
        if squeeze:
            layers.append(Squeeze(middle, squeeze))
        layers.append(conv_bn(middle, outputs, 1 if bottleneck else 3, act=False))
        self.body = nn.Sequential(*layers)
        self.skip = (
            nn.Identity() if inputs == outputs and stride == 1 else conv_bn(inputs, outputs, 1, stride, act=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.skip(x))


class Squeeze(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(
        self,
        channels: int,
        reduction: int = 4,
        inner: Callable[[], nn.Module] = nn.ReLU,
        gate: Callable[[], nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // reduction, 1),
            inner(),
            nn.Conv2d(channels // reduction, channels, 1),
            gate(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class MeanSqueeze(Squeeze):
    """The same with the pool spelt as a mean over height and width."""

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate[1:](x.mean((2, 3), keepdim=True))


class Inverted(nn.Module):
    """Inverted residual of MobileNet and EfficientNet."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        act: Callable[[], nn.Module],
        squeeze: nn.Module | None = None,
        kernel: int = 3,
    ) -> None:
        super().__init__()
        middle = inputs * 4
        layers: list[nn.Module] = [conv_bn(inputs, middle, 1, act=False), act()]
        layers += [conv_bn(middle, middle, kernel, stride, middle, act=False), act()]
        layers += [squeeze] if squeeze is not None else []
        layers.append(conv_bn(middle, outputs, 1, act=False))
        self.body = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


class Shuffle(nn.Module):
    """ShuffleNet's unit: half of the channels pass, then the channels are shuffled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.body = nn.Sequential(
            conv_bn(half, half, 1), conv_bn(half, half, 3, groups=half, act=False), conv_bn(half, half, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1)
        joined = torch.cat((left, self.body(right)), dim=1)
        n, c, h, w = joined.shape
        return joined.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Dense(nn.Module):
    """DenseNet's layer: the new maps are appended."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), conv_bn(inputs, 4 * growth, 1))
        self.last = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.last(self.body(x))), 1)


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                conv_bn(channels, 8, 1),
                nn.Sequential(conv_bn(channels, 8, 1), conv_bn(8, 8, 3)),
                nn.Sequential(conv_bn(channels, 8, 1), conv_bn(8, 8, 5)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_bn(channels, 8, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Fire(nn.Module):
    """SqueezeNet's module."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, 8, 1)
        self.one, self.three = nn.Conv2d(8, channels // 2, 1), nn.Conv2d(8, channels // 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.squeeze(x))
        return torch.cat((torch.relu(self.one(x)), torch.relu(self.three(x))), 1)


class Repeated(nn.Module):
    """RepVGG in its deployed form, with hard-swish between the layers as in LCNet."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.hardswish(self.conv(x))


def stem(channels: int = 16) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels), nn.ReLU())


def resnet18() -> nn.Module:
    return nn.Sequential(
        stem(), nn.MaxPool2d(3, 2, 1), Residual(16, 16), Residual(16, 32, 2), Residual(32, 32), Head(32, softmax=True)
    )


def resnet50() -> nn.Module:
    return nn.Sequential(
        stem(),
        nn.MaxPool2d(3, 2, 1),
        Residual(16, 64, 1, 16),
        Residual(64, 128, 2, 32),
        Residual(128, 128, 1, 32),
        Head(128),
    )


def resnext() -> nn.Module:
    return nn.Sequential(stem(), Residual(16, 64, 1, 32, groups=8), Residual(64, 64, 2, 32, groups=8), Head(64))


def regnet() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 16, 3, 2), Residual(16, 32, 2, 32, 4, squeeze=4), Residual(32, 32, 1, 32, 4, squeeze=4), Head(32)
    )


def mobilenet_v1() -> nn.Module:
    separable = [nn.Sequential(conv_bn(16, 16, 3, stride, 16), conv_bn(16, 16, 1)) for stride in (1, 2, 1)]
    return nn.Sequential(conv_bn(3, 16, 3, 2), *separable, Head(16))


def mobilenet_v2() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 16, 3, 2), Inverted(16, 24, 2, nn.ReLU6), Inverted(24, 24, 1, nn.ReLU6), nn.Dropout(0.2), Head(24)
    )


def mobilenet_v3() -> nn.Module:
    gate = Squeeze(64, 4, nn.ReLU, nn.Hardsigmoid)
    return nn.Sequential(
        conv_bn(3, 16, 3, 2, act=False),
        nn.Hardswish(),
        Inverted(16, 16, 1, nn.ReLU, gate),
        Inverted(16, 24, 2, nn.Hardswish, kernel=5),
        Head(24),
    )


def efficientnet() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 16, 3, 2, act=False),
        nn.SiLU(),
        Inverted(16, 24, 2, nn.SiLU, Squeeze(64, 4, nn.SiLU), kernel=5),
        Inverted(24, 24, 1, nn.SiLU, MeanSqueeze(96, 4, nn.SiLU)),
        Head(24),
    )


def efficientnet_lite() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 16, 3, 2), Inverted(16, 16, 1, nn.ReLU6), Inverted(16, 24, 2, nn.ReLU6, kernel=5), Head(24)
    )


def shufflenet() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 16, 3, 2), nn.MaxPool2d(3, 2, 1), Shuffle(16), Shuffle(16), conv_bn(16, 32, 1), Head(32)
    )


def densenet() -> nn.Module:
    return nn.Sequential(
        stem(),
        Dense(16, 8),
        Dense(24, 8),
        conv_bn(32, 16, 1),
        nn.AvgPool2d(2),
        Dense(16, 8),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        Head(24),
    )


def inception() -> nn.Module:
    return nn.Sequential(stem(), Inception(16), Inception(32), Head(32))


def squeezenet() -> nn.Module:
    """The class scores come from a convolution in front of the pool."""
    return nn.Sequential(
        stem(),
        nn.MaxPool2d(3, 2, 1),
        Fire(16),
        Fire(16),
        nn.Dropout(),
        nn.Conv2d(16, 10, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def vgg() -> nn.Module:
    """A whole map is flattened in front of the dense layers."""
    convolutions = [
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
    ]
    return nn.Sequential(
        *convolutions, nn.MaxPool2d(8), nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10)
    )


def repvgg() -> nn.Module:
    return nn.Sequential(conv_bn(3, 16, 3, 2), Repeated(16), Repeated(16), Head(16))
