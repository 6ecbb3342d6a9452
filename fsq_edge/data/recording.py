"""Continuous labelled recordings and the data set they form: the values every later stage starts from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from fsq_edge.data.sensors import SensorFacts
from fsq_edge_runtime.arrays import Float32Array, Float64Array, Int16Array
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.preprocess import ChannelSpec

UNLABELLED = -1
RATE_NOTICED = 0.005  # of the nominal rate: half a sample in a window of 100
Text = Annotated[str, Field(min_length=1, max_length=1000)]


@dataclass(frozen=True, slots=True)
class Channel:
    """One sensor axis, in memory and in the files that name channels.

    Attributes:
        name: e.g. ``acc_x``; unique within a data set.
        unit: ``g``, ``m/s2``, ``rad/s``, ``deg/s``, ``uT`` or the user's own; empty where it is not known.
    """

    name: Text
    unit: Annotated[str, Field(max_length=32)]
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, revalidate_instances="always")


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One continuous multichannel series with a label per sample.

    Attributes:
        recording_id: unique within the data set.
        samples: float32 (n, C) in the units of the data set's channels; n >= 1. Arrays that come from a dataset
            folder are read-only views of the file (a memory map), so slice or copy them before changing anything.
        labels: int16 (n,), an index into ``Dataset.classes`` or -1 for none.
        subject: who or what was recorded; the unit that honest splits keep together.
        session: the sitting or set, free text.
        timestamps: float64 (n,) seconds, or None where only the rate is known.
        source_id: the recording this one was cut from; empty where it is whole. Leak checks compare sources.
        source_start: position of the first sample in that source.

    Raises:
        DataError: the arrays disagree in length or rank, or there are no samples.
    """

    recording_id: str
    samples: Float32Array
    labels: Int16Array
    subject: str
    session: str
    timestamps: Float64Array | None = None
    source_id: str = ""
    source_start: int = 0

    def __post_init__(self) -> None:
        if self.samples.ndim != 2:
            raise DataError(
                f"recording {self.recording_id!r}: samples must be (n, channels), got shape {self.samples.shape}"
            )
        n = len(self.samples)
        if n == 0:
            raise DataError(f"recording {self.recording_id!r} holds no samples", hint="remove it from the data set")
        if self.labels.shape != (n,):
            raise DataError(
                f"recording {self.recording_id!r}: labels must be ({n},) like the samples, got {self.labels.shape}"
            )
        if self.timestamps is not None and self.timestamps.shape != (n,):
            raise DataError(
                f"recording {self.recording_id!r}: timestamps must be ({n},) like the samples, "
                f"got {self.timestamps.shape}"
            )

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def origin(self) -> str:
        """Id of the recording that the samples come from: its own, or that of the one it was cut from."""
        return self.source_id or self.recording_id

    def part(self, start: int, stop: int) -> Recording:
        """Return the samples ``start <= i < stop`` as a recording that remembers where it comes from (views)."""
        return Recording(
            recording_id=f"{self.recording_id}@{start}-{stop}",
            samples=self.samples[start:stop],
            labels=self.labels[start:stop],
            subject=self.subject,
            session=self.session,
            timestamps=None if self.timestamps is None else self.timestamps[start:stop],
            source_id=self.origin,
            source_start=self.source_start + start,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Recordings that share channels, rate and classes.

    Attributes:
        name: short name, written into every later artefact.
        channels: C channels in the order of the samples' columns.
        sample_rate_hz: nominal rate, above 0.
        classes: names; a label is an index into them.
        recordings: at least one.
        mirror: one sign (+1 or -1) a channel: the left-right reflection that leaves every class itself, or None
            where no such axis is declared (then no mirrored copies are trained on).
        licence: licence of the data.
        source: where the data come from.
        sensors: channel name -> what is known of its sensor; channels may be left out.
        measured_rate_hz: what the timestamps say over all recordings, or None where nothing was measured.

    Raises:
        DataError: a recording has another channel count or a label without a class; names are not unique; the
            mirror is not one sign a channel.
    """

    name: str
    channels: tuple[Channel, ...]
    sample_rate_hz: float
    classes: tuple[str, ...]
    recordings: tuple[Recording, ...]
    mirror: tuple[int, ...] | None = None
    licence: str = ""
    source: str = ""
    sensors: Mapping[str, SensorFacts] = field(default_factory=dict)
    measured_rate_hz: float | None = None

    def __post_init__(self) -> None:
        self._check_declaration()
        for recording in self.recordings:
            self._check_recording(recording)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Sorted unique subjects; whole numbers in numerical order before all other names."""
        return tuple(sorted({recording.subject for recording in self.recordings}, key=subject_order))

    @property
    def true_rate_hz(self) -> float:
        """Samples a second: the measured rate where it is more than 0.5 % off the nominal one, else the nominal one."""
        return true_rate(self.sample_rate_hz, self.measured_rate_hz)

    @property
    def n_samples(self) -> int:
        """Samples over all recordings."""
        return sum(len(recording) for recording in self.recordings)

    def select(self, subjects: Collection[str]) -> Dataset:
        """Return the data set with the recordings of some subjects only (no copy of samples).

        Args:
            subjects: subject ids; at least one.

        Raises:
            UsageError: a subject that the data set does not have, or none given.
        """
        wanted = set(subjects)
        unknown = sorted(wanted - set(self.subjects), key=subject_order)
        if unknown or not wanted:
            what = f"unknown subject {', '.join(unknown)}" if unknown else "no subject given"
            raise UsageError(f"{self.name}: {what}", hint=f"the subjects are {', '.join(self.subjects)}")
        return replace(self, recordings=tuple(r for r in self.recordings if r.subject in wanted))

    def without_recordings(self) -> Dataset:
        """Return this declaration with nothing recorded: the side of a split that keeps nobody.

        Only a split makes such a data set; everywhere else one without recordings is a mistake, and refused.
        """
        empty = object.__new__(Dataset)
        for name in (one.name for one in fields(self)):
            object.__setattr__(empty, name, () if name == "recordings" else getattr(self, name))
        return empty

    def require_channels(self, expected: Iterable[Channel | ChannelSpec], who: str) -> None:
        """Refuse a data set whose channels differ in name, unit or order.

        Args:
            expected: the channels that are needed, in order.
            who: what needs them, for the message, such as ``the bundle``.

        Raises:
            DataError: names both lists.
        """
        wanted, found = ([f"{channel.name} ({channel.unit})" for channel in some] for some in (expected, self.channels))
        if wanted != found:
            raise DataError(
                f"data set {self.name!r} has the channels {', '.join(found)}, {who} expects {', '.join(wanted)}",
                hint="give the recordings these channels, in this order and these units",
            )

    def _check_declaration(self) -> None:
        if not self.recordings:
            raise DataError(f"data set {self.name!r} has no recordings")
        if not self.channels:
            raise DataError(f"data set {self.name!r} declares no channels")
        if not (np.isfinite(self.sample_rate_hz) and self.sample_rate_hz > 0):
            raise DataError(f"data set {self.name!r}: sample_rate_hz must be above 0, got {self.sample_rate_hz}")
        unknown = sorted(set(self.sensors) - {channel.name for channel in self.channels})
        if unknown:
            raise DataError(f"data set {self.name!r}: sensors names {unknown[0]!r}, which is no channel")
        if self.mirror is not None and (
            len(self.mirror) != len(self.channels) or any(sign not in (-1, 1) for sign in self.mirror)
        ):
            raise DataError(
                f"data set {self.name!r}: mirror must be {len(self.channels)} signs of +1 or -1, got {self.mirror}"
            )
        for what, names in (
            ("channel", [channel.name for channel in self.channels]),
            ("class", list(self.classes)),
            ("recording", [recording.recording_id for recording in self.recordings]),
        ):
            if len(set(names)) != len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise DataError(f"data set {self.name!r}: two entries have the {what} name {twice!r}")

    def _check_recording(self, recording: Recording) -> None:
        expected, got = len(self.channels), recording.samples.shape[1]
        if got != expected:
            raise DataError(
                f"recording {recording.recording_id!r} has {got} channels, the data set declares {expected} "
                f"({', '.join(channel.name for channel in self.channels)})",
                hint="give every recording the declared channels, in that order",
            )
        low, high = int(recording.labels.min()), int(recording.labels.max())
        if low < UNLABELLED or high >= len(self.classes):
            wrong = low if low < UNLABELLED else high
            raise DataError(
                f"recording {recording.recording_id!r} has label {wrong}, the data set declares "
                f"{len(self.classes)} classes",
                hint="a label is an index into `classes`, or -1 for none",
            )


def true_rate(nominal_hz: float, measured_hz: float | None) -> float:
    """Return the measured rate where it is more than 0.5 % off the nominal one, else the nominal one."""
    off = measured_hz is not None and abs(measured_hz / nominal_hz - 1) > RATE_NOTICED
    return measured_hz if off and measured_hz is not None else nominal_hz


def subject_order(subject: str) -> tuple[int, int, str]:
    """Sort key of subject ids: 1, 2, 10, then names."""
    return (0, int(subject), subject) if subject.isdecimal() else (1, 0, subject)
