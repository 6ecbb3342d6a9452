"""What every figure is drawn on: style, colors, and SVG text for inlining.

Text and axes are drawn in ``currentColor``, so a page's own text colour shows through on a light and on a dark ground.
Only matplotlib's figure objects are used: no pyplot, no global state.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fsq_edge.report.palette import PALETTE as PALETTE

INK = "#010203"  # becomes currentColor; no data colour comes near it

# Any: matplotlib types its parameters by a literal of every name, which differs between releases.
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's size and colour
    "svg.hashsalt": "fsq-edge",  # the same figure gives the same bytes
    "font.size": 9,  # and nothing smaller: 12 pixels on a page
    "font.family": "sans-serif",
    "text.parse_math": False,  # a class name may hold a dollar sign
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#88888855",
    "legend.frameon": False,
}


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of this size in inches, and its one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def name_rows(axes: Axes, at: Any, names: Sequence[str], what: str) -> None:
    """Name horizontal bars, the first on top, with grid lines behind them; ``what`` is what each bar is of."""
    axes.set_yticks(at, names)
    axes.set_ylabel(what)
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def legend_above(axes: Axes, columns: int) -> None:
    """Put the legend above the axes, on the left."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2, handlelength=1.2)


def svg_text(figure: Figure, title: str) -> str:
    """Return the figure as one <svg> element on a transparent ground, with a title for readers of the page aloud."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Text stays text, so a glyph that matplotlib's font lacks is the reader's font's to draw.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    # A viewBox without width and height scales to the column it stands in.
    text = re.sub(r'^<svg ([^>]*?)width="([\d.]+)pt" height="[\d.]+pt"', r'<svg role="img" width="\2pt" \1', text)
    head, rest = text.split(">", 1)
    return f"{head}><title>{title}</title>{rest}".replace(INK, "currentColor")
