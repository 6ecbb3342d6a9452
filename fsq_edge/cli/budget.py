"""``fsq-edge budget``: how long each behaviour lasted."""

from __future__ import annotations

import json
import zoneinfo
from pathlib import Path

import click
from rich.markup import escape

from fsq_edge.cli.output import console, output_options, table, write_json
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.files import write_file


@click.command("budget")
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--min-bout", default=0.0, type=click.FloatRange(min=0), help="Shortest bout counted, s (default 0).")
@click.option("--max-break", default=0.0, type=click.FloatRange(min=0), help="Longest break in a bout, s (default 0).")
@click.option("--zone", help="Add a table a calendar day of this time zone; times must be since 1970 (default none).")
@click.option(
    "--csv",
    "folder",
    type=click.Path(path_type=Path),
    help="Write one CSV file a table into this folder (default none).",
)
@output_options
def command(
    logs: tuple[Path, ...],
    min_bout: float,
    max_break: float,
    zone: str | None,
    folder: Path | None,
    json_to: str | None,
    quiet: bool,
) -> None:
    """Add up how long each behaviour lasted, a stream at a time, in logs of run or output folders of score.

    LOG is a JSON-lines file, or a folder that score wrote, whose streams are its recordings. The time without an answer
    (abstained, missed, no data) stands beside every share, and all shares add up to 100 %.
    """
    if zone is not None and zone not in zoneinfo.available_timezones():
        raise UsageError(f"unknown time zone {zone!r}", hint="give an IANA name, for example --zone Europe/Berlin")
    need("pandas", "data", "budget")
    from fsq_edge.budget import bouts, day_shares, read_decisions, time_budget, transitions

    pieces = read_decisions(logs)
    tables = {"budget": time_budget(pieces, min_bout, max_break), "bouts": bouts(pieces, min_bout, max_break)}
    tables["transitions"] = transitions(pieces)
    if zone is not None:
        tables["days"] = day_shares(pieces, zone)
    if folder is not None:
        folder.mkdir(exist_ok=True)
        for name, rows in tables.items():
            write_file(folder / f"{name}.csv", rows.to_csv(index=False).encode())
    shown = console(quiet, json_to)
    for name in ("budget", "days"):
        if name in tables:
            rows = tables[name].round(2)
            # What one bout does not have, such as a standard deviation, is NaN: its cell stays empty.
            lines = [
                tuple("" if cell != cell else escape(str(cell)) for cell in row) for row in rows.itertuples(index=False)
            ]
            shown.print(table(f"{name}:", tuple(rows.columns), lines))
    records = {name: json.loads(rows.to_json(orient="records")) for name, rows in tables.items()}
    write_json({"schema_version": 1, **records}, json_to)
