"""The status table is whole, plain and never guesses."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsq_edge_runtime.status import STATUS, describe
from tests.programs.status_page import markdown

NAMED_IN_THE_CONTRACT = [
    *(2, 3, 4, 6, 7, 13, 14, 15, 16, 18, 26, 36, 48, 61, 62, 63, 69, 73, 74, 76, 82, 85, 86, 87, 89, 91, 92, 93, 96),
    97,
]


def test_every_code_from_0_to_97_has_an_entry_of_its_own_number() -> None:
    assert list(STATUS) == list(range(98))
    assert all(code == status.code for code, status in STATUS.items())
    assert len({status.name for status in STATUS.values()}) == 98


@pytest.mark.parametrize("code", NAMED_IN_THE_CONTRACT)
def test_common_codes_have_a_cause_and_a_fix_of_their_own(code: int) -> None:
    status = describe(code)
    assert status.name.startswith("HAILO_")
    assert len(status.cause) > 20
    assert len(status.fix) > 20
    assert [other.code for other in STATUS.values() if other.cause == status.cause] == [code]


def test_the_text_is_one_line_each() -> None:
    for status in STATUS.values():
        assert "\n" not in status.cause + status.fix
        assert str(status) == f"{status.code} {status.name}: {status.cause}"


@pytest.mark.parametrize("code", [98, 1000, -1])
def test_an_unknown_code_says_so(code: int) -> None:
    status = describe(code)
    assert status.name == "UNKNOWN"
    assert f"{code} is not in this table" in status.cause


def test_the_page_in_the_documentation_is_this_table() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "hailort-status.md"
    assert page.read_text(encoding="utf-8") == markdown(), (
        "python -m tests.programs.status_page > docs/hailort-status.md"
    )
