"""Bundles of every schema version load for ever and answer as they did when they were written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fsq_edge_runtime.bundle.archive import encode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.install import verify_parts
from fsq_edge_runtime.bundle.manifest import Manifest
from fsq_edge_runtime.bundle.selftest import run_selftest
from fsq_edge_runtime.bundle.signature import check_signature
from fsq_edge_runtime.errors import BundleError
from fsq_edge_runtime.hef import inspect_hef
from tests.factories.golden_bundle import public_key

GOLDEN = Path(__file__).parents[1] / "golden"
SHA256 = {"bundle_v1.fsqb": "1487a9fd68a7eccb1af813c43ddda67ae053996600633fa815210ba37cdac33d"}


def test_there_is_one_for_every_schema_version() -> None:
    assert sorted(path.name for path in GOLDEN.glob("bundle_*")) == sorted(SHA256)
    assert f"bundle_v{Manifest.VERSION}.fsqb" in SHA256


@pytest.mark.parametrize("name", SHA256)
def test_a_golden_bundle_loads_verifies_and_runs(name: str, tmp_path: Path) -> None:
    data = (GOLDEN / name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == SHA256[name], "a golden file is never written again"
    bundle = Bundle.open(GOLDEN / name)
    check_signature(bundle, public_key())
    with pytest.raises(
        BundleError, match="format version"
    ):  # HailoRT would crash on its synthetic HEFs; the CPU runs it
        verify_parts(bundle, public_key())
    assert encode_archive(bundle.files) == data
    assert bundle.hef_architectures == ("hailo8l", "hailo10h")
    assert inspect_hef(bundle.read("hef", "hailo10h")).dfc_version == "5.2.0"
    assert run_selftest(bundle, "onnx").passed
    bundle.save(tmp_path / "folder")
    assert Bundle.open(tmp_path / "folder").files == bundle.files
