"""The page of ``data sync``: each recording's energy with its candidates and label borders, as HTML and PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape

import numpy as np

from fsq_edge.data.importing.packages import need_package
from fsq_edge.data.labels.sync import GRID_HZ, SyncEntry

WIDTH, HEIGHT, ZOOM_S = 900, 120, 5.0


def sync_html(entries: Sequence[SyncEntry]) -> str:
    """Return the page: the whole recording, then five seconds around each candidate."""
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Clocks of labels and sensors</title>',
        "<style>body { font: 14px sans-serif; margin: 2em } svg { border: 1px solid #ccc; margin: 2px }</style>",
        "<h1>Clocks of labels and sensors</h1><p>Energy of the signal over seconds from the first sample. Red: bursts "
        "such as shakes and taps. Green: where labels begin. Nothing was applied.</p>",
    ]
    for entry in entries:
        parts.append(f"<h2>{escape(entry.recording)} (subject {escape(entry.subject)})</h2>")
        for anchor in entry.anchors:
            text = f"--anchor {entry.recording}={anchor.label:.2f}@{anchor.sensor:.2f}"
            parts.append(f"<p>proposed: <code>{escape(text)}</code>, correlation {anchor.correlation:.2f}</p>")
        parts.append(_svg(entry, 0.0, len(entry.energy) / GRID_HZ, WIDTH))
        for candidate in entry.candidates:
            parts.append(_svg(entry, candidate.at - ZOOM_S / 2, candidate.at + ZOOM_S / 2, WIDTH // 3))
    return "\n".join(parts) + "\n"


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


def _svg(entry: SyncEntry, begin: float, end: float, width: int) -> str:
    first, last = max(0, int(begin * GRID_HZ)), min(len(entry.energy), int(end * GRID_HZ) + 1)
    part = entry.energy[first:last]
    if not len(part):
        return ""
    bins = np.array_split(part, min(len(part), width))
    tall = max(float(part.max()), 1e-12)
    high = " ".join(
        f"{(first / GRID_HZ + i * len(part) / len(bins) / GRID_HZ - begin) / (end - begin) * width:.1f},"
        f"{HEIGHT - float(values.max()) / tall * (HEIGHT - 16):.1f}"
        for i, values in enumerate(bins)
    )
    drawn = [f'<polyline points="{high}" fill="none" stroke="#4477aa"/>']
    marks = [(candidate.at, "#ee6677") for candidate in entry.candidates] + [(at, "#228833") for at in entry.borders]
    for at, color in marks:
        if begin <= at <= end:
            x = (at - begin) / (end - begin) * width
            drawn.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="14" y2="{HEIGHT}" stroke="{color}"/>')
    drawn.append(f'<text x="2" y="11" font-size="11">{max(0.0, begin):.2f} to {end:.2f} s</text>')
    return f'<svg width="{width}" height="{HEIGHT}">{"".join(drawn)}</svg>'
