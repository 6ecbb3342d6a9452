"""What each layer of a network costs on this CPU, beside its multiply-accumulates, parameters and activations.

onnxruntime's own profiler says how long every node took that it really runs, after its optimisation. It takes more time
than a small layer does, and counts whole microseconds. So the time of the cheapest node, which is nearly all the
profiler's, is taken off every node, and what is left is shared out over the time of the network without the profiler.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

from fsq_edge.deploy.foreign_formats import require_onnx
from fsq_edge_benchmarks.bench.network_bench import RANDOM_INPUTS
from fsq_edge_benchmarks.measure.stopwatch import in_turns
from fsq_edge_compile.checker.graph import Graph, elements
from fsq_edge_compile.checker.normalise import normalise
from fsq_edge_compile.checker.rewrites.fixing import load_whole
from fsq_edge_compile.checker.statistics import NodeSize, node_size
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends.onnx import open_onnx
from fsq_edge_runtime.errors import DataError, UsageError

RUNS: Final = 2000
WARM_UP: Final = 100
MULTIPLYING: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # operators that have multiply-accumulates
FLOAT_BYTES: Final = 4
NODE_TIME: Final = "_kernel_time"


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One node as onnxruntime runs it.

    Attributes:
        name: as onnxruntime calls it after its optimisation.
        op: its operator.
        us: microseconds of one window, an estimate.
        share: of the whole network, 0 to 1.
        macs: multiply-accumulates of one window; None where the node cannot be told apart in the file.
        parameters: elements of its constants; None where ``macs`` is.
        activation: values that it puts out; 0 where onnxruntime does not say.
    """

    name: str
    op: str
    us: float
    share: float
    macs: int | None
    parameters: int | None
    activation: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """A network on this CPU.

    Attributes:
        us: microseconds of one window without the profiler, median, one thread.
        macs: multiply-accumulates of one window.
        parameters: elements of its constants.
        peak_activation_bytes: most that activations take at one moment, float32, node by node in the file's order.
        layers: nodes in the order in which they run.
    """

    us: float
    macs: int
    parameters: int
    peak_activation_bytes: int
    layers: tuple[LayerCost, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        counts = {name: getattr(self, name) for name in ("us", "macs", "parameters", "peak_activation_bytes")}
        return {**counts, "layers": [layer.to_dict() for layer in self.layers]}


def cost_of_file(path: Path, runs: int = RUNS) -> NetworkCost:
    """Measure the network of an ONNX file on random inputs; otherwise as :func:`network_cost`.

    Raises:
        UsageError: a HEF, whose layers nobody can time here.
        MissingInputError, DataError: no ONNX network with one float32 input of fixed sizes.
    """
    if path.suffix.lower() == ".hef":
        raise UsageError(f"the layers of {path.name} run on a device alone", hint="fsq-edge bench layers MODEL.onnx")
    model = load_whole(require_onnx(path))
    graph = normalise(model, path.name).graph
    shape = graph.shape(graph.inputs[0]) if len(graph.inputs) == 1 else None
    if not shape or None in shape or graph.dtypes.get(graph.inputs[0]) != onnx.TensorProto.FLOAT:
        raise DataError(f"{path.name} has not one float32 input of fixed sizes", hint=f"fsq-edge check {path.name}")
    inputs = np.random.default_rng(0).normal(size=(RANDOM_INPUTS, *(size or 0 for size in shape[1:])))
    return network_cost(model.SerializeToString(), inputs.astype(np.float32), runs)


def network_cost(model: bytes, frames: Float32Array, runs: int = RUNS) -> NetworkCost:
    """Measure a network of one input on frames (N, ...) float32, one after the other.

    Args:
        model: the ONNX file's bytes, batch 1.
        frames: N ready inputs, without the batch.
        runs: windows under the profiler, and as many without it.

    Raises:
        DataError: the file is no valid ONNX model.
    """
    graph = normalise(onnx.load_from_string(model), "the network").graph
    sizes = [node_size(graph, node) for node in graph.nodes]
    source = graph.inputs[0]
    us = _median_us(model, source, frames, runs)
    return NetworkCost(
        us=us,
        macs=sum(size.macs for size in sizes),
        parameters=sum(size.parameters for size in sizes),
        peak_activation_bytes=FLOAT_BYTES * peak_activation(graph),
        layers=_layers(_profile(model, source, frames, runs), graph, sizes, us),
    )


def peak_activation(graph: Graph) -> int:
    """Return the most values that are held at once: what a node reads and writes, and what later nodes still need.

    Nodes run in the order of the graph; constants are not among them.
    """
    last = {name: at for at, node in enumerate(graph.nodes) for name in node.reads if not graph.is_constant(name)}
    held = {name: elements(graph.shape(name)) or 0 for name in graph.inputs}
    most = 0
    for at, node in enumerate(graph.nodes):
        held |= {name: elements(graph.shape(name)) or 0 for name in node.outputs if name}
        most = max(most, sum(held.values()))
        held = {name: size for name, size in held.items() if last.get(name, -1) > at or name in graph.outputs}
    return most


def _median_us(model: bytes, source: str, frames: Float32Array, runs: int) -> float:
    run = open_onnx(model).run
    feeds = [{source: np.ascontiguousarray(frame[None])} for frame in frames]
    taken = in_turns({"bare": lambda turn: run(None, feeds[turn % len(feeds)])}, runs, WARM_UP)
    return float(np.median(taken["bare"])) / 1e3


def _profile(model: bytes, source: str, frames: Float32Array, runs: int) -> list[dict[str, Any]]:
    """Return the events of onnxruntime's profiler for every node of every run."""
    with tempfile.TemporaryDirectory(prefix="fsq-edge-layers-") as folder:
        session = open_onnx(model, profile_to=str(Path(folder) / "profile"))
        for turn in range(WARM_UP + runs):
            session.run(None, {source: np.ascontiguousarray(frames[turn % len(frames)][None])})
        events = json.loads(Path(session.end_profiling()).read_bytes())
    return [event for event in events if event.get("cat") == "Node" and event["name"].endswith(NODE_TIME)]


def _layers(
    events: Sequence[Mapping[str, Any]], graph: Graph, sizes: Sequence[NodeSize], us: float
) -> tuple[LayerCost, ...]:
    durations: dict[str, list[int]] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    for event in events:
        name = event["name"].removesuffix(NODE_TIME)
        durations.setdefault(name, []).append(event["dur"])
        facts[name] = event["args"]
    ops = {name: str(args["op_name"]) for name, args in facts.items()}
    spent = {name: _middle_mean(values[WARM_UP:] or values) for name, values in durations.items()}
    least = min(spent.values(), default=0.0)
    whole = sum(value - least for value in spent.values()) or 1.0
    found = _sizes_by_name(ops, graph, sizes)
    return tuple(
        LayerCost(
            name=name,
            op=ops[name],
            us=us * (value - least) / whole,
            share=(value - least) / whole,
            macs=found[name].macs if name in found else None,
            parameters=found[name].parameters if name in found else None,
            activation=_values(facts[name]),
        )
        for name, value in spent.items()
    )


def _sizes_by_name(ops: Mapping[str, str], graph: Graph, sizes: Sequence[NodeSize]) -> dict[str, NodeSize]:
    """Return the sizes of the nodes that multiply, which onnxruntime runs in the order of the file under other names.

    Where it made more or fewer of them nothing is matched; nodes that do not multiply have no work to count.
    """
    run = [name for name, op in ops.items() if op.removeprefix("Fused") in MULTIPLYING]
    listed = [size for node, size in zip(graph.nodes, sizes, strict=True) if node.op in MULTIPLYING]
    found = dict(zip(run, listed, strict=True)) if len(run) == len(listed) else {}
    return found | {name: NodeSize() for name in ops if name not in run}


def _middle_mean(values: Sequence[int]) -> float:
    """Return the mean without the tenth at each end: whole microseconds average out, disturbances do not count."""
    ordered = sorted(values)
    tenth = len(ordered) // 10
    return statistics.fmean(ordered[tenth : len(ordered) - tenth])


def _values(args: Mapping[str, Any]) -> int:
    """Return how many values a node puts out, as its event says."""
    shapes = [shape for entry in args.get("output_type_shape", ()) for shape in entry.values()]
    return sum(int(np.prod(shape)) for shape in shapes)
