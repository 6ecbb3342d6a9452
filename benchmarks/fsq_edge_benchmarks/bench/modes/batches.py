"""Many windows at once: recordings in batches (``offline``), or many streams whose windows become due together."""

from __future__ import annotations

from typing import Final

import numpy as np

from fsq_edge_benchmarks.bench.contestant import Subject, feed_of, first_frames
from fsq_edge_benchmarks.bench.modes.single import missed_note
from fsq_edge_benchmarks.bench.modes.turns import mode_result, take_turns
from fsq_edge_benchmarks.bench.result import ModeResult

WARM_UP: Final = 5


def measure_offline(subject: Subject, rounds: int, windows: int) -> ModeResult:
    """Time ``predict`` on batches of independent windows."""
    session = subject.session
    given = subject.bundle.selftest.windows
    batch = np.ascontiguousarray(given[np.arange(windows) % len(given)])
    bare, bare_is = subject.bare(first_frames(subject.bundle, windows))
    timed = take_turns(lambda _: session.predict(batch), bare, rounds, WARM_UP)
    lost = sum(int((~answer.valid).sum()) for answer in timed.answers)
    return mode_result(
        "offline",
        subject,
        timed,
        sample=f"batch of {windows} windows",
        bare_is=bare_is,
        windows=windows,
        warm_up=WARM_UP,
        notes=(f"{lost} windows were not answered",) if lost else (),
    )


def measure_multi(subject: Subject, rounds: int, streams: int) -> ModeResult:
    """Time ``push_many`` of one hop for every stream, each of which makes a window due."""
    session = subject.session
    piece, _ = feed_of(subject.bundle)
    names = [str(index) for index in range(streams)]
    bare, bare_is = subject.bare(first_frames(subject.bundle, streams))
    timed = take_turns(lambda index: session.push_many(dict.fromkeys(names, piece(index))), bare, rounds, WARM_UP)
    return mode_result(
        "multi",
        subject,
        timed,
        sample=f"one hop of each of {streams} streams pushed to all decisions returned",
        bare_is=bare_is,
        windows=streams,
        warm_up=WARM_UP,
        notes=missed_note(decision for pushed in timed.answers for decision in pushed),
    )
