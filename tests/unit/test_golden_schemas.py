"""A file of every schema version, as it was written once, loads for ever."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge.budget import Correction
from fsq_edge.data.folder import DatasetDescription
from fsq_edge.data.importing.account import ImportRecord
from fsq_edge.data.importing.import_map import ImportMap
from fsq_edge.data.labels.record import LabelRecord
from fsq_edge.data.stored_windows.metadata import StoredWindowsMetadata
from fsq_edge.deploy.size_table import SizeTable
from fsq_edge.evaluation.openings import Openings
from fsq_edge.scoring.entry import Entry, ScoreHeader
from fsq_edge.training.config import TrainConfig
from fsq_edge.training.record import RunRecord
from fsq_edge_benchmarks.bench.result import BenchResult, Comparison
from fsq_edge_benchmarks.suites.suite import SuiteResult
from fsq_edge_calibration import CalibrationAudit, load_calibration_set
from fsq_edge_compile.build_folder import ExportRecord, Labels
from fsq_edge_compile.checker.baseline import CheckBaseline
from fsq_edge_compile.dfc.driver import DfcResult
from fsq_edge_compile.dfc.plan import Plan
from fsq_edge_compile.foreign.network_input import NetworkInput
from fsq_edge_runtime.alerts import AlertRules
from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.event_report import EventReport
from fsq_edge_runtime.bundle.fingerprint import Fingerprint
from fsq_edge_runtime.bundle.manifest import Manifest
from fsq_edge_runtime.bundle.signature import SignatureFile
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.hef.record import HefRecord
from fsq_edge_runtime.label_tail import SigmoidRecord
from fsq_edge_runtime.personal.installing import OverlayIndex
from fsq_edge_runtime.personal.overlay import OverlayRecord
from fsq_edge_runtime.preprocess import PreprocessConfig
from fsq_edge_runtime.score_tails import HeadRecord
from fsq_edge_runtime.stream.settings import StreamSettings

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
SCHEMAS: dict[str, type[Artefact]] = {
    "alerts": AlertRules,
    "bench": BenchResult,
    "bench_comparison": Comparison,
    "calibration": CalibrationAudit,
    "correction": Correction,
    "check_baseline": CheckBaseline,
    "dataset": DatasetDescription,
    "decision": DecisionSettings,
    "dfc_result": DfcResult,
    "events": EventReport,
    "export": ExportRecord,
    "fingerprint": Fingerprint,
    "head": HeadRecord,
    "head_labels": SigmoidRecord,
    "hef_record": HefRecord,
    "import": ImportRecord,
    "import_map": ImportMap,
    "labelling": LabelRecord,
    "labels": Labels,
    "manifest": Manifest,
    "network_input": NetworkInput,
    "openings": Openings,
    "overlay": OverlayRecord,
    "overlay_index": OverlayIndex,
    "plan": Plan,
    "preprocess": PreprocessConfig,
    "run": RunRecord,
    "score": ScoreHeader,
    "score_entry": Entry,
    "seed_metadata": StoredWindowsMetadata,
    "signature": SignatureFile,
    "sizes": SizeTable,
    "stream": StreamSettings,
    "suite": SuiteResult,
    "training_config": TrainConfig,
}
SOURCES = ("fsq_edge", "runtime", "calibration", "compile", "benchmarks")
SUMS = {name: digest for digest, name in (line.split() for line in (GOLDEN / "SHA256SUMS").read_text().splitlines())}


def kept(written: Any, read: Any) -> bool:
    """Whether all that was written is still there; a later release may add fields with defaults."""
    if isinstance(written, dict):
        return isinstance(read, dict) and all(
            name in read and kept(value, read[name]) for name, value in written.items()
        )
    if isinstance(written, list):
        return len(written) == len(read) and all(map(kept, written, read))
    return bool(written == read)


def test_every_artefact_has_a_file_of_its_present_version() -> None:
    classes = {
        name
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"^class (\w+)\(Artefact\)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    inside = {"CalibrationRecord"}  # a member of calibration_v1.npz
    assert classes == inside | {schema.__name__ for schema in SCHEMAS.values()}
    for name, schema in SCHEMAS.items():
        assert (GOLDEN / "schemas" / f"{name}_v{schema.VERSION}.json").is_file()


@pytest.mark.parametrize("path", sorted((GOLDEN / "schemas").glob("*.json")), ids=lambda path: path.stem)
def test_a_golden_file_loads_and_keeps_what_it_says(path: Path) -> None:
    text = path.read_bytes()
    assert hashlib.sha256(text).hexdigest() == SUMS[f"schemas/{path.name}"], "a golden file is never written again"
    name = re.sub(r"_v\d+$", "", path.stem)
    loaded = SCHEMAS[name].load(path)
    assert kept(json.loads(text), loaded.to_dict())
    assert SCHEMAS[name].from_json(loaded.to_json()) == loaded
    later = text.replace(b'"schema_version": 1', b'"schema_version": 99', 1)
    with pytest.raises(DataError, match="schema version 99, this release reads version 1"):
        SCHEMAS[name].from_json(later)


def test_a_golden_calibration_set_loads() -> None:
    path = GOLDEN / "calibration_v1.npz"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SUMS[path.name], "a golden file is never written again"
    chosen = load_calibration_set(path)
    assert chosen.frames_nhwc.shape == (8, 2, 50, 2)
    assert np.isfinite(chosen.frames_nhwc).all()
    assert chosen.channel_names == ("acc_x", "acc_x (z)")
    assert chosen.classes == ("stand", "walk", "trot", "turn")


def test_the_folder_form_of_the_golden_bundle_opens_as_the_file_does() -> None:
    folder = Bundle.open(GOLDEN / "folder_bundle_v1")
    assert folder.files == Bundle.open(GOLDEN / "bundle_v1.fsqb").files
