"""``fsq-edge explain``: a compiler or HailoRT log in plain words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from rich.markup import escape

from fsq_edge.cli.output import Output, output_options, table
from fsq_edge_compile.explain import MAX_LINE, LogReport, explain_log
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import read_errors

MAX_LOG_BYTES = 256 << 20
SHOWN_LINES = 20
PEEKED_BYTES = 1 << 16  # a binary file has a zero byte far before


@click.command(
    "explain",
    epilog="Exit codes: 0 every error in the log is explained or there is none, 1 some are not explained.",
)
@click.argument("log", metavar="LOGFILE|-")
@output_options
def command(log: str, output: Output) -> None:
    """Say what the errors in LOGFILE mean: which node, why, and how to fix it.

    Reads logs of the Dataflow Compiler (hailo_sdk.client.log, its terminal output, a traceback), of HailoRT
    (hailort.log), of the kernel (dmesg) and of package installation (apt, dpkg, DKMS). An error line that no row of the
    table explains is listed. Nothing but this package is needed.
    """
    report = explain_log(_lines(log))
    _show(report, output)
    output.write_json(report.to_dict())
    if report.exit_code:
        click.get_current_context().exit(report.exit_code)


def _lines(log: str) -> Iterator[str]:
    """Yield the lines of a file, or of standard input; bytes that are no UTF-8 are replaced."""
    if log == "-":
        stream = sys.stdin.buffer
        while line := stream.readline(MAX_LINE):
            yield line.decode("utf-8", "replace")
        return
    path = Path(log)
    with read_errors(path):
        if path.stat().st_size > MAX_LOG_BYTES:
            raise DataError(f"{path} is larger than {MAX_LOG_BYTES >> 20} MiB", hint=f"tail -c 10000000 {path}")
        with path.open("rb") as file:
            if b"\0" in file.read(PEEKED_BYTES):
                raise DataError(f"{path} is not a log: it holds binary data", hint=_reader(path))
            file.seek(0)
            while line := file.readline(MAX_LINE):
                yield line.decode("utf-8", "replace")


def _reader(path: Path) -> str:
    """Name the verb that reads a file of this kind."""
    verb = {".onnx": "check", ".hef": "hef inspect", ".fsqb": "bundle inspect"}.get(path.suffix.lower())
    return f"fsq-edge {verb} {path}" if verb else "give the text that the compiler or HailoRT printed"


def _show(report: LogReport, output: Output) -> None:
    if not report.findings and not report.unexplained:
        output.say("no error in this log")
    for finding in report.findings:
        where = "".join(f" {name}" for name in (finding.layer, finding.node) if name)
        rule = f" [{finding.rule}]" if finding.rule else ""
        output.say(f"line {finding.line}{where}{rule} ({finding.stage}, confidence {finding.confidence})")
        output.say(f"  why: {finding.cause}")
        output.say(f"  fix: {finding.fix}")  # a command stays whole
        if finding.consequences:
            output.say(f"  follows from it: line {', '.join(map(str, finding.consequences[:SHOWN_LINES]))}")
    if report.end_nodes:
        output.say(f"the compiler recommends these end nodes: {', '.join(report.end_nodes)}")
    if report.unexplained:
        rows = [(number, escape(text)) for number, text in report.unexplained[:SHOWN_LINES]]
        output.print(table("not in the table:", ("line", "text"), rows))
