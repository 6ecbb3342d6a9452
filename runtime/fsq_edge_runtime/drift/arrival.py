"""Whether samples without timestamps arrive as often as they are counted to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from fsq_edge_runtime.drift.series import LIMITS, RELEASED, Series
from fsq_edge_runtime.stream.records import StreamEvent

if TYPE_CHECKING:
    from fsq_edge_runtime.stream.state import StreamState

LOOK_S: Final = 15.0  # between two looks: a radio hands over its packets in bursts
AGREEING: Final = 4  # looks in a row: a sensor that is silent now and then gives another rate each time
MOST_APART: Final = 0.05  # logarithms of the rates that agree


class ArrivalWatch:
    """Compares what every stream received with its nominal rate."""

    def __init__(self) -> None:
        self._looked_ns = 0
        self._received: dict[str, int] = {}
        self._rates: dict[str, list[float]] = {}  # logarithms over nominal, of the latest looks
        self._reported: set[str] = set()

    def look(self, states: Iterable[StreamState], now_ns: int) -> list[StreamEvent]:
        """Return a ``drift`` record for each stream whose rate turned out wrong; ``now_ns`` is monotonic."""
        elapsed_s = (now_ns - self._looked_ns) / 1e9
        if elapsed_s < LOOK_S:
            return []
        self._looked_ns = now_ns
        received, self._received = self._received, {}
        found = []
        for state in states:
            name, count = state.name, state.counters.received
            self._received[name] = count
            since = count - received.get(name, count)
            if since > 0 and state.grid.counting:
                event = self._judge(state, math.log(since / (elapsed_s * state.grid.source_rate_hz)), elapsed_s)
                found += [] if event is None else [event]
            else:
                self._rates.pop(name, None)
        for name in self._rates.keys() - self._received.keys():  # closed since
            del self._rates[name]
        self._reported &= self._received.keys()
        return found

    def _judge(self, state: StreamState, rate: float, elapsed_s: float) -> StreamEvent | None:
        rates = self._rates.setdefault(state.name, [])
        rates.append(rate)
        del rates[:-AGREEING]
        if len(rates) < AGREEING or max(rates) - min(rates) > MOST_APART:
            return None
        score = abs(rate) / LIMITS["rate"]
        if score < RELEASED:
            self._reported.discard(state.name)
        if score <= 1.0 or state.name in self._reported:
            return None
        self._reported.add(state.name)
        begun = max(state.t0, state.time - AGREEING * elapsed_s * math.exp(rate))
        facts = Series("rate", "").facts(max(0, state.seq - 1), begun, state.time, "training", rate, 0.0, score, [])
        return StreamEvent("drift", state.name, facts)
