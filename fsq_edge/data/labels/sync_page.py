"""The page of ``data sync``: each recording's energy with its candidates and label borders, as HTML and PNG."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np

from fsq_edge.data.importing.packages import need_package
from fsq_edge.data.labels.sync import GRID_HZ, SyncEntry
from fsq_edge.report.document import Cell, Section, Table
from fsq_edge.report.html import render
from fsq_edge.report.palette import PALETTE
from fsq_edge.report.parts import Picture, Verdict, plural
from fsq_edge.report.strip import svg_element, svg_span, svg_title
from fsq_edge.report.times import elapsed

WIDTH, ZOOM_WIDTH, ZOOM_S = 1080, 348, 5.0  # pixels: as wide as a page, and as a phone
TOP, BOTTOM = 18, 110  # pixels of the drawing
MAX_DRAWN_BYTES = 1_500_000  # of all pictures of a page


def sync_html(entries: Sequence[SyncEntry]) -> str:
    """Return the page: each whole recording, then five seconds around each candidate, as many as it may hold.

    Raises:
        UnavailableError: Jinja2 is not installed.
    """
    proposed = sum(len(entry.anchors) for entry in entries)
    verdict = Verdict("warning", "no anchor proposed", "Give `--reference`, or read the anchors from the pictures.")
    if proposed:
        verdict = Verdict("good", f"{plural(proposed, 'anchor')} proposed", "Nothing was applied.")
    columns = ("recording", "subject", "length", "bursts", "proposed anchors")
    text = (
        "Energy of the signal, as a share of the largest in the picture, over seconds from the first sample. Red, "
        "dashed: bursts such as shakes and taps; the time of a burst is the SENSOR of an anchor. Green: where labels "
        "begin."
    )
    pictures, used, left = [], 0, 0
    for image in (image for entry in sorted(entries, key=_is_quiet) for image in _images(entry)):
        used += len(image)
        if used <= MAX_DRAWN_BYTES:
            pictures.append(Picture(image))
        else:
            left += 1
    sections = [
        Section("Recordings", tables=[Table(columns, [_row(entry) for entry in entries])]),
        Section("Energy", f"{text}\n\n{plural(left, 'picture')} more are not drawn." if left else text,
                figures=pictures),
    ]  # fmt: skip
    subtitle = plural(len(entries), "recording")
    return render("Clocks of labels and sensors", sections, subtitle=subtitle, verdict=verdict)


def _is_quiet(entry: SyncEntry) -> bool:
    return not entry.candidates  # what has a burst is drawn first


def _row(entry: SyncEntry) -> Sequence[Cell]:
    anchors = [
        f"--anchor {entry.recording}={one.label:.2f}@{one.sensor:.2f}, correlation {one.correlation:.2f}"
        for one in entry.anchors
    ]
    return (entry.recording, entry.subject, elapsed(len(entry.energy) / GRID_HZ), len(entry.candidates),
            "; ".join(anchors) or None)  # fmt: skip


def _images(entry: SyncEntry) -> Iterator[str]:
    yield _svg(entry, f"{entry.recording} (subject {entry.subject})", 0.0, len(entry.energy) / GRID_HZ, WIDTH)
    for candidate in entry.candidates:
        title = f"burst at {candidate.at:.2f} s, {entry.recording}"
        yield _svg(entry, title, candidate.at - ZOOM_S / 2, candidate.at + ZOOM_S / 2, ZOOM_WIDTH)


def sync_png(entry: SyncEntry) -> bytes:
    """Return one recording's energy as a PNG picture.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    figure = need_package("matplotlib.figure", "drawing a PNG").Figure(figsize=(12, 2.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(np.arange(len(entry.energy)) / GRID_HZ, entry.energy, linewidth=0.6)
    for candidate in entry.candidates:
        axes.axvline(candidate.at, color="tab:red", linewidth=0.8)
    for border in entry.borders:
        axes.axvline(border, color="tab:green", linewidth=0.5)
    axes.set(title=f"{entry.recording} (subject {entry.subject})", xlabel="s from the first sample", ylabel="energy")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100, metadata={"Software": None})
    return out.getvalue()


def _svg(entry: SyncEntry, title: str, begin: float, end: float, width: int) -> str:
    """Draw the largest energy of each moment between two times."""
    first, last = max(0, int(begin * GRID_HZ)), min(len(entry.energy), int(end * GRID_HZ) + 1)
    part = entry.energy[first:last]
    bins = np.array_split(part, max(1, min(len(part), width)))
    tall = max(float(part.max(initial=0.0)), 1e-12)
    high = " ".join(
        f"{(first / GRID_HZ + i * len(part) / len(bins) / GRID_HZ - begin) / (end - begin) * width:.1f},"
        f"{BOTTOM - float(values.max(initial=0.0)) / tall * (BOTTOM - TOP):.1f}"
        for i, values in enumerate(bins)
    )
    drawn = [
        svg_title(title, width),
        f'<polyline points="{high}" fill="none" stroke="{PALETTE[0]}"/>',
        svg_span(f"{begin:.1f} s", f"{end:.1f} s", width, BOTTOM + 16),
    ]
    marks = [(candidate.at, f'{PALETTE[5]}" stroke-dasharray="4 3') for candidate in entry.candidates]
    for at, color in (*marks, *((at, PALETTE[2]) for at in entry.borders)):
        if begin <= at <= end:
            x = (at - begin) / (end - begin) * width
            drawn.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{BOTTOM}" stroke="{color}"/>')
    return svg_element(f"Energy of {entry.recording}", width, BOTTOM + 20, drawn)
