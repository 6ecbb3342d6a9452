"""The manifest of a scored archive: what it was scored with, and one entry for every recording."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fsq_edge_runtime.artefact import Artefact, StrictModel

HEADER = "score.json"


class ScoreHeader(Artefact):
    """``score.json``: what every decision in the folder was made with.

    Attributes:
        bundle: name of the model.
        bundle_sha256: of the bundle's ``manifest.json``, which has the hash of every file of it.
        classes: in the order of the logits.
        format: ``jsonl`` or ``parquet``.
        backend: as it was asked for.
        scores: with the probabilities of every class.
        source_rate_hz: as it was given; None is the rate that a file states, else the model's.
        map_sha256: digest of the import map; empty without one.
    """

    KIND: ClassVar[str] = HEADER

    bundle: str
    bundle_sha256: str
    classes: tuple[str, ...]
    format: str
    backend: str
    scores: bool = False
    source_rate_hz: float | None = None
    map_sha256: str = ""


class Failure(StrictModel):
    """Why a recording has no decisions.

    Attributes:
        message: one line.
        hint: one line.
        exit_code: that a verb would end with for this file alone.
    """

    message: str
    hint: str = ""
    exit_code: int


class Entry(Artefact):
    """What became of one recording. Nothing in it depends on when, where or beside what it was scored.

    Attributes:
        file: its name in the archive.
        bytes: of its content.
        sha256: of its content; empty where it could not be read.
        settings_sha256: digest of bundle and settings.
        reader: ``run`` where it was read as ``run`` reads it, else the reader that imported it.
        output: file of decisions, relative to the folder; None where there is none.
        output_sha256: of that file.
        rows: samples read.
        streams: that it holds.
        seconds: recorded time, samples at their nominal rate.
        decided: windows with a label.
        abstained: windows refused by the quality checks.
        missed: windows that the backend lost.
        labels: label -> windows.
        notes: what should be known of how the file was read.
        error: why there are no decisions; None where there are.
    """

    KIND: ClassVar[str] = "recording entry"

    file: str
    bytes: int = Field(ge=0)
    sha256: str = ""
    settings_sha256: str
    reader: str = ""
    output: str | None = None
    output_sha256: str = ""
    rows: int = 0
    streams: int = 0
    seconds: float = 0.0
    decided: int = 0
    abstained: int = 0
    missed: int = 0
    labels: dict[str, int] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: Failure | None = None
