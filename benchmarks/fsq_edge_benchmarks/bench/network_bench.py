"""A network without a bundle, an ONNX file or a HEF: its inference alone, beside a fixed network on this CPU."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from fsq_edge_benchmarks.bench.modes.turns import mode_result, take_turns
from fsq_edge_benchmarks.bench.result import BenchResult, BundleFacts, Mode, ModeResult, PairResult
from fsq_edge_benchmarks.measure.bare import bare_network
from fsq_edge_benchmarks.measure.fixed_network import fixed_network
from fsq_edge_benchmarks.measure.machine import describe_machine
from fsq_edge_runtime.backends.base import Backend
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.hef import HefReport, inspect_hef

MAX_FILE_BYTES: Final = 512 << 20
WARM_UP: Final = 100
RANDOM_INPUTS: Final = 64
SEED: Final = 0
REFERENCE_IS: Final = (
    "the fixed network of this project (59,000 parameters) in onnxruntime on this CPU, one thread: the same on every "
    "machine, so the ratio says how heavy the network is"
)
MODES: Final[tuple[Mode, ...]] = ("single", "offline")
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


class NetworkFile(Protocol):
    """A network in a file, without a bundle.

    Attributes:
        path: the file.
        backends: on which it can run; the first one by default.
    """

    path: Path
    backends: tuple[str, ...]

    def subject(self, backend: str, opened: ExitStack) -> NetworkSubject:
        """Return the network on one of its backends; ``opened`` closes what must be closed."""
        ...

    def window(self) -> tuple[int, int]:
        """Return what the network takes: channels, and values of a channel."""
        ...

    def race(self, backend: str, decisions: int) -> PairResult | None:
        """Return how it does against another network, in turns; None without one."""
        ...


def bench_network(
    network: NetworkFile,
    modes: Sequence[Mode],
    backends: Sequence[str] | None,
    *,
    decisions: int,
    rounds: int,
    windows: int,
    quick: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> BenchResult:
    """Time a network alone.

    Args:
        network: a HEF (:class:`HefFile`), or an ONNX file (``onnx_network.OnnxFile``).
        modes: ``single`` (one inference) or ``offline`` (many, one after the other).
        backends: some of the network's; None takes its first.
        decisions: inferences timed in ``single`` and in the race.
        rounds: of ``offline``.
        windows: in a round of ``offline``.
        quick: fewer samples than a figure to keep should have.
        say: called with what is measured now.

    Raises:
        UsageError: a mode or backend that such a file does not have.
        MissingInputError, DataError: a file or the inputs do not fit.
        BackendError: no device.
    """
    path, backends = network.path, backends or network.backends[:1]
    _refuse(path, modes, backends, network.backends)
    data = read_bounded(path, MAX_FILE_BYTES, what="the network")
    runs = []
    with ExitStack() as opened:
        for backend in backends:
            say(f"{path.name} on {backend}")
            subject = network.subject(backend, opened)
            runs += [_measure(subject, mode, decisions, rounds, windows) for mode in modes]
    channels, samples = network.window()
    facts = BundleFacts(
        name=path.name,
        encoder_sha256=hashlib.sha256(data).hexdigest(),
        channels=channels,
        window_samples=samples,
        hop_samples=0,
        sample_rate_hz=0.0,
    )
    return BenchResult(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=describe_machine(),
        bundle=facts,
        quick=quick,
        runs=tuple(runs),
        pair=network.race(backends[0], decisions),
    )


class HefFile:
    """A HEF, on a Hailo device or on a stand-in for one.

    Raises:
        MissingInputError, DataError: the file is not there, or is no HEF; raised when it is first needed.
    """

    backends: tuple[str, ...] = ("hailo", "fake")

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _data(self) -> bytes:
        return read_bounded(self.path, MAX_FILE_BYTES, what="the network")

    @cached_property
    def _report(self) -> HefReport:
        return inspect_hef(self._data)

    def subject(self, backend: str, opened: ExitStack) -> NetworkSubject:
        """Return the network on ``hailo``, or on ``fake``, a stand-in."""
        from fsq_edge_runtime.backends.hailo.opening import open_hailo

        report = self._report
        if len(report.inputs) != 1 or len(report.outputs) != 1:
            raise UsageError(
                f"the HEF has {len(report.inputs)} inputs and {len(report.outputs)} outputs, one of each is timed"
            )
        height, width, channels = report.inputs[0].shape
        shape, size = (channels, height, width), prod(report.outputs[0].shape)
        hefs = {report.architecture.name: self._data}
        device: Backend = (
            open_hailo(hefs, shape, size) if backend == "hailo" else _silent(hefs, report.generation, shape, size)
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

    def window(self) -> tuple[int, int]:
        """Return the channels of the input, and its height times its width."""
        height, width, channels = self._report.inputs[0].shape
        return channels, height * width

    def race(self, backend: str, decisions: int) -> None:
        """Return None: a HEF is raced against nothing."""


def _silent(hefs: dict[str, bytes], generation: int, shape: tuple[int, int, int], size: int) -> Backend:
    from fsq_edge_benchmarks.bench.stand_in import silent_device  # a device's install has none

    return silent_device(hefs, generation, shape, size)


def _measure(subject: NetworkSubject, mode: Mode, decisions: int, rounds: int, windows: int) -> ModeResult:
    many = mode == "offline"
    encoder, frames = fixed_network()
    count = windows if many else 1
    reference = bare_network(encoder, frames[np.arange(count) % len(frames)])

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


def _refuse(path: Path, modes: Sequence[Mode], backends: Sequence[str], known: Sequence[str]) -> None:
    for mode in modes:
        if mode not in MODES:
            raise UsageError(f"mode {mode} needs a bundle, {path.name} is a network alone", hint="single or offline")
    for backend in backends:
        if backend not in known:
            raise UsageError(f"{path.name} cannot run on {backend!r}", hint="one of " + ", ".join(known))
