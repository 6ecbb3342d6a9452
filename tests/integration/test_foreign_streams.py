"""Streams that nobody here designed: read as meant, or refused with the reason; never read wrong in silence."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.sources import Chunk, Notices, open_source
from fsq_edge_runtime.sources.lines import LineBuffer, LineParser
from fsq_edge_runtime.sources.stdin import StdinSource
from fsq_edge_runtime.sources.watch import WatchedSource
from tests.factories.bundles import preprocess_config
from tests.factories.foreign_streams import COUNT, LIVE, RATE, RECORDINGS, Foreign, rows

CONFIG = preprocess_config()
NAMES = tuple(channel.name for channel in CONFIG.channels)


class Port:
    """A port that gives the bytes of a text, some at a time."""

    live = True

    def __init__(self, data: bytes, notices: Notices) -> None:
        self.counters = {"samples": 0}
        self._data = io.BytesIO(data)
        self._parser = LineParser(NAMES, self.counters, header=False, origin="port", notices=notices)
        self._lines = LineBuffer()

    def chunks(self, stop: threading.Event) -> Iterator[Chunk]:
        while data := self._data.read(117):
            yield from self._parser.parse(self._lines.feed(data))

    def close(self) -> None:
        """Nothing is held."""


def check(form: Foreign, chunks: list[Chunk], said: list[str]) -> None:
    text = " | ".join(said)
    for part in form.said:
        assert part in text, f"{form.name}: nothing says {part!r}: {text}"
    assert sum(len(chunk.samples) for chunk in chunks) == form.samples
    if not form.samples or form.wrong_values:
        return
    timed = [chunk.timestamps for chunk in chunks if chunk.timestamps is not None]
    if form.step_s is not None:
        assert np.median(np.diff(np.concatenate(timed)[-300:])) == pytest.approx(form.step_s, rel=0.05)
    else:
        assert chunks[-1].timestamps is None
    np.testing.assert_allclose(np.concatenate([chunk.samples for chunk in chunks]), rows(), rtol=1e-6)


@pytest.mark.parametrize("form", RECORDINGS, ids=lambda form: form.name)
def test_recordings_of_other_loggers(form: Foreign, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(form.text.encode())
    said: list[str] = []
    chunks: list[Chunk] = []
    try:
        chunks = list(open_source(f"csv:{path}", CONFIG, notices=Notices(said.append)).chunks(threading.Event()))
    except DataError as error:
        said += [error.message, error.hint]
    check(form, chunks, said)


@pytest.mark.parametrize("form", LIVE, ids=lambda form: form.name)
def test_serial_output_of_public_sketches(form: Foreign) -> None:
    said: list[str] = []
    notices = Notices(said.append)
    source = WatchedSource(Port(form.text.encode(), notices), 1 / RATE, notices)
    check(form, list(source.chunks(threading.Event())), said)


def recording(tmp_path: Path, header: str, body: list[str]) -> tuple[list[Chunk], list[str]]:
    path = tmp_path / "walk.csv"
    path.write_text("\n".join([header, *body]) + "\n")
    said: list[str] = []
    source = open_source(f"csv:{path}", CONFIG, notices=Notices(said.append))
    return list(source.chunks(threading.Event())), said


PLAIN = [f"{number / RATE:.2f}," + ",".join(f"{v:.9g}" for v in row) for number, row in enumerate(rows())]


def test_a_plain_recording_needs_no_word(tmp_path: Path) -> None:
    chunks, said = recording(tmp_path, "timestamp," + ",".join(NAMES), PLAIN)
    assert said == []
    assert sum(len(chunk.samples) for chunk in chunks) == COUNT


@pytest.mark.parametrize("per_second", [1000, 1_000_000, 1_000_000_000])
def test_times_in_smaller_units_by_their_step(tmp_path: Path, per_second: int) -> None:
    body = [f"{number * per_second // 50}," + line.partition(",")[2] for number, line in enumerate(PLAIN)]
    chunks, said = recording(tmp_path, "Timestamp," + ",".join(NAMES), body)
    np.testing.assert_allclose(np.concatenate([c.timestamps for c in chunks]), np.arange(COUNT) / RATE)
    assert len(said) == 1


def test_a_loggers_file_without_a_time_says_at_which_rate_it_is_taken(tmp_path: Path) -> None:
    untimed = [line.partition(",")[2] for line in PLAIN]
    assert recording(tmp_path, ",".join(NAMES), untimed)[1] == []
    _, said = recording(
        tmp_path, "// Sample rate: 120.0Hz\nCounter," + ",".join(NAMES), [f"7,{line}" for line in untimed]
    )
    assert any("no column holds the time: samples are taken to come at 50 Hz" in line for line in said)


def test_a_needed_column_twice_is_refused(tmp_path: Path) -> None:
    for header in ("timestamp," + ",".join(NAMES) + ",acc_x", "timestamp," + ",".join(NAMES) + ",timestamp"):
        with pytest.raises(DataError, match="two columns are called"):
            recording(tmp_path, header, [line + ",7" for line in PLAIN])


def test_an_exact_name_wins_over_one_that_differs_in_case(tmp_path: Path) -> None:
    chunks, _ = recording(tmp_path, "timestamp," + ",".join(NAMES) + ",ACC_X", [line + ",7" for line in PLAIN])
    np.testing.assert_allclose(np.concatenate([c.samples for c in chunks]), rows(), rtol=1e-6)


def test_units_in_names_and_rows_are_compared(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is in m/s2, the bundle expects acc_x in g"):
        recording(tmp_path, "timestamp,acc_x (m/s^2)," + ",".join(NAMES[1:]), PLAIN)
    with pytest.raises(DataError, match=r"line 2: column 'gyr_x' is in deg/s"):
        recording(tmp_path, "timestamp," + ",".join(NAMES), ["s,g,g,g,deg/s,deg/s,deg/s", *PLAIN])
    chunks, said = recording(
        tmp_path, "Time (s)," + ",".join(f"{n.upper()} [g]" if "acc" in n else n for n in NAMES), PLAIN
    )
    assert sum(len(chunk.samples) for chunk in chunks) == COUNT
    assert "Time (s)" in said[0]


def test_a_row_that_cannot_be_used_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 102: 'soon' is not a number"):
        recording(
            tmp_path, "timestamp," + ",".join(NAMES), [*PLAIN[:100], PLAIN[100].replace(",", ",soon,", 1), *PLAIN]
        )
    with pytest.raises(DataError, match="line 52: the time 'noon'"):
        recording(tmp_path, "timestamp," + ",".join(NAMES), [*PLAIN[:50], "noon" + PLAIN[50][4:], *PLAIN[51:]])


def test_a_last_line_that_is_cut_is_said_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv"
    path.write_text("\n".join(["timestamp," + ",".join(NAMES), *PLAIN])[:-25])
    said: list[str] = []
    chunks = list(open_source(f"csv:{path}", CONFIG, notices=Notices(said.append)).chunks(threading.Event()))
    assert sum(len(chunk.samples) for chunk in chunks) == COUNT - 1
    assert f"the last line, {COUNT + 1}, is cut" in said[0]


def test_packets_under_one_time_are_spread(tmp_path: Path) -> None:
    packed = [f"{number // 5 * 0.1 + 0.08:.2f}," + line.partition(",")[2] for number, line in enumerate(PLAIN)]
    chunks, said = recording(tmp_path, "timestamp," + ",".join(NAMES), packed)
    np.testing.assert_allclose(np.concatenate([c.timestamps for c in chunks]), np.arange(COUNT) / RATE, atol=1e-3)
    assert "share the timestamp" in said[0]


@pytest.mark.parametrize("per_second", [1, 1000])
def test_whole_seconds_of_an_epoch_are_packets_of_a_second(tmp_path: Path, per_second: int) -> None:
    body = [
        f"{(1714780797 + number // 50) * per_second}," + line.partition(",")[2] for number, line in enumerate(PLAIN)
    ]
    chunks, said = recording(tmp_path, "timestamp," + ",".join(NAMES), body)
    times = np.concatenate([chunk.timestamps for chunk in chunks])
    np.testing.assert_allclose(np.diff(times), 0.02, atol=1e-3)
    assert any("share the timestamp" in line for line in said)


def test_sensors_in_turns_are_joined(tmp_path: Path) -> None:
    t = np.arange(0, 8, 0.01)
    wave = np.sin(2 * np.pi * t[:, None] * np.arange(1, 7) / 5)
    body = [
        f"{at:.2f}," + ",".join(f"{v:.6f}" if (i % 2 == 0) == (c < 3) else "" for c, v in enumerate(row))
        for i, (at, row) in enumerate(zip(t, wave, strict=True))
    ]
    chunks, said = recording(tmp_path, "timestamp," + ",".join(NAMES), body)
    assert "sensors in turns" in said[0]
    samples, times = (np.concatenate([getattr(c, name) for c in chunks]) for name in ("samples", "timestamps"))
    inner = slice(2, -2)
    assert np.median(np.diff(times)) == pytest.approx(0.02)
    expected = np.sin(2 * np.pi * times[:, None] * np.arange(1, 7) / 5)
    np.testing.assert_allclose(samples[inner], expected[inner], atol=0.01)


def test_doubled_rows_are_duplicates_and_no_packets(tmp_path: Path) -> None:
    chunks, said = recording(tmp_path, "timestamp," + ",".join(NAMES), [line for line in PLAIN for _ in range(2)])
    assert said == []
    assert sum(len(chunk.samples) for chunk in chunks) == 2 * COUNT


def npz(path: Path, **arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    np.savez(path, **arrays)
    said: list[str] = []
    chunks = list(open_source(f"npz:{path}", CONFIG, notices=Notices(said.append)).chunks(threading.Event()))
    times = np.concatenate([c.timestamps for c in chunks]) if chunks[0].timestamps is not None else np.empty(0)
    return np.concatenate([c.samples for c in chunks]), times, said


def test_npz_with_channel_names_and_units(tmp_path: Path) -> None:
    order = [5, 0, 1, 2, 3, 4]
    units = np.array(["°/s" if "gyr" in NAMES[i] else "g" for i in order])
    samples, _, _ = npz(tmp_path / "a.npz", samples=rows()[:, order], channels=np.array(NAMES)[order])
    assert np.array_equal(samples, rows())
    with pytest.raises(DataError, match="gyr_x' is in deg/s, the bundle expects gyr_x in rad/s"):
        npz(tmp_path / "b.npz", samples=rows()[:, order], channels=np.array(NAMES)[order], units=units)
    with pytest.raises(DataError, match="is in m/s2"):
        npz(tmp_path / "c.npz", samples=rows(), units=np.array(["m/s^2"] * 3 + ["rad/s"] * 3))
    with pytest.raises(DataError, match="no column 'acc_x'"):
        npz(tmp_path / "d.npz", samples=rows(), channels=np.array([f"c{i}" for i in range(6)]))


def test_npz_times_of_any_kind(tmp_path: Path) -> None:
    expected = np.arange(COUNT) / RATE
    dates = np.datetime64("2024-05-03T12:00:00") + (np.arange(COUNT) * 20).astype("timedelta64[ms]")
    for times in (np.arange(COUNT) * 20, np.arange(COUNT) * 20_000_000, dates):
        _, found, said = npz(tmp_path / "t.npz", samples=rows(), timestamps=times)
        np.testing.assert_allclose(found - found[0], expected, atol=1e-6)
        assert len(said) == 1
    samples, _, said = npz(tmp_path / "f.npz", samples=np.asfortranarray(rows()).astype(np.float64), time=expected)
    assert np.array_equal(samples, rows())
    assert "not read: time" in said[0]


def piped(data: bytes) -> tuple[list[Chunk], list[str], dict[str, int]]:
    out, into = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(into, data), os.close(into)))
    writer.start()
    said: list[str] = []
    notices = Notices(said.append)
    source = WatchedSource(StdinSource(NAMES, descriptor=out, notices=notices), 1 / RATE, notices)
    try:
        return list(source.chunks(threading.Event())), said, source.counters
    finally:
        writer.join()
        os.close(out)


JSON = "".join(json.dumps({"t": n / RATE, "x": [0, 0, 1, 0, 0, n % 3]}) + "\n" for n in range(60)).encode()


def test_a_stream_joined_in_the_middle_of_a_line() -> None:
    chunks, _, counters = piped(JSON[30:])
    assert sum(len(chunk.samples) for chunk in chunks) == 59
    assert counters["malformed"] == 1


def test_standard_input_with_a_preamble_and_times_as_texts() -> None:
    body = "".join(f"2024-05-03T12:00:{n // 50:02d}.{n % 50 * 20:03d}Z;0;0;1;0;0;{n % 3}\n" for n in range(100))
    text = "sep=;\nDevice: tag 7\n" + "timestamp;" + ";".join(NAMES) + "\n" + body
    chunks, _, counters = piped(text.encode())
    times = np.concatenate([chunk.timestamps for chunk in chunks])
    np.testing.assert_allclose(times - times[0], np.arange(100) / RATE, atol=1e-6)
    assert counters["malformed"] == 1


def test_rows_of_numbers_and_missing_values_are_no_header_of_a_port() -> None:
    said: list[str] = []
    parser = LineParser(NAMES, dict[str, int](), header=False, origin="port", notices=Notices(said.append))
    chunks = parser.parse([b"1,2,3,4,5,6", b"nan,nan,nan,nan,nan,nan", b"NA,null,none,inf,NaN,7"])
    assert sum(len(chunk.samples) for chunk in chunks) == 3
    assert parser.parse([b"1,2,3,4,5,6,7,8,9", b"nan,NA,null,none,inf,nan,nan,nan,nan"]) == []
    assert said == [], "rows of another width are malformed, not a header"
    assert parser.parse([b"left,right,up,down,in,out"]) == []
    assert "does not name the channels" in said[0]


@pytest.mark.parametrize(("above", "told"), [("", False), ("Device: tag 7\n", True)])
def test_what_stands_above_a_header_is_said_to_be_skipped(above: str, told: bool, tmp_path: Path) -> None:
    path = tmp_path / "walk.csv"
    path.write_text(above + "\n".join(["timestamp," + ",".join(NAMES), *PLAIN]))
    said: list[str] = []
    open_source(f"csv:{path}", CONFIG, notices=Notices(said.append))
    assert any("the header is line 2; what is above it" in line for line in said) == told, said


def test_lines_over_the_limit_are_counted() -> None:
    buffer, counters = LineBuffer(), dict[str, int]()
    parser = LineParser(NAMES, counters, header=False, origin="port")
    samples = 0
    for piece in (JSON, b"7" * (1 << 20), b"7" * 99, b"\n", JSON, b"8" * (1 << 21) + b"\n" + JSON):
        lines, too_long, buffer.dropped = buffer.feed(piece), buffer.dropped, 0
        samples += sum(len(chunk.samples) for chunk in parser.parse(lines, too_long))
    assert samples == 180
    assert counters["malformed"] == 2
