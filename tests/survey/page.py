"""Writes the survey as a page of the documentation: ``python -m tests.survey.page OUTCOMES PAGE``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from fsq_edge_runtime.scores import wilson
from tests.survey.judging import Outcome
from tests.survey.refusals import Refusal, read_refusals
from tests.survey.truth import Network, read_networks

_HEAD = """# The survey of networks

    make networks

exports networks that nobody here wrote, out of packages of the registries and with random weights, by both of torch's
exporters, by Ultralytics' own export and by tf2onnx, judges each file, and writes this page.

The expected verdict and end nodes stand in `tests/survey/networks.yaml`, each with its public source: configurations of
Hailo's model zoo, the exporters of other projects, reports of single users. They were written down before the checker
saw a network; what was corrected or left open afterwards, each time from a record, is named in the comments of that
file. A third of the networks, chosen by a hash of the name, was held out while the rules were written. No part of this
ran Hailo's compiler: "right" means "as the public record has it".

"""


def rate(right: Iterable[bool]) -> str:
    """Return hits, number, share and its interval."""
    values = list(right)
    if not values:
        return "none"
    shown = wilson(sum(values), len(values))
    return f"{sum(values)} of {len(values)}: {shown.value:.1%} ({shown.low:.0%} to {shown.high:.0%})"


def overview(outcomes: list[Outcome], refusals: list[Refusal]) -> list[str]:
    """Return the table of rates: an outcome is one export judged for one chip; intervals are Wilson's, 95 %."""
    lines = ["| part | networks | verdict right | end nodes right |", "|---|---|---|---|"]
    for part, title in (("open", "open"), ("heldout", "held out")):
        counted = [outcome for outcome in outcomes if outcome.part == part and outcome.expected]
        ends = rate(outcome.ends_right for outcome in counted if outcome.ends_known)
        names = len({outcome.name for outcome in counted})
        lines.append(f"| {title} | {names} | {rate(outcome.right for outcome in counted)} | {ends} |")
    refused = rate(not refusal.mistake() for refusal in refusals)
    lines += [f"| refused constructs | {len(refusals)} | {refused} | |", ""]
    lines += ["| stated confidence | verdict right |", "|---|---|"]
    for confidence in ("high", "medium", "low"):
        stated = [outcome.right for outcome in outcomes if outcome.expected and outcome.confidence == confidence]
        lines.append(f"| {confidence} | {rate(stated)} |")
    times = sorted(outcome.cpu_s for outcome in outcomes)
    memory = max(outcome.peak_mb for outcome in outcomes)
    lines += [
        "",
        f"Processor time of one check: median {times[len(times) // 2]:.2f} s, longest {times[-1]:.1f} s; the largest "
        f"process, its helpers apart, took {memory:.0f} MB. One export judged for one chip counts as one; "
        f"{len(outcomes)} were judged.",
        "",
    ]
    return lines


def row(network: Network, outcomes: list[Outcome]) -> str:
    """Return the line of one network."""
    verdicts = sorted({outcome.expected for outcome in outcomes if outcome.expected})
    right = sum(outcome.right for outcome in outcomes if outcome.expected)
    of = sum(bool(outcome.expected) for outcome in outcomes)
    ends = [outcome.ends_right for outcome in outcomes if outcome.ends_known]
    sources = "; ".join(network.sources) or "no record decides"
    part = "held out" if network.held_out else "open"
    spellings = ", ".join(dict.fromkeys(outcome.spelling for outcome in outcomes))
    return (
        f"| {network.name} | {network.package} | {part} | {spellings} | {', '.join(verdicts) or 'any'} | "
        f"{f'{right} of {of}' if of else ''} | {f'{sum(ends)} of {len(ends)}' if ends else ''} | {sources} |"
    )


def main() -> int:
    """Write the page."""
    source, page = map(Path, sys.argv[1:])
    outcomes = [Outcome(**fields) for fields in json.loads(source.read_text())]
    refusals = read_refusals()
    lines = overview(outcomes, refusals)
    lines += ["## Networks", "", "| network | package | part | exports | record | verdict | end nodes | sources |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for network in read_networks():
        mine = [outcome for outcome in outcomes if outcome.name == network.name]
        if mine:
            lines.append(row(network, mine))
    lines += ["", "## Refused constructs", "", "| construct | chip | refused operators | source |", "|---|---|---|---|"]
    lines += [
        f"| {refusal.id} | {refusal.chip} | {', '.join(sorted(refusal.refused))} | {refusal.source} |"
        for refusal in refusals
    ]
    page.write_text(_HEAD + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
