"""The record that a compilation leaves beside its HEF: what it was made from, in full."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from fsq_edge_runtime.artefact import Artefact

_SHA256 = r"^[0-9a-f]{64}$"


class HefRecord(Artefact):
    """``NAME.hef.json``.

    Attributes:
        network: network name.
        arch: target architecture.
        sha256: of each file that the compiler was given, ``encoder.onnx`` among them.
        preprocess_sha256: digest of the PreprocessConfig that made the calibration set.
        forced: gates that were overridden before compiling, with the reason.
        dfc_version: of the compiler; empty when not known.
        hef_sha256: of the HEF that this record belongs to.
    """

    KIND: ClassVar[str] = "HEF record"

    network: str
    arch: str
    sha256: dict[str, str]
    preprocess_sha256: str = Field(pattern=_SHA256)
    forced: tuple[str, ...] = Field(default=(), max_length=16)
    dfc_version: str = ""
    hef_sha256: str = Field(pattern=_SHA256)


def read_record(hef: Path, hef_sha256: str) -> HefRecord | None:
    """Return the record beside a HEF, or None where there is none or it belongs to another file.

    Args:
        hef: path of the HEF; the record is ``NAME.hef.json`` in the same folder.
        hef_sha256: digest of the HEF.

    Raises:
        DataError: the record cannot be read.
    """
    path = hef.with_name(hef.name + ".json")
    if not path.is_file():
        return None
    record = HefRecord.load(path)
    return record if record.hef_sha256 == hef_sha256 else None
