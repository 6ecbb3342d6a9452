"""Detectors and segmentation networks: several heads, decoders in the graph, skips and upsampling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.factories.networks.classifiers import conv_bn, stem


def silu_conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return nn.Sequential(conv_bn(inputs, outputs, kernel, stride, act=False), nn.SiLU())


class CrossStage(nn.Module):
    """C2f of YOLOv8: split, bottlenecks, concat."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter, self.leave = silu_conv(channels, channels, 1), silu_conv(half * 3, channels, 1)
        self.body = nn.Sequential(silu_conv(half, half), silu_conv(half, half))

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.enter(x).chunk(2, 1))
        parts.append(parts[-1] + self.body(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class PyramidPool(nn.Module):
    """SPPF: three pools in a row, joined."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter, self.leave = silu_conv(channels, channels // 2, 1), silu_conv(channels * 2, channels, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.enter(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class Backbone(nn.Module):
    """Two scales with a top-down path."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.shallow = nn.Sequential(silu_conv(3, width, 3, 2), silu_conv(width, width, 3, 2), CrossStage(width))
        self.deep = nn.Sequential(silu_conv(width, width, 3, 2), PyramidPool(width))
        self.up, self.merge = nn.Upsample(scale_factor=2), CrossStage(2 * width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shallow = self.shallow(x)
        deep = self.deep(shallow)
        return self.merge(torch.cat((self.up(deep), shallow), 1)), deep


class AnchorFree(nn.Module):
    """YOLOv8's head: boxes as distributions, decoded in the graph."""

    def __init__(self, width: int = 16, classes: int = 4, bins: int = 16, decode: bool = True) -> None:
        super().__init__()
        self.backbone, self.classes, self.bins, self.decode = Backbone(width), classes, bins, decode
        widths = (2 * width, width)
        self.boxes = nn.ModuleList([nn.Sequential(silu_conv(w, w), nn.Conv2d(w, 4 * bins, 1)) for w in widths])
        self.scores = nn.ModuleList([nn.Sequential(silu_conv(w, w), nn.Conv2d(w, classes, 1)) for w in widths])

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        maps = self.backbone(x)
        heads = [torch.cat((box(m), score(m)), 1) for box, score, m in zip(self.boxes, self.scores, maps, strict=True)]
        if not self.decode:
            return heads
        flat = torch.cat([head.view(1, 4 * self.bins + self.classes, -1) for head in heads], 2)
        box, score = flat.split((4 * self.bins, self.classes), 1)
        places = box.view(1, 4, self.bins, -1).transpose(2, 1).softmax(1)
        steps = torch.arange(self.bins, dtype=torch.float32).view(1, -1, 1, 1)
        distance = (places * steps).sum(1)
        left, right = distance.chunk(2, 1)
        return torch.cat(((right - left) / 2, left + right, score.sigmoid()), 1)


class AnchorBased(nn.Module):
    """YOLOv5's head: reshape to anchors, permute, sigmoid, scale, all in the graph."""

    def __init__(self, width: int = 16, classes: int = 4) -> None:
        super().__init__()
        self.backbone, self.values = Backbone(width), classes + 5
        self.heads = nn.ModuleList([nn.Conv2d(w, 3 * self.values, 1) for w in (2 * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        rows = []
        for head, maps in zip(self.heads, self.backbone(x), strict=True):
            y = head(maps)
            n, _, h, w = y.shape
            y = y.view(n, 3, self.values, h, w).permute(0, 1, 3, 4, 2).sigmoid()
            centre, size, rest = y.split((2, 2, self.values - 4), 4)
            rows.append(torch.cat((centre * 2 - 0.5, (size * 2) ** 2, rest), 4).view(n, -1, self.values))
        return torch.cat(rows, 1)


class SingleShot(nn.Module):
    """SSD's heads: permute to channels last, flatten, join, softmax over the classes."""

    def __init__(self, width: int = 16, classes: int = 4) -> None:
        super().__init__()
        self.classes = classes
        self.shallow, self.deep = nn.Sequential(stem(width), conv_bn(width, width, 3, 2)), conv_bn(width, width, 3, 2)
        self.boxes = nn.ModuleList([nn.Conv2d(width, 12, 3, padding=1) for _ in range(2)])
        self.scores = nn.ModuleList([nn.Conv2d(width, 3 * classes, 3, padding=1) for _ in range(2)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shallow = self.shallow(x)
        maps = (shallow, self.deep(shallow))
        boxes = [head(m).permute(0, 2, 3, 1).reshape(1, -1, 4) for head, m in zip(self.boxes, maps, strict=True)]
        scores = [
            head(m).permute(0, 2, 3, 1).reshape(1, -1, self.classes) for head, m in zip(self.scores, maps, strict=True)
        ]
        return torch.cat(boxes, 1), torch.cat(scores, 1).softmax(-1)


class CentreNet(nn.Module):
    """CentreNet: three heads on one upsampled map, no decoder."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(stem(width), conv_bn(width, width, 3, 2), nn.ConvTranspose2d(width, width, 2, 2))
        self.heads = nn.ModuleList([nn.Sequential(conv_bn(width, width), nn.Conv2d(width, c, 1)) for c in (4, 2, 2)])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.body(x)
        return (self.heads[0](x).sigmoid(), self.heads[1](x), self.heads[2](x))


class UNet(nn.Module):
    """Two levels with skips; upsampling by a transposed convolution or by interpolation."""

    def __init__(self, width: int = 8, transposed: bool = True, arg_max: bool = False) -> None:
        super().__init__()
        self.one, self.two = conv_bn(3, width), conv_bn(width, 2 * width)
        self.pool = nn.MaxPool2d(2)
        interpolated = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), nn.Conv2d(2 * width, width, 1)
        )
        self.up = nn.ConvTranspose2d(2 * width, width, 2, 2) if transposed else interpolated
        self.last, self.classes = conv_bn(2 * width, width), nn.Conv2d(width, 3, 1)
        self.arg_max = arg_max

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x)
        maps = self.classes(self.last(torch.cat((self.up(self.two(self.pool(one))), one), 1)))
        return maps.argmax(1) if self.arg_max else maps


class AtrousPyramid(nn.Module):
    """DeepLab: dilated branches and an image-wide one that is stretched back over the map."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(stem(width), conv_bn(width, width, 3, 2))
        self.branches = nn.ModuleList(
            [nn.Conv2d(width, width, 1), *(nn.Conv2d(width, width, 3, padding=d, dilation=d) for d in (2, 4))]
        )
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1), nn.ReLU())
        self.last = nn.Conv2d(4 * width, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.body(x)
        wide = nn.functional.interpolate(self.pooled(maps), size=maps.shape[2:], mode="nearest")
        joined = torch.cat([*(branch(maps) for branch in self.branches), wide], 1)
        return nn.functional.interpolate(self.last(joined), scale_factor=2, mode="bilinear", align_corners=False)
