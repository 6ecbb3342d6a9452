"""What a decision costs beyond its network, whether the figure repeats, and int8 against fp32.

One fixed network, one hop pushed into a session to its decision returned, in turns with plain onnxruntime on the same
graph and a ready frame.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from fsq_edge_benchmarks.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.machine import describe_machine
from fsq_edge_benchmarks.modes.single import measure_single
from fsq_edge_benchmarks.pairing import race
from fsq_edge_benchmarks.subject import open_subject
from fsq_edge_runtime.bundle import Bundle

DECISIONS, QUICK_DECISIONS = 7000, 100
FLOAT_LAYERS: Final = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul")


def run(quick: bool = False) -> dict[str, Any]:
    """Measure single decisions twice on fp32 and once on int8, then fp32 and int8 in turns.

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
    measured = {}
    for name, backend in (("first", "onnx"), ("again", "onnx"), ("int8", "onnx-int8")):
        with open_subject(bundle, backend) as subject:
            measured[name] = measure_single(subject, count).model_dump(mode="json")
    with open_subject(bundle, "onnx") as fp32, open_subject(bundle, "onnx-int8") as int8:
        pair = race(fp32, int8, count, ("onnx", "onnx-int8"))
    first, again = (measured[name]["ratio"]["value"] for name in ("first", "again"))
    has_dot = describe_machine().has_int8_dot
    return {
        **measured,
        "repeat_difference": abs(again / first - 1.0),
        "int8_over_fp32": pair.ratio.model_dump(mode="json"),
        "int8_over_fp32_with_dot": pair.ratio.value if has_dot else None,
        "int8_layers_in_float": len(layers_in_float(bundle)),
    }


def layers_in_float(bundle: Bundle) -> list[str]:
    """Return the layers of the int8 graph that onnxruntime computes in float after its own optimisation.

    Quantise and dequantise nodes that it cannot fuse cost more than the whole network in float.
    """
    import onnx
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        ort.InferenceSession(bundle.read("encoder-int8"), options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath).graph
    return [node.name for node in graph.node if node.op_type in FLOAT_LAYERS]
