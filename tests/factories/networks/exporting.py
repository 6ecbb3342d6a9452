"""A torch network as ONNX, through either of torch's exporters."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable

import onnx
import torch
from torch import nn


def export(
    build: Callable[[], nn.Module],
    shape: tuple[int, ...],
    opset: int = 17,
    dynamo: bool = False,
    dynamic_batch: bool = False,
) -> onnx.ModelProto:
    """Export with seeded weights.

    Args:
        build: makes the network.
        shape: of the only input.
        opset: of the standard operators; the dynamo exporter writes 18 at least.
        dynamo: use the exporter that traces with torch.export, else the TorchScript one.
        dynamic_batch: leave the first size open.
    """
    # torch's own encoder layer has a fused path for inference that the TorchScript exporter cannot write.
    torch.backends.mha.set_fastpath_enabled(False)
    torch.manual_seed(0)
    network = build().eval()
    example = torch.randn(shape)
    buffer = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        # Both exporters warn of their own future; nothing here depends on it.
        warnings.simplefilter("ignore")
        if dynamo:
            size = {0: torch.export.Dim("batch")} if dynamic_batch else None
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                opset_version=max(18, opset),
                verbose=False,
                dynamic_shapes=(size,) if size else None,
            )
            return program.model_proto  # type: ignore[no-any-return, union-attr]
        torch.onnx.export(
            network,
            (example,),
            buffer,
            opset_version=opset,
            dynamo=False,
            input_names=["input"],
            dynamic_axes={"input": {0: "batch"}} if dynamic_batch else None,
        )
    return onnx.load_model_from_string(buffer.getvalue())
