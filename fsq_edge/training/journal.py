"""What a running training reports: ``training.log`` for ``tail -f``, events for TensorBoard."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from fsq_edge.training.metrics import Pass
from fsq_edge.training.record import EpochRecord
from fsq_edge_runtime.arrays import ByteArray, Int64Array

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_FILE, EVENTS_FOLDER = "training.log", "tensorboard"
CELL_PIXELS = 24
_BACKGROUND, _INK = np.array([255, 255, 255]), np.array([8, 48, 107])

# EpochRecord field -> name in TensorBoard
SCALARS = {
    "train_loss": "loss/train",
    "val_loss": "loss/validation",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/validation",
    "val_macro_f1": "macro_f1/validation",
    "learning_rate": "learning_rate",
    "grad_norm_mean": "gradient_norm/mean",
    "grad_norm_max": "gradient_norm/max",
    "code_usage": "codes/usage",
    "perplexity": "codes/perplexity",
}


class Journal:
    """Writes both; without the package tensorboard only the log.

    Args:
        folder: the run folder.
        done: epochs of a training that is resumed; 0 starts both files anew.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self._events = folder / EVENTS_FOLDER
        if done == 0:
            (folder / LOG_FILE).unlink(missing_ok=True)
            for old in self._events.glob("events.out.tfevents.*"):
                old.unlink()
        self._log = (folder / LOG_FILE).open("a", encoding="utf-8", buffering=1)
        self._writer = self._open_writer(done)

    def _open_writer(self, done: int) -> SummaryWriter | None:
        if importlib.util.find_spec("tensorboard") is None:
            self.note("tensorboard is not installed: no events are written (pip install 'fsq-edge[train]')")
            return None
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self._events), purge_step=done + 1 if done else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.note(f"stopped: {type(error).__name__}: {error}")
        self._log.close()
        if self._writer is not None:
            self._writer.close()

    def note(self, text: str) -> None:
        """Write one line with the time to the log."""
        self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def epoch(self, record: EpochRecord, checked: Pass | None, epochs: int) -> None:
        """Write one epoch to both; ``checked`` is its validation pass, None in the refit."""
        values = [f"{name} {value:.4g}" for name in SCALARS if (value := getattr(record, name)) is not None]
        self.note(f"epoch {record.epoch}/{epochs} {' '.join(values)} seconds {record.seconds:.2f}")
        if self._writer is None:
            return
        for field, name in SCALARS.items():
            if (value := getattr(record, field)) is not None:
                self._writer.add_scalar(name, value, record.epoch)
        if checked is not None:
            self._writer.add_image("confusion/validation", confusion_image(checked.confusion), record.epoch)
        self._writer.flush()


def confusion_image(confusion: Int64Array) -> ByteArray:
    """Draw a confusion matrix (K, K), true class by row, as an image (3, H, W): the darker, the larger the share."""
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    color = _BACKGROUND + share[:, :, None] * (_INK - _BACKGROUND)
    cells = np.kron(color.transpose(2, 0, 1), np.ones((1, CELL_PIXELS, CELL_PIXELS)))
    cells[:, ::CELL_PIXELS] = cells[:, :, ::CELL_PIXELS] = 200  # grid lines
    return np.asarray(np.rint(cells), dtype=np.uint8)
