"""What pages have beside sections and tables: a verdict, facts, pictures, and how times and counts read."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Literal

PICTURE_FOLDER = "figures"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a page says in one line, before anything else.

    Attributes:
        state: ``good``, ``warning`` or ``bad``.
        word: the verdict itself, such as ``holds``.
        reason: one sentence.
    """

    state: Literal["good", "warning", "bad"]
    word: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One number worth reading first.

    Attributes:
        name: what it is.
        value: as it is shown, with its unit.
        note: what it has to be read with: interval, n, baseline.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure.

    Attributes:
        image: one ``<svg>`` element, or a PNG in base64.
        caption: one or two sentences: what is drawn and how to read it.
        name: of the file that Markdown points to, without ending; empty leaves the picture out of Markdown.
    """

    image: str
    caption: str = ""
    name: str = ""

    @property
    def is_svg(self) -> bool:
        """Whether ``image`` is an element, not base64."""
        return self.image.lstrip().startswith("<svg")

    @property
    def file_name(self) -> str:
        """Path of the picture's file beside a Markdown report."""
        return f"{PICTURE_FOLDER}/{self.name}.{'svg' if self.is_svg else 'png'}"

    def file_bytes(self) -> bytes:
        """Return the content of that file; an SVG gets a ground and an ink of its own."""
        if self.is_svg:
            return self.image.replace("<svg ", '<svg style="background: #fff; color: #1b1f24" ', 1).encode()
        return base64.b64decode(self.image)


def plural(count: int, name: str) -> str:
    """Return a count with its noun.

    Example:
        >>> plural(1, "gap"), plural(2000, "window")
        ('1 gap', '2,000 windows')
    """
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def shown_time(made: str) -> str:
    """Return an ISO 8601 time in UTC as pages show it, to the minute.

    Example:
        >>> shown_time("2026-11-29T07:49:14+00:00")
        '2026-11-29 07:49 UTC'
    """
    return f"{made[:16].replace('T', ' ')} UTC"
