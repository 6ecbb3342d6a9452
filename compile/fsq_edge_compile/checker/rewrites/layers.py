"""Passes about layers: batch normalisation folded, 1-D made 2-D, a mean over space made a global pool."""

from __future__ import annotations

import numpy as np
import onnx

from fsq_edge_compile.checker.graph import positive_axis
from fsq_edge_compile.checker.operators import ACTIVATIONS, ARITHMETIC, CONVOLUTIONS, POOLS, WINDOW_POOLS
from fsq_edge_compile.checker.rewrites.rewrite import OperatorRewrite, Rewrite
from fsq_edge_compile.checker.rewrites.workbench import Replacement, Workbench, get, put
from fsq_edge_compile.messages import copied, set_nodes

_MAP_LAYERS = CONVOLUTIONS | WINDOW_POOLS
_POINTWISE = ACTIVATIONS | ARITHMETIC | {"Selu"}


class FoldBatchNorm(OperatorRewrite):
    """BatchNormalization folded into the Conv or Gemm in front of it."""

    name = "fold-batch-norm"
    summary = "BatchNormalization is folded into the layer in front of it"
    operators = frozenset({"BatchNormalization"})

    def call(self, bench: Workbench) -> list[str]:
        """Scale the weights and move the bias."""
        folded: dict[str, onnx.NodeProto] = {}
        for node in bench.model.graph.node:
            if node.op_type == "BatchNormalization" and not node.domain:
                layer = bench.producers.get(node.input[0])
                if layer is not None and bench.only_consumer(node.input[0]) is not None:
                    new = self._fold(bench, layer, node)
                    if new is not None:
                        folded[layer.name] = new
        made = {new.output[0] for new in folded.values()}

        def change(node: onnx.NodeProto) -> Replacement:
            if node.name in folded:
                return [folded[node.name]]
            if node.op_type == "BatchNormalization" and node.output[0] in made:
                return []
            return None

        return [name for name in bench.rewrite(change) if name not in folded]

    @staticmethod
    def _fold(bench: Workbench, layer: onnx.NodeProto, norm: onnx.NodeProto) -> onnx.NodeProto | None:
        if layer.op_type not in ("Conv", "Gemm") or layer.domain or len([name for name in norm.output if name]) > 1:
            return None
        statistics = [bench.constant(name) for name in norm.input[1:5]]
        weights = bench.constant(layer.input[1])
        if weights is None or any(value is None for value in statistics) or get(norm, "training_mode", 0):
            return None
        scale, shift, mean, variance = (np.asarray(value, dtype=np.float64) for value in statistics)
        gain = scale / np.sqrt(variance + float(get(norm, "epsilon", 1e-5)))
        given = layer.input[2] if len(layer.input) > 2 else ""
        bias = bench.constant(given) if given else np.zeros(1)
        if bias is None or (layer.op_type == "Gemm" and (get(layer, "beta", 1.0) != 1.0)):
            return None
        if layer.op_type == "Conv" or get(layer, "transB", 0):
            scaled = weights * gain.reshape(-1, *(1,) * (weights.ndim - 1))
        else:
            scaled = weights * gain
        moved = (bias.reshape(-1) - mean) * gain + shift
        copy = copied(layer)
        names = [
            bench.add_constant(value.astype(weights.dtype), layer.name, weights.dtype) for value in (scaled, moved)
        ]
        copy.input[:] = [layer.input[0], *names]
        copy.output[0] = norm.output[0]
        return copy


class GlobalPool(OperatorRewrite):
    """ReduceMean over all of space becomes GlobalAveragePool."""

    name = "global-average-pool"
    summary = "ReduceMean over height and width becomes GlobalAveragePool"
    operators = frozenset({"ReduceMean"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Replace it, with a Flatten where the axes were dropped."""
        if bench.rank(node.input[0]) != 4:
            return None
        given = bench.integers(node, 1, "axes")
        if given is None or sorted(positive_axis(axis, 4) for axis in given) != [2, 3]:
            return None
        if get(node, "keepdims", 1):
            return [bench.node("GlobalAveragePool", [node.input[0]], node.name, node.output[0])]
        pool = bench.node("GlobalAveragePool", [node.input[0]], node.name)
        return [pool, bench.node("Flatten", [pool.output[0]], node.name, node.output[0], axis=1)]


class Conv1dAs2d(Rewrite):
    """A stretch of 1-D layers becomes 2-D with a height of 1."""

    name = "conv1d-as-conv2d"
    summary = "1-D convolutions and what lies between them become 2-D with kernels of (1, k)"
    along = CONVOLUTIONS | POOLS | _POINTWISE | {"BatchNormalization", "Concat", "Pad", "ReduceMean", "Resize", "Slice"}

    def requires(self, bench: Workbench) -> bool:
        """Whether there is a convolution over rank 3, or a series between two maps."""
        return any(self._starts(bench, node) for node in bench.model.graph.node)

    def _starts(self, bench: Workbench, node: onnx.NodeProto) -> bool:
        """Whether a stretch begins here: at a 1-D layer, or beside a map that became a series for a moment.

        TensorFlow has no 1-D convolution: its exports give each 2-D one a height of 1 and take it away again.
        """
        if node.domain or node.op_type not in self.along or not node.input or bench.rank(node.input[0]) != 3:
            return False
        if node.op_type in ("Conv", "ConvTranspose"):
            return True
        makers = [bench.producers[name] for name in node.input if name in bench.producers]
        readers = [reader for name in node.output for reader in bench.consumers.get(name, [])]
        return any(self._moves_height(bench, move, to_map=False) for move in makers) or any(
            self._moves_height(bench, move, to_map=True) for move in readers
        )

    @staticmethod
    def _moves_height(bench: Workbench, move: onnx.NodeProto, *, to_map: bool) -> bool:
        """Whether a node gives a series [N, C, L] a height of 1 for a 2-D layer, or takes it away behind one."""
        if move.domain or move.op_type not in ("Squeeze", "Unsqueeze", "Reshape"):
            return False
        before, after = bench.shapes.get(move.input[0]), bench.shapes.get(move.output[0])
        series, mapped = (before, after) if to_map else (after, before)
        if series is None or mapped is None or len(series) != 3 or mapped != (*series[:2], 1, series[2]):
            return False
        maker = bench.producers.get(move.input[0])
        near = bench.consumers.get(move.output[0], []) if to_map else [maker] if maker is not None else []
        return any(node.op_type in _MAP_LAYERS and not node.domain for node in near)

    def call(self, bench: Workbench) -> list[str]:
        """Lift every member of the stretch; enter with Unsqueeze, leave with Squeeze."""
        region = self._region(bench)
        lifted: dict[str, str] = {}
        made: list[onnx.NodeProto] = []
        for node in list(bench.model.graph.node):
            if node.name not in region:
                made.append(self._read_lifted(bench, node, lifted))
                continue
            made += [self._lower_in(bench, name, lifted) for name in self._to_lift(bench, node, lifted)]
            new = self._lift(bench, node, lifted)
            made.append(new)
            if self._leaves(bench, node, region):
                made.append(self._axes(bench, "Squeeze", new.output[0], node.name, node.output[0]))
        set_nodes(bench.model.graph, made)
        bench.clean()
        return [name for name in region if name]

    @staticmethod
    def _flattens(bench: Workbench, node: onnx.NodeProto) -> bool:
        """Whether a node makes rank 2 of [N, C, L] and would make the same of [N, C, 1, L]."""
        if node.domain or bench.rank(node.output[0]) != 2 or bench.rank(node.input[0]) != 3:
            return False
        if node.op_type == "Flatten":
            return bool(get(node, "axis", 1) == 1)
        target = bench.constant(node.input[1]) if node.op_type == "Reshape" else None
        return target is not None and not (target[1:] == 0).any()

    def _read_lifted(self, bench: Workbench, node: onnx.NodeProto, lifted: dict[str, str]) -> onnx.NodeProto:
        copy = copied(node)
        if node.input and node.input[0] in lifted and self._flattens(bench, node):
            copy.input[0] = lifted[node.input[0]]
        return copy

    def _region(self, bench: Workbench) -> dict[str, onnx.NodeProto]:
        """Return the nodes that can be lifted and hang together with where a stretch begins."""
        able = {node.name: node for node in bench.model.graph.node if self._can_lift(bench, node)}
        chosen = {name: node for name, node in able.items() if self._starts(bench, node)}
        front = list(chosen.values())
        while front:
            node = front.pop()
            near = [reader for name in node.output for reader in bench.consumers.get(name, [])]
            near += [bench.producers[name] for name in node.input if name in bench.producers]
            for other in near:
                if other.name in able and other.name not in chosen:
                    chosen[other.name] = able[other.name]
                    front.append(other)
        return chosen

    def _can_lift(self, bench: Workbench, node: onnx.NodeProto) -> bool:
        if node.domain or node.op_type not in self.along or bench.rank(node.output[0]) not in (2, 3):
            return False
        if len([name for name in node.output if name]) > 1:
            return False
        if node.op_type in ("Conv", "ConvTranspose") and bench.constant(node.input[1]) is None:
            return False
        if node.op_type == "ReduceMean":
            axes = bench.integers(node, 1, "axes")
            return bench.rank(node.input[0]) == 3 and axes is not None and axes in ([2], [-1])
        if node.op_type == "Pad" and bench.integers(node, 1, "pads") is None:
            return False
        if node.op_type == "Resize":
            return (
                bench.rank(node.input[0]) == 3
                and not get(node, "axes", None)
                and self._resizes_by_constants(bench, node)
            )
        if node.op_type == "Concat" and positive_axis(int(get(node, "axis", 0)), 3) not in (1, 2):
            return False
        if node.op_type == "Slice":
            return bench.rank(node.input[0]) == 3 and self._slices_by_constants(bench, node)
        activations = [name for name in node.input if name and bench.constant(name) is None]
        if any(bench.rank(name) != 3 for name in activations) or bench.rank(node.output[0]) != 3:
            return False
        if node.op_type in ("Add", "Sub", "Mul", "Div"):
            # A constant of rank 3 or a scalar broadcasts the same way once it has an axis of height.
            return all((bench.rank(name) or 0) in (0, 3) or bench.scalar(name) is not None for name in node.input)
        return True

    @staticmethod
    def _slices_by_constants(bench: Workbench, node: onnx.NodeProto) -> bool:
        """Whether a Slice over [N, C, L] says by constants what it takes, of channels or of time."""
        if len(node.input) < 4 or any(bench.constant(name) is None for name in node.input[1:] if name):
            return False
        axes = bench.integers(node, 3, "axes") or []
        return bool(axes) and all(positive_axis(axis, 3) in (1, 2) for axis in axes)

    @staticmethod
    def _resizes_by_constants(bench: Workbench, node: onnx.NodeProto) -> bool:
        """Whether region, scales and sizes of a Resize over [N, C, L] are constants."""
        values = [bench.constant(name) for name in node.input[1:] if name]
        return bool(values) and all(value is not None and value.size in (0, 3, 6) for value in values)

    def _to_lift(self, bench: Workbench, node: onnx.NodeProto, lifted: dict[str, str]) -> list[str]:
        return [name for name in node.input if name and bench.constant(name) is None and name not in lifted]

    def _lower_in(self, bench: Workbench, name: str, lifted: dict[str, str]) -> onnx.NodeProto:
        node = self._axes(bench, "Unsqueeze", name, f"{name}/2d", "")
        lifted[name] = node.output[0]
        return node

    @staticmethod
    def _axes(bench: Workbench, op: str, name: str, near: str, output: str) -> onnx.NodeProto:
        """Squeeze or Unsqueeze axis 2, as attribute or input as the opset wants it."""
        if bench.opset < 13:
            return bench.node(op, [name], near, output, axes=[2])
        return bench.node(op, [name, bench.add_constant([2], near, np.int64)], near, output)

    def _leaves(self, bench: Workbench, node: onnx.NodeProto, region: dict[str, onnx.NodeProto]) -> bool:
        if node.op_type == "ReduceMean" and not get(node, "keepdims", 1):
            return False
        readers = bench.consumers.get(node.output[0], [])
        outside = [reader for reader in readers if reader.name not in region and not self._flattens(bench, reader)]
        return node.output[0] in bench.outputs or bool(outside)

    def _lift(self, bench: Workbench, node: onnx.NodeProto, lifted: dict[str, str]) -> onnx.NodeProto:
        copy = copied(node)
        for index, name in enumerate(node.input):
            if name in lifted:
                copy.input[index] = lifted[name]
            elif name:
                copy.input[index] = self._lift_constant(bench, node, index)
        if node.op_type == "ReduceMean":
            # The height is 1, so the mean over both axes is the mean over the width.
            if len(copy.input) > 1 and copy.input[1]:
                copy.input[1] = bench.add_constant([2, 3], node.name, np.int64)
            else:
                put(copy, "axes", [2, 3])
            if not get(node, "keepdims", 1):
                return copy
        if node.op_type == "Concat" and positive_axis(int(get(node, "axis", 0)), 3) == 2:
            put(copy, "axis", 3)
        for name, neutral in (("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("output_padding", 0)):
            value = get(node, name)
            if value is not None:
                put(copy, name, [neutral, *value])
        pads = get(node, "pads")
        if pads is not None:
            half = len(pads) // 2
            put(copy, "pads", [*_with_height(list(pads[:half])), *_with_height(list(pads[half:]))])
        copy.output[0] = bench.name(f"{node.output[0]}/2d")
        lifted[node.output[0]] = copy.output[0]
        return copy

    @staticmethod
    def _lift_constant(bench: Workbench, node: onnx.NodeProto, index: int) -> str:
        name: str = node.input[index]
        value = bench.constant(name)
        if value is None:
            return name
        if node.op_type in ("Conv", "ConvTranspose") and index == 1:
            return bench.add_constant(np.expand_dims(value, 2), node.name, value.dtype)
        if node.op_type == "Pad" and index == 1:
            half = len(value) // 2
            low, high = value[:half].tolist(), value[half:].tolist()
            return bench.add_constant([*_with_height(low), *_with_height(high)], node.name, np.int64)
        if node.op_type == "Slice" and index == 3:
            moved = [{1: 1, 2: 3}[positive_axis(int(axis), 3)] for axis in value.reshape(-1)]
            return bench.add_constant(moved, node.name, value.dtype)
        if node.op_type == "Resize" and value.size:
            # One row stays one row: a factor or a size of 1, and of the region its whole height.
            rows = value.reshape(-1, 3)
            height = [0, 1] if len(rows) == 2 else [1]
            return bench.add_constant(np.insert(rows, 2, height, axis=1).reshape(-1), node.name, value.dtype)
        if node.op_type in ("Add", "Sub", "Mul", "Div", "Concat") and value.ndim == 3:
            return bench.add_constant(np.expand_dims(value, 2), node.name, value.dtype)
        return name


def _with_height(sizes: list[int]) -> list[int]:
    """Put a zero for the height in front of the last entry: [w] to [0, w], [n, c, w] to [n, c, 0, w]."""
    return [*sizes[:-1], 0, sizes[-1]]


PASSES: tuple[Rewrite, ...] = (FoldBatchNorm(), Conv1dAs2d(), GlobalPool())
