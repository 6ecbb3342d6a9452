"""Findings as SARIF 2.1.0, which code scanning of GitHub, Azure DevOps and many editors read.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from fsq_edge_compile.checker.batch import Judged
from fsq_edge_compile.checker.report import Finding
from fsq_edge_compile.checker.rulebook import rulebook

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
PAGE = "https://github.com/fsq-edge/fsq-edge/blob/main/docs/check.md"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def to_sarif(judged: Sequence[Judged], version: str) -> dict[str, Any]:
    """Return the log of one run as JSON values.

    A finding that a baseline accepts is a suppressed result; a model that cannot be read is a notification.

    Args:
        judged: the models.
        version: of this program.
    """
    found = [
        (model, index, finding)
        for model in judged
        for index, finding in enumerate(model.report.findings if model.report else ())
    ]
    names = list(dict.fromkeys(finding.rule for _, _, finding in found))
    driver = {
        "name": "fsq-edge check",
        "version": version,
        "informationUri": PAGE,
        "rules": [_rule(name, next(f for _, _, f in found if f.rule == name)) for name in names],
    }
    unreadable = [_notification(model) for model in judged if model.error is not None]
    invocation: dict[str, Any] = {"executionSuccessful": not unreadable}
    if unreadable:
        invocation["toolExecutionNotifications"] = unreadable
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "artifacts": [{"location": {"uri": quote(model.path)}, "roles": ["analysisTarget"]} for model in judged],
        "results": [_result(model, index, finding, names) for model, index, finding in found],
        "columnKind": "unicodeCodePoints",
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(name: str, example: Finding) -> dict[str, Any]:
    rule = rulebook().rules.get(name)
    entry: dict[str, Any] = {
        "id": name,
        "shortDescription": {"text": f"{example.op or 'file'}: {example.support} by Hailo's compiler"},
        "help": {"text": f"{example.fix or example.message} All that is known: fsq-edge check --explain {name}"},
        "helpUri": PAGE,
        "defaultConfiguration": {"level": _LEVELS[rule.severity if rule else example.severity]},
        "properties": {"tags": [example.stage, example.support]},
    }
    if example.source:
        entry["fullDescription"] = {"text": f"Source: {example.source}"}
    return entry


def _result(model: Judged, index: int, finding: Finding, names: list[str]) -> dict[str, Any]:
    # A line that a binary file does not have: without one, code scanning shows no result.
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": quote(model.path)}, "region": {"startLine": 1}}
    }
    if finding.node:
        location["logicalLocations"] = [{"name": finding.node, "kind": "element"}]
    where = f"{finding.node}: " if finding.node else ""
    key = "\n".join((model.path, finding.rule, finding.node))
    result = {
        "ruleId": finding.rule,
        "ruleIndex": names.index(finding.rule),
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{where}{finding.message}" + (f" Fix: {finding.fix}" if finding.fix else "")},
        "locations": [location],
        "partialFingerprints": {"modelRuleNode/v1": hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()},
        "properties": {"confidence": finding.confidence, "limit": finding.limit, "actual": finding.actual},
    }
    if index in model.accepted:
        result["suppressions"] = [{"kind": "external", "justification": model.accepted[index]}]
    return result


def _notification(model: Judged) -> dict[str, Any]:
    return {
        "level": "error",
        "message": {"text": model.error.message if model.error else "not checked"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(model.path)}}}],
    }
