"""Judges the exported networks and compares with the table: ``python -m tests.survey.judging FOLDER``."""

from __future__ import annotations

import argparse
import collections
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from fsq_edge_compile import check, fix
from tests.survey.reliability import LEVELS, Level, level_of
from tests.survey.scopes import scoped_names
from tests.survey.truth import GENERATIONS, Answer, Network, read_networks


@dataclass(frozen=True)
class Outcome:
    """What the checker said of one export on one chip, beside what the record says.

    Attributes:
        name, part, spelling, chip: which export, for which chip.
        expected: verdict of the record; empty where it does not decide.
        verdict, confidence: of the checker; ``error`` when it raised.
        ends_known: the record names end nodes and the verdict is right, so that they can be compared.
        ends_right: they are those of the record.
        ends: of the checker, as paths of modules.
        why: rules and nodes of the first error findings.
        cpu_s, peak_mb: processor time of the check with its helper processes, and peak memory of its own process.
        file_mb: size of the file.
        fixed_expected, fixed: verdict on what ``check --fix`` writes, of the record and of the checker; empty where the
            record decides on the file itself.
    """

    name: str
    part: str
    spelling: str
    chip: str
    expected: str
    verdict: str
    confidence: str
    ends_known: bool
    ends_right: bool
    ends: tuple[str, ...]
    why: tuple[str, ...]
    cpu_s: float
    peak_mb: float
    file_mb: float
    fixed_expected: str = ""
    fixed: str = ""

    @property
    def right(self) -> bool:
        """True when the verdict is that of the record."""
        return self.verdict == self.expected


def chosen(names: list[str], part: str | None) -> Iterator[tuple[Network, str]]:
    """Yield the networks of a part whose names begin as asked for, with each spelling."""
    for network in read_networks():
        if network.is_meant(names) and part in (None, network.part):
            yield from ((network, spelling) for spelling in network.exports)


def chips_of(network: Network, spelling: str) -> Iterator[str]:
    """Yield the chips to judge for: both generations for the first spelling or where they differ, else one."""
    counted = [chip for chip in GENERATIONS if network.answers[chip].verdict] or list(GENERATIONS)
    both = spelling == network.exports[0] or len(set(network.answers.values())) > 1
    yield from counted if both else counted[-1:]


def judge(network: Network, spelling: str, path: Path, chip: str) -> Outcome:
    """Judge one file in a child process, whose time and memory are those of this check alone."""
    answer = network.answer(spelling, chip)
    fixed_expected = "" if answer.verdict else network.fixed
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            shapes = network.options.get("shapes")
            json.dump(_checked(path, chip, shapes) | ({"fixed": _fixed(path, chip)} if fixed_expected else {}), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    said: dict[str, Any] = (
        json.loads(text) if text else {"verdict": "error", "why": [f"the process ended with status {status}"]}
    )
    right = said["verdict"] == answer.verdict
    return Outcome(
        name=network.name,
        part=network.part,
        spelling=spelling,
        chip=chip,
        expected=answer.verdict,
        verdict=said["verdict"],
        confidence=said.get("confidence", ""),
        ends_known=bool(answer.ends) and right,
        ends_right=right and ends_agree(answer, said.get("ends", []), said.get("scoped", [])),
        ends=tuple(said.get("scoped", [])),
        why=tuple(said["why"]),
        cpu_s=said.get("cpu_s", 0.0),
        peak_mb=said.get("peak_mb", 0.0),
        file_mb=path.stat().st_size / 1e6,
        fixed_expected=fixed_expected,
        fixed=said.get("fixed", ""),
    )


def ends_agree(answer: Answer, names: Iterable[str], scoped: Iterable[str]) -> bool:
    """Compare end nodes with the record, which names nodes or the modules that they came from."""
    found = (sorted(names), sorted(scoped))
    return any(sorted(expected) in found for expected in answer.ends)


def _checked(path: Path, chip: str, shapes: dict[str, list[int]] | None) -> dict[str, Any]:
    before = time.process_time()
    try:
        report = check(path, chip, input_shapes=shapes)
    except Exception as problem:  # a crash is an outcome of the survey, not its end
        return {"verdict": "error", "why": [f"{type(problem).__name__}: {problem}"]}
    cpu_s = time.process_time() - before + _helpers_cpu_s()
    scopes = scoped_names(onnx.load(path, load_external_data=False).graph)
    return {
        "verdict": report.verdict,
        "confidence": report.confidence,
        "ends": list(report.end_nodes),
        "scoped": [scopes.get(name, name) for name in report.end_nodes],
        "why": [f"{finding.rule} at {finding.node}" for finding in report.errors[:3]],
        "cpu_s": cpu_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _fixed(path: Path, chip: str) -> str:
    try:
        return check(fix(path, chip).model, chip).verdict
    except Exception as problem:  # as for a check
        return f"{type(problem).__name__}: {problem}"


def _helpers_cpu_s() -> float:
    """Return the processor time of the processes that this one started and that still run."""
    ticks = 0
    for pid in Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def line(outcome: Outcome) -> str:
    """Return one line for the screen."""
    wanted = outcome.expected or "(any)"
    ends = "" if not outcome.ends_known else "ends right" if outcome.ends_right else f"ends {list(outcome.ends)[:4]}"
    mark = "     " if not outcome.expected else "right" if outcome.right else "WRONG"
    why = "" if outcome.right or not outcome.expected else ", ".join(outcome.why)
    why += f"--fix: {outcome.fixed}, wanted {outcome.fixed_expected}" if outcome.fixed_expected else ""
    return (
        f"{mark} {outcome.name:<26} {outcome.spelling:<10} {outcome.chip:<9} {outcome.verdict:<5} {wanted:<6}"
        f"{outcome.confidence:<7}{outcome.cpu_s:5.1f} s {outcome.peak_mb:5.0f} MB  {ends}{why}".rstrip()
    )


def summary(outcomes: list[Outcome]) -> str:
    """Return the rates of each part, by confidence, and what the checks cost."""
    lines = []
    for part in ("open", "heldout"):
        counted = [outcome for outcome in outcomes if outcome.part == part and outcome.expected]
        ends = [outcome for outcome in counted if outcome.ends_known]
        lines.append(
            f"{part}: {len({outcome.name for outcome in counted})} networks, verdict "
            f"{rate(outcome.right for outcome in counted)}, end nodes {rate(outcome.ends_right for outcome in ends)}"
        )
    lines.append(f"with --fix, where the record has another spelling: {rate(after_fix(outcomes))}")
    lines += [f"confidence {name}: {level.text()}" for name, level in levels(outcomes).items()]
    times = sorted(outcome.cpu_s for outcome in outcomes)
    if times:
        lines.append(
            f"processor time of check(): median {times[len(times) // 2]:.2f} s, longest {times[-1]:.1f} s; "
            f"largest memory {max(outcome.peak_mb for outcome in outcomes):.0f} MB"
        )
    return "\n".join(lines)


def after_fix(outcomes: Iterable[Outcome]) -> list[bool]:
    """Return whether each fixed copy got the record's verdict, where the record does not decide on the file itself."""
    return [outcome.fixed == outcome.fixed_expected for outcome in outcomes if outcome.fixed_expected]


def levels(outcomes: Iterable[Outcome]) -> dict[str, Level]:
    """Return what was seen at each level of confidence where the record decides."""
    families = {network.name: network.family for network in read_networks()}
    answers = collections.defaultdict(list)
    for outcome in outcomes:
        if outcome.expected:
            answers[outcome.confidence].append((families[outcome.name], outcome.right))
    return {name: level_of(answers[name]) for name in LEVELS}


def rate(right: Iterable[bool]) -> str:
    """Return ``12 of 13 (92.3 %)``."""
    values = list(right)
    return f"{sum(values)} of {len(values)}" + (f" ({100 * sum(values) / len(values):.1f} %)" if values else "")


def main() -> int:
    """Print a line for each export and chip, then the rates; exit 1 when fewer than 95 % of the verdicts are right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where exporting.py keeps the networks")
    parser.add_argument("names", nargs="*", help="networks or families whose names begin so (default all)")
    parser.add_argument("--part", choices=("open", "heldout"), help="judge this part only (default both)")
    parser.add_argument("--json", type=Path, help="write the outcomes to this file")
    arguments = parser.parse_args()
    outcomes, missing = [], []
    for network, spelling in chosen(arguments.names, arguments.part):
        path = network.path(spelling, arguments.folder)
        if not path.exists():
            missing.append(path.stem)
            continue
        for chip in chips_of(network, spelling):
            outcomes.append(judge(network, spelling, path, chip))
            print(line(outcomes[-1]), flush=True)
    if missing:
        print(f"{len(missing)} exports are missing: {', '.join(missing)}")
    print(summary(outcomes))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    counted = [outcome.right for outcome in outcomes if outcome.expected]
    return 0 if counted and sum(counted) >= 0.95 * len(counted) else 1


if __name__ == "__main__":
    sys.exit(main())
