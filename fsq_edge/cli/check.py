"""``fsq-edge check``: will the Hailo compiler take this network, and where to cut when it will not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fsq_edge.cli.output import console, need, output_options, table, write_json
from fsq_edge_compile.checker.targets import ARCHES
from fsq_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from fsq_edge_compile.checker.report import CheckReport

SHOWN_FINDINGS = 40


@click.command(
    epilog="Exit codes: 0 all of it runs on the device, 1 a part does (cut), 2 nothing does.",
)
@click.argument("model", type=click.Path(dir_okay=False))
@click.option("--arch", type=click.Choice(ARCHES), default="hailo8l", show_default=True, help="Target chip.")
@click.option("--dfc", metavar="VERSION", help="Compiler version, for example 3.33; default: the chip's generation.")
@click.option(
    "--input-shape",
    "input_shapes",
    multiple=True,
    metavar="NAME=1,9,2,50",
    help="Sizes of a graph input in place of those in the file; may be given for every input.",
)
@output_options
def command(
    model: str, arch: str, dfc: str | None, input_shapes: tuple[str, ...], json_to: str | None, quiet: bool
) -> None:
    """Judge an ONNX MODEL against a Hailo chip, with nothing of Hailo's installed.

    Every rule comes from public reports and carries its source and confidence.
    """
    need("onnx", "compile")
    from fsq_edge_compile import check

    report = check(model, arch, dfc, input_shapes=_parse_shapes(input_shapes) or None)
    _show(report, quiet, json_to)
    write_json(report.to_dict(), json_to)
    if report.exit_code:
        click.get_current_context().exit(report.exit_code)


def _parse_shapes(given: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for item in given:
        name, equals, sizes = item.rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.replace("x", ",").split(","))
        except ValueError:
            shape = ()
        if not equals or not name or not shape or min(shape) < 1:
            raise UsageError(f"cannot read --input-shape {item!r}", hint="for example --input-shape input=1,9,2,50")
        shapes[name] = shape
    return shapes


def _show(report: CheckReport, quiet: bool, json_to: str | None) -> None:
    shown = console(quiet, json_to)
    counts = report.to_dict()["nodes"]
    shown.print(
        f"{report.model} for {report.arch} (DFC {report.dfc}): {report.verdict}, confidence {report.confidence}; "
        f"{counts['device']} of {counts['total']} nodes on the device"
    )
    if report.findings:
        rows = [
            (finding.severity, finding.node or "(file)", finding.rule, f"{finding.message}\n-> {finding.fix}")
            for finding in report.findings[:SHOWN_FINDINGS]
        ]
        shown.print(table("", ("", "node", "rule", "what and how to mend it"), rows))
        if len(report.findings) > SHOWN_FINDINGS:
            shown.print(f"... and {len(report.findings) - SHOWN_FINDINGS} more, all of them in --json")
    if report.verdict == "cut":
        shown.print(f"start nodes: {', '.join(report.start_nodes)}")
        shown.print(f"end nodes:   {', '.join(report.end_nodes)}")
