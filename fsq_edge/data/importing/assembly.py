"""From the series of files to the recordings of a data set: sensors put together, rates settled, files written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from fsq_edge.data.archive import StoredArray, write_npz
from fsq_edge.data.folder import DESCRIPTION, DatasetDescription, RecordingEntry
from fsq_edge.data.importing.account import RecordingAccount
from fsq_edge.data.importing.grid import Sensor, merge
from fsq_edge.data.importing.import_map import ImportMap
from fsq_edge.data.importing.labels_column import LabelNumbers
from fsq_edge.data.importing.series import Timing, measure_timing, usual_rate
from fsq_edge.data.importing.spool import Spool
from fsq_edge.data.recording import Channel
from fsq_edge.data.sensors import SensorFacts, common_facts
from fsq_edge_runtime.arrays import Int16Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import write_synced

NO_CLASS = "unlabelled"  # the one class of a data set that has no labels yet
RATE_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The series that one file gave for one subject and session.

    Args:
        file: its name.
        section: of the map, from 0.
        parts: taken from the name.
        subject: who was recorded.
        session: the sitting.
        channels: in order.
        spool: of the samples.
        timing: measured.
        nominal_hz: as the file or the map says.
        timed: the file has times, so the recording keeps them.
        absolute: they count from 1970.
        steps: channel -> least difference between distinct values.
        sensors: channel -> what is known of its sensor.
    """

    file: str
    section: int
    parts: dict[str, str]
    subject: str
    session: str
    channels: tuple[Channel, ...]
    spool: Spool
    timing: Timing
    nominal_hz: float | None
    timed: bool
    absolute: bool
    steps: dict[str, float]
    sensors: dict[str, SensorFacts]


class Assembly:
    """Collects pieces and writes the data set.

    Args:
        wanted: the map.
        labels: numbers of class names.
        folder: for spools.
    """

    def __init__(self, wanted: ImportMap, labels: LabelNumbers, folder: Path) -> None:
        self._map, self.labels, self.folder = wanted, labels, folder
        self._pieces: list[Piece] = []

    def add(self, piece: Piece) -> None:
        """Take a piece; its subject is renamed as the map says."""
        self._pieces.append(piece)

    def write(self, building: Path) -> tuple[RecordingAccount, ...]:
        """Write ``dataset.json`` and the recordings; return what became of each.

        Raises:
            DataError: recordings differ in channels, units or rate, or sensors have no time in common.
        """
        groups = self._recordings()
        channels = self._channels(groups)
        rate = self._rate(groups)
        classes, places = self.labels.sorted_numbers()
        names: set[str] = set()
        entries, accounts = [], []
        timings = []
        for group in groups:
            spool, timing, outside, resampled = self._settle(group, rate)
            first = group[0]
            if first.timed or resampled:
                timings.append(timing)
            subject = self._map.subjects.get(first.subject, first.subject) or first.file
            for start, stop in self._cuts(spool):
                file = f"{_free_name(_recording_name(group, subject), names)}.npz"
                part = timing if (start, stop) == (0, spool.length) else self._timing_of(spool, start, stop)
                labelled = _write(building / file, spool, start, stop, places, first.timed or resampled, self.folder)
                entries.append(RecordingEntry(file=file, subject=subject, session=first.session))
                accounts.append(
                    RecordingAccount(
                        file=file,
                        subject=subject,
                        session=first.session,
                        inputs=tuple(piece.file for piece in group),
                        samples=stop - start,
                        first_time=part.first,
                        last_time=part.last,
                        absolute=first.absolute,
                        nominal_rate_hz=first.nominal_hz,
                        measured_rate_hz=float(f"{first.timing.rate_hz:.6g}"),
                        resampled=resampled,
                        holes=part.holes,
                        hole_seconds=round(part.hole_seconds, 6),
                        longest_hole_seconds=round(part.longest_hole, 6),
                        outside=outside,
                        steps={name: step for piece in group for name, step in piece.steps.items()},
                        labelled=labelled,
                    )
                )
            spool.remove()
        description = DatasetDescription(
            name=self._map.name,
            channels=tuple(channels),
            sample_rate_hz=rate,
            mirror=self._map.mirror,
            classes=classes or (NO_CLASS,),
            licence=self._map.licence,
            source=self._map.source,
            sensors=common_facts(piece.sensors for group in groups for piece in group),
            measured_rate_hz=_measured_rate(timings),
            recordings=tuple(entries),
        )
        write_synced(building / DESCRIPTION, description.to_json().encode())
        return tuple(accounts)

    def _recordings(self) -> list[list[Piece]]:
        """Group the pieces: sensors of one recording are pieces of different sections whose channels differ."""
        keyed: dict[tuple[object, ...], list[list[Piece]]] = {}
        for piece in self._pieces:
            own = "/" in self._map.files[piece.section].pattern
            folder = "" if own else str(PurePosixPath(piece.file).parent)
            # A subject that merely stands for the file's name must not part the sensors of one recording.
            subject = "" if piece.subject == PurePosixPath(piece.file).stem else piece.subject
            key = (folder, tuple(sorted(piece.parts.items())), subject, piece.session)
            found = keyed.setdefault(key, [])
            names = {channel.name for channel in piece.channels}
            for group in found:
                taken = {channel.name for other in group for channel in other.channels}
                if not names & taken and piece.section not in {other.section for other in group}:
                    group.append(piece)
                    break
            else:
                found.append([piece])
        groups = [sorted(group, key=lambda piece: piece.section) for found in keyed.values() for group in found]
        return sorted(groups, key=lambda group: group[0].file)

    def _channels(self, groups: Sequence[Sequence[Piece]]) -> tuple[Channel, ...]:
        channels: tuple[Channel, ...] = tuple(channel for piece in groups[0] for channel in piece.channels)
        for group in groups[1:]:
            other = tuple(channel for piece in group for channel in piece.channels)
            if other != channels:
                raise DataError(
                    f"{_files(groups[0])} gives {_shown(channels)}; {_files(group)} gives {_shown(other)}",
                    hint="set channels: in the map to one unit each; a channel that some files lack must be left out",
                )
        return channels

    def _rate(self, groups: Sequence[Sequence[Piece]]) -> float:
        if self._map.rate_hz:
            return self._map.rate_hz
        fastest = [max(group, key=lambda piece: piece.nominal_hz or piece.timing.rate_hz) for group in groups]
        first = fastest[0]
        if not (first.nominal_hz or first.timing.rate_hz):
            raise DataError(f"{first.file} has one sample only, so it has no rate", hint="set rate_hz in the map")
        return first.nominal_hz or usual_rate(first.timing.rate_hz)

    def _settle(self, group: list[Piece], rate: float) -> tuple[Spool, Timing, dict[str, int], bool]:
        """Return the recording's series on its final grid."""
        first = group[0]
        if len(group) == 1 and not self._map.resample:
            measured = first.timing.rate_hz
            if first.timed and measured and abs(measured / rate - 1) > RATE_TOLERANCE:
                raise DataError(
                    f"{first.file} runs at {measured:.4g} Hz, the data set at {rate:g} Hz",
                    hint="set resample: true in the map, or rate_hz to the common rate",
                )
            return first.spool, first.timing, {}, False
        sensors = [Sensor(piece.file, piece.spool, piece.timing) for piece in group]
        spool, outside = merge(sensors, rate, self._map.gaps.fill_ms / 1000, self.folder)
        for piece in group:
            piece.spool.remove()
        if not spool.length:
            raise DataError(
                f"{_files(group)}: no point of the grid has a value of every sensor", hint="raise gaps.fill_ms"
            )
        return spool, measure_timing(spool, self._hole), {n: count for n, count in outside.items() if count}, True

    @property
    def _hole(self) -> float:
        return self._map.gaps.longer_than_ms / 1000

    def _cuts(self, spool: Spool) -> Iterator[tuple[int, int]]:
        if self._map.gaps.then == "keep":
            yield 0, spool.length
            return
        start, position, last = 0, 0, np.nan
        for times, _, _ in spool.chunks():
            steps = np.diff(times, prepend=last)
            for at in np.flatnonzero(steps > self._hole).tolist():
                if position + at > start:
                    yield start, position + at
                    start = position + at
            position, last = position + len(times), times[-1]
        yield start, spool.length

    def _timing_of(self, spool: Spool, start: int, stop: int) -> Timing:
        part = Spool(self.folder, spool.channels)
        part.append(*spool.read(start, stop))
        timing = measure_timing(part, self._hole)
        part.remove()
        return timing


def _measured_rate(timings: Sequence[Timing]) -> float | None:
    """Return the rate between holes over all recordings with times; None where there are none."""
    steps = sum(timing.samples - 1 - timing.holes for timing in timings)
    seconds = sum(timing.last - timing.first - timing.hole_seconds for timing in timings)
    return float(f"{steps / seconds:.6g}") if steps > 0 and seconds > 0 else None


def _write(path: Path, spool: Spool, start: int, stop: int, places: Int16Array, timed: bool, folder: Path) -> int:
    """Write one recording from a part of a spool; return how many samples have a label."""
    if (start, stop) == (0, spool.length) and not len(places):
        _write_spool(path, spool, timed)
        return 0
    numbers = np.concatenate([places, np.array([-1], np.int16)])  # -1 stays -1
    part = Spool(folder, spool.channels)
    labelled = 0
    for at in range(start, stop, 1 << 17):
        times, samples, labels = spool.read(at, min(stop, at + (1 << 17)))
        labels = numbers[labels]
        labelled += int((labels >= 0).sum())
        part.append(times, samples, labels)
    _write_spool(path, part, timed)
    part.remove()
    return labelled


def _write_spool(path: Path, spool: Spool, timed: bool) -> None:
    n = spool.length
    arrays = {
        "samples": StoredArray(spool.paths[1], "<f4", (n, spool.channels)),
        "labels": StoredArray(spool.paths[2], "<i2", (n,)),
    }
    if timed:
        arrays["timestamps"] = StoredArray(spool.paths[0], "<f8", (n,))
    write_npz(path, arrays)


def _recording_name(group: Sequence[Piece], subject: str) -> str:
    stems = [re.sub(r"\.[A-Za-z0-9]{1,6}(\.gz)?$", "", piece.file) for piece in group]
    name = stems[0] if len(group) == 1 else str(PurePosixPath(group[0].file).parent)
    if len(group) > 1 and name in ("", "."):
        name = "-".join(group[0].parts.values()) or "+".join(stems)
    if subject and group[0].parts.get("subject") != subject and subject not in name:
        name = f"{name}-{subject}"
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:80] or "recording"


def _free_name(name: str, taken: set[str]) -> str:
    free, number = name, 1
    while free.lower() in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free.lower())
    return free


def _files(group: Sequence[Piece]) -> str:
    return " with ".join(piece.file for piece in group)


def _shown(channels: Sequence[Channel]) -> str:
    return ", ".join(f"{channel.name} ({channel.unit or 'no unit'})" for channel in channels)
