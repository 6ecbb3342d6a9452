"""Findings as workflow commands of GitHub Actions, which its pages show beside the files.

Source: the public documentation of workflow commands: ``::error file=F,title=T::MESSAGE``, with percent, line breaks,
and in properties also colon and comma, percent-encoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fsq_edge_compile.checker.batch import Judged
from fsq_edge_compile.checker.report import Finding

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def github_annotations(judged: Sequence[Judged]) -> str:
    """Return one line a finding; what a baseline accepts is left out, and a file without findings has one notice.

    Args:
        judged: the models.
    """
    return "".join(f"{line}\n" for model in judged for line in _lines(model))


def _lines(model: Judged) -> Iterator[str]:
    if model.report is None:
        message = model.error.message if model.error else "not checked"
        yield _line("error", model.path, "unreadable", message)
        return
    for index, finding in enumerate(model.report.findings):
        if index not in model.accepted:
            yield _line(_COMMANDS[finding.severity], model.path, finding.rule, _text(finding))
    report = model.report
    yield _line("notice", model.path, "verdict", f"{report.verdict} for {report.arch}, confidence {report.confidence}")


def _text(finding: Finding) -> str:
    where = f"{finding.node}: " if finding.node else ""
    return f"{where}{finding.message}" + (f"\n{finding.fix}" if finding.fix else "")


def _line(command: str, path: str, title: str, message: str) -> str:
    return f"::{command} file={_property(path)},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
