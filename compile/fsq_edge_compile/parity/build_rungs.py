"""The rungs of a BUILD folder: torch, the graphs of the export, the int8 preview, the compiler's emulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.dfc.emulator import read_emulator
from fsq_edge_compile.int8.probe import ActivationProbe
from fsq_edge_compile.onnx_file import simplify
from fsq_edge_compile.parity.bundle_rungs import BROKEN, CAUSES, Forward, device_rung, int8_rung, with_tail
from fsq_edge_compile.parity.ladder import Answers, Gates, LadderReport, Rung, run_ladder
from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.score_tails import Tail
from fsq_edge_runtime.tail import FsqTail


def ladder_of_build(
    build: BuildFolder, *, gates: Gates | None = None, forward: Forward | None = None, extra: Sequence[Rung] = ()
) -> LadderReport:
    """Climb from torch to the int8 preview on the held-out windows of a BUILD folder.

    Args:
        build: with ``model.onnx``, ``encoder.onnx``, ``head.npz``, ``reference.npz`` and, where it was made,
            ``encoder_int8.onnx`` and the compiler's ``emulator.npz``.
        gates: what must hold.
        forward: frames (N, C', H, W) to torch's ``t`` (N, D); None takes the answers that export stored.
        extra: further rungs, such as the compiler's emulator or a HEF on a device.

    Raises:
        MissingInputError: a file is missing.
        DataError: parts that do not fit together.
    """
    held_out = build.reference().frames(build.preprocess)
    tail = build.tail
    if not isinstance(tail, FsqTail):
        rungs = _score_rungs(build, held_out.t, tail)
        rungs += emulator_rungs(build, held_out.rows, tail)
        everything = [*rungs, *extra]
        return run_ladder(held_out.frames, held_out.labels, everything, tail, gates=gates, groups=held_out.subjects)
    full = _read_model(build.read("model.onnx"))
    rungs = [
        Rung("torch", "exact", lambda frames: with_tail(forward(frames) if forward else held_out.t, tail), ""),
        Rung("onnx", "exact", _full_graph(full), CAUSES["onnx"]),
        Rung("simplified", "exact", lambda frames: _full_graph(simplify(full))(frames), CAUSES["simplified"]),
        Rung("split", "exact", device_rung(lambda: OnnxBackend(build.read("encoder.onnx")), tail), CAUSES["split"]),
    ]
    if build.has("encoder_int8.onnx"):
        rungs.append(int8_rung(build.read("encoder_int8.onnx"), tail, cause_broken=_other_export(build)))
    rungs += emulator_rungs(build, held_out.rows, tail)
    return run_ladder(held_out.frames, held_out.labels, [*rungs, *extra], tail, gates=gates, groups=held_out.subjects)


def _score_rungs(build: BuildFolder, original: Float32Array, tail: Tail) -> list[Rung]:
    """Return the rungs of a network that was trained elsewhere: its own file, device and host graph, int8 preview."""
    split = device_rung(lambda: OnnxBackend(build.read("encoder.onnx")), tail, build.scores_of)
    rungs = [
        Rung("original", "exact", lambda _: with_tail(original, tail), ""),
        Rung("split", "exact", split, "the rewritten graph is not the network's: report it, and build with --force"),
    ]
    if build.has("encoder_int8.onnx"):
        model, other = build.read("encoder_int8.onnx"), _other_export(build)
        rungs.append(int8_rung(model, build.int8_tail, build.scores_of, other))
    return rungs


def _other_export(build: BuildFolder) -> str:
    """Return that the int8 graph was made from another export, where its weights are not the device graph's, or ``""``.

    A weight that was rounded lies within half a step of its float value; two steps leave room for what a quantizer
    merges into it.
    """
    graphs = [_read_model(build.read(name)).graph for name in ("encoder.onnx", "encoder_int8.onnx")]
    weights, rounded = ({one.name: numpy_helper.to_array(one) for one in graph.initializer} for graph in graphs)
    for name, weight in weights.items():
        levels, step = (rounded.get(f"{name}_{part}") for part in ("quantized", "scale"))
        if levels is None or step is None or levels.shape != weight.shape:
            continue
        # One step for the whole, or one a channel, which is another axis in a Conv than in a ConvTranspose or MatMul.
        axes = [axis for axis in range(weight.ndim) if weight.shape[axis] == step.size] if step.size > 1 else [0]
        steps = (step.reshape([-1 if at == axis else 1 for at in range(weight.ndim)]) for axis in axes)
        if not any((np.abs(levels * one - weight) <= 2 * one).all() for one in steps):
            return f"encoder_int8.onnx is from another export: fsq-edge quantize {build.path} makes it again"
    return ""


def emulator_rungs(build: BuildFolder, rows: Int64Array, tail: Tail) -> list[Rung]:
    """Return the rungs of every compilation of a BUILD folder: what the compiler's emulator said of its windows.

    Args:
        build: the folder; ``compiled/ARCH/emulator.npz`` is what a compilation left there.
        rows: (N,) which windows of ``reference.npz`` the ladder's windows are.
        tail: the host tail.

    Raises:
        DataError: an ``emulator.npz`` is damaged.
    """
    found = sorted((build.path / "compiled").glob("*/emulator.npz"))
    rungs = []
    for path in found:
        outputs = read_emulator(path)
        known = np.isin(outputs.reference_index, rows)
        where = np.searchsorted(rows, outputs.reference_index[known])
        for stage, t in outputs.t.items():
            name = "dfc-" + stage.replace("_", "-")
            label = name if len(found) == 1 else f"{name} {path.parent.name}"
            rungs.append(
                Rung(
                    label,
                    "quantised",
                    lambda _, t=t[known]: with_tail(build.scores_of(t), tail),  # type: ignore[misc]  # bound at once, per stage
                    CAUSES[name],
                    BROKEN.get(name, ""),
                    rows=where,
                )
            )
    return rungs


def _full_graph(model: Any) -> Callable[[Float32Array], Answers]:
    """Run ``model.onnx`` and show its Tanh beside its outputs."""

    def run(frames: Float32Array) -> Answers:
        ends = [node.output[0] for node in model.graph.node if node.op_type == "Tanh"]
        if [output.name for output in model.graph.output] != ["logits", "index"] or len(ends) != 1:
            raise DataError("model.onnx is not a full graph: expected the outputs logits and index, and one Tanh")
        probe = ActivationProbe(model, [ends[0], "logits", "index"])
        rows = list(probe.observe(frames))
        return Answers(
            t=np.concatenate([row[ends[0]] for row in rows]),
            codes=np.concatenate([row["index"].ravel() for row in rows]).astype(np.int64),
            logits=np.concatenate([row["logits"] for row in rows]),
        )

    return run


def _read_model(data: bytes) -> Any:
    try:
        return onnx.load_from_string(data)
    except Exception as error:
        raise DataError(f"a graph of the folder is no readable ONNX model: {error}") from error
