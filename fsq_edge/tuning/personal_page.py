"""What ``personalize`` found, as one page: is it better beyond noise, by how much, and for which classes?"""

from __future__ import annotations

from fsq_edge.report.document import Section, Table
from fsq_edge.report.html import render
from fsq_edge.report.parts import Verdict, plural
from fsq_edge_runtime.personal.fitting import Personalization
from fsq_edge_runtime.scores import Interval

CLASS_COLUMNS = ("class", "windows", "recall before", "recall after", "now taken for")
HELD_OUT = (
    "Windows that the personal head was not fitted to. **Better** is the gain with its 95 % interval: above 0, it is "
    "more than noise. **Log loss** also tells small differences that no label shows."
)


def personal_page(found: Personalization, bundle: str, wearer: str) -> str:
    """Return the page of a personalization, or of its refusal.

    Args:
        found: what fitting found.
        bundle: file name.
        wearer: id.

    Raises:
        UnavailableError: Jinja2 is not installed.
    """
    rows = [
        (gain.held_out, gain.windows, name, f"{change.before:.3f}", f"{change.after:.3f}", _between(change.better))
        for gain in found.gains
        for name, change in (("macro-F1", gain.macro_f1), ("log loss", gain.log_loss))
    ]
    gains = Table(("held out", "windows", "measure", "before", "after", "better, 95 %"), rows)
    sections = [Section("Gain", HELD_OUT, tables=[gains])] if rows else []
    if classes := class_rows(found):
        sections.append(Section("Classes", "On held-out blocks of time.", tables=[Table(CLASS_COLUMNS, classes)]))
    sections.append(Section("Fit", tables=[Table(("what", "value"), _facts(found))]))
    return render("Personal head", sections, subtitle=f"{bundle} for wearer {wearer}", verdict=_verdict(found))


def _verdict(found: Personalization) -> Verdict:
    said = "; ".join(found.reasons)
    if found.overlay is None:
        return Verdict("bad", "refused", f"{said}. The bundle's own head stays.")
    gain = found.gains[0] if found.gains else None
    better = "" if gain is None else (
        f"Macro-F1 {gain.macro_f1.before:.3f} before, {gain.macro_f1.after:.3f} after, on "
        f"{plural(gain.windows, 'held-out window')}."
    )  # fmt: skip
    return Verdict("warning", "forced", f"{said}. {better}") if said else Verdict("good", "helps", better)


def _between(interval: Interval) -> str:
    return f"{interval.low:+.3f} to {interval.high:+.3f}"


def _facts(found: Personalization) -> list[tuple[str, str]]:
    counts = found.to_dict()["windows"]
    windows = ", ".join(f"{name} {count}" for name, count in counts.items())
    facts = [("windows", windows), ("unusable windows", str(found.evidence.unusable))]
    if found.choice is not None:
        facts += [("method", f"{found.choice.method}, strength {found.choice.strength:g}")]
        facts += [("ways to fit that were tried", str(len(found.tried)))]
    return facts


def class_rows(found: Personalization) -> list[tuple[str, ...]]:
    """Return ``CLASS_COLUMNS`` of every class that held-out blocks have."""
    rows: list[tuple[str, ...]] = []
    for label, name in enumerate(found.classes):
        before, after = found.confusion_before[label], found.confusion_after[label]
        if not after.sum():
            continue
        wrong = sorted(((int(count), other) for other, count in enumerate(after) if other != label and count),
                       reverse=True)[:2]  # fmt: skip
        rows.append((
            name, str(int(after.sum())), f"{before[label] / before.sum():.0%}", f"{after[label] / after.sum():.0%}",
            ", ".join(f"{found.classes[other]} {count}" for count, other in wrong) or "–",
        ))  # fmt: skip
    return rows
