"""One recording over time: its signal, holes, labels and rate, in as many steps as a screen is wide."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np

from fsq_edge.data.recording import Dataset, Recording
from fsq_edge.data.triads import find_triads
from fsq_edge.report.document import Section, Table
from fsq_edge.report.palette import PALETTE
from fsq_edge.report.parts import Picture, plural
from fsq_edge.report.strip import svg_class, svg_element, svg_span, svg_title
from fsq_edge.report.times import elapsed
from fsq_edge_runtime.arrays import Float64Array

WIDTH = 278  # pixels of a timeline; with its margin it fits on a phone, and three stand side by side on a desk
WIDE, FEW = 1010, 3  # pixels where there are so few recordings that each has the page for itself
MARGIN, TOP, SIGNAL, LABELS, RATE = 70, 18, 60, 15, 28  # pixels
RATE_TOP = TOP + SIGNAL + LABELS
HOLE_STEPS = 3.0  # periods: a longer step between samples is drawn as a hole
MAX_DRAWN_BYTES = 1_500_000  # of all pictures of a page


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """A recording in steps of equal time.

    Args:
        begin: seconds.
        end: seconds.
        low: float64 (steps,) least value of the signal in each step; NaN where there are no samples.
        high: the greatest.
        rate_hz: measured in each step.
        label: int64 (steps,) most frequent label, -1 for none.
        holes: start and end of each, seconds.
        what: the signal drawn.
        unit: its unit.
    """

    begin: float
    end: float
    low: Float64Array
    high: Float64Array
    rate_hz: Float64Array
    label: np.typing.NDArray[np.int64]
    holes: tuple[tuple[float, float], ...]
    what: str
    unit: str


def recording_times(dataset: Dataset, recording: Recording) -> Float64Array:
    """Return the time of each sample, float64 seconds: the recording's own, else from 0 at the nominal rate."""
    if recording.timestamps is not None:
        return recording.timestamps
    return np.arange(len(recording)) / dataset.sample_rate_hz


def signal_of(dataset: Dataset, recording: Recording) -> tuple[Float64Array, str, str]:
    """Return what stands for a recording, float64 (n,), name and unit: the norm of its first triad, else a channel."""
    triads = find_triads(dataset.channels)
    if not triads:
        return recording.samples[:, 0].astype(np.float64), dataset.channels[0].name, dataset.channels[0].unit
    first = triads[0].first
    xyz = recording.samples[:, first : first + 3].astype(np.float64)
    what, unit = f"norm of {triads[0].name or triads[0].sensor}", dataset.channels[first].unit
    return np.sqrt((xyz**2).sum(axis=1)), what, unit


def make_timeline(dataset: Dataset, recording: Recording, steps: int = WIDTH) -> Timeline:
    """Return a recording's timeline."""
    times = recording_times(dataset, recording)
    signal, what, unit = signal_of(dataset, recording)
    begin, end = float(times[0]), float(max(times[-1], times[0] + 1 / dataset.sample_rate_hz))
    place = np.clip(((times - begin) / (end - begin) * steps).astype(np.int64), 0, steps - 1)
    low, high = np.full(steps, np.inf), np.full(steps, -np.inf)
    finite = np.isfinite(signal)
    np.minimum.at(low, place[finite], signal[finite])
    np.maximum.at(high, place[finite], signal[finite])
    empty = ~np.isfinite(low)
    low[empty] = high[empty] = np.nan
    counts = np.bincount(place, minlength=steps)
    classes = len(dataset.classes) + 1
    tally = np.bincount(place * classes + recording.labels + 1, minlength=steps * classes).reshape(steps, classes)
    label = np.where(counts > 0, tally.argmax(axis=1) - 1, -1)
    step = np.diff(times)
    at = np.flatnonzero(step > HOLE_STEPS / dataset.sample_rate_hz)
    holes = tuple((float(times[i]), float(times[i + 1])) for i in at[:2000])
    return Timeline(begin, end, low, high, counts / ((end - begin) / steps), label, holes, what, unit)


def timeline_svg(timeline: Timeline, classes: tuple[str, ...], title: str, nominal_hz: float) -> str:
    """Return the timeline as an SVG element: the signal, holes in red, labels below it, the rate at the bottom.

    Each of its steps is a pixel wide.
    """
    span, width = timeline.end - timeline.begin, len(timeline.low)
    finite = np.isfinite(timeline.low)
    least = float(timeline.low[finite].min()) if finite.any() else 0.0
    most = float(timeline.high[finite].max()) if finite.any() else 1.0
    nominal = RATE_TOP + RATE - nominal_hz / _fastest(timeline, nominal_hz) * RATE
    drawn = [
        svg_title(title, width + MARGIN),
        _signal(timeline, most, SIGNAL / max(most - least, 1e-12)),
    ]
    for begin, end in timeline.holes:
        x = (begin - timeline.begin) / span * width
        wide = max(1.0, (end - begin) / span * width)
        drawn.append(f'<rect x="{x:.1f}" y="{TOP}" width="{wide:.1f}" height="{SIGNAL}" fill="#D55E00" opacity="0.4"/>')
    edges = np.flatnonzero(np.diff(timeline.label, prepend=-2, append=-2))
    for first, last in pairwise(edges):
        label = int(timeline.label[first])
        if label >= 0:
            drawn.append(svg_class(first, TOP + SIGNAL + 3, last - first, LABELS - 4, label, classes[label]))
    bottom = RATE_TOP + RATE
    drawn += [
        f'<line x1="0" x2="{width}" y1="{nominal:.1f}" y2="{nominal:.1f}" stroke="#7F7F7F"/>',
        _rate(timeline, nominal_hz),
        f'<text x="{width + 4}" y="{TOP + 10}">{most:.3g} {escape(timeline.unit)}</text>',
        f'<text x="{width + 4}" y="{TOP + SIGNAL}">{least:.3g} {escape(timeline.unit)}</text>',
        f'<text x="{width + 4}" y="{nominal + 4:.1f}">{nominal_hz:g} Hz</text>',
        svg_span("0 s" if span < 600 else "0:00", elapsed(span), width, bottom + 14),
    ]
    return svg_element(f"{title}: {timeline.what}, {timeline.unit}", width + MARGIN, bottom + 18, drawn)


def _signal(timeline: Timeline, most: float, scale: float) -> str:
    lines, begun = [], False
    for i, (low, high) in enumerate(zip(timeline.low, timeline.high, strict=True)):
        if np.isfinite(low):
            joint = "L" if begun else "M"
            lines.append(f"{joint}{i} {TOP + (most - high) * scale:.0f}V{TOP + 1 + (most - low) * scale:.0f}")
        begun = bool(np.isfinite(low))
    return f'<path d="{"".join(lines)}" stroke="{PALETTE[0]}" stroke-linejoin="round" fill="none"/>'


def _fastest(timeline: Timeline, nominal_hz: float) -> float:
    return max(float(timeline.rate_hz.max()), nominal_hz) * 1.05


def _rate(timeline: Timeline, nominal_hz: float) -> str:
    scale = RATE / _fastest(timeline, nominal_hz)
    points = " ".join(f"{i},{RATE_TOP + RATE - r * scale:.0f}" for i, r in enumerate(timeline.rate_hz))
    return f'<polyline points="{points}" stroke="{PALETTE[2]}" fill="none"/>'


def _legend(classes: tuple[str, ...]) -> Picture:
    """Return the colors of the labels."""
    drawn = [
        svg_class(0, 18 * i + 3, 14, 10, i, name)
        + f'<g transform="translate(20 {18 * i})">{svg_title(name, WIDTH)}</g>'
        for i, name in enumerate(classes)
    ]
    return Picture(svg_element("Colors of the labels", WIDTH + MARGIN, 18 * len(classes) + 2, drawn))


def timeline_section(dataset: Dataset) -> Section:
    """Return the section that lists every recording, and draws as many as ``MAX_DRAWN_BYTES`` hold."""
    labelled = any((recording.labels >= 0).any() for recording in dataset.recordings)
    legend = [_legend(dataset.classes)] if labelled else []
    pictures: list[Picture] = []
    rows, used = [], 0
    steps = WIDE if len(dataset.recordings) <= FEW else WIDTH
    for recording in dataset.recordings:
        timeline = make_timeline(dataset, recording, steps)
        missing = 100 * float(1 - np.isfinite(recording.samples).all(axis=1).mean())
        names = [dataset.classes[at] for at in np.unique(recording.labels[recording.labels >= 0])]
        span = timeline.end - timeline.begin
        recorded = max(span - sum(end - begin for begin, end in timeline.holes), 1 / dataset.sample_rate_hz)
        rows.append((
            recording.recording_id, recording.subject, elapsed(span), f"{len(recording) / recorded:.1f}",
            len(timeline.holes), f"{missing:.2g}", ", ".join(names) or None,
        ))  # fmt: skip
        title = f"{recording.recording_id} (subject {recording.subject})"
        if used <= MAX_DRAWN_BYTES:
            image = timeline_svg(timeline, dataset.classes, title, dataset.sample_rate_hz)
            used += len(image)
            pictures.append(Picture(image))
    what = ", ".join(signal_of(dataset, dataset.recordings[0])[1:]) if dataset.recordings else "the signal"
    text = (
        f"Each picture from above: the signal ({what}) from its least to its largest value with holes in red, the "
        "labels, and the measured rate beside the nominal one, all over time."
    )
    more = len(dataset.recordings) - len(pictures)
    columns = ("recording", "subject", "length", "rate, Hz", "holes", "missing, %", "labels")
    return Section(
        "Recordings", f"{text}\n\n{plural(more, 'recording')} more are not drawn." if more else text,
        tables=[Table(columns, rows)], figures=[*legend, *pictures],
    )  # fmt: skip
