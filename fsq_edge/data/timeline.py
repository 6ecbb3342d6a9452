"""One recording over time: its signal, holes, labels and rate, in as many steps as a screen is wide."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np

from fsq_edge.data.recording import Dataset, Recording
from fsq_edge.data.triads import find_triads
from fsq_edge.report.document import Picture, Section
from fsq_edge_runtime.arrays import Float64Array

STEPS = 400  # two pixels each
WIDTH, SIGNAL, RATE, LABELS = 800, 80, 40, 14
HOLE_STEPS = 3.0  # periods: a longer step between samples is drawn as a hole
MAX_DRAWN_BYTES = 1_500_000  # of all pictures of a page
# Okabe and Ito 2008: told apart with any common colour vision.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A800", "#7F7F7F")


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
    """

    begin: float
    end: float
    low: Float64Array
    high: Float64Array
    rate_hz: Float64Array
    label: np.typing.NDArray[np.int64]
    holes: tuple[tuple[float, float], ...]
    what: str


def recording_times(dataset: Dataset, recording: Recording) -> Float64Array:
    """Return the time of each sample, float64 seconds: the recording's own, else from 0 at the nominal rate."""
    if recording.timestamps is not None:
        return recording.timestamps
    return np.arange(len(recording)) / dataset.sample_rate_hz


def signal_of(dataset: Dataset, recording: Recording) -> tuple[Float64Array, str]:
    """Return what stands for a recording, float64 (n,): the norm of its first triad, else its first channel."""
    triads = find_triads(dataset.channels)
    if not triads:
        return recording.samples[:, 0].astype(np.float64), dataset.channels[0].name
    first = triads[0].first
    xyz = recording.samples[:, first : first + 3].astype(np.float64)
    return np.sqrt(
        (xyz**2).sum(axis=1)
    ), f"norm of {triads[0].name or triads[0].sensor}, {dataset.channels[first].unit}"


def make_timeline(dataset: Dataset, recording: Recording, steps: int = STEPS) -> Timeline:
    """Return a recording's timeline."""
    times = recording_times(dataset, recording)
    signal, what = signal_of(dataset, recording)
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
    return Timeline(begin, end, low, high, counts / ((end - begin) / steps), label, holes, what)


def timeline_svg(timeline: Timeline, classes: tuple[str, ...], title: str, nominal_hz: float) -> str:
    """Return the timeline as an SVG element: the signal, holes in red, labels below it, the rate at the bottom."""
    height = 18 + SIGNAL + LABELS + RATE + 8
    span = timeline.end - timeline.begin
    drawn = [f'<text x="0" y="12">{escape(title)}: {escape(timeline.what)}, {span:,.1f} s</text>']
    finite = np.isfinite(timeline.low)
    least = float(timeline.low[finite].min()) if finite.any() else 0.0
    most = float(timeline.high[finite].max()) if finite.any() else 1.0
    scale, wide = SIGNAL / max(most - least, 1e-12), WIDTH / len(timeline.low)
    lines, begun = [], False
    for i, (low, high) in enumerate(zip(timeline.low, timeline.high, strict=True)):
        if np.isfinite(low):
            joint = "L" if begun else "M"
            lines.append(f"{joint}{i * wide:g} {18 + (most - high) * scale:.0f}V{19 + (most - low) * scale:.0f}")
        begun = bool(np.isfinite(low))
    drawn.append(f'<path d="{"".join(lines)}" stroke="#0072B2" stroke-linejoin="round" fill="none"/>')
    for begin, end in timeline.holes:
        x = (begin - timeline.begin) / span * WIDTH
        width = max(1.0, (end - begin) / span * WIDTH)
        drawn.append(f'<rect x="{x:.1f}" y="18" width="{width:.1f}" height="{SIGNAL}" fill="#D55E00" opacity="0.4"/>')
    edges = np.flatnonzero(np.diff(timeline.label, prepend=-2, append=-2))
    for first, last in pairwise(edges):
        label = int(timeline.label[first])
        if label >= 0:
            drawn.append(
                f'<rect x="{first * wide:g}" y="{20 + SIGNAL}" width="{(last - first) * wide:g}" height="{LABELS - 4}" '
                f'fill="{COLORS[label % len(COLORS)]}"><title>{escape(classes[label])}</title></rect>'
            )
    top = 18 + SIGNAL + LABELS
    tall = max(float(timeline.rate_hz.max()), nominal_hz) * 1.05
    points = " ".join(f"{i * wide:g},{top + RATE - r / tall * RATE:.0f}" for i, r in enumerate(timeline.rate_hz))
    line = top + RATE - nominal_hz / tall * RATE
    drawn.append(f'<line x1="0" x2="{WIDTH}" y1="{line:.1f}" y2="{line:.1f}" stroke="#7F7F7F"/>')
    drawn.append(f'<polyline points="{points}" stroke="#009E73" fill="none"/>')
    drawn.append(f'<text x="{WIDTH + 4}" y="{line:.1f}">{nominal_hz:g} Hz</text>')
    drawn += [
        f'<text x="{WIDTH + 4}" y="28">{most:.3g}</text>',
        f'<text x="{WIDTH + 4}" y="{16 + SIGNAL}">{least:.3g}</text>',
    ]
    box = f'role="img" viewBox="0 0 {WIDTH + 70} {height}" width="{0.75 * (WIDTH + 70):.0f}pt"'
    return f'<svg {box} fill="currentColor" font-size="12"><title>{escape(title)}</title>{"".join(drawn)}</svg>'


def timeline_section(dataset: Dataset) -> Section:
    """Return the section that draws each recording, as many as ``MAX_DRAWN_BYTES`` hold."""
    pictures: list[Picture] = []
    used = 0
    for recording in dataset.recordings:
        title = f"{recording.recording_id} (subject {recording.subject})"
        image = timeline_svg(make_timeline(dataset, recording), dataset.classes, title, dataset.sample_rate_hz)
        used += len(image)
        if used > MAX_DRAWN_BYTES:
            break
        pictures.append(Picture(image))
    names = ("blue", "orange", "green", "pink", "light blue", "red", "yellow", "grey")
    labels = ", ".join(f"{name} ({names[i % len(names)]})" for i, name in enumerate(dataset.classes))
    text = (
        "Each picture from above: the signal from its least to its largest value with holes in red, the labels, and "
        f"the measured rate beside the nominal one. Labels: {labels}."
    )
    more = len(dataset.recordings) - len(pictures)
    return Section("Recordings over time", f"{text}\n\n{more} more are not drawn." if more else text, figures=pictures)
