"""Streams with wearers of their own: one batch, overlays that come and go, new classes, lessons."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import with_files
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.personal import teaching
from fsq_edge_runtime.personal.fitting import personalize
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.stream.records import Decision, Record, StreamEvent
from tests.factories.wearers import (
    NAMES,
    NEW,
    OWN,
    USUAL,
    answers,
    evidence_of,
    knowing_bundle,
    movement,
    stream,
    trot,
    wearer_dataset,
    wearers_overlay,
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return knowing_bundle()


@pytest.fixture(scope="module")
def overlay(bundle: Bundle) -> Overlay:
    return wearers_overlay(bundle)


# Streams.


def test_without_an_overlay_nothing_changes(bundle: Bundle) -> None:
    bare = with_files(bundle, {("features", None): None})
    with bundle.open_session("onnx") as session:
        assert session.backend.output_size == 3  # type: ignore[attr-defined]
        with_statistics = [decision._replace(stages_ns=()) for decision in session.push(trot())]
    with bare.open_session("onnx") as session:
        assert with_statistics == [decision._replace(stages_ns=()) for decision in session.push(trot())]


def test_one_batch_serves_many_wearers_and_gives_what_single_pushes_give(bundle: Bundle, overlay: Overlay) -> None:
    table = personalize(bundle, evidence_of(bundle, wearer_dataset(bundle)), "max", method="table").overlay
    assert table is not None
    overlays = {"rex": overlay, "max": table}
    options = {"overlay": overlays, "decision": DecisionSettings(smoothing="ema", smoothing_ms=2000.0, enter=0.4)}
    names = ("rex", "max", "other")
    pieces = [(name, trot(90 + at)) for at, name in enumerate(names)]
    together: list[Record] = []
    alone: list[Record] = []
    with bundle.open_session("onnx", on_record=together.append, **options) as session:
        for at in range(0, 1500, 50):
            session.push_many([(name, samples[at : at + 50], None) for name, samples in pieces])
    with bundle.open_session("onnx", on_record=alone.append, **options) as session:
        for at in range(0, 1500, 50):
            for name, samples in pieces:
                session.push(samples[at : at + 50], stream=name)
    plain = [[one._replace(stages_ns=()) for one in some if isinstance(one, Decision)] for some in (together, alone)]
    assert plain[0] == plain[1], "to the last bit"
    by_stream = {name: [one.raw_label for one in plain[0] if one.stream == name] for name in names}
    assert by_stream["rex"].count("trot") > 20
    assert by_stream["max"].count("trot") > 20
    assert by_stream["other"].count("trot") < 5
    assert [one.code for one in plain[0]] == [one.code for one in stream_many(bundle, pieces)], (
        "codes are the network's, whoever answers"
    )


def stream_many(bundle: Bundle, pieces: list[tuple[str, np.ndarray]]) -> list[Decision]:
    found: list[Decision] = []
    with bundle.open_session("onnx") as session:
        for at in range(0, 1500, 50):
            found += session.push_many([(name, samples[at : at + 50], None) for name, samples in pieces])
    return found


def test_an_overlay_is_given_and_taken_away_while_it_streams(bundle: Bundle, overlay: Overlay, tmp_path: Path) -> None:
    overlay.save(tmp_path / "rex.fsqo")
    samples = trot()
    with bundle.open_session("onnx", features=True) as session:
        found = []
        for at in range(0, 1500, 50):
            if at == 500:
                session.set_overlay("0", tmp_path / "rex.fsqo")
            if at == 1000:
                session.set_overlay("0", None)
            found += [decision.raw_label for decision in session.push(samples[at : at + 50])]
    assert found[10:18].count("trot") >= 7
    assert found[19:].count("trot") <= 2
    with bundle.open_session("onnx") as session, pytest.raises(UsageError, match="without them"):
        session.set_overlay("0", overlay)


# A new class.


def test_a_new_class_is_enrolled_and_told(bundle: Bundle) -> None:
    names = (*NAMES, "scratch")
    dataset = wearer_dataset(bundle, kinds=(*OWN, NEW), names=names)
    evidence = evidence_of(bundle, dataset, new_classes=("scratch",))
    found = personalize(bundle, evidence, "rex", new_classes=("scratch",))
    assert found.overlay is not None
    assert found.overlay.record.classes == names
    told = answers(stream(bundle, movement(*NEW, 1500, 123), overlay=found.overlay))
    assert told.count("scratch") > 0.9 * len(told)
    walk = answers(stream(bundle, movement(*OWN[0], 1500, 124), overlay=found.overlay))
    assert walk.count("scratch") == 0
    turned = stream(bundle, movement(*NEW, 2500, 125, True), overlay=found.overlay)
    last = [record for record in turned if isinstance(record, Decision)][-1]
    assert last.probabilities is not None
    assert len(last.probabilities) == 5
    assert last.probabilities[4] == 0.0, "the base head knows nothing of it"
    with pytest.raises(DataError, match="a class of the bundle already"):
        evidence_of(bundle, dataset, new_classes=("walk",))


# Taught while it streams.


def day(session: Session, kinds: tuple[tuple[float, float], ...], seed: int, taught: bool) -> None:
    """Stream twelve seconds of each movement, and say which it is."""
    for number, (kind, name) in enumerate(zip(kinds, NAMES, strict=True)):
        if taught:
            session.teach(name)
        samples = movement(*kind, 600, seed + number)
        for at in range(0, 600, 50):
            session.push(samples[at : at + 50])
    if taught:
        session.teach(None)


def told_trot(session: Session) -> float:
    samples = trot()
    found = [one.raw_label for at in range(0, 1500, 50) for one in session.push(samples[at : at + 50])]
    return found[2:].count("trot") / len(found[2:])


def test_a_wearer_is_taught_live_and_it_can_be_taken_back(bundle: Bundle) -> None:
    records: list[Record] = []
    with bundle.open_session("onnx", features=True, on_record=records.append) as session:
        assert told_trot(session) < 0.2
        day(session, OWN, 700, taught=True)
        assert told_trot(session) > 0.9
        session.forget()
        assert told_trot(session) < 0.2
    events = [one.facts for one in records if isinstance(one, StreamEvent) and "action" in one.facts]
    assert [one["action"] for one in events] == ["teach"] * 4 + ["taught", "forgotten"]
    assert events[4]["windows"] == 4 * 11, "windows that begin and end within one label"
    assert float(str(events[4]["macro_f1_after"])) > float(str(events[4]["macro_f1_before"])) + 0.2
    assert events[5] == {"t": events[5]["t"], "action": "forgotten", "head": "base", "windows": 0}
    assert all(one.features is None for one in records if isinstance(one, Decision)), "not asked for"


def test_what_a_wearer_teaches_passes_the_gate_or_is_left_out(bundle: Bundle) -> None:
    with bundle.open_session("onnx", features=True) as session:
        day(session, USUAL, 800, taught=True)
        session.teach("walk")
        session.push(movement(*OWN[0], 300, 5))
        facts = session.teach(None)
        assert facts is not None
        assert facts["action"] == "refused"
        assert session.teach(None) is None, "nothing new"
        with pytest.raises(UsageError, match="'fly' is no class"):
            session.teach("fly")
        with pytest.raises(UsageError, match="nothing was taught to the stream 'max'"):
            session.forget("max")


def test_lessons_without_end_keep_memory_bounded_and_can_all_be_taken_back(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "personalize", functools.partial(personalize, force="a test: whatever it gains"))
    with bundle.open_session("onnx", features=True) as session:
        day(session, OWN, 700, taught=True)
        lesson, roster = session._streams["0"].lesson, session._roster
        assert lesson is not None
        assert roster is not None
        for number in range(20):
            session.teach("walk")
            session.push(movement(*OWN[0], 200, number))
            facts = session.teach(None)
            assert facts is not None
            assert facts["action"] == "taught"
        assert len(lesson.before) == teaching.MOST_BEFORE
        assert len(roster._made) == 1
        for _ in range(teaching.MOST_BEFORE + 1):
            session.forget()
        assert not lesson.before
        assert not any(lesson.windows.values())


def test_a_clock_that_is_set_back_does_not_end_a_lesson(bundle: Bundle) -> None:
    with bundle.open_session("onnx", features=True) as session:
        samples = movement(*OWN[0], 600, 5)
        session.push(samples[:100], 5000.0 + np.arange(100) / 50)
        session.teach("walk")
        session.push(samples, np.arange(600) / 50)
        lesson = session._streams["0"].lesson
        assert lesson is not None
        assert lesson.added >= 10
        facts = session.teach(None)
        assert facts is not None
        assert "only one class" in str(facts["reasons"])


def test_a_lesson_may_be_forgotten_while_it_lasts_and_ended_twice(bundle: Bundle) -> None:
    with bundle.open_session("onnx", features=True) as session:
        day(session, OWN, 700, taught=True)
        session.teach("walk")
        session.teach("walk")
        session.push(movement(*OWN[0], 300, 5))
        session.forget()
        assert told_trot(session) < 0.2
        session.forget()
        assert session.teach(None) is None or session.teach(None) is None
        day(session, OWN, 900, taught=True)
        assert told_trot(session) > 0.9


def test_what_was_taught_survives_a_reload_of_the_same_network(bundle: Bundle) -> None:
    settings = DecisionSettings(smoothing="ema", smoothing_ms=1000.0)
    tuned = with_files(bundle, {("decision", None): ("decision.json", settings.to_json().encode())})
    session = bundle.open_session("onnx", features=True)
    day(session, OWN, 700, taught=True)
    with tuned.open_session("onnx", features=True) as fresh:
        fresh.continue_from(session)
        assert told_trot(fresh) > 0.9
        fresh.forget()
        assert told_trot(fresh) < 0.2
    session.close()


def test_lines_teach_only_where_that_was_asked_for(bundle: Bundle, tmp_path: Path) -> None:
    lines = []
    for number, (kind, name) in enumerate(zip(OWN, NAMES, strict=True)):
        lines.append({"stream": "rex", "teach": name})
        lines += [{"stream": "rex", "x": row} for row in movement(*kind, 600, 700 + number).tolist()]
    lines.append({"stream": "rex", "teach": None})
    lines += [{"stream": "rex", "x": row} for row in trot().tolist()]
    lines += [{"stream": "rex", "teach": "fly"}, {"teach": 3}]
    bundle.save(tmp_path / "dog.fsqb")
    text = "".join(json.dumps(line) + "\n" for line in lines)
    command = [sys.executable, "-m", "fsq_edge", "run", str(tmp_path / "dog.fsqb"), "--source", "stdin:"]

    def streamed(*words: str) -> list[dict[str, Any]]:
        ran = subprocess.run([*command, *words], input=text, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in ran.stdout.splitlines()]

    taught, deaf = streamed("--teach"), streamed()
    events = [one["action"] for one in taught if one["type"] == "overlay" and "action" in one]
    assert events == ["teach"] * 4 + ["taught", "refused"]
    labels = [one["raw_label"] for one in taught if one["type"] == "decision"]
    assert labels[-28:].count("trot") > 25
    assert [one["raw_label"] for one in deaf if one["type"] == "decision"][-28:].count("trot") < 5
    assert taught[-1]["sources"][0]["malformed"] == 1
    assert deaf[-1]["sources"][0]["malformed"] == 7
    assert not any(one["type"] == "overlay" for one in deaf)
