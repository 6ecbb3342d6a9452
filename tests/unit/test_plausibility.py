"""What looks odd in a device's answers, and what does not."""

from __future__ import annotations

import numpy as np

from fsq_edge_runtime.backends.shadow import AnswerWatch

DRAW = np.random.default_rng(5)


def walk(n: int, step: float = 0.03, size: int = 4) -> np.ndarray:
    """Answers of a wearer who changes slowly."""
    return np.tanh(np.cumsum(DRAW.normal(0, step, (n, size)), axis=0)).astype(np.float32)


def odd(watch: AnswerWatch, answers: np.ndarray, codes: np.ndarray | None = None) -> list[bool]:
    return [watch.is_odd(t, 0 if codes is None else int(codes[at])) for at, t in enumerate(answers)]


def test_slow_change_is_not_odd() -> None:
    assert sum(odd(AnswerWatch(), walk(2000))) <= 2


def test_noise_after_slow_change_is_odd_at_once() -> None:
    watch = AnswerWatch()
    odd(watch, walk(50))
    noise = DRAW.uniform(-1, 1, (40, 4)).astype(np.float32)
    assert odd(watch, noise)[0]


def test_an_output_that_nobody_writes_any_more_is_odd_once() -> None:
    watch = AnswerWatch()
    answers = walk(50)
    odd(watch, answers)
    assert odd(watch, np.repeat(answers[-1:], 30, axis=0)) == [False, False, True] + [False] * 27


def test_codes_that_training_never_had_are_odd_when_there_are_too_many() -> None:
    counts = [100, 100, 1, 0, 0, 0]  # 1 in 201 of a new window's codes is expected to be new
    still = np.zeros((20, 4), np.float32) + np.arange(20, dtype=np.float32)[:, None] * 1e-4
    assert not any(odd(AnswerWatch(counts), still, np.array([0, 1, 3, 0, 1, 0, 1, 4, 0, 0] * 2)))
    assert odd(AnswerWatch(counts), still, np.array([3, 4, 5] * 6 + [3, 4])).index(True) == 2
    rare = [1] * 100 + [0]  # training was too short for its code book: new codes are nothing special
    assert not any(odd(AnswerWatch(rare), still, np.full(20, 100)))


def test_it_starts_anew_with_a_device_that_came_back() -> None:
    watch = AnswerWatch()
    odd(watch, walk(50))
    watch.forget()
    assert not watch.is_odd(np.full(4, 0.9, np.float32), 0)


def test_nothing_is_known_before_the_first_answers() -> None:
    noise = DRAW.uniform(-1, 1, (8, 4)).astype(np.float32)
    assert not any(odd(AnswerWatch(), noise))
