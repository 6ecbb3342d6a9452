"""``fsq-edge data sync``: find where the clocks of labels and sensors meet; it proposes and applies nothing."""

from __future__ import annotations

from pathlib import Path

import click

from fsq_edge.cli.options import default_option, path_option
from fsq_edge.cli.output import Output, output_options, table, write_text
from fsq_edge.cli.workstation_options import files_option
from fsq_edge_runtime.files import write_file


@click.command("sync")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@files_option("--intervals", help="A label file whose borders are drawn; give the option once for each.")
@path_option(
    "--reference",
    help="A table of time and value on the labels' clock, such as the loudness or movement of the video.",
)
@click.option("--recording", default="", help="Recording that the reference belongs to (default: the only one).")
@default_option("--search", 600.0, click.FloatRange(1, 86_400), "The clocks differ by at most this many seconds.")
@default_option("--candidates", 10, click.IntRange(1, 100), "Bursts that are shown for each recording.")
@path_option("--html", "html_to", help="Write the page here.")
@path_option("--png", "png_to", help="Write one PNG picture for each recording into this folder.")
@output_options
def sync_command(
    folder: Path,
    intervals: tuple[Path, ...],
    reference: Path | None,
    recording: str,
    search: float,
    candidates: int,
    html_to: Path | None,
    png_to: Path | None,
    output: Output,
) -> None:
    """Show shakes and taps of a dataset folder's recordings, and propose anchors; nothing is changed.

    A shake that the video shows gives an anchor by eye: data label DIR --anchor REC=VIDEO@SENSOR. With --reference the
    anchors are proposed by cross-correlation near its begin and its end.
    """
    from fsq_edge.data.labels.sync import make_entries
    from fsq_edge.data.labels.sync_page import sync_html, sync_png

    entries = make_entries(folder, intervals, reference, recording, search, candidates)
    for entry in entries:
        rows = [(f"{candidate.at:.2f}", f"{candidate.strength:.0f}") for candidate in entry.candidates]
        output.print(table(f"{entry.recording}: bursts", ["s from the start", "strength"], rows))
        for anchor in entry.anchors:
            option = f"--anchor {entry.recording}={anchor.label:.2f}@{anchor.sensor:.2f}"
            output.say(f"{option}  correlation {anchor.correlation:.2f}")
        if reference is not None and not entry.anchors:
            output.say(f"{entry.recording}: no anchor is proposed, the reference agrees nowhere")
    if html_to is not None:
        write_text(html_to, sync_html(entries))
    if png_to is not None:
        for entry in entries:
            write_file(png_to / f"{entry.recording.replace('/', '-')}.png", sync_png(entry))
    result = [
        {
            "recording": entry.recording,
            "subject": entry.subject,
            "candidates": [{"at": c.at, "strength": c.strength} for c in entry.candidates],
            "anchors": [{"label": a.label, "sensor": a.sensor, "correlation": a.correlation} for a in entry.anchors],
        }
        for entry in entries
    ]
    output.write_json({"schema_version": 1, "applied": False, "recordings": result})
