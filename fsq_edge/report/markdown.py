"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from fsq_edge.report.document import Section, Table, cell_text
from fsq_edge.report.parts import Fact


def to_markdown(title: str, sections: Sequence[Section], *, subtitle: str = "", notices: Sequence[str] = ()) -> str:
    """Write a report as Markdown.

    Args:
        title: first-level heading.
        sections: second-level parts.
        subtitle: one line below the title.
        notices: what nobody may overlook, each one line; written as quotations above all else.

    Returns:
        UTF-8 text that ends with a line feed.
    """
    parts = [f"# {title}", subtitle, *(f"> **{notice}**" for notice in notices)]
    for section in sections:
        parts += [f"## {section.heading}", section.text.strip()]
        parts.append("\n".join(_fact_line(fact) for fact in section.facts))
        for table in section.tables:
            parts += [f"**{table.caption}**" if table.caption else "", _markdown_table(table)]
        parts += [f"![{picture.caption}]({picture.file_name})" for picture in section.figures if picture.name]
    return "\n\n".join(part for part in parts if part) + "\n"


def _fact_line(fact: Fact) -> str:
    return f"- **{fact.name}**: {fact.value}" + (f" ({fact.note})" if fact.note else "")


def _markdown_table(table: Table) -> str:
    lines = [[_escaped(name) for name in table.columns], ["---"] * len(table.columns)]
    lines += [[_escaped(cell_text(cell)) for cell in row] for row in table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
