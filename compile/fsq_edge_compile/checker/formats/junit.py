"""Findings as JUnit XML, which GitLab, Jenkins and most other CI systems show as tests.

Source: the schema that Jenkins publishes for it (``testsuites``, ``testsuite``, ``testcase`` with ``failure``,
``error`` or ``skipped``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from fsq_edge_compile.checker.batch import FailOn, Judged, is_at_least
from fsq_edge_compile.checker.report import Finding

# What XML 1.0 cannot hold, not even as a reference.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(judged: Sequence[Judged], fail_on: FailOn = "error") -> str:
    """Return the XML text: a suite for each model, in it a test for its verdict and one for each finding.

    A finding fails where it is at least as severe as ``fail_on``, passes with its text where it is not, and is skipped
    where a baseline accepts it.

    Args:
        judged: the models.
        fail_on: what fails.
    """
    root = ET.Element("testsuites", name="fsq-edge check")
    for model in judged:
        _suite(root, model, fail_on)
    for kind in ("tests", "failures", "errors"):
        root.set(kind, str(sum(int(suite.get(kind, "0")) for suite in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, model: Judged, fail_on: FailOn) -> None:
    suite = ET.SubElement(root, "testsuite", name=_clean(model.path))
    verdict = ET.SubElement(suite, "testcase", classname=_clean(model.path), name="verdict", time="0")
    if model.report is None:
        message = model.error.message if model.error else "not checked"
        ET.SubElement(verdict, "error", message=_clean(message), type="unreadable")
    else:
        report = model.report
        line = f"{report.verdict} for {report.arch} (DFC {report.dfc}), confidence {report.confidence}"
        failing = model.failing(fail_on)
        if failing:
            ET.SubElement(verdict, "failure", message=line, type="verdict").text = f"{len(failing)} findings fail"
        else:
            ET.SubElement(verdict, "system-out").text = line
        for index, finding in enumerate(report.findings):
            _case(suite, model, finding, model.accepted.get(index), fail_on)
    for kind, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(kind, str(sum(1 for _ in suite.iter(tag))))


def _case(suite: ET.Element, model: Judged, finding: Finding, accepted: str | None, fail_on: FailOn) -> None:
    name = _clean(f"{finding.rule} {finding.node}".strip())
    case = ET.SubElement(suite, "testcase", classname=_clean(model.path), name=name, time="0")
    text = _clean(f"{finding.severity}: {finding.message}\nfix: {finding.fix}")
    if accepted is not None:
        ET.SubElement(case, "skipped", message=_clean(accepted))
    elif is_at_least(finding, fail_on):
        ET.SubElement(case, "failure", message=_clean(finding.message), type=finding.severity).text = text
    else:
        ET.SubElement(case, "system-out").text = text


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
