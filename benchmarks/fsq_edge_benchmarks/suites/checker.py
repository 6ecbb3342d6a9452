"""How long the compatibility check takes: a ResNet-50 with its weights, and how the time grows with the graph.

Run: ``python -m fsq_edge_benchmarks.suites.checker``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_benchmarks.measure.children import child_environment, first_line_of
from fsq_edge_benchmarks.measure.stopwatch import seconds
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_compile.checker.checking import check
from fsq_edge_compile.checker.loading import read_model

# (blocks, width inside, width outside, stride of the first) of the four stages of ResNet-50.
RESNET_50: Final = ((3, 64, 256, 1), (4, 128, 512, 2), (6, 256, 1024, 2), (3, 512, 2048, 2))
SMALL: Final = ((1, 8, 32, 1), (1, 16, 64, 2))
NODES: Final = (1_000, 10_000)

# Imports are over when the clock starts; the worker process for onnx's native code is not running yet.
_FIRST = """
import sys, time
import onnx, fsq_edge_compile.checker.checking as checking
started = time.perf_counter()
report = checking.check(sys.argv[1])
print(time.perf_counter() - started, report.verdict)
"""


class _Builder:
    """A graph of convolutions, built node by node."""

    def __init__(self, channels: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.channels = channels
        self.random = np.random.default_rng(0)

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"

    def weight(self, *shape: int) -> str:
        name = f"weight_{len(self.weights)}"
        values = self.random.standard_normal(shape, dtype=np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(self, x: str, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> str:
        pads = [kernel // 2] * 4
        sizes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads}
        return self.add("Conv", x, self.weight(outputs, inputs, kernel, kernel), self.weight(outputs), **sizes)

    def model(self, shape: list[int], last: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def residual_network(stages: tuple[tuple[int, int, int, int], ...]) -> onnx.ModelProto:
    """Return a ResNet of bottleneck blocks with random weights (ResNet-50 has 102 MB of them)."""
    build = _Builder(3)
    x = build.add("Relu", build.conv("input", 3, 64, 7, 2))
    x = build.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inputs = 64
    for blocks, inside, outside, stride in stages:
        for index in range(blocks):
            step = stride if index == 0 else 1
            y = build.add("Relu", build.conv(x, inputs, inside))
            y = build.add("Relu", build.conv(y, inside, inside, 3, step))
            y = build.conv(y, inside, outside)
            x = build.conv(x, inputs, outside, 1, step) if index == 0 else x
            x, inputs = build.add("Relu", build.add("Add", y, x)), outside
    x = build.add("Flatten", build.add("GlobalAveragePool", x))
    last = build.add("Gemm", x, build.weight(1000, inputs), build.weight(1000), transB=1)
    return build.model([1, 3, 224, 224], last)


def long_network(nodes: int) -> onnx.ModelProto:
    """Return a graph of small residual blocks with at least that many nodes."""
    build = _Builder(8)
    x = build.conv("input", 8, 8)
    while len(build.nodes) < nodes:
        y = build.add("Relu", build.conv(x, 8, 8, 3))
        x = build.add("Add", build.conv(y, 8, 8, 3), x)
    return build.model([1, 8, 16, 16], x)


def run(quick: bool = False) -> dict[str, Any]:
    """Time the check.

    Returns:
        ``file_bytes``; ``first_check_s`` in a fresh process after its imports; ``check_s`` in this one, and
        ``parse_s`` of reading and parsing the same file, with their ratio; ``command_s`` of ``fsq-edge check`` and
        ``import_s`` of a process that only imports what the command needs, with their ratio; seconds and
        microseconds a node for two sizes of graph, with ``per_node_ratio`` of the larger to the smaller (1 is
        linear). Times are medians.
    """
    rounds = 1 if quick else 7
    small, large = (size // 10 if quick else size for size in NODES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        onnx.save(residual_network(SMALL if quick else RESNET_50), path)
        first, verdict = _first_check(path, rounds)
        checked = _median(lambda: check(path), rounds)
        parsed = _median(lambda: read_model(path), rounds)
        command = _median(lambda: _command([sys.executable, "-m", "fsq_edge", "check", str(path), "--quiet"]), rounds)
        imports = _median(
            lambda: _command([sys.executable, "-c", "import click, rich.table, fsq_edge_compile.checker.checking"]),
            rounds,
        )
        file_bytes = path.stat().st_size
    return {
        "file_bytes": file_bytes,
        "verdict": verdict,
        "first_check_s": first,
        "check_s": checked,
        "parse_s": parsed,
        "check_to_parse_ratio": checked / parsed,
        "command_s": command,
        "import_s": imports,
        "command_to_import_ratio": command / imports,
        **_growth(small, large, rounds),
        "samples": rounds,
    }


def _growth(small: int, large: int, rounds: int) -> dict[str, float]:
    found: dict[str, float] = {}
    per_node = []
    for nodes in (small, large):
        model = long_network(nodes)
        median_s = _median(lambda model=model: check(model), rounds)  # type: ignore[misc] # the loop's own model
        per_node.append(median_s / len(model.graph.node))
        found[f"check_{nodes}_nodes_s"] = median_s
        found[f"us_per_node_{nodes}"] = per_node[-1] * 1e6
    return {**found, "per_node_ratio": per_node[1] / per_node[0]}


def _median(call: Callable[[], object], rounds: int) -> float:
    return statistics.median(seconds(call, rounds))


def _first_check(path: Path, rounds: int) -> tuple[float, str]:
    """Return the median over fresh processes of the first check, and its verdict."""
    command = ["-c", _FIRST, str(path)]
    lines = [first_line_of(command, child_environment()).first_line.split() for _ in range(rounds)]
    return statistics.median(float(taken) for taken, _ in lines), lines[-1][1]


def _command(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(run_command("checker", run))
