"""What a decision costs beyond its network, whether the figure repeats, and int8 against fp32.

One fixed network, one hop pushed into a session to its decision returned, in turns with plain onnxruntime on its
graph and a ready frame.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import onnx

from fsq_edge_benchmarks.bench.contestant import open_subject
from fsq_edge_benchmarks.bench.modes.single import measure_single
from fsq_edge_benchmarks.bench.pairing import race
from fsq_edge_benchmarks.measure.children import child_environment, first_line_of
from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.measure.machine import describe_machine
from fsq_edge_benchmarks.measure.ratio import interval_json
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_runtime.backends.onnx import open_onnx
from fsq_edge_runtime.bundle.bundle import Bundle

DECISIONS, QUICK_DECISIONS = 7000, 100
_AGAIN: Final = """
import json
from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.suites.decision import measured_single
print(json.dumps(measured_single(fixed_bundle(), "onnx", {count})))
"""
FLOAT_LAYERS: Final = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul")


def run(quick: bool = False) -> dict[str, Any]:
    """Measure single decisions on fp32 in two processes and on int8, then fp32 and int8 in turns.

    Args:
        quick: 100 decisions each, to show that it runs.

    Returns:
        ``first``, ``again`` and ``int8`` as ``fsq-edge bench`` reports a mode; ``repeat_difference``: by what share
        the two ratios of fp32 differ; ``int8_over_fp32``: ratio of the medians of their decisions with its interval;
        ``int8_over_fp32_with_dot``: its value where the CPU has int8 dot products, else None: without them int8 is
        not expected to be faster; ``int8_layers_in_float``: layers that onnxruntime did not fuse to int8.
    """
    count = QUICK_DECISIONS if quick else DECISIONS
    bundle = fixed_bundle(int8=True)
    first, int8 = (measured_single(bundle, backend, count) for backend in ("onnx", "onnx-int8"))
    # In a process of its own: where its memory lies differs from one process to the next.
    again = json.loads(first_line_of(["-c", _AGAIN.format(count=count)], child_environment()).first_line)
    with open_subject(bundle, "onnx") as fp32, open_subject(bundle, "onnx-int8") as quantised:
        pair = race(fp32, quantised, count, ("onnx", "onnx-int8"))
    has_dot = describe_machine().has_int8_dot
    return {
        "first": first,
        "again": again,
        "int8": int8,
        "repeat_difference": abs(again["ratio"]["value"] / first["ratio"]["value"] - 1.0),
        "int8_over_fp32": interval_json(pair.ratio),
        "int8_over_fp32_with_dot": pair.ratio.value if has_dot else None,
        "int8_layers_in_float": len(layers_in_float(bundle.read("encoder-int8"))),
    }


def measured_single(bundle: Bundle, backend: str, count: int) -> dict[str, Any]:
    """Return what ``fsq-edge bench`` reports of ``count`` single decisions on a backend."""
    with open_subject(bundle, backend) as subject:
        return measure_single(subject, count).model_dump(mode="json")


def layers_in_float(graph: bytes) -> list[str]:
    """Return the layers of an int8 graph that onnxruntime computes in float after its own optimisation.

    Quantise and dequantise nodes that it cannot fuse cost more than the whole network in float.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "optimised.onnx")
        open_onnx(graph, optimized_to=path)
        optimised = onnx.load(path).graph
    return [node.name for node in optimised.node if node.op_type in FLOAT_LAYERS]


if __name__ == "__main__":
    sys.exit(run_command("decision", run))
