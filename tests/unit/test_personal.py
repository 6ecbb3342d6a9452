"""A wearer's own head: what it gains, when it is refused, when it steps aside, and that nothing else changes."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge.data import Dataset
from fsq_edge.tuning.wearer_windows import windows_of
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import with_files
from fsq_edge_runtime.bundle.install import install
from fsq_edge_runtime.bundle.selftest import run_selftest
from fsq_edge_runtime.bundle.signature import sign_bundle
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.feature_statistics import FeatureStatistics, in_steps
from fsq_edge_runtime.personal.evidence import Evidence
from fsq_edge_runtime.personal.fitting import personalize
from fsq_edge_runtime.personal.guard import Guard, spread_points
from fsq_edge_runtime.personal.heads import fit_head, fit_table, scores_of
from fsq_edge_runtime.personal.installing import install_overlays, installed_overlays
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.preprocess import ChannelSpec
from fsq_edge_runtime.score_tails import SoftmaxTail
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.stream.records import Decision, Record, StreamEvent
from fsq_edge_runtime.tail import FsqCodebook
from tests.factories.bundles import random_bundle
from tests.factories.golden_bundle import private_key, public_key
from tests.factories.wearers import NAMES, NEW, OWN, RATE, USUAL, knowing_bundle, movement, wearer_dataset


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return knowing_bundle()


@pytest.fixture(scope="module")
def evidence(bundle: Bundle) -> Evidence:
    return evidence_of(bundle, wearer_dataset(bundle))


@pytest.fixture(scope="module")
def overlay(bundle: Bundle, evidence: Evidence) -> Overlay:
    found = personalize(bundle, evidence, "rex", method="head").overlay
    assert found is not None
    return found


def evidence_of(bundle: Bundle, dataset: Dataset, **options: object) -> Evidence:
    return windows_of(bundle, dataset.recordings, dataset, **options)  # type: ignore[arg-type]


def stream(bundle: Bundle, samples: np.ndarray, **options: object) -> list[Record]:
    records: list[Record] = []
    with bundle.open_session("onnx", on_record=records.append, **options) as session:
        for at in range(0, len(samples), 50):
            session.push(samples[at : at + 50])
    return records


def answers(records: list[Record]) -> list[str | None]:
    return [record.raw_label for record in records if isinstance(record, Decision)]


def trot(seed: int = 77, n: int = 1500, turned: bool = False) -> np.ndarray:
    return movement(*OWN[1], n, seed, turned)


# What it gains.


def test_the_wearers_trot_is_told_with_the_overlay_and_not_without(bundle: Bundle, overlay: Overlay) -> None:
    before, after = answers(stream(bundle, trot())), answers(stream(bundle, trot(), overlay=overlay))
    assert before.count("trot") < 0.2 * len(before)
    assert after.count("trot") > 0.9 * len(after)


def test_a_table_helps_where_the_bundle_has_no_features(bundle: Bundle) -> None:
    bare = with_files(bundle, {("features", None): None})
    assert bare.statistics is None
    found = personalize(bare, evidence_of(bare, wearer_dataset(bare)), "rex")
    assert found.choice is not None
    assert found.choice.method == "table"
    with pytest.raises(UsageError, match="no statistics"):
        personalize(bare, found.evidence, "rex", method="head")


def test_equal_data_give_equal_bytes(bundle: Bundle, evidence: Evidence, overlay: Overlay) -> None:
    again = personalize(bundle, evidence_of(bundle, wearer_dataset(bundle)), "rex", method="head").overlay
    assert again is not None
    assert again.to_bytes() == overlay.to_bytes()
    assert len(overlay.to_bytes()) < 16_000, "a few kB"


def test_the_head_is_the_least_squares_fit_that_all_windows_together_would_give(bundle: Bundle) -> None:
    draw = np.random.default_rng(0)
    many, labels = draw.uniform(0, 2, (300, 5)).astype(np.float32), draw.integers(0, 3, 300)
    own, mine = in_steps(draw.uniform(0, 2, (30, 5)).astype(np.float32)), np.repeat([0, 1, 2], 10)
    weights = fit_head(FeatureStatistics.of(many, labels, 3), own, mine, 3, strength=2.0)
    rows = np.concatenate([in_steps(many), own]).astype(float)
    weight = np.concatenate([np.ones(300), np.full(30, 2.0 * 300 / 30)])
    design = np.c_[rows, np.ones(330)]
    gram = design.T @ (design * weight[:, None])
    ridge = 3e-3 * np.trace(gram[:5, :5]) / 5
    target = design.T @ (np.eye(3)[np.concatenate([labels, mine])] * weight[:, None])
    np.testing.assert_allclose(weights, np.linalg.solve(gram + np.diag([ridge] * 5 + [0]), target), rtol=1e-6)
    assert scores_of(weights, own).shape == (30, 3)


def test_a_table_moves_where_the_wearer_was_and_stays_elsewhere() -> None:
    book = FsqCodebook((8, 6, 5))
    trained = np.full((book.n_codes, 2), 0.5, np.float32)
    trained[:, 0], trained[:, 1] = 0.9, 0.1
    here, far = int(book.index(np.array([1, 1, 1]))), int(book.index(np.array([7, 5, 4])))
    table = np.exp(fit_table(book, trained, np.full(20, here), np.ones(20, np.int64), 2, 2.0))
    assert table[here].argmax() == 1
    np.testing.assert_allclose(table[far], [0.9, 0.1], atol=1e-6)


# When it is refused.


def test_a_wearer_like_everyone_is_left_alone(bundle: Bundle) -> None:
    found = personalize(bundle, evidence_of(bundle, wearer_dataset(bundle, kinds=USUAL)), "rex")
    assert found.overlay is None
    assert "no gain beyond noise" in found.reasons[0]


def test_swapped_labels_are_refused(bundle: Bundle) -> None:
    found = personalize(bundle, evidence_of(bundle, wearer_dataset(bundle, kinds=USUAL, swapped=True)), "rex")
    assert found.overlay is None
    assert "'walk' and 'trot' look swapped" in found.reasons[0]
    forced = personalize(bundle, found.evidence, "rex", force="a test")
    assert forced.overlay is not None
    assert forced.overlay.record.forced == "a test"


def test_labels_that_contradict_everything_are_refused(bundle: Bundle, evidence: Evidence) -> None:
    turned = dataclasses.replace(evidence, labels=(evidence.labels + 1) % 4)
    assert personalize(bundle, turned, "rex").overlay is None


def test_a_class_with_few_windows_one_class_and_bad_quality_are_refused(bundle: Bundle, evidence: Evidence) -> None:
    few = evidence.take((evidence.labels != 2) | (np.cumsum(evidence.labels == 2) <= 2))
    assert "only 2 windows of 'eat', at least 4" in personalize(bundle, few, "rex").reasons[0]
    one = personalize(bundle, evidence.take(evidence.labels == 1), "rex")
    assert any("only one class" in reason for reason in one.reasons)
    lost = len(evidence) // 2
    bad = personalize(bundle, dataclasses.replace(evidence, unusable=lost), "rex")
    assert any(f"bad quality: {lost} of {len(evidence) + lost}" in reason for reason in bad.reasons)
    none = personalize(bundle, evidence.take(np.zeros(len(evidence), bool)), "rex")
    assert "no usable window" in none.reasons[0]


def test_random_labels_gain_nothing(bundle: Bundle, evidence: Evidence) -> None:
    shuffled = dataclasses.replace(evidence, labels=np.random.default_rng(0).permutation(evidence.labels))
    assert personalize(bundle, shuffled, "rex").overlay is None


def test_held_out_windows_share_no_time_with_those_that_are_learnt_from(bundle: Bundle, evidence: Evidence) -> None:
    judged_once = np.zeros(len(evidence), dtype=int)
    for learnt, judged in evidence.block_folds():
        assert not (learnt & judged).any()
        judged_once += judged
        for row in np.flatnonzero(judged):
            same = learnt & (evidence.recordings == evidence.recordings[row])
            assert not (same & (evidence.starts <= evidence.ends[row]) & (evidence.ends >= evidence.starts[row])).any()
    assert (judged_once == 1).all()
    held = list(evidence.recording_folds())
    assert len(held) == 2, "two recordings a class in one session"
    other_day = dataclasses.replace(evidence, sessions=evidence.recordings % 2)
    assert list(other_day.recording_folds()) == [], "one recording a class and session: another mounting"


# When it steps aside.


def test_another_mounting_gives_the_stream_to_the_base_head_and_back(bundle: Bundle, overlay: Overlay) -> None:
    samples = np.concatenate([trot(), trot(78, turned=True), trot(79)])
    records = stream(bundle, samples, overlay=overlay)
    events = [record for record in records if isinstance(record, StreamEvent) and record.kind == "overlay"]
    assert [event.facts["head"] for event in events] == ["base", "personal"]
    assert "another mounting" in str(events[0].facts["reason"])
    assert 1500 / RATE < float(str(events[0].facts["t"])) < 1500 / RATE + 8
    base = stream(bundle, samples)
    turned = slice(36, 58)
    assert answers(records)[turned] == answers(base)[turned], "the base head's own answers"
    line = events[0].to_dict()
    assert (line["type"], line["wearer"]) == ("overlay", "rex")


def test_the_guard_leaves_above_a_half_and_returns_below_a_quarter() -> None:
    guard = Guard(1.0)
    seen = [guard.see(True) for _ in range(6)]
    assert seen.index(True) == 3, "four windows a second apart"
    assert guard.away
    back = [guard.see(False) for _ in range(12)]
    assert back.index(True) > 3
    assert not guard.away
    assert not any(Guard(1.0).see(at % 5 == 0) for at in range(100)), "a stray window changes nothing"


def test_points_are_spread(overlay: Overlay) -> None:
    line = np.linspace(0, 1, 1000)[:, None].astype(np.float32)
    chosen = np.sort(spread_points(line, 11)[:, 0])
    assert len(chosen) == 11
    assert np.diff(chosen).max() < 0.2


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


# The file.


def test_an_overlay_reads_back_and_every_flipped_byte_is_seen(bundle: Bundle, overlay: Overlay) -> None:
    data = overlay.to_bytes()
    again = Overlay.from_bytes(data)
    again.require(bundle)
    assert again.to_bytes() == data
    for at in range(0, len(data), 97):
        with pytest.raises(DataError):
            Overlay.from_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(DataError, match="damaged"):
        Overlay.from_bytes(data[: len(data) // 2])


def test_overlays_of_other_networks_and_other_channels_are_refused(bundle: Bundle, overlay: Overlay) -> None:
    other = knowing_bundle()
    other = with_files(other, {("features", None): None})
    with pytest.raises(DataError, match="another network"):
        other.open_session("onnx", overlay=overlay)
    config = bundle.preprocess
    renamed = (ChannelSpec(name="mag_x", unit="uT"), *config.channels[1:])
    changed = random_bundle(preprocess=config.model_copy(update={"channels": renamed}), classes=4, features=True)
    with pytest.raises(DataError, match=r"for the channels acc_x \[g\]"):
        overlay.require(changed)


def test_a_tuned_or_signed_bundle_keeps_its_overlays(bundle: Bundle, overlay: Overlay) -> None:
    settings = DecisionSettings(smoothing="ema", smoothing_ms=1000.0)
    tuned = with_files(bundle, {("decision", None): ("decision.json", settings.to_json().encode())})
    overlay.require(sign_bundle(tuned, private_key()))


def test_a_signature_is_checked(bundle: Bundle, overlay: Overlay) -> None:
    signed = Overlay.from_bytes(overlay.signed(private_key()).to_bytes())
    signed.check_signature(public_key())
    with pytest.raises(DataError, match="not signed"):
        overlay.check_signature(public_key())
    forged = dataclasses.replace(signed, record=signed.record.model_copy(update={"wearer": "max"}))
    with pytest.raises(DataError, match="was not made with this key"):
        forged.check_signature(public_key())


def test_a_head_without_codes_takes_no_overlay(overlay: Overlay) -> None:
    plain = random_bundle(classes=3)
    changed = with_files(
        plain,
        {
            ("head", None): ("head.json", SoftmaxTail(3).to_bytes()),
            ("fingerprint", None): ("fingerprint.json", b'{"schema_version": 1, "counts": [1, 1, 1], "windows": 3}'),
        },
    )
    with pytest.raises(UsageError, match="takes no overlay"):
        changed.open_session("onnx", overlay=overlay)


# Installed.


def test_installed_overlays_are_found_by_stream_and_network(bundle: Bundle, overlay: Overlay, tmp_path: Path) -> None:
    root = tmp_path / "dog"
    bundle.save(tmp_path / "dog.fsqb")
    install(tmp_path / "dog.fsqb", root, selftest=run_selftest)
    opened = Bundle.open(root)
    assert installed_overlays(root, opened) == {}
    install_overlays(root, opened, {"rex": overlay, "": overlay})
    assert set(installed_overlays(root, opened)) == {"rex", ""}
    install_overlays(root, opened, {"": None})
    found = installed_overlays(root, opened)
    assert list(found) == ["rex"]
    assert Overlay.open(found["rex"]).to_bytes() == overlay.to_bytes()
    index = next(root.glob("overlays/*/index.json"))
    index.write_text('{"schema_version": 1, "streams": {"rex": "../../../etc/passwd"}}')
    with pytest.raises(DataError, match="outside its folder"):
        installed_overlays(root, opened)


LOOP = """
import sys
from pathlib import Path
from typing import Any
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.personal.installing import install_overlays
from fsq_edge_runtime.personal.overlay import Overlay
root, one, other = map(Path, sys.argv[1:])
bundle, overlays = Bundle.open(root), [Overlay.open(one), Overlay.open(other)]
print("ready", flush=True)
for turn in range(1_000_000):
    install_overlays(root, bundle, {"rex": overlays[turn % 2]})
"""


def test_a_kill_while_installing_leaves_an_overlay_that_is_whole(
    bundle: Bundle, overlay: Overlay, tmp_path: Path
) -> None:
    root = tmp_path / "dog"
    bundle.save(tmp_path / "dog.fsqb")
    install(tmp_path / "dog.fsqb", root, selftest=run_selftest)
    other = dataclasses.replace(overlay, record=overlay.record.model_copy(update={"wearer": "max"}))
    paths = [tmp_path / "rex.fsqo", tmp_path / "max.fsqo"]
    for path, one in zip(paths, (overlay, other), strict=True):
        one.save(path)
    install_overlays(root, bundle, {"rex": overlay})
    for delay_s in (0.003, 0.011, 0.029):
        process = subprocess.Popen([sys.executable, "-c", LOOP, str(root), *map(str, paths)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = Overlay.open(installed_overlays(root, bundle)["rex"])
        assert found.record.wearer in ("rex", "max")


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
