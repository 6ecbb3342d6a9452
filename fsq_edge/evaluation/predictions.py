"""What the torch model of a run says about windows, and the file that keeps it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fsq_edge.data.windows import WindowIndex
from fsq_edge.evaluation.channels import ChannelCounter, ChannelShift
from fsq_edge.training.run import Run
from fsq_edge_runtime.arrays import Float32Array, Int64Array, TextArray
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tail import softmax

BATCH = 512


@dataclass(frozen=True, slots=True, eq=False)
class WindowPredictions:
    """Answers for N windows of K classes.

    Attributes:
        logits: float32 (N, K), before temperature.
        codes: int64 (N,), FSQ indices.
        labels: int64 (N,), true classes.
        subjects: str (N,).
        recordings: str (N,), recording ids.
        starts: int64 (N,), first sample of the window in its recording.
        n_unusable: windows that were left out, because values are missing over more than ``max_gap_ms``.
        channels: how the channels of all windows, scored or not, differ from the training split.
    """

    logits: Float32Array
    codes: Int64Array
    labels: Int64Array
    subjects: TextArray
    recordings: TextArray
    starts: Int64Array
    n_unusable: int
    channels: tuple[ChannelShift, ...]

    def probabilities(self, temperature: float = 1.0) -> Float32Array:
        """Return softmax(logits / temperature), float32 (N, K)."""
        return softmax(self.logits, temperature)

    def to_bytes(self, classes: Sequence[str], temperature: float) -> bytes:
        """Return ``predictions.npz``.

        Keys: ``probabilities`` (N, K) float32 at ``temperature``, ``labels``, ``codes``, ``subjects``, ``recordings``,
        ``starts`` (N,), ``classes`` (K,) and ``temperature``; no pickles.
        """
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            probabilities=self.probabilities(temperature),
            labels=self.labels,
            codes=self.codes,
            subjects=self.subjects,
            recordings=self.recordings,
            starts=self.starts,
            classes=np.array(list(classes), dtype=np.str_),
            temperature=np.float64(temperature),
        )
        return buffer.getvalue()


@torch.no_grad()
def predict(run: Run, index: WindowIndex) -> WindowPredictions:
    """Run the network of a run, in evaluation mode on the CPU, over windows in raw units.

    Args:
        run: a loaded run; its own preprocessing is applied.
        index: the windows; its labels must be indices into the run's classes.

    Raises:
        DataError: no window is usable.

    Cost: holds one batch of 512 windows at a time, whatever the size of the data.
    """
    preprocessor, model, tally = run.preprocessor, run.model.eval(), ChannelCounter(run.preprocess)
    kept: list[Int64Array] = []
    logits: list[Float32Array] = []
    codes: list[Int64Array] = []
    for at in range(0, len(index), BATCH):
        rows = np.arange(at, min(at + BATCH, len(index)))
        raw = index.gather(rows)
        tally.add(raw)
        frames, valid = preprocessor.usable_frames(raw)
        if len(frames):
            output = model(torch.from_numpy(frames))
            kept.append(rows[valid])
            logits.append(output.logits.numpy())
            codes.append(output.code.numpy())
    if not kept:
        raise DataError(
            f"none of the {len(index)} windows is usable: all have values missing for more than "
            f"{run.preprocess.max_gap_ms:g} ms",
            hint="fsq-edge data qa says what is wrong with the recordings",
        )
    used = index.take(np.concatenate(kept))
    ids = np.array([recording.recording_id for recording in used.dataset.recordings])
    return WindowPredictions(
        logits=np.concatenate(logits),
        codes=np.concatenate(codes),
        labels=used.label,
        subjects=used.subject,
        recordings=ids[used.recording],
        starts=used.start,
        n_unusable=len(index) - len(used),
        channels=tally.shifts(),
    )
