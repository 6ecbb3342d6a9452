"""How a shut gate is shown: what refuses the network, what would fix it, and exit code 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.markup import escape

from fsq_edge.cli.output import write_json

if TYPE_CHECKING:
    from rich.console import Console

    from fsq_edge_compile.packing.gate import Gate

SHOWN_FINDINGS = 10


def stop_if_shut(screen: Console, gate: Gate, json_to: str | None, outcome: str) -> None:
    """Show what a gate found; exit 1 when it is shut and was not forced.

    Args:
        screen: where to.
        gate: the outcome of the checks.
        json_to: as given to the verb.
        outcome: what does not happen then, e.g. ``not compiled``.
    """
    report = gate.report
    if report.verdict != "full":
        part = "part of it runs" if report.verdict == "cut" else "nothing of it runs"
        screen.print(f"check {report.arch}: {report.verdict}, {part} on the device")
        for finding in report.errors[:SHOWN_FINDINGS]:
            screen.print(escape(f"  {finding.node or 'file'}: {finding.message}"), soft_wrap=True)
            screen.print(escape(f"    fix: {finding.fix}"), soft_wrap=True)
    for line in gate.calibration:
        screen.print(escape(f"calibration audit: {line}"), soft_wrap=True)
    if gate.ladder is not None and gate.ladder.blame:
        ladder = gate.ladder
        lost = next(rung.lost for rung in ladder.rungs if rung.name == ladder.blame)
        screen.print(f"parity ladder: {ladder.blame}: {'; '.join(lost)}", soft_wrap=True)
        screen.print(f"    likely cause: {ladder.cause}", soft_wrap=True)
    for line in gate.forced:
        screen.print(f"forced: {escape(line)}")
    if gate.opened:
        return
    screen.print(f"{outcome} (--force REASON goes on all the same)")
    parity = None if gate.ladder is None else gate.ladder.to_dict()
    refused = {"check": report.to_dict(), "calibration": list(gate.calibration), "parity": parity}
    write_json({"schema_version": 1, "status": outcome, **refused}, json_to)
    click.get_current_context().exit(1)
