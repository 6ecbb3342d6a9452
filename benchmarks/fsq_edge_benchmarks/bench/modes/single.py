"""One stream, the next hop as soon as the last is answered: the latency of a decision, as MLPerf's SingleStream."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

from fsq_edge_benchmarks.bench.contestant import Subject, feed_of, first_frames, hops_of
from fsq_edge_benchmarks.bench.modes.turns import mode_result, take_turns
from fsq_edge_benchmarks.bench.result import ModeResult
from fsq_edge_benchmarks.measure.distribution import Distribution
from fsq_edge_runtime import Decision
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.sources.lines import LineParser
from fsq_edge_runtime.stream.head import head_of

ORDER: Final = ("ingest", "grid", "preprocess", "inference", "host", "tail", "decision", "sink", "total")
NOTE: Final = (
    "stages: total is the engine's, from samples handed in to the decision; ingest (JSON lines to samples), tail and "
    "sink (the decision as a JSON line) are timed apart, and decision is without the tail"
)


def stages_of(subject: Subject, decisions: Sequence[Decision], samples: int) -> dict[str, Distribution]:
    """Return the durations by stage, in the order in which a window meets them."""
    by_stage: dict[str, Float64Array] = {}
    for stage in decisions[0].latency_us if decisions else ():
        by_stage[stage] = 1e3 * np.asarray([decision.latency_us[stage] for decision in decisions])
    if not by_stage:
        return {}
    count = len(decisions)
    by_stage["ingest"] = _timed(_ingest(subject, samples), count)
    by_stage["tail"] = _timed(_tail(subject), count)
    by_stage["sink"] = _timed(lambda index: json.dumps(decisions[index].to_dict()), count)
    by_stage["decision"] = np.maximum(by_stage["decision"] - np.median(by_stage["tail"]), 0.0)
    return {stage: Distribution.of(by_stage[stage]) for stage in ORDER if stage in by_stage}


def _ingest(subject: Subject, samples: int) -> Callable[[int], object]:
    """Parse one push as it comes over UDP, MQTT or a serial line: one JSON object a sample."""
    config = subject.bundle.preprocess
    rows = hops_of(subject.bundle)[1][0][:samples]
    lines = [
        json.dumps({"t": index / config.sample_rate_hz, "x": [round(float(value), 5) for value in row]}).encode()
        for index, row in enumerate(rows)
    ]
    parser = LineParser(tuple(channel.name for channel in config.channels), {}, header=False, origin="benchmark")
    return lambda _: parser.parse(lines)


def _tail(subject: Subject) -> Callable[[int], object]:
    tail = subject.bundle.tail_for(subject.name)
    head, t = head_of(tail, tail.temperature), list(subject.bundle.selftest.t)
    return lambda index: head.answer(head.code(t[index % len(t)]), t[index % len(t)])


def _timed(call: Callable[[int], object], count: int) -> Float64Array:
    taken = np.empty(count)
    for index in range(count):
        started = time.perf_counter_ns()
        call(index)
        taken[index] = time.perf_counter_ns() - started
    return taken


WARM_UP: Final = 300


def measure_single(subject: Subject, decisions: int) -> ModeResult:
    """Time decisions from the call with a window's last hop to the decision returned."""
    session = subject.session
    piece, samples = feed_of(subject.bundle)
    bare, bare_is = subject.bare(first_frames(subject.bundle, 1))
    timed = take_turns(lambda index: session.push(piece(index)), bare, decisions, WARM_UP)
    answers = [decision for pushed in timed.answers for decision in pushed]
    return mode_result(
        "single",
        subject,
        timed,
        sample="hop pushed to decision returned",
        bare_is=bare_is,
        warm_up=WARM_UP,
        stages=stages_of(subject, answers, samples),
        notes=(NOTE, *missed_note(answers)),
    )


def missed_note(decisions: Iterable[Decision]) -> tuple[str, ...]:
    """Return a note if windows were not answered, so that a fast nothing is not taken for a fast answer."""
    unanswered = sum(decision.raw_label is None for decision in decisions)
    return (f"{unanswered} windows abstained or were missed",) if unanswered else ()
