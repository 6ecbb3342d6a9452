"""What ``data sync`` gathers about each recording of a dataset folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fsq_edge.data.folder import read_folder
from fsq_edge.data.labels.formats import read_label_file
from fsq_edge.data.labels.interval import LabelFile
from fsq_edge.data.labels.matching import Matcher
from fsq_edge.data.labels.sync import (
    energy_of,
    find_candidates,
    propose_anchors,
    read_reference,
    recording_energy,
)
from fsq_edge.data.labels.sync_page import SyncEntry
from fsq_edge.data.recording import Dataset
from fsq_edge.data.timeline import recording_times
from fsq_edge_runtime.errors import UsageError


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
        raise UsageError(f"--recording {recording!r}: the folder has {', '.join(ids[:8])}", hint="name one of them")
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
