"""What a scored archive adds up to, as JSON and as a page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from fsq_edge.report.document import Section, Table
from fsq_edge.report.html import render
from fsq_edge.report.markdown import to_markdown
from fsq_edge.report.parts import Fact, Verdict, plural
from fsq_edge.report.times import duration
from fsq_edge.scoring.folder import read_entries, read_header
from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.files import write_file

SHOWN_FAILURES = 100
HOUR_S = 3600.0


def summarize(root: Path) -> dict[str, Any]:
    """Add up the entries of a scored archive.

    Args:
        root: output folder of ``score``.

    Returns:
        Plain JSON: ``recordings``, ``scored``, ``failed`` (name -> message), ``hours`` recorded, ``decided``,
        ``abstained``, ``missed``, ``labels`` (label -> windows, the most first), ``model``, ``bundle_sha256``.

    Raises:
        MissingInputError: it is no such folder.
        DataError: an entry is damaged.
    """
    header = read_header(root)
    windows: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    failures: dict[str, str] = {}
    scored, seconds = 0, 0.0
    for entry in read_entries(root):
        if entry.error is not None:
            failures[entry.file] = entry.error.message
            continue
        scored += 1
        seconds += entry.seconds
        windows.update(decided=entry.decided, abstained=entry.abstained, missed=entry.missed)
        labels.update(entry.labels)
    return {
        "model": header.bundle,
        "bundle_sha256": header.bundle_sha256,
        "recordings": scored + len(failures),
        "scored": scored,
        "failed": failures,
        "hours": round(seconds / HOUR_S, 6),
        **{name: windows[name] for name in ("decided", "abstained", "missed")},
        "labels": dict(sorted(labels.items(), key=lambda item: (-item[1], item[0]))),
    }


def write_summary(root: Path) -> Path:
    """Write the summary as ``summary.html``, or as ``summary.md`` where the package for pages is not installed.

    Returns:
        The path of the file.

    Raises:
        MissingInputError, DataError: as :func:`summarize`.
        UnavailableError: it cannot be written.
    """
    found = summarize(root)
    title, subtitle = f"Archive scored with {found['model']}", f"bundle {found['bundle_sha256'][:12]}"
    failed, verdict = len(found["failed"]), Verdict("good", "all scored", "Every recording has its decisions.")
    if failed or not found["recordings"]:
        reason = f"{failed} of {plural(found['recordings'], 'recording')} have no decisions."
        verdict = (
            Verdict("warning", "not all scored", reason) if found["scored"] else Verdict("bad", "none scored", reason)
        )
    sections = _sections(found)
    try:
        page, path = render(title, sections, subtitle=subtitle, verdict=verdict), root / "summary.html"
    except UnavailableError:
        notices = [verdict.reason] if verdict.state != "good" else []
        page, path = to_markdown(title, sections, subtitle=subtitle, notices=notices), root / "summary.md"
    write_file(path, page.encode())
    return path


def _sections(found: dict[str, Any]) -> list[Section]:
    windows = found["decided"] + found["abstained"] + found["missed"]
    facts = [
        Fact("Recordings", f"{found['scored']:,}", f"of {found['recordings']:,}"),
        Fact("Recorded time", duration(HOUR_S * found["hours"]), "samples at their nominal rate"),
        Fact("Windows", f"{windows:,}", f"{found['abstained']:,} abstained, {found['missed']:,} missed"),
    ]
    rows = [(label, count, f"{100 * count / max(1, windows):.1f} %") for label, count in found["labels"].items()]
    rows.append(("(abstained)", found["abstained"], f"{100 * found['abstained'] / max(1, windows):.1f} %"))
    sections = [Section("Decisions", facts=facts, tables=[Table(("label", "windows", "share"), rows)])]
    if found["failed"]:
        shown = list(found["failed"].items())[:SHOWN_FAILURES]
        more = len(found["failed"]) - len(shown)
        text = f"{more} more are in the manifest, `recordings/`." if more else ""
        sections.append(Section("Recordings without decisions", text, tables=[Table(("recording", "why"), shown)]))
    return sections
