"""What lies beside windows already cut: ``NAME_metadata.json``, ours or another's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from fsq_edge.data.recording import Channel, Text
from fsq_edge_runtime.artefact import MAX_JSON_BYTES, Artefact, StrictModel
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import read_bounded

# The form itself carries neither rate nor channel names, and metadata of another origin need not either.
ASSUMED_RATE_HZ = 100.0
ASSUMED_NAMES = tuple(f"{sensor}_{axis}" for sensor in ("acc", "gyro", "mag") for axis in "xyz")
_FOREIGN_CLASSES = ("classes", "class_names", "behaviors", "behaviours", "labels")
_FOREIGN_RATE = ("sample_rate_hz", "sample_rate", "sampling_rate", "fs")


class WindowSource(StrictModel):
    """One recording's share of a side: its windows follow each other in the arrays."""

    recording: Text
    subject: str
    starts: tuple[int, ...]


class StoredWindowsMetadata(Artefact):
    """Content of ``NAME_metadata.json`` as this project writes it."""

    KIND: ClassVar[str] = "metadata of a window set"

    name: Text
    synthetic: bool
    channels: tuple[Channel, ...] = Field(min_length=1)
    sample_rate_hz: float = Field(gt=0)
    window_samples: int = Field(ge=1)
    hop_samples: int = Field(ge=1)
    classes: tuple[Text, ...] = Field(min_length=1)
    licence: str
    source: str
    split: str
    windows: dict[str, tuple[WindowSource, ...]]


@dataclass(frozen=True, slots=True)
class Declared:
    """What the metadata say, whoever wrote them.

    Attributes:
        name: of the data set.
        channels: None where they are not named.
        rate_hz: sample rate.
        classes: None where they are not named.
        licence: of the data.
        source: where they come from, and what was assumed.
        windows: by side, the recording behind each window; empty where that is not known.
    """

    name: str
    channels: tuple[Channel, ...] | None
    rate_hz: float
    classes: tuple[str, ...] | None
    licence: str
    source: str
    windows: dict[str, tuple[WindowSource, ...]]


def read_metadata(x_file: Path) -> Declared:
    """Read the metadata that lie beside a window file, whoever wrote them; without any, the rate is assumed.

    Raises:
        DataError: not JSON, or ours and damaged.
    """
    ending = x_file.stem.split("_", 2)[2] if x_file.stem.count("_") >= 2 else ""
    candidates = [x_file.with_name(f"{ending}_metadata.json"), x_file.with_name("metadata.json")]
    path = next((candidate for candidate in candidates if candidate.exists()), None)
    name = ending or x_file.resolve().parent.name
    if path is None:
        return Declared(name, None, ASSUMED_RATE_HZ, None, "", f"{x_file.parent} (no metadata; rate assumed)", {})
    text = read_bounded(path, MAX_JSON_BYTES)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if isinstance(value, dict) and "schema_version" not in value:
        return _foreign(name, path, value)
    metadata = StoredWindowsMetadata.from_json(text, origin=str(path))
    return Declared(
        metadata.name, metadata.channels, metadata.sample_rate_hz, metadata.classes, metadata.licence, metadata.source,
        metadata.windows,
    )  # fmt: skip


def _foreign(name: str, path: Path, value: dict[str, Any]) -> Declared:
    """Take what is plain in metadata of another origin: class names and rate; the rest is assumed."""
    rate: float | None = None
    classes: tuple[str, ...] | None = None
    for key in _FOREIGN_RATE:
        if isinstance(value.get(key), int | float) and value[key] > 0:
            rate = float(value[key])
            break
    for key in _FOREIGN_CLASSES:
        names = value.get(key)
        if isinstance(names, dict):
            names = [names[number] for number in sorted(names, key=str)]
        if isinstance(names, list) and names and all(isinstance(item, str) for item in names):
            classes = tuple(names)
            break
    note = "" if rate else f" (rate assumed {ASSUMED_RATE_HZ:g} Hz)"
    return Declared(name, None, rate or ASSUMED_RATE_HZ, classes, "", f"{path.parent}{note}", {})


def assumed_channels(count: int) -> tuple[Channel, ...]:
    """Names by the usual order of the sensors; the units are not known."""
    names = ASSUMED_NAMES[:count] if count in (3, 6, 9) else [f"channel_{i}" for i in range(count)]
    return tuple(Channel(name, "") for name in names)
