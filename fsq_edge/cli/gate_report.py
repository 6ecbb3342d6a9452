"""The gates of int8 and how a shut gate is shown: what refuses the network, what would fix it, and exit code 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fsq_edge.cli.options import default_option
from fsq_edge.cli.output import Output
from fsq_edge.cli.workstation_options import together

if TYPE_CHECKING:
    from fsq_edge_compile.packing.gate import Gate

SHOWN_FINDINGS = 10


#: ``--min-code-agreement`` and ``--max-drop`` of a verb that compares forms of a model.
gate_options = together(
    default_option(
        "--min-code-agreement",
        0.95,
        click.FloatRange(0, 1),
        "Refuse a form whose code equals the reference's in a smaller share of the windows than this, 0 to 1.",
    ),
    default_option(
        "--max-drop",
        1.0,
        click.FloatRange(0, 100),
        "Refuse a form that loses more macro-F1 than this, in points (hundredths).",
    ),
)


def stop_if_shut(output: Output, gate: Gate, outcome: str) -> None:
    """Show what a gate found; exit 1 when it is shut and was not forced.

    Args:
        output: where to.
        gate: the outcome of the checks.
        outcome: what does not happen then, e.g. ``not compiled``.
    """
    report = gate.report
    if report.verdict != "full":
        part = "part of it runs" if report.verdict == "cut" else "nothing of it runs"
        output.say(f"check {report.arch}: {report.verdict}, {part} on the device")
        for finding in report.errors[:SHOWN_FINDINGS]:
            output.say(f"  {finding.node or 'file'}: {finding.message}")
            output.say(f"    fix: {finding.fix}")
    for line in gate.calibration:
        output.say(f"calibration audit: {line}")
    if gate.ladder is not None and gate.ladder.blame:
        ladder = gate.ladder
        lost = next(rung.lost for rung in ladder.rungs if rung.name == ladder.blame)
        output.say(f"parity ladder: {ladder.blame}: {'; '.join(lost)}")
        output.say(f"    likely cause: {ladder.cause}")
    for line in gate.forced:
        output.say(f"forced: {line}")
    if gate.opened:
        return
    output.say(f"{outcome} (--force REASON goes on nevertheless)")
    parity = None if gate.ladder is None else gate.ladder.to_dict()
    refused = {"check": report.to_dict(), "calibration": list(gate.calibration), "parity": parity}
    output.write_json({"schema_version": 1, "status": outcome, **refused})
    click.get_current_context().exit(1)
