"""Alerts: each condition, once an episode, and equal live, in a replay and over a log."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge_runtime.alerts import AlertRules, AlertWatch, read_rules
from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError
from fsq_edge_runtime.stream.records import Record, StreamEvent
from tests.factories.records import decision

NIGHT = 1_711_839_600  # midnight of Berlin, 31 March 2024: a day of 23 hours begins


def rules(*entries: dict[str, Any], **more: Any) -> AlertRules:
    named = [{"name": f"r{number}", **entry} for number, entry in enumerate(entries)]
    return AlertRules.from_json(json.dumps({"schema_version": 1, "rules": named, **more}))


def windows(labels: str, *, every: float = 1.0, start: float = 0.0, stream: str = "rex") -> Iterable[Record]:
    """Make windows that end a step apart: w walks, r rests, s scratches, . abstains, a blank is a step without data."""
    names = {"w": "walk", "r": "rest", "s": "scratch", ".": None}
    for number, letter in enumerate(labels):
        if letter != " ":
            end = start + every * (number + 1)
            yield decision(number, names[letter], stream=stream, t_end=end, length=every)


def raised(watch: AlertWatch, records: Iterable[Record]) -> list[tuple[str, str, float, float]]:
    found = [alert.facts for record in records for alert in watch.see(record)]
    return [(facts["rule"], facts["state"], facts["t_start"], facts["t_end"]) for facts in found]


LASTING = {"kind": "lasting", "classes": ["rest"], "longer_than_s": 3}


def test_a_class_that_lasts_raises_one_alert_and_one_all_clear() -> None:
    found = raised(AlertWatch(rules(LASTING)), windows("wwrrrrrrww" + "rrr" + "w" + "rrrrr"))
    assert found == [
        ("r0", "firing", 2, 6),  # longer than three seconds, so after four
        ("r0", "clear", 2, 9),
        ("r0", "firing", 14, 18),
    ]


def test_a_short_break_does_not_end_it_and_a_gap_without_data_does() -> None:
    lasting = {**LASTING, "max_break_s": 2}
    assert raised(AlertWatch(rules(lasting)), windows("rr.wrrr")) == [("r0", "firing", 0, 5)]
    assert raised(AlertWatch(rules(lasting)), windows("rr   rrr")) == []


def test_overlapping_windows_count_no_moment_twice() -> None:
    halves = [decision(number, "rest", t_end=2 + number * 0.5, length=2.0) for number in range(5)]
    assert raised(AlertWatch(rules({**LASTING, "longer_than_s": 3.9})), halves) == [("r0", "firing", 0, 4)]


def test_a_cool_down_holds_back_and_a_condition_that_goes_on_speaks_afterwards() -> None:
    short = {**LASTING, "longer_than_s": 1, "cooldown_s": 10}
    labels = "rrw" + "rrw" + "w" * 2 + "rrrrrrr"
    assert raised(AlertWatch(rules(short)), windows(labels)) == [
        ("r0", "firing", 0, 2),
        ("r0", "clear", 0, 3),
        ("r0", "firing", 8, 12),  # ten seconds after the first; it began at 8
    ]


def test_the_all_clear_waits() -> None:
    calm = {**LASTING, "longer_than_s": 1, "clear_after_s": 2}
    assert raised(AlertWatch(rules(calm)), windows("rrwrrwwww")) == [
        ("r0", "firing", 0, 2),
        ("r0", "clear", 0, 8),  # two seconds after the condition ended for good, at 6
    ]


def test_a_share_of_time_counts_what_has_a_label() -> None:
    share = {"kind": "share", "classes": ["walk"], "window_s": 60, "above": 0.5, "least_coverage": 0.5}
    # 29 seconds are too little to say. 30 of 59 are more than a half, and 30 of 60, a minute after second 30, are not.
    assert raised(AlertWatch(rules(share)), windows("w" * 29)) == []
    found = raised(AlertWatch(rules(share)), windows("r" * 29 + "w" * 31 + "r" * 60))
    assert [(state, at) for _, state, _, at in found] == [("firing", 59), ("clear", 90)]
    # What abstains is not counted: half of the window is known, all of that walks.
    assert raised(AlertWatch(rules(share)), windows("w." * 30))[0][1] == "firing"


def test_a_share_below_a_limit() -> None:
    share = {"kind": "share", "classes": ["walk"], "window_s": 60, "below": 0.1, "least_coverage": 0.9}
    found = raised(AlertWatch(rules(share)), windows("w" * 60 + "r" * 60 + "w" * 60))
    assert [state for _, state, _, _ in found] == ["firing", "clear"]


def test_abstention_counts_missed_windows_too() -> None:
    rule = {"kind": "abstention", "window_s": 60, "above": 0.5}
    lost = [decision(number, None, t_end=number + 1.0, length=1.0, missed="deadline") for number in range(60)]
    assert [state for _, state, _, _ in raised(AlertWatch(rules(rule)), lost)] == ["firing"]
    assert raised(AlertWatch(rules(rule)), windows("w" * 120)) == []


@pytest.mark.parametrize(("bouts", "alerts"), [(3, 0), (4, 1), (9, 1)])
def test_a_count_a_day_fires_once_and_clears_at_midnight(bouts: int, alerts: int) -> None:
    rule = {"kind": "count", "classes": ["scratch"], "above": 3, "zone": "Europe/Berlin"}
    day = ["s", "r"] * bouts + ["r"] * (46 - 2 * bouts)  # half hours of a day of 23 hours
    found = raised(AlertWatch(rules(rule)), windows("".join(day) + "rr", every=1800, start=NIGHT))
    assert [state for _, state, _, _ in found] == ["firing", "clear"] * alerts
    assert all(since == NIGHT for _, _, since, _ in found)
    assert [at for _, state, _, at in found if state == "clear"] == [NIGHT + 23 * 3600 + 1800] * alerts


def test_too_few_in_a_day_is_said_when_the_day_is_over_and_was_seen() -> None:
    rule = {"kind": "count", "classes": ["scratch"], "below": 2, "zone": "Europe/Berlin", "least_coverage": 1.0}
    whole = "s" + "r" * 45
    found = raised(AlertWatch(rules(rule)), windows(whole + "srs" + "r" * 45 + "r", every=1800, start=NIGHT))
    assert [(state, since) for _, state, since, _ in found] == [("firing", NIGHT), ("clear", NIGHT)]
    assert raised(AlertWatch(rules(rule)), windows("s" + "." + "r" * 44 + "rr", every=1800, start=NIGHT)) == []


def test_bouts_that_are_too_short_do_not_count() -> None:
    rule = {"kind": "count", "classes": ["scratch"], "above": 0, "min_bout_s": 3}
    assert raised(AlertWatch(rules(rule)), windows("ssrssr")) == []
    assert raised(AlertWatch(rules(rule)), windows("ssrsssr")) == [("r0", "firing", 0, 6)]
    assert raised(AlertWatch(rules({**rule, "max_break_s": 1})), windows("ssrss")) == [("r0", "firing", 0, 4)]


SILENCE = {"kind": "silence", "longer_than_s": 5}


def test_silence_live_is_the_silence_of_the_replay() -> None:
    before, after = list(windows("www")), list(windows("ww", start=20.0))
    replayed = raised(AlertWatch(rules(SILENCE)), [*before, *after])
    assert replayed == [("r0", "firing", 3, 20), ("r0", "clear", 3, 21)]
    clock = [0.0]
    watch = AlertWatch(rules(SILENCE), now_s=lambda: clock[0])
    live = raised(watch, before)
    for second in range(17):
        clock[0] = float(second)
        live += [("r0", alert.facts["state"], alert.facts["t_start"], -1.0) for alert in watch.tick()]
    live += raised(watch, after)
    # Once for the episode, with the same name; live it is said while the silence lasts.
    assert [(state, since) for _, state, since, _ in live] == [(state, since) for _, state, since, _ in replayed]


def test_drift_is_an_alert_and_cools_down() -> None:
    def drift(at: float) -> StreamEvent:
        return StreamEvent("drift", "rex", {"what": "gravity", "value": 0.3, "t_start": at - 10, "t_end": at,
                                            "advice": "lay it still"})  # fmt: skip

    watch = AlertWatch(rules({"kind": "drift", "cooldown_s": 100}))
    assert raised(watch, [drift(50), drift(60), drift(160)]) == [("r0", "firing", 40, 50), ("r0", "firing", 150, 160)]
    message = AlertWatch(rules({"kind": "drift"})).see(drift(5))[0].facts["message"]
    assert message == "r0: rex: gravity moved; lay it still"


def test_rules_are_for_their_streams_and_streams_do_not_mix() -> None:
    watch = AlertWatch(rules({**LASTING, "streams": ["rex"]}))
    mixed = [
        record for pair in zip(windows("rrrrrr"), windows("rrrrrr", stream="bella"), strict=True) for record in pair
    ]
    assert raised(watch, mixed) == [("r0", "firing", 0, 4)]


def test_a_clock_that_is_set_back_begins_anew() -> None:
    watch = AlertWatch(rules({**LASTING, "cooldown_s": 1000}))
    found = raised(watch, [*windows("rrrrr", start=500), *windows("wrrrrr", start=0)])
    assert [(state, since) for _, state, since, _ in found] == [("firing", 500), ("clear", 500), ("firing", 1)]


ALL = [LASTING, {**LASTING, "max_break_s": 2, "cooldown_s": 7, "clear_after_s": 2}, SILENCE,
       {"kind": "share", "classes": ["walk"], "window_s": 20, "above": 0.4},
       {"kind": "abstention", "window_s": 20, "above": 0.3},
       {"kind": "count", "classes": ["scratch", "walk"], "above": 2}]  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.text("wrs. ", min_size=1, max_size=80), st.integers(0, 3))
def test_alerts_and_all_clears_take_turns(labels: str, start: int) -> None:
    open_since: dict[str, float] = {}
    for rule, state, since, at in raised(AlertWatch(rules(*ALL)), windows(labels, start=start * 40_000.0)):
        assert since <= at
        if state == "firing":
            assert rule not in open_since
            open_since[rule] = since
        else:
            assert open_since.pop(rule) == since


def test_the_memory_of_a_share_does_not_grow_with_its_window() -> None:
    watch = AlertWatch(rules({"kind": "share", "classes": ["walk"], "above": 0.1, "window_s": 1e6}))
    raised(watch, windows("w" * 2000))
    condition = watch._streams["rex"].episodes[0].condition
    assert len(condition._covered) == len(condition._matched) == 60


GOOD = """
schema_version: 1
sinks: ["webhook:env:HOOK"]
rules:
  - name: rests-too-long
    kind: lasting
    classes: [rest]
    longer_than_s: 3600
"""


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    found = read_rules(tmp_path / "a.yaml")
    assert found.sinks == ("webhook:env:HOOK",)
    (tmp_path / "a.json").write_text(found.to_json())
    assert read_rules(tmp_path / "a.json") == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("lasting", "longing"), "rules.0"),
        (GOOD.replace("    longer_than_s: 3600\n", ""), "longer_than_s: this key is missing"),
        (GOOD.replace("3600", "-1"), "expected 0 or more, found -1"),
        (GOOD.replace("schema_version: 1", "schema_version: 9"), "schema version 9"),
        (GOOD.replace("[rest]", "[]"), "classes"),
        (GOOD.replace("[rest]", "&a [*a]"), "aliases"),
        (GOOD + "  - name: rests-too-long\n    kind: drift\n", "two rules are called"),
        (GOOD.replace("rests-too-long", "2024-01-01"), "JSON serializable"),
        (GOOD.replace("3600", ".inf"), "not JSON compliant"),
        (GOOD.replace("webhook:env:HOOK", "parquet:out"), "parquet:out takes windows only"),
        ("rules: [", "line 1, column"),
        ("[]", "expected keys with values, found a list"),
        (GOOD + "  - {name: a, kind: count, classes: [x], above: 1, below: 2}\n", "give above or below"),
        (GOOD + "  - {name: a, kind: count, classes: [x], above: 1, zone: Mars}\n", "time zone"),
        (GOOD + "  - {name: a, kind: count, classes: [x], above: 1, zone: Europe/Berlni}\n", "mean Europe/Berlin"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        read_rules(tmp_path / "a.yaml")
    assert len(caught.value.message.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (GOOD.replace("longer_than_s", "longer_than"), "did you mean longer_than_s?"),
        (GOOD.replace("lasting", "lastng"), "did you mean lasting?"),
        (GOOD.replace("    kind: lasting\n", ""), "give 'kind'"),
        (GOOD.replace("classes", "klass"), "did you mean classes?"),
        (GOOD.replace("sinks", "sink"), "did you mean sinks?"),
        (GOOD.replace("longer_than_s", "zzz"), "known keys: name, streams, cooldown_s"),
    ],
)
def test_a_misspelt_key_or_kind_gets_the_one_that_was_meant(tmp_path: Path, text: str, hint: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DataError) as caught:
        read_rules(tmp_path / "a.yaml")
    assert caught.value.hint.startswith(hint)


def test_a_missing_file_and_a_class_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        read_rules(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="rest"):
        rules(LASTING).check_classes(["walk"])
