"""Small drawings over time that need no package: SVG elements of a fixed width, with text of 12 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from fsq_edge.report.palette import class_color, class_hatch

LINES: Final = {  # white, along the middle of a box: what stands for a pattern where the box is a few pixels high
    "////": 'stroke-width="2"',
    "...": 'stroke-width="3" stroke-dasharray="3 3"',
    "xxxx": 'stroke-width="3" stroke-dasharray="7 2"',
}
LETTER_PX: Final = 7  # of text of 12 pixels, at most on average


def svg_element(title: str, width: int, height: int, drawn: Sequence[str]) -> str:
    """Return an SVG element in the page's own text color, with a title for readers of the page aloud."""
    box = f'role="img" viewBox="0 0 {width} {height}" width="{0.75 * width:.0f}pt"'
    return f'<svg {box} fill="currentColor" font-size="12"><title>{escape(title)}</title>{"".join(drawn)}</svg>'


def svg_title(text: str, width: int) -> str:
    """Return a line of text above a drawing, cut where it would be wider than ``width`` pixels."""
    most = width // LETTER_PX
    return f'<text x="0" y="12">{escape(text if len(text) <= most else text[: most - 1] + "…")}</text>'


def svg_class(x: float, y: float, width: float, height: float, number: int, name: str) -> str:
    """Return a box in the color of a class, with lines across it where the color alone would come again.

    Args:
        x: left edge, pixels.
        y: top, pixels.
        width: pixels.
        height: pixels.
        number: of the class, from 0.
        name: of the class, for a pointer that rests on the box.
    """
    box = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{class_color(number)}">'
    drawn = f"{box}<title>{escape(name)}</title></rect>"
    dash = LINES.get(class_hatch(number))
    if dash is not None:
        middle = y + height / 2
        drawn += f'<line x1="{x:g}" x2="{x + width:g}" y1="{middle:g}" y2="{middle:g}" stroke="#fff" {dash}/>'
    return drawn


def svg_span(begin: str, end: str, width: int, y: int) -> str:
    """Return the two ends of a time axis."""
    return f'<text x="0" y="{y}">{escape(begin)}</text><text x="{width}" y="{y}" text-anchor="end">{escape(end)}</text>'
