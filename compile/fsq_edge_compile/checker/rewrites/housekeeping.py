"""Passes that change no arithmetic: weights inline, batch fixed, names given, no-ops gone, attributes written out."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from fsq_edge_compile.checker.folding import fold
from fsq_edge_compile.checker.loading import give_names, lighten
from fsq_edge_compile.checker.native import inline_functions
from fsq_edge_compile.checker.rewrites.rewrite import FormRewrite, OperatorRewrite, Rewrite
from fsq_edge_compile.checker.rewrites.workbench import Replacement, Workbench, get, put
from fsq_edge_compile.messages import copied, set_nodes


class InlineFunctions(FormRewrite):
    """Local functions replaced by their bodies."""

    name = "inline-functions"
    summary = "local functions are replaced by their bodies"

    def requires(self, bench: Workbench) -> bool:
        """Whether the model has functions of its own."""
        return bool(bench.model.functions)

    def call(self, bench: Workbench) -> list[str]:
        """Inline all of them."""
        names = [function.name for function in bench.model.functions]
        # The weights stay here: only the structure goes to onnx's process.
        weights = list(bench.model.graph.initializer)
        light = lighten(bench.model, "model", None)
        inlined = inline_functions(light.proto)
        set_nodes(bench.model.graph, inlined.graph.node)
        del bench.model.functions[:]
        kept = {tensor.name for tensor in weights}
        for name, value in light.constants.items():
            if name not in kept:
                bench.model.graph.initializer.append(numpy_helper.from_array(value, name))
        bench.refresh()
        return names


class StaticBatch(FormRewrite):
    """A symbolic batch becomes 1."""

    name = "static-batch"
    summary = "a batch size that is not fixed becomes 1"

    def requires(self, bench: Workbench) -> bool:
        """Whether some input leaves its first size open."""
        return bool(self._open(bench))

    def call(self, bench: Workbench) -> list[str]:
        """Fix it, and forget every stated shape that carried the symbol."""
        names = self._open(bench)
        for value in bench.model.graph.input:
            if value.name in names:
                value.type.tensor_type.shape.dim[0].dim_value = 1
        for output in bench.model.graph.output:
            if output.type.HasField("tensor_type"):
                output.type.tensor_type.ClearField("shape")
        del bench.model.graph.value_info[:]
        bench.refresh()
        return names

    @staticmethod
    def _open(bench: Workbench) -> list[str]:
        constants = {tensor.name for tensor in bench.model.graph.initializer}
        names = []
        for value in bench.model.graph.input:
            dims = value.type.tensor_type.shape.dim
            if value.name not in constants and dims and not dims[0].HasField("dim_value"):
                names.append(value.name)
        return names


class GiveNames(FormRewrite):
    """Every node gets a name."""

    name = "name-nodes"
    summary = "nodes without a name get the one that the report uses"

    def requires(self, bench: Workbench) -> bool:
        """Whether a node has none, or one that another node has."""
        names = [node.name for node in bench.model.graph.node]
        return not all(names) or len(set(names)) < len(names)

    def call(self, bench: Workbench) -> list[str]:
        """Name them."""
        given = give_names(bench.model.graph)
        bench.refresh()
        return given


class FoldConstants(Rewrite):
    """Shape arithmetic and constant nodes become initialisers."""

    name = "fold-constants"
    summary = "what is known before the network runs is computed now"

    def requires(self, bench: Workbench) -> bool:
        """Whether a node reads nothing that depends on the input."""
        return any(
            node.op_type in ("Constant", "Shape", "Size", "If")
            or all(not name or bench.is_constant(name) for name in node.input)
            for node in bench.model.graph.node
        )

    def call(self, bench: Workbench) -> list[str]:
        """Fold what the check folds, as far as the values are small."""
        light = lighten(bench.model, "model", None)
        fold(light)
        present = {tensor.name for tensor in bench.model.graph.initializer}
        graph = bench.model.graph
        gone: dict[int, str] = {}
        for index, node in enumerate(graph.node):
            values = [light.constants.get(name) for name in node.output if name]
            constant = node.op_type == "Constant" and get(node, "value") is not None
            if constant:
                tensor = copied(get(node, "value"))
                tensor.name = node.output[0]
                graph.initializer.append(tensor)
            elif values and all(value is not None for value in values):
                for name, value in zip(filter(None, node.output), values, strict=True):
                    if name not in present:
                        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
            else:
                continue
            gone[index] = node.name or node.output[0]
        if gone:
            bench.drop(gone)
            bench.clean()
        return list(gone.values())


class RemoveNoOps(Rewrite):
    """Identity, Dropout at inference, casts to the same type, reshapes to the same shape."""

    name = "remove-no-ops"
    summary = "operators that change nothing are removed"
    operators = frozenset({"Identity", "Dropout", "Cast", "Reshape", "Transpose", "Expand"})

    def call(self, bench: Workbench) -> list[str]:
        """Let their readers read what they read."""
        graph = bench.model.graph
        renamed: dict[str, str] = {}
        gone: dict[int, str] = {}
        for index, node in enumerate(graph.node):
            if node.domain or not node.input or not self._does_nothing(bench, node):
                continue
            made, read = node.output[0], node.input[0]
            if made in bench.outputs and not self._move_output(bench, read, made, renamed):
                continue
            renamed[made] = read
            gone[index] = node.name
        if gone:
            bench.drop(gone)
            bench.rename_inputs({made: read for made, read in renamed.items() if made != read})
            bench.clean()
        return list(gone.values())

    @staticmethod
    def _move_output(bench: Workbench, read: str, made: str, renamed: dict[str, str]) -> bool:
        """Let the producer of ``read`` make the graph output itself; False when it cannot."""
        while read in renamed:
            read = renamed[read]
        producer = bench.producers.get(read)
        if producer is None or read in bench.outputs:
            return False
        for index, name in enumerate(producer.output):
            if name == read:
                producer.output[index] = made
        renamed[read] = made
        return True

    @staticmethod
    def _does_nothing(bench: Workbench, node: onnx.NodeProto) -> bool:
        shape = bench.shapes.get(node.input[0])
        same = shape is not None and None not in shape and shape == bench.shapes.get(node.output[0])
        match node.op_type:
            case "Identity":
                return True
            case "Dropout":
                training = bench.scalar(node.input[2]) if len(node.input) > 2 and node.input[2] else 0.0
                used = [name for name in node.output[1:] if name in bench.consumers or name in bench.outputs]
                return training == 0.0 and not used
            case "Cast":
                return bool(bench.dtypes.get(node.input[0]) == get(node, "to"))
            case "Reshape" | "Expand":
                return same
            case "Transpose":
                order = get(node, "perm")
                return bool(order is not None and list(order) == sorted(order))
        return False


class WriteAttributes(OperatorRewrite):
    """kernel_shape on convolutions, scales in place of sizes, no allowzero."""

    name = "write-attributes"
    summary = "kernel_shape is written out, Resize gets scales, allowzero goes"
    operators = frozenset({"Conv", "ConvTranspose", "Resize", "Reshape"})

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Write out what older parsers look for."""
        if node.op_type in ("Conv", "ConvTranspose") and get(node, "kernel_shape") is None:
            weights = bench.shapes.get(node.input[1])
            if weights is None or None in weights:
                return None
            copy = copied(node)
            put(copy, "kernel_shape", [int(size or 0) for size in weights[2:]])
            return [copy]
        if node.op_type == "Reshape" and get(node, "allowzero", 0):
            target = bench.constant(node.input[1])
            if target is None or (target == 0).any():
                return None
            copy = copied(node)
            put(copy, "allowzero", None)
            return [copy]
        if node.op_type == "Resize" and len(node.input) > 3 and node.input[3] and bench.opset >= 11:
            return self._scales(bench, node)
        return None

    @staticmethod
    def _scales(bench: Workbench, node: onnx.NodeProto) -> Replacement:
        before, after = bench.shapes.get(node.input[0]), bench.shapes.get(node.output[0])
        if before is None or after is None or None in before or None in after or 0 in before:
            return None
        if get(node, "keep_aspect_ratio_policy", "stretch") != "stretch" or get(node, "axes") is not None:
            return None
        scales = [_scale(old or 1, new or 0) for old, new in zip(before, after, strict=True)]
        copy = copied(node)
        copy.input[2] = bench.add_constant(scales, node.name)
        del copy.input[3:]
        return [copy]


def _scale(old: int, new: int) -> float:
    """Return a float32 scale that makes ``new`` of ``old`` once the product, single or double, is rounded down."""
    scale = np.float32(new / old)
    if old * float(scale) < new:
        scale = np.nextafter(scale, np.float32(np.inf))
    return float(scale)


class DeclareOutputs(Rewrite):
    """Graph outputs state their shapes, which older tools insist on."""

    name = "declare-outputs"
    summary = "outputs without a stated shape get the inferred one"

    def requires(self, bench: Workbench) -> bool:
        """Whether an output has no shape."""
        return bool(self._bare(bench))

    def call(self, bench: Workbench) -> list[str]:
        """Write the inferred shapes; an output whose shape is not known stays as it is."""
        done = []
        for value in self._bare(bench):
            shape = bench.shapes.get(value.name)
            if shape is not None and None not in shape:
                # An empty list still makes the field: a scalar has a shape too.
                value.type.tensor_type.shape.SetInParent()
                for size in shape:
                    value.type.tensor_type.shape.dim.add().dim_value = size or 0
                done.append(value.name)
        return done

    @staticmethod
    def _bare(bench: Workbench) -> list[onnx.ValueInfoProto]:
        outputs = (value for value in bench.model.graph.output if value.type.HasField("tensor_type"))
        return [value for value in outputs if not value.type.tensor_type.HasField("shape")]


PASSES: tuple[Rewrite, ...] = (
    InlineFunctions(),
    StaticBatch(),
    GiveNames(),
    FoldConstants(),
    RemoveNoOps(),
    WriteAttributes(),
)
