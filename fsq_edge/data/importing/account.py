"""``import.json``: what was read, what became of it, and what was decided."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from fsq_edge_runtime.artefact import Artefact, StrictModel

RECORD = "import.json"


class InputEntry(StrictModel):
    """One file that was read.

    Attributes:
        file: its name below the folder or archive that was named.
        sha256: of its content.
        bytes: of its content.
        reader: that read it.
        section: which of the map's ``files:``, from 1.
        rows_read: rows or samples that the file holds; ``rows_kept`` and the rows of ``dropped`` together.
        rows_kept: rows that became samples.
        dropped: reason -> rows, pages or records.
        others: lines and records that hold no rows, such as comments.
        missing: channel -> kept rows without a value.
        notes: the first of each kind, in words.
        zone: how times were understood.
        facts: what the file says about its device.
    """

    file: str
    sha256: str
    bytes: int
    reader: str
    section: int
    rows_read: int
    rows_kept: int
    dropped: dict[str, int] = Field(default_factory=dict)
    others: dict[str, int] = Field(default_factory=dict)
    missing: dict[str, int] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    zone: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class RecordingAccount(StrictModel):
    """One recording of the data set.

    Attributes:
        file: in the data set.
        subject: who was recorded.
        session: the sitting.
        inputs: files that it was made of.
        samples: how many it has.
        first_time: of its first sample, seconds; since 1970 in UTC or on the device's clock where ``absolute``.
        last_time: of its last sample.
        absolute: whether the times count from 1970.
        nominal_rate_hz: as the file or the map says; None where neither does.
        measured_rate_hz: between holes.
        resampled: whether it was put on a grid.
        holes: steps in time that are longer than ``gaps.longer_than_ms``.
        hole_seconds: all of them together.
        longest_hole_seconds: the longest.
        outside: sensor -> samples outside the time that all sensors of the recording have.
        steps: channel -> least difference between its distinct values.
        labelled: samples with a label.
    """

    file: str
    subject: str
    session: str
    inputs: tuple[str, ...]
    samples: int
    first_time: float
    last_time: float
    absolute: bool
    nominal_rate_hz: float | None
    measured_rate_hz: float
    resampled: bool
    holes: int
    hole_seconds: float
    longest_hole_seconds: float
    outside: dict[str, int] = Field(default_factory=dict)
    steps: dict[str, float] = Field(default_factory=dict)
    labelled: int = 0


class ImportRecord(Artefact):
    """Content of ``import.json``, schema version 1.

    Attributes:
        map: the import map that was used, with every default.
        inputs: files, in the order of their names.
        recordings: in the order of the data set.
        passed_over: files that no pattern of the map fits.
    """

    KIND: ClassVar[str] = RECORD

    map: dict[str, Any]
    inputs: tuple[InputEntry, ...]
    recordings: tuple[RecordingAccount, ...]
    passed_over: tuple[str, ...] = ()

    @property
    def rows_read(self) -> int:
        """Rows over all inputs."""
        return sum(entry.rows_read for entry in self.inputs)

    @property
    def rows_kept(self) -> int:
        """Kept rows over all inputs."""
        return sum(entry.rows_kept for entry in self.inputs)
