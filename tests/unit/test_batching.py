import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_compile.packing.batching import symbolic_batch
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.errors import DataError
from tests.factories.device_graph import make_device_graph


def single_reshape_graph(shape: list[int], operator: str = "Reshape") -> bytes:
    """(1, 2, 1, 3) -> (1, 6) by a Reshape with its shape written out, then a projection and Tanh."""
    weights = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    nodes = [
        helper.make_node(operator, ["input", "shape"], ["flat"], "flat"),
        helper.make_node("MatMul", ["flat", "w"], ["z"], "project"),
        helper.make_node("Tanh", ["z"], ["t"], "tanh"),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 2, 1, 3])],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.asarray(shape, np.int64), "shape")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize("model", [make_device_graph(), single_reshape_graph([1, 6]), single_reshape_graph([1, -1])])
def test_the_batched_graph_computes_the_same_for_any_batch(model):
    batched = symbolic_batch(model)
    onnx.checker.check_model(onnx.load_from_string(batched), full_check=True)
    one, many = OnnxBackend(model), OnnxBackend(model, batched=batched)
    for n in (2, 5, 64):
        frames = np.random.default_rng(n).normal(size=(n, *one.input_shape[1:])).astype(np.float32)
        expected = np.stack([one.infer(frame[None]).copy() for frame in frames])
        np.testing.assert_allclose(many.infer_batch(frames), expected, atol=1e-5)


def test_a_graph_that_mixes_the_batch_is_refused():
    model = onnx.load_from_string(single_reshape_graph([1, 6]))
    mean = helper.make_node("ReduceMean", ["z"], ["m"], "mix", axes=[0], keepdims=1)
    model.graph.node[-1].input[0] = "m"
    model.graph.node.insert(2, mean)
    with pytest.raises(DataError, match=r"mixes the frames|cannot take a batch"):
        symbolic_batch(model.SerializeToString())
