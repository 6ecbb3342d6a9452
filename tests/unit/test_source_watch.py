"""Live sources under watch, and what is said at the end of a run that gave nothing."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from fsq_edge_runtime.sources import Chunk, IterableSource, Notices
from fsq_edge_runtime.sources.notices import explain_silence
from fsq_edge_runtime.sources.watch import WatchedSource
from tests.factories.bundles import motion


def watched(times: np.ndarray | None, samples: np.ndarray, size: int = 1) -> tuple[list[Chunk], list[str]]:
    said: list[str] = []
    chunks = [
        Chunk("rex", samples[at : at + size], None if times is None else times[at : at + size], at)
        for at in range(0, len(samples), size)
    ]
    source = WatchedSource(IterableSource(chunks, live=True), 0.02, Notices(said.append))
    return list(source.chunks(threading.Event())), said


@pytest.mark.parametrize("size", [1, 3, 40])
@pytest.mark.parametrize("per_second", [1, 1000, 1_000_000, 1_000_000_000])
def test_times_in_any_unit_become_seconds(per_second: int, size: int) -> None:
    times = 1.7e9 * (per_second == 1000) + np.arange(200) / 50
    chunks, said = (
        watched(np.round(times * per_second), motion(200), size)
        if per_second > 1
        else watched(times, motion(200), size)
    )
    later = np.concatenate([chunk.timestamps for chunk in chunks])[40:]
    np.testing.assert_allclose(later, times[40:], atol=1e-6)
    assert len(said) == (per_second > 1)


def test_a_stream_without_times_is_passed_on_as_it_is() -> None:
    chunks, said = watched(None, motion(200))
    assert all(chunk.timestamps is None for chunk in chunks)
    assert said == []


@pytest.mark.parametrize("size", [1, 10, 600])
def test_a_clock_of_whole_seconds_counts_seconds(size: int) -> None:
    times = 1.7e9 + np.floor(np.arange(600) / 50)
    chunks, said = watched(times, motion(600), size)
    assert np.array_equal(np.concatenate([chunk.timestamps for chunk in chunks]), times)
    assert len(said) == 1
    assert "repeat a timestamp" in said[0]


def test_packets_under_one_time_are_said_once() -> None:
    _, said = watched(np.repeat(np.arange(100) / 10, 3)[:200], motion(200))
    assert len(said) == 1
    assert "repeat a timestamp and are dropped" in said[0]


def test_sensors_in_turns_are_said_once() -> None:
    samples = motion(200).astype(np.float32)
    samples[::2, 3:] = np.nan
    samples[1::2, :3] = np.nan
    _, said = watched(np.arange(200) / 50, samples, 4)
    assert len(said) == 1
    assert "lack channels" in said[0]


def test_five_thousand_streams_are_watched_in_bounded_memory() -> None:
    row = np.zeros((1, 6), np.float32)
    source = WatchedSource(
        IterableSource(Chunk(str(number), row, np.array([0.0]), 0) for number in range(5000)), 0.02, Notices()
    )
    assert sum(1 for _ in source.chunks(threading.Event())) == 5000
    assert len(source._streams) == 4096


GOOD = {"received": 400, "windows": 7, "decided": 7, "abstained": 0, "missed": 0, "sources": [{"samples": 400}]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"decided": 1, "abstained": 6}, ""),
        ({"decided": 0, "abstained": 7}, "none of 7 windows got a label: 7 abstained"),
        ({"decided": 0, "missed": 7}, "7 were missed"),
        ({"windows": 0, "received": 0}, "no sample came"),
        (
            {"windows": 0, "received": 0, "sources": [{"malformed": 9}]},
            "9 lines, messages or packets could not be read",
        ),
        ({"windows": 0, "segments": 400, "gaps": 399}, "400 stretches, each shorter than a window of 2 s (399 gaps"),
        ({"windows": 0, "segments": 1}, "a window needs 2 s"),
        ({"windows": 0, "segments": 1, "late": 5, "bad_time": 3}, "5 came late; 3 have no finite time"),
    ],
)
def test_silence_is_explained(changes: dict[str, object], said: str) -> None:
    found = explain_silence({**GOOD, **changes}, 2.0, 0.1)
    assert said in found
    assert bool(said) == bool(found)
