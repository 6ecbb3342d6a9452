"""What a compilation of a BUILD folder gave: its HEF against the bundle of the build, and ``compile.json``."""

from __future__ import annotations

import dataclasses
from typing import Any

from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.dfc.driver import Compilation
from fsq_edge_compile.packing.bundle import build_bundle
from fsq_edge_compile.packing.gate import Gate
from fsq_edge_runtime.bundle.hef_match import compare_hef, finding_rows
from fsq_edge_runtime.findings import Finding


def compare_with_build(done: Compilation, build: BuildFolder) -> tuple[Finding, ...]:
    """Compare the HEF with the bundle that its build makes; empty where there is no HEF."""
    return compare_hef(done.hef, build_bundle(build)) if done.hef else ()


def compilation_record(done: Compilation, gate: Gate, findings: tuple[Finding, ...]) -> dict[str, Any]:
    """Return ``compile.json``: how a compilation ended, with what was found in its HEF."""
    return {
        "schema_version": 1,
        "status": done.result.status,
        "stage": done.result.stage,
        "arch": gate.report.arch,
        "dfc_version": done.result.dfc_version,
        "check": gate.report.verdict,
        "forced": list(gate.forced),
        "seconds": done.result.seconds,
        "refusals": [dataclasses.asdict(refusal) for refusal in done.refusals],
        "end_nodes": done.end_nodes,
        "emulator": str(done.emulator_path) if done.emulator_path else None,
        "hef": str(done.hef_path) if done.hef else None,
        "hef_sha256": done.result.hef_sha256,
        "findings": finding_rows(findings),
    }
