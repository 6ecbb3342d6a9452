"""Passes of a trained network over unchanged windows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from fsq_edge.data.windows import WindowIndex
from fsq_edge.model import Conv2dFSQ
from fsq_edge.training.metrics import Pass, PassCounter
from fsq_edge.training.world import ALONE, World
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import Preprocessor

BATCH = 256  # larger batches leave the cache and are slower a window


class WindowFrames:
    """Frames and labels of the usable windows of an index, batch by batch; kept in memory if they fit.

    Args:
        index: the windows.
        preprocessor: fitted on the training split.
        memory_bytes: frames beyond this are made again on every pass.
        world: the processes; each takes every ``size``-th window.
    """

    def __init__(self, index: WindowIndex, preprocessor: Preprocessor, memory_bytes: int, world: World = ALONE) -> None:
        self._index, self._preprocessor = index, preprocessor
        self._rows = np.arange(world.rank, len(index), world.size)
        bytes_each = 4 * int(np.prod(preprocessor.config.frame_shape))
        self._kept = list(self._made()) if len(self._rows) * bytes_each <= memory_bytes else None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(frames (b, C', H, W) float32, labels (b,) int64)``; windows with missing samples are left out."""
        return iter(self._kept) if self._kept is not None else self._made()

    def _made(self) -> Iterator[tuple[Tensor, Tensor]]:
        for at in range(0, len(self._rows), BATCH):
            rows = self._rows[at : at + BATCH]
            frames, usable = self._preprocessor.usable_frames(self._index.gather(rows))
            if len(frames):
                yield (
                    torch.from_numpy(frames).contiguous(memory_format=torch.channels_last),
                    torch.from_numpy(self._index.label[rows[usable]]),
                )


@torch.no_grad()
def validate(model: Conv2dFSQ, frames: WindowFrames, world: World) -> Pass:
    """Classify windows with the network in evaluation mode, on all processes.

    Raises:
        DataError: no window is usable.
    """
    model.eval()
    tally = PassCounter(model.num_classes, model.fsq.codes)
    for batch, label in frames:
        output, target = model(batch.to(world.device)), label.to(world.device)
        tally.add(output, target, nn.functional.cross_entropy(output.logits, target))
    try:
        return tally.result(world)
    except ValueError as error:
        raise DataError("no validation window is usable: all have missing values beyond max_gap_ms") from error
