from __future__ import annotations

import json

import numpy as np
import pytest

from fsq_edge_compile.parity.bundle_rungs import with_tail
from fsq_edge_compile.parity.ladder import Answers, Gates, Rung, run_ladder
from fsq_edge_runtime.errors import DataError, UnavailableError
from fsq_edge_runtime.tail import FsqTail

RNG = np.random.default_rng(1)
TAIL = FsqTail([8, 6, 5], RNG.normal(size=(240, 4)).astype(np.float32))
FRAMES = RNG.uniform(-1, 1, (400, 3, 1, 1)).astype(np.float32)
T = FRAMES[:, :, 0, 0]
LABELS = TAIL.logits(T).argmax(axis=1)


def rung(name: str, noise: float, kind: str = "exact") -> Rung:
    def run(frames: np.ndarray) -> Answers:
        t = frames[:, :, 0, 0] + np.random.default_rng(2).normal(0, noise, (len(frames), 3))
        return with_tail(t.clip(-1, 1).astype(np.float32), TAIL)

    return Rung(name, kind, run, f"cause of {name}", f"{name} is broken")


def climb(*rungs: Rung, n: int = 400, **options):
    return run_ladder(FRAMES[:n], LABELS[:n], [rung("torch", 0), *rungs], TAIL, **options)


def test_equal_forms_hold_and_the_report_is_plain_json() -> None:
    report = climb(rung("onnx", 1e-7), rung("int8", 0.003, "quantised"))
    assert report.passed
    assert [result.name for result in report.rungs] == ["torch", "onnx", "int8"]
    assert report.rungs[1].code_agreement_off_boundary == 1.0
    assert 0.9 < (report.rungs[2].code_agreement or 0) < 1.0
    document = json.loads(json.dumps(report.to_dict()))
    assert document["schema_version"] == 1
    assert document["passed"] is True
    assert document["rungs"][2]["macro_f1"]["low"] <= document["rungs"][2]["macro_f1"]["value"]


def test_the_first_rung_that_loses_is_blamed_not_those_after_it() -> None:
    report = climb(rung("onnx", 0), rung("split", 0.02), rung("int8", 0.5, "quantised"))
    assert not report.passed
    assert (report.blame, report.cause) == ("split", "cause of split")
    assert any("differs by up to" in reason for reason in report.rungs[2].lost)
    assert report.rungs[3].lost


def test_a_rung_that_loses_nearly_everything_has_another_cause() -> None:
    report = climb(rung("int8", 1.5, "quantised"))
    assert report.cause == "int8 is broken"


def test_an_exact_form_may_part_on_a_rounding_boundary_only() -> None:
    b = np.array([0.5 + 1e-5, 0.2, 0.2])
    t = ((b + TAIL.codebook.offset) / TAIL.codebook.half).astype(np.float32)
    frames = np.tile(t, (400, 1))[:, :, None, None]

    def nudged(given: np.ndarray) -> Answers:
        return with_tail((given[:, :, 0, 0] - np.float32(1e-5)).astype(np.float32), TAIL)

    exact = Rung("onnx", "exact", nudged, "export")
    first = Rung("torch", "exact", lambda given: with_tail(given[:, :, 0, 0], TAIL), "")
    report = run_ladder(frames, np.zeros(400, int), [first, exact], TAIL, gates=Gates(0.0, 100.0))
    assert report.rungs[1].code_agreement == 0.0
    assert report.passed


def test_gates_are_the_callers() -> None:
    noisy = rung("int8", 0.02, "quantised")
    agreement = climb(noisy).rungs[1].code_agreement or 0.0
    assert not climb(noisy, gates=Gates(min_code_agreement=agreement + 0.01)).passed
    assert climb(noisy, gates=Gates(min_code_agreement=agreement - 0.01, max_drop_points=100.0)).passed
    drop = climb(noisy).rungs[1].drop_points or 0.0
    lost = climb(noisy, gates=Gates(0.0, max_drop_points=drop - 0.1)).rungs[1].lost
    assert lost
    assert "macro-F1 drops" in lost[0]


def test_a_form_that_cannot_run_here_is_skipped_with_the_reason() -> None:
    def absent(frames: np.ndarray) -> Answers:
        raise UnavailableError("no Hailo device on this machine")

    report = climb(Rung("hef", "quantised", absent, ""))
    assert report.passed
    assert report.rungs[1].skipped == "no Hailo device on this machine"
    assert report.rungs[1].code_agreement is None


def test_few_windows_are_judged_by_chance_not_by_percent() -> None:
    def flipped(count: int) -> Rung:
        def run(frames: np.ndarray) -> Answers:
            t = frames[:, :, 0, 0].copy()
            t[:count] = -np.sign(t[:count])
            return with_tail(t, TAIL)

        return Rung("int8", "quantised", run, "rounding")

    assert climb(flipped(1), n=16).passed
    assert not climb(flipped(4), n=16).passed
    assert not climb(flipped(24), n=400).passed


def test_a_rung_may_answer_some_windows_only() -> None:
    rows = np.array([5, 50, 200, 399])
    part = Rung("dfc", "quantised", rung("", 0).run, "", rows=rows)
    result = climb(part).rungs[1]
    assert (result.n_windows, result.code_agreement) == (4, 1.0)


def test_a_ladder_needs_windows_labels_and_rungs() -> None:
    with pytest.raises(DataError):
        run_ladder(FRAMES[:0], [], [rung("torch", 0)], TAIL)
    with pytest.raises(DataError):
        run_ladder(FRAMES, LABELS, [], TAIL)
    with pytest.raises(DataError):
        run_ladder(FRAMES, LABELS[:3], [rung("torch", 0)], TAIL)
