"""What decides the decisions of an archive besides its files and the bundle."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fsq_edge.data.importing.import_map import ImportMap
from fsq_edge.scoring.entry import ScoreHeader
from fsq_edge_runtime.bundle.archive import MANIFEST
from fsq_edge_runtime.bundle.bundle import Bundle

Format = Literal["jsonl", "parquet"]


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """How recordings are scored and written.

    Attributes:
        format: of the files of decisions.
        backend: ``onnx``, ``onnx-int8``, ``hailo`` or ``auto``.
        scores: with the probabilities of every class.
        source_rate_hz: nominal rate of the sensors; None is the rate that a file states, else the model's.
        map: how the files are imported; None reads them as ``run`` does.
        scratch: folder on a local disk; each file is copied there before it is read. None reads files where they lie.
    """

    format: Format = "jsonl"
    backend: str = "onnx"
    scores: bool = False
    source_rate_hz: float | None = None
    map: ImportMap | None = None
    scratch: Path | None = None

    def header(self, bundle: Bundle) -> ScoreHeader:
        """Return what ``score.json`` says; its digest covers everything that can change a byte of the outputs."""
        return ScoreHeader(
            bundle=bundle.manifest.name,
            bundle_sha256=hashlib.sha256(bundle.files[MANIFEST]).hexdigest(),
            classes=bundle.manifest.classes,
            format=self.format,
            backend=self.backend,
            scores=self.scores,
            source_rate_hz=self.source_rate_hz,
            map_sha256="" if self.map is None else self.map.digest(),
        )
