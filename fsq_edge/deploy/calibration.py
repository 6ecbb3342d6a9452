"""``fsq-edge calibrate`` as a Python call: choose a calibration set from training windows, or audit one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fsq_edge.deploy.foreign_set import audit_file, read_frames
from fsq_edge.deploy.plain_windows import is_array_file
from fsq_edge.deploy.training_windows import (
    TrainingWindows,
    windows_of_file,
    windows_of_run,
    windows_of_source,
    write_set,
)
from fsq_edge_calibration import CalibrationAudit, CalibrationSet, audit_array, audit_set, compare_channels
from fsq_edge_calibration.comparison import ChannelComparison
from fsq_edge_calibration.scale import with_scale
from fsq_edge_calibration.selection import Method
from fsq_edge_runtime.errors import MissingInputError, UsageError
from fsq_edge_runtime.preprocess import PreprocessConfig


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibration set, its audit and where it is.

    Attributes:
        chosen: the set; None where a foreign array was audited.
        audit: what was found.
        path: the file of the set; None where nothing was written.
        compared: each channel of ``against`` as reference and of the set; None where that was not asked for, or one of
            the two has not the shape of frames.
    """

    chosen: CalibrationSet | None
    audit: CalibrationAudit
    path: Path | None = None
    compared: tuple[ChannelComparison, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: the audit without its histograms, then ``set`` and ``against``."""
        document = self.audit.to_dict()
        for part in ("found", "training"):
            for channel in (document[part] or {}).get("channels", []):
                del channel["counts"]
        against = None if self.compared is None else [asdict(row) for row in self.compared]
        return {**document, "set": None if self.path is None else str(self.path), "against": against}


def calibrate(
    source: str | Path | None,
    out: Path | None = None,
    *,
    size: int = 1024,
    method: Method = "class-balanced",
    seed: int = 0,
    subjects: Sequence[str] = (),
    preprocess: Path | None = None,
    audit: Path | None = None,
    against: Path | None = None,
    allow_small: bool = False,
    npy: bool = False,
) -> Calibration:
    """Choose windows of the training split, preprocess them as the device will, audit them and write them.

    Nothing is written where the audit refuses the set.

    Args:
        source: a run folder; ``watch``, ``quadruped`` or ``folder:PATH``; an npy or npz file of windows (N, C, T). None
            audits ``audit`` for what it is.
        out: BUILD folder, or a file ``NAME.npz``; None only with ``audit``.
        size: windows to choose, 1 to 4,096.
        method: one of ``fsq_edge_calibration.METHODS``.
        seed: of every random choice.
        subjects: of a data source: whose windows to choose; empty takes the training subjects of BUILD, or all.
        preprocess: of a data source or a file: ``preprocess.json``, or the file of ``preprocess fit``; None takes
            BUILD's.
        audit: audit this npz or npy, and choose nothing.
        against: compare channel by channel with this set too.
        allow_small: fewer than 64 windows are a warning instead of an error.
        npy: write the frames alone too, as ``NAME.npy``.

    Raises:
        UsageError: options that do not go together, or an unknown subject.
        UnavailableError: a run needs torch, which is not installed; or the set cannot be written.
        MissingInputError, DataError: data, run or file are gone or damaged.

    Example:
        >>> made = calibrate("run", Path("build"), size=256)  # doctest: +SKIP
        >>> made.audit.passed, made.path  # doctest: +SKIP
        (True, PosixPath('build/calibration.npz'))
    """
    if source is None:
        if audit is None:
            raise UsageError("nothing to calibrate with", hint="fsq-edge calibrate RUN|DATA|FILE, or --audit FILE")
        return Calibration(None, audit_array(read_frames(audit), allow_small=allow_small))
    if out is None and audit is None:
        raise UsageError("no place to write the set to", hint="--out BUILD or --out NAME.npz; or --audit FILE")
    training = _training_windows(str(source), out, tuple(subjects), preprocess)
    usual = training.describe()
    chosen: CalibrationSet | None
    path = None
    if audit is not None:
        chosen, found = audit_file(audit, usual, training, allow_small)
    else:
        chosen = training.choose(size, method, seed)
        found = audit_set(chosen, usual, training.preprocess, allow_small=allow_small)
        if is_array_file(source):  # nobody says that these are the training windows
            found = with_scale(found, moves_by_one=False)
        if found.passed and out is not None:
            path = _write(chosen, found, out, npy)
    compared = None
    if against is not None:
        other = audit_file(against, usual, training, True)[1].found
        if found.found is not None and other is not None:
            compared = compare_channels(other, found.found)
    return Calibration(chosen, found, path, compared)


def _training_windows(
    source: str, out: Path | None, subjects: tuple[str, ...], preprocess: Path | None
) -> TrainingWindows:
    if (Path(source) / "run.json").is_file():
        if subjects or preprocess:
            raise UsageError("a run knows its training subjects and preprocessing", hint="leave the options out")
        return windows_of_run(Path(source))
    if Path(source).exists() and not is_array_file(source):
        raise MissingInputError(f"{source} is not a run folder: no run.json", hint="for a data folder: folder:PATH")
    build = out if out is not None and out.is_dir() else None
    place = preprocess or (build / "preprocess.json" if build else None)
    if place is None or not place.is_file():
        raise UsageError(
            "a data source needs the model's preprocessing", hint="--preprocess FILE, or --out a BUILD folder"
        )
    if is_array_file(source):
        if subjects:
            raise UsageError("a file of windows has no subjects to choose from", hint="leave --subjects out")
        return windows_of_file(Path(source), place, build)
    return windows_of_source(source, subjects, PreprocessConfig.load(place), build)


def _write(chosen: CalibrationSet, audit: CalibrationAudit, out: Path, npy: bool) -> Path:
    if out.suffix and out.suffix != ".npz":
        raise UsageError(f"{out.name}: a calibration set is an npz file", hint="--out NAME.npz or --out BUILD")
    path = out if out.suffix else out / "calibration.npz"
    write_set(chosen, audit, path)
    if npy:
        chosen.save_npy(path.with_suffix(".npy"))
    return path
