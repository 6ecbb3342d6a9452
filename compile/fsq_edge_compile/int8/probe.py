"""Every activation of a graph, frame by frame: what ranges and layer errors are read from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from fsq_edge_compile.messages import copied
from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.backends.onnx import open_onnx


class ActivationProbe:
    """Runs a batch-1 graph and shows its inner tensors.

    Args:
        model: a ``ModelProto`` whose one input is ``input``.
        names: tensors to show, float32 unless they are outputs of the model; ``input`` may be among them.
    """

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._inner = [name for name in names if name != "input"]
        watched = copied(model)
        del watched.graph.output[:]
        typed = {info.name: info for info in model.graph.output}
        watched.graph.output.extend(
            typed.get(name) or helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self._inner
        )
        self._session = open_onnx(watched.SerializeToString())

    def observe(self, frames: Float32Array) -> Iterator[dict[str, AnyArray]]:
        """Yield name -> value for each of frames (N, C', H, W); values have batch 1."""
        for row in range(len(frames)):
            frame = np.ascontiguousarray(frames[row : row + 1])
            values = dict(zip(self._inner, self._session.run(self._inner, {"input": frame}), strict=True))
            values["input"] = frame
            yield values


def activation_names(model: Any) -> list[str]:
    """Return the graph input and every float tensor that a node makes, in order (types must have been inferred)."""
    floats = {
        info.name
        for info in (*model.graph.value_info, *model.graph.output)
        if info.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    return ["input", *(name for node in model.graph.node for name in node.output if name in floats)]
