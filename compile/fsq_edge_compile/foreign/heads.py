"""The head of a network that was trained elsewhere: which kind, which classes, which thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Float64Array, Int64Array
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.label_tail import SigmoidTail
from fsq_edge_runtime.score_tails import AnomalyTail, SoftmaxTail, Tail

if TYPE_CHECKING:
    from fsq_edge_compile.foreign.reading import ForeignNetwork

HeadKind = Literal["softmax", "sigmoid", "anomaly"]
HEADS: Final[tuple[HeadKind, ...]] = ("softmax", "sigmoid", "anomaly")
ANOMALY_CLASSES: Final = ("normal", "anomaly")
USUAL_THRESHOLD: Final = 0.5
MAX_TRIED: Final = 200  # thresholds that are tried for each label
CLEARANCE: Final = 1e-4  # of the highest normal score, by which a threshold lies above it


def kind_of_head(network: ForeignNetwork) -> HeadKind:
    """Return what the output says: an output as large as the input, or one value, is an anomaly score."""
    size = prod(network.sink_shape)
    if size == 1 or size == prod(network.source_shape):
        return "anomaly"
    return "sigmoid" if network.ending == "Sigmoid" else "softmax"


def require_kind(network: ForeignNetwork, kind: HeadKind) -> None:
    """Raise where the network's own last node says that the head is of another kind.

    Raises:
        DataError: a softmax in front of a sigmoid head, a sigmoid in front of a softmax head, or one label.
    """
    size = prod(network.sink_shape)
    if kind == "softmax" and network.ending == "Sigmoid":
        raise DataError("the network ends in a sigmoid, each label on its own", hint="--head sigmoid")
    if kind == "sigmoid" and network.ending in ("Softmax", "LogSoftmax"):
        raise DataError("the network ends in a softmax, one class at a time", hint="--head softmax")
    if kind == "sigmoid" and size < 2:
        raise DataError(
            "a sigmoid head has at least 2 labels, the network gives one value",
            hint="--head anomaly takes one score and fits its threshold",
        )


def class_names(classes: Sequence[str], network: ForeignNetwork, kind: HeadKind) -> tuple[str, ...]:
    """Return the names of the classes or labels, in the order of the outputs.

    Raises:
        DataError: another number of names than outputs, or a name that is there twice.
    """
    if kind == "anomaly":
        if classes and tuple(classes) != ANOMALY_CLASSES:
            raise DataError("an anomaly head has the classes normal and anomaly", hint="leave --classes out")
        return ANOMALY_CLASSES
    outputs = prod(network.sink_shape)
    if len(classes) != outputs:
        raise DataError(
            f"{len(classes)} class names for a network with {outputs} outputs {network.sink_shape}",
            hint="name every class in the order of the outputs: --classes A,B,C",
        )
    if twice := sorted({name for name in classes if list(classes).count(name) > 1}):
        raise DataError(
            f"the class name {twice[0]!r} is there twice", hint="name every class differently: --classes A,B,C"
        )
    return tuple(classes)


def require_labels(labels: Int64Array, kind: HeadKind, classes: int) -> None:
    """Raise where labels do not fit the head.

    Args:
        labels: (N,) classes, -1 where unknown; for a sigmoid head (N, K) of 0 and 1 too.
        kind: of the head.
        classes: K.

    Raises:
        DataError: they do not.
    """
    if labels.ndim == 2 and kind != "sigmoid":
        raise DataError(f"labels of shape {labels.shape} are several a window, a head of kind {kind} has one")
    if labels.ndim == 2 and (labels.shape[1] != classes or not np.isin(labels, (0, 1)).all()):
        raise DataError(f"labels of shape {labels.shape} are not 0 or 1 for each of the {classes} labels")
    if labels.ndim == 1 and kind != "anomaly" and labels.max(initial=-1) >= classes:
        raise DataError(
            f"labels reach {labels.max()}, the classes have indices 0 to {classes - 1}",
            hint="count labels from 0 in the order of --classes; -1 is unknown",
        )


def make_tail(
    kind: HeadKind,
    scores: Float32Array,
    labels: Int64Array,
    classes: int,
    *,
    false_alarm_rate: float,
    thresholds: Sequence[float] = (),
) -> Tail:
    """Return the head, with what is fitted to the windows.

    Args:
        kind: of the head.
        scores: (N, K) of the network in float32.
        labels: as in :func:`require_labels`.
        classes: K.
        false_alarm_rate: share of normal windows above the threshold of an anomaly head.
        thresholds: one a label of a sigmoid head; none gives 0.5 each, or fits them where labels are (N, K).

    Raises:
        DataError: scores that are no numbers, probabilities where logits belong, or thresholds that do not fit.
    """
    if not np.isfinite(scores).all():
        raise DataError("the network gives values that are not numbers on these windows")
    if kind == "anomaly":
        normal = scores[labels == 0, 0] if (labels == 0).any() else scores[:, 0]
        return AnomalyTail(_threshold(normal.astype(np.float64), false_alarm_rate), max(float(normal.std()), 1e-6))
    sums = scores.sum(axis=1)
    if kind == "softmax":
        if scores.min() >= 0 and np.abs(sums - 1).max() < 1e-3:
            raise DataError(
                "the output is probabilities already, and a softmax would be applied twice",
                hint="export the network up to its logits, or with its softmax as the last node",
            )
        return SoftmaxTail(classes)
    if scores.min() >= 0 and scores.max() <= 1:
        raise DataError(
            "the output is probabilities already, and a sigmoid would be applied twice",
            hint="export the network up to its logits, or with its sigmoid as the last node",
        )
    if thresholds and len(thresholds) != classes:
        raise DataError(f"{len(thresholds)} thresholds for {classes} labels", hint="give one a label, in their order")
    if thresholds or labels.ndim == 1:
        return SigmoidTail(tuple(thresholds) or (USUAL_THRESHOLD,) * classes)
    probabilities = SigmoidTail((USUAL_THRESHOLD,) * classes).probabilities(scores, 1.0)
    return SigmoidTail([_best_threshold(probabilities[:, k], labels[:, k]) for k in range(classes)])


def _threshold(normal: Float64Array, false_alarm_rate: float) -> float:
    """Return a threshold with that share of scores above it, and on none, whose last bits would decide its label."""
    least = float(np.quantile(normal, 1.0 - false_alarm_rate, method="higher"))
    above = normal[normal > least]
    return (least + float(above.min())) / 2 if above.size else least + CLEARANCE * max(abs(least), float(normal.std()))


def tail_after_rounding(tail: Tail, before: Float32Array, after: Float32Array) -> Tail:
    """Return the head for the int8 network: the threshold of an anomaly head moves with what rounding adds to a score.

    As many windows are above it as before. Other heads stay: their classes are compared with each other.

    Args:
        tail: of the float network.
        before: scores (N, 1) of the float network.
        after: scores (N, 1) of the int8 network on equal windows.
    """
    if not isinstance(tail, AnomalyTail):
        return tail
    above = int(tail.index(before).sum())
    falling = np.sort(after[:, 0].astype(np.float64))[::-1]
    if above == 0:  # as far above the highest score as before
        threshold = float(falling[0]) + max(tail.threshold - float(before.max()), 0.0)
    elif above == len(falling):
        threshold = float(np.nextafter(np.float32(falling[-1]), np.float32(-np.inf)))
    else:
        threshold = float(falling[above - 1] + falling[above]) / 2
    return AnomalyTail(threshold, tail.scale, tail.temperature)


def decision_for(kind: HeadKind) -> DecisionSettings:
    """Return the settings before ``tune``: what the head says, and ``unknown`` where no label reaches its threshold."""
    return DecisionSettings(unknown_below=0.5) if kind == "sigmoid" else DecisionSettings()


def one_label(labels: Int64Array) -> Int64Array:
    """Return one class (N,) a window, for the balance of a calibration set: of several labels the rarest."""
    if labels.ndim == 1:
        return labels
    counts = labels.sum(axis=0)
    rarity = np.where(labels > 0, len(labels) + 1 - counts, 0)
    return np.where(labels.any(axis=1), rarity.argmax(axis=1), -1).astype(np.int64)


def _best_threshold(probabilities: Float32Array, present: Int64Array) -> float:
    """Return the threshold with the highest F1, halfway between the values that it divides; 0.5 without examples."""
    if not present.any() or present.all():
        return USUAL_THRESHOLD
    values = np.unique(probabilities.astype(np.float64))
    between = (values[1:] + values[:-1]) / 2
    tried = between[np.linspace(0, len(between) - 1, min(len(between), MAX_TRIED)).astype(np.int64)]
    if not len(tried):
        return USUAL_THRESHOLD
    said = probabilities[None, :] >= tried[:, None]
    hits = (said & (present > 0)).sum(axis=1)
    f1 = 2 * hits / np.maximum(said.sum(axis=1) + present.sum(), 1)
    return float(np.clip(tried[int(f1.argmax())], 1e-3, 1 - 1e-3))
