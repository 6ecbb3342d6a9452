"""A network without a bundle, an ONNX file or a HEF: its inference alone, beside a fixed network on this CPU."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from fsq_edge_benchmarks.bench.modes.turns import mode_result, take_turns
from fsq_edge_benchmarks.bench.pairing import race_calls
from fsq_edge_benchmarks.bench.result import BenchResult, BundleFacts, Mode, ModeResult, PairResult
from fsq_edge_benchmarks.measure.bare import bare_network
from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.measure.machine import describe_machine
from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.backends.base import Backend
from fsq_edge_runtime.backends.onnx import open_onnx
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.preprocess import Preprocessor

if TYPE_CHECKING:
    from fsq_edge_compile.foreign.reading import ForeignNetwork

MAX_FILE_BYTES: Final = 512 << 20
WARM_UP: Final = 100
RANDOM_INPUTS: Final = 64
SEED: Final = 0
REFERENCE_IS: Final = (
    "the fixed network of this project (59,000 parameters) in onnxruntime on this CPU, one thread: the same on every "
    "machine, so the ratio says how heavy the network is"
)
ONNX_BACKENDS: Final = ("onnx", "onnx-int8")
HEF_BACKENDS: Final = ("hailo", "fake")
MODES: Final[tuple[Mode, ...]] = ("single", "offline")
RANDOM_NOTE: Final = "inputs are random (standard normal): times, not answers"
INT8_NOTE: Final = "int8 is a preview in onnxruntime on this CPU, not a device"
FAKE_NOTE: Final = "the device is a stand-in that answers zeros: what is timed is the way to it, not Hailo silicon"


@dataclass(frozen=True, slots=True)
class NetworkSubject:
    """A network on one backend.

    Attributes:
        name: of the backend.
        infer: takes the number of a call and runs one window.
        notes: what the figures must be read with.
        waits: a call waits for a device.
    """

    name: str
    infer: Callable[[int], object]
    notes: tuple[str, ...] = ()
    waits: bool = False


def bench_network(
    path: Path,
    modes: Sequence[Mode],
    backends: Sequence[str],
    *,
    decisions: int,
    rounds: int,
    windows: int,
    inputs: AnyArray | None = None,
    against: Path | None = None,
    quick: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> BenchResult:
    """Time a network alone.

    Args:
        path: an ONNX file with one float32 input and output, or a HEF.
        modes: ``single`` (one inference) or ``offline`` (many, one after the other).
        backends: ``onnx`` and ``onnx-int8`` of an ONNX file; ``hailo`` and ``fake`` (a stand-in) of a HEF.
        decisions: inferences timed in ``single`` and in the race.
        rounds: of ``offline``.
        windows: in a round of ``offline``.
        inputs: (N, ...) windows as the network takes them; None is random.
        against: another ONNX file, raced with the first backend in turns A B B A.
        quick: fewer samples than a figure to keep should have.
        say: called with what is measured now.

    Raises:
        UsageError: a mode or backend that such a file does not have.
        MissingInputError, DataError: a file or the inputs do not fit.
        BackendError: no device.
    """
    is_hef = path.suffix == ".hef"
    _refuse(path, modes, backends, HEF_BACKENDS if is_hef else ONNX_BACKENDS)
    if is_hef and (against is not None or inputs is not None):
        raise UsageError("--against and a file of windows go with an ONNX file", hint="leave them out")
    data = read_bounded(path, MAX_FILE_BYTES, what="the network")
    runs = []
    with ExitStack() as opened:
        for backend in backends:
            say(f"{path.name} on {backend}")
            subject = _hef_subject(data, backend, opened) if is_hef else onnx_subject(path, backend, inputs)
            runs += [_measure(subject, mode, decisions, rounds, windows) for mode in modes]
    return BenchResult(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=describe_machine(),
        bundle=_facts(path, data, is_hef),
        quick=quick,
        runs=tuple(runs),
        pair=None if against is None else _race(path, against, backends[0], inputs, decisions),
    )


def onnx_subject(path: Path, backend: str, inputs: AnyArray | None) -> NetworkSubject:
    """Return an ONNX file on the CPU, as it is or as its int8 preview.

    Raises:
        MissingInputError, DataError: the file or the inputs do not fit.
    """
    from fsq_edge_compile.foreign.reading import read_network
    from fsq_edge_compile.int8.plain import frames_for, preview_plain

    network = read_network(path)
    frames = frames_for(network, _random(network) if inputs is None else inputs)
    notes = (RANDOM_NOTE,) if inputs is None else ()
    if backend == "onnx-int8":
        return NetworkSubject(backend, _bound(preview_plain(path, frames).model, network, frames), (*notes, INT8_NOTE))
    return NetworkSubject(backend, _bound(network.model.SerializeToString(), network, frames), notes)


def _bound(model: bytes, network: ForeignNetwork, frames: Float32Array) -> Callable[[int], object]:
    """Return a call with input and output bound once, as a session binds a device graph."""
    session = open_onnx(model)
    source = np.zeros(network.source_shape, dtype=np.float32)
    answer = np.zeros(network.sink_shape, dtype=np.float32)
    binding = session.io_binding()
    binding.bind_input(network.source, "cpu", 0, np.float32, source.shape, source.ctypes.data)
    binding.bind_output(network.sink, "cpu", 0, np.float32, answer.shape, answer.ctypes.data)
    rows = [frame.reshape(network.source_shape) for frame in frames]

    def infer(index: int) -> object:
        source[...] = rows[index % len(rows)]
        session.run_with_iobinding(binding)
        return answer

    return infer


def _hef_subject(data: bytes, backend: str, opened: ExitStack) -> NetworkSubject:
    from fsq_edge_runtime.backends.hailo.opening import open_hailo
    from fsq_edge_runtime.hef import inspect_hef

    report = inspect_hef(data)
    if len(report.inputs) != 1 or len(report.outputs) != 1:
        raise UsageError(
            f"the HEF has {len(report.inputs)} inputs and {len(report.outputs)} outputs, one of each is timed"
        )
    height, width, channels = report.inputs[0].shape
    shape, size = (channels, height, width), prod(report.outputs[0].shape)
    hefs = {report.architecture.name: data}
    device: Backend = (
        open_hailo(hefs, shape, size) if backend == "hailo" else _fake(hefs, report.generation, shape, size)
    )
    opened.callback(device.close)
    low, high = report.inputs[0].quant.limit_min, report.inputs[0].quant.limit_max
    draw = np.random.default_rng(SEED).uniform(low, max(high, low + 1e-6), (RANDOM_INPUTS, 1, *shape))
    frames = draw.astype(np.float32)
    notes: tuple[str, ...] = ("inputs are random, over the range that the HEF names: times, not answers",)
    name = "hailo" if backend == "hailo" else "hailo-fake"
    if backend == "fake":
        notes = (*notes, FAKE_NOTE)
    return NetworkSubject(name, lambda index: device.infer(frames[index % len(frames)]), notes, waits=True)


def _fake(hefs: dict[str, bytes], generation: int, shape: tuple[int, int, int], size: int) -> Backend:
    from fsq_edge_runtime.backends.hailo.backend import HailoBackend
    from fsq_edge_runtime.testing import fake_hailo_platform

    fake = fake_hailo_platform(generation, devices=tuple(hefs))
    fake.chip.compute_with(lambda _: np.zeros(size, dtype=np.float32))
    return HailoBackend(hefs, shape, size, binding=fake)


def _measure(subject: NetworkSubject, mode: Mode, decisions: int, rounds: int, windows: int) -> ModeResult:
    many = mode == "offline"
    bundle = fixed_bundle()
    frames = Preprocessor(bundle.preprocess).frames(bundle.selftest.windows)
    count = windows if many else 1
    reference = bare_network(bundle.read("encoder"), frames[np.arange(count) % len(frames)])

    def batch(index: int) -> None:
        for at in range(count):
            subject.infer(index + at)

    warm_up = 5 if many else WARM_UP
    timed = take_turns(batch if many else subject.infer, reference, rounds if many else decisions, warm_up)
    return mode_result(
        mode,
        subject,
        timed,
        sample=f"{count} inferences, one after the other" if many else "one inference",
        bare_is=REFERENCE_IS,
        windows=count,
        warm_up=warm_up,
    )


def _race(path: Path, other: Path, backend: str, inputs: AnyArray | None, decisions: int) -> PairResult:
    sides = [onnx_subject(one, backend, inputs).infer for one in (path, other)]
    return race_calls((sides[0], sides[1]), decisions, (path.name, other.name))


def _refuse(path: Path, modes: Sequence[Mode], backends: Sequence[str], known: Sequence[str]) -> None:
    for mode in modes:
        if mode not in MODES:
            raise UsageError(f"mode {mode} needs a bundle, {path.name} is a network alone", hint="single or offline")
    for backend in backends:
        if backend not in known:
            raise UsageError(f"{path.name} cannot run on {backend!r}", hint="one of " + ", ".join(known))


def _random(network: ForeignNetwork) -> Float32Array:
    draw = np.random.default_rng(SEED).normal(size=(RANDOM_INPUTS, *network.source_shape[1:]))
    return draw.astype(np.float32)


def _facts(path: Path, data: bytes, is_hef: bool) -> BundleFacts:
    if is_hef:
        from fsq_edge_runtime.hef import inspect_hef

        height, width, channels = inspect_hef(data).inputs[0].shape
        samples = height * width
    else:
        from fsq_edge_compile.foreign.reading import read_network

        shape = read_network(path).source_shape
        channels = shape[1] if len(shape) > 1 else 1
        samples = prod(shape) // channels
    return BundleFacts(
        name=path.name,
        encoder_sha256=hashlib.sha256(data).hexdigest(),
        channels=channels,
        window_samples=samples,
        hop_samples=0,
        sample_rate_hz=0.0,
    )
