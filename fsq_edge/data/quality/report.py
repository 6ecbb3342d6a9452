"""The quality report as text, JSON and HTML."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from fsq_edge.data.quality.metrics import QualityMetrics
from fsq_edge.report.document import Section, Table, finite
from fsq_edge.report.html import render
from fsq_edge.report.parts import Fact, Verdict, plural, shown_time
from fsq_edge_runtime.findings import Finding

Entry = tuple[QualityMetrics, Sequence[Finding]]
TITLE = "Data quality report"
SCORE_NOTE = "The score is a summary for sorting; what is wrong stands in the findings."


def to_text(entries: Sequence[Entry]) -> str:
    """Write one block a data set, for a terminal."""
    if not entries:
        return "no data analysed yet"
    lines = ["DATA QUALITY REPORT", "=" * 50]
    for metrics, findings in entries:
        lines += [
            "",
            f"Dataset: {metrics.dataset}",
            f"Size: {metrics.size}, {metrics.dtype}",
            f"Quality score: {metrics.quality_score:.1f}/100",
            f"NaN: {metrics.nan_percentage:.3g} %, Inf: {metrics.inf_percentage:.3g} %",
        ]
        if metrics.requires_correction:
            lines.append(f"Correction required, recommended strategy: {metrics.recommended_strategy}")
        lines += [f"  {finding.severity.upper():8s}{finding.message}" for finding in findings]
        if not findings:
            lines.append("  nothing found")
    return "\n".join(lines)


def to_json(entries: Sequence[Entry]) -> str:
    """Write everything as one JSON object; values that are not finite become null."""
    return json.dumps(as_object(entries), indent=2, ensure_ascii=False, allow_nan=False)


def as_object(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the report as plain values."""
    analyses = [
        {**metrics.as_dict(), "findings": [_plain(finding) for finding in findings]} for metrics, findings in entries
    ]
    return {"schema_version": 1, "analyses": finite(analyses)}


def _plain(finding: Finding) -> dict[str, Any]:
    return {**finding.to_dict("rule", "severity", "where", "message", "limit"), "value": finding.actual}


def to_html(entries: Sequence[Entry], more: Sequence[Section] = (), *, strict: bool = False) -> str:
    """Write one self-contained page.

    Args:
        entries: data sets with their findings.
        more: further sections, such as drawings.
        strict: warnings count, too.

    Raises:
        UnavailableError: Jinja2 is not installed.
    """
    sections = [_section(metrics, findings) for metrics, findings in entries]
    broken = sum(finding.severity == "error" for _, findings in entries for finding in findings)
    empty = [Section("Nothing", "No data analysed yet.")]
    verdict = Verdict("warning", "nothing analysed")
    if entries:
        verdict = _verdict(broken, sum(len(findings) for _, findings in entries), strict)
    return render(TITLE, [*(sections or empty), *more], subtitle=SCORE_NOTE, verdict=verdict)


def _verdict(broken: int, found: int, strict: bool) -> Verdict:
    if broken:
        return Verdict("bad", "FAIL", f"{plural(broken, 'limit')} broken.")
    what = f"{plural(found, 'warning')}, no limit is broken" if found else "Nothing was found"
    if found and strict:
        return Verdict("bad", "FAIL", f"{what}; warnings count, as --strict asks.")
    return Verdict("warning" if found else "good", "PASS", f"{what}.")


def _section(metrics: QualityMetrics, findings: Sequence[Finding]) -> Section:
    facts = [
        Fact("Quality score", f"{metrics.quality_score:.1f}", "of 100"),
        Fact("Missing", f"{metrics.nan_percentage + metrics.inf_percentage:.3g} %", "NaN and Inf"),
        Fact("Strategy", metrics.recommended_strategy, "recommended for what is missing"),
    ]
    if metrics.timing is not None:
        facts.append(
            Fact(
                "Rate",
                f"{metrics.timing.rate_hz:.2f} Hz",
                f"{plural(metrics.timing.n_gaps, 'gap')} in time",
            )
        )
    channels = Table(
        ("channel", "unit", "score", "NaN", "Inf", "flat %", "clipped %", "mean", "std", "min", "max"),
        [
            (
                channel.name, channel.unit, f"{channel.score:.1f}", channel.nan, channel.inf,
                f"{100 * channel.flat_share:.3g}", f"{100 * channel.saturated_share:.3g}",
                *(_shown(value) for value in (channel.mean, channel.std, channel.min, channel.max)),
            )
            for channel in metrics.channels
        ],
        "channels",
    )  # fmt: skip
    rows = [(finding.severity, finding.rule, finding.message) for finding in findings]
    found = Table(("severity", "rule", "what"), rows, "findings")
    units = [(check.sensor, check.unit, check.verdict, check.message) for check in metrics.units]
    tables = [
        *([found] if rows else []),
        channels,
        *([Table(("sensor", "unit", "verdict", "what was seen"), units, "units")] if units else []),
    ]
    text = f"{metrics.size[0].upper()}{metrics.size[1:]}, {metrics.dtype}. Analysed {shown_time(metrics.timestamp)}."
    return Section(metrics.dataset, text if rows else f"{text}\n\nNothing found.", facts, tables)


def _shown(value: float) -> float | None:
    return None if math.isnan(value) else value
