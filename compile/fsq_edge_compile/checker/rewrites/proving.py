"""Proves with onnxruntime that two models compute the same on the same inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from fsq_edge_compile.checker.loading import node_names
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.backends.onnx import open_onnx
from fsq_edge_runtime.errors import DataError, UnavailableError
from fsq_edge_runtime.files import first_line

# Float32 arithmetic in another order: a few units in the last place over some hundred operations.
TOLERANCE = 1e-4
# A protobuf message holds less than 2 GiB.
MAX_PROTO_BYTES = (2 << 30) - (1 << 20)

Feeds = Mapping[str, AnyArray]


class Runner:
    """One model in onnxruntime, with its graph optimisations off so that it computes what the file says.

    Args:
        model: with inline weights.

    Raises:
        DataError: onnxruntime cannot run the model.
        UnavailableError: onnxruntime is not installed.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        try:
            self._session = open_onnx(_with_own_names(model).SerializeToString(), optimize=False, log_severity=4)
        except ModuleNotFoundError as error:
            raise UnavailableError("onnxruntime is not installed", hint="pip install 'fsq-edge[compile]'") from error
        except Exception as error:
            raise DataError(
                f"onnxruntime cannot run the model: {first_line(error)}",
                hint="--fix and --split are proven by running the model, so onnxruntime has to take it",
            ) from error
        self.outputs = [value.name for value in self._session.get_outputs()]
        self.inputs = [value.name for value in self._session.get_inputs()]

    def __call__(self, feeds: Feeds) -> dict[str, Any]:
        """Run once; inputs that the model does not have are ignored.

        Raises:
            DataError: the run fails.
        """
        try:
            values = self._session.run(None, {name: feeds[name] for name in self.inputs})
        except Exception as error:
            raise DataError(f"the model does not run: {first_line(error)}") from error
        return dict(zip(self.outputs, values, strict=True))


def _with_own_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, or a copy where nodes share a name: onnxruntime refuses what the format allows."""
    given, names = [node.name for node in model.graph.node], node_names(model.graph.node)
    if len(set(given) - {""}) == len([name for name in given if name]):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node, name in zip(copy.graph.node, names, strict=True):
        node.name = name
    return copy


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
    scale = max(1.0, float(np.abs(left[finite]).max()))
    return float(np.abs(left[finite].astype(np.float64) - right[finite].astype(np.float64)).max()) / scale
