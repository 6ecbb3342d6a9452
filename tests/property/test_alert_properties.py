"""Alerts over random timelines: once an episode, the same live and from every kind of log, each stream by itself."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge_runtime.alerts import AlertWatch
from fsq_edge_runtime.alerts.rules import AlertRules
from fsq_edge_runtime.decision_log import replay_logs
from fsq_edge_runtime.sinks.files import JsonlSink, Output
from fsq_edge_runtime.sinks.parquet import ParquetSink
from fsq_edge_runtime.stream.records import Decision
from tests.factories.records import decision

START = 1_711_839_600.0  # the midnight before a day of 23 hours in Berlin
LABELS = st.sampled_from(["rest", "walk", "unknown", None, "(missed)"])
# A label, for how many windows, and the hole before it in seconds.
BLOCKS = st.lists(
    st.tuples(LABELS, st.integers(1, 9), st.sampled_from([0, 0, 0, 2, 40, 5000])), min_size=1, max_size=25
)
SECONDS = st.sampled_from([0.0, 1.0, 3.0, 10.0])
RULES = st.fixed_dictionaries(
    {
        "lasting": st.fixed_dictionaries({"longer_than_s": SECONDS, "max_break_s": SECONDS}),
        "share": st.fixed_dictionaries(
            {"window_s": st.sampled_from([6.0, 60.0]), "above": st.sampled_from([0.2, 0.7])}
        ),
        "count": st.fixed_dictionaries({"above": st.integers(0, 3), "max_break_s": SECONDS}),
        "abstention": st.fixed_dictionaries({"window_s": st.just(12.0), "above": st.just(0.4)}),
        "silence": st.fixed_dictionaries({"longer_than_s": st.just(30.0)}),
    }
)
CALM = st.fixed_dictionaries({"cooldown_s": SECONDS, "clear_after_s": SECONDS})


def timeline(blocks: list[tuple[str | None, int, int]], stream: str, every: float) -> list[Decision]:
    """Return windows that end ``every`` seconds apart, two steps long, with holes."""
    found, at = [], START
    for label, times, hole in blocks:
        at += hole
        for _ in range(times):
            at += every
            missed = "deadline" if label == "(missed)" else None
            shown = None if missed else label
            found.append(decision(len(found), shown, stream=stream, t_end=at, length=2 * every, missed=missed))
    return found


def rules(settings_of: dict[str, dict[str, Any]], calm: dict[str, float]) -> AlertRules:
    made = []
    for kind, own in settings_of.items():
        about = {"classes": ["rest"]} if kind in ("lasting", "share", "count") else {}
        about |= {"zone": "Europe/Berlin"} if kind == "count" else {}
        made.append({"name": kind, "kind": kind, **about, **own, **calm})
    return AlertRules.model_validate({"rules": made}, strict=False)


def raised(found: AlertRules, records: list[Decision]) -> list[dict[str, Any]]:
    watch = AlertWatch(found)
    return [alert.to_dict() for record in records for alert in watch.see(record)]


@settings(max_examples=100, deadline=None)
@given(BLOCKS, RULES, CALM, st.sampled_from([1.0, 700.0]))
def test_an_episode_is_one_alert_and_one_all_clear(
    blocks: list[tuple[str | None, int, int]], own: dict[str, Any], calm: dict[str, float], every: float
) -> None:
    alerts = raised(rules(own, calm), timeline(blocks, "rex", every))
    for kind in own:
        mine = [alert for alert in alerts if alert["rule"] == kind]
        assert [alert["state"] for alert in mine] == ["firing", "clear"] * (len(mine) // 2) + ["firing"] * (
            len(mine) % 2
        )
        fired = [alert["t_end"] for alert in mine if alert["state"] == "firing"]
        assert all(after - before >= calm["cooldown_s"] for before, after in itertools.pairwise(fired))


@settings(max_examples=100, deadline=None)
@given(BLOCKS, SECONDS, SECONDS, st.sampled_from([1.0, 0.5]))
def test_a_lasting_class_raises_as_many_alerts_as_it_has_long_bouts(
    blocks: list[tuple[str | None, int, int]], longer_than_s: float, max_break_s: float, every: float
) -> None:
    windows = timeline(blocks, "rex", every)
    bouts: list[list[float]] = []
    until = START - 1e6
    for one in windows:
        start = until if abs(one.t_start + every - until) < every / 2 else one.t_start
        until = one.t_end
        if one.label != "rest":
            continue
        if bouts and start - bouts[-1][1] <= max_break_s:
            bouts[-1][1] = one.t_end
        else:
            bouts.append([start, one.t_end])
    rule = {"lasting": {"longer_than_s": longer_than_s, "max_break_s": max_break_s}}
    fired = [alert for alert in raised(rules(rule, {}), windows) if alert["state"] == "firing"]
    long = [bout for bout in bouts if bout[1] - bout[0] > longer_than_s]
    assert [alert["t_start"] for alert in fired] == [start for start, _ in long]


@settings(max_examples=25, deadline=None)
@given(BLOCKS, BLOCKS, RULES, CALM)
def test_live_json_lines_and_parquet_agree_and_streams_do_not_meet(
    first: list[tuple[str | None, int, int]],
    second: list[tuple[str | None, int, int]],
    own: dict[str, Any],
    calm: dict[str, float],
) -> None:
    found = rules(own, calm)
    records = sorted(timeline(first, "rex", 1.0) + timeline(second, "tom/\U0001f415", 1.0), key=lambda one: one.t_end)
    live = raised(found, records)
    with tempfile.TemporaryDirectory() as folder:
        sinks = [JsonlSink(Output(Path(folder) / "log.jsonl")), ParquetSink(Path(folder) / "parquet")]
        for sink in sinks:
            for record in records:
                sink.write(record)
            sink.close()
        logs = [raised(found, list(replay_logs([Path(folder) / name]))) for name in ("log.jsonl", "parquet")]
    assert logs[0] == live

    def by_stream(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(alerts, key=lambda alert: str(alert["stream"]))  # what order streams have to each other is free

    assert by_stream(logs[1]) == by_stream(live)
    alone = [raised(found, [one for one in records if one.stream == stream]) for stream in ("rex", "tom/\U0001f415")]
    assert by_stream([*alone[0], *alone[1]]) == by_stream(live)
