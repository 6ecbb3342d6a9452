"""Rules over the records of a run; an alert is a record, once an episode, and so is the all-clear."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from fsq_edge_runtime.alerts.conditions import Condition, Holding, Piece, make_condition
from fsq_edge_runtime.alerts.rules import (
    Abstention,
    AlertRules,
    AnyRule,
    CountPerDay,
    Drift,
    Lasting,
    ShareOfTime,
    Silence,
)
from fsq_edge_runtime.stream.records import Decision, Record, StreamEvent

JOIN: Final = 0.1  # windows without overlap end one sample before the next starts: a step this small is no gap
MAX_STREAMS: Final = 4096


class _Episode:
    """One rule on one stream: its condition, and whether an alert stands."""

    def __init__(self, rule: AnyRule) -> None:
        self.rule = rule
        self.condition: Condition | None = make_condition(rule)
        self.since: float | None = None  # of the alert that stands
        self._last_alert: float | None = None
        self._held: float | None = None  # when the condition was last seen to hold
        self._ended: float | None = None  # when it was first seen to hold no longer

    def reset(self) -> None:
        """Begin anew: the source's clock was set back."""
        self.condition = make_condition(self.rule)
        self._last_alert = self._held = self._ended = None

    def judge(self, stream: str, now: float, holding: Holding | None) -> list[StreamEvent]:
        """Return the alert and the all-clear that are due at ``now``, seconds of the source."""
        found: list[StreamEvent] = []
        if holding is not None:
            # One episode may follow another with no window between them: after a hole, or at midnight.
            quiet_s = holding.since - (self._held if self._held is not None else holding.since)
            if self.since not in (None, holding.since) and quiet_s >= self.rule.clear_after_s:
                found.append(self._clear(stream, holding.since))
            self._ended, self._held = None, now
            cool = self._last_alert is None or now - self._last_alert >= self.rule.cooldown_s
            if self.since is None and cool:
                self.since = holding.since
                self._last_alert = now
                found.append(alert_record(self.rule, stream, "firing", holding.since, now, holding.value))
        elif self.since is not None:
            self._ended = now if self._ended is None else self._ended
            if now - self._ended >= self.rule.clear_after_s:
                found.append(self._clear(stream, now))
        return found

    def _clear(self, stream: str, now: float) -> StreamEvent:
        since, self.since = self.since, None
        return alert_record(self.rule, stream, "clear", since or 0.0, now, None)

    def happen(self, stream: str, since: float, now: float, value: float | None, why: str) -> StreamEvent | None:
        """Return the alert for what has no duration, unless the rule is cooling down."""
        if self._last_alert is not None and 0 <= now - self._last_alert < self.rule.cooldown_s:
            return None
        self._last_alert = now
        return alert_record(self.rule, stream, "firing", since, now, value, why)


class _Stream:
    """What is known of one stream."""

    def __init__(self, rules: list[AnyRule]) -> None:
        self.end: float | None = None  # of the last window
        self.heard = 0.0  # when it came, on the clock of this machine
        self.episodes = [_Episode(rule) for rule in rules]


class AlertWatch:
    """Watches every stream for the conditions of the rules.

    Times are those of the source, so a replay raises the alerts of the live run. Silence is the exception: live it is
    found while it lasts (:meth:`tick`), in a replay when the stream is back.

    Args:
        rules: the rules.
        now_s: seconds of a clock that never goes back.

    Cost: a few microseconds a window and rule; under 4 KB a stream and rule.
    """

    def __init__(self, rules: AlertRules, now_s: Callable[[], float] = time.monotonic) -> None:
        self._rules, self._now_s = rules.rules, now_s
        self._streams: dict[str, _Stream] = {}  # the most recent last
        self._silences = [rule for rule in self._rules if isinstance(rule, Silence)]

    def see(self, record: Record) -> list[StreamEvent]:
        """Take the next record; return the alerts and all-clears that it raises."""
        if isinstance(record, StreamEvent) and record.kind == "drift":
            return self._see_drift(record)
        if not isinstance(record, Decision):
            return []
        stream = self._open(record.stream)
        before, end = stream.end, record.t_end
        stream.heard, stream.end = self._now_s(), end
        if before is not None and end <= before:
            for episode in stream.episodes:
                episode.reset()
            before = None
        joined = before is not None and record.t_start - before < JOIN * (end - record.t_start)
        start = before if joined and before is not None else record.t_start
        piece = Piece(start, end, record.label)
        found: list[StreamEvent] = []
        for episode in stream.episodes:
            if episode.condition is not None:
                found += episode.judge(record.stream, end, episode.condition.step(piece))
            elif isinstance(episode.rule, Silence):
                if before is not None and start - before > episode.rule.longer_than_s and episode.since is None:
                    found += episode.judge(record.stream, start, Holding(before, start - before))
                found += episode.judge(record.stream, end, None)
        return found

    def tick(self) -> list[StreamEvent]:
        """Return the alerts of streams that are silent now; to be asked about once a second while live."""
        if not self._silences:
            return []
        found: list[StreamEvent] = []
        now = self._now_s()
        for name, stream in self._streams.items():
            silent = now - stream.heard
            for episode in stream.episodes:
                if stream.end is None or episode.since is not None or not isinstance(episode.rule, Silence):
                    continue
                if silent > episode.rule.longer_than_s:
                    found += episode.judge(name, stream.end + silent, Holding(stream.end, silent))
        return found

    def _see_drift(self, record: StreamEvent) -> list[StreamEvent]:
        facts, found = record.facts, []
        for episode in self._open(record.stream).episodes:
            if isinstance(episode.rule, Drift):
                since, now = float(facts.get("t_start", 0.0)), float(facts.get("t_end", 0.0))
                why = f"{facts.get('what')} moved; {facts.get('advice')}"
                found.append(episode.happen(record.stream, since, now, facts.get("value"), why))
        return [alert for alert in found if alert is not None]

    def _open(self, name: str) -> _Stream:
        stream = self._streams.pop(name, None)
        if stream is None:
            stream = _Stream([rule for rule in self._rules if not rule.streams or name in rule.streams])
            if len(self._streams) >= MAX_STREAMS:
                self._streams.pop(next(iter(self._streams)))
        self._streams[name] = stream
        return stream


def alert_record(
    rule: AnyRule, stream: str, state: str, since: float, now: float, value: float | None, why: str = ""
) -> StreamEvent:
    """Return the ``alert`` record: ``firing`` or ``clear``, since when, and one line for people."""
    words = why or (_message(rule, value) if state == "firing" else "all clear")
    facts: dict[str, Any] = {"rule": rule.name, "kind": rule.kind, "state": state, "t_start": since, "t_end": now}
    facts["value"] = None if value is None else round(value, 4)
    facts["message"] = f"{rule.name}: {stream}: {words}"
    return StreamEvent("alert", stream, facts)


def _message(rule: AnyRule, value: float | None) -> str:
    measured = 0.0 if value is None else value
    match rule:
        case Lasting():
            return f"{_names(rule.classes)} for {measured:,.0f} s (limit {rule.longer_than_s:g} s)"
        case ShareOfTime():
            limit = f"above {rule.above:.0%}" if rule.above is not None else f"below {rule.below:.0%}"
            return f"{_names(rule.classes)} {measured:.0%} of the last {rule.window_s:g} s ({limit})"
        case Abstention():
            return f"no answer in {measured:.0%} of the last {rule.window_s:g} s (limit {rule.above:.0%})"
        case CountPerDay():
            limit = f"more than {rule.above}" if rule.above is not None else f"fewer than {rule.below}"
            return f"{_names(rule.classes)} {measured:.0f} times in a day ({limit})"
        case Silence():
            return f"silent for {measured:,.0f} s (limit {rule.longer_than_s:g} s)"
    return "drift"


def _names(classes: tuple[str, ...]) -> str:
    return " or ".join(classes[:3]) + (" ..." if len(classes) > 3 else "")
