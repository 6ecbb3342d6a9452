"""Layers that see the whole batch although each process holds a share of it: N processes then train as one does.

torch's own SyncBatchNorm is for GPUs only; these sum over whatever the processes talk through.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed.nn.functional as dist_nn
from torch import Tensor, nn

from fsq_edge.training.world import World


def share_layers(model: nn.Module, world: World) -> None:
    """Put layers of the whole batch in the place of BatchNorm and Dropout; alone, a process keeps torch's own.

    Names, weights and statistics stay, so checkpoints and exports do not change.

    Args:
        model: changed in place.
        world: the processes.
    """
    if world.size == 1:
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            shared: nn.Module
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                shared = _SharedNorm(child)
            elif isinstance(child, nn.Dropout):
                shared = _SharedDropout(child.p, world)
            else:
                continue
            setattr(parent, name, shared)


class _SharedNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm of frames (b, C, ...) with the mean and variance over the shares of all processes."""

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            setattr(self, name, getattr(norm, name))

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any frames: torch's check is about the number of axes, which differs between 1d and 2d."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        axes, shape = [0, *range(2, input.dim())], [1, -1, *[1] * (input.dim() - 2)]
        here = torch.cat([input.sum(axes), input.new_tensor([input.numel() / input.shape[1]])])
        everywhere = _sum(here)
        count = everywhere[-1].detach()
        mean = everywhere[:-1] / count
        centred = input - mean.view(shape)
        variance = _sum(centred.square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centred * scale.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        cast(Tensor, self.running_mean).lerp_(mean, cast(float, self.momentum))
        cast(Tensor, self.running_var).lerp_(variance, cast(float, self.momentum))
        cast(Tensor, self.num_batches_tracked).add_(1)


class _SharedDropout(nn.Dropout):
    """Dropout that draws for the whole batch and takes this process's rows; all processes have one seed."""

    def __init__(self, p: float, world: World) -> None:
        super().__init__(p)
        self._rank, self._size = world.rank, world.size

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not self.p:
            return input
        rows = len(input)
        whole = torch.ones(self._size * rows, *input.shape[1:], dtype=input.dtype, device=input.device)
        kept = nn.functional.dropout(whole, self.p)
        return input * kept[self._rank * rows : (self._rank + 1) * rows]


def _sum(values: Tensor) -> Tensor:
    """Add a tensor up over the processes, gradients included."""
    found: Any = dist_nn.all_reduce(values)  # type: ignore[no-untyped-call]
    return cast(Tensor, found)
