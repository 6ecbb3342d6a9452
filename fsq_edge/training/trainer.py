"""Training from a split to a run folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fsq_edge.data.recording import Dataset
from fsq_edge.data.windows import WindowIndex
from fsq_edge.model import Conv2dFSQ
from fsq_edge.training.augmentation import Augmenter
from fsq_edge.training.config import TrainConfig
from fsq_edge.training.feed import TrainingFeed, pack
from fsq_edge.training.metrics import Pass
from fsq_edge.training.partition import WindowSplit
from fsq_edge.training.run import (
    MODEL_FILE,
    PREPROCESS_FILE,
    RUN_FILE,
    DataRecord,
    EpochRecord,
    RunRecord,
    SplitRecord,
    build_model,
    choose_device,
    git_revision,
    model_bytes,
    versions,
    write_whole,
)
from fsq_edge.training.schedule import one_cycle
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, Preprocessor, fit_preprocess

Progress = Callable[[EpochRecord, int], None]

PREDICT_BATCH = 512


@dataclass(frozen=True, slots=True, eq=False)
class TrainResult:
    """What ``train`` leaves behind.

    Args:
        folder: the run folder.
        record: content of its ``run.json``.
        preprocess: the fitted preprocessing.
        model: the kept weights, on the CPU, in evaluation mode.
    """

    folder: Path
    record: RunRecord
    preprocess: PreprocessConfig
    model: Conv2dFSQ


def draft_preprocess(dataset: Dataset, config: TrainConfig, window_samples: int, hop_samples: int) -> PreprocessConfig:
    """Return the preprocessing of a configuration before its statistics are fitted."""
    section = config.preprocessing
    count = len(dataset.channels) * (2 if section.window_zscore else 1)
    return PreprocessConfig(
        channels=tuple(ChannelSpec(name=channel.name, unit=channel.unit) for channel in dataset.channels),
        sample_rate_hz=dataset.sample_rate_hz,
        window_samples=window_samples,
        hop_samples=hop_samples,
        fold=section.rows,
        window_zscore=section.window_zscore,
        max_gap_ms=section.max_gap_ms,
        mean=(0.0,) * count,
        std=(1.0,) * count,
        clip_sigma=section.clip_sigma,
    )


def train(
    split: WindowSplit, config: TrainConfig, out: Path, *, source: str, progress: Progress | None = None
) -> TrainResult:
    """Train on a split and write the run folder.

    Args:
        split: windows by part; preprocessing is fitted on ``split.train`` alone.
        config: everything else.
        out: run folder, made if it is not there.
        source: name of the data source, kept in the record so that later stages open it again.
        progress: called after each epoch with its record and the number of epochs.

    Raises:
        DataError: no usable window, one class only, or the loss stopped being a number.
    """
    if len(np.unique(split.train.label)) < 2:
        raise DataError("the training windows are all of one class", hint="train on more recordings")
    torch.set_num_threads(config.training.threads)
    torch.manual_seed(config.training.seed)
    dataset, index = split.train.dataset, split.train
    draft = draft_preprocess(dataset, config, index.window_samples, index.hop_samples)
    preprocess = fit_preprocess(index.gather(), draft)
    device = choose_device(config.training.device)
    model = build_model(config, len(dataset.channels), len(dataset.classes), preprocess)
    # Pooling and convolution of these narrow frames take half the time in this layout.
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    out.mkdir(parents=True, exist_ok=True)
    packed = pack(
        index, preprocess.max_gap_samples, memory_bytes=config.data.memory_mb << 20, spill=out / "samples.tmp"
    )
    feed = TrainingFeed(
        packed,
        Preprocessor(preprocess),
        Augmenter(dataset.channels, dataset.mirror),
        config.augmentation,
        batch_size=config.training.batch_size,
        seed=config.training.seed,
    )
    history, metrics, best = _fit(model, feed, split.val, Preprocessor(preprocess), config, device, progress)
    model.load_state_dict(best)
    model.cpu().eval()
    content = model_bytes(model)
    record = RunRecord(
        config=config,
        data=DataRecord(
            source=source,
            name=dataset.name,
            licence=dataset.licence,
            n_recordings=len(dataset.recordings),
            n_mixed=index.n_mixed,
            n_unlabelled=index.n_unlabelled,
        ),
        classes=dataset.classes,
        split=_split_record(split),
        metrics=metrics,
        history=tuple(history),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        device=str(device),
        versions=versions(),
        git_revision=git_revision(),
        model_sha256=hashlib.sha256(content).hexdigest(),
        preprocess_sha256=preprocess.digest(),
    )
    write_whole(out / MODEL_FILE, content)
    write_whole(out / PREPROCESS_FILE, preprocess.to_json().encode())
    write_whole(out / RUN_FILE, record.to_json().encode())
    return TrainResult(folder=out, record=record, preprocess=preprocess, model=model)


def _split_record(split: WindowSplit) -> SplitRecord:
    def subjects(index: WindowIndex) -> tuple[str, ...]:
        present = set(index.subject.tolist())
        return tuple(subject for subject in index.dataset.subjects if subject in present)

    return SplitRecord(
        kind=split.kind,
        train_subjects=subjects(split.train),
        val_subjects=subjects(split.val),
        test_subjects=subjects(split.test),
        n_train=len(split.train),
        n_val=len(split.val),
        n_test=len(split.test),
    )


def _fit(
    model: Conv2dFSQ,
    feed: TrainingFeed,
    val: WindowIndex,
    preprocessor: Preprocessor,
    config: TrainConfig,
    device: torch.device,
    progress: Progress | None,
) -> tuple[list[EpochRecord], dict[str, float], dict[str, Tensor]]:
    section = config.training
    decayed = [p for p in model.parameters() if p.ndim > 1]
    other = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": section.weight_decay}, {"params": other, "weight_decay": 0.0}],
        lr=section.learning_rate,
        fused=True,
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=section.label_smoothing)
    total = section.max_epochs * feed.steps
    history: list[EpochRecord] = []
    step = 0
    metrics: dict[str, float] = {}
    for epoch in range(section.max_epochs):
        begin = time.perf_counter()
        model.train()
        losses, norms, labels, predicted, codes = [], [], [], [], []
        rate = section.learning_rate
        for frames, target in feed.epoch(epoch):
            rate = one_cycle(step, total, section.learning_rate, section.warmup_fraction)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            output = model(frames.to(device))
            loss = loss_of(output.logits, target.to(device))
            loss.backward()
            norms.append(nn.utils.clip_grad_norm_(model.parameters(), section.gradient_clip or float("inf")))
            optimiser.step()
            losses.append(loss.detach())
            labels.append(target)
            predicted.append(output.logits.detach().argmax(dim=1))
            codes.append(output.code)
            step += 1
        done = Pass(
            loss=float(torch.stack(losses).mean()),
            label=torch.cat(labels).numpy(),
            predicted=torch.cat(predicted).cpu().numpy(),
            code=torch.cat(codes).cpu().numpy(),
            classes=model.num_classes,
            codes=model.fsq.codes,
        )
        if not np.isfinite(done.loss):
            raise DataError(f"epoch {epoch}: the loss is {done.loss}", hint="lower training.learning_rate")
        norm = torch.stack(norms)
        checked = predict(model, val, preprocessor, device) if len(val) else None
        record = EpochRecord(
            epoch=epoch,
            learning_rate=rate,
            grad_norm_mean=float(norm.mean()),
            grad_norm_max=float(norm.max()),
            train_loss=done.loss,
            train_accuracy=done.accuracy,
            code_usage=done.code_usage,
            perplexity=done.perplexity,
            val_loss=checked.loss if checked else None,
            val_accuracy=checked.accuracy if checked else None,
            val_macro_f1=checked.macro_f1 if checked else None,
            seconds=time.perf_counter() - begin,
        )
        history.append(record)
        if progress:
            progress(record, section.max_epochs)
    last = history[-1]
    metrics = {"best_epoch": float(last.epoch)}
    if last.val_accuracy is not None and last.val_macro_f1 is not None and last.val_loss is not None:
        metrics |= {
            "val_accuracy": last.val_accuracy, "val_macro_f1": last.val_macro_f1, "val_loss": last.val_loss
        }  # fmt: skip
    return history, metrics, deepcopy(model.state_dict())


@torch.no_grad()
def predict(model: Conv2dFSQ, index: WindowIndex, preprocessor: Preprocessor, device: torch.device) -> Pass:
    """Classify the usable windows of an index with the network in evaluation mode.

    Raises:
        DataError: none of them is usable.
    """
    model.eval()
    losses, labels, predicted, codes = [], [], [], []
    for at in range(0, len(index), PREDICT_BATCH):
        rows = np.arange(at, min(at + PREDICT_BATCH, len(index)))
        windows, valid = preprocessor.fill_gaps(index.gather(rows))
        if not valid.any():
            continue
        target = torch.from_numpy(index.label[rows[valid]])
        output = model(
            torch.from_numpy(preprocessor.frames(windows[valid])).to(device, memory_format=torch.channels_last)
        )
        losses.append(nn.functional.cross_entropy(output.logits.cpu(), target, reduction="sum"))
        labels.append(target)
        predicted.append(output.logits.argmax(dim=1).cpu())
        codes.append(output.code.cpu())
    if not labels:
        raise DataError("no window is usable: all have missing values beyond max_gap_ms")
    label = torch.cat(labels).numpy()
    return Pass(
        loss=float(torch.stack(losses).sum()) / len(label),
        label=label,
        predicted=torch.cat(predicted).numpy(),
        code=torch.cat(codes).numpy(),
        classes=model.num_classes,
        codes=model.fsq.codes,
    )
