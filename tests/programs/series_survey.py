"""Verdicts of time-series networks before and after ``check --fix``: ``python -m tests.programs.series_survey``.

Each network is exported by both of torch's exporters in opsets 13 to 20. One line an export: the verdict as it came,
the verdict of the rewritten file, the operators that remain in the way. ``--write`` puts the table of all of them into
docs/tried-networks.md. Exits 1 when a verdict afterwards is not the one that the factory asks for.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from fsq_edge_compile import check, fix
from tests.factories.networks.exporting import export
from tests.factories.series_networks import SERIES

ARCH = "hailo8l"
SPELLINGS = (*((opset, False) for opset in (13, 14, 15, 16, 17, 18, 20)), *((opset, True) for opset in (18, 19, 20)))
QUICK = ((17, False), (18, True))
PAGE = Path(__file__).parents[2] / "docs" / "tried-networks.md"
TABLE = re.compile(r"(?<=<!-- made by make series: begin -->\n\n).*?(?=\n<!-- made by make series: end -->)", re.DOTALL)


class Verdicts(NamedTuple):
    """One export of a network: whether torch's newer exporter wrote it, its verdict as it came, and afterwards."""

    dynamo: bool
    before: str
    after: str


def table_of(found: dict[str, list[Verdicts]]) -> str:
    """Return the table in Markdown, a network a line."""
    head = "| network | described | older exporter, before: after | newer, before: after |\n|---|---|---|---|\n"
    return head + "".join(
        f"| {name} | {SERIES[name].source} | {cell(found[name], dynamo=False)} | {cell(found[name], dynamo=True)} |\n"
        for name in found
    )


def cell(exports: Iterable[Verdicts], *, dynamo: bool) -> str:
    """Return the verdicts that the opsets of one exporter gave, each once."""
    chosen = [one for one in exports if one.dynamo == dynamo]
    return ": ".join(", ".join(dict.fromkeys(side)) for side in ([v.before for v in chosen], [v.after for v in chosen]))


def survey(names: Iterable[str], spellings: Sequence[tuple[int, bool]]) -> tuple[dict[str, list[Verdicts]], int]:
    """Export, judge and print; return the verdicts of each network, and how many are not as expected."""
    found: dict[str, list[Verdicts]] = {}
    wrong = 0
    for name in names:
        network = SERIES[name]
        for opset, dynamo in spellings:
            model = export(network.build, network.shape, opset, dynamo, False)
            before, after = check(model, ARCH), check(fix(model).model, ARCH)
            found.setdefault(name, []).append(Verdicts(dynamo, before.verdict, after.verdict))
            left = ", ".join(dict.fromkeys(f"{finding.op}: {finding.message}" for finding in after.errors))[:90]
            wanted = network.after_dynamo if dynamo and network.after_dynamo else network.after
            mark = "" if after.verdict == wanted else f"  WRONG, not {wanted}"
            wrong += bool(mark)
            spelling = f"{'dynamo' if dynamo else 'script'}-{opset}"
            print(f"{name:<20}{spelling:<11}{before.verdict:<5}-> {after.verdict:<5}{left}{mark}".rstrip(), flush=True)
    return found, wrong


def main() -> int:
    """Print the survey; exit 1 when a verdict is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="networks; all of them when none is named")
    parser.add_argument("--quick", action="store_true", help="opset 17 of the older exporter, 18 of the newer one")
    parser.add_argument("--write", action="store_true", help="write the table of all networks into the page")
    arguments = parser.parse_args()
    if arguments.write and (arguments.quick or arguments.names):
        parser.error("--write takes all networks in all spellings")
    found, wrong = survey(arguments.names or SERIES, QUICK if arguments.quick else SPELLINGS)
    judged = sum(map(len, found.values()))
    print(f"{judged - wrong} of {judged} verdicts as expected")
    if arguments.write:
        PAGE.write_text(TABLE.sub(lambda _: table_of(found), PAGE.read_text()))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
