"""``fsq-edge run``: stream recordings or standard input through a bundle."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import click
import numpy as np
import numpy.typing as npt

from fsq_edge.cli.output import output_options, write_json
from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError

Chunk = tuple[npt.NDArray[np.float32], npt.NDArray[np.float64] | None]


@click.command("run")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--source", required=True, metavar="npz:FILE|csv:FILE|stdin:", help="Where samples come from.")
@click.option("--sink", default="jsonl:-", show_default=True, metavar="jsonl:FILE|-", help="Where decisions go.")
@click.option("--backend", default="auto", show_default=True, type=click.Choice(["auto", "hailo", "onnx", "onnx-int8"]))
@click.option("--chunk", default=64, show_default=True, type=click.IntRange(min=1), help="Samples pushed at a time.")
@click.option(
    "--latency/--no-latency", default=True, help="Write latencies; without them equal input gives equal bytes."
)
@output_options
def command(
    bundle: Path, source: str, sink: str, backend: str, chunk: int, latency: bool, json_to: str | None, quiet: bool
) -> None:
    """Stream a source through BUNDLE and write one JSON line for every window."""
    from fsq_edge_runtime.bundle import Bundle

    opened = Bundle.open(bundle)
    channels = tuple(channel.name for channel in opened.preprocess.channels)
    kind, _, place = sink.partition(":")
    if kind != "jsonl" or not place:
        raise UsageError(f"unknown sink {sink!r}", hint="jsonl:FILE or jsonl:-")
    chunks = _open_source(source, channels, chunk)
    first = next(chunks, None)
    if first is None:
        raise DataError(f"the source {source} has no samples")
    count = abstained = 0
    target: Any = nullcontext(sys.stdout) if place == "-" else Path(place).open("w", encoding="utf-8")  # noqa: SIM115
    with target as out, opened.open_session(backend=backend) as session:
        samples: Chunk | None = first
        while samples is not None:
            for decision in session.push(*samples):
                out.write(json.dumps(decision.to_dict(latency)) + "\n")
                count += 1
                abstained += decision.label is None
            samples = next(chunks, None)
        end = {"type": "end", "windows": count, "abstained": abstained}
        out.write(json.dumps(end) + "\n")
    write_json({"schema_version": 1, "windows": count, "abstained": abstained}, json_to)


def _open_source(source: str, channels: tuple[str, ...], chunk: int) -> Iterator[Chunk]:
    kind, _, place = source.partition(":")
    if kind == "npz":
        return _npz(Path(place), len(channels), chunk)
    if kind == "csv":
        try:
            return _csv(Path(place).open(encoding="utf-8", newline=""), place, channels, chunk)
        except OSError as error:
            raise MissingInputError(f"cannot read {place}: {error.strerror}") from error
    if kind == "stdin":
        return _csv(sys.stdin, "standard input", channels, chunk)
    raise UsageError(f"unknown source {source!r}", hint="npz:FILE, csv:FILE or stdin:")


def _npz(path: Path, channels: int, chunk: int) -> Iterator[Chunk]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            samples = np.asarray(archive["samples"], dtype=np.float32)
            times = np.asarray(archive["timestamps"], dtype=np.float64) if "timestamps" in archive else None
    except OSError as error:
        raise MissingInputError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:
        raise DataError(f"{path}: not a recording (npz with `samples`): {error}") from error
    if samples.ndim != 2 or samples.shape[1] != channels:
        raise DataError(f"{path}: samples have shape {samples.shape}, the bundle expects (n, {channels})")
    for at in range(0, len(samples), chunk):
        yield samples[at : at + chunk], None if times is None else times[at : at + chunk]


def _csv(file: IO[str], name: str, channels: tuple[str, ...], chunk: int) -> Iterator[Chunk]:
    with file:
        rows = csv.DictReader(file)
        missing = [channel for channel in channels if channel not in (rows.fieldnames or ())]
        if missing:
            raise DataError(
                f"{name}: no column {missing[0]!r}", hint="the header must name the channels " + ", ".join(channels)
            )
        timed = "timestamp" in (rows.fieldnames or ())
        samples: list[list[float]] = []
        times: list[float] = []
        for number, row in enumerate(rows, start=2):
            try:
                samples.append([float(row[channel]) if row[channel] else float("nan") for channel in channels])
                times.append(float(row["timestamp"]) if timed else 0.0)
            except (TypeError, ValueError) as error:
                raise DataError(f"{name}: line {number}: {error}") from error
            if len(samples) == chunk:
                yield np.asarray(samples, np.float32), np.asarray(times) if timed else None
                samples, times = [], []
        if samples:
            yield np.asarray(samples, np.float32), np.asarray(times) if timed else None
