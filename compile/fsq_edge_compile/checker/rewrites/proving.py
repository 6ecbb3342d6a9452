"""Proves with onnxruntime that two models compute the same on the same inputs."""

from __future__ import annotations

import atexit
import importlib.util
import io
import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from fsq_edge_compile.checker.loading import give_names
from fsq_edge_compile.checker.native import NativeError, Worker
from fsq_edge_compile.checker.native_worker import RUN
from fsq_edge_compile.messages import copied
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError, UnavailableError
from fsq_edge_runtime.files import first_line

# Float32 arithmetic in another order: a few units in the last place over some hundred operations.
TOLERANCE = 1e-4
# Below this an output is noise around zero, and a relative difference says nothing.
SMALLEST = 1e-2
# A protobuf message holds less than 2 GiB.
MAX_PROTO_BYTES = (2 << 30) - (1 << 20)

# A model of a few megabytes is proven in seconds; what takes more processor time than this is stopped.
BUDGET_S = 40.0
BYTES_A_SECOND = 5 << 20
# On a busy machine a proof may take so many times its budget by the clock.
PATIENCE = 10.0
# onnxruntime keeps some copies of the weights while it loads them.
MEMORY_BYTES = 1100 << 20
COPIES = 5
SHARED_BYTES = 10 << 20
# Fewer elements are constants of an operator, not weights.
SMALLEST_WEIGHTS = 8
MAX_INPUT_BYTES = 256 << 20

Feeds = Mapping[str, AnyArray]
# How onnxruntime, numpy and a process that is ended at its limit say that there is no more memory.
_NO_MEMORY = re.compile(r"bad.?alloc|fail\w* to allocate|unable to allocate|out of memory|memory ?error", re.IGNORECASE)


def _worker(size: int) -> Worker:
    return Worker(memory_bytes=MEMORY_BYTES + COPIES * size, patience=PATIENCE)


# Starting a child costs more than a small model's proof, so small models share one.
_SHARED = _worker(SHARED_BYTES)
atexit.register(_SHARED.close)


class Prover:
    """Runs models in onnxruntime, in a child process with a limit on memory and a common deadline.

    Args:
        model: the largest model that will be run; its size sets the limits.

    Raises:
        UnavailableError: onnxruntime is not installed.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        if importlib.util.find_spec("onnxruntime") is None:
            raise UnavailableError("onnxruntime is not installed", hint="pip install 'fsq-edge[compile]'")
        size = model.ByteSize()
        self._budget_s = BUDGET_S + size / BYTES_A_SECOND
        self._own = size > SHARED_BYTES
        self._worker = _worker(size) if self._own else _SHARED
        self._started = time.monotonic()
        self._before_s = self._spent_s()

    def __enter__(self) -> Prover:
        return self

    def __exit__(self, *_: object) -> None:
        if self._own:
            self._worker.close()

    @property
    def left_s(self) -> float:
        """Seconds of processor time, here and in the child, that are left; fewer where the clock ends it first."""
        passed = time.monotonic() - self._started
        left = self._budget_s - (self._spent_s() - self._before_s)
        return float(min(left, PATIENCE * self._budget_s - passed))

    def _spent_s(self) -> float:
        return time.process_time() + self._worker.spent_s

    def run(self, model: onnx.ModelProto, feeds: Sequence[Feeds], wanted: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Run a model on several sets of inputs; inputs that it does not have are ignored.

        Args:
            model: with inline weights.
            feeds: arrays by input name.
            wanted: tensors to return, inner ones too; empty for the outputs.

        Returns:
            the arrays by name for each set.

        Raises:
            DataError: the model does not run, or not within the limits.
        """
        names = list(dict.fromkeys(name for feed in feeds for name in feed))
        arrays: dict[str, Any] = {
            f"{count}.{index}": feed[name]
            for count, feed in enumerate(feeds)
            for index, name in enumerate(names)
            if name in feed
        }
        payload = io.BytesIO()
        np.savez(
            payload,
            model=np.frombuffer(_to_run(model, wanted).SerializeToString(), dtype=np.uint8),
            names=np.asarray(names, dtype=np.str_),
            wanted=np.asarray(list(wanted), dtype=np.str_),
            sets=np.asarray(len(feeds)),
            **arrays,
        )
        if self.left_s <= 0:
            raise DataError("no time is left for the proof")
        self._worker.timeout_s = self.left_s
        try:
            answer = self._worker.ask(RUN, payload.getvalue())
        except NativeError as error:
            if _NO_MEMORY.search(str(error)):
                raise DataError(
                    f"running the model, which the proof needs, takes more than {self._worker.memory_bytes >> 20:,} MB "
                    "of memory",
                    hint="check it without --fix; or fix an export of it with a smaller input",
                ) from error
            raise DataError(
                f"onnxruntime cannot run the model: {first_line(error)}",
                hint="--fix and --split are proven by running the model, so onnxruntime has to take it",
            ) from error
        with np.load(io.BytesIO(answer), allow_pickle=False) as found:
            made = [str(name) for name in found["names"]]
            return [{name: found[f"{count}.{index}"] for index, name in enumerate(made)} for count in range(len(feeds))]


def _to_run(model: onnx.ModelProto, wanted: Sequence[str]) -> onnx.ModelProto:
    """Return the model, or a copy: with inner tensors as outputs, or with names for nodes that share one."""
    given = [node.name for node in model.graph.node if node.name]
    distinct = len(set(given)) == len(given)
    outputs = {value.name for value in model.graph.output}
    inner = [name for name in wanted if name not in outputs]
    if distinct and not inner:
        return model
    copy = copied(model)
    if not distinct:
        # onnxruntime refuses what the format allows.
        give_names(copy.graph)
    for name in inner:
        copy.graph.output.add().name = name
    return copy


def responding(runs: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the tensors that differ between runs on different inputs: only they can prove anything."""
    return {
        name
        for name, value in runs[0].items()
        if any(not np.array_equal(value, other[name], equal_nan=value.dtype.kind == "f") for other in runs[1:])
    }


def with_random_weights(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """Return a copy whose float32 weights of one value throughout are random: zeros that stand for missing weights.

    Variances stay positive: the root of a negative one is no number, and then nothing responds to the input.
    """
    generator = np.random.default_rng(seed)
    copy = copied(model)
    variances = _variances(copy)
    for tensor in copy.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or math.prod(tensor.dims) < SMALLEST_WEIGHTS:
            continue
        value = onnx.numpy_helper.to_array(tensor)
        if value.min() == value.max():
            fan_in = max(1, value.size // max(1, value.shape[0]))
            noise = generator.standard_normal(value.shape) / math.sqrt(fan_in) + (
                value.flat[0] if value.ndim == 1 else 0
            )
            noise = 1.0 + np.abs(noise) if tensor.name in variances else noise
            tensor.CopyFrom(onnx.numpy_helper.from_array(noise.astype(np.float32), tensor.name))
    return copy


def _variances(model: onnx.ModelProto) -> set[str]:
    """Return what batch norms read as variance, behind an Identity too: exporters share equal tensors."""
    same = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Identity"}
    names = {node.input[4] for node in model.graph.node if node.op_type == "BatchNormalization"}
    return names | {same[name] for name in names if name in same}


def random_feeds(
    model: onnx.ModelProto, count: int, value_range: tuple[float, float], seed: int = 0
) -> list[dict[str, AnyArray]]:
    """Return random inputs for a model.

    Args:
        model: its inputs say shapes and types; an open size is 1.
        count: how many sets.
        value_range: bounds of float inputs. Integers are small indices, booleans fair coins.
        seed: of the generator.

    Raises:
        DataError: an input is no tensor of numbers.
    """
    generator = np.random.default_rng(seed)
    constants = {tensor.name for tensor in model.graph.initializer}
    table = _smallest_table(model)
    feeds = []
    for _ in range(count):
        feed: dict[str, AnyArray] = {}
        for value in model.graph.input:
            if value.name in constants:
                continue
            tensor = value.type.tensor_type
            shape = [dim.dim_value if dim.HasField("dim_value") else 1 for dim in tensor.shape.dim]
            if math.prod(max(1, size) for size in shape) * count * 8 > MAX_INPUT_BYTES:
                raise DataError(
                    f"the input {value.name!r} of {shape} is too large for a proof",
                    hint="check it without --fix and --split, or give smaller sizes with --input-shape",
                )
            try:
                dtype = helper_dtype(tensor.elem_type)
            except KeyError as error:
                raise DataError(f"the input {value.name!r} is no tensor of numbers") from error
            if dtype.kind == "f":
                feed[value.name] = generator.uniform(*value_range, shape).astype(dtype)
            elif dtype.kind == "b":
                feed[value.name] = generator.random(shape) < 0.5
            elif dtype.kind in "iu":
                feed[value.name] = generator.integers(0, table, shape).astype(dtype)
            else:
                raise DataError(f"the input {value.name!r} is no tensor of numbers")
        feeds.append(feed)
    return feeds


def helper_dtype(element_type: int) -> np.dtype[Any]:
    """Return the numpy type of a ``TensorProto`` element type."""
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(element_type))


def _smallest_table(model: onnx.ModelProto) -> int:
    """Return a bound for integer inputs that every lookup of the model allows."""
    sizes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    rows = [
        sizes[node.input[0]][0]
        for node in model.graph.node
        if node.op_type == "Gather" and node.input and sizes.get(node.input[0])
    ]
    return max(2, min(rows, default=2))


def largest_difference(expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> float:
    """Return the largest difference of any output, relative to that output's largest value.

    It is infinite where outputs differ in shape, in an integer, or in where they are not finite.
    """
    worst = 0.0
    for left, right in zip(expected, found, strict=True):
        for name, value in left.items():
            other = right.get(name)
            if other is None or np.shape(other) != np.shape(value):
                return math.inf
            worst = max(worst, _difference(np.asarray(value), np.asarray(other)))
    return worst


def _difference(left: AnyArray, right: AnyArray) -> float:
    if left.dtype.kind != "f" or right.dtype.kind != "f":
        return 0.0 if np.array_equal(left, right) else math.inf
    if not left.size:
        return 0.0
    finite = np.isfinite(left)
    if not np.array_equal(finite, np.isfinite(right)):
        return math.inf
    if not np.array_equal(left[~finite], right[~finite], equal_nan=True):
        return math.inf
    if not finite.any():
        return 0.0
    scale = max(SMALLEST, float(np.abs(left[finite]).max()))
    return float(np.abs(left[finite].astype(np.float64) - right[finite].astype(np.float64)).max()) / scale
