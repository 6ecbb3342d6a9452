"""Time from the last sample of a window to its decision, against the bare network in the same run."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from fsq_edge_benchmarks.measure.percentiles import percentile
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle

__all__ = ["Latency", "decision_latency", "percentile"]

WARM_UP = 50


@dataclass(frozen=True, slots=True)
class Latency:
    """Microseconds; a percentile is None where the samples do not support it.

    Attributes:
        decision_p50: from the call of ``push`` with the last hop to the decision returned.
        decision_p99: same.
        bare_p50: one call of the network on the same kind of frame.
        bare_p99: same.
        ratio_p50: decision / bare.
        samples: hops timed.
    """

    decision_p50: float | None
    decision_p99: float | None
    bare_p50: float | None
    bare_p99: float | None
    ratio_p50: float | None
    samples: int


def decision_latency(bundle: Bundle, samples: Float32Array, hops: int = 1000) -> Latency:
    """Time ``hops`` decisions of one stream, alternating with the bare network.

    Args:
        bundle: an opened bundle.
        samples: (n, C) float32 raw units, repeated as often as needed; at least one window.
        hops: decisions to time, after a warm-up of 50.
    """
    config = bundle.preprocess
    hop = config.hop_samples
    needed = config.window_samples + (hops + WARM_UP) * hop
    stream = np.resize(np.asarray(samples, dtype=np.float32), (needed, samples.shape[1]))
    bare = OnnxBackend(bundle.read("encoder"))
    frame = np.zeros((1, *config.frame_shape), dtype=np.float32)
    decision_ns, bare_ns = [], []
    with bundle.open_session(backend="onnx") as session:
        session.push(stream[: config.window_samples])
        for at in range(config.window_samples, needed - hop + 1, hop):
            piece = stream[at : at + hop]
            started = time.perf_counter_ns()
            session.push(piece)
            decided = time.perf_counter_ns()
            bare.infer(frame)
            bare_ns.append(time.perf_counter_ns() - decided)
            decision_ns.append(decided - started)
    decision_ns, bare_ns = decision_ns[WARM_UP:], bare_ns[WARM_UP:]
    ours, network = percentile(decision_ns, 50), percentile(bare_ns, 50)
    return Latency(
        ours,
        percentile(decision_ns, 99),
        network,
        percentile(bare_ns, 99),
        ours / network if ours is not None and network else None,
        len(decision_ns),
    )
