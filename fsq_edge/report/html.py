"""The HTML shell of every report: one file, no scripts, nothing fetched, readable on light, dark and paper."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING

from fsq_edge.report.document import Section, shown_cells
from fsq_edge.report.parts import Picture, Verdict
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.made import made_line

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATE = "report.html"
LOOK = "checker/page/look.css"  # of fsq_edge_compile, whose page of the check needs no template engine
SIBLINGS = ("<!-- other reports -->", "<!-- end of them -->")  # between them a page of a folder links to the others
# Of a section, and of a table: the most that are shown at once, and how many are where there are more. The rest is
# behind a click.
AT_ONCE = {"rows": (40, 20), "tables": (4, 2), "pictures": (8, 6)}
_WIDTH = re.compile(r'<svg [^>]*?width="([\d.]+)pt"')
LEAST_SCALE = 0.93  # of a chart's own size: its text of 9 points then has 11 pixels on a phone, where the chart scrolls
_INLINE = re.compile(r"`([^`]+)`|\*\*(.+?)\*\*|\[([^\]]+)\]\((https?://[^\s)]+|[\w./#-]+)\)")
SHORT_CODE = 24  # letters: such code, an option as a rule, is never broken over two lines
_PERCENT, _UNIT = re.compile(r"(?<=\d) ?%"), re.compile(r"(?<=\d) (?=(?:[nµm]?s|min|h|d|Hz|g|[kKMG]i?B|points)\b)")
_LINK = re.compile(r"\[[^\]]+\]\([\w./#-]+\)")
_BASE64 = re.compile(r"^[A-Za-z0-9+/\s]+={0,2}\s*$")


def render(
    title: str,
    sections: Sequence[Section],
    *,
    verdict: Verdict,
    subtitle: str = "",
    notices: Sequence[str] = (),
) -> str:
    """Render a report as one self-contained page.

    Args:
        title: of the page; plain text.
        sections: parts in order. All text is escaped; only pictures are taken as they are.
        verdict: what the page says in one line.
        subtitle: one line below the title.
        notices: what nobody may overlook, shown in boxes above all else.

    Returns:
        HTML, UTF-8, without any reference to another file or host.

    Raises:
        UnavailableError: Jinja2 is not installed.
        ValueError: a picture is neither an ``<svg>`` element nor base64; a row has not as many cells as columns.
    """
    jinja2 = need("jinja2", "report", "an HTML report")
    source = resources.files(__package__).joinpath("templates", TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(rich_text=_rich_text, slug=_slug, picture=_picture, shown=shown_cells)
    environment.filters.update(cell=_cell, at_once=_at_once, line=_line)
    look = resources.files("fsq_edge_compile").joinpath(LOOK).read_text(encoding="utf-8")
    parts = {"notices": list(notices), "sections": list(sections), "verdict": verdict, "made": made_line()}
    page = environment.from_string(source)
    return str(page.render(title=title, subtitle=subtitle, look=look, siblings="".join(SIBLINGS), **parts))


def _at_once(items: Sequence[object], what: str) -> int:
    """Return how many are shown without a click."""
    most, fewer = AT_ONCE[what]
    return len(items) if len(items) <= most else fewer


def _cell(text: str) -> Markup:
    """Turn a cell into text with line breaks where a long name may break; a cell that is one link stays one."""
    from markupsafe import Markup

    return Markup(_inline(text)) if _LINK.fullmatch(text) else Markup(_escaped(text))  # noqa: S704 - escaped below


def _line(text: str) -> Markup:
    """Turn one line of the little Markdown into text."""
    from markupsafe import Markup

    return Markup(_inline(text))  # noqa: S704 - escaped piece by piece


def _escaped(text: str) -> str:
    """Return text as HTML; a number and the unit behind it stay on one line, and percent is written in one way."""
    from markupsafe import escape

    return _UNIT.sub("\u00a0", _PERCENT.sub("\u00a0%", str(escape(text))))


def _rich_text(text: str) -> Markup:
    """Turn the little Markdown that sections use into paragraphs and lists."""
    from markupsafe import Markup

    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.splitlines()
        if all(line.startswith("- ") for line in lines):
            items = "".join(f"<li>{_inline(line[2:])}</li>" for line in lines)
            blocks.append(f"<ul>{items}</ul>")
        elif block:
            blocks.append(f"<p>{_inline(' '.join(lines))}</p>")
    return Markup("\n".join(blocks))  # noqa: S704 - every piece was escaped by _inline


def _inline(text: str) -> str:
    from markupsafe import escape

    parts, end = [], 0
    for match in _INLINE.finditer(text):
        code, bold, label, address = match.groups()
        parts.append(_escaped(text[end : match.start()]))
        if code is not None:
            kind = ' class="long"' if len(code) > SHORT_CODE else ""
            parts.append(f"<code{kind}>{escape(code)}</code>")
        elif bold is not None:
            parts.append(f"<strong>{_escaped(bold)}</strong>")
        else:
            parts.append(f'<a href="{escape(address)}">{escape(label)}</a>')
        end = match.end()
    parts.append(_escaped(text[end:]))
    return "".join(parts)


def _slug(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") or "section"


def _picture(picture: Picture) -> Markup:
    from markupsafe import Markup, escape

    image = picture.image.strip()
    if picture.is_svg:
        width = _WIDTH.match(image)
        if width:
            least = f'<svg style="min-width: {LEAST_SCALE * float(width[1]):.0f}pt" '
            image = image.replace("<svg ", least, 1)
        return Markup(image)  # noqa: S704 - made by this package's figures, whose texts are escaped there
    if not _BASE64.match(image):
        raise ValueError("a picture must be an <svg> element or a PNG in base64")
    return Markup(  # noqa: S704 - base64 only, checked above
        f'<img alt="{escape(picture.caption)}" src="data:image/png;base64,{"".join(image.split())}">'
    )
