"""Colors of pages, and the look of each class: the same on every page and on the live page."""

from __future__ import annotations

# Okabe and Ito 2008, told apart with any common color vision. For their black and yellow, which vanish on a dark and on
# a light ground, stands a violet.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7048E8", "#7F7F7F")
CLASS_COLORS = 7  # of the palette; its grey is no class
HATCHES = ("", "////", "...", "xxxx")  # of every seven classes, as on the live page: a color alone would come again


def class_color(number: int) -> str:
    """Return the color of a class, as on the live page; beyond seven see :func:`class_hatch`."""
    return PALETTE[number % CLASS_COLORS]


def class_hatch(number: int) -> str:
    """Return the pattern (of matplotlib) that tells a class from the ones seven before and after it."""
    return HATCHES[number // CLASS_COLORS % len(HATCHES)]
