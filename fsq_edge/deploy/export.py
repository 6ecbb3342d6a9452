"""From a trained model to ONNX: the full graph, the device graph and the host tail, proven equal to torch."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from fsq_edge.model import Conv2dFSQ, DeviceGraph
from fsq_edge_compile.onnx_file import check_export, cut_device_part, max_difference, run, simplify
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends.onnx import FEATURES
from fsq_edge_runtime.errors import DataError, InternalError
from fsq_edge_runtime.tail import FsqTail

OPSET = 17
EQUAL_WITHIN = 1e-5  # of t, onnxruntime against torch, float32
BOUNDARY_MARGIN = 1e-3  # of b; nearer than this to a rounding boundary the two may take neighbouring digits


class FullGraph(nn.Module):
    """Frames (1, C', H, W) to logits (1, K) and index (1,) int64: device graph, rounding and table in one graph."""

    half_width: Tensor
    offset: Tensor
    radius: Tensor
    basis: Tensor
    table: Tensor

    def __init__(self, model: Conv2dFSQ) -> None:
        super().__init__()
        self.device_part: DeviceGraph = model.device_graph()
        fsq = model.fsq
        self.register_buffer("half_width", fsq.half_width.clone())
        self.register_buffer("offset", fsq.offset.clone())
        self.register_buffer("radius", fsq.radius.float())
        self.register_buffer("basis", fsq.basis.float())
        self.register_buffer("table", torch.from_numpy(model.head_table()))
        self.eval()

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return (logits, index) of frames."""
        t = self.device_part(frames)
        digits = torch.round(t * self.half_width - self.offset) + self.radius
        # Whole numbers below 2^20: exact in float32.
        index = (digits * self.basis).sum(dim=-1).to(torch.int64)
        return self.table[index], index


@dataclass(frozen=True, slots=True)
class Exported:
    """The graphs of one model.

    Attributes:
        full: ``model.onnx``: ``input`` (1, C', H, W) to ``logits`` (1, K) and ``index`` (1,) int64.
        encoder: ``encoder.onnx``: ``input`` to ``t`` (1, D), its last node the Tanh; with ``features`` (1, F) where
            that was asked for.
        tail: the host tail with the logits table.
    """

    full: onnx.ModelProto
    encoder: onnx.ModelProto
    tail: FsqTail


def export_model(model: Conv2dFSQ, *, temperature: float = 1.0, features: bool = False) -> Exported:
    """Export a trained model and prove the graphs equal to it on random frames.

    Args:
        model: any mode, any device; it is not changed.
        temperature: of the host tail.
        features: ``encoder.onnx`` also puts out the pooled ``features`` (1, F), which personal heads read.

    Returns:
        Static graphs, opset 17, IR 8, inline weights, BatchNorms folded, simplified.

    Raises:
        InternalError: onnxruntime and torch disagree, or the cut does not compose to the full graph.
    """
    frame = torch.zeros(1, *model.frame_shape)
    module = FullGraph(model).cpu()
    original = _export(module, frame)
    full = simplify(original)
    encoder = cut_device_part(full, features=features)
    check_export(full)
    check_export(encoder)
    tail = FsqTail(model.fsq.levels, model.head_table(), temperature)
    _prove_equal(module, original, full, encoder, tail, model.frame_shape)
    return Exported(full, encoder, tail)


def _export(module: nn.Module, frame: Tensor) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "model.onnx"
        # The TorchScript exporter is the one whose graphs both DFC lines parse; torch announces its successor.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (frame,),
            path,
            input_names=["input"],
            output_names=["logits", "index"],
            opset_version=OPSET,
            dynamo=False,
        )
        return onnx.load_model(path)


def pooled_features(graph: DeviceGraph, frames: Tensor) -> Tensor:
    """Return what the projection reads, (B, F) float32, of frames (B, C', H, W)."""
    pooled: Tensor = graph.pool(graph.features(frames)).flatten(1)
    return pooled


@torch.no_grad()
def _prove_equal(
    module: FullGraph,
    original: onnx.ModelProto,
    full: onnx.ModelProto,
    encoder: onnx.ModelProto,
    tail: FsqTail,
    frame_shape: tuple[int, int, int],
    samples: int = 8,
) -> None:
    generator = np.random.default_rng(0)
    frames = [generator.normal(size=(1, *frame_shape)).astype(np.float32) for _ in range(samples)]
    for frame in frames:
        put_out = run(encoder, {"input": frame})
        t = np.asarray(put_out["t"], dtype=np.float32)
        reference = module.device_part(torch.from_numpy(frame)).numpy()
        pooled = pooled_features(module.device_part, torch.from_numpy(frame)).numpy()
        if FEATURES in put_out and np.abs(put_out[FEATURES] - pooled).max() > EQUAL_WITHIN:
            raise InternalError("the features of encoder.onnx differ from torch's")
        if np.abs(t - reference).max() > EQUAL_WITHIN:
            raise InternalError(f"encoder.onnx differs from torch by {np.abs(t - reference).max():.2e}")
        if tail.codebook.boundary_distance(t).min() < BOUNDARY_MARGIN:
            continue
        whole = run(full, {"input": frame})
        if int(whole["index"][0]) != int(tail.index(t)[0]) or not np.array_equal(whole["logits"], tail.logits(t)):
            raise InternalError("device graph and host tail do not compose to model.onnx")
    feeds = [{"input": frame} for frame in frames]
    if max_difference(original, full, feeds) > EQUAL_WITHIN:
        raise InternalError("the simplified model.onnx differs from the exported one")


def compare_with_torch(model: Conv2dFSQ, exported: Exported, frames: Float32Array) -> dict[str, float]:
    """Compare the ONNX path with the torch path on real frames.

    Args:
        model: the trained model.
        exported: its graphs.
        frames: (N, C', H, W) float32.

    Returns:
        ``n``, ``max_abs_t``, ``boundary`` (windows nearer than 1e-3 to a rounding boundary), ``code_mismatch`` (off
        the boundaries) and ``label_mismatch`` (of all).

    Raises:
        DataError: no frames.
    """
    if not len(frames):
        raise DataError("there are no frames to compare on")
    from fsq_edge_runtime.backends import OnnxBackend

    with torch.no_grad():
        reference = model.device_graph()(torch.from_numpy(np.ascontiguousarray(frames))).numpy()
    t = OnnxBackend(exported.encoder.SerializeToString()).infer_batch(frames)
    codebook = exported.tail.codebook
    near = codebook.boundary_distance(reference).min(axis=1) < BOUNDARY_MARGIN
    differ = (codebook.digits(t) != codebook.digits(reference)).any(axis=1)
    labels = exported.tail.logits(t).argmax(axis=1) != exported.tail.logits(reference).argmax(axis=1)
    return {
        "n": len(frames),
        "max_abs_t": float(np.abs(t - reference).max()),
        "boundary": int(near.sum()),
        "code_mismatch": int((differ & ~near).sum()),
        "label_mismatch": int(labels.sum()),
    }
