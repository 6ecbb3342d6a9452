"""A wearer's own head: what it gains, when it is refused, when it steps aside."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import with_files
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.feature_statistics import FeatureStatistics, in_steps
from fsq_edge_runtime.personal.evidence import Evidence
from fsq_edge_runtime.personal.fitting import personalize
from fsq_edge_runtime.personal.guard import Guard, spread_points
from fsq_edge_runtime.personal.heads import fit_head, fit_table, scores_of
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.stream.records import StreamEvent
from fsq_edge_runtime.tail import FsqCodebook
from tests.factories.wearers import (
    RATE,
    USUAL,
    answers,
    evidence_of,
    knowing_bundle,
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


@pytest.fixture(scope="module")
def evidence(bundle: Bundle) -> Evidence:
    return evidence_of(bundle, wearer_dataset(bundle))


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
    assert "no labelled window" in none.reasons[0]
    lost = dataclasses.replace(none.evidence, unusable=9)
    assert "no usable window: 9 of 9 abstained" in personalize(bundle, lost, "rex").reasons[0]


def test_recordings_that_are_too_short_to_hold_any_out_are_refused(bundle: Bundle) -> None:
    short = evidence_of(bundle, wearer_dataset(bundle, seconds=3))
    found = personalize(bundle, short.take(short.recordings % 2 == 0), "rex")
    assert found.overlay is None
    assert "no window of 'walk' can be held out" in found.reasons[0]
    assert personalize(bundle, short.take(short.recordings % 2 == 0), "rex", force="a test").overlay is None


def test_random_labels_gain_nothing(bundle: Bundle, evidence: Evidence) -> None:
    for seed in range(4):
        shuffled = dataclasses.replace(evidence, labels=np.random.default_rng(seed).permutation(evidence.labels))
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
    with bundle.open_session("onnx", deadline_ms=0.0, overlay={"rex": overlay}) as session:
        heads = [session.heads]
        for name, part in (("bella", samples[:1500]), ("rex", samples[:1500]), ("rex", samples[1500:3000])):
            session.push(part, stream=name)
            heads.append(session.heads)
    assert heads == [{}, {}, {"personal": 1, "base": 0}, {"personal": 0, "base": 1}]
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
