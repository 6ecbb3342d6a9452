"""A stream whose device keeps failing: one record for every window, in order, with the labels of a clean CPU run."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest

from fsq_edge_runtime.backends.base import BackendSwitch, Missed
from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy
from fsq_edge_runtime.backends.onnx import OnnxBackend
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.stream.records import Decision, Record
from fsq_edge_runtime.testing import Fault, FaultScript
from tests.factories.bundles import motion, random_bundle
from tests.factories.hailo_rig import inline, make_rig

WINDOWS, EVERY = 10_000, 50
SILENT = Fault("wrong")  # no error tells of it
KINDS = (
    Fault("fail", status=63),
    Fault("fail", status=62),
    Fault("fail", status=97),
    Fault("fail", status=4),
    Fault("launch", status=82),
    Fault("launch", status=6),
    Fault("lost", status=96, reopens=1),
    Fault("lost", status=36),
    Fault("late", seconds=0.03),
    Fault("delay", seconds=0.02),
)


class Losing(OnnxBackend):
    """The CPU, which loses the windows that another run lost, so that smoothing sees the same."""

    def __init__(self, model: bytes, lost: set[int]) -> None:
        super().__init__(model)
        self._lost, self._asked = lost, 0

    def infer(self, frame: np.ndarray) -> np.ndarray:
        self._asked += 1
        if self._asked - 1 in self._lost:
            raise Missed("backend", "lost in the other run")
        return super().infer(frame)


def answers(records: list[Decision]) -> list[tuple[object, ...]]:
    return [(record.seq, record.code, record.raw_label, record.label, record.confidence) for record in records]


@pytest.mark.parametrize(("generation", "shadow_every"), [(4, 1), (5, 0)])
def test_ten_thousand_windows_with_a_random_fault_in_every_fifty(generation: int, shadow_every: int) -> None:
    """Generation 4 also suffers silent faults, with every window compared; in generation 5 the device's word counts."""
    draw = np.random.default_rng(generation)
    kinds = (*KINDS, SILENT) if shadow_every else KINDS
    script = FaultScript()
    rig = make_rig(generation, faults=script)
    policy = FallbackPolicy(
        0.02, first_retry_s=0.0, longest_retry_s=0.002, parity_windows=4, shadow_every=shadow_every, poll_s=0.05
    )
    told: list[Record] = []
    backend = rig.fallback(policy, background=inline)
    samples = motion(50 * WINDOWS + 50)
    chunks = [samples[at : at + 50] for at in range(0, len(samples), 50)]
    with Session(rig.bundle, backend, on_record=told.append) as session:
        got = []
        for number, chunk in enumerate(chunks):
            if number % EVERY == 0:
                due = number + draw.integers(EVERY)
            if number == due:
                script.inject(kinds[draw.integers(len(kinds))])
            got += session.push(chunk)
        totals = session.totals
        switches = [record for record in told if isinstance(record, BackendSwitch)]
        assert session.fallback_reason == (switches[-1].cause if switches[-1].to_backend == "onnx" else None)
    missed = {record.seq for record in got if record.missed}
    assert [record.seq for record in got] == list(range(WINDOWS)), "each window once, in order"
    assert totals.decided + totals.missed == totals.windows == WINDOWS
    assert totals.missed == len(missed) < WINDOWS // 10, "only a stalled machine loses more"
    assert all(record.code is None and record.label is None for record in got if record.missed)
    losing = Losing(rig.bundle.read("encoder"), missed)
    with Session(rig.bundle, losing, deadline_ms=0.0) as clean:  # a stalled machine must lose nothing here
        wanted = [record for chunk in chunks for record in clean.push(chunk)]
    assert answers(got) == answers(wanted), "codes, labels and confidence are those of the CPU alone"
    served = Counter(record.backend for record in got)
    assert served["hailo-fake"] > WINDOWS // 10, "the device was used again and again"
    assert set(served) == {"hailo-fake", "onnx"}
    judge_switches([record for record in told if isinstance(record, BackendSwitch)])
    rig.fake.chip.check()
    until = time.monotonic() + 10
    while rig.fake.chip.open_groups and time.monotonic() < until:  # an opening under way ends after the session
        time.sleep(0.005)
    assert rig.fake.chip.open_groups == []


def judge_switches(events: list[BackendSwitch]) -> None:
    """Every switch is reported, and each starts where the one before ended."""
    lines = [event.to_dict() for event in events]
    assert {line["type"] for line in lines} == {"backend"}
    assert all(line["cause"] and line["t_monotonic"] > 0 for line in lines)
    assert len({line["code"] for line in lines} & {4, 6, 36, 62, 63, 82, 96, 97}) >= 4
    here = "hailo-fake"
    for line in lines:
        assert line["from"] in (here, line["to"])
        here = line["to"]
    pairs = Counter((line["from"], line["to"]) for line in lines)
    assert pairs["hailo-fake", "onnx"] > 20
    assert abs(pairs["hailo-fake", "onnx"] - pairs["onnx", "hailo-fake"]) <= 1


def test_a_session_says_why_it_has_its_backend() -> None:
    bundle = random_bundle()
    with bundle.open_session("auto") as session:
        assert session.backend_reason == session.fallback_reason == "the bundle has no HEF"
        assert session.opening.to_dict() == {
            "type": "backend",
            "from": None,
            "to": "onnx",
            "cause": "the bundle has no HEF",
            "code": None,
            "t_monotonic": None,
        }
    with bundle.open_session("onnx") as session:
        assert (session.backend_reason, session.fallback_reason) == ("onnx was asked for", None)
