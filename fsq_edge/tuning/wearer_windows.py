"""The windows of one wearer with their labels, from recordings or from the log of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fsq_edge.data import Dataset, Recording
from fsq_edge.data.labels.formats import read_label_file
from fsq_edge.data.labels.interval import LabelSpan
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.decision_log import read_windows
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.personal.evidence import Evidence, LabelledWindow, gather
from fsq_edge_runtime.stream.records import Decision, Record

HOPS_A_WINDOW = 10  # with 5 s a recording of watch, macro-F1 is 0.953 so, and 0.941 with two hops a window
MAX_WINDOWS = 100_000  # of one wearer: more than a day of one window a second


def class_numbers(bundle: Bundle, new_classes: Sequence[str]) -> dict[str, int]:
    """Return the number of every class by its name: the bundle's, then the new ones.

    Raises:
        DataError: a new class is one of the bundle's.
    """
    known = [name for name in new_classes if name in bundle.classes]
    if known:
        raise DataError(f"{known[0]!r} is a class of the bundle already", hint="leave --new-class out")
    return {name: number for number, name in enumerate((*bundle.classes, *new_classes))}


def windows_of_recordings(
    bundle: Bundle,
    dataset: Dataset,
    subject: str,
    *,
    new_classes: Sequence[str] = (),
    hop_samples: int | None = None,
    backend: str = "onnx",
) -> Evidence:
    """Stream a subject's recordings through a bundle and keep the windows that lie in one label.

    Args:
        bundle: verified.
        dataset: with the bundle's channels.
        subject: whose recordings.
        new_classes: names of classes that the bundle does not have.
        hop_samples: step between windows; None takes a tenth of a window, or the bundle's step if that is less.
        backend: ``onnx``, ``onnx-int8``, ``hailo`` or ``auto``.

    Raises:
        DataError: no such subject, or more windows than a wearer may have.
        BackendError: the bundle cannot be run on this backend.
    """
    recordings = [recording for recording in dataset.recordings if recording.subject == subject]
    if not recordings:
        raise DataError(
            f"the recordings of {dataset.name!r} have no subject {subject!r}",
            hint=f"one of {', '.join(dataset.subjects[:12])}",
        )
    return windows_of(bundle, recordings, dataset, new_classes=new_classes, hop_samples=hop_samples, backend=backend)


def windows_of(
    bundle: Bundle,
    recordings: Sequence[Recording],
    dataset: Dataset,
    *,
    new_classes: Sequence[str] = (),
    hop_samples: int | None = None,
    backend: str = "onnx",
) -> Evidence:
    """Return the windows of some recordings of a data set; arguments and errors as :func:`windows_of_recordings`."""
    numbers = class_numbers(bundle, new_classes)
    translated = [numbers.get(name, -1) for name in dataset.classes]
    decisions: dict[str, list[Decision]] = {recording.recording_id: [] for recording in recordings}

    def note(record: Record) -> None:
        if isinstance(record, Decision):
            decisions[record.stream].append(record)

    # A stream of its own for every recording; the labels of the decision chain are not looked at.
    with _at_hop(bundle, hop_samples).open_session(
        backend,
        decision=DecisionSettings(),
        source_rate_hz=dataset.true_rate_hz,
        deadline_ms=0.0,
        keep_features=True,
        on_record=note,
    ) as session:
        for recording in recordings:
            session.push_many([(recording.recording_id, recording.samples, recording.timestamps)])
            session.drain(recording.recording_id)
            session.close_stream(recording.recording_id)
    sessions = {name: number for number, name in enumerate(dict.fromkeys(one.session for one in recordings))}
    windows: list[LabelledWindow] = []
    for number, recording in enumerate(recordings):
        times = recording.timestamps
        if times is None:
            times = np.arange(len(recording)) / dataset.true_rate_hz
        for decision in decisions[recording.recording_id]:
            first, last = np.searchsorted(times, [decision.t_start - 1e-6, decision.t_end + 1e-6])
            inside = recording.labels[first:last]
            if not len(inside) or inside.min() != inside.max() or inside[0] < 0 or translated[int(inside[0])] < 0:
                continue
            windows.append(
                LabelledWindow(
                    decision.features or (),
                    decision.code,
                    translated[int(inside[0])],
                    number,
                    sessions[recording.session],
                    decision.t_start,
                    decision.t_end,
                )
            )
    return _gathered(windows, dataset.name)


def windows_of_log(
    bundle: Bundle, log: Path, *, labels: Path | None = None, stream: str | None = None, new_classes: Sequence[str] = ()
) -> Evidence:
    """Read the windows of a run's log with corrected labels.

    Args:
        bundle: that was run.
        log: JSON lines of ``run``; with ``run --features`` they carry the features, else a table alone can be fitted.
        labels: a label file in the log's times; its ``recording``, where it has one, names the stream. None takes
            ``truth`` from each line: a class, where somebody wrote one.
        stream: which one; None where the log has one stream only.
        new_classes: names of classes that the bundle does not have.

    Raises:
        MissingInputError: a file cannot be read.
        DataError: not such files, an unknown class, several streams, or features of another network.
    """
    numbers = class_numbers(bundle, new_classes)
    lines = [line for line in read_windows(log) if stream is None or line["stream"] == stream]
    streams = sorted({line["stream"] for line in lines})
    if len(streams) != 1:
        shown = ", ".join(streams[:8]) or "none"
        raise DataError(f"{log.name} has the streams {shown}, one is needed", hint="--stream NAME")
    spans = read_label_file(labels).intervals if labels is not None else ()
    if any(span.absolute for span in spans) and lines and lines[0]["t_start"] < 1e9:
        raise DataError("the label file counts from 1970 and the log does not", hint="give times as the log has them")
    mine = [span for span in spans if span.recording in ("", streams[0])]
    windows: list[LabelledWindow] = []
    stretch, before = -1, ""
    for line in lines:
        truth = _truth(line, mine) if labels is not None else line.get("truth")
        if not isinstance(truth, str):
            before = ""
            continue
        if truth not in numbers:
            raise DataError(f"{truth!r} is no class of the bundle", hint=f"one of {', '.join(list(numbers)[:12])}")
        if truth != before:
            stretch, before = stretch + 1, truth
        windows.append(_window_of(line, numbers[truth], stretch, bundle))
    if not windows:
        what = "the label file names no whole window" if labels is not None else "no line has a truth"
        raise DataError(f"{log.name}: {what}", hint='add "truth": "CLASS" to lines, or give --labels FILE')
    return _gathered(windows, log.name)


def _window_of(line: dict[str, Any], label: int, stretch: int, bundle: Bundle) -> LabelledWindow:
    code, features = line.get("code"), line.get("features") or ()
    if code is not None and not (isinstance(code, int) and 0 <= code < bundle.tail.n_answers):
        raise DataError(f"the code {code!r} is none of this bundle's", hint="give the log of a run of this bundle")
    plain = isinstance(features, list | tuple) and all(isinstance(value, int) for value in features)
    if not plain or len(features) not in (0, bundle.features) or max(map(abs, features), default=0) > 1 << 24:
        raise DataError("the log's features are not those of this bundle", hint="give the log of a run of this bundle")
    return LabelledWindow(features, code, label, stretch, 0, line["t_start"], line["t_end"])


def _truth(line: dict[str, Any], spans: Sequence[LabelSpan]) -> str | None:
    """Return the label that covers the whole window; None where none does."""
    return next((span.label for span in _covering(line, spans)), None)


def _covering(line: dict[str, Any], spans: Sequence[LabelSpan]) -> Iterator[LabelSpan]:
    return (span for span in spans if span.start <= line["t_start"] and line["t_end"] <= span.stop)


def _gathered(windows: Sequence[LabelledWindow], name: str) -> Evidence:
    if len(windows) > MAX_WINDOWS:
        raise DataError(f"{name} has {len(windows)} labelled windows, at most {MAX_WINDOWS} are taken")
    usable = [window for window in windows if window.code is not None]
    if len({len(window.features) for window in usable}) > 1:
        raise DataError(f"some windows of {name} have features and some have none", hint="run --features throughout")
    return gather(windows)


def _at_hop(bundle: Bundle, hop_samples: int | None) -> Bundle:
    config = bundle.preprocess
    if hop_samples is None:
        hop_samples = min(max(1, config.window_samples // HOPS_A_WINDOW), config.hop_samples)
    if hop_samples == config.hop_samples:
        return bundle
    from fsq_edge_runtime.bundle.edit import with_files

    settings = bundle.stream.model_copy(update={"hop_samples": hop_samples})
    bare = with_files(bundle, {("signature", None): None}) if bundle.has("signature") else bundle
    return with_files(bare, {("stream", None): ("stream.json", settings.to_json().encode())})
