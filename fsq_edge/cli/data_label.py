"""``fsq-edge data label``: label files of annotation tools laid over a dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsq_edge.cli.options import default_option, path_option
from fsq_edge.cli.output import Output, output_options, table
from fsq_edge.cli.workstation_options import files_option
from fsq_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from fsq_edge.data.labels.record import LabelRecord

FORMATS = ("boris", "elan", "label-studio", "audacity", "edge-impulse", "plain")


@click.command("label")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@files_option("--intervals", required=True, help="A label file; give the option once for each.")
@click.option("--format", "format_name", type=click.Choice(FORMATS), help="Format of the label files (default: seen).")
@path_option("--out", help="Write the labelled data set here (default: replace DIR, whole or not at all).")
@path_option(
    "--subjects", help="A table of two columns: file, observation or subject as written; recording or subject here."
)
@click.option(
    "--offset", multiple=True, metavar="[KEY=]S", help="Add this many seconds to the label times, of all or KEY."
)
@click.option(
    "--anchor",
    multiple=True,
    metavar="[KEY=]LABEL@SENSOR",
    help="The label time of an event and its sensor time, in seconds from the start; two of them correct drift too.",
)
@click.option(
    "--rename", multiple=True, metavar="OLD=NEW", help="Rename a label; an empty NEW leaves its intervals out."
)
@default_option("--points", 0.0, click.FloatRange(0), "Width of a point behavior in seconds; 0 leaves points out.")
@default_option("--trim", 0.0, click.FloatRange(0), "Take this many seconds off both ends of each interval.")
@default_option(
    "--overlaps", "refuse", None, "What to do: refuse, first, last, or classes in order of priority: eat,walk."
)
@click.option("--tier", multiple=True, help="Take only this tier of an ELAN document; may be given again.")
@click.option("--keep", is_flag=True, help="Keep labels that the data set has where no interval lies.")
@default_option("--window", 100, click.IntRange(1), "Samples a window, for the share of windows with two labels.")
@output_options
def label_command(
    folder: Path,
    intervals: tuple[Path, ...],
    format_name: str | None,
    out: Path | None,
    subjects: Path | None,
    offset: tuple[str, ...],
    anchor: tuple[str, ...],
    rename: tuple[str, ...],
    points: float,
    trim: float,
    overlaps: str,
    tier: tuple[str, ...],
    keep: bool,
    window: int,
    output: Output,
) -> None:
    """Label a dataset folder with files of BORIS, ELAN, Label Studio, Audacity, Edge Impulse, or start,stop,label.

    Label times are seconds from the start of the recording, or dates. Where the two clocks differ, --offset shifts and
    two --anchor also stretch; KEY is a subject, a recording or a label file. labelling.json accounts for every second.
    """
    from fsq_edge.data.labels import LabelSettings, label_folder
    from fsq_edge.data.labels.clock import clock_lines
    from fsq_edge.data.labels.matching import read_subject_table

    renames = {}
    for text in rename:
        old, found, new = text.partition("=")
        if not found:
            raise UsageError(f"--rename {text!r} is not OLD=NEW")
        renames[old] = new
    settings = LabelSettings(
        format=format_name or "",
        clocks=clock_lines(offset, anchor),
        table=read_subject_table(subjects) if subjects else {},
        renames=renames,
        point_s=points,
        trim_s=trim,
        overlaps=overlaps,
        tiers=tier,
        window_samples=window,
        keep=keep,
    )
    record = label_folder(folder, intervals, settings, out)
    _show(record, out or folder, output)
    output.write_json({"schema_version": 1, "out": str(out or folder), **record.to_dict()})


def _show(record: LabelRecord, out: Path, shown: Output) -> None:
    classes = sorted({name for entry in record.recordings for name in entry.seconds_per_class})
    subjects = sorted({entry.subject for entry in record.recordings})
    rows = []
    for subject in subjects:
        found = [entry for entry in record.recordings if entry.subject == subject]
        seconds = [sum(entry.seconds_per_class.get(name, 0.0) for entry in found) for name in classes]
        samples = sum(entry.samples for entry in found)
        free = sum(entry.unlabelled_samples for entry in found)
        rows.append([subject, *(f"{value:.1f}" for value in seconds), f"{100 * free / samples:.1f}"])
    shown.print(table("seconds per class", ["subject", *classes, "unlabelled %"], rows))
    total = [sum(getattr(entry.seconds, name) for entry in record.recordings) for name in _PARTS]
    parts = ", ".join(f"{value:.1f} {name}" for name, value in zip(_PARTS[1:], total[1:], strict=True))
    shown.say(f"{total[0]:.1f} s of intervals: {parts}")
    for clock in record.clocks:
        shown.say(f"clock of {clock.key or 'all'}: drift {clock.drift_s_per_hour:+.3f} s an hour")
    for reason, count in record.left_out.items():
        shown.say(f"{count} intervals left out: {reason}")
    share = 100 * record.mixed_window_share
    shown.say(f"{share:.1f} % of windows of {record.window_samples} samples hold two labels")
    shown.say(f"labelled {out}")


_PARTS = ("intervals", "labelled", "trimmed", "overlapping", "outside")
