"""The search: which settings are tried, what each costs, the Pareto front, and the rule that chooses one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from fsq_edge.tuning.chains import decide
from fsq_edge.tuning.events import tally_events
from fsq_edge.tuning.inference import Inferred
from fsq_edge_runtime.arrays import BoolArray, Float64Array, Int64Array
from fsq_edge_runtime.decision import DecisionSettings, hops
from fsq_edge_runtime.errors import DataError

EMA_MS: Final = (200, 300, 450, 700, 1000, 1500)
MEDIAN_MS: Final = (600, 1000, 1400, 1800)
ENTER: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
DWELL_MS: Final = (0, 100, 200, 300, 400, 600, 800)
REFRACTORY_MS: Final = (0, 1000, 2000)
UNKNOWN_BELOW: Final = 0.5
LEAST_EVENTS: Final = 10
_TWINS_AT_ONCE: Final = 128
_LABELS_AT_ONCE: Final = 32 << 20  # labels of one chunk of settings, two bytes each


@dataclass(frozen=True, slots=True, eq=False)
class SearchResult:
    """What S settings cost on the streams they are fitted to; the first of them is raw argmax.

    Attributes:
        settings: S of them.
        false_per_hour: (S,).
        missed: (S,) events.
        events: in the truth.
        repeats: (S,).
        added_delay_s: (S,) median over the events that raw argmax found too; NaN where none was found.
        front: positions of the settings that no other beats in false events, misses and delay at once, ascending by
            false events.
    """

    settings: tuple[DecisionSettings, ...]
    false_per_hour: Float64Array
    missed: Int64Array
    events: int
    repeats: Int64Array
    added_delay_s: Float64Array
    front: Int64Array


def search_grid(hop_ms: float, base: DecisionSettings) -> list[DecisionSettings]:
    """Return the settings to try, raw argmax first; times are whole hops, so that none is tried twice.

    Args:
        hop_ms: time between windows.
        base: gives the temperature, which is fitted elsewhere: to probabilities, not to events.
    """
    smoothings = [("none", 0.0), *(("ema", float(ms)) for ms in EMA_MS if ms > hop_ms / 2)]
    spans = dict.fromkeys(hops(ms, hop_ms) for ms in MEDIAN_MS)
    smoothings += [("median", span * hop_ms) for span in spans if span > 1]
    gates = [(0.0, 0.0), *((enter, leave) for enter in ENTER for leave in (0.0, enter / 2))]
    dwells = [count * hop_ms for count in dict.fromkeys(hops(ms, hop_ms) for ms in DWELL_MS)]
    holds = [(count * hop_ms, 0.0) for count in dict.fromkeys(hops(ms, hop_ms) for ms in REFRACTORY_MS)]
    holds.append((0.0, UNKNOWN_BELOW))
    return [
        DecisionSettings(
            temperature=base.temperature,
            smoothing=smoothing,  # type: ignore[arg-type]  # a literal, from the list above
            smoothing_ms=smoothing_ms,
            enter=enter,
            leave=leave,
            dwell_ms=dwell_ms,
            refractory_ms=refractory_ms,
            unknown_below=unknown_below,
        )
        for (smoothing, smoothing_ms), (enter, leave), dwell_ms, (refractory_ms, unknown_below) in product(
            smoothings, gates, dwells, holds
        )
    ]


def search(inferred: Inferred, settings: Sequence[DecisionSettings]) -> SearchResult:
    """Try settings on the streams they are fitted to.

    Args:
        inferred: the streams.
        settings: S of them, the first is raw argmax.

    Raises:
        DataError: fewer than 10 events, or no labelled time.

    Cost: one pass over the windows of the longest stream for each chunk of settings, all streams side by side.
    """
    events = sum(len(truth.events) for truth in inferred.truths)
    if events < LEAST_EVENTS:
        raise DataError(
            f"the recordings to fit on hold {events} events, at least {LEAST_EVENTS} are needed",
            hint="record longer, or fit on more subjects",
        )
    steps, streams = inferred.scores.answered.shape
    chunk = max(1, _LABELS_AT_ONCE // (steps * streams))
    parts = [_measure(inferred, settings[at : at + chunk]) for at in range(0, len(settings), chunk)]
    false, found, repeats, delays = (np.concatenate(part) for part in zip(*parts, strict=True))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice")
        added = np.nanmedian(delays - delays[0], axis=1)
    hours = sum(truth.labelled_s for truth in inferred.truths) / 3600.0
    missed = (~found).sum(axis=1)
    front = pareto_front(np.column_stack([false, missed, np.where(np.isnan(added), np.inf, added)]))
    return SearchResult(tuple(settings), false / hours, missed, events, repeats, added, front)


def _measure(
    inferred: Inferred, settings: Sequence[DecisionSettings]
) -> tuple[Int64Array, BoolArray, Int64Array, Float64Array]:
    labels = decide(inferred.scores, settings, inferred.hop_ms)
    tallies = [tally_events(inferred.trimmed(labels, at), truth) for at, truth in enumerate(inferred.truths)]
    return (
        np.sum([tally.false.sum(axis=1) for tally in tallies], axis=0),
        np.concatenate([tally.found for tally in tallies], axis=1),
        np.sum([tally.repeats for tally in tallies], axis=0),
        np.concatenate([tally.delay_s for tally in tallies], axis=1),
    )


def pareto_front(costs: Float64Array) -> Int64Array:
    """Return the positions of the rows (S, M) that no other row beats: none is as low everywhere and lower somewhere.

    Of equal rows the first stays. Rows come in ascending order.

    Example:
        >>> pareto_front(np.array([[1.0, 5.0], [2.0, 2.0], [3.0, 3.0]])).tolist()
        [0, 1]
    """
    order = np.lexsort(costs.T[::-1])
    kept: list[int] = []
    for row in order.tolist():
        if not kept or not (costs[kept] <= costs[row]).all(axis=1).any():
            kept.append(row)
    return np.array(kept, dtype=np.int64)


def rule_text(max_delay_s: float, keep: float) -> str:
    """Return the rule of :func:`choose` in words."""
    return (
        f"on the recordings fitted on, among settings that leave at most {keep:.0%} of raw argmax's false events: the "
        "least gate (`enter`, plus seconds of dwell and refractory time), then the least added onset delay, then the "
        "fewest false events; where none leaves so few, the fewest false events. Never more missed events than raw "
        f"argmax or a median added onset delay above {max_delay_s:g} s, and neither when one hop of dwell is added and "
        "`enter` is moved halfway to 1, since people that the network has not seen are told later and less surely"
    )


def stricter(settings: DecisionSettings, hop_ms: float) -> DecisionSettings:
    """Return the settings with a margin: one hop more of dwell, ``enter`` halfway to 1."""
    return settings.model_copy(
        update={"dwell_ms": settings.dwell_ms + hop_ms, "enter": round((1.0 + settings.enter) / 2, 6)}
    )


def choose(inferred: Inferred, result: SearchResult, *, max_delay_s: float, keep: float) -> int | None:
    """Return the position of the settings that the rule chooses; None where raw argmax is not beaten.

    Once false events are few, smoothing is preferred to gates. Smoothing gathers broken evidence; `enter`, dwell and
    refractory time want one sure or unbroken run of it, which people that the network has not seen may never give
    while those it knows always do: the recordings fitted on cannot show that loss.

    Args:
        inferred: the streams that were searched.
        result: of the search.
        max_delay_s: median added onset delay that the user accepts.
        keep: share of raw argmax's false events that may be left, 0 to 1; 0 asks for the fewest.
    """
    limit, false = max_delay_s + 1e-9, result.false_per_hour
    allowed = (result.missed <= result.missed[0]) & (result.added_delay_s <= limit) & (false < false[0])
    few = false <= keep * false[0]
    gates = np.array([round(one.enter + (one.dwell_ms + one.refractory_ms) / 1000.0, 6) for one in result.settings])
    gentlest = np.lexsort((result.repeats, false, result.added_delay_s, gates))
    fewest = np.lexsort((result.added_delay_s, result.repeats, false))
    order = np.concatenate([gentlest[(allowed & few)[gentlest]], fewest[(allowed & ~few)[fewest]]])
    for at in range(0, len(order), _TWINS_AT_ONCE):
        some = order[at : at + _TWINS_AT_ONCE]
        twins = [stricter(result.settings[position], inferred.hop_ms) for position in some]
        checked = search(inferred, [result.settings[0], *twins])
        good = (checked.missed[1:] <= result.missed[0]) & (checked.added_delay_s[1:] <= limit)
        if good.any():
            return int(some[good.argmax()])
    return None
