"""Writes the device part and the host part of a cut model, and proves that together they are the model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from fsq_edge_compile.checker.checking import judge_normalised
from fsq_edge_compile.checker.graph import Graph
from fsq_edge_compile.checker.loading import give_names, give_shapes
from fsq_edge_compile.checker.normalise import normalise
from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_compile.checker.rewrites.fixing import DEFAULT_RANGE, RANDOM_SETS, load_whole
from fsq_edge_compile.checker.rewrites.housekeeping import FoldConstants, StaticBatch
from fsq_edge_compile.checker.rewrites.proving import TOLERANCE, Prover, largest_difference, random_feeds
from fsq_edge_compile.checker.rewrites.workbench import Workbench
from fsq_edge_compile.checker.targets import target_for
from fsq_edge_compile.messages import copied, names_read
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import write_file


class NothingToSplitError(DataError):
    """No node of the model runs on the device."""


@dataclass(frozen=True, slots=True)
class SplitResult:
    """A model in up to three parts that run one after the other.

    Attributes:
        report: the verdict that the split follows.
        front: host part in front of the device; None when the device reads the graph inputs.
        device: what the compiler gets.
        host: host part behind the device; None when the device makes every output.
        difference: largest difference of any output between the model and its parts, relative to its largest value.
    """

    report: CheckReport
    front: onnx.ModelProto | None
    device: onnx.ModelProto
    host: onnx.ModelProto | None
    difference: float

    @property
    def parts(self) -> dict[str, onnx.ModelProto]:
        """The parts that exist, in the order in which they run: front, device, host."""
        named = {"front": self.front, "device": self.device, "host": self.host}
        return {name: part for name, part in named.items() if part is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return files, boundary tensors and the proof as plain JSON values."""
        return {
            "difference": self.difference,
            "parts": {
                name: {
                    "inputs": [value.name for value in part.graph.input],
                    "outputs": [value.name for value in part.graph.output],
                }
                for name, part in self.parts.items()
            },
        }

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        """Run the parts one after the other in onnxruntime and return every tensor that any of them makes."""
        largest = max(self.parts.values(), key=lambda part: part.ByteSize())
        with Prover(largest) as prover:
            return self.run_all([feeds], prover)[0]

    def run_all(self, feeds: Sequence[Mapping[str, Any]], prover: Prover) -> list[dict[str, Any]]:
        """Run the parts on several sets of inputs; each set keeps what earlier parts made of it."""
        known = [dict(feed) for feed in feeds]
        for part in self.parts.values():
            for values, made in zip(known, prover.run(part, known), strict=True):
                values.update(made)
        return known


def split(
    model: str | Path | onnx.ModelProto,
    arch: str = "hailo8l",
    dfc: str | None = None,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    value_range: tuple[float, float] = DEFAULT_RANGE,
    seed: int = 0,
) -> SplitResult:
    """Cut a model where the check says, and prove that the parts compute what the model computes.

    Args:
        model: path of an .onnx file, or a model in memory, which is not changed.
        arch: target chip.
        dfc: compiler version, or None.
        input_shapes: sizes of graph inputs by name, in place of those in the model.
        value_range: bounds of the random float inputs of the proof.
        seed: of those inputs.

    Raises:
        MissingInputError: the file cannot be read.
        NothingToSplitError: no device part.
        DataError: no valid model, or the parts do not compute what the model does.
        UsageError: unknown chip or compiler.
    """
    target = target_for(arch, dfc)
    whole = load_whole(model)
    give_shapes(whole, input_shapes or {})
    name = whole.graph.name or "model" if isinstance(model, onnx.ModelProto) else Path(model).name
    give_names(whole.graph)
    normalised = normalise(whole, name)
    report = judge_normalised(normalised, name, target)
    if report.verdict == "none":
        raise NothingToSplitError(f"{name}: nothing of it runs on {arch}, so there is nothing to split")
    device = {node.name for node in report.nodes if node.device}
    parts = _Parts(_folded(whole) if normalised.facts.computed_shapes else whole, normalised.graph, device)
    result = SplitResult(report, parts.front(), parts.device(), parts.host(), 0.0)
    feeds = random_feeds(whole, RANDOM_SETS, value_range, seed)
    with Prover(whole) as prover:
        difference = largest_difference(prover.run(whole, feeds), result.run_all(feeds, prover))
    if not difference <= TOLERANCE:
        raise DataError(f"{name}: the parts differ from the model by {difference:.2g} of an output's largest value")
    return SplitResult(report, result.front, result.device, result.host, difference)


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose shapes are constants: computed ones reach back to inputs that a part does not have."""
    copy = copied(model)
    bench = Workbench(copy)
    for rewrite in (StaticBatch(), FoldConstants()):
        if rewrite.requires(bench):
            rewrite.call(bench)
    return copy


class _Parts:
    """The boundaries of a cut, and the three models they make."""

    def __init__(self, model: onnx.ModelProto, graph: Graph, device: set[str]) -> None:
        self.model = model
        self.graph = graph
        self.maker = {name: node for node in model.graph.node for name in node.output if name}
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.inputs = {value.name: value for value in model.graph.input if value.name not in self.constants}
        inside = {name for node in graph.nodes if node.name in device for name in node.outputs if name}
        read = [name for node in graph.nodes if node.name in device for name in graph.activations(node)]
        self.entering = list(dict.fromkeys(name for name in read if name not in inside))
        self.leaving = [name for name in _in_graph_order(graph, inside) if self._goes_out(name, device)]

    def _goes_out(self, name: str, device: set[str]) -> bool:
        if name in self.graph.outputs:
            return True
        return any(reader.name not in device for reader in self.graph.consumers(name))

    def device(self) -> onnx.ModelProto:
        """The part between the boundaries."""
        return self._extract("device", self.entering, self.leaving)

    def front(self) -> onnx.ModelProto | None:
        """What makes the entering tensors that are no graph inputs."""
        made = [name for name in self.entering if name not in self.inputs]
        return self._extract("front", list(self.inputs), made) if made else None

    def host(self) -> onnx.ModelProto | None:
        """What makes the graph outputs from the leaving tensors."""
        wanted = [value.name for value in self.model.graph.output if value.name not in self.leaving]
        known = [*self.leaving, *(name for name in self.entering if name not in self.inputs), *self.inputs]
        return self._extract("host", known, wanted) if wanted else None

    def _extract(self, name: str, known: Sequence[str], wanted: Sequence[str]) -> onnx.ModelProto:
        """Return the nodes that lead from known tensors to wanted ones."""
        given = set(known)
        needed, used, front = set(), set(), [item for item in wanted if item not in given]
        while front:
            tensor = front.pop()
            node = self.maker.get(tensor)
            if tensor in given or tensor in self.constants or node is None:
                used.add(tensor)
            elif node.name not in needed:
                needed.add(node.name)
                front += sorted(names_read(node))
        used |= {item for item in wanted if item in given}
        missing = [item for item in used if item not in given and item not in self.constants and item in self.maker]
        if missing:
            raise DataError(f"the cut does not hold: {', '.join(sorted(missing))} cannot be reached")
        graph = helper.make_graph(
            [node for node in self.model.graph.node if node.name in needed],
            f"{self.model.graph.name or 'graph'}_{name}",
            [self._value(item) for item in known if item in used],
            [self._value(item) for item in wanted],
            [self.constants[item] for item in sorted(used) if item in self.constants],
        )
        part = helper.make_model(graph, ir_version=max(4, self.model.ir_version), producer_name="fsq-edge")
        del part.opset_import[:]
        part.opset_import.extend(self.model.opset_import)
        return part

    def _value(self, name: str) -> onnx.ValueInfoProto:
        """Return a boundary tensor with the static shape that was inferred for it."""
        dtype = self.graph.dtypes.get(name, onnx.TensorProto.FLOAT)
        shape = self.graph.shape(name)
        return helper.make_tensor_value_info(name, dtype, None if shape is None else list(shape))


def _in_graph_order(graph: Graph, names: set[str]) -> list[str]:
    return [name for node in graph.nodes for name in node.outputs if name in names]


def write_parts(result: SplitResult, folder: str | Path) -> dict[str, Path]:
    """Write ``front.onnx``, ``device.onnx`` and ``host.onnx``, whichever exist, each whole or not at all.

    Raises:
        UnavailableError: a file cannot be written.
    """
    folder = Path(folder)
    written = {}
    for name, part in result.parts.items():
        path = folder / f"{name}.onnx"
        write_model(part, path)
        written[name] = path
    return written


def write_model(model: onnx.ModelProto, path: str | Path) -> None:
    """Write a model whole or not at all.

    Raises:
        DataError: the path is a folder or a device.
        UnavailableError: no permission or no space.
    """
    path = Path(path)
    # Path.is_file raises where a folder may not be read, which is for the writing to report.
    if os.path.lexists(path) and not os.path.isfile(path):  # noqa: PTH113 - see above
        raise DataError(f"cannot write {path}: it is no file", hint="give the name of a file")
    write_file(path, model.SerializeToString())
