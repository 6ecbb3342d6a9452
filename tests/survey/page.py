"""Writes the survey as a page of the documentation: ``python -m tests.survey.page OUTCOMES PAGE``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from fsq_edge_runtime.counted_scores import wilson
from tests.survey.judging import Outcome, after_fix, levels
from tests.survey.refusals import Refusal, read_refusals
from tests.survey.reliability import LEVELS, level_of
from tests.survey.truth import FOLDER, Network, read_networks

FIRST_SIGHT = FOLDER / "first_sight.json"

_HEAD = """# The survey of networks

    make networks

exports networks that nobody here wrote, out of packages of the registries and with random weights, by both of torch's
exporters, by Ultralytics' own export and by tf2onnx, judges each file, and writes this page.

The expected verdict and end nodes stand in `tests/survey/networks.yaml`, each with its public source: configurations of
Hailo's model zoo, the exporters of other projects, reports of single users. They were written down before the checker
saw a network; what was corrected or left open afterwards, each time from a record, is named in the comments of that
file. A third of the families, chosen by a hash of the family's name, is held out: no architecture is on both sides. The
rules were written when the split still went by single networks, so siblings of held-out networks had been seen then.
All of these networks are known by now: what to expect of one that the checker never saw stands below as "at first
sight". No part of this ran Hailo's compiler: "right" means "as the public record has it".

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
    fixed = [outcome for outcome in outcomes if outcome.fixed_expected]
    strict = [outcome for outcome in outcomes if outcome.expected or outcome.fixed_expected]
    all_right = rate(outcome.verdict == (outcome.expected or outcome.fixed_expected) for outcome in strict)
    names = len({outcome.name for outcome in fixed})
    lines += [
        f"| both, and the files of the last row as they are, held against the record of another spelling | "
        f"{len({outcome.name for outcome in strict})} | {all_right} | |",
        f"| refused constructs | {len(refusals)} | {refused} | |",
        f"| as `check --fix` writes them | {names} | {rate(after_fix(fixed))} | |",
        "",
    ]
    lines += _confidence(outcomes)
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


_SECOND = """The second group has families and authors that nobody had looked at when the rules, and what the confidence
means, were settled; its answers were written down first, and no rule was changed for it. Its wrong verdicts at first
sight have two causes: effdet pads its max pools with minus infinity and adds stacked maps of rank 5, and open_clip's
ResNet pools by attention with the sequence first. The record of EfficientDet is a TFLite file of other authors, which
adds maps two by two; no record has effdet's own spelling, and rank 5 was refused elsewhere. So its files as they
are count no longer, and the copies that `check --fix` writes must be full.
"""


_THIRD = """The third group has families of which a spelling was expected to be judged less surely: text encoders,
reduced and cosine attention, unfolded windows, decoders that sample maps, 1-D convolutions. Its answers were written
down first. Five of them were wrong by a misreading of the record (SegFormer's reduced attention compiles; it is its
decode head that was refused): they were corrected, and are not counted at first sight.
"""


def _confidence(outcomes: list[Outcome]) -> list[str]:
    """Return the table of the confidence: exports, families, and the later groups as they were first seen."""
    fields = json.loads(FIRST_SIGHT.read_text())
    networks = read_networks()
    families = {network.name: network.family for network in networks}
    groups = {network.name: network.group for network in networks}
    known = levels(outcome for outcome in outcomes if not groups[outcome.name])
    today = levels(outcomes)
    lines = ["| stated confidence | all, today | first group | second, at first sight | third, at first sight |"]
    lines.append("|---|---|---|---|---|")
    for name in LEVELS:
        cells = [today[name].text(), known[name].text()]
        for group in ("second", "third"):
            seen = [row for row in fields if row["confidence"] == name and row["expected"]]
            mine = [row for row in seen if groups[row["name"]] == group]
            cells.append(level_of((families[row["name"]], row["verdict"] == row["expected"]) for row in mine).text())
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append("")
    for group, words in (("second", _SECOND), ("third", _THIRD)):
        mine = [row for row in fields if groups[row["name"]] == group]
        ends = rate(row["ends_right"] for row in mine if row["ends_known"])
        right = rate(row["verdict"] == row["expected"] for row in mine if row["expected"])
        lines += [words, f"All of the {group} group at first sight: verdict {right}; end nodes {ends}.", ""]
    return lines[:-1]


def row(network: Network, outcomes: list[Outcome]) -> str:
    """Return the line of one network."""
    verdicts = sorted({outcome.expected for outcome in outcomes if outcome.expected})
    verdicts += [f"{network.fixed} with --fix"] if (fixed := after_fix(outcomes)) else []
    right = sum(outcome.right for outcome in outcomes if outcome.expected)
    of = sum(bool(outcome.expected) for outcome in outcomes)
    counts = "; ".join(f"{hits} of {all_of}" for hits, all_of in ((right, of), (sum(fixed), len(fixed))) if all_of)
    ends = [outcome.ends_right for outcome in outcomes if outcome.ends_known]
    sources = "; ".join(network.sources) or "no record decides"
    part = "held out" if network.held_out else "open"
    spellings = ", ".join(dict.fromkeys(outcome.spelling for outcome in outcomes))
    return (
        f"| {network.name} | {network.package} | {part} | {spellings} | {', '.join(verdicts) or 'any'} | "
        f"{counts} | {f'{sum(ends)} of {len(ends)}' if ends else ''} | {sources} |"
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
