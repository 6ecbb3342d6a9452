"""Recordings and standard input: every form, whole or refused with a line that helps."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError
from fsq_edge_runtime.sources import open_source
from fsq_edge_runtime.sources.iterable import IterableSource
from fsq_edge_runtime.sources.stdin import StdinSource
from tests.factories.bundles import motion, preprocess_config

CONFIG = preprocess_config()
NAMES = tuple(channel.name for channel in CONFIG.channels)


def read(source):
    chunks = list(source.chunks(threading.Event()))
    source.close()
    times = None
    if chunks and chunks[0].timestamps is not None:
        times = np.concatenate([chunk.timestamps for chunk in chunks])
    return np.concatenate([chunk.samples for chunk in chunks]), times


def write_csv(path: Path, rows: np.ndarray, times: np.ndarray | None) -> None:
    order = [3, 0, 5, 1, 4, 2]  # the header names the columns, in any order
    head = ([] if times is None else ["timestamp"]) + ["label"] + [NAMES[column] for column in order]
    lines = [",".join(head)]
    for at, row in enumerate(rows):
        cells = [] if times is None else [repr(float(times[at]))]
        lines.append(",".join([*cells, "walk", *(f"{row[column]:.9g}" for column in order)]))
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_npz_and_csv_give_the_recording(tmp_path: Path, timed: bool, chunk: int) -> None:
    rows, times = motion(130), 1.6e9 + np.arange(130) / 50 if timed else None
    np.savez(tmp_path / "walk.npz", samples=rows, **({"timestamps": times} if timed else {}))
    write_csv(tmp_path / "walk.csv", rows, times)
    for text in (f"npz:{tmp_path / 'walk.npz'}", f"csv:{tmp_path / 'walk.csv'}"):
        samples, found = read(open_source(text, CONFIG, chunk=chunk))
        assert np.array_equal(samples, rows)
        assert found is None if times is None else np.array_equal(found, times)


@pytest.mark.parametrize("deep", [False, True])
def test_a_recording_of_a_dataset_folder_has_the_channels_and_units_of_its_description(
    tmp_path: Path, deep: bool
) -> None:
    rows, file = motion(60), "rex/day.npz" if deep else "rex.npz"
    (tmp_path / "rex").mkdir()
    np.savez(tmp_path / file, samples=np.concatenate([rows[:, ::-1], rows[:, :1]], axis=1))
    units = {channel.name: channel.unit for channel in CONFIG.channels}
    channels = [{"name": name, "unit": units.get(name, "uT")} for name in (*NAMES[::-1], "mag_x")]
    described = {"channels": channels, "recordings": [{"file": file}]}
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    samples, _ = read(open_source(f"npz:{tmp_path / file}", CONFIG))
    assert np.array_equal(samples, rows), "in the model's order, without the magnetometer"
    channels[0]["unit"] = "deg/s"
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    with pytest.raises(DataError, match="'gyr_z' is in deg/s, the bundle expects gyr_z in rad/s") as caught:
        open_source(f"npz:{tmp_path / file}", CONFIG)
    assert "channels: {gyr_z: rad/s}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text", ["{", "[]", "[" * 5000, '{"recordings": 3}', '{"recordings": [{"file": "other.npz"}], "channels": []}']
)
def test_a_description_of_something_else_is_left_alone(tmp_path: Path, text: str) -> None:
    rows = motion(60)
    np.savez(tmp_path / "rex.npz", samples=rows)
    (tmp_path / "dataset.json").write_text(text)
    samples, _ = read(open_source(f"npz:{tmp_path / 'rex.npz'}", CONFIG))
    assert np.array_equal(samples, rows)


def test_missing_cells_are_nan_and_streams_are_kept(tmp_path: Path) -> None:
    (tmp_path / "two.csv").write_text(
        "stream," + ",".join(NAMES) + "\na,1,,nan,NA,null,2\nb,1,2,3,4,5,6\na,0,0,0,0,0,0\n"
    )
    chunks = list(open_source(f"csv:{tmp_path / 'two.csv'}", CONFIG).chunks(threading.Event()))
    assert [chunk.stream for chunk in chunks] == ["a", "b", "a"]
    assert np.isnan(chunks[0].samples[0]).tolist() == [False, True, True, True, True, False]


def test_a_paced_recording_takes_its_time(tmp_path: Path) -> None:
    np.savez(tmp_path / "walk.npz", samples=motion(25))  # half a second
    started = time.monotonic()
    source = open_source(f"npz:{tmp_path / 'walk.npz'}", CONFIG, paced=True)
    assert source.live
    read(source)
    assert time.monotonic() - started > 0.4
    stop = threading.Event()
    stop.set()
    assert list(open_source(f"npz:{tmp_path / 'walk.npz'}", CONFIG, paced=True).chunks(stop)) == []


def faulty(folder: Path, case: str) -> Path:
    head = ",".join(NAMES)
    texts = {
        "empty.csv": "",
        "header.csv": head + "\n",
        "lacking.csv": head.replace("gyr_z", "gyr_q") + "\n1,2,3,4,5,6\n",
        "short.csv": head + "\n1,2,3\n",
        "words.csv": head + "\n1,2,3,4,5,six\n",
        "binary.csv": "\ud800",
        "text.npz": "not a zip",
    }
    path = folder / case
    if case in texts:
        path.write_bytes(texts[case].encode("utf-8", "surrogatepass"))
    elif case == "empty.npz":
        np.savez(path, samples=np.zeros((0, 6), np.float32))
    elif case == "channels.npz":
        np.savez(path, samples=np.zeros((10, 5), np.float32))
    elif case == "times.npz":
        np.savez(path, samples=np.zeros((10, 6), np.float32), timestamps=np.zeros(9))
    elif case == "nokey.npz":
        np.savez(path, x=np.zeros((10, 6), np.float32))
    elif case == "objects.npz":
        np.savez(path, samples=np.asarray([{}], dtype=object))
    return path


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("empty.csv", "is empty"),
        ("header.csv", "no samples"),
        ("lacking.csv", "no column 'gyr_z'"),
        ("short.csv", "line 2: 3 columns"),
        ("words.csv", "line 2: 'six' is not a number"),
        ("binary.csv", "line"),
        ("text.npz", "not a recording"),
        ("empty.npz", "no samples"),
        ("channels.npz", r"\(10, 5\)"),
        ("times.npz", "9"),
        ("nokey.npz", "samples"),
        ("objects.npz", "not a recording"),
    ],
)
def test_what_is_not_a_recording_is_refused_by_name(tmp_path: Path, case: str, message: str) -> None:
    path = faulty(tmp_path, case)
    with pytest.raises(DataError, match=message) as caught:
        read(open_source(f"{path.suffix[1:]}:{path}", CONFIG))
    assert case in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "npz:", "wav:x", "udp:9000", "udp:h:99999", "udp:h:1?by=port", "serial:/dev/x?baud=fast",
     "serial:/dev/x?framing=odd", "serial:/dev/x?speed=1", "stdin:x"],
)  # fmt: skip
def test_a_source_that_is_none_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(text, CONFIG)
    assert caught.value.hint or "baud" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for kind in ("npz", "csv"):
        with pytest.raises(MissingInputError, match="cannot read"):
            open_source(f"{kind}:{tmp_path / 'nowhere'}", CONFIG)


def piped(data: bytes, piece: int = 13):
    """Read standard input while another thread writes to it in small pieces."""
    out, into = os.pipe()

    def write() -> None:
        for at in range(0, len(data), piece):
            os.write(into, data[at : at + piece])
        os.close(into)

    writer = threading.Thread(target=write)
    writer.start()
    source = StdinSource(NAMES, descriptor=out)
    try:
        return source, list(source.chunks(threading.Event()))
    finally:
        writer.join()
        os.close(out)


def test_standard_input_takes_csv_and_json_lines() -> None:
    rows = motion(20)
    text = ",".join(("timestamp", *NAMES)) + "\n"
    text += "\n".join(",".join([f"{at / 50}", *(f"{v:.9g}" for v in row)]) for at, row in enumerate(rows))
    source, chunks = piped(("\ufeff" + text).encode())  # the last line has no end
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), rows)
    assert np.allclose(np.concatenate([chunk.timestamps for chunk in chunks]), np.arange(20) / 50)
    lines = [json.dumps({"t": at / 50, "x": row.tolist(), "stream": "dog"}) for at, row in enumerate(rows)]
    lines[4:4] = ["not json", '{"x": [1,2]}', "", '{"x": [NaN, null, 1, 1, 1, 1], "t": 0.075, "stream": "dog"}']
    source, chunks = piped("\r\n".join(lines).encode())
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert len(samples) == 21
    assert np.isnan(samples[4]).tolist() == [True, True, False, False, False, False]
    assert source.counters["malformed"] == 2
    assert {chunk.stream for chunk in chunks} == {"dog"}


@pytest.mark.parametrize("data", [b"", b"\n\n", b"a,b\n1,2\n", b"hello\n", b"\x00" * 4000, b"{}\n" * 50])
def test_standard_input_without_a_sample_says_so(data: bytes) -> None:
    with pytest.raises(DataError) as caught:
        piped(data)
    assert "standard input" in str(caught.value)
    assert caught.value.hint


def test_python_iterables_are_sources() -> None:
    rows = motion(30)
    source = IterableSource([rows[:10], (rows[10:20], np.arange(10) / 50)])
    first, second = source.chunks(threading.Event())
    assert first.timestamps is None
    assert np.array_equal(second.samples, rows[10:20])
    assert source.counters["samples"] == 20
