"""What a pass over windows gave: loss, accuracy, macro-F1, and how the code book is used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from fsq_edge.model import ModelOutput
from fsq_edge.training.world import World
from fsq_edge_runtime.arrays import Int64Array
from fsq_edge_runtime.scores import confusion, macro_f1, perplexity


@dataclass(frozen=True, eq=False)
class Pass:
    """The answers of n windows.

    Attributes:
        loss: mean cross-entropy of a window (not a mean of batch means).
        label: (n,) int64 true classes.
        predicted: (n,) int64.
        code: (n,) int64 FSQ indices.
        classes: number of classes.
        codes: size of the code book.
    """

    loss: float
    label: Int64Array
    predicted: Int64Array
    code: Int64Array
    classes: int
    codes: int

    @property
    def accuracy(self) -> float:
        """Share of windows whose class is right."""
        return float(np.mean(self.label == self.predicted))

    @cached_property
    def confusion(self) -> Int64Array:
        """(classes, classes) counts, true class by row."""
        return confusion(self.label, self.predicted, self.classes)

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur as truth or as answer, as scikit-learn computes it."""
        return float(macro_f1(self.confusion))

    @property
    def code_usage(self) -> float:
        """Share of the code book that occurs, 0 to 1."""
        return len(np.unique(self.code)) / self.codes

    @property
    def perplexity(self) -> float:
        """Exponential of the entropy of the codes: how many are used evenly, 1 to ``codes``."""
        return perplexity(np.unique(self.code, return_counts=True)[1])


class PassCounter:
    """Collects the batches of a pass without waiting for the device."""

    def __init__(self, classes: int, codes: int) -> None:
        self._classes, self._codes = classes, codes
        self._losses: list[Tensor] = []
        self._rows: list[Tensor] = []

    def add(self, output: ModelOutput, label: Tensor, mean_loss: Tensor) -> None:
        """Take a batch: the model's output, labels (b,) int64, and the batch's mean loss, a scalar."""
        self._losses.append(mean_loss.detach().float() * len(label))
        self._rows.append(torch.stack([label, output.logits.detach().argmax(dim=1), output.code], dim=1))

    def result(self, world: World) -> Pass:
        """Return the pass over the batches of all processes.

        Raises:
            ValueError: no process has seen a window.
        """
        empty = torch.empty(0, 3, dtype=torch.int64, device=world.device)
        rows = world.gather(torch.cat(self._rows) if self._rows else empty).cpu().numpy()
        if not len(rows):
            raise ValueError("a pass needs at least one window")
        total = torch.stack(self._losses).sum() if self._losses else torch.zeros((), device=world.device)
        loss = float(world.gather(total.reshape(1, 1)).sum()) / len(rows)
        label, predicted, code = rows.T
        return Pass(loss, label, predicted, code, self._classes, self._codes)
