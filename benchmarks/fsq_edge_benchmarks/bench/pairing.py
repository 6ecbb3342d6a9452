"""Two contestants in turns: A B B A, so that whatever changes with time or with the order meets both alike."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from fsq_edge_benchmarks.bench import pair_block
from fsq_edge_benchmarks.bench.contestant import Subject, feed_of
from fsq_edge_benchmarks.bench.result import PairResult
from fsq_edge_benchmarks.bench.spin import MAX_WAITED, SpinLoop, disturbances
from fsq_edge_benchmarks.measure import ratio
from fsq_edge_benchmarks.measure.children import child_environment, first_line_of
from fsq_edge_benchmarks.measure.distribution import Distribution
from fsq_edge_benchmarks.measure.resources import Meter
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import MissingInputError

WARM_UP: Final = 300
ROOTS: Final = ("runtime", ".", "benchmarks", "compile", "calibration")  # source roots of a checkout
BLOCKS: Final = 8


def race(a: Subject, b: Subject, decisions: int, names: tuple[str, str]) -> PairResult:
    """Push every hop through both sessions, in the order A B B A, and compare the medians.

    Args:
        a: freshly opened.
        b: freshly opened; its own bundle may take other channels and hops.
        decisions: of each.
        names: of the two, for the result.
    """
    return race_calls((_pusher(a), _pusher(b)), decisions, names, waits=a.waits or b.waits)


def race_calls(
    sides: tuple[Callable[[int], Any], Callable[[int], Any]],
    decisions: int,
    names: tuple[str, str],
    *,
    waits: bool = False,
) -> PairResult:
    """Call two sides in the order A B B A and compare the medians.

    Args:
        sides: each called with 0, 1, 2, ...
        decisions: calls of each that count.
        names: of the two, for the result.
        waits: a call waits for a device, so waiting is no sign of other work on the core.
    """
    for index in range(WARM_UP):
        for push in sides:
            push(index)
    spin, meter, clock = SpinLoop(), Meter(), time.perf_counter_ns
    taken: tuple[list[int], list[int]] = ([], [])
    for index in range(WARM_UP, WARM_UP + decisions):
        for side in (0, 1) if index % 2 else (1, 0):
            push = sides[side]
            started = clock()
            push(index)
            taken[side].append(clock() - started)
        spin.turn()
    reasons = disturbances(meter.used(), spin.record(), sleeps=waits)
    return _result(names, taken, "in one process, call by call", reasons)


def race_checkout(bundle: Bundle, backend: str, checkout: Path, decisions: int) -> PairResult:
    """Race this version of the runtime against that of another checkout of the project, in blocks of A B B A.

    Each block is a process of its own, so the ratio also holds what differs from one process to the next.

    Args:
        bundle: the verified bundle; the other version must be able to read it.
        backend: one that sessions have.
        checkout: root folder of the other version.
        decisions: of each, all blocks together.

    Raises:
        MissingInputError: no checkout there.
        InternalError: a block failed, for example because that version cannot read the bundle.
    """
    roots = [checkout / root for root in ROOTS]
    if not (roots[0] / "fsq_edge_runtime").is_dir():
        raise MissingInputError(f"{checkout} is not a checkout: it has no runtime/fsq_edge_runtime")
    environments = [child_environment(), child_environment([root.resolve() for root in roots])]
    taken: tuple[list[int], list[int]] = ([], [])
    waited = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.fsqb"
        bundle.save(path)
        arguments = [str(pair_block.__file__), str(path), backend, str(max(decisions // BLOCKS, 1))]
        for block in range(BLOCKS):
            for side in (0, 1) if block % 2 else (1, 0):
                found = json.loads(first_line_of(arguments, environments[side]).first_line)
                taken[side].extend(found["taken"])
                waited.append(found["waited"])
    share = sorted(waited)[len(waited) // 2]
    lost = backend != "hailo" and share > MAX_WAITED  # who waits for a device has no core meanwhile
    reasons = (f"disturbed: other work had the core for {share:.0%} of the time in the median block",) if lost else ()
    return _result(("this", str(checkout)), taken, "one process a block, blocks in turns", reasons, BLOCKS)


def _pusher(subject: Subject) -> Callable[[int], Any]:
    piece, push = feed_of(subject.bundle)[0], subject.session.push
    return lambda index: push(piece(index))


def _result(
    names: tuple[str, str],
    taken: tuple[Sequence[int], Sequence[int]],
    how: str,
    reasons: tuple[str, ...],
    blocks: int = ratio.BLOCKS,
) -> PairResult:
    return PairResult(
        a=names[0],
        b=names[1],
        a_us=Distribution.of(taken[0]),
        b_us=Distribution.of(taken[1]),
        ratio=ratio.ratio_of_medians(taken[1], taken[0], blocks=blocks),
        how=how,
        valid=not reasons,
        reasons=reasons,
    )
