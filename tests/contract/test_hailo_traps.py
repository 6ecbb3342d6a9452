"""Each numbered trap of HailoRT's binding: what it does, and that the backend does not fall into it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fsq_edge_runtime.backends.hailo.backend import HailoBackend
from fsq_edge_runtime.backends.hailo.errors import status_of
from fsq_edge_runtime.backends.hailo.request import Slot, Ticket
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.testing import (
    FakeDeadlockError,
    FakeFatalError,
    Fault,
    FaultScript,
    fake_hailo_platform,
    installed,
)
from tests.factories.hailo_rig import ARCHITECTURE, Rig, hef_for, hide_binding, make_rig
from tests.factories.live import eventually

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=[4, 5])
def generation(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def script() -> FaultScript:
    return FaultScript()


@pytest.fixture
def rig(generation: int, script: FaultScript) -> Iterator[Rig]:
    made = make_rig(generation, faults=script)
    yield made
    made.fake.chip.check()
    assert made.fake.chip.open_groups == [], "the device was not given back"


def raw_model(fake: object, arch: str) -> tuple[object, object]:
    """Use the fake as a careless program would."""
    platform: SimpleNamespace = fake  # type: ignore[assignment]
    params = platform.VDevice.create_params()
    params.scheduling_algorithm = platform.HailoSchedulingAlgorithm.ROUND_ROBIN
    vdevice = platform.VDevice(params)
    model = vdevice.create_infer_model(hef_for(arch))
    model.input().set_format_type(platform.FormatType.FLOAT32)
    model.output().set_format_type(platform.FormatType.FLOAT32)
    return vdevice, model.configure()


def buffers() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((2, 50, 12), np.float32), np.full(3, 7.0, np.float32)


def bind(configured: object, x: np.ndarray, y: np.ndarray) -> object:
    return configured.create_bindings(  # type: ignore[attr-defined]
        input_buffers={"fsq/input_layer1": x}, output_buffers={"fsq/fc1": y}
    )


def time_out(call: Callable[[], object], script: FaultScript, seconds: float) -> BackendError:
    """Return the error of a call whose request is late: a machine that stands still meanwhile may see it in time."""
    for _ in range(5):
        script.inject(Fault("late", seconds=seconds))
        try:
            call()
        except BackendError as error:
            return error
    raise AssertionError("no request was ever late")


# Trap 1: a failed inference raises nowhere and leaves zeros.


def test_a_failed_inference_is_an_error_not_zeros(rig: Rig, script: FaultScript) -> None:
    backend = rig.device()
    script.inject(Fault("fail", status=63))
    with pytest.raises(BackendError, match="63 HAILO_STREAM_ABORT") as caught:
        backend.infer(rig.frames[:1])
    assert caught.value.status == 63
    assert np.array_equal(backend.infer(rig.frames[:1]), rig.t[0]), "configured again, it goes on"
    backend.close()


def test_the_fake_fails_as_silently_as_the_real_one(generation: int, script: FaultScript) -> None:
    rig = make_rig(generation, faults=script)
    vdevice, configured = raw_model(rig.fake, ARCHITECTURE[generation])
    x, y = buffers()
    script.inject(Fault("fail", status=63))
    configured.run([bind(configured, x, y)], 1000)  # type: ignore[attr-defined]
    assert y.tolist() == [0.0, 0.0, 0.0]
    vdevice.release()  # type: ignore[attr-defined]


# Trap 2: an exception that leaves a callback aborts the process.


def test_a_ticket_never_raises() -> None:
    ticket = Ticket(Slot(*buffers()[:1] * 2, *buffers()[1:] * 2, None, None))
    assert not ticket.returned
    ticket(completion_info=None)
    assert isinstance(ticket.exception, AttributeError), "what cannot be read is a failure"
    assert ticket.returned
    ticket(completion_info=SimpleNamespace(exception=None))
    ticket()
    assert ticket.wait(0)


def test_the_fake_notices_a_leaking_callback(generation: int) -> None:
    rig = make_rig(generation)
    vdevice, configured = raw_model(rig.fake, ARCHITECTURE[generation])

    def leaking(completion_info: object) -> None:
        raise ValueError("boom")

    configured.run_async([bind(configured, *buffers())], leaking).wait(1000)  # type: ignore[attr-defined]
    with pytest.raises(FakeFatalError, match="boom"):
        rig.fake.chip.check()
    vdevice.release()  # type: ignore[attr-defined]


# Trap 3: releasing the device with a request under way hangs; buffers must outlive a timeout.


def test_the_fake_notices_a_release_with_a_job_under_way(generation: int, script: FaultScript) -> None:
    rig = make_rig(generation, faults=script)
    vdevice, configured = raw_model(rig.fake, ARCHITECTURE[generation])
    script.inject(Fault("late", seconds=0.05))
    job = configured.run_async([bind(configured, *buffers())])  # type: ignore[attr-defined]
    with pytest.raises(FakeDeadlockError, match="1 jobs under way"):
        vdevice.release()  # type: ignore[attr-defined]
    job.wait(1000)
    vdevice.release()  # type: ignore[attr-defined]


def test_a_timeout_is_an_error_and_the_late_result_is_thrown_away(rig: Rig, script: FaultScript) -> None:
    backend = rig.device()
    error = time_out(lambda: backend.infer(rig.frames[:1], time.monotonic_ns() + 10_000_000), script, 0.25)
    assert error.status == 4
    # Other buffers serve meanwhile; the late result never shows up in a later answer.
    for frame, t in zip(rig.frames[1:20], rig.t[1:20], strict=True):
        assert np.array_equal(backend.infer(frame[None]), t)
    time.sleep(0.27)
    for frame, t in zip(rig.frames[20:], rig.t[20:], strict=True):
        assert np.array_equal(backend.infer(frame[None]), t)
    backend.close()


def test_a_batch_beside_a_late_request_never_mixes_results(rig: Rig, script: FaultScript) -> None:
    backend = rig.device(depth=3)
    time_out(lambda: backend.infer(rig.frames[:1], time.monotonic_ns() + 5_000_000), script, 0.15)
    for _ in range(20):  # two buffers are left for the batches
        assert np.array_equal(backend.infer_batch(rig.frames), rig.t)
    time.sleep(0.16)
    assert np.array_equal(backend.infer_batch(rig.frames), rig.t)
    backend.close()


def test_after_a_failure_inside_a_batch_the_next_batch_is_right(rig: Rig, script: FaultScript) -> None:
    backend = rig.device()
    for fault in (Fault("fail", status=63), Fault("launch", status=82), Fault("late", seconds=0.3)):
        backend.infer_batch(rig.frames[:5])
        if fault.kind == "late":
            time_out(lambda: backend.infer_batch(rig.frames, time.monotonic_ns() + 20_000_000), script, fault.seconds)
            time.sleep(0.31)
        else:
            script.inject(fault)
            with pytest.raises(BackendError):
                backend.infer_batch(rig.frames, time.monotonic_ns() + 20_000_000)
        assert np.array_equal(backend.infer_batch(rig.frames), rig.t)
    backend.close()


def test_close_waits_for_a_late_request(rig: Rig, script: FaultScript) -> None:
    backend = rig.device()
    time_out(lambda: backend.infer(rig.frames[:1], time.monotonic_ns() + 5_000_000), script, 0.15)
    backend.close()
    assert rig.fake.chip.outstanding == 0


def test_a_request_that_never_returns_neither_hangs_close_nor_frees_the_device(generation: int) -> None:
    script = FaultScript()
    rig = make_rig(generation, faults=script)
    backend = rig.device(timeout_s=0.01, drain_s=0.05)
    script.inject(Fault("never"))
    with pytest.raises(BackendError):
        backend.infer(rig.frames[:1])
    backend.close()
    rig.fake.chip.check()  # no release was tried, which would have hung
    with pytest.raises(BackendError, match="has not come back"):
        rig.device()


def test_the_device_opens_again_once_the_late_request_came_back(generation: int) -> None:
    script = FaultScript()
    rig = make_rig(generation, faults=script)
    backend = rig.device(timeout_s=0.01, drain_s=0.02)
    time_out(lambda: backend.infer(rig.frames[:1]), script, 1.0)
    backend.close()
    with pytest.raises(BackendError, match="has not come back"):
        rig.device()
    eventually(lambda: not rig.fake.chip.outstanding, "the late request comes back")
    again = rig.device()
    assert np.array_equal(again.infer(rig.frames[:1]), rig.t[0])
    again.close()
    rig.fake.chip.check()


def test_garbage_collection_gives_the_device_back(rig: Rig) -> None:
    backend = rig.device()
    backend.infer(rig.frames[:1])
    del backend
    gc.collect()
    deadline = time.monotonic() + 5
    while rig.fake.chip.open_groups and time.monotonic() < deadline:
        time.sleep(0.005)


# Trap 4: dtype is never checked, only byte size, contiguity and writeability.


def test_the_fake_takes_any_bytes_of_the_right_size(generation: int) -> None:
    rig = make_rig(generation)
    vdevice, configured = raw_model(rig.fake, ARCHITECTURE[generation])
    y = np.full(3, 7.0, np.float32)
    configured.run([bind(configured, np.zeros((2, 50, 12), np.int32), y)], 1000)  # type: ignore[attr-defined]
    assert not np.any(y == 7.0)
    with pytest.raises(Exception, match="C_CONTIGUOUS"):
        bind(configured, np.zeros((2, 50, 24), np.float32)[..., ::2], y)
    with pytest.raises(Exception, match="Invalid operation") as caught:
        configured.run([bind(configured, np.zeros((2, 50, 12), np.float64), y)], 1000)  # type: ignore[attr-defined]
    assert status_of(caught.value) == 6
    with pytest.raises(Exception, match="aborted"):  # trap 5: it is shut down now
        configured.run([bind(configured, *buffers())], 1000)  # type: ignore[attr-defined]
    vdevice.release()  # type: ignore[attr-defined]


def test_frames_of_another_dtype_are_converted_not_reinterpreted(rig: Rig) -> None:
    backend = rig.device()
    assert np.array_equal(backend.infer(rig.frames[:1].astype(np.float64)), rig.t[0])
    backend.close()


# Trap 5: a launch error shuts the configured model down.


@pytest.mark.parametrize("status", [6, 82, 63])
def test_after_a_launch_error_the_network_is_configured_again(rig: Rig, script: FaultScript, status: int) -> None:
    backend = rig.device()
    script.inject(Fault("launch", status=status))
    with pytest.raises(BackendError) as caught:
        backend.infer(rig.frames[:1])
    assert caught.value.status == status
    assert np.array_equal(backend.infer(rig.frames[1:2]), rig.t[1])
    backend.close()


# Trap 6: waiting and launching race across threads.


def test_two_networks_on_one_device_both_get_on(rig: Rig) -> None:
    first, second = rig.device(), rig.device()
    assert rig.fake.chip.open_groups == ["SHARED"], "one VDevice a process"
    done: dict[str, int] = {"first": 0, "second": 0}
    stop = threading.Event()

    def drive(name: str, backend: HailoBackend) -> None:
        while not stop.is_set():
            row = done[name] % len(rig.frames)
            if not np.array_equal(backend.infer(rig.frames[row : row + 1]), rig.t[row]):
                raise AssertionError(name)
            done[name] += 1

    threads = [threading.Thread(target=drive, args=item) for item in (("first", first), ("second", second))]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 20
    while min(done.values()) < 100 and time.monotonic() < until:
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert min(done.values()) > 0.1 * max(done.values()), f"unfair: {done}"
    first.close()
    assert np.array_equal(second.infer(rig.frames[:1]), rig.t[0]), "closing one leaves the other"
    second.close()


# Trap 7: the import writes log files unless told not to.


def test_the_logger_is_silenced_before_the_import(tmp_path: Path) -> None:
    package = tmp_path / "hailo_platform"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import os\nprint(os.environ['HAILORT_LOGGER_PATH'], os.environ['HAILORT_CONSOLE_LOGGER_LEVEL'])\n"
    )
    code = "from fsq_edge_runtime.backends.hailo.binding import load_binding; load_binding()"
    path = os.pathsep.join([str(tmp_path), str(ROOT / "runtime")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["NONE", "critical"]
    assert not (tmp_path / "hailort.log").exists()


# Trap 8: some malformed HEFs kill the process.


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped"])
def test_a_damaged_hef_never_reaches_hailort(rig: Rig, generation: int, damage: str) -> None:
    good = hef_for(ARCHITECTURE[generation])
    bad = {"empty": b"", "cut": good[:-9], "flipped": good[:99] + bytes([good[99] ^ 1]) + good[100:]}[damage]
    with pytest.raises(BackendError, match="damaged") as caught:
        HailoBackend({ARCHITECTURE[generation]: bad}, (12, 2, 50), 3, binding=rig.fake)
    assert caught.value.status == 91
    assert caught.value.hint
    rig.fake.chip.check()


def test_the_fake_dies_of_an_empty_hef(generation: int) -> None:
    fake = fake_hailo_platform(generation)
    with pytest.raises(FakeFatalError, match="SIGSEGV"):
        fake.HEF(b"")
    with pytest.raises(ValueError, match="file path"):
        fake.HEF(Path("x.hef"))


# Trap 9: not across a fork.


def test_a_forked_child_is_refused_and_does_not_touch_the_device(rig: Rig) -> None:
    backend = rig.device()
    backend.infer(rig.frames[:1])
    pid = os.fork()
    if pid == 0:  # pragma: no cover - the child
        code = 1
        try:
            backend.infer(rig.frames[:1])
        except BackendError as error:
            backend.close()
            code = 0 if "fork" in error.message and rig.fake.chip.open_groups == ["SHARED"] else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert np.array_equal(backend.infer(rig.frames[:1]), rig.t[0]), "the parent goes on"
    backend.close()


# Traps 10 and 11: exceptions differ between the generations.


def test_the_status_is_read_from_every_form_of_exception(generation: int) -> None:
    errors = fake_hailo_platform(generation).chip.errors
    for code in (2, 4, 6, 15, 18, 25, 26, 36, 48, 61, 62, 63, 69, 74, 76, 91, 97):
        assert status_of(errors.make(code)) == code
        assert status_of(errors.make_raw(code)) == code
        bare = errors.make(code)
        bare.__cause__ = None
        assert status_of(bare) == code, "from the class or the text alone"
    assert status_of(ValueError("error: 74")) is None
    assert issubclass(errors.raw, errors.base) == (generation == 5)


@pytest.mark.parametrize(("version", "status"), [("4.18.0", 26), ("4.20.1", 26), ("4.21.0", 93), ("4.23.0", 93)])
def test_a_hef_for_another_chip_before_and_after_4_21(version: str, status: int) -> None:
    fake = fake_hailo_platform(4, devices=["hailo8l"], version=version)
    model = fake.VDevice().create_infer_model(hef_for("hailo8"))
    with pytest.raises(fake.HailoRTException) as caught:
        model.configure()
    assert status_of(caught.value) == status


def test_release_of_a_lost_device_does_not_leak_the_raw_error(rig: Rig, script: FaultScript) -> None:
    backend = rig.device()
    script.inject(Fault("lost", status=62, reopens=1))
    with pytest.raises(BackendError) as caught:
        backend.infer(rig.frames[:1])
    assert caught.value.status == 62
    backend.close()
    with pytest.raises(BackendError) as caught:
        rig.device()
    assert caught.value.status == 74
    again = rig.device()
    assert np.array_equal(again.infer(rig.frames[:1]), rig.t[0])
    again.close()


# Opening.


def test_the_scheduler_is_set_because_the_default_differs(generation: int) -> None:
    fake = fake_hailo_platform(generation)
    default = fake.VDevice.create_params().scheduling_algorithm
    assert default == (
        fake.HailoSchedulingAlgorithm.NONE if generation == 4 else fake.HailoSchedulingAlgorithm.ROUND_ROBIN
    )


@pytest.mark.parametrize("status", [16, 36, 62, 73, 74, 76, 87, 97])
def test_a_refused_opening_names_cause_and_fix(rig: Rig, script: FaultScript, status: int) -> None:
    script._opens.append(status)
    with pytest.raises(BackendError) as caught:
        rig.device()
    assert caught.value.status == status
    assert caught.value.exit_code == 69
    assert str(status) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("status", [26, 92, 93])
def test_a_refused_configuration_gives_the_device_back(rig: Rig, script: FaultScript, status: int) -> None:
    script._configures.append(status)
    with pytest.raises(BackendError) as caught:
        rig.device()
    assert caught.value.status == status
    assert rig.fake.chip.open_groups == []


def test_an_opening_that_takes_too_long_is_an_error_and_is_undone_when_it_ends(rig: Rig, script: FaultScript) -> None:
    script.open_seconds = 0.3
    with pytest.raises(BackendError, match=r"opening the Hailo device in 0\.02 s") as caught:
        rig.device(open_timeout_s=0.02)
    assert caught.value.status == 4
    deadline = time.monotonic() + 5
    script.open_seconds = 0.0
    time.sleep(0.32)
    while rig.fake.chip.open_groups and time.monotonic() < deadline:
        time.sleep(0.005)
    again = rig.device()
    assert np.array_equal(again.infer(rig.frames[:1]), rig.t[0])
    again.close()


def test_a_device_that_does_not_say_what_it_is_gets_the_hef_of_its_generation(
    generation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(generation, architectures=["hailo8l", "hailo10h"])

    def silent(self: object) -> None:
        raise rig.fake.chip.errors.make(48)

    monkeypatch.setattr("fsq_edge_runtime.testing.fake_device.FakeControl.identify", silent)
    backend = rig.device()
    assert backend.architecture == ARCHITECTURE[generation]
    backend.close()


def test_the_hef_for_the_device_that_is_here_is_taken() -> None:
    for device, wanted in (("hailo8", "hailo8"), ("hailo8l", "hailo8l")):
        rig = make_rig(4, architectures=["hailo8l", "hailo8", "hailo10h"], devices=[device])
        backend = rig.device()
        assert backend.architecture == wanted
        backend.close()
    only_8l = make_rig(4, architectures=["hailo8l"], devices=["hailo8"])
    backend = only_8l.device()
    assert backend.architecture == "hailo8l", "an 8L file runs on an 8, too"
    backend.close()


def test_no_hef_for_the_device() -> None:
    rig = make_rig(4, architectures=["hailo8", "hailo10h"], devices=["hailo8l"])
    with pytest.raises(BackendError, match="hailo8, hailo10h, the device is hailo8l") as caught:
        rig.device()
    assert caught.value.status == 93
    assert rig.fake.chip.open_groups == []


def test_a_hef_of_another_shape_is_refused_before_the_device_is_opened(rig: Rig, generation: int) -> None:
    arch = ARCHITECTURE[generation]
    with pytest.raises(BackendError, match=r"takes \(2, 50, 9\), the bundle gives"):
        HailoBackend({arch: hef_for(arch, (9, 2, 50))}, (12, 2, 50), 3, binding=rig.fake)
    with pytest.raises(BackendError, match="have 4 values, none the 3"):
        HailoBackend({arch: hef_for(arch, size=4)}, (12, 2, 50), 3, binding=rig.fake)


def test_the_installed_binding_is_used_when_none_is_given(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    hefs = {arch: rig.bundle.read("hef", arch) for arch in rig.bundle.hef_architectures}
    with installed(rig.fake):
        backend = HailoBackend(hefs, rig.bundle.preprocess.frame_shape, 3)
        assert backend.name == "hailo-fake", "a fake is never called hailo"
        backend.close()
    hide_binding(monkeypatch)
    with pytest.raises(BackendError, match="not installed for this Python") as caught:
        HailoBackend(hefs, rig.bundle.preprocess.frame_shape, 3)
    assert "system-site-packages" in caught.value.hint


def test_values_that_a_tanh_cannot_give_are_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = rig.device()
    compute = rig.fake.chip._compute
    for poison in (np.nan, np.inf, 3.0):

        def poisoned(job: object, wrong: bool, value: float = poison) -> None:
            compute(job, wrong)  # type: ignore[arg-type]
            for out in job.out:  # type: ignore[attr-defined]
                out[...] = value

        monkeypatch.setattr(rig.fake.chip, "_compute", poisoned)
        with pytest.raises(BackendError, match="outside"):
            backend.infer(rig.frames[:1])
    backend.close()


def test_telemetry(rig: Rig, script: FaultScript) -> None:
    backend = rig.device()
    script.temperature_c = 71.0
    assert backend.telemetry().result(5).temperature_c == 71.0
    assert backend.telemetry(power=True).result(5).power_w is None, "boards without a sensor answer status 18"
    script.power_w = 1.5
    assert backend.telemetry(power=True).result(5).power_w == 1.5
    assert backend.telemetry().result(5).power_w is None, "measured only when it is wanted"
    backend.close()


def test_the_quantised_fake_rounds_as_the_hef_says(generation: int) -> None:
    rig = make_rig(generation, quantized=True)
    backend = rig.device()
    t = backend.infer_batch(rig.frames)
    assert not np.array_equal(t, rig.t)
    step = 2.0 / 255.0
    assert np.abs(t / step - np.rint(t / step)).max() < 1.0
    assert np.mean(rig.bundle.tail.index(t) == rig.codes) > 0.7
    backend.close()
