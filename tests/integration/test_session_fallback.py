"""A stream whose device keeps failing: one record for every window, in order, with the labels of a clean CPU run."""

from __future__ import annotations

import time

import pytest

from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy
from fsq_edge_runtime.backends.selection import open_backend
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.stream.records import Decision, StreamEvent
from fsq_edge_runtime.testing import Fault, FaultScript
from tests.factories.bundles import motion
from tests.factories.hailo_rig import make_rig

KINDS = (Fault("fail", status=63), Fault("launch", status=82), Fault("lost", status=96, reopens=1))


@pytest.mark.parametrize("generation", [4, 5])
def test_a_stream_through_faults(generation: int) -> None:
    faults = {25 + 25 * turn: KINDS[turn % len(KINDS)] for turn in range(40)}
    rig = make_rig(generation, faults=FaultScript(faults))
    samples = motion(50 * 400 + 50)
    records: list[Decision | StreamEvent] = []
    policy = FallbackPolicy(deadline_s=5.0, first_retry_s=0.0, longest_retry_s=0.001, parity_windows=2, poll_s=0)
    backend = open_backend(rig.bundle, "auto", binding=rig.fake, policy=policy)
    with (
        Session(rig.bundle, backend, on_record=records.append) as session,
        rig.bundle.open_session(backend="onnx") as clean,
    ):
        wanted = [record for at in range(0, len(samples), 50) for record in clean.push(samples[at : at + 50])]
        got = [record for at in range(0, len(samples), 50) for record in session.push(samples[at : at + 50])]
    assert [record.seq for record in got] == [record.seq for record in wanted] == list(range(400))
    answered = [pair for pair in zip(got, wanted, strict=True) if pair[0].code is not None]
    assert len(answered) > 390, "only a stalled machine may miss a window"
    for ours, reference in answered:
        assert (ours.code, ours.raw_label, ours.label) == (reference.code, reference.raw_label, reference.label)
    assert {record.backend for record in got} == {"hailo-fake", "onnx"}
    switches = [record.to_dict() for record in records if isinstance(record, StreamEvent)]
    assert {line["type"] for line in switches} == {"backend"}
    assert {(line["from"], line["to"]) for line in switches} >= {("hailo-fake", "onnx"), ("onnx", "hailo-fake")}
    assert {line["code"] for line in switches} & {63, 82, 96}
    assert all(line["cause"] and line["t_monotonic"] > 0 for line in switches)
    rig.fake.chip.check()
    until = time.monotonic() + 10
    while rig.fake.chip.open_groups and time.monotonic() < until:  # an opening under way ends after the session
        time.sleep(0.005)
    assert rig.fake.chip.open_groups == []
