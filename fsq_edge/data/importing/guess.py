"""``--guess``: look at files and write the map that would import them, with a reason per line."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from fsq_edge.data.importing.import_map import parse_map
from fsq_edge.data.importing.inputs import InputFile, find_inputs
from fsq_edge.data.importing.patterns import match_name
from fsq_edge.data.importing.reader import choose_reader, known_readers
from fsq_edge.data.importing.series import usual_rate
from fsq_edge.data.importing.sketch import Fact, Sketch, SketchedChannel, convertible, sketch_file, slug
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tables.units import sensor_of_word

DOUBT = "CHECK: "
NOTHING = "no columns of sensor values"
SAME_RATE = 0.05


@dataclass(slots=True)
class Guess:
    """A guessed map.

    Attributes:
        text: YAML with a reason per line; what is in doubt begins with ``CHECK:``.
        doubts: those lines, without indentation.
        files: how many files the map covers.
        passed_over: file -> why it was left out.
    """

    text: str
    doubts: tuple[str, ...]
    files: int
    passed_over: dict[str, str] = field(default_factory=dict)


def guess_map(paths: Iterable[Path], name: str = "imported") -> Guess:
    """Look at files and return the map that would import them.

    Args:
        paths: files, folders and zip archives.
        name: of the data set.

    Raises:
        MissingInputError: a path is not there.
        DataError: none of the files holds samples that can be recognised.
    """
    sketches, passed_over = _sketches(find_inputs(paths))
    if not sketches:
        shown = "; ".join(f"{file}: {why}" for file, why in list(passed_over.items())[:3])
        raise DataError(
            f"no file with samples was recognised ({shown})",
            hint="look for a preset of the logger: fsq-edge data import . --preset list; else write the map by hand: "
            "fsq-edge docs recordings",
        )
    groups: dict[tuple[object, ...], list[Sketch]] = {}
    for sketch in sketches:
        groups.setdefault(sketch.signature, []).append(sketch)
    units = _common_units(sketches)
    lines = _Lines()
    lines.add(0, "schema_version", 1)
    lines.add(0, "name", name)
    _write_rate(lines, sketches)
    if units:
        lines.add(0, "channels", None, "one unit each for the whole data set")
        for channel, unit in units.items():
            lines.add(1, channel, unit)
    lines.add(0, "files", None)
    for pattern, group in _patterns(list(groups.values())):
        pattern = _without(passed_over, pattern, group)
        _write_section(lines, pattern, group, _subject_of(pattern, group, sketches))
    text = lines.text(passed_over)
    parse_map(text.encode(), "the guessed map")
    return Guess(text, tuple(lines.doubts), len(sketches), passed_over)


def _sketches(files: Sequence[InputFile]) -> tuple[list[Sketch], dict[str, str]]:
    readers = known_readers()
    found: list[Sketch] = []
    unsure: list[Sketch] = []
    passed_over: dict[str, str] = {}
    for file in files:
        try:
            reader = choose_reader(file, "", readers)
            sketch = sketch_file(file, reader, reader.describe(file, None))
        except DataError as error:
            passed_over[file.name] = error.message.removeprefix(f"{file.name}: ")
            continue
        if not sketch.channels:
            passed_over[file.name] = NOTHING
        else:
            sure = sketch.time_columns or sketch.description.time or any(c.unit.value for c in sketch.channels)
            (found if sure else unsure).append(sketch)
    if not found:
        found, unsure = unsure, []  # better a map with doubts than none
    passed_over |= {sketch.file.name: NOTHING for sketch in unsure}
    _part_sensors(found)
    if any(map(_has_accelerometer, found)):
        # Beside accelerometers, tables of anything else (battery, temperature, orientation) are no recordings.
        rest = [s for s in found if not any(map(_is_sensor, s.channels))]
        for sketch in rest:
            passed_over[sketch.file.name] = "no accelerometer, gyroscope or magnetometer in it"
        found = [sketch for sketch in found if sketch not in rest]
    return found, passed_over


def _is_sensor(channel: SketchedChannel) -> bool:
    return channel.channel[-2:] in ("_x", "_y", "_z") and sensor_of_word(channel.channel)[0] is not None


def _part_sensors(sketches: Sequence[Sketch]) -> None:
    """Rename channels of files that stand beside files of other sensors and would give the channels of those again.

    ``HighGAccelerometer.csv`` beside ``Inertial.csv`` is a second accelerometer, not a second recording.
    """
    by_size = sorted(sketches, key=lambda sketch: -len(sketch.channels))
    for i, small in enumerate(by_size):
        names = {channel.channel for channel in small.channels}
        beside = (s for s in by_size[:i] if PurePosixPath(s.file.name).parent == PurePosixPath(small.file.name).parent)
        larger = next((s for s in beside if names < {channel.channel for channel in s.channels}), None)
        if larger is not None and sensor_of_word(small.file.stem)[0] is not None:
            small.channels = [
                SketchedChannel(f"{slug(small.file.stem)}_{found.channel[-1]}", found.column, found.unit)
                for found in small.channels
            ]


def _has_accelerometer(sketch: Sketch) -> bool:
    return any(channel.channel.startswith("acc") for channel in sketch.channels)


def _common_units(sketches: Sequence[Sketch]) -> dict[str, str]:
    """Return the units that must be named since files differ: that of the most files."""
    counts: dict[str, dict[str, int]] = {}
    for sketch in sketches:
        for channel in sketch.channels:
            units = counts.setdefault(channel.channel, {})
            units[channel.unit.value] = units.get(channel.unit.value, 0) + 1
    common = {}
    for name, found in counts.items():
        first = max(found, key=lambda unit: found[unit])
        if len(found) > 1 and all(unit == first or convertible(unit, first) for unit in found):
            common[name] = first
    return common


def _write_rate(lines: _Lines, sketches: Sequence[Sketch]) -> None:
    timed = [sketch for sketch in sketches if sketch.rate_hz > 0]
    alike = [sketch for sketch in timed if _has_accelerometer(sketch)] or timed
    if not alike:
        return
    counts = Counter(usual_rate(sketch.rate_hz) for sketch in alike)
    main = max(counts, key=lambda rate: (counts[rate], rate))
    others = sorted(rate for rate in counts if abs(rate / main - 1) > SAME_RATE)
    if not others:
        lines.add(0, "rate_hz", main, f"the first rows run at {alike[0].rate_hz:.4g} Hz")
        return
    lines.add(0, "rate_hz", main, f"the first rows of {counts[main]} of {len(alike)} files run at {main:g} Hz")
    doubt = "is one rate for all what you want?"
    lines.add(0, "resample", True, f"other files run at {', '.join(f'{rate:g}' for rate in others[:3])} Hz", doubt)


def _subject_of(pattern: str, group: Sequence[Sketch], sketches: Sequence[Sketch]) -> str:
    """Return the subject of a file that stands alone since its form differs, by the names of files like it."""
    if len(group) > 1 or "{subject}" in pattern or group[0].subject:
        return ""
    channels = [channel.channel for channel in group[0].channels]
    alike = [s.file.name for s in sketches if [channel.channel for channel in s.channels] == channels]
    parts = match_name(_pattern_of(alike), group[0].file.name) if len(alike) > 1 else None
    return (parts or {}).get("subject", "")


def _write_section(lines: _Lines, pattern: str, group: Sequence[Sketch], subject: str) -> None:
    sketch = group[0]
    lines.item(
        1,
        "pattern",
        pattern,
        f"{len(group)} file{'s' * (len(group) != 1)} such as {sketch.file.name}",
        _doubt_of(pattern, group),
    )
    lines.add(2, "reader", sketch.reader.name, sketch.description.reasons.get("reader", ""))
    dialect = sketch.description.dialect
    if dialect is not None:
        lines.add(2, "table", None)
        reasons = sketch.description.reasons
        for key in ("encoding", "delimiter", "decimal", "header_line", "units_line", "first_row_line", "comment"):
            value = getattr(dialect, key)
            if value not in ("", 0) or key == "header_line":
                lines.add(3, key, value, reasons.get(key, ""))
    if sketch.time:
        lines.add(2, "time", None)
        named = [] if sketch.description.time else list(sketch.time_columns)
        if named:
            lines.add(3, "column", named[0] if len(named) == 1 else named)
        for key, fact in sketch.time.items():
            lines.fact(3, key, fact)
    lines.add(2, "channels", None, f"left out: {', '.join(sketch.unused[:12])}" if sketch.unused else "")
    doubted: set[str] = set()
    for channel in sketch.channels:
        unit = json.dumps(channel.unit.value, ensure_ascii=False)
        value = f"{{column: {json.dumps(channel.column, ensure_ascii=False)}, unit: {unit}}}"
        lines.raw(
            3,
            f"{json.dumps(channel.channel)}: {value}",
            channel.unit.reason,
            "" if channel.unit.doubt in doubted else channel.unit.doubt,
        )
        doubted.add(channel.unit.doubt)
    if sketch.label:
        lines.add(2, "label", None, "the name of the column")
        lines.add(3, "column", sketch.label)
    if subject:
        lines.add(2, "subject", subject, "the name of the file, as those beside it")
    if sketch.subject:
        lines.add(2, "subject", None, "the name of the column")
        lines.add(3, "column", sketch.subject)


def _patterns(groups: Sequence[Sequence[Sketch]]) -> list[tuple[str, Sequence[Sketch]]]:
    """Give every group a pattern that fits its files, the more special ones first."""
    found: list[tuple[str, Sequence[Sketch]]] = []
    for group in groups:
        names = [sketch.file.name for sketch in group]
        found.append((_pattern_of(names), group))
    found.sort(
        key=lambda entry: ("{" in entry[0] or "*" in entry[0], not _has_accelerometer(entry[1][0]), -len(entry[0]))
    )
    sound: list[tuple[str, Sequence[Sketch]]] = []
    for pattern, group in found:
        taken = [other for other, _ in sound]
        if any(match_name(other, sketch.file.name) is not None for sketch in group for other in taken):
            sound = [*((sketch.file.name, [sketch]) for sketch in group), *sound]
        else:
            sound.append((pattern, group))
    return sound


def _pattern_of(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    last = [PurePosixPath(name).name for name in names]
    if len(set(last)) == 1:
        folders = [str(PurePosixPath(name).parent) for name in names]
        return f"{_varying(folders)}/{last[0]}"
    places = {str(PurePosixPath(name).parent) for name in names}
    if len(set(last)) == len(last) and not (len(places) > 1 and all(_is_date(PurePosixPath(n).stem) for n in last)):
        return _varying(last)
    if all(_is_date(PurePosixPath(name).stem) for name in last):
        # `bella/02-09-15.csv`: an animal a folder, a day a file.
        return f"{{subject}}/{_varying(sorted(set(last)), ('session',))}"
    return f"{{session}}/{_varying(sorted(set(last)), ('subject',))}"


def _without(passed_over: Iterable[str], pattern: str, group: Sequence[Sketch]) -> str:
    """Return the pattern with folders in front where these keep files out that hold no samples."""
    depths = {len(PurePosixPath(sketch.file.name).parts) for sketch in group}
    if "/" in pattern or len(depths) > 1 or not any(match_name(pattern, name) for name in passed_over):
        return pattern
    return "*/" * (depths.pop() - 1) + pattern


def _is_date(word: str) -> bool:
    return re.fullmatch(r"\d{1,4}([-_.]?\d{1,4}){0,5}", word) is not None


def _varying(words: Sequence[str], parts: tuple[str, ...] = ("subject", "session")) -> str:
    """Return a pattern for words; ``parts`` names what differs, the second where there is a mark in it."""
    prefix = _common_start(words)
    suffix = _common_start([word[len(prefix) :][::-1] for word in words])[::-1]
    middles = [word[len(prefix) : len(word) - len(suffix)] for word in words]
    if any("/" in middle or not middle for middle in middles):
        return "**" if any("/" in middle for middle in middles) else f"{prefix}*{suffix}"
    # A name's own letters and digits are not cut in the middle: 'subject1' and 'subject2' differ in the whole word.
    while prefix and prefix[-1].isalnum():
        prefix = prefix[:-1]
    while suffix and suffix[0].isalnum():
        suffix = suffix[1:]
    middles = [word[len(prefix) : len(word) - len(suffix)] for word in words]
    for mark in "_-" if len(parts) > 1 else "":
        # `rex_walk.csv`, `rex_rest.csv`, `tom_walk.csv`: what stands before the mark repeats, so it is the subject.
        heads = {middle.partition(mark)[0] for middle in middles if mark in middle}
        if all(mark in middle for middle in middles) and 1 < len(heads) < len(words):
            return f"{prefix}{{{parts[0]}}}{mark}{{{parts[1]}}}{suffix}"
    return f"{prefix}{{{parts[0]}}}{suffix}"


def _doubt_of(pattern: str, group: Sequence[Sketch]) -> str:
    """Return the question whether names and folders were read rightly, where they vary in more than one part."""
    if "{session}" not in pattern or "{subject}" not in pattern:
        return ""
    found = sorted({(match_name(pattern, sketch.file.name) or {}).get("subject", "") for sketch in group})
    return f"are {', '.join(found[:3])}{', ...' * (len(found) > 3)} ({len(found)}) the people or animals?"


def _common_start(words: Sequence[str]) -> str:
    first, last = min(words), max(words)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:same]


class _Lines:
    """YAML lines with their reasons as comments."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, str]] = []
        self.doubts: list[str] = []

    def add(self, depth: int, key: str, value: Any, reason: str = "", doubt: str = "") -> None:
        self.raw(
            depth,
            f"{_key(key)}:" + ("" if value is None else f" {json.dumps(value, ensure_ascii=False)}"),
            reason,
            doubt,
        )

    def item(self, depth: int, key: str, value: Any, reason: str = "", doubt: str = "") -> None:
        self.raw(depth - 1, f"  - {key}: {json.dumps(value, ensure_ascii=False)}", reason, doubt)

    def fact(self, depth: int, key: str, fact: Fact) -> None:
        text = fact.value if key in ("rate_hz", "spread") else json.dumps(fact.value, ensure_ascii=False)
        self.raw(depth, f"{key}: {text}", fact.reason, fact.doubt)

    def raw(self, depth: int, text: str, reason: str = "", doubt: str = "") -> None:
        comment = "; ".join(part for part in (DOUBT + doubt if doubt else "", reason) if part)
        self._lines.append(("  " * depth + text, comment))
        if doubt:
            self.doubts.append(f"{text}  # {doubt}")

    def text(self, passed_over: Mapping[str, str]) -> str:
        width = min(64, max(len(line) for line, _ in self._lines))
        lines = [f"{line:{width}s}  # {_plain(why)}" if why else line for line, why in self._lines]
        head = [
            "# An import map, guessed from the files. Each comment says why; lines with CHECK: need your eye.",
            "# fsq-edge data import PATH --map THIS --out FOLDER",
        ]
        left = [f"# left out: {_plain(line)}" for line in left_out(passed_over)]
        return "\n".join([*head, *left, *lines]) + "\n"


def left_out(passed_over: Mapping[str, str], most: int = 20) -> list[str]:
    """Return a line a reason, with how many files it left out and the first of them; at most ``most`` lines."""
    files: dict[str, list[str]] = {}
    for name, why in passed_over.items():
        files.setdefault(why, []).append(name)
    return [
        f"{names[0]}: {why}" if len(names) == 1 else f"{len(names)} files such as {names[0]}: {why}"
        for why, names in list(files.items())[:most]
    ]


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() else json.dumps(key, ensure_ascii=False)


def _plain(text: str) -> str:
    return " ".join(text.split())
