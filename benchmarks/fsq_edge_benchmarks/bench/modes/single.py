"""One stream, the next hop as soon as the last is answered: the latency of a decision, as MLPerf's SingleStream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fsq_edge_benchmarks.bench.contestant import Subject, feed_of, first_frames
from fsq_edge_benchmarks.bench.modes.stages import NOTE, stages_of
from fsq_edge_benchmarks.bench.modes.turns import mode_result, take_turns
from fsq_edge_benchmarks.bench.result import ModeResult
from fsq_edge_runtime import Decision

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
