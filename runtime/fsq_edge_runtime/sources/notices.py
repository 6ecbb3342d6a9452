"""What is said of an input: facts once each, why a first window gets no label, why nothing came of a whole run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from fsq_edge_runtime.stream.records import Decision, Record

_log = logging.getLogger("fsq_edge_runtime.sources")

FIRST_WINDOWS = 20  # so many windows are looked at for one that is refused: a stream that starts well is left alone
# What a flag of a window most often means for an input that was not made for this bundle.
_MEANINGS = {
    "units": "the acceleration is not of gravity's size in the bundle's unit (m/s2 for g, or the reverse)",
    "units:gyroscope": "the rotation does not fit the bundle's unit (deg/s for rad/s, or the reverse)",
    "range": "values are beyond any sensor of the bundle's unit, as raw counts are",
    "rate": "the samples come at another rate than expected (--source-rate says which), or the times are not seconds",
    "missing": "values are missing",
    "stuck": "the channel repeats one value, as a sensor that hangs or a constant does",
    "clipped": "the channel sits at its full scale",
    "imputed": "too much of the window had to be bridged",
}


class Notices:
    """Says facts that a person should know and that are no errors, such as how a file's times were read.

    Args:
        write: called with each line; None writes to the log of this package, as a warning.

    Attributes:
        lines: what was said.
    """

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        self._write = _log.warning if write is None else write
        self._kinds: set[str] = set()
        self.lines: list[str] = []

    def say(self, kind: str, line: str) -> None:
        """Say ``line``, unless something of this kind was said before."""
        if kind in self._kinds:
            return
        self._kinds.add(kind)
        self.lines.append(line)
        self._write(line)


class HandsOnRecords(Protocol):
    """What hands on each record, as a session does."""

    on_record: Callable[[Record], None] | None


def tell_first_refusal(session: HandsOnRecords, expects: str, say: Callable[[str, str], None]) -> None:
    """Say in words why one of the first windows is refused for its quality, once.

    Args:
        session: its ``on_record`` is put back after ``FIRST_WINDOWS`` windows.
        expects: the bundle's channels with their units.
        say: takes a key and a line.
    """
    passed, seen = session.on_record, 0

    def look(record: Record) -> None:
        nonlocal seen
        if isinstance(record, Decision):
            seen += 1
            refused = record.label is None and record.missed is None and bool(record.quality)
            if refused:
                flags = "; ".join(_meaning(flag) for flag in record.quality[:3])
                say("refused", f"window {record.seq} of stream {record.stream!r} gets no label: {flags}; {expects}")
            if (refused or seen >= FIRST_WINDOWS) and session.on_record is look:
                session.on_record = passed
        if passed is not None:
            passed(record)

    session.on_record = look


def _meaning(flag: str) -> str:
    kind = flag.partition(":")[0]
    return f"{flag}: {_MEANINGS.get(flag, _MEANINGS.get(kind, 'see docs/streaming.md'))}"


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
