"""Rules on a set against the training split: normalisation, domain, ranges, classes, subjects, codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from fsq_edge_calibration.class_mix import distance_to_any_mix
from fsq_edge_calibration.comparison import ChannelComparison, code_coverage
from fsq_edge_calibration.distribution import Distribution, shares
from fsq_edge_calibration.finding import channel_count, error, warning
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.findings import ChannelFinding
from fsq_edge_runtime.preprocess import PreprocessConfig

# Sound sets of 64 to 1,024 windows, by every method, stayed below 0.13 (watch); 0.25 is the usual mark of a shift.
MAX_CHANNEL_PSI: Final = 0.25
MAX_MEAN_PSI: Final = 0.25
LEAST_RANGE: Final = 0.5
GOOD_RANGE: Final = 0.8  # sound sets of 64 had 0.65 to 1, of 256 and more 1.0 (watch)
LEAST_CODE_COVERAGE: Final = 0.8
MAX_IMBALANCE: Final = 5.0
MAX_QUANTILE_SHIFT: Final = 2.5  # sigmas; sets made for coverage, whose tails are heavy on purpose, had up to 2.2
MAX_LAG1_SHIFT: Final = 0.1  # sound sets had up to 0.05
PART: Final = 0.9  # of the training windows: the statistics of fewer are not exactly those of all
EXACT: Final = 1e-3  # sigmas; how near 0 and 1 the statistics of a set are that was normalised by them


def normalisation(
    frames_nchw: Float32Array,
    training: Distribution,
    preprocess: PreprocessConfig,
    compared: Sequence[ChannelComparison],
) -> Iterator[ChannelFinding]:
    """Find frames (N, C', H, W) that were not normalised, or that were normalised twice.

    The raw channels are compared with the nearest mix of the training classes under three hypotheses: as they are,
    normalised now, and with one normalisation taken back. Per-window z-copies look nearly alike under all three. A set
    that some mix explains as it is (``compared``) was normalised once.
    """
    raw = len(preprocess.channels)
    if preprocess.zscore_only is not None:  # a second time would change nothing
        yield from _window_statistics(frames_nchw, training)
        return
    own = own_statistics(frames_nchw, training, raw)
    if own:
        yield own
        return
    if float(np.mean([row.psi for row in compared[:raw]])) < MAX_MEAN_PSI:
        return
    flat = frames_nchw[:, :raw].transpose(1, 0, 2, 3).reshape(raw, -1).astype(np.float64)
    mean = np.asarray(preprocess.mean[:raw])[:, None]
    std = np.asarray(preprocess.std[:raw])[:, None]
    clip = preprocess.clip_sigma
    beyond = np.full(raw, np.inf)
    once = distance_to_any_mix(training, flat, -beyond, beyond)
    hypotheses = {
        "missing": distance_to_any_mix(training, (flat - mean) / std, -beyond, beyond),
        "twice": distance_to_any_mix(
            training, flat * std + mean, *((mean + side * clip * std)[:, 0] for side in (-1, 1))
        ),
    }
    for name, distance in sorted(hypotheses.items(), key=lambda item: float(item[1].mean())):
        if distance.mean() < min(MAX_MEAN_PSI, 0.5 * once.mean()):
            apart = np.flatnonzero(distance < once)
            yield _normalisation_finding(name, [training.channels[row].name for row in apart])
            return


def own_statistics(frames_nchw: Float32Array, training: Distribution, raw: int) -> ChannelFinding | None:
    """Find frames (N, C', H, W) that were normalised again by their own mean and spread: no sample has just 0 and 1.

    Args:
        frames_nchw: the set.
        training: the training split, which as a whole has 0 and 1 too where nothing is clipped.
        raw: how many channels, the first ones, are not per-window copies.
    """
    windows = frames_nchw[:, :raw].reshape(len(frames_nchw), raw, -1).astype(np.float64)
    moving = windows.std(axis=2) > EXACT
    by_window = (np.abs(windows.mean(axis=2)) < EXACT) & (np.abs(windows.std(axis=2) - 1) < 10 * EXACT)
    apart = moving.any(axis=0) & (by_window | ~moving).all(axis=0)
    if apart.sum() > raw / 2:
        names = [training.channels[row].name for row in np.flatnonzero(apart)]
        return _normalisation_finding("twice", names, ": mean 0 and spread 1 in every single window")
    mean = frames_nchw.mean(axis=(0, 2, 3), dtype=np.float64)
    std = frames_nchw.std(axis=(0, 2, 3), dtype=np.float64)
    exact = bool((np.abs(mean) < EXACT).all() and (np.abs(std - 1) < EXACT).all())
    if exact and len(frames_nchw) < PART * training.n_windows:
        names = [channel.name for channel in training.channels]
        return _normalisation_finding("twice", names, ": mean 0 and spread 1 exactly, the set's own statistics")
    return None


def _window_statistics(frames_nchw: Float32Array, training: Distribution) -> Iterator[ChannelFinding]:
    """Find channels of frames (N, C, H, W) that are no z-scores: in every window those have mean 0, spread up to 1."""
    windows = frames_nchw.reshape(*frames_nchw.shape[:2], -1).astype(np.float64)
    apart = (np.abs(windows.mean(axis=2)) > 10 * EXACT) | (windows.std(axis=2) > 1 + 10 * EXACT)
    names = [channel.name for channel, wrong in zip(training.channels, apart.any(axis=0), strict=True) if wrong]
    if names:
        yield _normalisation_finding("missing", names)


def _normalisation_finding(kind: str, channels: Sequence[str], how: str = "") -> ChannelFinding:
    if kind == "missing":
        message = f"normalisation is missing: {channel_count(channels)} in raw units"
    else:
        message = f"normalised twice: {channel_count(channels)}{how}"
    return error(
        "not-normalised" if kind == "missing" else "normalised-twice",
        message,
        "pass raw windows to build_calibration_set; exactly one place may normalise",
        channels=tuple(channels),
    )


def domain(compared: Sequence[ChannelComparison]) -> Iterator[ChannelFinding]:
    """Judge the distance from the training distribution."""
    mean = float(np.mean([row.psi for row in compared]))
    shifted = tuple(row.name for row in compared if row.psi > MAX_CHANNEL_PSI)
    worst = max(compared, key=lambda row: row.psi)
    if mean > MAX_MEAN_PSI:
        yield error(
            "out-of-domain",
            (
                f"the set is not drawn from the training distribution: mean PSI {mean:.2f} over "
                f"{len(compared)} channels, worst {worst.name} {worst.psi:.2f}"
            ),
            "choose windows from the training recordings, with their own preprocess.json",
            channels=shifted,
            actual=mean,
            limit=MAX_MEAN_PSI,
        )
    elif shifted:
        yield warning(
            "shifted",
            f"{channel_count(shifted)} shifted against training, worst {worst.name}: PSI {worst.psi:.2f}",
            "take more windows, or --method class-balanced",
            channels=shifted,
            actual=worst.psi,
            limit=MAX_CHANNEL_PSI,
        )


def shape_of_motion(compared: Sequence[ChannelComparison]) -> Iterator[ChannelFinding]:
    """Judge quantiles and autocorrelation, which a like spread can hide."""
    tails = [row for row in compared if row.quantile_shift > MAX_QUANTILE_SHIFT]
    if tails:
        worst = max(tails, key=lambda row: row.quantile_shift)
        yield warning(
            "quantiles",
            (
                f"the 1 % to 99 % quantiles of {channel_count(tails)} lie elsewhere than in training, "
                f"worst {worst.name} by {worst.quantile_shift:.1f} sigma"
            ),
            "take more windows, or --method class-balanced",
            channels=tuple(row.name for row in tails),
            actual=worst.quantile_shift,
            limit=MAX_QUANTILE_SHIFT,
        )
    paced = [row for row in compared if abs(row.lag1_other - row.lag1_reference) > MAX_LAG1_SHIFT]
    if paced:
        worst = max(paced, key=lambda row: abs(row.lag1_other - row.lag1_reference))
        yield warning(
            "autocorrelation",
            (
                f"another pace than in training in {channel_count(paced)}, worst {worst.name}: lag-1 "
                f"autocorrelation {worst.lag1_other:.2f} against {worst.lag1_reference:.2f}"
            ),
            "check the sample rate and any filter of the recordings",
            channels=tuple(row.name for row in paced),
            actual=worst.lag1_other,
            limit=worst.lag1_reference,
        )


def ranges(compared: Sequence[ChannelComparison], found: Distribution) -> Iterator[ChannelFinding]:
    """Judge how much of the training range each channel spans, and what lies beyond the clip."""
    narrow = tuple(row.name for row in compared if row.range_coverage < GOOD_RANGE)
    if narrow:
        worst = min(compared, key=lambda row: row.range_coverage)
        yield (error if worst.range_coverage < LEAST_RANGE else warning)(
            "range",
            (
                f"less than {GOOD_RANGE:.0%} of the training range spanned in {channel_count(narrow)}, "
                f"worst {worst.name} {worst.range_coverage:.0%}: int8 would clip the rest"
            ),
            "--method extremes or coverage, or more windows",
            channels=narrow,
            actual=worst.range_coverage,
            limit=GOOD_RANGE if worst.range_coverage >= LEAST_RANGE else LEAST_RANGE,
        )
    edge = found.clip_sigma * 1.001
    beyond = tuple(channel.name for channel in found.channels if channel.high > edge or channel.low < -edge)
    if beyond:
        yield error(
            "beyond-clip",
            (f"{channel_count(beyond)} beyond the clip of {found.clip_sigma:g} sigma, which preprocessing never does"),
            "build the set with the model's own preprocess.json",
            channels=beyond,
            limit=found.clip_sigma,
        )


def people(found: Distribution, training: Distribution) -> Iterator[ChannelFinding]:
    """Judge subjects and classes, where the set says them."""
    if found.subjects and len(found.subjects) == 1 and len(training.subjects) > 1:
        yield error(
            "one-subject",
            (
                f"all {found.n_windows} windows are of subject {next(iter(found.subjects))}, "
                f"training has {len(training.subjects)}"
            ),
            "--method class-balanced or subject-balanced over all training subjects",
            actual=1,
            limit=len(training.subjects),
        )
    lacking = [name for name in training.labels if name not in found.labels]
    if found.labels and lacking:
        yield warning(
            "missing-class",
            f"{len(lacking)} of {len(training.labels)} classes do not occur: {', '.join(lacking)}",
            "--method class-balanced",
            actual=len(lacking),
            limit=0,
        )
    if found.labels and not lacking:
        ratio = {name: share / shares(training.labels).get(name, 1.0) for name, share in shares(found.labels).items()}
        uneven = max(ratio.values()) / max(min(ratio.values()), 1e-9)
        spread = max(found.labels.values()) / min(found.labels.values())
        if min(uneven, spread) > MAX_IMBALANCE:
            yield warning(
                "imbalance",
                f"the largest class has {spread:.1f} times the windows of the smallest",
                "--method class-balanced",
                actual=spread,
                limit=MAX_IMBALANCE,
            )


def codes(found: Distribution, training: Distribution) -> Iterator[ChannelFinding]:
    """Judge how many of the codes in use the set reaches."""
    covered = code_coverage(training, found)
    if covered is not None and covered < LEAST_CODE_COVERAGE:
        yield warning(
            "codes",
            f"the set reaches the codes of {covered:.0%} of the training windows",
            "--method coverage-codes, or more windows",
            actual=covered,
            limit=LEAST_CODE_COVERAGE,
        )
