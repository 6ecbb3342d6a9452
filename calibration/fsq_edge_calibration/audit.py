"""The audit of a calibration set: is this what the device graph saw in training?"""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_serializer

from fsq_edge_calibration import array_rules, training_rules
from fsq_edge_calibration.build import channel_names
from fsq_edge_calibration.calibration_set import CalibrationSet
from fsq_edge_calibration.class_mix import remixed
from fsq_edge_calibration.comparison import compare_channels
from fsq_edge_calibration.description import FrameDescriber
from fsq_edge_calibration.distribution import Distribution, named_labels, psi
from fsq_edge_calibration.finding import error
from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.findings import ChannelFinding, worst_first
from fsq_edge_runtime.preprocess import PreprocessConfig

# Fields of a finding in the JSON, in this order.
_WRITTEN: Final = ("rule", "severity", "message", "fix", "channels", "actual", "limit", "source")


class CalibrationAudit(Artefact):
    """``calibration.json``: what a calibration set is, what it was compared with, and what was found.

    Attributes:
        passed: no finding is an error.
        findings: errors first.
        method: how the windows were chosen; empty for a foreign file.
        seed: of that choice.
        n_candidates: windows that it chose from.
        preprocess_sha256: digest of the PreprocessConfig.
        frames_sha256: of the frames' bytes, NHWC float32.
        allow_small: fewer than 64 windows were let through.
        recordings: windows per source recording.
        found: the set described; None where its structure forbids it.
        training: the training split described.
    """

    KIND: ClassVar[str] = "calibration.json"

    passed: bool
    findings: tuple[ChannelFinding, ...]
    method: str = ""
    seed: int = 0
    n_candidates: int = 0
    preprocess_sha256: str = ""
    frames_sha256: str = ""
    allow_small: bool = False
    recordings: dict[str, int] = Field(default_factory=dict)
    found: Distribution | None = None
    training: Distribution | None = None

    @field_serializer("findings")
    def _written(self, findings: tuple[ChannelFinding, ...]) -> list[dict[str, Any]]:
        return [finding.to_dict(*_WRITTEN) for finding in findings]

    @property
    def errors(self) -> tuple[ChannelFinding, ...]:
        """The findings that refuse the set."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


def audit_set(
    calibration: CalibrationSet, training: Distribution, preprocess: PreprocessConfig, *, allow_small: bool = False
) -> CalibrationAudit:
    """Audit a set of this project against the training split.

    Args:
        calibration: the set.
        training: :func:`describe_windows` of the split it claims to come from.
        preprocess: the model's.
        allow_small: fewer than 64 windows are a warning instead of an error.
    """
    audit = audit_frames(
        calibration.frames_nhwc,
        training,
        preprocess,
        labels=named_labels(calibration.labels, calibration.classes),
        subjects=calibration.subjects,
        codes=calibration.codes,
        allow_small=allow_small,
    )
    findings = audit.findings
    if calibration.preprocess_sha256 != preprocess.digest():
        other = error(
            "preprocess",
            (
                f"the set was made with other preprocessing: {calibration.preprocess_sha256[:12]}..., "
                f"the model has {preprocess.digest()[:12]}..."
            ),
            "build the set again with the model's preprocess.json",
        )
        findings = (other, *findings)
    known = calibration.recording_ids[calibration.recording_ids != ""]
    names, counts = np.unique(known, return_counts=True)
    return audit.model_copy(
        update={
            "findings": findings,
            "passed": all(finding.severity != "error" for finding in findings),
            "method": calibration.method,
            "seed": calibration.seed,
            "n_candidates": calibration.n_candidates,
            "preprocess_sha256": calibration.preprocess_sha256,
            "recordings": {str(name): int(count) for name, count in zip(names, counts, strict=True)},
        }
    )


def audit_frames(
    frames_nhwc: AnyArray,
    training: Distribution,
    preprocess: PreprocessConfig,
    *,
    labels: npt.ArrayLike = (),
    subjects: npt.ArrayLike = (),
    codes: npt.ArrayLike = (),
    allow_small: bool = False,
) -> CalibrationAudit:
    """Audit frames of any origin; what is unknown (labels, subjects, codes) is not judged.

    Args:
        frames_nhwc: an array that claims to be (N, H, W, C') float32.
        training: the training split described.
        preprocess: the model's.
        labels: (N,) classes, named as in ``training``.
        subjects: (N,) text.
        codes: (N,) FSQ codes.
        allow_small: fewer than 64 windows are a warning instead of an error.
    """
    names = channel_names(preprocess)
    findings = list(array_rules.structure(frames_nhwc, preprocess.frame_shape))
    broken = any(finding.rule != "dtype" for finding in findings) or frames_nhwc.dtype.kind not in "fiu"
    if not broken:
        findings += array_rules.missing_values(frames_nhwc, names)
        broken = any(finding.rule == "missing-values" for finding in findings) or not len(frames_nhwc)
        findings += array_rules.count(frames_nhwc.astype(np.float32, copy=False), allow_small)
    found = None
    if not broken:
        frames = np.ascontiguousarray(frames_nhwc.transpose(0, 3, 1, 2), dtype=np.float32)
        describer = FrameDescriber(names, preprocess.clip_sigma)
        describer.add(frames)
        found = describer.distribution(labels, subjects, codes)
        findings += _against_training(frames, found, training, preprocess)
    return CalibrationAudit(
        passed=all(finding.severity != "error" for finding in findings),
        findings=worst_first(findings),
        frames_sha256=hashlib.sha256(np.ascontiguousarray(frames_nhwc).tobytes()).hexdigest(),
        allow_small=allow_small,
        found=found,
        training=training,
    )


def audit_array(frames: AnyArray, *, allow_small: bool = False) -> CalibrationAudit:
    """Audit an array for what it is, with no model and no training windows to compare it with.

    Type, missing values, count, repeats, noise and channels that never move are judged; ranges are described.

    Args:
        frames: (N, H, W, C) as the compiler wants them, or windows (N, C, T), which are read as (N, 1, T, C).
        allow_small: fewer than 64 windows are a warning instead of an error.
    """
    nhwc = frames.transpose(0, 2, 1)[:, None] if frames.ndim == 3 else frames
    if nhwc.ndim != 4 or not nhwc.size or nhwc.dtype.kind not in "fiu":
        message = f"the array is {frames.dtype} {frames.shape}, expected numbers (N, H, W, C) or windows (N, C, T)"
        fix = "save frames with numpy.save(FILE, frames)"
        return CalibrationAudit(passed=False, findings=(error("rank", message, fix),), allow_small=allow_small)
    height, width, channels = nhwc.shape[1:]
    names = [f"ch{index}" for index in range(channels)]
    findings = [
        *array_rules.structure(nhwc, (channels, height, width)),
        *array_rules.missing_values(nhwc, names),
        *array_rules.count(nhwc.astype(np.float32, copy=False), allow_small),
    ]
    found = None
    if not any(finding.rule == "missing-values" for finding in findings):
        turned = np.ascontiguousarray(nhwc.transpose(0, 3, 1, 2), dtype=np.float32)
        describer = FrameDescriber(names, float(np.abs(turned).max()) or 1.0)
        describer.add(turned)
        found = describer.distribution((), (), ())
        findings += [*array_rules.noise(turned, 0.0), *array_rules.constant(turned, names, [False] * channels)]
    return CalibrationAudit(
        passed=all(finding.severity != "error" for finding in findings),
        findings=worst_first(findings),
        frames_sha256=hashlib.sha256(np.ascontiguousarray(nhwc).tobytes()).hexdigest(),
        allow_small=allow_small,
        found=found,
    )


def _against_training(
    frames: Float32Array, found: Distribution, training: Distribution, preprocess: PreprocessConfig
) -> list[ChannelFinding]:
    """Judge frames (N, C', H, W); once a cause is known, the shifts that follow from it are not listed again."""
    names = [channel.name for channel in found.channels]
    still = [channel.still_share > 0.99 for channel in training.channels]
    usual = remixed(training, found)
    noisy = max(usual.noise_share, training.noise_share)  # no mix is right where the values are wrong
    compared = compare_channels(usual, found)
    causes = list(_reshaped(frames, found, training) or array_rules.noise(frames, noisy))
    if not causes:  # normalised twice, a channel of a large mean sits at the clip and looks dead
        causes += training_rules.normalisation(frames, training, preprocess, compared)
    causes += array_rules.constant(frames, names, still)
    effects = [] if causes else [*training_rules.domain(compared), *training_rules.shape_of_motion(compared)]
    return [
        *causes,
        *effects,
        *training_rules.ranges(compare_channels(training, found), found),
        *training_rules.people(found, training),
        *training_rules.codes(found, training),
    ]


def _reshaped(frames: Float32Array, found: Distribution, training: Distribution) -> list[ChannelFinding]:
    """Find frames whose bytes are channels first under a channels-last shape: reshaped where a transpose was meant."""
    count, channels, height, width = frames.shape
    bytes_order = np.ascontiguousarray(frames.transpose(0, 2, 3, 1)).reshape(count, channels, height, width)
    describer = FrameDescriber([channel.name for channel in found.channels], found.clip_sigma)
    describer.add(bytes_order)
    again = describer.distribution()

    def distance(other: Distribution) -> float:
        pairs = zip(training.channels, other.channels, strict=True)
        return float(np.mean([psi(a.counts, b.counts) + abs(a.lag1 - b.lag1) for a, b in pairs]))

    if distance(again) >= 0.5 * distance(found) or distance(found) < training_rules.MAX_MEAN_PSI:
        return []
    return [
        error(
            "layout",
            "the frames are channels first (NCHW) under an NHWC shape: reshaped where a transpose was meant",
            "frames.transpose(0, 2, 3, 1) of the (N, C, H, W) array, never reshape",
            source="Hailo Dataflow Compiler, case F58",
        )
    ]
