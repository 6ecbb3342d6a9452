"""Verdicts of time-series networks before and after ``check --fix``: ``python -m tests.programs.series_survey``.

Each network is exported by both of torch's exporters in opsets 13 to 20. One line an export: the verdict as it came,
the verdict of the rewritten file, the operators that remain in the way. Exits 1 when a verdict afterwards is not the
one that the factory asks for.
"""

from __future__ import annotations

import argparse
import sys

from fsq_edge_compile import check, fix
from tests.factories.networks.exporting import export
from tests.factories.series_networks import SERIES

ARCH = "hailo8l"
SPELLINGS = (*((opset, False) for opset in (13, 14, 15, 16, 17, 18, 20)), *((opset, True) for opset in (18, 19, 20)))


def main() -> int:
    """Print the survey; exit 1 when a verdict is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="networks; all of them when none is named")
    parser.add_argument("--quick", action="store_true", help="opset 17 of the older exporter, 18 of the newer one")
    arguments = parser.parse_args()
    wrong = judged = 0
    spellings = [one for one in SPELLINGS if one in ((17, False), (18, True))] if arguments.quick else SPELLINGS
    for name in arguments.names or SERIES:
        network = SERIES[name]
        for opset, dynamo in spellings:
            model = export(network.build, network.shape, opset, dynamo, False)
            before = check(model, ARCH)
            after = check(fix(model).model, ARCH)
            left = ", ".join(dict.fromkeys(f"{finding.op}: {finding.message}" for finding in after.errors))[:90]
            wanted = network.after_dynamo if dynamo and network.after_dynamo else network.after
            mark = "" if after.verdict == wanted else f"  WRONG, not {wanted}"
            wrong, judged = wrong + bool(mark), judged + 1
            spelling = f"{'dynamo' if dynamo else 'script'}-{opset}"
            print(f"{name:<20}{spelling:<11}{before.verdict:<5}-> {after.verdict:<5}{left}{mark}".rstrip(), flush=True)
    print(f"{judged - wrong} of {judged} verdicts as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
