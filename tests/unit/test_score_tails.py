"""Heads without FSQ: they answer as FSQ heads do, and a damaged head.json is refused."""

import json

import numpy as np
import pytest

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.label_tail import SigmoidTail, against_thresholds
from fsq_edge_runtime.score_tails import AnomalyTail, SoftmaxTail, read_tail
from fsq_edge_runtime.stream.head import head_of


def test_softmax_answers_have_no_code():
    head = head_of(SoftmaxTail(3), 1.0)
    t = np.log(np.array([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]], np.float32))
    marks, near = head.codes(t)
    assert marks.tolist() == [1, 0]
    assert not len(near)
    answer = head.answer(head.code(t[0]), t[0])
    assert (answer.code, answer.raw) == (None, 1)
    np.testing.assert_allclose(answer.probabilities, [0.2, 0.5, 0.3], rtol=1e-5)
    codes, labels, probabilities = head.judge(marks, t)
    assert codes.tolist() == [-1, -1]
    assert labels.tolist() == [1, 0]
    np.testing.assert_allclose(probabilities[0], answer.probabilities, rtol=1e-6)


def test_anomaly_is_above_the_threshold_only():
    tail = AnomalyTail(threshold=2.0, scale=0.5)
    scores = np.array([[1.0], [2.0], [2.5], [1e38]], np.float32)
    assert tail.index(scores).tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(tail.boundary_distance(scores)[:3], [2, 0, 1])
    found = head_of(tail, 1.0).answer(1, scores[2])
    np.testing.assert_allclose(found.probabilities, [1 / (1 + np.e), np.e / (1 + np.e)], rtol=1e-5)


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_lost(lost):
    head = head_of(SoftmaxTail(2), 1.0)
    assert head.code(np.array([0.0, lost], np.float32)) == -1
    assert head.codes(np.array([[0.0, lost], [1.0, 0.0]], np.float32))[0].tolist() == [-1, 0]


@pytest.mark.parametrize("tail", [SoftmaxTail(5, 1.5), SigmoidTail([0.5, 0.25], 1.5), AnomalyTail(-3.25, 0.125, 2.0)])
def test_files_read_back(tail):
    again = read_tail(tail.to_bytes())
    assert again.kind == tail.kind
    assert again.to_bytes() == tail.to_bytes()


@pytest.mark.parametrize(
    "change",
    [{"kind": "fsq"}, {"outputs": 0}, {"outputs": 2}, {"scale": 0.0}, {"schema_version": 2}, {"extra": 1}],
)
def test_damaged_heads_are_refused(change):
    value = {**json.loads(AnomalyTail(1.0, 1.0).to_bytes()), **change}
    with pytest.raises(DataError):
        read_tail(json.dumps(value).encode())


def test_sigmoid_gives_each_label_its_own_threshold():
    tail = SigmoidTail([0.5, 0.2, 0.9])
    t = np.log(np.array([[0.6, 0.3, 0.8], [0.4, 0.1, 0.1]]) / np.array([[0.4, 0.7, 0.2], [0.6, 0.9, 0.9]]))
    t = t.astype(np.float32)
    np.testing.assert_allclose(tail.probabilities(t, 1.0), [[0.6, 0.3, 0.8], [0.4, 0.1, 0.1]], rtol=1e-5)
    assert (tail.logits(t) >= 0).tolist() == [[True, True, False], [False, False, False]]
    assert tail.index(t).tolist() == [1, 0]  # furthest above its threshold, or least below
    head = head_of(tail, 1.0)
    assert head.thresholds == (0.5, 0.2, 0.9)
    moved = against_thresholds(head.answer(1, t[0]).probabilities, head.thresholds)
    assert [value >= 0.5 for value in moved] == [True, True, False]


@pytest.mark.parametrize(
    "change",
    [{"thresholds": [0.5]}, {"thresholds": [0.5, 1.0]}, {"thresholds": [0.5, 0.0]}, {"outputs": 2}, {"temperature": 0}],
)
def test_damaged_sigmoid_heads_are_refused(change):
    value = {**json.loads(SigmoidTail([0.5, 0.25]).to_bytes()), **change}
    with pytest.raises(DataError):
        read_tail(json.dumps(value).encode())
