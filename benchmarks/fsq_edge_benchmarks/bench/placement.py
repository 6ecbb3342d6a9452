"""Where a network runs best on this machine: on the CPU or on the Hailo device.

Small networks are often faster on the CPU: a transfer to the device and back costs more than computing them here. The
verdict goes by the 99th percentile, which decides whether deadlines hold, and by energy where both sides can be
measured. What cannot be measured is called unmeasured, never estimated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from fsq_edge_benchmarks.measure.distribution import percentile
from fsq_edge_benchmarks.measure.stopwatch import in_turns
from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.backends.base import Backend
from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy
from fsq_edge_runtime.backends.hailo.backend import HailoBackend
from fsq_edge_runtime.backends.hailo.process import HailoProcess
from fsq_edge_runtime.backends.onnx import OnnxBackend
from fsq_edge_runtime.backends.selection import open_device
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.preprocess import Preprocessor

RAPL: Final = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
CLEAR: Final = 0.9  # one side is called faster when it needs at most this share of the other's p99
WARM_UP: Final = 50
QUICK_CALLS, CALLS = 700, 7000  # 662 samples support a p99


@dataclass(frozen=True, slots=True)
class Side:
    """One place.

    Attributes:
        backend: its name; ``hailo-fake`` is not a measurement of silicon.
        p50_us: of one inference, microseconds.
        p99_us: its 99th percentile, microseconds.
        energy_uj: per inference, microjoules; None where it cannot be measured. CPU: the package counter, idle
            included. Device: its own power sensor, without the host that waits for it.
    """

    backend: str
    p50_us: float | None
    p99_us: float | None
    energy_uj: float | None


@dataclass(frozen=True, slots=True)
class Placement:
    """The verdict.

    Attributes:
        verdict: ``cpu`` or ``npu``.
        sentence: the verdict and its reason as one sentence.
        cpu: measured here.
        npu: measured here, or None.
        unmeasured: why the device was not measured, empty when it was.
        calls: inferences timed on each side, alternating.
    """

    verdict: Literal["cpu", "npu"]
    sentence: str
    cpu: Side
    npu: Side | None
    unmeasured: str
    calls: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"schema_version": 1, **dataclasses.asdict(self)}


def place(bundle: Bundle, *, quick: bool = False, binding: Any = None) -> Placement:
    """Measure a bundle's network on the CPU and, where it can be opened, on the device.

    Args:
        bundle: the verified bundle; its self-test windows are the input.
        quick: 700 inferences a side instead of 7,000.
        binding: a module in the place of ``hailo_platform``.

    Cost: below a second when quick.
    """
    calls = QUICK_CALLS if quick else CALLS
    frames = Preprocessor(bundle.preprocess).frames(bundle.selftest.windows)
    cpu_backend = OnnxBackend(bundle.read("encoder"))
    device, unmeasured = _device(bundle, binding)
    backends: list[Backend] = [cpu_backend, *([] if device is None else [device])]
    try:
        taken = _times(backends, frames, calls)
        cpu = _side(cpu_backend, taken[0], _rapl_energy(cpu_backend, frames, calls))
        npu = None if device is None else _side(device, taken[1], _device_energy(device, taken[1]))
    except BackendError as error:
        cpu, npu, unmeasured = _side(cpu_backend, _times([cpu_backend], frames, calls)[0], None), None, error.message
    finally:
        for backend in backends:
            backend.close()
    verdict, sentence = judge(cpu, npu, unmeasured)
    return Placement(verdict, sentence, cpu, npu, unmeasured, calls)


def judge(cpu: Side, npu: Side | None, unmeasured: str = "") -> tuple[Literal["cpu", "npu"], str]:
    """Return verdict and sentence for two measured sides (or one, with the reason why)."""
    if npu is None or npu.p99_us is None or cpu.p99_us is None:
        shown = f"p99 {cpu.p99_us:.0f} µs" if cpu.p99_us is not None else "p99 n/a"
        return "cpu", f"the CPU ({shown}); the device is unmeasured: {unmeasured or 'too few samples'}"
    figures = f"p99 {cpu.p99_us:.0f} us on the CPU, {npu.p99_us:.0f} us on {npu.backend}"
    if cpu.p99_us <= CLEAR * npu.p99_us:
        return "cpu", f"the CPU is faster for this network: {figures}{_energy_words(cpu, npu)}"
    if npu.p99_us <= CLEAR * cpu.p99_us:
        return "npu", f"the device is faster for this network: {figures}{_energy_words(cpu, npu)}"
    if cpu.energy_uj is not None and npu.energy_uj is not None and npu.energy_uj < CLEAR * cpu.energy_uj:
        return "npu", f"equally fast ({figures}), and the device needs less energy{_energy_words(cpu, npu)}"
    return "cpu", f"equally fast ({figures}), so the CPU does without a device{_energy_words(cpu, npu)}"


def _energy_words(cpu: Side, npu: Side) -> str:
    if cpu.energy_uj is None or npu.energy_uj is None:
        return "; energy unmeasured"
    return f"; {cpu.energy_uj:.0f} uJ on the CPU, {npu.energy_uj:.0f} uJ on {npu.backend} an inference"


def _device(bundle: Bundle, binding: Any) -> tuple[HailoBackend | HailoProcess | None, str]:
    if not bundle.hef_architectures:
        return None, "the bundle has no HEF"
    try:
        return open_device(bundle, FallbackPolicy(), binding), ""
    except BackendError as error:
        return None, error.message


def _times(backends: Sequence[Backend], frames: Float32Array, calls: int) -> list[Int64Array]:
    """Return nanoseconds (calls,) of each backend, which alternate."""
    feeds = [frame[None] for frame in frames]

    def inference(backend: Backend) -> Callable[[int], object]:
        return lambda index: backend.infer(feeds[index % len(feeds)])

    return list(in_turns({backend.name: inference(backend) for backend in backends}, calls, WARM_UP).values())


def _side(backend: Backend, taken: Int64Array, energy_uj: float | None) -> Side:
    return Side(backend.name, percentile(taken, 50), percentile(taken, 99), energy_uj)


def _rapl_energy(backend: OnnxBackend, frames: Float32Array, calls: int) -> float | None:
    """Return microjoules of the CPU package per inference, None where the counter is not readable."""
    before = _counter()
    if before is None:
        return None
    for index in range(calls):
        backend.infer(frames[index % len(frames)][None])
    after = _counter()
    return (after - before) / calls if after is not None and after > before else None


def _counter() -> float | None:
    try:
        return float(RAPL.read_text())
    except (OSError, ValueError):
        return None


def _device_energy(device: HailoBackend | HailoProcess, taken: Int64Array) -> float | None:
    """Return microjoules of the device per inference from its power sensor, None on boards without one."""
    try:
        watts = device.telemetry(power=True).result(2.0).power_w
    except Exception:  # noqa: BLE001 - without an answer in time the energy is unmeasured
        return None
    median = percentile(taken, 50)
    return None if watts is None or median is None else watts * median
