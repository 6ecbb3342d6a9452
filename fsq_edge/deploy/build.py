"""From a run folder to a BUILD folder: the graphs with everything else that is known about the model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fsq_edge.data.recording import Dataset
from fsq_edge.data.triads import find_triads
from fsq_edge.data.windows import WindowIndex
from fsq_edge.deploy.export import Exported, compare_with_torch, export_model, pooled_features
from fsq_edge.evaluation.run_evaluation import validation_temperature
from fsq_edge.training.run import Run, versions
from fsq_edge_compile.build_folder import FEATURES_FILE, FILES, ExportRecord, Labels, Reference
from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.bundle.fingerprint import Fingerprint, Spread, SubjectSpread
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.drift.looks import InputLooks, Look
from fsq_edge_runtime.drift.sphere import fit_offset
from fsq_edge_runtime.drift.subjects import LEAST_SUBJECTS
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.feature_statistics import FeatureStatistics
from fsq_edge_runtime.files import write_file
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.stream.settings import StreamSettings

MAX_REFERENCE_WINDOWS = 2048
BATCH = 256
OF_THE_NETWORK = ("encoder.onnx", "preprocess.json")


@dataclass(frozen=True, slots=True)
class UsableWindows:
    """Windows of one part of a split that preprocessing accepts.

    Attributes:
        index: which windows they are, N of them.
        windows: (N, C, T) float32, raw units, short gaps filled.
        frames: (N, C', H, W) float32.
    """

    index: WindowIndex
    windows: Float32Array
    frames: Float32Array


def usable_windows(run: Run, index: WindowIndex, limit: int | None = None) -> UsableWindows:
    """Gather and preprocess the windows of one part of the split.

    Args:
        run: whose preprocessing to apply.
        index: the windows.
        limit: at most this many, spread evenly over the part; None takes all.

    Raises:
        DataError: none is usable.
    """
    if limit is not None and len(index) > limit:
        index = index.take(np.linspace(0, len(index) - 1, limit).astype(np.int64))
    windows, valid = run.preprocessor.fill_gaps(index.gather())
    if not valid.any():
        raise DataError("no window is usable: every one has missing values beyond max_gap_ms")
    kept = np.flatnonzero(valid)
    return UsableWindows(index.take(kept), windows[kept], run.preprocessor.frames(windows[kept]))


@torch.no_grad()
def device_outputs(run: Run, frames: Float32Array) -> Float32Array:
    """Return ``t`` (N, D) float32 of the torch model for frames (N, C', H, W)."""
    graph = run.model.device_graph()
    parts = [graph(torch.from_numpy(frames[at : at + BATCH])).numpy() for at in range(0, len(frames), BATCH)]
    t: Float32Array = np.concatenate(parts).astype(np.float32)
    return t


@torch.no_grad()
def learning_statistics(run: Run) -> FeatureStatistics:
    """Return the statistics of the features of every window that the run learned from, validation among them."""
    graph, split = run.model.device_graph(), run.windows()
    features, labels = [], []
    for part in (split.train, split.val):
        if len(part):
            usable = usable_windows(run, part)
            labels.append(usable.index.label)
            for at in range(0, len(usable.frames), BATCH):
                features.append(pooled_features(graph, torch.from_numpy(usable.frames[at : at + BATCH])).numpy())
    return FeatureStatistics.of(np.concatenate(features), np.concatenate(labels), len(run.classes))


def subject_spread(run: Run) -> SubjectSpread | None:
    """Return how far the subjects that the run learned from differ, validation among them; None for a single one."""
    looks, split = InputLooks(run.preprocess), run.windows()
    seen: dict[str, Look] = {}
    for part in (split.train, split.val):
        for at in range(0, len(part), BATCH):
            index = part.take(np.arange(at, min(at + BATCH, len(part))))
            windows, valid = run.preprocessor.fill_gaps(index.gather())
            for subject in np.unique(index.subject[valid]).tolist():
                own = windows[valid & (index.subject == subject)]
                room = looks.room(len(own))
                room[:, :-1] = own
                look = looks.look(room)
                if look is not None:
                    seen[subject] = look if subject not in seen else seen[subject].plus(look)
    if len(seen) < 2:
        return None
    figures = [looks.figures(one) for one in seen.values()]
    offsets = [fit_offset(looks.sphere(one)) for one in seen.values()] if looks.has_gravity else []
    known = [offset.center for offset in offsets if offset is not None]
    return SubjectSpread(
        subjects=len(seen),
        mean=_spread([one.mean for one in figures]).deviation,
        motion=_spread([one.spread for one in figures]),
        tempo=_spread([one.tempo for one in figures]),
        axes=_spread([one.axes for one in figures]),
        offset=_spread(known) if len(known) >= LEAST_SUBJECTS else None,
    )


def _spread(figures: list[Float64Array]) -> Spread:
    rows = np.round([np.mean(figures, axis=0), np.std(figures, axis=0, ddof=1)], 6)
    return Spread(center=tuple(rows[0].tolist()), deviation=tuple(rows[1].tolist()))


def export_run(
    run: Run, out: Path, *, name: str | None = None, temperature: float | None = None, features: bool = True
) -> ExportRecord:
    """Write the BUILD folder of a run.

    Args:
        run: a loaded run; its data source is opened again.
        out: folder to write into; files of an earlier export are replaced.
        name: of the model; None takes the data set's.
        temperature: of the host tail; None fits it on the validation windows, or takes 1 where the run has none.
        features: the device graph also puts out its pooled features, and their statistics are written, so that a
            personal head can be fitted on the device. A network with no more features than ``t`` has values puts out
            none: the two outputs of a HEF are known by their sizes.

    Returns:
        What ``export.json`` says.

    Raises:
        DataError: the data of the run are gone or unusable.
        InternalError: the graphs are not equal to the torch model.
    """
    split = run.windows()
    validation = _reference(run, usable_windows(run, split.val, MAX_REFERENCE_WINDOWS)) if len(split.val) else None
    fitted = temperature or _temperature(run)
    features = features and run.model.projection.in_features > run.model.fsq.dimensions
    exported = export_model(run.model, temperature=fitted, features=features)
    held_out = usable_windows(run, split.test if len(split.test) else split.val, MAX_REFERENCE_WINDOWS)
    training = usable_windows(run, split.train)
    record = ExportRecord(
        name=name or run.record.data.name,
        provenance={
            "data": run.record.data.model_dump(mode="json"),
            "split": run.record.split.model_dump(mode="json"),
            "seed": run.config.training.seed,
            "metrics": run.metrics,
            "git_revision": run.record.git_revision,
        },
        versions=versions(),
        onnx_check=compare_with_torch(run.model, exported, held_out.frames),
    )
    codes = exported.tail.index(device_outputs(run, training.frames))
    counts = np.bincount(codes, minlength=exported.tail.codebook.n_codes)
    fingerprint = Fingerprint(
        counts=tuple(int(count) for count in counts), windows=len(codes), between=subject_spread(run)
    )
    contents = _contents(run, exported, record, fingerprint, _reference(run, held_out))
    settings = sensor_settings(split.train.dataset)
    if settings is not None:
        contents["stream.json"] = settings.to_json().encode()
    if validation is not None:
        contents["validation.npz"] = validation.to_bytes()
    if features:
        contents[FEATURES_FILE] = learning_statistics(run).to_bytes()
    _remove_outdated(out, contents)
    for file, content in contents.items():
        write_file(out / file, content)
    return record


def _remove_outdated(out: Path, contents: dict[str, bytes]) -> None:
    """Remove what calibrate and quantize made from an earlier export with another graph or other preprocessing."""
    same = all((out / name).is_file() and (out / name).read_bytes() == contents[name] for name in OF_THE_NETWORK)
    for file, verb in FILES.items():
        if file not in contents and not (same and verb != "export"):
            (out / file).unlink(missing_ok=True)


def sensor_settings(dataset: Dataset) -> StreamSettings | None:
    """Return the stream settings that follow from a data set's sensors; None where nothing is known that matters.

    ``sensor_step`` holds the step of each axis of a triad, ``full_scale`` the largest value of each channel whose range
    is known.
    """
    axes = {dataset.channels[triad.first + axis].name for triad in find_triads(dataset.channels) for axis in range(3)}
    steps, scales = {}, {}
    for name, sensor in dataset.sensors.items():
        if sensor.step is not None and name in axes:
            steps[name] = sensor.step
        if sensor.full_scale is not None:
            scales[name] = sensor.full_scale - (sensor.step or 0.0)  # the last code lies one step below the range
    if not (steps or scales):
        return None
    return StreamSettings().model_copy(update={"sensor_step": steps, "full_scale": scales})


def _reference(run: Run, windows: UsableWindows) -> Reference:
    return Reference(windows.windows, windows.index.label, windows.index.subject, device_outputs(run, windows.frames))


def _temperature(run: Run) -> float:
    """Fit the temperature on validation windows; 1 where there are none, or the fit ends at its bound."""
    fit = validation_temperature(run)
    return 1.0 if fit is None or fit.at_limit else fit.value


def _contents(
    run: Run, exported: Exported, record: ExportRecord, fingerprint: Fingerprint, reference: Reference
) -> dict[str, bytes]:
    return {
        "model.onnx": exported.full.SerializeToString(),
        "encoder.onnx": exported.encoder.SerializeToString(),
        "head.npz": exported.tail.to_bytes(),
        "preprocess.json": run.preprocess.to_json().encode(),
        "preprocess_config.json": short_preprocess_config(run.preprocessor),
        "labels.json": Labels(classes=run.classes).to_json().encode(),
        "decision.json": DecisionSettings().to_json().encode(),
        "fingerprint.json": fingerprint.to_json().encode(),
        "reference.npz": reference.to_bytes(),
        "export.json": record.to_json().encode(),
    }


def short_preprocess_config(preprocessor: Preprocessor) -> bytes:
    """Return ``preprocess_config.json``, the short form that older deployment scripts read."""
    config = preprocessor.config
    value = {
        "input_shape": list(config.frame_shape),
        "normalization": "per_channel",
        "reshape_required": config.fold > 1,
        "qa_thresholds": dict(config.qa),
    }
    return (json.dumps(value, indent=2) + "\n").encode()
