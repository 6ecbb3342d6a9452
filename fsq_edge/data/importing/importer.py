"""``data import``: files in, a dataset folder out, whole or not at all, with an account of every row."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from fsq_edge.data.importing.account import RECORD, ImportRecord, InputEntry
from fsq_edge.data.importing.assembly import Assembly, Piece
from fsq_edge.data.importing.idle import IDLE, without_idle
from fsq_edge.data.importing.import_map import ColumnSource, FileSection, ImportMap
from fsq_edge.data.importing.inputs import InputFile, find_inputs
from fsq_edge.data.importing.labels_column import LabelNumbers
from fsq_edge.data.importing.patterns import match_name
from fsq_edge.data.importing.reader import Block, Reader, choose_reader, known_readers
from fsq_edge.data.importing.rows import FileRows, Group, RowCounts, Samples, plan_channels
from fsq_edge.data.importing.series import examine, measure_timing
from fsq_edge.data.importing.spool import Spool
from fsq_edge.data.recording import Channel
from fsq_edge.data.sensors import SensorFacts
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import new_folder, write_synced


def import_files(paths: Iterable[Path], wanted: ImportMap, out: Path) -> ImportRecord:
    """Import files by a map.

    Args:
        paths: files, folders and zip archives; they are only read.
        wanted: the map.
        out: the dataset folder to make; must not exist, or be empty.

    Returns:
        The account that stands in ``import.json``.

    Raises:
        MissingInputError: a path is not there.
        UsageError: ``out`` holds something already.
        DataError: a file does not fit the map; the message names file, line, column, value and the key of the map.
        UnavailableError: a package that a format needs is not installed.
    """
    inputs = find_inputs(paths)
    readers = known_readers()
    chosen, passed_over = _assign(inputs, wanted)
    with new_folder(out) as building, tempfile.TemporaryDirectory(dir=building, prefix=".spool-") as spools:
        labels = LabelNumbers()
        assembly = Assembly(wanted, labels, Path(spools))
        entries = []
        # Hashing needs no interpreter lock, so it costs no time of its own where a second core is free.
        with ThreadPoolExecutor(1) as hashing:
            for file, number, parts in chosen:
                reader = choose_reader(file, wanted.files[number].reader, readers)
                digest = hashing.submit(file.sha256)
                entry = _read(file, reader, number, parts, assembly, wanted)
                entries.append(entry.model_copy(update={"sha256": digest.result()}))
        accounts = assembly.write(building)
        record = ImportRecord(
            map=wanted.to_dict(), inputs=tuple(entries), recordings=accounts, passed_over=tuple(passed_over)
        )
        write_synced(building / RECORD, record.to_json().encode())
    return record


def _assign(
    inputs: Sequence[InputFile], wanted: ImportMap
) -> tuple[list[tuple[InputFile, int, dict[str, str]]], list[str]]:
    """Find the section of the map for each file."""
    chosen, passed_over = [], []
    for file in inputs:
        fitting: list[tuple[int, dict[str, str]]] = []
        for number, section in enumerate(wanted.files):
            parts = match_name(section.pattern, file.name)
            if parts is not None and (not fitting or (section.where and wanted.files[fitting[0][0]].where)):
                fitting.append((number, parts))
        chosen += [(file, number, parts) for number, parts in fitting]
        if not fitting:
            passed_over.append(file.name)
    if not chosen:
        patterns = ", ".join(section.pattern for section in wanted.files)
        raise DataError(
            f"no pattern of the map ({patterns}) fits {inputs[0].name}"
            + (f" or the other {len(inputs) - 1} files" if len(inputs) > 1 else ""),
            hint="change files: pattern in the map; fsq-edge data import PATH --guess writes a new one",
        )
    return chosen, passed_over


def _read(
    file: InputFile, reader: Reader, number: int, parts: Mapping[str, str], assembly: Assembly, wanted: ImportMap
) -> InputEntry:
    section = wanted.files[number]
    description = reader.describe(file, section.table.dialect if section.table else None)
    plans = plan_channels(section, wanted, description, file.name)
    channels = tuple(Channel(plan.channel, plan.unit) for plan in plans)
    rows = FileRows(file.name, section, description, plans, assembly.labels, parts.get("label", ""))
    spools: dict[Group, Spool] = {}
    blocks = _one_ahead(reader.blocks(file, description, rows.columns))
    for group, times, samples, labels in chain(chain.from_iterable(map(rows.add, blocks)), _ending(rows)):
        if group not in spools:
            spools[group] = Spool(assembly.folder, len(plans))
        spools[group].append(times, samples, labels)
    _check(file.name, rows.counts, wanted)
    for group, spool in spools.items():
        if not spool.length:
            continue
        idle = 0
        if wanted.gaps.idle_s:
            spool, idle = without_idle(spool, wanted.gaps.idle_s, assembly.folder)
            rows.counts.take_back(idle, IDLE)
        hole = wanted.gaps.longer_than_ms / 1000
        steps, wrong = examine(spool, channels)
        _check_units(file.name, section, wrong)
        sensors = {plan.channel: SensorFacts(steps[plan.channel] or None, plan.full_scale) for plan in plans}
        assembly.add(
            Piece(
                file=file.name,
                section=number,
                parts=dict(parts),
                subject=_text(section.subject, group[0], parts.get("subject") or description.subject or file.stem),
                session=_text(section.session, group[1], parts.get("session", "")),
                channels=channels,
                spool=spool,
                timing=measure_timing(spool, hole),
                nominal_hz=(section.time.rate_hz if section.time else None) or description.rate_hz,
                timed=bool(rows.times.columns) or rows.times.absolute or idle > 0,
                absolute=rows.times.absolute,
                steps=steps,
                sensors=sensors,
            )
        )
    counts = rows.counts
    return InputEntry(
        file=file.name,
        sha256="",
        bytes=file.size(),
        reader=reader.name,
        section=number + 1,
        rows_read=counts.read,
        rows_kept=counts.kept,
        dropped={reason: count for reason, count in sorted(counts.dropped.items()) if count},
        others=dict(sorted(counts.others.items())),
        missing=dict(sorted(counts.missing.items())),
        notes=tuple(counts.notes),
        zone=rows.times.decision,
        facts=dict(description.facts),
    )


def _one_ahead(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield blocks while the next one is already being read: parsing mostly runs without the interpreter lock."""
    with ThreadPoolExecutor(1) as reading:
        coming = reading.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = reading.submit(next, blocks, None)
            yield block


def _ending(rows: FileRows) -> Iterator[Samples]:
    """What is still held, asked for only once every block was added."""
    yield from rows.finish()


def _check(name: str, counts: RowCounts, wanted: ImportMap) -> None:
    """Refuse a file that gave no samples, or of which too much was dropped."""
    first = f": {counts.notes[0]}" if counts.notes else ""
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.dropped.most_common(3) if count)
    if not counts.kept:
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts.others.most_common(3))
        raise DataError(
            f"{name} gave no samples{first or (': ' + (reasons or kinds) if reasons or kinds else '')}",
            hint="does the map describe this file? time: and channels: name its columns",
        )
    elsewhere = counts.dropped["row of another kind (where)"]
    lost = sum(counts.dropped.values()) - elsewhere
    if lost > wanted.max_dropped_percent / 100 * max(1, counts.read - elsewhere):
        hint = "correct the map (table: decimal, time: form and zone, channels:), or raise max_dropped_percent"
        if counts.dropped["time that steps back"] > lost / 2:
            hint = "the rows are not in the order of time: sort the file by its column of times, then import it"
        elif counts.dropped["repeated time with other values"] > lost / 2:
            hint = (
                "rows share a stamp: spread: true under time: spreads them, or raise max_dropped_percent to drop them"
            )
        raise DataError(f"{name}: {lost} of {counts.read - elsewhere} rows were dropped ({reasons}){first}", hint=hint)


def _check_units(name: str, section: FileSection, wrong: list[tuple[str, str, float, str]]) -> None:
    for channel, unit, typical, fitting in wrong:
        source = section.channels[channel]
        raise DataError(
            f"{name}, column {source.columns[0]}: the median norm is {typical:.3g} {unit}, gravity would be that in "
            f"{fitting}",
            hint=f"set channels.{channel}.unit to {fitting} in the map (and those of the other axes); "
            "files of different units need a pattern each",
        )


def _text(source: str | ColumnSource, group: str, other: str) -> str:
    if isinstance(source, ColumnSource):
        return group
    return source or other
