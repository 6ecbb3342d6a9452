"""What is cut off for the device is accepted whole when it is checked again."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest

from fsq_edge_compile import check, split
from fsq_edge_compile.checker.splitting import NothingToSplitError
from tests.factories.attention_graphs import ATTENTION, REFUSED, detector
from tests.factories.onnx_graphs import GraphFactory, fsq_model
from tests.factories.reported_cases import CASES


def split_at_the_end() -> onnx.ModelProto:
    """A Split, and an ArgMax in front of it, end the device part only because their readers are refused."""
    graph = GraphFactory("x", [1, 8, 8, 8])
    left, right = graph.add("Split", graph.conv("x", 8), graph.ints(4, 4), outputs=2, axis=1)
    return graph.model(graph.add("Floor", left), graph.add("Floor", right))


def moves_at_the_end() -> onnx.ModelProto:
    graph = GraphFactory("x", [1, 8, 4, 4])
    tokens = graph.add("Transpose", graph.add("Reshape", graph.conv("x", 8), graph.ints(1, 8, 16)), perm=[0, 2, 1])
    return graph.model(graph.add("MatMul", graph.add("Floor", tokens), graph.weights(8, 8)))


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    **ATTENTION,
    **REFUSED,
    **{f"reported {name}": case.build for name, case in CASES.items()},
    **{f"detector {decode}": lambda decode=decode: detector(decode=decode) for decode in ("dfl", "topk", "none")},
    "split at the end": split_at_the_end,
    "moves at the end": moves_at_the_end,
    "quantiser": fsq_model,
}


@pytest.mark.parametrize("arch", ["hailo8", "hailo10h"])
@pytest.mark.parametrize("name", MODELS)
def test_the_device_part_is_full(name: str, arch: str) -> None:
    model = MODELS[name]()
    if check(model, arch).verdict == "none":
        with pytest.raises(NothingToSplitError):
            split(model, arch)
    else:
        assert check(split(model, arch).device, arch).verdict == "full"
