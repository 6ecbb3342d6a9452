"""A run that ends well must not end without a word when nothing came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def explain_silence(facts: Mapping[str, Any], window_s: float, max_gap_s: float) -> str:
    """Return why a run gave no window or no label, one line; empty where it gave one.

    Args:
        facts: of the ``end`` record: the counters, and those of the ``sources``.
        window_s: length of a window.
        max_gap_s: longest gap that a window may hold.
    """
    received, windows = int(facts.get("received", 0)), int(facts.get("windows", 0))
    if windows:
        return _unlabelled(facts, windows)
    malformed = _sum(facts.get("sources", ()), "malformed")
    if not received:
        lines = f"; {malformed} lines, messages or packets could not be read" if malformed else ""
        return f"no sample came, so there is no window{lines}"
    said = [f"no window became due: {received} samples came"]
    segments = int(facts.get("segments", 0))
    if segments > 1:
        said.append(
            f"they fell into {segments} stretches, each shorter than a window of {window_s:g} s "
            f"({facts.get('gaps', 0)} gaps of more than {max_gap_s:g} s, {facts.get('clock_jumps', 0)} steps back)"
        )
    else:
        said.append(f"a window needs {window_s:g} s")
    for name, words in (
        ("duplicate", "repeat a timestamp"),
        ("late", "came late"),
        ("bad_time", "have no finite time"),
        ("paused", "came during a pause"),
        ("overrun", "were too many to take"),
    ):
        if count := int(facts.get(name, 0)):
            said.append(f"{count} {words}")
    if malformed:
        said.append(f"{malformed} lines, messages or packets could not be read")
    return "; ".join(said)


def _unlabelled(facts: Mapping[str, Any], windows: int) -> str:
    if int(facts.get("decided", 0)):
        return ""
    abstained, missed = int(facts.get("abstained", 0)), int(facts.get("missed", 0))
    parts = [f"{abstained} abstained, `quality` of each says why"] if abstained else []
    parts += [f"{missed} were missed, `reason` of each says why"] if missed else []
    return f"none of {windows} windows got a label: " + ", ".join(parts or ["none was answered"])


def _sum(sources: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(int(source.get(name, 0)) for source in sources)
