"""The stages of the demo, each real, each handing its result to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fsq_edge.data import Dataset, open_dataset
from fsq_edge.deploy.build import export_run
from fsq_edge.deploy.training_windows import windows_of_run, write_set
from fsq_edge.evaluation.run_evaluation import RunEvaluation, evaluate_run
from fsq_edge.training import Run, TrainConfig, load_run, train
from fsq_edge.training.record import EpochRecord
from fsq_edge.training.split import WindowSides, cut_sides
from fsq_edge_benchmarks.bench.contestant import open_subject
from fsq_edge_benchmarks.bench.modes.single import measure_single
from fsq_edge_benchmarks.bench.result import ModeResult
from fsq_edge_benchmarks.measure.fixed_network import small_bundle
from fsq_edge_calibration import CalibrationSet, audit_set
from fsq_edge_compile import check
from fsq_edge_compile.build_folder import BuildFolder, ExportRecord
from fsq_edge_compile.int8.agreement import PreviewReport
from fsq_edge_compile.int8.preview import preview_build, write_preview
from fsq_edge_compile.packing.bundle import build_bundle
from fsq_edge_compile.packing.gate import check_gate
from fsq_edge_compile.parity.ladder import Gates
from fsq_edge_runtime.arrays import Float32Array, Int16Array
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import DataError, InternalError

CALIBRATION_WINDOWS = 1024  # what the compiler's higher optimisation levels ask for
PREVIEW_WINDOWS = 256
STREAM_SECONDS = 150.0
Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A held-out stretch as the stream saw it.

    Attributes:
        decisions: JSON fields of each decision.
        truth: (begin s, end s, label) stretches.
        title: what was streamed, stitched or as recorded.
    """

    decisions: tuple[dict[str, Any], ...]
    truth: tuple[tuple[float, float, str], ...]
    title: str


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo measured.

    Attributes:
        dataset: name of the data set.
        run: the trained run.
        evaluated: of the torch model on the held-out subjects.
        exported: what ``export.json`` says.
        verdict: of the compatibility check for ``arch``.
        arch: the target.
        preview: int8 preview against float on the held-out windows.
        bundle_bytes: size of the bundle.
        latency: decision against bare network.
        small: the same of a small network with the same frames, where what a decision adds weighs most.
        timeline: a streamed stretch.
    """

    dataset: Dataset
    run: Run
    evaluated: RunEvaluation
    exported: ExportRecord
    verdict: str
    arch: str
    preview: PreviewReport
    bundle_bytes: int
    latency: ModeResult
    small: ModeResult
    timeline: Timeline


def run_demo(
    source: str, test_subjects: Sequence[str], config: TrainConfig, out: Path, *, arch: str, hops: int, say: Say
) -> DemoResult:
    """Run every stage from recordings to a streamed recording.

    Args:
        source: data source.
        test_subjects: held out for every figure; empty takes the share that the configuration names.
        config: training configuration.
        out: folder for run, build and bundle.
        arch: target of the compatibility check.
        hops: decisions to time.
        say: called with (stage, result) after each stage.

    Raises:
        FsqEdgeError: as each stage does.
        InternalError: the stream and ``predict`` disagree.
    """
    data = config.data.model_copy(update={"source": source, "test_subjects": tuple(test_subjects)})
    config = config.model_copy(update={"data": data})
    dataset = open_dataset(source)
    sides = _data(dataset, config, say)
    run = _train(sides, config, out / "run", say)
    evaluated = _evaluate(run, say)
    exported = export_run(run, out / "build")
    checked = exported.onnx_check
    say(
        "export",
        f"ONNX equals torch on {checked['n']:.0f} held-out windows: {checked['code_mismatch']:.0f} codes differ off "
        f"the rounding boundaries, {checked['label_mismatch']:.0f} labels",
    )
    build = BuildFolder(out / "build")
    verdict = check(build.path / "encoder.onnx", arch=arch).verdict
    whole = check(build.path / "model.onnx", arch=arch)
    cut = ", ".join(whole.end_nodes)
    say("check", f"device graph: {verdict} for {arch}; the full graph: {whole.verdict}, to be cut at {cut}")
    preview = _quantize(build, _calibrate(run, build, say), say)
    bundle = build_bundle(build, check={arch: verdict}, parity=_climb(build, arch, say))
    path = out / f"{bundle.manifest.name}.fsqb"
    bundle.save(path)
    bundle, size = Bundle.open(path), path.stat().st_size
    say("bundle", f"{path}, {size / 1024:.0f} KiB, {len(bundle.manifest.files)} files, verified")
    held_out = sides.split.test.subjects
    timeline = _stream(bundle, dataset, held_out, say)
    with open_subject(bundle, "onnx") as subject:
        latency = measure_single(subject, hops)
    with open_subject(small_bundle(bundle), "onnx") as subject:
        small = measure_single(subject, hops)
    say("latency", f"{latency.ours.samples} decisions timed, alternating with the bare network")
    return DemoResult(dataset, run, evaluated, exported, verdict, arch, preview, size, latency, small, timeline)


def _data(dataset: Dataset, config: TrainConfig, say: Say) -> WindowSides:
    sides = cut_sides(dataset, config)
    parts = (sides.train, sides.val, sides.test)
    say(
        "data",
        f"{dataset.name}: {len(dataset.recordings)} recordings of {len(dataset.subjects)} subjects, "
        f"{len(dataset.classes)} classes, {dataset.sample_rate_hz:g} Hz; windows: {len(sides.train)} training, "
        f"{len(sides.val)} validation, {len(sides.test)} held out (subjects {', '.join(sides.split.test.subjects)}); "
        f"{sum(part.n_mixed for part in parts)} mixed and {sum(part.n_unlabelled for part in parts)} unlabelled are "
        "left out",
    )
    return sides


def _train(sides: WindowSides, config: TrainConfig, out: Path, say: Say) -> Run:
    def progress(record: EpochRecord, epochs: int) -> None:
        if record.epoch % 8 == 0 or record.epoch == epochs:
            checked = "" if record.val_macro_f1 is None else f", validation macro-F1 {record.val_macro_f1:.3f}"
            say("train", f"epoch {record.epoch}/{epochs}: loss {record.train_loss:.3f}{checked}")

    train(config, out, sides=sides, progress=progress)
    run = load_run(out)
    subjects = len(sides.split.train.subjects) + len(sides.split.val.subjects)
    say(
        "train",
        f"{run.record.parameters} parameters; best epoch {run.metrics['best_epoch']:.0f}, then refitted on all "
        f"{subjects} subjects that are not held out",
    )
    return run


def _evaluate(run: Run, say: Say) -> RunEvaluation:
    evaluated = evaluate_run(run)
    evaluation = evaluated.evaluation
    say(
        "evaluate",
        f"accuracy {evaluation.accuracy:.3f}, macro-F1 {evaluation.macro_f1:.3f} on n = {evaluation.n}, "
        f"majority baseline {evaluation.majority.accuracy:.3f}",
    )
    return evaluated


def _calibrate(run: Run, build: BuildFolder, say: Say) -> CalibrationSet:
    training = windows_of_run(run.folder)
    chosen = training.choose(CALIBRATION_WINDOWS, "class-balanced", run.config.training.seed)
    audit = audit_set(chosen, training.describe(), run.preprocess)
    write_set(chosen, audit, build.path / "calibration.npz")
    state = "good" if audit.passed else "refused: " + "; ".join(finding.message for finding in audit.errors)
    shape = chosen.frames_nhwc.shape[1:]
    say("calibrate", f"{len(chosen)} training windows, class-balanced, NHWC {shape}; audit: {state}")
    return chosen


def _quantize(build: BuildFolder, calibration: CalibrationSet, say: Say) -> PreviewReport:
    preview = preview_build(build, calibration.first(PREVIEW_WINDOWS), try_alternatives=False)
    write_preview(build, preview)
    report = preview.report
    say(
        "int8 preview",
        f"code flips {report.code_flip_rate:.2%}, label changes {report.label_change_rate:.2%} "
        "(a simulation in onnxruntime, not Hailo's arithmetic)",
    )
    return report


def _climb(build: BuildFolder, arch: str, say: Say) -> dict[str, Any]:
    gate = check_gate(build, arch, parity=Gates())
    if gate.ladder is None or not gate.opened:
        raise DataError(
            "the gates of `bundle build` refuse this model: check, calibration audit or parity ladder",
            hint=f"fsq-edge bundle build {build.path} --out NAME.fsqb says which and why",
        )
    rungs = ", ".join(f"{rung.name} {rung.code_agreement or 0:.2%}" for rung in gate.ladder.rungs)
    say("parity", f"codes that agree with torch: {rungs}")
    return gate.ladder.to_dict()


def _stream(bundle: Bundle, dataset: Dataset, test_subjects: Sequence[str], say: Say) -> Timeline:
    """Stream recordings of the first held-out subject, stitched where one recording holds one label."""
    recordings = dataset.select(subjects=[test_subjects[0]]).recordings
    limit = int(STREAM_SECONDS * dataset.sample_rate_hz)
    per_recording = max(limit // min(len(recordings), len(dataset.classes)), bundle.preprocess.window_samples)
    stitched = len(np.unique(recordings[0].labels)) == 1 and len(recordings) > 1
    chosen = _one_of_each(recordings, len(dataset.classes)) if stitched else [recordings[0]]
    take = per_recording if stitched else limit
    samples = np.concatenate([recording.samples[:take] for recording in chosen])
    labels = np.concatenate([recording.labels[:take] for recording in chosen])
    with bundle.open_session(backend="onnx") as session:
        found = session.push(samples)
        _check_against_predict(session, samples, found)
    decisions = tuple(decision.to_dict(latency=False) for decision in found)
    kind = f"{len(chosen)} recordings of subject {test_subjects[0]}, stitched" if stitched else "a recording"
    seconds = len(samples) / dataset.sample_rate_hz
    say("stream", f"{kind}, {seconds:.0f} s: {len(decisions)} decisions, equal to predict on the same windows")
    return Timeline(decisions, _stretches(labels, dataset), kind)


def _one_of_each(recordings: Sequence[Any], classes: int) -> list[Any]:
    chosen: dict[int, Any] = {}
    for recording in recordings:
        chosen.setdefault(int(recording.labels[0]), recording)
    return [chosen[label] for label in sorted(chosen)][:classes]


def _check_against_predict(session: Any, samples: Float32Array, found: Sequence[Any]) -> None:
    config = session.bundle.preprocess
    starts = np.arange(len(found)) * config.hop_samples
    windows = np.stack([samples[start : start + config.window_samples].T for start in starts])
    codes = session.predict(windows).codes
    if [decision.code for decision in found] != [int(code) if code >= 0 else None for code in codes]:
        raise InternalError("streaming and predict disagree on the same windows")


def _stretches(labels: Int16Array, dataset: Dataset) -> tuple[tuple[float, float, str], ...]:
    edges = np.flatnonzero(np.diff(labels, prepend=-2, append=-2))
    rate = dataset.sample_rate_hz
    return tuple(
        (begin / rate, end / rate, dataset.classes[int(labels[begin])])
        for begin, end in pairwise(edges)
        if labels[begin] >= 0
    )
