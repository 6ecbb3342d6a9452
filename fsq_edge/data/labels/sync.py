"""``data sync``: where a recording holds shakes and taps, and which anchors a reference proposes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsq_edge.data.folder import read_folder
from fsq_edge.data.labels.formats import read_label_file
from fsq_edge.data.labels.interval import LabelFile, read_time
from fsq_edge.data.labels.matching import Matcher
from fsq_edge.data.recording import Dataset, Recording
from fsq_edge.data.timeline import recording_times, signal_of
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.tables.dialect import recognize_encoding

GRID_HZ = 25.0
SMOOTH_S = 0.2
APART_S = 2.0
SEGMENT_S = 120.0
MIN_CORRELATION = 0.3
MAX_REFERENCE_BYTES = 256 << 20
MAX_GRID = 20_000_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A short burst of energy, as a shake or a tap makes.

    Args:
        at: seconds from the recording's first sample.
        strength: how many robust standard deviations it stands out.
    """

    at: float
    strength: float


@dataclass(frozen=True, slots=True)
class ProposedAnchor:
    """An instant on both clocks.

    Args:
        label: seconds on the reference's clock.
        sensor: seconds from the recording's first sample.
        correlation: of the two energies around it, -1 to 1.
    """

    label: float
    sensor: float
    correlation: float


@dataclass(frozen=True, slots=True, eq=False)
class SyncEntry:
    """What is known of one recording.

    Args:
        recording: its id.
        subject: who.
        energy: on the 25 Hz grid.
        candidates: bursts.
        borders: where labels begin, seconds from the first sample.
        anchors: proposed.
    """

    recording: str
    subject: str
    energy: Float64Array
    candidates: Sequence[Candidate]
    borders: Sequence[float]
    anchors: Sequence[ProposedAnchor]


def energy_of(times: Float64Array, values: Float64Array) -> Float64Array:
    """Return the energy of a signal on a grid of 25 Hz from its first time on: |value - mean over 1 s|, smoothed.

    Raises:
        DataError: so long that the grid would not fit into memory.
    """
    finite = np.isfinite(values)
    times, values = times[finite], values[finite]
    if len(times) < 2 or (times[-1] - times[0]) * GRID_HZ > MAX_GRID:
        raise DataError(f"a signal of {len(times)} samples cannot be put on a grid of {GRID_HZ:g} Hz")
    # The strongest sample near each grid point, so that a tap between two of them is not lost.
    moving = np.abs(values - _mean_over(values, max(1, round(len(times) / (times[-1] - times[0])))))
    place = ((times - times[0]) * GRID_HZ).astype(np.int64)
    energy = np.zeros(place[-1] + 1)
    np.maximum.at(energy, place, moving)
    return _mean_over(energy, max(1, round(SMOOTH_S * GRID_HZ)))


def find_candidates(energy: Float64Array, count: int = 10) -> list[Candidate]:
    """Return the strongest bursts, at least two seconds apart, in order of time."""
    spread = float(np.median(np.abs(energy - np.median(energy)))) * 1.4826 or 1e-12
    score = (energy - np.median(energy)) / spread
    found: list[Candidate] = []
    free = np.ones(len(score), np.bool_)
    apart = int(APART_S * GRID_HZ)
    for at in np.argsort(-score, kind="stable"):
        if len(found) == count or score[at] <= 3:
            break
        if free[at]:
            found.append(Candidate(float(at) / GRID_HZ, float(score[at])))
            free[max(0, at - apart) : at + apart] = False
    return sorted(found, key=lambda candidate: candidate.at)


def read_reference(path: Path) -> tuple[Float64Array, Float64Array]:
    """Read a reference on the labels' clock: two columns, time and value, with or without a header.

    Raises:
        MissingInputError: it cannot be read.
        DataError: a row is not two numbers, or there are fewer than two.
    """
    data = read_bounded(path, MAX_REFERENCE_BYTES, what="the reference")
    text = data.decode(recognize_encoding(data), "replace").lstrip("\ufeff")
    delimiter = max((",", ";", "\t"), key=text[:4096].count)
    times, values = [], []
    for number, cells in enumerate(csv.reader(text.splitlines(), delimiter=delimiter), 1):
        if len(cells) < 2:
            continue
        try:
            values.append(float(cells[1].replace(",", ".")))
        except ValueError:
            if number == 1:
                continue
            raise DataError(f"{path.name}, line {number}: {cells[1][:40]!r} is no number") from None
        times.append(read_time(cells[0], f"{path.name}, line {number}")[0])
    if len(times) < 2 or np.any(np.diff(times) <= 0):
        raise DataError(f"{path.name}: times must rise, and there must be two at least", hint="columns: time, value")
    return np.array(times), np.array(values)


def propose_anchors(
    sensor: Float64Array, reference: Float64Array, reference_start: float, search_s: float
) -> list[ProposedAnchor]:
    """Return up to two anchors, near the begin and the end, where the energies of both signals agree.

    Args:
        sensor: energy of the recording on the 25 Hz grid.
        reference: energy of the reference on that grid.
        reference_start: its first time on the labels' clock.
        search_s: the clocks differ by at most this much.
    """
    length = min(len(reference), int(SEGMENT_S * GRID_HZ))
    starts = [0] if len(reference) < 2 * length else [0, len(reference) - length]
    anchors = []
    for start in starts:
        part = reference[start : start + length]
        low = max(0, start - int(search_s * GRID_HZ))
        high = min(len(sensor), start + length + int(search_s * GRID_HZ))
        lag, correlation = _best_lag(sensor[low:high], part)
        if correlation >= MIN_CORRELATION:
            middle = length / 2 / GRID_HZ
            anchors.append(
                ProposedAnchor(
                    reference_start + start / GRID_HZ + middle, (low + lag) / GRID_HZ + middle, float(correlation)
                )
            )
    return anchors


def recording_energy(dataset: Dataset, recording: Recording) -> Float64Array:
    """Return the energy of the recording's signal on the 25 Hz grid from its first sample on."""
    signal, _, _ = signal_of(dataset, recording)
    return energy_of(recording_times(dataset, recording), signal)


def _best_lag(long: Float64Array, short: Float64Array) -> tuple[float, float]:
    """Return the place in ``long`` where ``short`` fits best, to a part of a step, and the correlation there."""
    if len(long) < len(short):
        return 0.0, 0.0
    centred = short - short.mean()
    norm = float(np.sqrt((centred**2).sum()))
    size = 1 << int(np.ceil(np.log2(len(long) + len(short))))
    product = np.fft.irfft(np.fft.rfft(long, size) * np.conj(np.fft.rfft(centred, size)), size)
    places = len(long) - len(short) + 1
    sums = np.concatenate(([0.0], np.cumsum(long)))
    squares = np.concatenate(([0.0], np.cumsum(long**2)))
    mean = (sums[len(short) :] - sums[: -len(short)]) / len(short)
    spread = np.sqrt(np.maximum(squares[len(short) :] - squares[: -len(short)] - len(short) * mean**2, 1e-12))
    correlation = product[:places] / (spread * max(norm, 1e-12))
    at = int(np.argmax(correlation))
    part = 0.0
    if 0 < at < places - 1:
        left, top, right = correlation[at - 1 : at + 2]
        bend = left - 2 * top + right
        part = float(0.5 * (left - right) / bend) if bend < 0 else 0.0
    return at + part, float(correlation[at])


def _mean_over(values: Float64Array, width: int) -> Float64Array:
    """Return the running mean, centred, shorter at both ends."""
    running = np.concatenate(([0.0], np.cumsum(values)))
    half = width // 2
    first = np.maximum(np.arange(len(values)) - half, 0)
    last = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return np.asarray((running[last] - running[first]) / (last - first), np.float64)


def make_entries(
    folder: Path, intervals: Sequence[Path], reference: Path | None, recording: str, search_s: float, candidates: int
) -> list[SyncEntry]:
    """Gather energy, bursts, label borders and proposed anchors.

    Args:
        folder: dataset folder, only read.
        intervals: label files whose borders are drawn.
        reference: table on the labels' clock; None proposes nothing.
        recording: that the reference belongs to; empty where there is one only.
        search_s: the clocks differ by at most this much.
        candidates: bursts for each recording.

    Raises:
        UsageError: the recording of the reference is not named or not there.
        DataError: a file cannot be used.
    """
    dataset = read_folder(folder)
    ids = [found.recording_id for found in dataset.recordings]
    if reference is not None and recording not in ids and (recording or len(ids) > 1):
        said = f"there is no recording {recording!r}" if recording else "--reference needs --recording, whose it is"
        raise UsageError(said, hint=f"one of {', '.join(ids[:8])}")
    borders = _borders(dataset, [read_label_file(path) for path in intervals])
    entries = []
    for position, found in enumerate(dataset.recordings):
        energy = recording_energy(dataset, found)
        anchors = []
        if reference is not None and found.recording_id == (recording or ids[0]):
            times, values = read_reference(reference)
            anchors = propose_anchors(energy, energy_of(times, values), float(times[0]), search_s)
        bursts = find_candidates(energy, candidates)
        entries.append(SyncEntry(found.recording_id, found.subject, energy, bursts, borders[position], anchors))
    return entries


def _borders(dataset: Dataset, files: Sequence[LabelFile]) -> list[list[float]]:
    """Where labels begin in each recording that they may belong to, seconds from its first sample."""
    matcher = Matcher(dataset.recordings, {})
    borders: list[list[float]] = [[] for _ in dataset.recordings]
    for file in files:
        for interval in file.intervals:
            for position in matcher.candidates(file, interval):
                found = dataset.recordings[position]
                at = interval.start / dataset.sample_rate_hz if file.in_samples else interval.start
                begin = float(recording_times(dataset, found)[0]) if interval.absolute else 0.0
                if 0 <= at - begin <= len(found) / dataset.sample_rate_hz * 1.5:
                    borders[position].append(at - begin)
    return borders
