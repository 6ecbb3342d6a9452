"""300 damaged recordings in a process of their own; ``make fuzz`` does 5,000."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.programs.recording_mutants import mutants

ROOT = Path(__file__).parents[2]


def test_damaged_recordings_end_in_samples_or_one_error() -> None:
    # A child of its own, so that its peak of memory is that of the recordings.
    child = subprocess.run(
        [sys.executable, "-m", "tests.programs.recording_mutants", "--count", "300"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert child.returncode == 0, child.stdout + child.stderr
    counted = child.stdout.removeprefix("recordings: ").split(", ")
    outcomes = {what: float(count) for what, count in (item.rsplit(" ", 1) for item in counted if "peak" not in item)}
    for kind in ("csv", "npz", "jsonl"):
        assert outcomes[f"{kind} read"] >= 5, child.stdout
        assert outcomes[f"{kind} refused"] >= 20, child.stdout


def test_mutants_are_the_same_every_time() -> None:
    assert list(mutants(12)) == list(mutants(12))
