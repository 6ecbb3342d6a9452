"""Small drawings over time that need no package: SVG elements of a fixed width, with text of 12 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

LETTER_PX: Final = 7  # of text of 12 pixels, at most on average


def svg_element(title: str, width: int, height: int, drawn: Sequence[str]) -> str:
    """Return an SVG element in the page's own text color, with a title for readers of the page aloud."""
    box = f'role="img" viewBox="0 0 {width} {height}" width="{0.75 * width:.0f}pt"'
    return f'<svg {box} fill="currentColor" font-size="12"><title>{escape(title)}</title>{"".join(drawn)}</svg>'


def svg_title(text: str, width: int) -> str:
    """Return a line of text above a drawing, cut where it would be wider than ``width`` pixels."""
    most = width // LETTER_PX
    return f'<text x="0" y="12">{escape(text if len(text) <= most else text[: most - 1] + "…")}</text>'


def svg_span(begin: str, end: str, width: int, y: int) -> str:
    """Return the two ends of a time axis."""
    return f'<text x="0" y="{y}">{escape(begin)}</text><text x="{width}" y="{y}" text-anchor="end">{escape(end)}</text>'
