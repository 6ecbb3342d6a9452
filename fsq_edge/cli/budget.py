"""``fsq-edge budget``: how long each behaviour lasted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from fsq_edge.cli.options import default_option, path_option
from fsq_edge.cli.output import Output, output_options, table
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.files import write_file
from fsq_edge_runtime.tables.zones import open_zone

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("budget", "days", "subjects", "corrected", "truth")  # on the terminal; the rest is for files


@click.command("budget")
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@default_option("--min-bout", 0.0, click.FloatRange(min=0), "Shortest bout counted, in seconds.")
@default_option("--max-break", 0.0, click.FloatRange(min=0), "Longest break in a bout, in seconds.")
@click.option("--zone", help="Add tables by day and hour of this time zone; times must be since 1970. Default: none.")
@path_option("--subjects", help="Add up by subject: a CSV file with the columns stream and subject. Default: none.")
@path_option("--truth", help="Put the true shares beside them: a CSV file with start, end, label and, for several "
             "streams, stream; or a dataset folder with labels. Default: none.")  # fmt: skip
@path_option("--correction-out", help="With --truth: write how often each true class got each answer, for "
             "--correction. Default: none.")  # fmt: skip
@path_option("--correction", help="Correct the shares by such a file, with an interval. Default: none.")
@path_option("--csv", "folder", help="Write one CSV file a table into this folder. Default: none.")
@path_option("--html", help="Write a page with tables, ethogram and actogram. Default: none.")
@path_option("--svg", help="Write the pictures of that page into this folder. Default: none.")
@output_options
def command(
    logs: tuple[Path, ...],
    min_bout: float,
    max_break: float,
    zone: str | None,
    subjects: Path | None,
    truth: Path | None,
    correction_out: Path | None,
    correction: Path | None,
    folder: Path | None,
    html: Path | None,
    svg: Path | None,
    output: Output,
) -> None:
    """Add up how long each behaviour lasted, a stream at a time, in logs of run or output folders of score.

    LOG is a JSON-lines file, a Parquet file, a folder of Parquet files, or a folder that score wrote, whose streams are
    its recordings. The time without an answer (abstained, missed, no data) stands beside every share, and all shares
    add up to 100 %.
    """
    if zone is not None:
        try:
            open_zone(zone)
        except ValueError as error:
            raise UsageError(f"--zone: {error}", hint="give an IANA name, for example --zone Europe/Berlin") from error
    if correction_out is not None and truth is None:
        raise UsageError("--correction-out needs --truth", hint="--truth FILE, with start, end and label")
    need("pandas", "data", "budget")
    if html is not None or svg is not None:
        need("matplotlib", "report", "a picture")
        need("jinja2", "report", "an HTML report")
    from fsq_edge.budget import Correction, read_decisions, read_truth
    from fsq_edge.budget.truth import compare

    pieces = read_decisions(logs)
    tables = _tables(pieces, min_bout, max_break, zone, subjects)
    if truth is not None:
        labelled = read_truth(truth, list(pieces["stream"].unique()))
        tables["truth"] = compare(pieces, labelled)
        if correction_out is not None:
            write_file(correction_out, Correction.measure(pieces, labelled).to_json().encode())
    if correction is not None:
        from fsq_edge.budget import correct

        tables["corrected"] = correct(pieces, Correction.load(correction))
    _write(pieces, tables, zone, _classes(logs), folder, html, svg)
    for name in SHOWN:
        if name in tables:
            rows = tables[name].round(2)
            # What one bout does not have, such as a standard deviation, is NaN: its cell stays empty.
            lines = [
                tuple("" if cell != cell else escape(str(cell)) for cell in row) for row in rows.itertuples(index=False)
            ]
            output.print(table(f"{name}:", tuple(rows.columns), lines))
    records = {name: json.loads(rows.to_json(orient="records")) for name, rows in tables.items()}
    output.write_json({"schema_version": 1, **records})


def _tables(
    pieces: pd.DataFrame, min_bout: float, max_break: float, zone: str | None, subjects: Path | None
) -> dict[str, pd.DataFrame]:
    from fsq_edge.budget import bouts, day_shares, hour_shares, read_subjects, subject_budget, time_budget, transitions

    tables = {"budget": time_budget(pieces, min_bout, max_break), "bouts": bouts(pieces, min_bout, max_break)}
    tables["transitions"] = transitions(pieces)
    if zone is not None:
        tables |= {"days": day_shares(pieces, zone), "hours": hour_shares(pieces, zone)}
    if subjects is not None:
        tables["subjects"] = subject_budget(tables["budget"], read_subjects(subjects))
    return tables


def _classes(logs: Sequence[Path]) -> tuple[str, ...]:
    """Return the classes of the bundle that scored the first folder; a log of ``run`` does not say them."""
    from fsq_edge.scoring.entry import HEADER
    from fsq_edge.scoring.folder import read_header

    root = next((log for log in logs if (log / HEADER).is_file()), None)
    return () if root is None else read_header(root).classes


def _write(
    pieces: pd.DataFrame,
    tables: dict[str, pd.DataFrame],
    zone: str | None,
    classes: tuple[str, ...],
    folder: Path | None,
    html: Path | None,
    svg: Path | None,
) -> None:
    if folder is not None:
        folder.mkdir(exist_ok=True)
        for name, rows in tables.items():
            write_file(folder / f"{name}.csv", rows.to_csv(index=False).encode())
    if html is None and svg is None:
        return
    from fsq_edge.budget.page import make_page, make_pictures

    pictures = make_pictures(pieces, tables, zone, classes)
    if html is not None:
        write_file(html, make_page(pieces, tables, pictures, zone).encode())
    for picture in [picture for group in pictures.values() for picture in group] if svg is not None else ():
        write_file((svg or Path()) / f"{picture.name}.svg", picture.file_bytes())
