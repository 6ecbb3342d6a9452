"""Rules on the array itself, whoever wrote it: type, layout, missing values, noise, constants, duplicates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from fsq_edge_calibration.description import NOISE_AUTOCORRELATION, STILL_STD, window_autocorrelation
from fsq_edge_calibration.finding import channel_count, error, warning
from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.findings import ChannelFinding

FIRST_SOUND_COUNT: Final = 1024  # Source: DFC; below it the optimisation level silently drops to 0
LEAST_COUNT: Final = 64  # Source: DFC; its built-in default count
MAX_NOISE_SHARE: Final = 0.05  # beyond the training split's own
MAX_DUPLICATE_SHARE: Final = 0.1
DFC: Final = "Hailo Dataflow Compiler"


def structure(frames: AnyArray, frame_shape: tuple[int, int, int]) -> Iterator[ChannelFinding]:
    """Judge type and layout of an array against frames (C', H, W) of a PreprocessConfig."""
    channels, height, width = frame_shape
    wanted = (height, width, channels)
    expected = f"expected (N, {height}, {width}, {channels})"
    if frames.dtype != np.float32:
        yield error(
            "dtype", f"the array is {frames.dtype}, the compiler wants float32", "frames.astype(np.float32)", source=DFC
        )
    if frames.ndim != 4:
        yield error(
            "rank",
            f"the array has {frames.ndim} dimensions {frames.shape}, {expected}",
            "every input of the compiler's network has rank 4: (N, H, W, C)",
            source=f"{DFC}, case F70",
        )
    elif frames.shape[1:] != wanted and frames.shape[1:] == frame_shape:
        yield error(
            "layout",
            f"the array {frames.shape} is channels first (NCHW), {expected}: channels last (NHWC)",
            "frames.transpose(0, 2, 3, 1)",
            source=f"{DFC}, case F58",
        )
    elif frames.shape[1:] != wanted and sorted(frames.shape[1:]) == sorted(wanted):
        yield error(
            "layout",
            f"the array {frames.shape} has its axes in another order, {expected}: height, width, channels",
            "transpose the axes, never reshape",
            source=f"{DFC}, case F58",
        )
    elif frames.shape[1:] != wanted:
        yield error(
            "shape",
            f"the array has shape {frames.shape}, {expected}",
            "build the set with the model's own preprocess.json",
        )


def missing_values(frames: AnyArray, names: Sequence[str]) -> Iterator[ChannelFinding]:
    """Judge NaN and Inf in frames (N, H, W, C')."""
    bad = ~np.isfinite(frames)
    if bad.any():
        windows = int(bad.any(axis=(1, 2, 3)).sum())
        yield error(
            "missing-values",
            f"{windows} of {len(frames)} windows hold NaN or Inf",
            "fill short gaps and leave out the other windows, as build_calibration_set does",
            channels=tuple(names[at] for at in np.flatnonzero(bad.any(axis=(0, 1, 2)))),
            actual=windows,
            limit=0,
        )


def count(frames: AnyArray, allow_small: bool) -> Iterator[ChannelFinding]:
    """Judge how many windows there are, and how many of them differ."""
    total = len(frames)
    if total < LEAST_COUNT:
        yield (warning if allow_small else error)(
            "count",
            f"{total} windows are fewer than the {LEAST_COUNT} that the compiler reads by default",
            "take more windows, or --allow-small for a smoke test",
            actual=total,
            limit=LEAST_COUNT,
            source=DFC,
        )
    if LEAST_COUNT <= total < FIRST_SOUND_COUNT:
        yield warning(
            "few-windows",
            f"{total} windows: below {FIRST_SOUND_COUNT} the compiler lowers its optimisation level to 0",
            f"--size {FIRST_SOUND_COUNT} where the training split has as many",
            actual=total,
            limit=FIRST_SOUND_COUNT,
            source=f"{DFC}, case F66",
        )
    distinct = len(np.unique(np.ascontiguousarray(frames).reshape(total, -1).view(np.uint32), axis=0)) if total else 0
    if total - distinct > MAX_DUPLICATE_SHARE * total:
        yield warning(
            "duplicates",
            f"only {distinct} of {total} windows differ",
            "choose without repeats",
            actual=distinct,
            limit=total,
        )


def noise(frames_nchw: Float32Array, usual_share: float) -> Iterator[ChannelFinding]:
    """Judge whether windows (N, C', H, W) are motion: white noise can have just the right mean and spread."""
    flat = frames_nchw.reshape(len(frames_nchw), frames_nchw.shape[1], -1)
    correlation = window_autocorrelation(flat)
    noisy = correlation < NOISE_AUTOCORRELATION
    share = float(noisy.mean())
    # Training itself may be noisy; then only a share that no sample of it has by chance is refused.
    limit = usual_share + max(MAX_NOISE_SHARE, 4 * float(np.sqrt(usual_share * (1 - usual_share) / len(flat))))
    if share > limit:
        kind = _kind_of_noise(flat[noisy])
        yield error(
            "noise",
            (
                f"{share:.0%} of the windows are {kind}: their lag-1 autocorrelation is "
                f"{np.median(correlation[noisy]):.2f}, motion has 0.85 to 0.99"
            ),
            "calibrate with windows of the training recordings; random data ruins the ranges",
            actual=share,
            limit=limit,
        )


def _kind_of_noise(flat: Float32Array) -> str:
    # A uniform distribution has kurtosis 1.8, a normal one 3.
    centered = flat - flat.mean(axis=-1, keepdims=True)
    power = float((centered**2).mean())
    kurtosis = float((centered**4).mean()) / max(power**2, 1e-12)
    if kurtosis < 2.2:
        low, high = float(flat.min()), float(flat.max())
        return f"uniform noise in [{low:.1f}, {high:.1f}]"
    return "Gaussian noise" if kurtosis < 4 else "noise"


def constant(
    frames_nchw: Float32Array, names: Sequence[str], still_in_training: Sequence[bool]
) -> Iterator[ChannelFinding]:
    """Judge channels of (N, C', H, W) that never move, unless they never moved in training either."""
    still = frames_nchw.std(axis=(0, 2, 3), dtype=np.float64) < STILL_STD
    stuck = tuple(name for name, now, before in zip(names, still, still_in_training, strict=True) if now and not before)
    if stuck:
        yield error(
            "constant",
            f"{channel_count(stuck)} of {len(names)} never move in the whole set",
            "look for a dead sensor, or for windows that were zeroed",
            channels=stuck,
            actual=len(stuck),
            limit=0,
        )
