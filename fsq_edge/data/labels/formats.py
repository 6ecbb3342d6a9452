"""Which format a label file has, and its reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fsq_edge.data.labels.documents import read_edge_impulse, read_elan, read_label_studio
from fsq_edge.data.labels.interval import LabelFile
from fsq_edge.data.labels.tables import is_boris, read_audacity, read_boris, read_plain
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.files import read_bounded

MAX_LABEL_BYTES = 256 << 20
FORMATS: dict[str, Callable[[bytes, str], LabelFile]] = {
    "boris": read_boris,
    "elan": read_elan,
    "label-studio": read_label_studio,
    "audacity": read_audacity,
    "edge-impulse": read_edge_impulse,
    "plain": read_plain,
}


def read_label_file(path: Path, format_name: str = "") -> LabelFile:
    """Read a label file.

    Args:
        path: of the file, at most 256 MiB.
        format_name: one of ``FORMATS``; empty recognises it.

    Raises:
        MissingInputError: it cannot be read.
        UsageError: an unknown format.
        DataError: not a file of this format, or no labels in it.
    """
    if format_name and format_name not in FORMATS:
        raise UsageError(f"unknown label format {format_name!r}", hint=f"one of {', '.join(FORMATS)}")
    data = read_bounded(path, MAX_LABEL_BYTES, what="the label file")
    found = FORMATS[format_name or recognize_format(path.name, data)](data, path.name)
    if not found.intervals:
        raise DataError(f"{path.name} holds no labels")
    return found


def recognize_format(name: str, data: bytes) -> str:
    """Return the format that a file seems to have, by its content."""
    head = data[:4096].lstrip()
    if b"<ANNOTATION_DOCUMENT" in head:
        return "elan"
    if head[:1] in (b"{", b"["):
        return "edge-impulse" if b'"structuredLabels"' in data[: 1 << 16] else "label-studio"
    if name.endswith(".labels"):
        return "edge-impulse"
    if is_boris(data):
        return "boris"
    lines = [line for line in data[:4096].splitlines() if line.strip() and not line.startswith(b"\\")][:5]
    if lines and all(
        len(line.split(b"\t")) in (2, 3) and _is_number(line.split(b"\t")[0]) for line in lines[:-1] or lines
    ):
        return "audacity"
    return "plain"


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
