"""``fsq-edge picture``: a report as a PNG picture."""

from __future__ import annotations

from pathlib import Path

import click

from fsq_edge.cli.options import default_option, path_option
from fsq_edge.cli.output import Output, output_options, require_folder
from fsq_edge.report.browser import page_png
from fsq_edge.report.index import HEAD_BYTES, MAX_PAGE_BYTES
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import read_bounded, write_file


@click.command(
    "picture",
    epilog="Exit codes: 0 written; 65 PAGE is no report of fsq-edge; 66 it is missing; 69 there is no Chromium "
    "(apt install chromium).",
)
@click.argument("page", type=click.Path(path_type=Path))
@path_option("--out", metavar="FILE", help="Write the picture to this file. Default: PAGE with the ending .png.")
@default_option("--width", 1280, click.IntRange(320, 3840), "Width of the window, in pixels.")
@click.option("--dark", is_flag=True, help="Draw it as on a dark screen.")
@output_options
def command(page: Path, out: Path | None, width: int, dark: bool, output: Output) -> None:
    """Draw PAGE, a report that any verb wrote, as a PNG picture.

    The picture shows the whole page, at most 16,384 pixels of it, as an installed Chromium draws it. What is behind a
    click stays there.
    """
    content = read_bounded(page, MAX_PAGE_BYTES)
    if b'<meta name="fsq-edge-title"' not in content[:HEAD_BYTES]:
        raise DataError(f"{page} is no report of fsq-edge", hint="give a page such as BUILD/check.html")
    target = out or page.with_suffix(".png")
    require_folder(target)
    picture = page_png(page, width=width, dark=dark)
    write_file(target, picture)
    output.say(f"wrote {target}, {len(picture):,} bytes")
    output.write_json({"schema_version": 1, "page": str(page), "picture": str(target), "bytes": len(picture)})
