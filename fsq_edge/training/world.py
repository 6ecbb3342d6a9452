"""Data-parallel training: which process this is, and what the processes exchange."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class World:
    """The processes of one training; alone unless ``torchrun`` started it.

    Attributes:
        rank: this process, 0 .. size - 1; 0 writes files and prints.
        size: number of processes.
        device: where this process computes.
        leads_machine: True in the one process of this machine that writes what its others share.
    """

    rank: int
    size: int
    device: torch.device
    leads_machine: bool = True

    @property
    def leads(self) -> bool:
        """True in the one process that writes and prints."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes, so that all take the same step.

        With equal shares of the batch this is the gradient of the whole batch's mean loss.
        """
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
            at += gradient.numel()

    def average_statistics(self, model: nn.Module) -> None:
        """Replace BatchNorm's running statistics by their mean over the processes."""
        if self.size == 1:
            return
        for buffer in model.buffers():
            if buffer.is_floating_point() and buffer.dim() > 0:
                dist.all_reduce(buffer)
                buffer /= self.size

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows (n, k) of all processes, one process after the other; n may differ."""
        if self.size == 1:
            return rows
        counts = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.size)]
        dist.all_gather(counts, torch.tensor([len(rows)], device=self.device))
        most = max(int(count) for count in counts)
        padded = torch.zeros(most, rows.shape[1], dtype=rows.dtype, device=self.device)
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(found, padded)
        return torch.cat([part[: int(count)] for part, count in zip(found, counts, strict=True)])

    def wait(self) -> None:
        """Let every process come this far."""
        if self.size > 1:
            dist.barrier()


ALONE = World(0, 1, torch.device("cpu"))


def choose_device(wanted: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``; without a GPU it is the CPU."""
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


@contextmanager
def join_world(wanted_device: str) -> Iterator[World]:
    """Enter the processes that ``torchrun`` started (gloo on CPU, nccl on GPU), or be alone.

    Args:
        wanted_device: ``auto``, ``cpu`` or ``cuda``.

    Source: the environment that torchrun sets, RANK and WORLD_SIZE.
    """
    device = choose_device(wanted_device)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size(), device, os.environ.get("LOCAL_RANK", "0") == "0")
    finally:
        dist.destroy_process_group()
