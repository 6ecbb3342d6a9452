"""``fsq-edge score``: an archive of recordings through a bundle; ``score collate``: its decisions as one file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsq_edge.cli.options import backend_option, default_option, path_option
from fsq_edge.cli.output import Output, need, output_options
from fsq_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from fsq_edge.scoring.archive import ArchiveFile
    from fsq_edge.scoring.entry import Entry
    from fsq_edge.scoring.runs import Engine, ScoreResult

LINE_EVERY_S = 10.0
FAILED = 1  # exit code: some recordings have no decisions
SHOWN = 10


@click.command("collate")
@click.argument("folder", type=click.Path(path_type=Path))
@path_option("--out", help="Write one row a decision here, NAME.jsonl or NAME.parquet (default: FOLDER/all.jsonl).")
@output_options
def collate(folder: Path, out: Path | None, output: Output) -> None:
    """Join the decisions of a scored archive in one file, and write its summary page.

    The stream of each row is the recording's name. Exit code 1: some recordings have no decisions.
    """
    from fsq_edge.scoring.collation import collate as join
    from fsq_edge.scoring.summary import summarize, write_summary

    out = out or folder / "all.jsonl"
    rows = join(folder, out)
    page, found = write_summary(folder), summarize(folder)
    output.say(f"wrote {rows:,} rows to {out} and {page}")
    output.write_json({"schema_version": 1, "out": str(out), "rows": rows, **found})
    _end(found["failed"], found["recordings"])


class _Score(click.Command):
    """The verb, with one word that is a verb of its own: ``score collate``."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] == ["collate"]:
            return collate.make_context(f"{info_name} collate", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)


@click.command(
    "score",
    cls=_Score,
    epilog="fsq-edge score collate DIR joins the decisions in one file. Exit codes: 0 every recording has decisions; "
    "1 some have none, and DIR/recordings says why; 69 the folder, the disk or the cluster failed: run it again.",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("archive", nargs=-1, required=True, metavar="ARCHIVE...")
@path_option(
    "--out", required=True, help="Write decisions and manifest into this folder; an earlier run there goes on."
)
@default_option("--format", "jsonl", click.Choice(["jsonl", "parquet"]), "Write decisions as JSON lines or Parquet.")
@default_option("--workers", 1, click.IntRange(1, 1024), "Processes on this machine, each with the opened bundle.")
@click.option("--scheduler", metavar="tcp://HOST:8786", help="Score on the Dask cluster of this scheduler.")
@path_option("--dask-config", help="Read Dask settings (YAML) here; scheduler-address in it stands for --scheduler.")
@click.option("--shard", metavar="I/N", help="Score the part I of N, 1 to N, for job arrays (default: everything).")
@path_option("--map", "map_file", help="Import the files by this map of data import (default: read them as run does).")
@click.option("--preset", help="Import the files by this preset of data import (default: none).")
@backend_option("onnx", "Run the network here.")
@click.option("--source-rate", type=click.FloatRange(min=0, min_open=True), metavar="HZ",
              help="Nominal rate of the files, in Hz. Default: that of dataset.json, else the model's.")  # fmt: skip
@click.option("--scores", is_flag=True, help="Write the probabilities of every class, raw and smoothed.")
@path_option("--scratch", help="Copy each file into this folder first, on a local disk (default: read it in place).")
@output_options
def command(
    bundle: Path,
    archive: tuple[str, ...],
    out: Path,
    format: str,
    workers: int,
    scheduler: str | None,
    dask_config: Path | None,
    shard: str | None,
    map_file: Path | None,
    preset: str | None,
    backend: str,
    source_rate: float | None,
    scores: bool,
    scratch: Path | None,
    output: Output,
) -> None:
    """Score the recordings of ARCHIVE (files, folders, zip archives, patterns): one file of decisions for each.

    The decisions are those of run. A recording that cannot be read is written down and stops nothing. Run the same
    command again to go on: recordings whose content was scored before are kept.
    """
    from fsq_edge.scoring import ScoreSettings, find_recordings, score_archive
    from fsq_edge.scoring.archive import Shard
    from fsq_edge.scoring.summary import write_summary
    from fsq_edge_runtime.bundle.bundle import Bundle

    opened = Bundle.open(bundle)
    part = Shard.parse(shard) if shard else Shard()
    settings = ScoreSettings(
        format="parquet" if format == "parquet" else "jsonl", backend=backend, scores=scores,
        source_rate_hz=source_rate, map=_map(map_file, preset), scratch=scratch,
    )  # fmt: skip
    engine = _engine(workers, scheduler, dask_config)
    files, passed_over = find_recordings(archive, settings.map)
    mine = [file for file in files if part.holds(file.name)]
    with _progress(output, mine) as progress:
        begun = time.monotonic()
        result = score_archive(opened, files, out, settings, engine=engine, shard=part, progress=progress)
    if part.count == 1:
        write_summary(out)
    _show(output, result, passed_over, time.monotonic() - begun, out)
    facts = {"recordings": result.recordings, "scored": result.scored, "kept": result.kept, "failed": result.failed}
    more = {"hours": result.seconds / 3600, "windows": result.windows, "passed_over": passed_over, "out": str(out)}
    output.write_json({"schema_version": 1, **facts, **more})
    _end(result.failed, result.recordings)


def _map(map_file: Path | None, preset: str | None) -> Any:
    if map_file is None and preset is None:
        return None
    from fsq_edge.data.importing.opening import files_map

    return files_map([], map_file, preset)


def _engine(workers: int, scheduler: str | None, dask_config: Path | None) -> Engine:
    from fsq_edge.scoring.runs import local_engine

    if scheduler is None and dask_config is None:
        return local_engine(workers)
    if workers != 1:
        raise UsageError("--workers is for this machine", hint="the cluster has its own workers: leave --workers out")
    need("distributed", "cluster", "a Dask cluster")
    from fsq_edge.scoring.cluster import cluster_engine

    return cluster_engine(scheduler, dask_config)


@contextmanager
def _progress(shown: Output, files: list[ArchiveFile]) -> Iterator[Callable[[Entry, bool], None]]:
    """Show how far it is, how fast, and how long it takes: a bar on a terminal, a line now and then elsewhere."""
    total = sum(file.bytes for file in files)
    if shown.is_terminal and not shown.silent:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        with Progress(*columns, console=shown.console) as bar:
            task = bar.add_task("", total=len(files))
            rate = _Rate()

            def advance(entry: Entry, kept: bool) -> None:
                rate.add(entry, kept)
                bar.update(task, advance=1, description=rate.text)

            yield advance
        return
    rate, last, done, seen = _Rate(), time.monotonic(), 0, 0

    def line(entry: Entry, kept: bool) -> None:
        nonlocal last, done, seen
        rate.add(entry, kept)
        done, seen = done + 1, seen + entry.bytes
        if time.monotonic() - last >= LINE_EVERY_S:
            last = time.monotonic()
            left = rate.elapsed_s * (total - seen) / max(1, seen)
            shown.say(f"{done:,} of {len(files):,} recordings, {rate.text}, {left:,.0f} s left")

    yield line


class _Rate:
    """Recorded hours scored in an hour of work."""

    def __init__(self) -> None:
        self._begun, self._seconds = time.monotonic(), 0.0

    def add(self, entry: Entry, kept: bool) -> None:
        self._seconds += 0.0 if kept else entry.seconds

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._begun

    @property
    def text(self) -> str:
        return f"{self._seconds / max(1e-9, self.elapsed_s):,.0f} h of recordings an hour"


def _show(shown: Output, result: ScoreResult, passed_over: int, took_s: float, out: Path) -> None:
    kept = f", {result.kept:,} kept from before" if result.kept else ""
    shown.say(f"scored {result.scored:,} recordings ({result.seconds / 3600:,.1f} h) in {took_s:,.1f} s{kept}")
    if passed_over:
        shown.say(f"{passed_over:,} other files were passed over")
    for name, why in list(result.failed.items())[:SHOWN]:
        shown.say(f"no decisions: {name}: {why}")
    if len(result.failed) > SHOWN:
        shown.say(f"and {len(result.failed) - SHOWN:,} more")
    shown.say(f"decisions and manifest: {out}")


def _end(failed: object, recordings: int) -> None:
    count = len(failed) if isinstance(failed, dict) else 0
    if count:
        click.echo(f"{count} of {recordings} recordings have no decisions", err=True)
        raise click.exceptions.Exit(FAILED)
