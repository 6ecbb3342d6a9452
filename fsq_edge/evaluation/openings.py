"""``openings.json``: every look at the test split of a run, so that a second one cannot pass for a first."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from fsq_edge.report.parts import shown_time
from fsq_edge_runtime.artefact import Artefact, StrictModel
from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.files import write_file

OPENINGS_FILE = "openings.json"


class Opening(StrictModel):
    """One look at the test split.

    Attributes:
        time: UTC, ISO 8601, to the second.
        model_sha256: hash of the weights that were scored.
    """

    time: str
    model_sha256: str


class Openings(Artefact):
    """``openings.json`` of a run folder: the looks in order."""

    KIND: ClassVar[str] = "openings.json"

    openings: tuple[Opening, ...] = ()

    @property
    def notice(self) -> str | None:
        """The sentence that marks a report of a later opening; None for the first."""
        if len(self.openings) < 2:
            return None
        return (
            f"Later opening: the test split of this run was opened {len(self.openings)} times, first at "
            f"{shown_time(self.openings[0].time)}. What was chosen after that may have been chosen for these windows."
        )


def record_opening(folder: Path, model_sha256: str) -> Openings:
    """Write down that the test split is about to be opened, before any score is known.

    Returns:
        All openings so far, this one last.

    Raises:
        DataError: ``openings.json`` is damaged.
        UnavailableError: it cannot be written.
    """
    path = folder / OPENINGS_FILE
    before = Openings.load(path).openings if path.exists() else ()
    now = Opening(time=datetime.now(UTC).isoformat(timespec="seconds"), model_sha256=model_sha256)
    record = Openings(openings=(*before, now))
    try:
        write_file(path, record.to_json().encode())
    except UnavailableError as error:
        raise UnavailableError(
            f"cannot record the opening of the test split: {error.message}",
            hint="make the run folder writable, or work on a copy of it",
        ) from error
    return record
