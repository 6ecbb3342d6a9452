"""Conv2dFSQ: a small convolutional encoder, a finite-scalar bottleneck and an MLP head for motion windows.

Letters: B batch, C sensor channels, C' graph channels (2C with per-window z-copies), H rows (the fold), W samples of a
row, D quantised dimensions, K classes. Only blocks that Hailo's compiler takes: Conv2d, BatchNorm, ReLU, MaxPool,
GlobalAveragePool, Linear, Tanh. Rounding and the head stay on the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fsq_edge.fsq import FSQ
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.tail import MAX_CODES

MIN_BLOCKS = 3


class ModelOutput(NamedTuple):
    """What Conv2dFSQ returns for a batch.

    Attributes:
        logits: (B, K) float32, unnormalised class scores.
        code: (B,) int64, the FSQ code of each window.
        t: (B, D) float32 in [-1, 1], the device graph's output.
    """

    logits: Tensor
    code: Tensor
    t: Tensor


def receptive_field(blocks: int, kernel: int) -> int:
    """Return the samples of a row that one output of the last convolution sees.

    Args:
        blocks: convolutions of ``kernel`` samples, a pool by two after each but the last.
        kernel: odd kernel length in samples.

    Example:
        >>> receptive_field(3, 9)  # samples
        60
    """
    field, stride = 1, 1
    for block in range(blocks):
        field += (kernel - 1) * stride
        if block < blocks - 1:
            field += stride
            stride *= 2
    return field


def blocks_for(row_samples: int, kernel: int) -> int:
    """Return the fewest blocks (at least three) whose receptive field covers a row of ``row_samples``."""
    blocks = MIN_BLOCKS
    while receptive_field(blocks, kernel) < row_samples and row_samples >> blocks > 0:
        blocks += 1
    return blocks


class Conv2dFSQ(nn.Module):
    """Behaviour classifier for motion windows with a finite code book between encoder and head.

    Args:
        input_channels: sensor channels C; the graph has 2C with ``window_zscore``.
        hidden_dim: width of the deeper convolutions; the first has half of it.
        num_classes: classes K.
        fsq_levels: levels of the code book, see ``fsq_edge.fsq.FSQ``.
        fold: rows H that a window is folded into; 1 keeps the window in one row.
        window_samples: samples T of a window; a row has T // fold.
        window_zscore: the input carries a z-scored copy of every channel.
        kernel: odd length of the convolutions in samples of a row.
        blocks: convolutions, a pool by two after each but the last; None takes the fewest (at least three) that see a
            whole row.
        span_rows: the last convolution is (fold, kernel), so the order of the rows counts.
        dropout: probability of dropping a hidden unit of the head in training.

    Raises:
        UsageError: a size is below one, the kernel is even, or the levels are refused.
    """

    def __init__(
        self,
        input_channels: int,
        hidden_dim: int = 64,
        num_classes: int = 10,
        fsq_levels: Sequence[int] = (8, 6, 5),
        *,
        fold: int = 2,
        window_samples: int = 100,
        window_zscore: bool = True,
        kernel: int = 9,
        blocks: int | None = None,
        span_rows: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        sizes = {"input_channels": input_channels, "hidden_dim": hidden_dim, "num_classes": num_classes, "fold": fold}
        sizes |= {} if blocks is None else {"blocks": blocks}
        for name, size in sizes.items():
            if size < 1:
                raise UsageError(f"{name} must be at least 1, got {size}")
        if kernel < 1 or kernel % 2 == 0:
            raise UsageError(f"kernel must be odd, so that it has a middle sample; got {kernel}")
        self.input_channels, self.num_classes, self.fold = input_channels, num_classes, fold
        self.row_samples = window_samples // fold
        self.graph_channels = input_channels * (2 if window_zscore else 1)
        blocks = blocks_for(self.row_samples, kernel) if blocks is None else blocks
        if self.row_samples >> (blocks - 1) < 1:
            raise UsageError(f"a row of {self.row_samples} samples is too short for {blocks - 1} poolings by two")
        self.features = _convolutions(self.graph_channels, hidden_dim, kernel, blocks, fold if span_rows else 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fsq = FSQ(fsq_levels)
        self.projection = nn.Linear(hidden_dim, self.fsq.dimensions)
        # Without it the codes collapse: 0.79 against 0.87 accuracy by subject on watch.
        self.projection_norm = nn.BatchNorm1d(self.fsq.dimensions)
        self.head = nn.Sequential(
            nn.Linear(self.fsq.dimensions, hidden_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, num_classes),
        )

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(C', H, W) of one input frame."""
        return self.graph_channels, self.fold, self.row_samples

    def forward(self, frames: Tensor) -> ModelOutput:
        """Classify frames of shape (B, C', H, W) float32, made by the runtime's ``Preprocessor``.

        Raises:
            ValueError: the frames do not have the model's shape.
        """
        if frames.dim() != 4 or tuple(frames.shape[1:]) != self.frame_shape:
            raise ValueError(f"frames have shape {tuple(frames.shape)}, expected (B, {self.frame_shape})")
        pooled = self.pool(self.features(frames)).flatten(1)
        quantised = self.fsq(self.projection_norm(self.projection(pooled).float()))
        return ModelOutput(logits=self.head(quantised.value), code=quantised.code, t=quantised.t)

    def device_graph(self) -> DeviceGraph:
        """Return the part that runs on the device, in evaluation mode, with its own copy of the weights."""
        return DeviceGraph(self)

    @torch.no_grad()
    def head_table(self) -> Float32Array:
        """Return the logits of every code, (codes, K) float32: the whole head as a table.

        Raises:
            UsageError: the code book has more than a million codes.
        """
        if self.fsq.codes > MAX_CODES:
            raise UsageError(
                f"a table of {self.fsq.codes} codes is too large for the host, at most {MAX_CODES}",
                hint="use fewer or coarser FSQ levels",
            )
        training = self.head.training
        self.head.eval()
        device = self.fsq.basis.device
        table = self.head(self.fsq.values_of(torch.arange(self.fsq.codes, device=device)))
        self.head.train(training)
        array: Float32Array = table.float().cpu().numpy()
        return array


class DeviceGraph(nn.Module):
    """Frames (B, C', H, W) to t (B, D) in [-1, 1]; the projection's BatchNorm and the FSQ shift are in its bias.

    The last operator is Tanh, so the range of the output is known before calibration.
    """

    def __init__(self, model: Conv2dFSQ) -> None:
        super().__init__()
        # Copies, so that evaluation mode here leaves a model in training as it is.
        self.features, self.pool = deepcopy(model.features), deepcopy(model.pool)
        self.projection = _folded_projection(model)
        self.eval()

    def forward(self, frames: Tensor) -> Tensor:
        """Return t (B, D) float32 for frames (B, C', H, W) float32."""
        t: Tensor = torch.tanh(self.projection(self.pool(self.features(frames)).flatten(1)))
        return t


def _convolutions(channels: int, hidden: int, kernel: int, blocks: int, last_rows: int) -> nn.Sequential:
    """Build conv-BN-ReLU blocks, a pool by two after each but the last."""
    layers: list[nn.Module] = []
    for block in range(blocks):
        width = max(hidden // 2, 1) if block == 0 else hidden
        rows = last_rows if block == blocks - 1 else 1
        # Rows are spanned without padding: they end as one. Samples are padded to keep the row's length.
        layers += [
            nn.Conv2d(channels, width, (rows, kernel), padding=(0, kernel // 2), bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        if block < blocks - 1:
            layers.append(nn.MaxPool2d((1, 2)))
        channels = width
    return nn.Sequential(*layers)


@torch.no_grad()
def _folded_projection(model: Conv2dFSQ) -> nn.Linear:
    """Return one Linear equal to projection, BatchNorm with its running statistics, and the FSQ shift."""
    norm, linear = model.projection_norm, model.projection
    if norm.running_mean is None or norm.running_var is None:
        raise UsageError("the projection's BatchNorm has no running statistics to fold")
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = (linear.bias.double() - norm.running_mean.double()) * scale + norm.bias.double() + model.fsq.shift.double()
    folded = nn.Linear(linear.in_features, linear.out_features, device=linear.weight.device)
    folded.weight.copy_((linear.weight.double() * scale[:, None]).float())
    folded.bias.copy_(bias.float())
    return folded
