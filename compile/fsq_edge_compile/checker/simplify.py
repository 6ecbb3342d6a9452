"""Runs onnxsim over a light model in a child process with a time and a memory limit.

onnxsim is native code: it may hang, crash or take all memory on a graph that it does not expect, and its import
alone takes seconds. So it runs only when shape arithmetic is left after our own folding, and never in this process.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import onnx
from google.protobuf.message import DecodeError

from fsq_edge_compile.checker.loading import LightModel, lighten
from fsq_edge_compile.messages import copied

TIMEOUT_S = 15.0
MEMORY_BYTES = 512 << 20

# Address space is not what a process uses: native libraries reserve much more, so the data segment is limited too.
_CHILD = """
import os, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
answer = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
import onnx, onnxsim
model = onnx.load_model_from_string(sys.stdin.buffer.read())
simplified, _ = onnxsim.simplify(model, check_n=0)
answer.write(simplified.SerializeToString())
answer.close()
"""


def simplify(light: LightModel, timeout_s: float = TIMEOUT_S) -> tuple[str, LightModel | None]:
    """Simplify a light model.

    Args:
        light: not changed.
        timeout_s: the child is killed after this many seconds.

    Returns:
        what did the work (with the reason when it was not onnxsim), and the simplified model or None.
    """
    if importlib.util.find_spec("onnxsim") is None:
        return "built-in (onnxsim is not installed)", None
    question = copied(light.proto)
    bare = _declare_outputs(question)
    try:
        child = subprocess.run(
            # -P: what lies in the working directory must not be imported in place of onnx.
            [sys.executable, "-P", "-c", _CHILD, str(MEMORY_BYTES)],
            input=question.SerializeToString(),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"built-in (onnxsim took longer than {timeout_s:g} s)", None
    if child.returncode != 0:
        return f"built-in (onnxsim ended with code {child.returncode})", None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(child.stdout)
    except DecodeError:
        return "built-in (onnxsim returned no model)", None
    for value in model.graph.output:
        if value.name in bare:
            value.type.tensor_type.ClearField("shape")
    return "onnxsim", _carry_over(light, model)


def _declare_outputs(model: onnx.ModelProto) -> set[str]:
    """Give every output some shape, which onnxsim insists on, and return the names of those that had none."""
    bare = set()
    for value in model.graph.output:
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            value.type.tensor_type.shape.SetInParent()
            bare.add(value.name)
    return bare


def _carry_over(light: LightModel, model: onnx.ModelProto) -> LightModel:
    """Read the simplified model, keeping stand-ins as stand-ins and the names of the nodes that are still there."""
    maker = {name: node for node in light.proto.graph.node for name in node.output if name}
    for node in model.graph.node:
        original = next((maker[name] for name in node.output if name in maker), None)
        if original is not None and original.op_type == node.op_type:
            node.name = original.name
    simplified = lighten(model, light.name, None)
    simplified.stand_ins.update(light.stand_ins)
    present = {value.name for value in simplified.proto.graph.input}
    for name, stand_in in light.stand_ins.items():
        if name not in present:
            simplified.proto.graph.input.append(
                onnx.helper.make_tensor_value_info(name, stand_in.dtype, stand_in.shape)
            )
    simplified.external, simplified.generated = light.external, light.generated
    return simplified
