"""The budget as one page: what was measured, how much is not known, and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from fsq_edge.budget.decisions import ABSTAINED, MISSED
from fsq_edge.budget.figures import Colors, actogram, budget_bars, ethogram
from fsq_edge.budget.shares import UNCOVERED
from fsq_edge.report.document import Cell, Section, Table
from fsq_edge.report.html import render
from fsq_edge.report.parts import Fact, Picture, Verdict, plural
from fsq_edge.report.times import duration

MOST_STREAMS = 12  # that have pictures of their own
MOST_ROWS = 400
WITHOUT_ANSWER = (ABSTAINED, MISSED, UNCOVERED)
MUCH_UNKNOWN = 20.0  # percent without an answer from which on the page says so on top
HEADINGS = {
    "stream": "stream", "state": "behavior", "count": "bouts", "total_s": "total, s", "percent": "percent",
    "mean_s": "mean bout, s", "sd_s": "sd, s", "between_s": "between bouts, s", "true_s": "true, s",
    "true_percent": "true percent", "agreed_s": "agreed, s", "corrected": "corrected percent",
    "low": "from", "high": "to", "sd": "sd over subjects", "next": "followed by", "share": "share",
}  # fmt: skip
TEXTS = {
    "budget": "Shares are of the time from a stream's first to its last window. A decision counts for the time since "
    "the window before it, so overlapping windows count no moment twice. What has no answer stands beside the "
    "behaviors: (abstained) could not be judged, (missed) was lost, (no data) was never recorded.",
    "days": "Shares of whole calendar days; days of 23 and 25 hours have that length.",
    "subjects": "The rows of all subjects are the mean and standard deviation over subjects, each counting once.",
    "corrected": "Shares of the answered time, corrected for how often each true behavior gets each answer on labelled "
    "streams. The interval (95 %) says how far the stream of one wearer may lie from that. With fewer than three "
    "labelled streams there is none.",
    "truth": "Over the time that was labelled and that windows cover. Agreed is where both say the same at once.",
    "transitions": "Changes straight from one state to another; a change across a gap counts nothing.",
}
TITLES = {
    "budget": "Time budget", "days": "By day", "subjects": "By subject", "corrected": "Corrected shares",
    "truth": "Beside the truth", "transitions": "What follows what",
}  # fmt: skip


def make_pictures(
    pieces: pd.DataFrame, tables: Mapping[str, pd.DataFrame], zone: str | None, classes: Sequence[str] = ()
) -> dict[str, list[Picture]]:
    """Return the pictures of a page by their section; each has a file name.

    Args:
        pieces: table of ``read_decisions``.
        tables: by name; ``budget`` must be there.
        zone: of the clock; None counts from the first window.
        classes: of the bundle in their order, which gives each its color, where they are known.
    """
    colors = Colors.of(pieces, classes)
    streams = list(dict.fromkeys(pieces["stream"]))[:MOST_STREAMS]
    shown = tables["budget"][tables["budget"]["stream"].isin(streams)]
    caption = "Each bar is all the time of a stream, from its first to its last window."
    pictures = {"budget": [Picture(budget_bars(shown, colors), caption, "budget")]}
    caption = "When each behavior was decided; a pixel shows the longest one of its time."
    pictures["ethogram"] = [
        Picture(ethogram(pieces, stream, colors, zone), f"Stream {stream}. {caption}", f"ethogram-{number}")
        for number, stream in enumerate(streams)
    ]
    caption = "A row a day, in slots of five minutes, each in the color of its longest state."
    pictures["actogram"] = [
        Picture(actogram(pieces, stream, colors, zone), f"Stream {stream}. {caption}", f"actogram-{number}")
        for number, stream in enumerate(streams)
    ]
    return pictures


def make_page(
    pieces: pd.DataFrame, tables: Mapping[str, pd.DataFrame], pictures: Mapping[str, list[Picture]], zone: str | None
) -> str:
    """Return the page as HTML.

    Args:
        pieces: table of ``read_decisions``.
        tables: by name, as the CSV files.
        pictures: of ``make_pictures``.
        zone: of the calendar; None has none.

    Raises:
        UnavailableError: Jinja2 is not installed.
    """
    budget = tables["budget"]
    unknown = _unknown_percent(budget)
    sections = [Section("At a glance", facts=_facts(pieces, budget, unknown))]
    for name in ("budget", "days", "subjects", "corrected", "truth", "transitions"):
        if name in tables:
            table = _table(tables[name])
            sections.append(Section(TITLES[name], TEXTS[name], (), (table,), pictures.get(name, ())))
    sections.insert(2, Section("Ethogram", figures=pictures["ethogram"]))
    sections.insert(3, Section("Actogram", figures=pictures["actogram"]))
    notices = []
    known = f"{100 - unknown:.1f} % of the time has an answer, {unknown:.1f} % has none"
    verdict = Verdict("good", "time known", f"{known}.")
    if unknown > MUCH_UNKNOWN:
        verdict = Verdict("warning", "much is unknown", f"{known}: the true shares may differ by that much.")
    streams = pieces["stream"].nunique()
    if streams > MOST_STREAMS:
        notices.append(f"Pictures show the first {MOST_STREAMS} of {streams:,} streams; the tables have them all.")
    clock = f"clock of {zone}" if zone else "seconds of the source"
    subtitle = f"{plural(streams, 'stream')}, {clock}"
    return render("Time budget", sections, subtitle=subtitle, notices=notices, verdict=verdict)


def _facts(pieces: pd.DataFrame, budget: pd.DataFrame, unknown: float) -> list[Fact]:
    answered = budget[~budget["state"].isin(WITHOUT_ANSWER)]
    total = answered.groupby("state")["total_s"].sum().sort_values(ascending=False)
    whole = float(budget["total_s"].sum())
    facts = [
        Fact("Recorded", duration(whole), "from first to last window, all streams"),
        Fact("Without an answer", f"{unknown:.1f} %", "abstained, missed or no data"),
        Fact("Windows", f"{len(pieces):,}"),
    ]
    for name, seconds in list(total.items())[:3]:
        facts.append(Fact(str(name), f"{100 * seconds / whole:.1f} %", duration(float(seconds))))
    return facts


def _unknown_percent(budget: pd.DataFrame) -> float:
    lost = budget[budget["state"].isin(WITHOUT_ANSWER)]["total_s"].sum()
    return float(100.0 * lost / budget["total_s"].sum())


def _table(rows: pd.DataFrame) -> Table:
    left = len(rows) - MOST_ROWS
    caption = f"The first {MOST_ROWS} rows; {left:,} more are in the CSV file." if left > 0 else ""
    names = [str(name) for name in rows.columns]
    cells = [
        tuple(_cell(cell, 2 if name == "share" else 1) for name, cell in zip(names, row, strict=True))
        for row in rows.head(MOST_ROWS).itertuples(index=False)
    ]
    return Table([HEADINGS.get(name, name) for name in names], cells, caption)


def _cell(cell: object, decimals: int) -> Cell:
    if isinstance(cell, str):
        return cell
    number = float(cell)  # type: ignore[arg-type]  # every other cell is a number of pandas
    if math.isnan(number):
        return None
    return int(number) if isinstance(cell, int) else f"{number:,.{decimals}f}"
