"""The command line that every suite has: ``python -m fsq_edge_benchmarks.suites.NAME [--quick] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fsq_edge_benchmarks.measure.machine import describe_machine
from fsq_edge_benchmarks.suites.registry import suite_named

SOURCE = {
    "dest": "source",
    "default": "watch",
    "choices": ["watch", "quadruped"],
    "help": "data source (default: %(default)s)",
}
RUNS = {"type": Path, "help": "folder that keeps the trained runs for the next benchmark (default: none are kept)"}


def numbers(text: str) -> list[int]:
    """Return the numbers of ``0,1,2``."""
    return [int(part) for part in text.split(",")]


def heading(benchmark: str, **facts: Any) -> dict[str, Any]:
    """Return what a result begins with: its schema version, what it is, facts of the run, and the machine."""
    machine = describe_machine().model_dump(mode="json")
    return {"schema_version": 1, "benchmark": benchmark, **facts, "machine": machine}


def run_command(
    name: str,
    run: Callable[..., dict[str, Any]],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run one suite, print its result as JSON, its figures on standard error, and write the result where asked.

    Args:
        name: of the suite.
        run: its function; each option is given to it by its name.
        options: name -> arguments of ``add_argument``.
        arguments: of the command line; None takes the process's own.

    Returns:
        The exit code: 0, or 1 where a full run misses a target.
    """
    suite = suite_named(name)
    parser = argparse.ArgumentParser(prog=f"python -m fsq_edge_benchmarks.suites.{name}", description=suite.about)
    parser.add_argument("--quick", action="store_true", help="only show that it runs; its figures mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result to this file")
    for option, spec in (options or {}).items():
        parser.add_argument(f"--{option}", **spec)
    chosen = vars(parser.parse_args(arguments))
    target = chosen.pop("json")
    result = suite.judged(run(**chosen))
    text = json.dumps(result, indent=2)
    if target:
        target.write_text(text + "\n", encoding="utf-8")
    print(text)
    print(*suite.lines(result), sep="\n", file=sys.stderr)
    return 0 if result["passed"] or chosen["quick"] else 1
