"""ConvNeXt and transformers, each with the blocks of its family at a small width."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvNextBlock(nn.Module):
    """Depthwise 7x7, then the channels go last for LayerNorm and two dense layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.spatial(x).permute(0, 2, 3, 1)
        y = self.scale * self.down(nn.functional.gelu(self.up(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """Patchify, blocks, a strided convolution between the stages."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.blocks = nn.Sequential(ConvNextBlock(width), nn.Conv2d(width, 2 * width, 2, 2), ConvNextBlock(2 * width))
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class Attention(nn.Module):
    """Multi-head attention written out, or with torch's fused function.

    Query, key and value come from one projection, or from one each as transformer libraries write it.
    """

    def __init__(self, width: int, heads: int, fused: bool = False, function: bool = False) -> None:
        super().__init__()
        self.heads, self.size, self.fused, self.function = heads, width // heads, fused, function
        self.qkv = nn.Linear(width, 3 * width)
        self.parts = nn.ModuleList([nn.Linear(width, width) for _ in range(3)])
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        if self.fused:
            q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, self.size).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            q, k, v = (part(x).view(n, t, self.heads, self.size).transpose(1, 2) for part in self.parts)
        if self.function:
            mixed = nn.functional.scaled_dot_product_attention(q, k, v)
            return self.out(mixed.transpose(1, 2).reshape(n, t, c))
        weights = (q * self.size**-0.5 @ k.transpose(-2, -1)).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, t, c))


class Encoder(nn.Module):
    """Pre-norm encoder block."""

    def __init__(self, width: int = 32, heads: int = 4, fused: bool = False, function: bool = False) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, fused, function)
        self.dense = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.before(x))
        return x + self.dense(self.between(x))


class VisionTransformer(nn.Module):
    """Patches, positions, encoder blocks; classes from a class token or from the mean of the tokens."""

    def __init__(self, class_token: bool = False, fused: bool = False, function: bool = False, width: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, width)) if class_token else None
        self.positions = nn.Parameter(torch.randn(1, 16 + class_token, width))
        self.blocks = nn.Sequential(*(Encoder(width, 4, fused, function) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), 1)
        x = self.norm(self.blocks(x + self.positions))
        return self.head(x[:, 0] if self.token is not None else x.mean(1))


class Window(nn.Module):
    """Swin's block: attention inside windows of 4 x 4, shifted or not."""

    def __init__(self, width: int = 32, window: int = 4, shift: int = 0) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.block = Encoder(width, 4, fused=True)

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        size = self.window
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        windows = x.view(n, h // size, size, w // size, size, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, size * size, c)
        windows = self.block(windows)
        x = windows.view(n, h // size, w // size, size, size, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return torch.roll(x, (self.shift, self.shift), (1, 2)) if self.shift else x


class Swin(nn.Module):
    """Patches, a plain and a shifted window block, patch merging, a head on the mean."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, width, 4, 4), nn.LayerNorm(width)
        self.blocks = nn.Sequential(Window(width), Window(width, shift=2))
        self.merge, self.head = nn.Linear(4 * width, 2 * width, bias=False), nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.norm(self.patches(x).permute(0, 2, 3, 1)))
        corners = [x[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
        return self.head(self.merge(torch.cat(corners, -1)).mean((1, 2)))


def library_encoder() -> nn.Module:
    """torch's own transformer encoder on sequences."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


class Recurrent(nn.Module):
    """An LSTM over the columns of a map: what audio and activity networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
        self.memory, self.head = nn.LSTM(8 * 16, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.front(x).flatten(1, 2).transpose(1, 2)
        return self.head(self.memory(x)[0][:, -1])
