"""Learning from a wearer while it streams: windows are collected under a label, a head is fitted, judged, and put in.

Nothing is taken in that does not pass the gate of ``personalize``, and each step can be taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.feature_statistics import in_steps
from fsq_edge_runtime.personal.evidence import LabelledWindow, gather
from fsq_edge_runtime.personal.fitting import personalize
from fsq_edge_runtime.personal.overlay import Overlay

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

MOST_WINDOWS: Final = 512  # of one class; older ones make way, so that fitting stays quick
MOST_BEFORE: Final = 16  # overlays that can be gone back to; a stream may be taught for years
NO_LABEL: Final = -1


@dataclass(slots=True)
class Lesson:
    """What one stream is being taught. The classifier of a session adds the windows.

    Attributes:
        width: D, the values of ``t`` at the start of an answer.
        label: class that the wearer does now; -1 while nobody says.
        since: source time from which windows are of that class, seconds.
        stretch: counts the labels that were given.
        windows: by class, oldest first.
        before: the latest overlays that were replaced, each with the number of the last label that its successor knew.
        current: the overlay in use; None for the base head.
        added: windows since the last fit.
    """

    width: int
    label: int = NO_LABEL
    since: float = 0.0
    stretch: int = 0
    windows: dict[int, list[LabelledWindow]] = field(default_factory=dict)
    before: list[tuple[Overlay | None, int]] = field(default_factory=list)
    current: Overlay | None = None
    added: int = 0

    def see(self, code: int | None, row: Float32Array | None, start: float, end: float) -> None:
        """Take a window of the stream; code and row are None where it got no answer."""
        if self.label == NO_LABEL:
            return
        if end < self.since:  # the stream's clock was set back since the label was given
            self.begin(self.label, start)
        if start < self.since:
            return
        features = () if row is None else tuple(in_steps(row[self.width :]).astype(int).tolist())
        mine = self.windows.setdefault(self.label, [])
        mine.append(LabelledWindow(features, code, self.label, self.stretch, 0, start, end))
        del mine[:-MOST_WINDOWS]
        self.added += 1

    def begin(self, label: int, now: float) -> None:
        """From source time ``now`` on, windows are of a class, or (-1) of none."""
        self.label, self.since = label, now
        self.stretch += 1

    def fit(self, bundle: Bundle, wearer: str) -> dict[str, object]:
        """Fit to all windows taught so far; return what happened, as the facts of an ``overlay`` event.

        Cost: 40 to 60 ms of processor time for 126 to 266 windows on one core of an x86 server.
        """
        evidence = gather([window for label in sorted(self.windows) for window in self.windows[label]])
        found = personalize(bundle, evidence, wearer)
        facts: dict[str, object] = {"wearer": wearer, "windows": len(evidence), "unusable": evidence.unusable}
        self.added = 0
        if found.overlay is None:
            return {"action": "refused", **facts, "reasons": list(found.reasons)}
        self.before.append((self.current, self.stretch))
        del self.before[:-MOST_BEFORE]
        self.current = found.overlay
        gain = found.gains[0].macro_f1
        return {
            "action": "taught",
            **facts,
            "method": found.overlay.record.method,
            "macro_f1_before": round(gain.before, 3),
            "macro_f1_after": round(gain.after, 3),
        }

    def forget(self) -> dict[str, object]:
        """Return to the overlay before the last one that was taught, and drop the windows since then."""
        if not self.before:
            self.windows.clear()
            self.added = 0
            return {"action": "forgotten", "head": "base" if self.current is None else "personal", "windows": 0}
        self.current, _ = self.before.pop()
        kept = self.before[-1][1] if self.before else 0
        for label, windows in self.windows.items():
            self.windows[label] = [window for window in windows if window.recording <= kept]
        self.added = 0
        left = sum(map(len, self.windows.values()))
        return {"action": "forgotten", "head": "base" if self.current is None else "personal", "windows": left}


def class_number(bundle: Bundle, label: str) -> int:
    """Return the number of a class.

    Raises:
        UsageError: it is none of the bundle's.
    """
    if label not in bundle.classes:
        raise UsageError(
            f"{label!r} is no class of the bundle: {', '.join(bundle.classes[:12])}",
            hint="a new class is enrolled with fsq-edge personalize --new-class",
        )
    return bundle.classes.index(label)
