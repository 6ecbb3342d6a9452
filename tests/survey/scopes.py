"""One name for a node, whichever of torch's exporters wrote it: the path of its module, and its operator."""

from __future__ import annotations

import ast

import onnx

_SCOPES = "pkg.torch.onnx.name_scopes"


def scoped_names(graph: onnx.GraphProto) -> dict[str, str]:
    """Map node names to names such as ``model.22.cv2.0.2/Conv``; a node without a known module keeps its name."""
    return {node.name: scoped_name(node) for node in graph.node if node.name}


def scoped_name(node: onnx.NodeProto) -> str:
    """Return the path of the module that a node came from, a slash, and the operator.

    The TorchScript exporter writes ``/model.22/cv2.0/cv2.0.2/Conv``; the newer one numbers its nodes and keeps the
    modules as metadata.
    """
    scopes = next((item.value for item in node.metadata_props if item.key == _SCOPES), None)
    if scopes is not None:
        modules = list(ast.literal_eval(scopes))[1:-1]
    elif node.name.startswith("/") and node.name.count("/") > 1:
        modules = node.name.split("/")[1:-1]
    else:
        return node.name
    return f"{_joined(modules)}/{node.op_type}"


def _joined(modules: list[str]) -> str:
    """Join the names of nested modules; a name may repeat the whole path, or the last part, of the one before it."""
    path: list[str] = []
    for name in modules:
        if path and name.startswith(".".join(path) + "."):
            path = [name]
        elif path and name.startswith(path[-1] + "."):
            path[-1] = name
        else:
            path.append(name)
    return ".".join(path)
