"""300 bundles with changed parts and right hashes, in a process of 1 GB; ``make fuzz`` does 5,000."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.programs.bundle_mutants import mutants

ROOT = Path(__file__).parents[2]


def test_changed_bundles_run_or_end_in_one_error() -> None:
    # A child of its own: its memory is limited, and a crash of native code would end only it.
    command = [sys.executable, "-m", "tests.programs.bundle_mutants", "--count", "300"]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert child.returncode == 0, child.stdout + child.stderr
    outcomes = dict(item.rsplit(" ", 1) for item in child.stdout.removeprefix("bundles: ").strip().split(", "))
    assert float(outcomes["refused"]) > 100
    assert float(outcomes["good"]) > 5, "no mutant came as far as a stream"


def test_mutants_are_the_same_every_time() -> None:
    assert list(mutants(20)) == list(mutants(20))
