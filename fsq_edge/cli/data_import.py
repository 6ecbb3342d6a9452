"""``fsq-edge data import``: any logger's files to a dataset folder."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsq_edge.cli.output import Output, output_options, table, write_text
from fsq_edge.cli.workstation_options import files_option
from fsq_edge.report.parts import plural
from fsq_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from fsq_edge.data.importing.account import ImportRecord
    from fsq_edge.data.importing.import_map import ImportMap

DEFAULT_MAP = Path("map.yaml")
SHOWN = 20  # files and recordings on the terminal; import.json has all


@click.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Dataset folder to make.")
@click.option(
    "--map",
    "map_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The map that says what the files hold (YAML). With --guess: where to write it (default map.yaml).",
)
@click.option("--preset", help="A map that ships, in place of --map. 'list' shows them.")
@click.option(
    "--guess", is_flag=True, help="Look at the files and write the map, with a reason a line; import nothing."
)
@files_option(
    "--labels",
    help="A label file to lay over the recordings, as `data label` does; give the option once for each.",
)
@click.option("--name", default="", help="Name of the data set (default: the map's).")
@click.option("--force", is_flag=True, help="With --guess: replace a map that is there.")
@output_options
def import_command(
    paths: tuple[Path, ...],
    out: Path | None,
    map_file: Path | None,
    preset: str | None,
    guess: bool,
    labels: tuple[Path, ...],
    name: str,
    force: bool,
    output: Output,
) -> None:
    """Import logger files to a dataset folder: CSV of any dialect, Axivity, ActiGraph, MATLAB, Parquet, zip, and more.

    PATH is a file, a folder or a zip archive. Write the map once with --guess, correct what it marks with CHECK, then
    import with --map. Files that say everything themselves (Axivity, ActiGraph) need no map. The folder appears whole
    or not at all, and import.json in it accounts for every row. The sources are only read.
    """
    from fsq_edge.data.importing.presets import PRESETS

    if preset == "list":
        output.print(table("", ["preset", "for"], list(PRESETS.items())))
        output.write_json({"schema_version": 1, "presets": PRESETS})
        return
    if guess:
        _guess(paths, map_file or DEFAULT_MAP, name, force, output)
        return
    if out is None:
        raise UsageError("--out is missing", hint="fsq-edge data import PATH --map map.yaml --out FOLDER")
    from fsq_edge.data.importing.importer import import_files

    wanted = _wanted(paths, map_file, preset, name)
    record = _import_labelled(paths, wanted, out, labels) if labels else import_files(paths, wanted, out)
    _show(record, out, output)
    output.write_json({"schema_version": 1, "out": str(out), **record.to_dict()})


def _import_labelled(paths: tuple[Path, ...], wanted: ImportMap, out: Path, labels: tuple[Path, ...]) -> ImportRecord:
    """Import and label in one step: ``out`` appears with its labels, or not at all."""
    from fsq_edge.data.importing.importer import import_files
    from fsq_edge.data.labels import LabelSettings, label_folder

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as staging:
        record = import_files(paths, wanted, Path(staging) / "unlabelled")
        label_folder(Path(staging) / "unlabelled", labels, LabelSettings(), out)
    return record


def _guess(paths: tuple[Path, ...], target: Path, name: str, force: bool, output: Output) -> None:
    from fsq_edge.data.importing.guess import guess_map, left_out

    if target.exists() and not force:
        raise UsageError(f"{target} is there already", hint="give another --map, or --force to replace it")
    guessed = guess_map(paths, name or "imported")
    write_text(target, guessed.text)
    output.say(f"wrote {target}: {plural(guessed.files, 'file')}, {plural(len(guessed.doubts), 'line')} to check")
    for doubt in guessed.doubts:
        output.say(f"  {doubt}")
    for line in left_out(guessed.passed_over):
        output.say(f"  left out: {line}")
    output.say_next("fsq-edge", "data", "import", *paths, "--map", target, "--out", target.stem)
    result: dict[str, Any] = {
        "schema_version": 1,
        "map": str(target),
        "files": guessed.files,
        "doubts": list(guessed.doubts),
        "passed_over": guessed.passed_over,
    }
    output.write_json(result)


def _wanted(paths: tuple[Path, ...], map_file: Path | None, preset: str | None, name: str) -> ImportMap:
    from fsq_edge.data.importing.opening import files_map

    wanted = files_map(paths, map_file, preset)
    return wanted.model_copy(update={"name": name}) if name else wanted


def _show(record: ImportRecord, out: Path, shown: Output) -> None:
    shown.print(table("", ["file", "reader", "rows", "kept", "dropped"], _file_rows(record)))
    columns = ["recording", "subject", "samples", "seconds", "Hz measured", "holes"]
    shown.print(table("", columns, _recording_rows(record)))
    for line in _notes(record):
        shown.say(line)
    if record.passed_over:
        shown.say(f"{len(record.passed_over)} files fit no pattern, such as {record.passed_over[0]}")
    shown.say(
        f"wrote {plural(len(record.recordings), 'recording')} to {out}; {out / 'import.json'} accounts for every file"
    )
    shown.say_next("fsq-edge", "data", "qa", f"folder:{out}")


def _file_rows(record: ImportRecord) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        (entry.file, entry.reader, f"{entry.rows_read:,}", f"{entry.rows_kept:,}", _counts(entry.dropped) or "none")
        for entry in record.inputs
    ]
    if len(rows) <= SHOWN:
        return rows
    dropped = sum((Counter(entry.dropped) for entry in record.inputs), Counter[str]())
    read, kept = (sum(getattr(entry, name) for entry in record.inputs) for name in ("rows_read", "rows_kept"))
    return [*rows[:SHOWN], ("...",), (f"all {len(rows)}", "", f"{read:,}", f"{kept:,}", _counts(dropped) or "none")]


def _recording_rows(record: ImportRecord) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        (
            account.file,
            account.subject,
            f"{account.samples:,}",
            f"{account.last_time - account.first_time:,.1f}",
            f"{account.measured_rate_hz:.4g}",
            f"{account.holes} ({account.hole_seconds:,.1f} s)" if account.holes else "none",
        )
        for account in record.recordings
    ]
    if len(rows) <= SHOWN:
        return rows
    subjects = len({account.subject for account in record.recordings})
    samples = sum(account.samples for account in record.recordings)
    return [*rows[:SHOWN], ("...",), (f"all {len(rows)}", f"{subjects} subjects", f"{samples:,}")]


def _notes(record: ImportRecord) -> list[str]:
    """Return what was noted: of few files each note, of many a line a kind with its first place."""
    notes = [(entry.file, note) for entry in record.inputs for note in entry.notes[:3]]
    kinds: dict[str, list[str]] = {}
    for file, note in notes:
        kinds.setdefault(note.partition(": ")[2] or note, []).append(f"{file}: {note}")
    if len(notes) <= SHOWN:
        return [f"{file}: {note}" for file, note in notes]
    return [f"{found[0]}" + (f" (first of {len(found)})" if len(found) > 1 else "") for found in kinds.values()][:SHOWN]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
