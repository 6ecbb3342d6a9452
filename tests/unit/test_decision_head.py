import numpy as np
import pytest

from fsq_edge_runtime.stream.head import DecisionHead
from fsq_edge_runtime.tail import FsqCodebook, FsqTail


def make_head(levels):
    codes = FsqCodebook(levels).n_codes
    table = np.random.default_rng(0).normal(0, 2, (codes, 4)).astype(np.float32)
    return DecisionHead(FsqTail(levels, table), 1.5)


@pytest.mark.parametrize("levels", [(8, 6, 5), (3,), (8, 5, 5, 5), (7, 4), (256, 255)])
def test_codes_equal_the_tails_to_the_bit(levels):
    head = make_head(levels)
    book = head.tail.codebook
    draw = np.random.default_rng(1)
    t = draw.uniform(-1, 1, (3000, len(levels))).astype(np.float32)
    assert [head.code(row) for row in t] == head.tail.index(t).tolist()
    # The hard ones: every threshold, and its neighbours among the float32 numbers.
    for dimension, thresholds in enumerate(book.thresholds()):
        edge = np.tanh(thresholds + float(book.shift[dimension])).astype(np.float32)
        for step in range(-40, 41):
            near = edge.copy()
            for _ in range(abs(step)):
                near = np.nextafter(near, np.float32(np.sign(step)))
            row = np.zeros((len(near), len(levels)), np.float32)
            row[:, dimension] = near
            assert [head.code(one) for one in row] == head.tail.index(row).tolist()


def test_what_is_no_number_has_no_code_and_overshoot_is_the_outermost_digit():
    head = make_head((8, 6, 5))
    assert head.code(np.array([0, np.nan, 0], np.float32)) == -1
    assert head.code(np.array([5, 5, 5], np.float32)) == head.code(np.ones(3, np.float32)) == 239
    assert head.code(-np.full(3, np.inf, np.float32)) == 0


def test_probabilities_sum_to_one_and_rows_are_shared():
    head = make_head((8, 6, 5))
    np.testing.assert_allclose(head.probabilities.sum(axis=1), 1, rtol=1e-5)
    t = np.zeros(3, np.float32)
    assert head.answer(7, t) is head.answer(7, t)
    assert head.raw[7] == int(np.argmax(head.answer(7, t).probabilities))


def test_rows_next_to_a_boundary_are_named():
    head = make_head((5, 5))
    middle = np.zeros((1, 2), np.float32)
    edge = np.tanh(head.tail.codebook.thresholds()[0][1]).astype(np.float32)
    _, near = head.codes(np.concatenate([middle, [[edge, 0]]]).astype(np.float32))
    assert near.tolist() == [1]
