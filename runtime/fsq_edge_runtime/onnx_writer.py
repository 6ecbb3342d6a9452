"""Writing small ONNX graphs without the onnx package: nodes, constants and ports as bytes.

Source: onnx.proto3 (Apache-2.0); field numbers as in :mod:`fsq_edge_runtime.onnx_graph`, and ModelProto: ir_version 1,
opset_import 8; OperatorSetIdProto: version 2; TensorProto: data_type 2, raw_data 9; AttributeProto: ints 8, type 20.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy.typing as npt

from fsq_edge_runtime.protobuf_writer import nested_field, number_field, text_field, varint

_FLOAT, _INT64, _ATTRIBUTE_INT, _ATTRIBUTE_INTS = 1, 7, 2, 7
NODE: Final = 1  # fields of a graph
CONSTANT: Final = 5
INPUT: Final = 11
OUTPUT: Final = 12


class GraphWriter:
    """Collects the nodes and constants of a graph, in order.

    Args:
        prefix: of the names of all nodes, constants and tensors that are not ends.

    Attributes:
        encoded: the fields of the graph so far.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self.encoded = b""

    def node(
        self, operator: str, inputs: Sequence[str], output: str, *, end: bool = False, **attributes: int | Sequence[int]
    ) -> str:
        """Add a node of the standard operators and return the name of its one output.

        Args:
            operator: e.g. ``Conv``.
            inputs: names of tensors.
            output: name of its output, and of the node.
            end: the output keeps its name as given, without the prefix.
            attributes: integers, or lists of integers from 0 to 2^63 - 1.
        """
        name = output if end else self._prefix + output
        parts = [*(text_field(1, one) for one in inputs), text_field(2, name), text_field(3, self._prefix + output)]
        fields = (_attribute(key, value) for key, value in attributes.items())
        self.encoded += nested_field(NODE, *parts, text_field(4, operator), *fields)
        return name

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add a constant, float32 or int64, and return its name."""
        whole = values.dtype.kind == "i"
        data = values.astype("<i8" if whole else "<f4").tobytes()
        sizes = [nested_field(1, *map(varint, values.shape))] if values.ndim else []
        kind = number_field(2, _INT64 if whole else _FLOAT)
        self.encoded += nested_field(CONSTANT, *sizes, kind, text_field(8, self._prefix + name), nested_field(9, data))
        return self._prefix + name

    def port(self, field: int, name: str, shape: Sequence[int | None]) -> None:
        """Add a float32 input (``INPUT``) or output (``OUTPUT``) of the graph; a size of None is symbolic."""
        sizes = [nested_field(1, text_field(2, "N") if size is None else number_field(1, size)) for size in shape]
        tensor = number_field(1, _FLOAT) + nested_field(2, *sizes)
        self.encoded += nested_field(field, text_field(1, name), nested_field(2, nested_field(1, tensor)))

    def model(self, *, opset: int = 17, ir: int = 8) -> bytes:
        """Return the graph as an ONNX file."""
        graph = nested_field(7, text_field(2, "graph"), self.encoded)
        return number_field(1, ir) + graph + nested_field(8, number_field(2, opset))


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return nested_field(5, text_field(1, name), number_field(3, value), number_field(20, _ATTRIBUTE_INT))
    numbers = nested_field(8, *map(varint, value))
    return nested_field(5, text_field(1, name), numbers, number_field(20, _ATTRIBUTE_INTS))
