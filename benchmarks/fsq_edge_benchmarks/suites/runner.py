"""Run every suite, each in a process of its own, and keep its result: what ``make bench`` calls.

python -m fsq_edge_benchmarks.suites.runner [--quick] [SUITE ...]
python -m fsq_edge_benchmarks.suites.runner accuracy --keep accuracy.json

A suite that fails stops no other. Results go to ``benchmarks/results``; quick ones, which are no figures to keep, to
``build/bench``. Exit codes: 0 all ran, and every target holds; 1 a suite failed, or a full run misses a target.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fsq_edge_benchmarks.measure.children import child_environment
from fsq_edge_benchmarks.measure.machine import describe_machine
from fsq_edge_benchmarks.suites.registry import SUITES, suite_named
from fsq_edge_benchmarks.suites.suite import Suite, SuiteResult
from fsq_edge_runtime.errors import DataError, FsqEdgeError, InternalError, MissingInputError, UsageError

CHECKOUT: Final = Path(__file__).resolve().parents[3]
RESULTS: Final = CHECKOUT / "benchmarks" / "results"
QUICK_RESULTS: Final = CHECKOUT / "build" / "bench"
_NUMBERS: Final = re.compile(r"\[\s+((?:-?[\d.eE+-]+,?\s+)+)\]")
_CHILD: Final = """
import importlib, json, sys
name, target, quick = sys.argv[1:]
found = importlib.import_module(f"fsq_edge_benchmarks.suites.{name}").run(quick=quick == "quick")
with open(target, "w", encoding="utf-8") as file:
    json.dump(found, file)
"""


def run_suite(suite: Suite, quick: bool) -> SuiteResult:
    """Run one suite in a fresh process.

    Raises:
        InternalError: it failed or took too long; the message has the end of its standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "result.json"
        command = [sys.executable, "-c", _CHILD, suite.name, str(target), "quick" if quick else "full"]
        begun, others = time.monotonic(), OthersMeter()
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                env=child_environment(),
                timeout=60 * suite.minutes,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InternalError(f"{suite.name} took longer than {suite.minutes:g} minutes") from error
        seconds = time.monotonic() - begun
        if done.returncode or not target.is_file():
            raise InternalError(f"{suite.name} failed: {_last_lines(done.stderr)}")
        # A figure that is no number is no figure: NaN and Inf become null.
        found = json.loads(target.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    return _record(suite, found, datetime.now(UTC), quick, round(seconds, 1), others.cores())


def kept(suite: Suite, path: Path) -> SuiteResult:
    """Return what a suite's own command wrote on this machine with ``--json``, as a result to keep.

    Raises:
        MissingInputError: no such file.
        DataError: no result of that suite.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
        made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise MissingInputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path.name}: not valid JSON ({error})") from error
    if absent := suite.absent(found):
        raise DataError(f"{path.name} is no result of {suite.name}: it has no {absent[0]}")
    return _record(suite, found, made, bool(found.get("quick", False)))


def _record(
    suite: Suite,
    found: dict[str, Any],
    made: datetime,
    quick: bool,
    seconds: float | None = None,
    others_cores: float | None = None,
) -> SuiteResult:
    return SuiteResult(
        suite=suite.name,
        made=made.isoformat(timespec="seconds"),
        machine=describe_machine(),
        quick=quick,
        seconds=seconds,
        others_cores=others_cores,
        result=found,
    )


def run_suites(suites: Sequence[Suite], quick: bool, folder: Path) -> int:
    """Run suites one after the other, write what each found, and say how it went.

    Returns:
        The exit code.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failed, missed = [], []
    for suite in suites:
        print(f"{suite.name} ...", flush=True)
        try:
            found = run_suite(suite, quick)
        except FsqEdgeError as error:
            failed.append(suite.name)
            print(f"  FAILED: {error.message}", flush=True)
            continue
        (folder / f"{suite.name}.json").write_text(_narrow(found.to_json()), encoding="utf-8")
        print(_lines(suite, found), flush=True)
        failed += [suite.name] if suite.absent(found.result) and not quick else []
        missed += [suite.name] if suite.missed(found.result) else []
    ran = len(suites) - len(failed)
    print(f"{ran} of {len(suites)} suites ran; results in {os.path.relpath(folder)}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    if missed:
        print(f"targets missed: {', '.join(missed)}" + (" (a quick run judges nothing)" if quick else ""))
    return 1 if failed or (missed and not quick) else 0


def _lines(suite: Suite, found: SuiteResult) -> str:
    lines = suite.lines(found.result)
    if suite.timed and found.disturbed:
        lines.append(f"  disturbed: other processes kept {found.others_cores:.2f} cores busy")
    return "\n".join([*lines, *([] if found.seconds is None else [f"  {found.seconds:.0f} s"])])


class OthersMeter:
    """Reads, from when it is made, how many cores are busy with other processes than our children.

    Args:
        stat: the kernel's counters, /proc/stat.
        clock: seconds.
        times: CPU time of this process and its children.
    """

    def __init__(
        self,
        stat: Path = Path("/proc/stat"),
        clock: Callable[[], float] = time.monotonic,
        times: Callable[[], os.times_result] = os.times,
    ) -> None:
        self._stat, self._clock, self._times = stat, clock, times
        self._begin = self._read()

    def cores(self) -> float | None:
        """Return the cores that others kept busy since then; None where the kernel does not say."""
        (begun, busy, ours), (ended, busy_now, ours_now) = self._begin, self._read()
        if busy is None or busy_now is None or ended <= begun:
            return None
        return round(max(0.0, (busy_now - busy) - (ours_now - ours)) / (ended - begun), 3)

    def _read(self) -> tuple[float, float | None, float]:
        times = self._times()
        ours = times.user + times.system + times.children_user + times.children_system
        try:
            # user, nice, system, idle, iowait, irq, softirq, steal: proc(5)
            fields = [int(field) for field in self._stat.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
            busy: float | None = (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            busy = None
        return self._clock(), busy, ours


def _narrow(text: str) -> str:
    """Return indented JSON with each list of numbers, such as a histogram's, on one line."""
    return _NUMBERS.sub(lambda found: "[" + " ".join(found[1].split()) + "]", text)


def _last_lines(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-3:])[-500:] or "it wrote no result"


def _keep(suite: Suite, path: Path, folder: Path) -> int:
    try:
        found = kept(suite, path)
    except FsqEdgeError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{suite.name}.json").write_text(_narrow(found.to_json()), encoding="utf-8")
    print(_lines(suite, found))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m fsq_edge_benchmarks.suites.runner", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(suite.name for suite in SUITES))
    parser.add_argument("--quick", action="store_true", help="show that they run; the figures are not to be kept")
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep what the suite's own command wrote here")
    chosen = parser.parse_args(arguments)
    try:
        suites = [suite_named(name) for name in chosen.suites] or list(SUITES)
    except UsageError as error:
        parser.error(f"{error.message}; {error.hint}")
    if chosen.keep is not None and len(chosen.suites) != 1:
        parser.error("--keep takes one suite")
    if chosen.keep is not None:
        return _keep(suites[0], chosen.keep, chosen.out or RESULTS)
    return run_suites(suites, chosen.quick, chosen.out or (QUICK_RESULTS if chosen.quick else RESULTS))


if __name__ == "__main__":
    sys.exit(main())
