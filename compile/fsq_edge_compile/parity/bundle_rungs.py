"""Rungs that run on a device too: a bundle's CPU graph, its int8 preview, its HEF. Nothing here needs onnx."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from fsq_edge_compile.parity.ladder import Answers, Gates, LadderReport, Rung, run_ladder
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends import Backend, OnnxBackend
from fsq_edge_runtime.backends.hailo.binding import Binding
from fsq_edge_runtime.backends.hailo.opening import open_hailo
from fsq_edge_runtime.backends.host import scores_behind
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.score_tails import Tail
from fsq_edge_runtime.tail import FsqTail

Forward = Callable[[Float32Array], Float32Array]

DEVICE_TIMEOUT_S: Final = 1.0  # a window takes well below a millisecond; a second is a device that hangs

CAUSES = {
    "onnx": "the export changed the network: a wrapper left in training mode, or an operator that the exporter rewrote",
    "simplified": "simplification changed the network: compare the graphs before and after onnxsim",
    "split": "the device graph or the host tail is not the model's: wrong cut, levels or logits table",
    "int8-preview": "rounding: try --sixteen-bit-output or another --method of fsq-edge quantize, or retrain with "
    "clip_sigma 5",
    "dfc-native": "the compiler reads the graph otherwise than onnxruntime: check the layout, padding and end nodes",
    "dfc-fp-optimized": "an optimisation of the compiler changed the network before any rounding",
    "dfc-quantized": "the compiler's rounding: take more calibration windows, a 16-bit output, or a higher "
    "optimisation level",
    "hef": "the device differs from the compiler's emulation: HEF of another model or set, or a layout at the boundary",
}
SCORES_CAUSE = "rounding: try another --method of fsq-edge quantize, or calibrate with windows that span what will come"
BROKEN = {
    "int8-preview": "the ranges do not fit the data: the calibration set was noise, in another layout, or normalised "
    "otherwise (fsq-edge calibrate --audit)",
    "dfc-quantized": "the ranges do not fit the data: noise, another layout (the compiler wants NHWC) or another "
    "normalisation in the calibration set",
}


def ladder_of_bundle(
    bundle: Bundle,
    windows: Float32Array | None = None,
    labels: npt.ArrayLike | None = None,
    *,
    gates: Gates | None = None,
    groups: npt.ArrayLike | None = None,
    forward: Forward | None = None,
    extra: Sequence[Rung] = (),
) -> LadderReport:
    """Climb from the bundle's stored answers, or from its CPU reference, to int8 and the device.

    Args:
        bundle: opened and verified.
        windows: (N, C, T) float32 raw units, held out; None takes the 16 self-test windows with their stored answers
            and their reference labels.
        labels: (N,) true classes of ``windows``.
        gates: what must hold.
        groups: (N,) subjects.
        forward: frames (N, C', H, W) to torch's ``t`` (N, D), the first rung where it is given.
        extra: further rungs.

    Raises:
        DataError: windows without labels, or of another shape, or none usable.
    """
    tail, behind = bundle.tail, scores_behind(bundle)
    stored = bundle.selftest
    given = windows is not None
    if given and labels is None:
        raise DataError("windows for a ladder need their labels")
    raw = stored.windows if windows is None else windows
    truth = np.asarray(stored.labels if labels is None else labels, dtype=np.int64)
    frames, valid = Preprocessor(bundle.preprocess).usable_frames(raw)
    if not len(frames):
        raise DataError("no window for the ladder is usable")
    split = device_rung(lambda: OnnxBackend(bundle.read("encoder")), tail, behind)
    rungs = [Rung("split", "exact", split, CAUSES["split"])]
    if forward is not None:
        rungs.insert(0, Rung("torch", "exact", lambda frames: with_tail(forward(frames), tail), ""))
    elif not given:
        rungs.insert(0, Rung("stored", "exact", lambda _: with_tail(stored.t[valid], tail), ""))
    if bundle.has("encoder-int8"):
        own = tail if isinstance(tail, FsqTail) else bundle.tail_for("onnx-int8")
        rungs.append(int8_rung(bundle.read("encoder-int8"), own, behind))
    who = None if groups is None else np.asarray(groups)[valid]
    return run_ladder(frames, truth[valid], [*rungs, *extra], tail, gates=gates, groups=who)


def with_tail(t: Float32Array, tail: Tail) -> Answers:
    """Return the answers of what the head reads: the device output ``t`` (N, D), or a host graph's scores (N, K)."""
    return Answers(t, tail.index(t), tail.logits(t))


def device_rung(
    open_backend: Callable[[], Backend], tail: Tail, behind: Forward = lambda t: t
) -> Callable[[Float32Array], Answers]:
    """Return a rung's ``run`` from a backend, opened when the rung is reached and closed after it.

    Args:
        open_backend: gives the backend.
        tail: the head.
        behind: the host graph, the device's t (N, D) to scores (N, K); usually there is none.
    """

    def run(frames: Float32Array) -> Answers:
        backend = open_backend()
        try:
            return with_tail(behind(backend.infer_batch(frames)), tail)
        finally:
            backend.close()

    return run


def hef_rung(bundle: Bundle, binding: Binding = None) -> Rung:
    """Return the rung of a bundle's HEF on the device of this machine; it is skipped where there is none.

    Args:
        bundle: with at least one HEF.
        binding: a module in the place of ``hailo_platform``; None imports the installed one.
    """
    hefs = {arch: bundle.read("hef", arch) for arch in bundle.hef_architectures}
    shape, width = bundle.preprocess.frame_shape, bundle.device_width
    run = device_rung(
        lambda: open_hailo(
            hefs, shape, width, binding=binding, timeout_s=DEVICE_TIMEOUT_S, outputs=bundle.device_outputs
        ),
        bundle.tail,
        scores_behind(bundle),
    )
    return Rung("hef", "quantised", run, CAUSES["hef"])


def int8_rung(model: bytes, tail: Tail, behind: Forward = lambda t: t, cause_broken: str = "") -> Rung:
    """Return the rung of an int8 preview in onnxruntime; ``cause_broken`` is why it would lose nearly everything."""
    run = device_rung(lambda: OnnxBackend(model, name="onnx-int8"), tail, behind)
    cause = CAUSES["int8-preview"] if isinstance(tail, FsqTail) else SCORES_CAUSE
    return Rung("int8-preview", "quantised", run, cause, cause_broken or BROKEN["int8-preview"])
