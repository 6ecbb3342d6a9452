"""Every row of the operator table is taken or refused as it says."""

from __future__ import annotations

import pytest

from fsq_edge_compile import check
from fsq_edge_compile.checker.families import PREDICATES
from fsq_edge_compile.checker.rulebook import Operator, rulebook
from tests.factories.operator_graphs import TAKEN, after_conv, refused_node

ROWS = rulebook().operators
# Spelt as one operator these are unknown; their rows describe a pattern.
REFUSED = {key: row for key, row in ROWS.items() if row.rule.severity == "error"}
# Rows about rank: tested with graphs of that rank below.
BY_RANK = {"Conv/1d", "Conv/3d"}


def test_every_row_is_tested() -> None:
    assert set(TAKEN) | set(REFUSED) | BY_RANK == set(ROWS)


@pytest.mark.parametrize("key", TAKEN)
def test_a_row_that_is_taken(key: str) -> None:
    build, opset = TAKEN[key]
    row = ROWS[key]
    arch = row.measured[0] if row.measured else "hailo10h"
    report = check(after_conv(build, opset=opset), arch)
    assert report.verdict == "full", report.errors


@pytest.mark.parametrize("key", sorted(set(REFUSED) - BY_RANK))
def test_a_row_that_is_refused(key: str) -> None:
    row: Operator = ROWS[key]
    arch = row.measured[0] if row.measured else "hailo8l"
    model = refused_node("Whatever", domain="com.example") if key == "custom domain ops" else refused_node(row.op)
    report = check(model, arch)
    assert report.verdict == "cut"
    assert report.end_nodes == ("/Conv_0",)
    (finding,) = (finding for finding in report.errors if finding.node == "/odd")
    if finding.rule == "operator.not-in-opset":
        return
    assert (finding.rule, finding.support, finding.confidence) == (row.rule.id, row.rule.support, row.rule.confidence)
    if row.rule.support == "unknown":
        assert report.confidence == "low"


def test_predicates_belong_to_operators_of_the_table() -> None:
    operators = {row.op for row in ROWS.values()} | {"Gelu"}
    assert set(PREDICATES) <= operators
