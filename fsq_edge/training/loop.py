"""The loop: epochs of optimiser steps, validation, the best weights, and the state to resume from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from fsq_edge.model import Conv2dFSQ
from fsq_edge.training.checkpoint import Checkpoint, Progress, optimizer_tensors, restore_optimizer
from fsq_edge.training.config import TrainingSection
from fsq_edge.training.feed import TrainingFeed
from fsq_edge.training.memory import memory_named
from fsq_edge.training.metrics import Pass, PassCounter
from fsq_edge.training.record import EpochRecord
from fsq_edge.training.schedule import Plateau, one_cycle
from fsq_edge.training.validation import WindowFrames, validate
from fsq_edge.training.world import World
from fsq_edge_runtime.errors import DataError

# Called after each epoch with its record, the validation pass (None in the refit) and the number of epochs.
EpochListener = Callable[[EpochRecord, Pass | None, int], None]


def make_optimizer(model: nn.Module, section: TrainingSection) -> torch.optim.Optimizer:
    """Return AdamW; weights decay, biases and BatchNorm do not."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": section.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=section.learning_rate, fused=True)


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A stretch of epochs over the same windows.

    Attributes:
        feed: augmented minibatches.
        held: validation windows; None in the stage that learns from them too.
        epochs: how many at most.
        schedule: ``one-cycle`` or ``plateau``.
        peak: the highest learning rate.
    """

    feed: TrainingFeed
    held: WindowFrames | None
    epochs: int
    schedule: Literal["one-cycle", "plateau"]
    peak: float


class Loop:
    """One training, epoch by epoch: a stage with validation, then possibly one on all windows but the test's.

    Args:
        model: on the world's device.
        validated: the stage whose best epoch is kept.
        refit: continues from the best weights, validation windows included; None ends with the first stage.
        section: optimiser, schedule, stopping.
        world: the processes.
        digest: names this training in checkpoints.

    Attributes:
        history: one record an epoch, both stages.
        best: weights of the best validated epoch.
        best_epoch: its number, from 1.
    """

    def __init__(
        self,
        model: Conv2dFSQ,
        validated: Stage,
        refit: Stage | None,
        section: TrainingSection,
        world: World,
        digest: str,
    ) -> None:
        self.model, self.validated, self._refit = model, validated, refit
        self._section, self._world, self.digest = section, world, digest
        self._optimizer = make_optimizer(model, section)
        self._loss = nn.CrossEntropyLoss(label_smoothing=section.label_smoothing)
        self._plateau = Plateau(section.learning_rate, section.scheduler_patience or 0, section.scheduler_factor)
        self._half = _half_precision(section, world)
        # fp16 gradients underflow without it; bfloat16 has float32's range and needs none.
        self._scaler = torch.amp.GradScaler(world.device.type, enabled=self._half is torch.float16)
        self.history: list[EpochRecord] = []
        self.best: Mapping[str, Tensor] = {}
        self.best_epoch = 0

    @property
    def epochs(self) -> int:
        """Epochs of both stages, unless the first stops early."""
        return self.validated.epochs + (self._refit.epochs if self._refit else 0)

    def run(self, checkpoint: Path | None, listener: EpochListener | None = None) -> None:
        """Train the epochs that are left; ``model`` then has the final weights, ``best`` the validated ones.

        Args:
            checkpoint: file that is replaced after every epoch by the leading process; None writes none.
            listener: called by every process after each epoch.

        Raises:
            DataError: the loss stopped being a number.
        """
        while (stage := self._next_stage()) is not None:
            record, checked = self._epoch(stage)
            self.history.append(record)
            if checked is not None:
                self._keep(record)
            if checkpoint is not None and self._world.leads:
                self.state().write(checkpoint)
            if listener is not None:
                listener(record, checked, self.epochs)
        if self._refit is None:
            self.model.load_state_dict(self.best)

    def state(self) -> Checkpoint:
        """Return what ``resume`` needs."""
        progress = Progress(
            digest=self.digest,
            history=tuple(self.history),
            best_epoch=self.best_epoch,
            plateau_rate=self._plateau.rate,
            plateau_bad_epochs=self._plateau.bad_epochs,
        )
        return Checkpoint(progress, self.model.state_dict(), self.best, optimizer_tensors(self._optimizer))

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint of the same training, bit for bit."""
        self.model.load_state_dict(checkpoint.model)
        restore_optimizer(self._optimizer, checkpoint.optimizer)
        self.best, self.best_epoch = checkpoint.best, checkpoint.progress.best_epoch
        self.history = list(checkpoint.progress.history)
        self._plateau.rate = checkpoint.progress.plateau_rate
        self._plateau.bad_epochs = checkpoint.progress.plateau_bad_epochs

    def _next_stage(self) -> Stage | None:
        """The stage of the next epoch; None when all is done."""
        validated = sum(record.val_loss is not None for record in self.history)
        patience, refitted = self._section.early_stopping_patience, len(self.history) - validated
        stalled = patience is not None and validated - self.best_epoch >= patience
        if refitted == 0 and validated < self.validated.epochs and not stalled:
            return self.validated
        if self._refit is None or refitted >= self._refit.epochs:
            return None
        if refitted == 0:
            self.model.load_state_dict(self.best)
            self._optimizer = make_optimizer(self.model, self._section)
        return self._refit

    def _keep(self, record: EpochRecord) -> None:
        monitor = self._section.monitor
        improved = not self.best_epoch or record.watched(monitor) > self.history[self.best_epoch - 1].watched(monitor)
        if improved:
            self.best = _copy(self.model)
            self.best_epoch = record.epoch
        self._plateau.step(improved)

    def _epoch(self, stage: Stage) -> tuple[EpochRecord, Pass | None]:
        begin, number = time.perf_counter(), len(self.history) + 1
        with memory_named(self._section.batch_size):
            trained, norm = self.train_epoch(stage)
        if not math.isfinite(trained.loss):
            raise DataError(f"epoch {number}: the loss is {trained.loss}", hint="lower training.learning_rate")
        checked = self.check(stage)
        record = EpochRecord(
            epoch=number,
            learning_rate=float(self._optimizer.param_groups[0]["lr"]),
            grad_norm_mean=float(norm.mean()),
            grad_norm_max=float(norm.max()),
            train_loss=trained.loss,
            train_accuracy=trained.accuracy,
            code_usage=trained.code_usage,
            perplexity=trained.perplexity,
            val_loss=checked.loss if checked else None,
            val_accuracy=checked.accuracy if checked else None,
            val_macro_f1=checked.macro_f1 if checked else None,
            seconds=time.perf_counter() - begin,
        )
        return record, checked

    def train_epoch(self, stage: Stage) -> tuple[Pass, Tensor]:
        """Take one epoch's steps.

        Returns:
            The pass over the augmented windows, and the gradient norms (steps,) before clipping.
        """
        number = len(self.history) + 1
        # Dropout draws from torch's generator; seeded by the epoch, a resumed training repeats the draws. All processes
        # draw alike, for the whole batch (see ``shared_layers``).
        torch.manual_seed(self._section.seed * 1_000_003 + number * 1009)
        self.model.train()
        tally, norms = PassCounter(self.model.num_classes, self.model.fsq.codes), []
        done = sum((record.val_loss is None) == (stage.held is None) for record in self.history)
        for place, (frames, aims) in enumerate(stage.feed.epoch(number)):
            self._set_rate(stage, done * stage.feed.steps + place)
            norms.append(self._step(frames.to(self._world.device), aims.to(self._world.device), tally))
        self._world.average_statistics(self.model)
        return tally.result(self._world), torch.stack(norms)

    def check(self, stage: Stage) -> Pass | None:
        """Classify the stage's validation windows; None where it has none.

        Raises:
            DataError: none of them is usable.
        """
        return None if stage.held is None else validate(self.model, stage.held, self._world)

    def _set_rate(self, stage: Stage, step: int) -> None:
        rate = self._plateau.rate
        if stage.schedule == "one-cycle":
            total = stage.epochs * stage.feed.steps
            rate = one_cycle(step, total, stage.peak, self._section.warmup_fraction)
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def _step(self, frames: Tensor, aims: Tensor, tally: PassCounter) -> Tensor:
        """One optimiser step towards labels (b,) or shares (b, classes); return the gradient's norm before clipping."""
        self._optimizer.zero_grad(set_to_none=True)
        with self._precision():
            output = self.model(frames)
            loss = self._loss(output.logits.float(), aims)
        self._scaler.scale(loss).backward()
        self._world.average_gradients(self.model.parameters())
        self._scaler.unscale_(self._optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self._section.gradient_clip or math.inf)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        tally.add(output, aims if aims.ndim == 1 else aims.argmax(dim=1), loss)
        return norm

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self._world.device.type, self._half) if self._half is not None else nullcontext()


def _copy(model: nn.Module) -> dict[str, Tensor]:
    """Copy the weights: the state dict itself holds references to tensors that move on."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _half_precision(section: TrainingSection, world: World) -> torch.dtype | None:
    """The type of mixed precision, or None for float32 throughout, as always on the CPU."""
    if not section.mixed_precision or world.device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
