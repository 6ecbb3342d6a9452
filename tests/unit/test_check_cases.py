"""Every reported case that concerns a graph: refused ones are not full, warned ones warn, the others are full."""

from __future__ import annotations

import pytest

from fsq_edge_compile import check
from fsq_edge_compile.checker.rulebook import rulebook
from tests.factories.reported_cases import CASES, Case


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_reported_case(case: Case) -> None:
    report = check(case.build(), case.arch, **case.options)
    errors = {finding.rule for finding in report.errors}
    warnings = {finding.rule for finding in report.warnings}
    if case.expected == "refused":
        assert report.verdict != "full"
        assert errors & set(case.rules), (errors, case.rules)
    elif case.expected == "warned":
        assert (report.verdict, errors) == ("full", set())
        assert warnings & set(case.rules), (warnings, case.rules)
    else:
        assert (report.verdict, errors) == ("full", set())
    if case.end is not None:
        (end,) = report.end_nodes
        assert end.startswith(case.end)


def test_the_rules_name_the_cases_they_rest_on() -> None:
    known = {name.split("-")[0] for name in CASES} | {"F53"}
    named = {case for rule in rulebook().rules.values() for case in rule.cases}
    assert named <= known
