"""Judges every network of the catalogue as every exporter writes it: ``python -m tests.programs.network_survey``.

Prints one line a graph and exits 1 when a verdict is not the one that the catalogue asks for.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from fsq_edge_compile import check, fix
from fsq_edge_compile.checker.report import CheckReport
from tests.factories.networks.catalogue import NETWORKS, Network
from tests.factories.networks.exporting import export

ARCHES = ("hailo8", "hailo10h")
# One operator where older opsets write a pattern: not known to be taken, and what --fix is for.
_MENDED = {"activation.single-operator"}


@dataclass(frozen=True)
class Spelling:
    """One way to export.

    Attributes:
        opset: of the standard operators.
        dynamo: torch's newer exporter.
        dynamic_batch: leave the batch open.
    """

    opset: int
    dynamo: bool = False
    dynamic_batch: bool = False

    def __str__(self) -> str:
        return f"{'dynamo' if self.dynamo else 'script'}-{self.opset}{'-batch' if self.dynamic_batch else ''}"


SPELLINGS = (
    Spelling(11),
    Spelling(13),
    Spelling(17),
    Spelling(17, dynamic_batch=True),
    Spelling(18, dynamo=True),
    Spelling(20, dynamo=True),
    Spelling(18, dynamo=True, dynamic_batch=True),
)


def spellings(network: Network) -> Iterator[Spelling]:
    """Yield the ways in which a network can be exported."""
    return (item for item in SPELLINGS if item.dynamo or item.opset >= network.opset)


def exported(network: Network, spelling: Spelling) -> onnx.ModelProto:
    """Export a network; what the exporters print is kept off the screen."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return export(network.build, network.shape, spelling.opset, spelling.dynamo, spelling.dynamic_batch)


def judged(model: onnx.ModelProto, arch: str) -> tuple[CheckReport, bool]:
    """Return the report, and whether it is the one on the fixed copy.

    The copy is judged when nothing but operators that ``--fix`` writes as patterns stands in the way.
    """
    report = check(model, arch)
    if report.errors and {finding.rule for finding in report.errors} <= _MENDED:
        return check(fix(model).model, arch), True
    return report, False


def mistake(network: Network, report: CheckReport) -> str:
    """Return what is wrong with a verdict; an empty string when nothing is."""
    if not network.verdict:
        return "" if report.verdict in ("full", "cut") else "no device part at all"
    if report.verdict != network.verdict:
        return f"{report.verdict}, not {network.verdict}: " + ", ".join(
            dict.fromkeys(f"{finding.rule} at {finding.node}" for finding in report.errors[:4])
        )
    if network.verdict == "cut":
        operators = {node.name: node.op for node in report.nodes}
        ends = [operators[name] for name in report.end_nodes]
        if network.ends and (set(ends) != set(network.ends) or len(ends) != network.heads):
            return f"cut at {ends}, not at {network.heads} of {network.ends}"
    return ""


def main() -> int:
    """Print the survey; exit 1 when a verdict is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="networks; all of them when none is named")
    arguments = parser.parse_args()
    wrong = 0
    for name in arguments.names or NETWORKS:
        network = NETWORKS[name]
        for spelling in spellings(network):
            model = exported(network, spelling)
            for arch in ARCHES:
                started = time.perf_counter()
                report, fixed = judged(model, arch)
                took = time.perf_counter() - started
                wanted = mistake(network, report)
                wrong += bool(wanted)
                device = sum(node.device for node in report.nodes)
                print(
                    f"{name:<18} {spelling!s:<16} {arch:<9} {report.verdict:<5}{'(fixed)' if fixed else '':<8}"
                    f"{report.confidence:<7}{device:>4} of {len(report.nodes):<4} {took:5.2f} s  {wanted}".rstrip(),
                    flush=True,
                )
    print(f"{wrong} wrong verdicts")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
