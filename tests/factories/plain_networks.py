"""Small networks of other people's shapes: any layout, any number of channels, any end."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_compile.foreign.network_input import NetworkInput

CLASSES = ("a", "b", "c", "d")
SHAPES = {
    ("C", "T"): (1, 6, 40),
    ("T", "C"): (1, 40, 6),
    ("1", "C", "T"): (1, 1, 6, 40),
    ("C", "1", "T"): (1, 6, 1, 40),
    ("1", "T", "C"): (1, 1, 40, 6),
}


def network(
    path, *, shape=(1, 6, 40), last="", first="", kind=TensorProto.FLOAT, outputs=4, inputs=1, channels=6, seed=0
):
    """Write a network that turns any layout to (1, C, 1, T), then Conv, Relu, pool and Gemm; return the file."""
    draw = np.random.default_rng(seed)
    arrays = {
        "w": draw.normal(0, 0.3, (8, channels, 1, 5)).astype(np.float32),
        "p": draw.normal(0, 1, (8, outputs)).astype(np.float32),
        "frame": np.asarray((1, channels, 1, 40)),
        "mean": np.full((1,) * len(shape), 0.1, np.float32),
    }
    swapped = shape[-1] == channels
    nodes = []
    at = "x"
    if first:
        nodes.append(helper.make_node(first, ["x", "mean"], ["n"], "first"))
        at = "n"
    if swapped:
        order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        nodes.append(helper.make_node("Transpose", [at], ["turned"], "turn", perm=order))
        at = "turned"
    nodes += [
        helper.make_node("Reshape", [at, "frame"], ["f4"], "lift"),
        helper.make_node("Conv", ["f4", "w"], ["h"], "conv", kernel_shape=[1, 5]),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "p"], ["l"], "dense"),
    ]
    at = "l"
    for place, operator in enumerate(filter(None, last.split(","))):
        nodes.append(helper.make_node(operator, [at], [f"e{place}"], f"end{place}"))
        at = f"e{place}"
    nodes.append(helper.make_node("Identity", [at], ["y"], "out")) if at == "l" else nodes[-1].output.__setitem__(
        0, "y"
    )
    given = [helper.make_tensor_value_info("x" if n == 0 else f"x{n}", kind, shape) for n in range(inputs)]
    constants = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    graph = helper.make_graph(
        nodes, "net", given, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, outputs])], constants
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def motion(count=80):
    draw = np.random.default_rng(1)
    return draw.normal(0, 0.4, (count, 6, 40)).cumsum(axis=2).astype(np.float32)


def described(layout=("C", "T"), **normalization):
    channels = [{"name": f"ch{index}", "unit": ""} for index in range(6)]
    rule = normalization or {"kind": "none"}
    value = {"schema_version": 1, "layout": list(layout), "channels": channels, "sample_rate_hz": 50.0}
    value |= {"window_samples": 40, "hop_samples": 20, "normalization": rule}
    return NetworkInput.model_validate(value, strict=False)
