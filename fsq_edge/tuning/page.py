"""What ``tune`` found as pictures and as one self-contained page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from fsq_edge.report.canvas import INK, PALETTE, STYLE, legend_above, new_figure, svg_text
from fsq_edge.report.document import Cell, Section, Table
from fsq_edge.report.html import render
from fsq_edge.report.parts import Fact, Picture, Verdict
from fsq_edge.tuning.scores import front_table, score_table, seconds, settings_text
from fsq_edge.tuning.search import SearchResult
from fsq_edge.tuning.tune import Tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fsq_edge_runtime.bundle.event_report import EventReport, EventScore

TITLE = "False events per hour against added onset delay"
SHOWN_DELAY_S = 2.5  # beyond it nobody looks
FLATTERING = (
    "The settings were chosen by the recordings fitted on, and the network was trained on some of them: their figures "
    "(fit) flatter. What counts is the score on the recordings reported on."
)


def pareto_figure(result: SearchResult, chosen: int | None) -> Figure:
    """Draw every setting by added delay and false events, and the front by its misses."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(7.0, 4.2)
        delay, false = result.added_delay_s, result.false_per_hour
        extra = result.missed - result.missed[0]
        axes.plot(delay, false, ".", color="#88888888", markersize=3, label="a setting", zorder=1)
        front = result.front
        for color, label, some in (
            (PALETTE[0], "front, no more missed than raw", front[extra[front] <= 0]),
            (PALETTE[1], "front, more missed", front[extra[front] > 0]),
        ):
            if len(some):
                axes.plot(delay[some], false[some], "o", color=color, markersize=5, label=label, zorder=2)
        axes.plot(delay[:1], false[:1], "D", color=PALETTE[5], markersize=8, label="raw argmax", zorder=3)
        if chosen is not None:
            mark: dict[str, Any] = {"color": PALETTE[2], "markersize": 13, "markeredgecolor": INK, "zorder": 4}
            axes.plot(delay[[chosen]], false[[chosen]], "*", label="chosen", **mark)
        axes.set_yscale("symlog", linthresh=1.0)
        axes.set_ylim(bottom=-0.3)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xlim(right=max(SHOWN_DELAY_S, float(delay[chosen or 0]) + 0.2))
        axes.set_xlabel("median added onset delay, s")
        axes.set_ylabel("false events per hour")
        axes.grid(visible=True)
        legend_above(axes, 3)
    return figure


def pareto_png(result: SearchResult, chosen: int | None) -> bytes:
    """Return the picture of :func:`pareto_figure` as PNG."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure = pareto_figure(result, chosen)
        figure.savefig(buffer, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def tune_page(tuned: Tuned, report: EventReport) -> str:
    """Return the HTML page.

    Raises:
        UnavailableError: Jinja2 is not installed.
    """
    settings = tuned.result.settings[tuned.chosen or 0]
    raw, best = report.raw, report.tuned
    ratio = best.false_per_hour / raw.false_per_hour if raw.false_per_hour else 1.0
    note = f"raw argmax {raw.false_per_hour:.1f}"
    sections = [
        Section(
            "Summary",
            f"Chosen: {settings_text(settings)}. Rule: {report.rule}.",
            facts=[
                Fact("False events per hour", f"{best.false_per_hour:.1f}", f"{note}; {ratio:.2f} of it"),
                Fact("Missed events", f"{best.missed} of {best.events}", f"raw argmax {raw.missed}"),
                Fact("Added onset delay", f"{seconds(best.added_delay_median_s) or 'n/a'} s", "median"),
            ],
        ),
        Section("Event score", FLATTERING, tables=[score_table(report)]),
        Section(
            "Pareto front",
            "Of the recordings fitted on. No setting is better than one of the front in false events, misses and "
            "delay at once. The chosen one may lie above it: the front is that of people the network knows, and the "
            "rule keeps a margin for others.",
            figures=[Picture(svg_text(pareto_figure(tuned.result, tuned.chosen), TITLE), TITLE, "pareto")],
            tables=[front_table(tuned.result, chosen=tuned.chosen)],
        ),
        Section("Classes", "Of the recordings reported on.", tables=[_classes(raw, best)]),
        Section("How it was made", tables=[Table(("what", "value"), _facts(report))]),
    ]
    subtitle = f"{report.dataset}, {report.reported_on}, hop {report.hop_samples} samples ({report.hop_ms:g} ms)"
    return render(
        "Decision settings", sections, subtitle=subtitle, notices=_notices(tuned, report),
        verdict=_verdict(tuned, report),
    )  # fmt: skip


def _verdict(tuned: Tuned, report: EventReport) -> Verdict:
    raw, best = report.raw, report.tuned
    reason = (
        f"{best.false_per_hour:.1f} false events per hour instead of {raw.false_per_hour:.1f}, {best.missed} of "
        f"{best.events} missed instead of {raw.missed}, {seconds(best.added_delay_median_s) or 'n/a'} s later."
    )
    if tuned.broken:
        return Verdict("bad", "a limit is broken", f"{'; '.join(tuned.broken)}. {reason}")
    if best.false_per_hour >= raw.false_per_hour:
        return Verdict("warning", "no fewer false events", reason)
    unseen = report.held_out is True
    known = "" if unseen else " The network may know the recordings reported on, which flatters."
    return Verdict("good" if unseen else "warning", "fewer false events", reason + known)


def _classes(raw: EventScore, best: EventScore) -> Table:
    rows: list[Sequence[Cell]] = [
        [
            name,
            one.events,
            raw.classes[name].missed,
            one.missed,
            raw.classes[name].false_events,
            one.false_events,
            seconds(raw.classes[name].delay_median_s),
            seconds(one.delay_median_s),
        ]
        for name, one in best.classes.items()
    ]
    columns = ("class", "events", "missed, raw", "missed, tuned", "false, raw", "false, tuned", "delay, raw, s",
               "delay, tuned, s")  # fmt: skip
    return Table(columns, rows)


def _facts(report: EventReport) -> list[tuple[str, Cell]]:
    known = {True: "yes", False: "no", None: "the bundle cannot tell"}
    return [
        ("recordings", f"{report.dataset}; {report.recordings}"),
        ("fitted on", report.fitted_on),
        ("reported on", report.reported_on),
        ("never seen by the network", known[report.held_out]),
        ("settings searched", report.settings_searched),
        ("intervals", "95 %, as if events were independent of each other; within a subject they are not"),
    ]


def _notices(tuned: Tuned, report: EventReport) -> list[str]:
    notices = []
    if report.recordings.startswith("stitched"):
        notices.append("Stitched: every change of activity is a joint between two recordings, not a movement.")
    if tuned.division.forced:
        notices.append(tuned.division.forced)
    return notices
