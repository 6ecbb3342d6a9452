"""How two versions of a device graph agree: codes first, because accuracy hides bad calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.arrays import AnyArray, Float32Array, Int64Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.scores import Interval, bootstrap_confusions, confusion, macro_f1, percentile_interval
from fsq_edge_runtime.tail import FsqTail

NEAR_BOUNDARY: Final = 0.05  # in units of one quantisation step


@dataclass(frozen=True, slots=True)
class LabelScores:
    """What needs labels.

    Attributes:
        accuracy_reference: share of windows right, reference.
        accuracy_other: share of windows right, other.
        macro_f1_reference: with its interval.
        macro_f1_other: with its interval.
        drop_points: (reference - other) macro-F1 times 100, interval from paired resamples.
    """

    accuracy_reference: float
    accuracy_other: float
    macro_f1_reference: Interval
    macro_f1_other: Interval
    drop_points: Interval


@dataclass(frozen=True, slots=True)
class PreviewReport:
    """Agreement of ``other`` with ``reference``, window by window.

    Attributes:
        n_windows: windows compared.
        code_flip_rate: share of windows whose code differs.
        flip_rate_by_dimension: share of windows whose digit differs, per FSQ dimension.
        label_change_rate: share of windows whose most likely class differs.
        near_boundary_share: share of windows within 0.05 of a rounding boundary in some dimension, reference.
        max_abs_difference: of ``t``.
        t_rmse: root mean square difference of ``t``.
        logit_mse: mean squared difference of the logits.
        scores: accuracy and macro-F1 where labels were given.
    """

    n_windows: int
    code_flip_rate: float
    flip_rate_by_dimension: tuple[float, ...]
    label_change_rate: float
    near_boundary_share: float
    max_abs_difference: float
    t_rmse: float
    logit_mse: float
    scores: LabelScores | None


def compare_codes(
    tail: FsqTail,
    t_reference: Float32Array,
    t_other: Float32Array,
    labels: npt.ArrayLike | None = None,
    *,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> PreviewReport:
    """Compare two outputs of the device graph through the host tail.

    Args:
        tail: levels and logits table.
        t_reference: (N, D) float32 in [-1, 1].
        t_other: (N, D) float32.
        labels: (N,) integer classes; None leaves the scores out.
        groups: (N,) recording or subject, resampled whole for the intervals.
        seed: of the bootstrap.

    Raises:
        DataError: shapes that do not agree, no windows, labels out of range.
    """
    _check_shapes(tail, t_reference, t_other, labels)
    digits = tail.codebook.digits(t_reference), tail.codebook.digits(t_other)
    logits = tail.logits(t_reference), tail.logits(t_other)
    chosen = logits[0].argmax(axis=1), logits[1].argmax(axis=1)
    flips = digits[0] != digits[1]
    difference = t_other.astype(np.float64) - t_reference
    near = tail.codebook.boundary_distance(t_reference).min(axis=1) < NEAR_BOUNDARY
    return PreviewReport(
        n_windows=len(t_reference),
        code_flip_rate=float(flips.any(axis=1).mean()),
        flip_rate_by_dimension=tuple(float(rate) for rate in flips.mean(axis=0)),
        label_change_rate=float((chosen[0] != chosen[1]).mean()),
        near_boundary_share=float(near.mean()),
        max_abs_difference=float(np.abs(difference).max()),
        t_rmse=float(np.sqrt((difference**2).mean())),
        logit_mse=float(((logits[1].astype(np.float64) - logits[0]) ** 2).mean()),
        scores=None if labels is None else _scores(np.asarray(labels), chosen, tail.table.shape[1], groups, seed),
    )


def _check_shapes(tail: FsqTail, a: Float32Array, b: Float32Array, labels: npt.ArrayLike | None) -> None:
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != tail.codebook.dimensions or not len(a):
        raise DataError(f"outputs {a.shape} and {b.shape} do not agree, expected (N, {tail.codebook.dimensions}) twice")
    if labels is None:
        return
    values = np.asarray(labels)
    if values.shape != (len(a),) or values.min() < 0 or values.max() >= tail.table.shape[1]:
        raise DataError(f"labels {values.shape} do not fit {len(a)} windows of {tail.table.shape[1]} classes")


def _scores(
    labels: AnyArray,
    chosen: tuple[Int64Array, Int64Array],
    classes: int,
    groups: npt.ArrayLike | None,
    seed: int,
) -> LabelScores:
    truth = labels.astype(np.int64)
    values = [float(macro_f1(confusion(truth, predicted, classes))) for predicted in chosen]
    draws = macro_f1(bootstrap_confusions(truth, chosen, classes, groups, np.random.default_rng(seed)))
    return LabelScores(
        accuracy_reference=float((chosen[0] == truth).mean()),
        accuracy_other=float((chosen[1] == truth).mean()),
        macro_f1_reference=percentile_interval(values[0], draws[:, 0]),
        macro_f1_other=percentile_interval(values[1], draws[:, 1]),
        drop_points=percentile_interval(100 * (values[0] - values[1]), 100 * (draws[:, 0] - draws[:, 1])),
    )
