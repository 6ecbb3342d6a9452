"""Minibatches: raw windows read, augmented, preprocessed, a stretch of batches at a time and one stretch ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fsq_edge.data.recording import Dataset
from fsq_edge.data.windows import PURE, WindowIndex, WindowLabels, count_labels, segment_edges
from fsq_edge.training.augmentation import Augmenter, draw, sample_positions
from fsq_edge.training.config import AugmentationSection
from fsq_edge.training.world import ALONE, World
from fsq_edge_runtime.arrays import BoolArray, Float32Array, Float64Array, Int16Array, Int64Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import Preprocessor, fill_missing

SMALLEST_SHARE = 2  # BatchNorm has no statistics of a single window
STRETCH_WINDOWS = 1024  # read and preprocessed together: large enough for numpy, small enough for the cache


@dataclass(frozen=True, slots=True, eq=False)
class PackedWindows:
    """Training windows over one long array of samples; N windows, C channels.

    Attributes:
        samples: (total, C) float32, the recordings one after the other, short gaps filled; may be a memory map.
        start: (N,) first sample of each window in ``samples``.
        lowest: (N,) first sample of the stretch around the window with nothing missing, and with one label where
            ``sample_label`` is None.
        highest: (N,) last sample of that stretch.
        label: (N,) class index; the most frequent one of a window with two.
        sample_label: (total,) int16 label of each sample, -1 for none; None where all windows have one label.
        soft: whether the aim of a window is the shares of its labels, or the most frequent one.
        classes: number of classes.
        row: (N,) which window of the index it was; windows with missing samples are left out.
        window_samples: T.
    """

    samples: Float32Array
    start: Int64Array
    lowest: Int64Array
    highest: Int64Array
    label: Int64Array
    row: Int64Array
    window_samples: int
    classes: int
    sample_label: Int16Array | None = None
    soft: bool = False

    def __len__(self) -> int:
        return len(self.start)

    def aims(self, rows: Int64Array, positions: Float64Array) -> Tensor:
        """Return what the network shall answer for windows that are read at some positions.

        Args:
            rows: (b,) which windows.
            positions: (b, T) of their samples.

        Returns:
            Class indices (b,) int64, or shares (b, classes) float32 that add up to 1.
        """
        own = self.label[rows]
        if self.sample_label is None:
            return torch.from_numpy(own)
        counts = count_labels(self.sample_label[np.rint(positions).astype(np.int64)], self.classes)
        counts[counts.sum(axis=1) == 0, own[counts.sum(axis=1) == 0]] = 1  # shifted to where nothing has a label
        if not self.soft:
            return torch.from_numpy(counts.argmax(axis=1))
        return torch.from_numpy((counts / counts.sum(axis=1, keepdims=True)).astype(np.float32))

    def take(self, rows: BoolArray | Int64Array) -> PackedWindows:
        """Return some of the windows over the same samples.

        Raises:
            DataError: none is left.
        """
        if not len(self.start[rows]):
            raise DataError("every training window has missing samples", hint="fsq-edge data qa says where")
        return replace(
            self,
            start=self.start[rows],
            lowest=self.lowest[rows],
            highest=self.highest[rows],
            label=self.label[rows],
            row=self.row[rows],
        )


def pack(
    index: WindowIndex,
    max_gap_ms: float,
    labels: WindowLabels = PURE,
    *,
    memory_bytes: int,
    spill: Path,
    world: World = ALONE,
) -> PackedWindows:
    """Lay the recordings of an index behind one another, so that windows are read in one indexing operation.

    Args:
        index: training windows; only their recordings are packed.
        max_gap_ms: the longest run of missing samples that is interpolated.
        labels: the rule by which the index was cut.
        memory_bytes: larger sets go to ``spill``, and so does every set that several processes share.
        spill: a raw file, replaced; all processes of a machine map this one file.
        world: the processes; all call this together.

    Raises:
        DataError: no window is left, because all touch missing samples.
    """
    used = np.unique(index.recording)
    mixed = labels.rule != "pure" and any(_changes(index.dataset.recordings[int(number)].labels) for number in used)
    lengths = [len(index.dataset.recordings[int(number)]) for number in used]
    begin = np.concatenate(([0], np.cumsum(lengths)))
    samples = _lay_out(index, used, begin, max_gap_ms, memory_bytes, spill, world)
    place = np.searchsorted(used, index.recording)
    start = index.start + begin[place]
    lowest, highest = np.empty_like(start), np.empty_like(start)
    order = np.argsort(place, kind="stable")
    bounds = np.searchsorted(place[order], np.arange(len(used) + 1))
    for at, number in enumerate(used):
        finite = _complete(samples[begin[at] : begin[at + 1]])
        edges = _stretches(index.dataset, int(number), finite, max_gap_ms / 1000.0, one_label=not mixed)
        rows = order[bounds[at] : bounds[at + 1]]
        after = np.searchsorted(edges, index.start[rows], side="right")
        lowest[rows] = edges[after - 1] + begin[at]
        highest[rows] = edges[after] - 1 + begin[at]
    usable = (highest >= start + index.window_samples - 1) & _complete(samples[start])
    rows = np.arange(len(index))
    classes, sample_label = len(index.dataset.classes), None
    if mixed:
        sample_label = np.concatenate([index.dataset.recordings[int(number)].labels for number in used])
    size, soft = index.window_samples, labels.rule == "soft"
    packed = PackedWindows(samples, start, lowest, highest, index.label, rows, size, classes, sample_label, soft)
    return packed.take(usable)


def _lay_out(
    index: WindowIndex,
    used: Int64Array,
    begin: Int64Array,
    max_gap_ms: float,
    memory_bytes: int,
    spill: Path,
    world: World,
) -> Float32Array:
    """Copy recordings ``used`` to their places with short gaps filled; (total, C) float32."""
    shape = (int(begin[-1]), len(index.dataset.channels))
    in_memory = world.size == 1 and shape[0] * shape[1] * 4 <= memory_bytes
    if not in_memory and not world.leads_machine:
        world.wait()
        return np.memmap(spill, mode="r", dtype=np.float32, shape=shape)
    samples: Float32Array = (
        np.empty(shape, np.float32) if in_memory else np.memmap(spill, mode="w+", dtype=np.float32, shape=shape)
    )
    max_gap_samples = int(max_gap_ms * index.dataset.sample_rate_hz / 1000.0 + 1e-9)
    for at, number in enumerate(used):
        part = samples[begin[at] : begin[at + 1]]
        part[...] = index.dataset.recordings[int(number)].samples
        if not _complete(part).all():
            part[...] = fill_missing(np.ascontiguousarray(part.T), max_gap_samples).T
    if not in_memory:
        world.wait()
    return samples


def _changes(labels: Int16Array) -> bool:
    """Whether a recording has more than one label, so that the rule for mixed windows matters."""
    return bool((labels != labels[0]).any())


def _complete(samples: Float32Array) -> BoolArray:
    """Which samples (n, C) miss no channel, (n,) bool."""
    return np.asarray(np.isfinite(samples).all(axis=1))


def _stretches(dataset: Dataset, number: int, finite: BoolArray, max_gap_s: float, *, one_label: bool) -> Int64Array:
    """Where segment, completeness or (``one_label``) label of one recording changes, with 0 and the length."""
    recording = dataset.recordings[number]
    edges = segment_edges(recording, max(max_gap_s, 1.5 / dataset.sample_rate_hz))
    label = np.asarray(recording.labels)
    changed = finite[1:] != finite[:-1]
    if one_label:
        changed |= label[1:] != label[:-1]
    changes = np.flatnonzero(changed) + 1
    return np.union1d(edges, changes).astype(np.int64)


class TrainingFeed:
    """Yields augmented minibatches of one epoch; every epoch follows from the seed and its number alone.

    Args:
        windows: packed training windows.
        preprocessor: fitted on the training split.
        augmenter: channel layout and mirror signs.
        augmentation: how strongly.
        batch_size: windows of a step over all processes; fewer windows make one smaller batch.
        seed: of order and augmentation.
        world: the processes; each takes its share of every batch, at least two windows.

    Raises:
        DataError: fewer than two windows for each process.
    """

    def __init__(
        self,
        windows: PackedWindows,
        preprocessor: Preprocessor,
        augmenter: Augmenter,
        augmentation: AugmentationSection,
        *,
        batch_size: int,
        seed: int,
        world: World = ALONE,
    ) -> None:
        self.windows, self._preprocessor, self._augmenter = windows, preprocessor, augmenter
        self._augmentation, self._seed, self._world = augmentation, seed, world
        if len(windows) < SMALLEST_SHARE * world.size:
            raise DataError(
                f"{len(windows)} training windows are too few for {world.size} processes, each needs {SMALLEST_SHARE}",
                hint="train on more recordings, or on fewer processes",
            )
        self.batch_size = max(min(batch_size, len(windows)) // world.size, SMALLEST_SHARE) * world.size

    @property
    def steps(self) -> int:
        """Batches of an epoch; windows that fill no batch wait for the next epoch's order."""
        return len(self.windows) // self.batch_size

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(frames (b, C', H, W) float32, aims)`` of this process, b = batch_size / world.

        Aims are labels (b,) int64, or with soft labels shares (b, classes) float32.
        """
        rng = np.random.default_rng([self._seed, number])
        order = rng.permutation(len(self.windows))[: self.steps * self.batch_size]
        per_stretch = max(STRETCH_WINDOWS // self.batch_size, 1) * self.batch_size
        stretches = [order[at : at + per_stretch] for at in range(0, len(order), per_stretch)]
        local = self.batch_size // self._world.size
        with ThreadPoolExecutor(max_workers=1) as ahead:
            waiting: deque[Future[tuple[Tensor, Tensor]]] = deque()
            for place, rows in enumerate(stretches):
                waiting.append(ahead.submit(self._prepare, rows, number, place))
                if place > 0:
                    yield from _batches(waiting.popleft(), local)
            yield from _batches(waiting.popleft(), local)

    def _prepare(self, rows: Int64Array, epoch: int, stretch: int) -> tuple[Tensor, Tensor]:
        """Read, augment and preprocess this process's share of some batches."""
        rng = np.random.default_rng([self._seed, epoch, stretch + 1])
        draws = draw(self._augmentation, len(rows), self.windows.window_samples, rng)
        # Drawn for all processes, then shared out: the same windows change alike however many processes there are.
        shares = np.arange(len(rows)).reshape(-1, self._world.size, self.batch_size // self._world.size)
        mine = shares[:, self._world.rank].ravel()
        rows, draws = rows[mine], draws.take(mine)
        packed = self.windows
        highest = packed.highest[rows]
        positions, speed = sample_positions(
            packed.start[rows], packed.lowest[rows], highest, packed.window_samples, draws
        )
        windows = self._augmenter.apply(read_at(packed.samples, positions, highest), replace(draws, speed=speed))
        frames = torch.from_numpy(self._preprocessor.frames(windows)).contiguous(memory_format=torch.channels_last)
        return frames, packed.aims(rows, positions)


def _batches(prepared: Future[tuple[Tensor, Tensor]], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    frames, labels = prepared.result()
    for at in range(0, len(labels), size):
        yield frames[at : at + size], labels[at : at + size]


def read_at(samples: Float32Array, positions: Float64Array, highest: Int64Array) -> Float32Array:
    """Read windows at fractional positions, linearly between samples.

    Args:
        samples: (total, C).
        positions: (N, T), at least 0.
        highest: (N,) last sample that window n may touch.

    Returns:
        (N, C, T) float32, C-contiguous.
    """
    left = positions.astype(np.int64)
    share = (positions - left).astype(np.float32)[:, :, None]
    value = samples[left]
    value += (samples[np.minimum(left + 1, highest[:, None])] - value) * share
    return np.ascontiguousarray(value.transpose(0, 2, 1))
