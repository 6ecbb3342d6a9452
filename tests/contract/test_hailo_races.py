"""Late callbacks, interrupts, slow configurations, kept exceptions: no wrong row, nothing lost, nothing left open."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy
from fsq_edge_runtime.backends.hailo.binding import load_binding
from fsq_edge_runtime.backends.hailo.device import HailoDevice
from fsq_edge_runtime.backends.hailo.request import Slot, Ticket
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.testing import Fault, FaultScript
from fsq_edge_runtime.testing.fake_model import ConfiguredInferModel, InferStream
from tests.factories.hailo_rig import Rig, forget_binding, inline, make_rig


@pytest.fixture
def script() -> FaultScript:
    return FaultScript()


@pytest.fixture(params=[4, 5])
def rig(request: pytest.FixtureRequest, script: FaultScript) -> Iterator[Rig]:
    made = make_rig(request.param, faults=script)
    yield made
    made.fake.chip.check()
    assert made.fake.chip.open_groups == [], "the device was not given back"


def in_ms(milliseconds: float) -> int:
    return time.monotonic_ns() + int(milliseconds * 1e6)


def test_a_late_result_is_not_computed_beside_another(rig: Rig, script: FaultScript) -> None:
    """Each frame's answer is a function of that frame alone, whichever thread of the fake computes it."""
    inside = threading.Semaphore(1)
    overlaps: list[int] = []

    def slow(frame: np.ndarray) -> np.ndarray:
        if not inside.acquire(blocking=False):
            overlaps.append(1)
            inside.acquire()
        time.sleep(0.001)
        inside.release()
        return np.full(3, frame.flat[0] / 100.0, np.float32)

    rig.fake.chip.compute_with(slow)
    backend = rig.device(depth=4)
    frames = np.zeros((40, *rig.frames.shape[1:]), np.float32)
    frames[:, 0, 0, 0] = np.arange(40)
    for seconds in (0.002, 0.005, 0.009):
        script.inject(Fault("late", seconds=seconds))
        with contextlib.suppress(BackendError):  # a stalled machine may see it in time
            assert backend.infer(frames[:1], in_ms(0.5))[0] == 0.0
        assert np.allclose(backend.infer_batch(frames)[:, 0], np.arange(40) / 100.0)
    backend.close()
    assert not overlaps


def test_late_results_between_batches_of_every_depth(rig: Rig, script: FaultScript) -> None:
    for depth in (2, 3, 4):
        backend = rig.device(depth=depth)
        for turn in range(6):
            script.inject(Fault("late", seconds=0.002 * (turn + 1)))
            with contextlib.suppress(BackendError):
                assert np.array_equal(backend.infer(rig.frames[:1], in_ms(0.5)), rig.t[0])
            assert np.array_equal(backend.infer_batch(rig.frames), rig.t)
            until = time.monotonic() + 10
            while rig.fake.chip.outstanding and time.monotonic() < until:
                time.sleep(0.001)
        backend.close()


def test_a_success_without_a_written_answer_is_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = rig.device(depth=1)
    assert np.array_equal(backend.infer(rig.frames[:1]), rig.t[0])
    monkeypatch.setattr(rig.fake.chip, "_compute", lambda job, wrong: None)
    with pytest.raises(BackendError, match="outside"):  # not the answer of the window before
        backend.infer(rig.frames[1:2])
    backend.close()


def test_a_second_call_of_a_callback_changes_nothing() -> None:
    x, y = np.zeros((1, 1, 1), np.float32), np.zeros(1, np.float32)
    ticket = Ticket(Slot(x, x, y, y, None, None))
    ticket(completion_info=SimpleNamespace(exception=None))
    ticket(completion_info=SimpleNamespace(exception=RuntimeError("again")))
    ticket()
    assert ticket.returned
    assert ticket.exception is None
    assert ticket.wait(0)


@pytest.mark.parametrize("where", ["infer", "infer_batch"])
def test_an_interrupt_after_the_launch_loses_no_request(
    rig: Rig, script: FaultScript, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    backend = rig.device(depth=2)
    launch = ConfiguredInferModel.run_async

    def interrupted(self: Any, *arguments: Any) -> None:
        launch(self, *arguments)
        raise KeyboardInterrupt

    script.inject(Fault("late", seconds=0.05))
    monkeypatch.setattr(ConfiguredInferModel, "run_async", interrupted)
    with pytest.raises(KeyboardInterrupt):
        getattr(backend, where)(rig.frames[:1])
    monkeypatch.undo()
    assert backend.requests_under_way == 1, "it is known, so that closing waits for it"
    for _ in range(3):
        assert np.array_equal(backend.infer_batch(rig.frames[1:9]), rig.t[1:9])
    time.sleep(0.06)
    backend.infer(rig.frames[:1])
    assert not backend.requests_under_way, "its buffers serve again"
    backend.close()


def test_configuring_again_is_taken_up_by_a_later_call(rig: Rig, script: FaultScript) -> None:
    """In this process configuring holds the interpreter lock, so only the device process can keep a deadline."""
    backend = rig.device()
    script.inject(Fault("launch", status=82))
    with pytest.raises(BackendError, match="82"):
        backend.infer(rig.frames[:1])
    script.configure_seconds = 0.3
    with contextlib.suppress(BackendError):  # the lock may come back with the network configured or a moment before
        assert np.array_equal(backend.infer(rig.frames[:1], in_ms(20)), rig.t[0])
    assert np.array_equal(backend.infer(rig.frames[:1], in_ms(10_000)), rig.t[0])
    assert len(rig.fake.chip.open_groups) == 1
    backend.close()


def test_closing_during_a_slow_configuration_waits_for_it(rig: Rig, script: FaultScript) -> None:
    backend = rig.device()
    script.inject(Fault("fail", status=63))
    with pytest.raises(BackendError, match="63"):
        backend.infer(rig.frames[:1])
    script.configure_seconds = 0.1
    with contextlib.suppress(BackendError):
        backend.infer(rig.frames[:1], in_ms(5))
    backend.close()


@pytest.mark.parametrize("broken", ["create_bindings", "shape", "frames"])
def test_whatever_configuring_raises_is_one_error_and_leaves_nothing_open(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def refuse(self: object, **buffers: object) -> None:
        raise TypeError("unexpected keyword")

    if broken == "create_bindings":
        monkeypatch.setattr(ConfiguredInferModel, "create_bindings", refuse)
    else:
        wrong = [50, 2, 12] if broken == "shape" else [2, 50, 13]  # as many values, or not even that
        monkeypatch.setattr(InferStream, "shape", property(lambda self: wrong))
    wanted = "unexpected keyword" if broken == "create_bindings" else "the HEF says"
    with pytest.raises(BackendError, match=wanted):
        rig.device()


@pytest.mark.parametrize("fault", [Fault("launch", status=6), Fault("fail", status=63)])
def test_a_kept_exception_keeps_no_network_alive(
    rig: Rig, script: FaultScript, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """A network that outlives its device keeps it from being opened again."""
    networks: list[weakref.ref[ConfiguredInferModel]] = []
    launch = ConfiguredInferModel.run_async

    def seen(self: Any, *arguments: Any) -> Any:
        networks.append(weakref.ref(self))
        return launch(self, *arguments)

    monkeypatch.setattr(ConfiguredInferModel, "run_async", seen)
    backend = rig.device()
    script.inject(fault)
    with pytest.raises(BackendError) as caught:
        backend.infer(rig.frames[:1])
    backend.close()
    gc.collect()
    assert caught.value.__cause__ is not None
    assert networks
    assert all(network() is None for network in networks)


def test_many_losses_leave_nothing_behind(rig: Rig, script: FaultScript) -> None:
    def alive() -> dict[str, int]:
        gc.collect()
        kinds = (ConfiguredInferModel, Slot, Ticket, HailoDevice)
        things = [type(thing) for thing in gc.get_objects()]
        return {kind.__name__: things.count(kind) for kind in kinds} | {"threads": threading.active_count()}

    policy = FallbackPolicy(0.5, first_retry_s=0.0, longest_retry_s=0.0, parity_windows=2, poll_s=0)
    backend = rig.fallback(policy, background=inline)

    def lose_and_find(times: int) -> None:
        for _ in range(times):
            script.inject(Fault("lost", status=96))
            for row in range(6):
                assert rig.code(backend.infer(rig.frames[row : row + 1])) == rig.codes[row]
            assert backend.name == "hailo-fake"

    lose_and_find(3)
    before = alive()
    lose_and_find(30)
    after = alive()
    assert all(after[kind] <= before[kind] + 1 for kind in before), (before, after)
    backend.close()


def test_a_binding_that_lacks_a_module_is_not_called_missing(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "hailo_platform"
    package.mkdir()
    (package / "__init__.py").write_text("import netaddr_of_another_python\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    forget_binding(monkeypatch)
    with pytest.raises(BackendError, match="lacks the module netaddr_of_another_python"):
        load_binding()


@pytest.mark.parametrize("version", ["unknown", "", "4"])
def test_an_odd_version_of_the_binding_is_no_crash(version: str) -> None:
    rig = make_rig(4)
    rig.fake.__version__ = version  # type: ignore[attr-defined]
    backend = rig.device() if version == "4" else None
    if backend is None:
        with pytest.raises(BackendError) as caught:
            rig.device()
        assert caught.value.status == 93
    else:
        backend.close()
    assert rig.fake.chip.open_groups == []
