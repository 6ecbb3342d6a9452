"""``fsq-edge check`` in a CI job: the form of its output, what fails it, and the baseline of what is accepted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from fsq_edge import __version__
from fsq_edge.cli.check_show import plain, show_report
from fsq_edge.cli.options import path_option
from fsq_edge.cli.output import Output, write_text
from fsq_edge.cli.workstation_options import together
from fsq_edge_runtime.errors import FsqEdgeError

if TYPE_CHECKING:
    from fsq_edge_compile.checker.baseline import Baseline
    from fsq_edge_compile.checker.batch import FailOn, Judged
    from fsq_edge_compile.checker.report import CheckReport, Finding

FORMATS = ("text", "json", "sarif", "junit", "github")


#: ``--format``, ``--fail-on``, ``--baseline`` and ``--write-baseline``.
gate_options = together(
    click.option(
        "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True,
        help="Print in this form: text for people, json, sarif for code scanning, junit for test reports, github "
        "for the annotations of GitHub Actions.",
    ),
    click.option(
        "--fail-on", type=click.Choice(["error", "warning"]),
        help="Exit with 1 where a finding is at least so severe, else with 0. Default: exit with the verdict.",
    ),
    path_option(
        "--baseline", metavar="FILE", help="Accept the findings in this file; alone it means --fail-on error."
    ),
    path_option(
        "--write-baseline", metavar="FILE",
        help="Write the errors and warnings of now to this file, to be accepted from now on, and exit with 0.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class CheckGate:
    """How a check is printed and what fails it.

    Attributes:
        form: one of ``FORMATS``.
        fail_on: what fails; None leaves the verdict to be the exit code.
        baseline: file of accepted findings, or None.
        write_baseline: file to write the findings of now to, or None.
    """

    form: str
    fail_on: FailOn | None
    baseline: Path | None
    write_baseline: Path | None

    @cached_property
    def _accepted(self) -> Baseline | None:
        from fsq_edge_compile.checker.baseline import Baseline

        if self.baseline is None:
            return None
        if self.baseline == self.write_baseline and not self.baseline.exists():
            return None
        return Baseline.load(self.baseline)

    def judged(self, path: str, report: CheckReport | None, error: FsqEdgeError | None = None) -> Judged:
        """Return one model with what the baseline accepts of it."""
        from fsq_edge_compile.checker.batch import Judged

        reasons = {}
        for index, finding in enumerate(report.findings if report else ()):
            reason = self._accepted.reason(path, finding) if self._accepted else None
            if reason is not None:
                reasons[index] = reason
        return Judged(PurePath(path).as_posix(), report, error, reasons)

    def judge_all(self, files: Sequence[str], arch: str, dfc: str | None, output: Output) -> None:
        """Check several files, print all of them, and leave with the exit code of the whole."""
        from fsq_edge_compile.checker.checking import check

        _ = self._accepted  # a baseline that cannot be read ends this before the first model
        found = []
        for file in files:
            try:
                found.append(self.judged(file, check(file, arch, dfc)))
                show_report(found[-1].report, output)  # type: ignore[arg-type] # just made
            except FsqEdgeError as error:
                found.append(self.judged(file, None, error))
                click.echo(f"error: {error.message}", err=True)
            output.print("")
        output.write_json(self._as_json(found))
        counts = {
            name: sum(1 for model in found if _verdict(model) == name) for name in ("full", "cut", "none", "error")
        }
        parts = [f"{count} {'unreadable' if name == 'error' else name}" for name, count in counts.items() if count]
        output.print(f"{len(found)} models: {', '.join(parts)}")
        self.finish(found, output)

    def show_error(self, path: str, error: FsqEdgeError) -> None:
        """Print a model that cannot be read in the form that a CI system asked for."""
        if self.form != "text":
            click.echo(self._render([self.judged(path, None, error)]), nl=False)

    def finish(self, found: Sequence[Judged], screen: Output) -> None:
        """Print the form that was asked for, write the baseline, and leave with the exit code."""
        if self.form != "text":
            click.echo(self._render(found), nl=False)
        fail_on: FailOn = self.fail_on or "error"
        if self.write_baseline is not None:
            count = self._write(self.write_baseline, found)
            screen.say(f"wrote {self.write_baseline}: {count} findings are accepted")
        elif self.baseline is not None or self.fail_on is not None:
            self._say(found, fail_on, screen)
        code = self._exit_code(found, fail_on)
        if code:
            click.get_current_context().exit(code)

    def _exit_code(self, found: Sequence[Judged], fail_on: FailOn) -> int:
        unreadable = [model.error.exit_code for model in found if model.error is not None]
        if unreadable:
            return max(unreadable)
        if self.write_baseline is not None:
            return 0
        if self.baseline is None and self.fail_on is None:
            return max(model.report.exit_code for model in found if model.report is not None)
        return int(any(model.failing(fail_on) for model in found))

    def _say(self, found: Sequence[Judged], fail_on: FailOn, screen: Output) -> None:
        accepted = sum(len(model.accepted) for model in found)
        failing = [(model, finding) for model in found for finding in model.failing(fail_on)]
        for model, finding in failing:
            screen.print(f"fails: {plain(model.path)}: {_one_line(finding)}", soft_wrap=True)
        screen.print(f"{len(failing)} findings fail (--fail-on {fail_on}), {accepted} are accepted by the baseline")
        for model_path, rule, node in self._accepted.unused() if self._accepted else ():
            screen.print(f"no longer found: {plain(f'{model_path}: {rule} {node}')}", soft_wrap=True)

    def _write(self, path: Path, found: Sequence[Judged]) -> int:
        from fsq_edge_compile.checker.baseline import make_baseline

        findings = [
            (model.path, finding)
            for model in found
            for finding in (model.report.findings if model.report else ())
            if finding.severity != "info"
        ]
        baseline = make_baseline(path, findings, self._accepted)
        write_text(path, baseline.to_json())
        return len(baseline.accepted)

    def _render(self, found: Sequence[Judged]) -> str:
        from fsq_edge.report.document import finite
        from fsq_edge_compile.checker.formats import github_annotations, to_junit, to_sarif

        if self.form == "github":
            return github_annotations(found)
        if self.form == "junit":
            return to_junit(found, self.fail_on or "error")
        value = to_sarif(found, __version__) if self.form == "sarif" else self._as_json(found)
        return json_text(finite(value))

    def _as_json(self, found: Sequence[Judged]) -> dict[str, Any]:
        return {"schema_version": 1, "models": [_model_json(model) for model in found]}


def json_text(value: Any) -> str:
    """Return JSON in ASCII, so that it can be printed whatever the encoding of the terminal."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _model_json(model: Judged) -> dict[str, Any]:
    if model.report is None:
        error = model.error
        failed = {"error": error.message, "hint": error.hint, "exit_code": error.exit_code} if error else {}
        return {"path": model.path, **failed}
    accepted = [{"finding": index, "reason": reason} for index, reason in sorted(model.accepted.items())]
    return {"path": model.path, **model.report.to_dict(), "accepted": accepted}


def _verdict(model: Judged) -> str:
    return model.report.verdict if model.report else "error"


def _one_line(finding: Finding) -> str:
    where = f"{finding.node}: " if finding.node else ""
    return plain(f"{finding.severity} {finding.rule}: {where}{finding.message}")
