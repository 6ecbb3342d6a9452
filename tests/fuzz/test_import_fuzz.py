"""Some hundred damaged logger files; ``make fuzz`` imports 5,000."""

from __future__ import annotations

from tests.programs.import_mutants import LIMIT_S, mutants, run


def test_damaged_files_are_read_or_refused_and_leave_nothing_behind() -> None:
    found = run(240)
    for name in ("night.cwa", "wrist.gt3x", "rex.csv"):
        assert found[f"read {name}"] > 5, "no damaged file of this kind was read: the parser was never reached"
        assert found[f"refused {name}"] > 2
    assert not found["refused in several lines"]
    assert not found["half-written"]
    assert not found["left behind"]
    assert found["longest_ms"] < 1000 * LIMIT_S


def test_mutants_are_the_same_every_time() -> None:
    assert list(mutants(20)) == list(mutants(20))
