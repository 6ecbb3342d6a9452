"""An ONNX file without a bundle, on this CPU: as it is, or as its int8 preview."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Final

import numpy as np

from fsq_edge_benchmarks.bench.network_bench import RANDOM_INPUTS, SEED, NetworkSubject
from fsq_edge_benchmarks.bench.pairing import race_calls
from fsq_edge_benchmarks.bench.result import PairResult
from fsq_edge_compile.foreign.reading import ForeignNetwork, read_network
from fsq_edge_compile.int8.plain import frames_for, preview_plain
from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.backends.onnx import open_onnx

RANDOM_NOTE: Final = "inputs are random (standard normal): times, not answers"
INT8_NOTE: Final = "int8 is a preview in onnxruntime on this CPU, not a device"


class OnnxFile:
    """An ONNX file with one float32 input and output.

    Args:
        path: the file.
        inputs: (N, ...) windows as the network takes them; None is random.
        against: another ONNX file, raced in turns A B B A.

    Raises:
        MissingInputError, DataError: a file or the inputs do not fit; raised when they are first needed.
    """

    backends: tuple[str, ...] = ("onnx", "onnx-int8")

    def __init__(self, path: Path, inputs: AnyArray | None = None, against: Path | None = None) -> None:
        self.path = path
        self.inputs = inputs
        self.against = against

    @cached_property
    def _network(self) -> ForeignNetwork:
        return read_network(self.path)

    def subject(self, backend: str, opened: ExitStack | None = None) -> NetworkSubject:
        """Return the file on ``onnx``, or its preview on ``onnx-int8``."""
        network = self._network
        frames = frames_for(network, _random(network) if self.inputs is None else self.inputs)
        notes = (RANDOM_NOTE,) if self.inputs is None else ()
        if backend == "onnx-int8":
            preview = preview_plain(self.path, frames).model
            return NetworkSubject(backend, _bound(preview, network, frames), (*notes, INT8_NOTE))
        return NetworkSubject(backend, _bound(network.model.SerializeToString(), network, frames), notes)

    def window(self) -> tuple[int, int]:
        """Return the channels of the input, 1 where it has no axis for them, and the values of a channel."""
        shape = self._network.source_shape
        channels = shape[1] if len(shape) > 1 else 1
        return channels, prod(shape) // channels

    def race(self, backend: str, decisions: int) -> PairResult | None:
        """Return how the file does against the other one, in turns."""
        if self.against is None:
            return None
        other = OnnxFile(self.against, self.inputs)
        sides = (self.subject(backend).infer, other.subject(backend).infer)
        return race_calls(sides, decisions, (self.path.name, self.against.name))


def _random(network: ForeignNetwork) -> Float32Array:
    draw = np.random.default_rng(SEED).normal(size=(RANDOM_INPUTS, *network.source_shape[1:]))
    return draw.astype(np.float32)


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
