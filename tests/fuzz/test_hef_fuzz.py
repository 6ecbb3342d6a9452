"""2,000 mutated HEFs; ``make fuzz`` does 20,000."""

from __future__ import annotations

from tests.programs.hef_mutants import LIMIT_MB, mutants, run


def test_mutated_files_never_crash_hang_or_fill_the_memory() -> None:
    found = run(2000)
    assert "refused in several lines" not in found
    assert found["refused"] > 1000
    assert found["read"] > 10, "no mutant passed the checksum: the parser was never reached"
    assert found["most_mb"] <= LIMIT_MB


def test_mutants_are_the_same_every_time() -> None:
    assert list(mutants(50)) == list(mutants(50))
