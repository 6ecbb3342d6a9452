"""The fixed network of :mod:`fixed_network` as a bundle, in the forms that the suites measure."""

from __future__ import annotations

import numpy as np

from fsq_edge_benchmarks.measure.fixed_network import (
    CLASSES,
    LEVELS,
    RATE_HZ,
    WIDTHS,
    fixed_encoder,
    fixed_preprocess,
    motion_windows,
    parts_of,
)
from fsq_edge_compile.int8.quantize import quantize_preview
from fsq_edge_compile.packing.batching import symbolic_batch
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import make_bundle
from fsq_edge_runtime.onnx_writer import INPUT, OUTPUT, GraphWriter
from fsq_edge_runtime.preprocess import PreprocessConfig, Preprocessor
from fsq_edge_runtime.score_tails import SoftmaxTail
from fsq_edge_runtime.tail import FsqTail


def fixed_bundle(*, int8: bool = False, sample_rate_hz: float = RATE_HZ) -> Bundle:
    """Return the fixed network as a bundle, with equal bytes every time.

    Args:
        int8: with the int8 preview of the graph.
        sample_rate_hz: of the sensor; the network itself is the one for 50 Hz.
    """
    windows = motion_windows(256)
    config = fixed_preprocess(windows).model_copy(update={"sample_rate_hz": sample_rate_hz})
    table = np.random.default_rng(0).normal(0, 2, (int(np.prod(LEVELS)), len(CLASSES))).astype(np.float32)
    frames = Preprocessor(config).frames(windows)
    return bundle_around(fixed_encoder(config.frame_shape, frames), FsqTail(LEVELS, table), config, windows, int8=int8)


def softmax_bundle(*, host: bool = False) -> Bundle:
    """Return the fixed network with class scores in the place of the code, as a network trained elsewhere has them.

    Args:
        host: a dense layer on the host makes the scores of as many values as the last convolution has.
    """
    windows, classes = motion_windows(256), len(CLASSES)
    config = fixed_preprocess(windows)
    width = WIDTHS[-1] if host else classes
    encoder = fixed_encoder(config.frame_shape, Preprocessor(config).frames(windows), width, "Identity")
    dense = _dense(width, classes) if host else b""
    return make_bundle("fixed-softmax", CLASSES, parts_of(encoder, SoftmaxTail(classes), config, windows, dense))


def bundle_around(
    encoder: bytes, tail: FsqTail, config: PreprocessConfig, windows: Float32Array, *, int8: bool = False
) -> Bundle:
    """Assemble a bundle around a device graph, with a batched copy of it.

    Args:
        encoder: batch-1 device graph.
        tail: its host tail, one class of ``CLASSES`` a column.
        config: its preprocessing.
        windows: (N, C, T) float32 raw units, for self-test, fingerprint and int8 ranges.
        int8: with the int8 preview.
    """
    parts = parts_of(encoder, tail, config, windows)
    parts["encoder-batch", None] = ("encoder_batch.onnx", symbolic_batch(encoder))
    if int8:
        quantized = quantize_preview(encoder, Preprocessor(config).frames(windows))
        parts["encoder-int8", None] = ("encoder_int8.onnx", quantized)
    return make_bundle("fixed", CLASSES[: tail.table.shape[1]], parts)


def motion_hops(n: int, seed: int, hop: int) -> list[Float32Array]:
    """Return windows of motion one after the other, cut into whole hops (hop, 6)."""
    rows = np.concatenate([window.T for window in motion_windows(n, seed)])
    return [np.ascontiguousarray(rows[at : at + hop]) for at in range(0, len(rows) - hop + 1, hop)]


def _dense(inputs: int, outputs: int) -> bytes:
    """Return a host graph of one dense layer."""
    graph = GraphWriter()
    graph.port(INPUT, "t", (1, inputs))
    graph.constant("d", np.random.default_rng(1).normal(0, 1, (outputs, inputs)))
    graph.node("Gemm", ["t", "d"], "scores", transB=1)
    graph.port(OUTPUT, "scores", (1, outputs))
    return graph.model()
