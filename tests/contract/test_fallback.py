"""The hot fallback: every fault ends in one right answer or one ``Missed``, every switch is an event."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from fsq_edge_runtime.backends.base import BackendSwitch, Missed
from fsq_edge_runtime.backends.fallback import FallbackBackend
from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy, ParityError
from fsq_edge_runtime.backends.onnx import OnnxBackend
from fsq_edge_runtime.backends.selection import open_backend, select_backend
from fsq_edge_runtime.errors import BackendError, UsageError
from fsq_edge_runtime.testing import Fault, FaultScript, fake_hailo_platform, installed
from tests.factories.bundles import random_bundle
from tests.factories.hailo_rig import (
    ARCHITECTURE,
    Rig,
    answered,
    bundle_with_hefs,
    hef_for,
    hide_binding,
    inline,
    make_rig,
)
from tests.factories.live import eventually

SELF_TEST = 8  # inferences of each opening
QUICK = FallbackPolicy(deadline_s=0.5, first_retry_s=0.0, longest_retry_s=0.01, parity_windows=4, poll_s=0.0)


@pytest.fixture(params=[4, 5])
def generation(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def drive(rig: Rig, backend: FallbackBackend, rows: range, deadline_s: float = 5.0) -> list[str]:
    """Send frames; every answer must be the CPU's. Return who answered, or ``missed``."""
    served = []
    for row in rows:
        at = row % len(rig.frames)
        try:
            t = backend.infer(rig.frames[at : at + 1], time.monotonic_ns() + int(deadline_s * 1e9))
        except Missed:
            served.append("missed")
        else:
            assert rig.code(t) == rig.codes[at], "a wrong label"
            served.append(backend.name)
    return served


FAULTS = {
    "fails with 63": Fault("fail", status=63),
    "closed 62": Fault("fail", status=62),
    "device timeout 4": Fault("fail", status=4),
    "driver timeout 87": Fault("fail", status=87),
    "temporarily unavailable 97": Fault("fail", status=97),
    "queue full 82": Fault("launch", status=82),
    "driver 36 at launch": Fault("launch", status=36),
    "unplugged 36": Fault("lost", status=36),
    "unplugged 64": Fault("lost", status=64),
    "unplugged 96, back at the third try": Fault("lost", status=96, reopens=2),
    "an answer that comes too late": Fault("late", seconds=1.2),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_costs_no_window_and_the_device_comes_back(generation: int, fault: Fault) -> None:
    script = FaultScript({10: fault})
    rig = make_rig(generation, faults=script)
    events: list[BackendSwitch] = []
    backend = rig.fallback(QUICK, events, background=inline)
    served = drive(rig, backend, range(10))
    assert set(served) == {"hailo-fake"}
    deadline_s = 1.0 if fault.kind == "late" else 5.0
    assert drive(rig, backend, range(10, 11), deadline_s) == ["onnx"], (
        "the same window, answered by the CPU in its time"
    )
    after = drive(rig, backend, range(11, 25))
    if fault.reopens:
        time.sleep(0.02)
        after += drive(rig, backend, range(25, 40))
        time.sleep(0.02)
        after += drive(rig, backend, range(40, 60))
    assert after[:3] == ["onnx"] * 3
    assert after[-1] == "hailo-fake", "it came back"
    assert "missed" not in after
    there, back = events[0], events[-1]
    assert (there.from_backend, there.to_backend) == ("hailo-fake", "onnx")
    assert there.code == (fault.status or 4)
    assert there.cause
    assert (back.from_backend, back.to_backend) == ("onnx", "hailo-fake")
    assert there.t_monotonic <= back.t_monotonic
    refused = events[1:-1]  # one for each cause in a row
    assert [(event.from_backend, event.to_backend, event.code) for event in refused] == (
        [("onnx", "onnx", 74)] if fault.reopens else []
    )
    assert backend.counters.switches == 2
    assert backend.counters.reopen_attempts == 1 + fault.reopens
    backend.close()
    rig.fake.chip.check()
    assert rig.fake.chip.open_groups == []


def test_a_deadline_that_nobody_can_keep_is_missed_and_says_why() -> None:
    rig = make_rig(4, faults=FaultScript({1: Fault("fail", status=62)}))
    events: list[BackendSwitch] = []
    backend = rig.fallback(QUICK, events)
    drive(rig, backend, range(1))
    device = backend._primary
    assert device is not None
    original = device.infer

    def overshooting(frame: np.ndarray, deadline_ns: int | None = None) -> np.ndarray:
        time.sleep(0.06)
        return original(frame, time.monotonic_ns() + 10**9)

    device.infer = overshooting  # type: ignore[method-assign]
    with pytest.raises(Missed, match="62 HAILO_COMMUNICATION_CLOSED") as caught:
        backend.infer(rig.frames[1:2], time.monotonic_ns() + 50_000_000)
    assert (caught.value.status, caught.value.reason) == (62, "backend")
    assert backend.counters.missed == 1
    assert [event.to_backend for event in events] == ["onnx"]
    assert drive(rig, backend, range(2, 5)) == ["onnx"] * 3
    backend.close()


def test_a_deadline_that_has_passed_is_no_reason_to_leave_the_device(generation: int) -> None:
    rig = make_rig(generation)
    events: list[BackendSwitch] = []
    backend = rig.fallback(QUICK, events)
    with pytest.raises(Missed, match="had passed") as caught:
        backend.infer(rig.frames[:1], time.monotonic_ns() - 1)
    assert caught.value.reason == "deadline"
    assert drive(rig, backend, range(3)) == ["hailo-fake"] * 3
    assert events == []
    backend.close()


def test_a_passed_deadline_on_the_cpu_is_missed_too() -> None:
    rig = make_rig(4)
    backend = FallbackBackend(rig.device, OnnxBackend(rig.bundle.read("encoder")), rig.bundle.tail.index, QUICK)
    with pytest.raises(Missed, match="the deadline had passed") as caught:
        backend.infer(rig.frames[:1], time.monotonic_ns() - 1)
    assert caught.value.reason == "deadline"
    backend.close()


def test_back_off_grows_and_is_bounded() -> None:
    rig = make_rig(4, faults=FaultScript({0: Fault("lost", status=96, reopens=100)}))
    now = [0]
    tries: list[float] = []

    def spawn(work: Any) -> Future[Any]:
        tries.append(now[0] / 1e9)
        return inline(work)

    policy = FallbackPolicy(deadline_s=1e6, first_retry_s=1.0, longest_retry_s=8.0, parity_windows=1, poll_s=0)
    backend = rig.fallback(policy, clock=lambda: now[0], background=spawn)
    for step in range(400):
        now[0] = step * 100_000_000
        backend.infer(rig.frames[:1])
    waits = np.diff([0.0, *tries])
    assert waits[:4] == pytest.approx([1.0, 2.0, 4.0, 8.0], abs=0.35)
    assert waits[4:] == pytest.approx([8.0] * len(waits[4:]), abs=0.35)
    assert backend.counters.on_device == 0
    backend.close()


def test_one_stall_of_the_cpu_does_not_stop_it_for_ever() -> None:
    rig = make_rig(4, faults=FaultScript({0: Fault("lost", status=96, reopens=10_000)}))
    now = [0]
    backend = rig.fallback(FallbackPolicy(first_retry_s=1e3, longest_retry_s=1e3, poll_s=0), clock=lambda: now[0])
    standby, stall_ns = backend._standby.infer, [200_000_000]

    def infer(frame: np.ndarray) -> np.ndarray:
        now[0] += stall_ns.pop() if stall_ns else 100_000
        return standby(frame)

    backend._standby.infer = infer  # type: ignore[method-assign, assignment]
    served = []
    for at in range(40):
        now[0] += 100_000_000
        try:
            backend.infer(rig.frames[at : at + 1], now[0] + 20_000_000)
            served.append(backend.name)
        except Missed:
            served.append("missed")
    assert served.count("missed") <= 5
    assert set(served[10:]) == {"onnx"}
    backend.close()


def test_a_device_that_agrees_in_just_the_share_that_is_asked_for_is_taken_back() -> None:
    rig = make_rig(4, n=8)
    backend = rig.fallback(FallbackPolicy(parity_agreement=0.75))
    expected = rig.codes.copy()
    expected[:2] += 1
    backend._repeat(rig.device(), rig.frames, expected)
    expected[2] += 1
    with pytest.raises(ParityError, match="on 5 of 8 windows"):
        backend._repeat(rig.device(), rig.frames, expected)
    backend.close()


def test_a_device_that_answers_wrongly_after_a_fault_is_not_trusted() -> None:
    script = FaultScript({5: Fault("fail", status=63)})
    rig = make_rig(4, faults=script)
    events: list[BackendSwitch] = []
    policy = FallbackPolicy(0.5, first_retry_s=0.01, longest_retry_s=0.01, parity_windows=4, poll_s=0)
    backend = rig.fallback(policy, events, background=inline)
    drive(rig, backend, range(5))
    rig.fake.chip._damaged = 3  # it comes back answering noise, and is well after two more openings
    served = drive(rig, backend, range(5, 10))
    time.sleep(0.02)
    served += drive(rig, backend, range(10, 12))
    assert set(served) == {"onnx"}
    assert "agree with the CPU's on" in events[1].cause
    assert (events[1].from_backend, events[1].to_backend) == ("onnx", "onnx")
    for start in range(12, 60, 12):
        time.sleep(0.02)
        served = drive(rig, backend, range(start, start + 12))
    assert served[-1] == "hailo-fake"
    backend.close()


def test_shadow_comparison_catches_a_device_that_turns_wrong_silently() -> None:
    script = FaultScript({40: Fault("damage", reopens=1)})
    rig = make_rig(4, faults=script)
    events: list[BackendSwitch] = []
    policy = FallbackPolicy(deadline_s=0.5, parity_windows=4, shadow_every=1, first_retry_s=0.0, poll_s=0)
    backend = rig.fallback(policy, events, background=inline)
    served = drive(rig, backend, range(60))  # every answer is still the CPU's
    assert "codes differ from the CPU's" in events[0].cause
    assert "onnx" in served[40:48]
    assert served[-1] == "hailo-fake"
    assert backend.counters.shadow_differences >= 2
    backend.close()


@pytest.mark.parametrize("start", [40, 47, 66, 93])
def test_forty_random_answers_in_a_row_are_seen_with_the_usual_comparison(generation: int, start: int) -> None:
    """One window in 32 is compared; the answers themselves look odd, so that the comparison comes at once."""
    noise = {SELF_TEST + start + row: Fault("wrong") for row in range(40)}
    rig = make_rig(generation, faults=FaultScript(noise), n=200)
    events: list[BackendSwitch] = []
    policy = FallbackPolicy(deadline_s=5.0, poll_s=0.0, first_retry_s=60.0)
    backend = select_backend(rig.bundle, "auto", binding=rig.fake, policy=policy, on_event=events.append).backend
    assert isinstance(backend, FallbackBackend)
    wrong = 0
    for frame, code in zip(rig.frames, rig.codes, strict=True):
        wrong += int(rig.code(backend.infer(frame[None])) != code)
    assert wrong <= 3
    assert "codes differ from the CPU's" in events[0].cause
    assert backend.counters.doubts >= 1
    backend.close()


def test_shadow_comparison_is_one_window_in_so_many() -> None:
    rig = make_rig(4)
    backend = rig.fallback(FallbackPolicy(deadline_s=0.5, shadow_every=8, poll_s=0))
    drive(rig, backend, range(64))
    assert backend.counters.shadow_runs == 8
    backend.close()


def test_a_hot_device_is_left_before_it_throttles_and_taken_back_when_cool() -> None:
    script = FaultScript(temperature_c=60.0)
    rig = make_rig(4, faults=script)
    now = [0]
    events: list[BackendSwitch] = []
    policy = FallbackPolicy(deadline_s=1e6, first_retry_s=0.0, parity_windows=2, poll_s=5.0)
    backend = rig.fallback(policy, events, clock=lambda: now[0], background=inline)

    def pass_time(windows: int) -> list[str]:
        served = []
        for row in range(windows):
            now[0] += 1_000_000_000
            assert rig.code(backend.infer(rig.frames[row : row + 1])) == rig.codes[row]
            served.append(backend.name)
            eventually(lambda: answered(backend), "the answer, from another thread, to what was asked")
        return served

    assert set(pass_time(12)) == {"hailo-fake"}
    assert backend.temperature_c == 60.0
    script.temperature_c = 101.0
    assert pass_time(14)[-1] == "onnx"
    assert "101 C" in events[0].cause
    assert set(pass_time(20)) == {"onnx"}, "no return while it is hot"
    script.temperature_c = 85.0
    assert pass_time(20)[-1] == "hailo-fake"
    assert "cooled down to 85 C" in events[1].cause
    assert len(events) == 3
    backend.close()


def test_a_throttling_device_costs_no_window() -> None:
    script = FaultScript({5: Fault("throttle", seconds=0.6)})
    rig = make_rig(4, faults=script)
    events: list[BackendSwitch] = []
    policy = FallbackPolicy(0.2, first_retry_s=0.0, longest_retry_s=0.05, parity_windows=2, poll_s=0.001)
    backend = rig.fallback(policy, events)
    assert set(drive(rig, backend, range(5))) == {"hailo-fake"}
    served = []
    for row in range(5, 30):
        served += drive(rig, backend, range(row, row + 1), 0.2)
        time.sleep(0.01)
    assert "hailo-fake" not in served, "too slow, then too hot"
    assert served.count("missed") <= 3, "the CPU answers in time, but for a machine that stands still"
    assert events[0].to_backend == "onnx"
    script.cool()
    deadline = time.monotonic() + 20
    while backend.name != "hailo-fake" and time.monotonic() < deadline:
        drive(rig, backend, range(1))
        time.sleep(0.005)
    assert backend.name == "hailo-fake"
    backend.close()
    rig.fake.chip.check()


def test_batches_fall_back_whole(generation: int) -> None:
    rig = make_rig(generation, faults=FaultScript({70: Fault("fail", status=63), 30: Fault("launch", status=6)}))
    backend = rig.fallback(QUICK, background=inline)
    for _ in range(6):
        assert np.array_equal(backend.infer_batch(rig.frames), rig.t)
    assert backend.counters.switches >= 3
    assert backend.counters.windows == 6 * len(rig.frames)
    backend.close()


def test_an_empty_batch_on_the_cpu_is_empty() -> None:
    rig = make_rig(4, faults=FaultScript({0: Fault("fail", status=63)}))
    backend = rig.fallback(QUICK)
    assert drive(rig, backend, range(1)) == ["onnx"]
    assert backend.infer_batch(rig.frames[:0]).shape == (0, 3)
    backend.close()


def test_closing_while_the_device_is_being_opened_leaves_nothing_open() -> None:
    rig = make_rig(4, faults=FaultScript({0: Fault("fail", status=63)}))
    future: Future[Any] = Future()
    works: list[Any] = []

    def spawn(work: Any) -> Future[Any]:
        works.append(work)
        return future

    backend = rig.fallback(QUICK, background=spawn)
    drive(rig, backend, range(6))
    backend.close()
    future.set_result(works[0]())
    assert rig.fake.chip.open_groups == []
    rig.fake.chip.check()


# Selection.


def test_auto_takes_the_device_that_the_bundle_has_a_hef_for(generation: int) -> None:
    rig = make_rig(generation)
    chosen = select_backend(rig.bundle, "auto", binding=rig.fake)
    assert isinstance(chosen.backend, FallbackBackend)
    assert chosen.backend.name == "hailo-fake"
    assert ARCHITECTURE[generation] in chosen.reason
    assert np.array_equal(chosen.backend.infer(rig.frames[:1]), rig.t[0])
    chosen.backend.close()


def test_auto_without_a_hef_or_without_a_binding_is_onnx_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_binding(monkeypatch)
    chosen = select_backend(random_bundle(), "auto")
    assert isinstance(chosen.backend, OnnxBackend)
    assert chosen.reason == "the bundle has no HEF"
    chosen = select_backend(bundle_with_hefs("hailo8l"), "auto")
    assert isinstance(chosen.backend, OnnxBackend)
    assert "not installed" in chosen.reason


def test_auto_on_a_device_without_its_hef_is_onnx_and_says_why() -> None:
    rig = make_rig(4, architectures=["hailo8"])
    chosen = select_backend(rig.bundle, "auto", binding=rig.fake)
    assert isinstance(chosen.backend, OnnxBackend)
    assert "hailo8, the device is hailo8l" in chosen.reason


def test_auto_on_a_busy_device_starts_on_the_cpu_and_moves_over() -> None:
    rig = make_rig(4, faults=FaultScript(opens=[74, 73]))
    policy = FallbackPolicy(deadline_s=0.5, first_retry_s=0.0, longest_retry_s=0.01, parity_windows=2, poll_s=0)
    chosen = select_backend(rig.bundle, "auto", binding=rig.fake, policy=policy)
    assert "74 HAILO_OUT_OF_PHYSICAL_DEVICES" in chosen.reason
    backend = chosen.backend
    assert isinstance(backend, FallbackBackend)
    assert backend.name == "onnx"
    served = set()
    deadline = time.monotonic() + 10
    while "hailo-fake" not in served and time.monotonic() < deadline:
        served |= set(drive(rig, backend, range(3)))
        time.sleep(0.005)
    assert served == {"onnx", "hailo-fake"}
    backend.close()


@pytest.mark.parametrize("choice", ["auto", "hailo"])
def test_a_slow_first_inference_is_no_reason_against_the_device(generation: int, choice: str) -> None:
    """It also puts the network on the chip; the deadline of one hop counts from then on."""
    rig = make_rig(generation, faults=FaultScript({0: Fault("delay", seconds=0.3)}))
    policy = FallbackPolicy(deadline_s=0.1, poll_s=0)
    backend = open_backend(rig.bundle, choice, binding=rig.fake, policy=policy)
    assert backend.name == "hailo-fake"
    backend.close()


def test_hailo_forbids_the_fallback(generation: int) -> None:
    with pytest.raises(BackendError) as caught:
        open_backend(bundle_with_hefs("hailo8l"), "hailo", binding=fake_hailo_platform(generation, devices=()))
    assert caught.value.status == 74
    assert caught.value.exit_code == 69
    rig = make_rig(generation)
    backend = open_backend(rig.bundle, "hailo", binding=rig.fake)
    rig.fake.chip.script.inject(Fault("fail", status=63))
    with pytest.raises(BackendError, match="63"):
        backend.infer(rig.frames[:1])
    backend.close()


def test_a_device_that_fails_the_self_test_is_refused() -> None:
    rig = make_rig(4, faults=FaultScript({0: Fault("damage", reopens=9)}))
    chosen = select_backend(rig.bundle, "auto", binding=rig.fake)
    assert isinstance(chosen.backend, OnnxBackend)
    assert "self-test windows only" in chosen.reason
    with pytest.raises(BackendError, match="self-test windows only"):
        open_backend(rig.bundle, "hailo", binding=rig.fake)
    assert rig.fake.chip.open_groups == []


def test_a_fake_is_never_chosen_on_its_own_and_never_called_hailo() -> None:
    rig = make_rig(5)
    with installed(rig.fake):
        backend = open_backend(rig.bundle, "auto")
    assert backend.name == "hailo-fake"
    backend.close()
    assert open_backend(rig.bundle, "auto").name == "onnx"


def test_unknown_choice() -> None:
    with pytest.raises(UsageError, match="unknown backend 'tpu'"):
        open_backend(random_bundle(), "tpu")
    with pytest.raises(UsageError, match="no int8 graph"):
        open_backend(random_bundle(), "onnx-int8")


def test_a_corrupt_hef_inside_memory_is_refused_with_the_fix() -> None:
    rig = make_rig(4)
    data = bytearray(hef_for("hailo8l"))
    data[-1] ^= 0xFF
    entry = next(entry for entry in rig.bundle.manifest.files if entry.role == "hef")
    rig.bundle.files[entry.path] = bytes(data)
    with pytest.raises(BackendError, match="xxh3_64") as caught:
        open_backend(rig.bundle, "hailo", binding=rig.fake)
    assert caught.value.status == 91
    assert rig.fake.chip.script.inferences_started == 0
