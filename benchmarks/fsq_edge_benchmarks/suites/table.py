"""The table of docs/benchmarks.md, made from benchmarks/results and never written by hand.

python -m fsq_edge_benchmarks.suites.table [--check]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fsq_edge_benchmarks.suites.registry import SUITES
from fsq_edge_benchmarks.suites.runner import CHECKOUT, RESULTS
from fsq_edge_benchmarks.suites.suite import Suite, SuiteResult
from fsq_edge_runtime.errors import DataError, FsqEdgeError

PAGE: Final = CHECKOUT / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- made by python -m fsq_edge_benchmarks.suites.table: begin -->"
END: Final = "<!-- made by python -m fsq_edge_benchmarks.suites.table: end -->"
ABSENT: Final = "**not in the result**"
WORDS: Final = {True: "holds", False: "**missed**", None: ""}


def load_results(folder: Path = RESULTS) -> dict[str, SuiteResult]:
    """Return the kept results by suite.

    Raises:
        DataError: a file is not a suite's result, or is one of a quick run.
    """
    found = {}
    for suite in SUITES:
        path = folder / f"{suite.name}.json"
        if not path.is_file():
            continue
        result = SuiteResult.load(path)
        if result.quick:
            raise DataError(f"{path.name}: a quick run gives no figures to keep", hint=f"make bench SUITE={suite.name}")
        found[suite.name] = result
    return found


def table(results: Mapping[str, SuiteResult]) -> str:
    """Return the table in Markdown, with the machines and the suites that were not measured below it."""
    lines = ["| suite | figure | measured | target | |", "|---|---|---:|---:|---|"]
    for suite in SUITES:
        if suite.name in results:
            lines += _rows(suite, results[suite.name])
    absent = [f"`{suite.name}`" for suite in SUITES if suite.name not in results]
    lines += ["", *_machines(results)]
    if absent:
        lines.append(f"- Not measured yet: {', '.join(absent)}.")
    return "\n".join(lines)


def page_with(text: str, made: str) -> str:
    """Return the page's text with the part between the markers replaced.

    Raises:
        DataError: the markers are not there, once each and in order.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise DataError(f"no place for the table: the page needs the lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{made}\n\n{END}{tail}"


def _rows(suite: Suite, found: SuiteResult) -> list[str]:
    rows = []
    mark = " \\*" if suite.timed and found.disturbed else ""
    if not suite.figures:
        rows.append(f"| {suite.title}{mark} | [{suite.name}.json](../benchmarks/results/{suite.name}.json) | | | |")
    for at, figure in enumerate(suite.figures):
        title = f"{suite.title}{mark}" if at == 0 else ""
        if figure.missing_from(found.result):
            rows.append(f"| {title} | {figure.what} | {ABSENT} | {figure.target()} | |")
            continue
        value = figure.of(found.result)
        holds = WORDS[figure.holds(value)]
        rows.append(f"| {title} | {figure.what} | {figure.shown(value)} | {figure.target()} | {holds} |")
    return rows


def _machines(results: Mapping[str, SuiteResult]) -> list[str]:
    """One line a machine and day, with the suites that were measured there."""
    places: dict[str, list[str]] = {}
    for suite in SUITES:
        if (found := results.get(suite.name)) is not None:
            versions = ", ".join(
                f"{name} {found.machine.versions[name]}"
                for name in ("numpy", "onnxruntime", "torch")
                if name in found.machine.versions
            )
            places.setdefault(f"{found.made[:10]}, {found.machine.text()}, {versions}", []).append(f"`{suite.name}`")
    lines = [f"- {place}: {', '.join(names)}." for place, names in places.items()]
    if any(suite.timed and results[suite.name].disturbed for suite in SUITES if suite.name in results):
        lines.append("- \\* Disturbed: other work had part of the machine; ratios suffer less than times.")
    return lines


def main() -> int:
    """Write the table into the page; with ``--check`` only say whether it is up to date (exit 1 when not)."""
    parser = argparse.ArgumentParser(prog="python -m fsq_edge_benchmarks.suites.table", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where the page is out of date")
    only_check = parser.parse_args().check
    try:
        text = PAGE.read_text(encoding="utf-8")
        wanted = page_with(text, table(load_results()))
    except (FsqEdgeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, FsqEdgeError) else 66
    if wanted == text:
        return 0
    if only_check:
        print("docs/benchmarks.md is not what `python -m fsq_edge_benchmarks.suites.table` makes", file=sys.stderr)
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
