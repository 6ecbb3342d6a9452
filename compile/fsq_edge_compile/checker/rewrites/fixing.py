"""Rewrites a model with every pass that applies, and keeps each only if the outputs stay equal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import external_data_helper

from fsq_edge_compile.checker.loading import element_bytes, give_shapes, lighten, read_model
from fsq_edge_compile.checker.native import NativeError
from fsq_edge_compile.checker.normalise import validate
from fsq_edge_compile.checker.rewrites import housekeeping, layers, masks, spellings, versions
from fsq_edge_compile.checker.rewrites.proving import (
    MAX_PROTO_BYTES,
    TOLERANCE,
    Runner,
    largest_difference,
    random_feeds,
)
from fsq_edge_compile.checker.rewrites.rewrite import Change, Rejection, Rewrite
from fsq_edge_compile.checker.rewrites.workbench import Workbench
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError

PASSES: tuple[Rewrite, ...] = (
    versions.RaiseOpset(),
    *housekeeping.PASSES,
    *layers.PASSES,
    *spellings.PASSES,
    *masks.PASSES,
    housekeeping.RemoveNoOps(),
    versions.LowerOpset(),
    versions.ConvertIr(),
    housekeeping.GiveNames(),
    housekeeping.DeclareOutputs(),
)
DEFAULT_RANGE = (-3.0, 3.0)
RANDOM_SETS = 3


@dataclass(frozen=True, slots=True)
class FixResult:
    """A rewritten model and the record of how it came about.

    Attributes:
        model: weights inline.
        changes: passes that were kept, in order.
        rejections: passes that were undone, with the reason.
    """

    model: onnx.ModelProto
    changes: tuple[Change, ...]
    rejections: tuple[Rejection, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return {
            "changes": [change.to_dict() for change in self.changes],
            "rejections": [rejection.to_dict() for rejection in self.rejections],
        }


def fix(
    model: str | Path | onnx.ModelProto,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    value_range: tuple[float, float] = DEFAULT_RANGE,
    samples: Sequence[Mapping[str, AnyArray]] = (),
    seed: int = 0,
) -> FixResult:
    """Rewrite a model into spellings that the compiler was seen to take.

    Every pass is tried on its own; it is kept only if all outputs of the whole model stay equal to the original's
    (to 1e-4 of the output's largest value) on random inputs and on the samples given.

    Args:
        model: path of an .onnx file, or a model in memory, which is not changed.
        input_shapes: sizes of graph inputs by name, in place of those in the model.
        value_range: bounds of the random float inputs: the range of the network's real input.
        samples: further inputs by name, for example from the calibration set.
        seed: of the random inputs.

    Raises:
        MissingInputError: the file cannot be read.
        DataError: the file is no valid model, or onnxruntime cannot run it, so that nothing could be proven.
    """
    whole = load_whole(model)
    give_shapes(whole, input_shapes or {})
    inlined = _weights_beside(model)
    feeds = [*random_feeds(whole, RANDOM_SETS, value_range, seed), *samples]
    expected = _run_all(whole, feeds)
    changes: list[Change] = []
    rejections: list[Rejection] = []
    if inlined:
        changes.append(Change("inline-weights", "weights beside the file are stored in it", inlined, 0.0))
    for rewrite in PASSES:
        whole = _try(rewrite, whole, feeds, expected, changes, rejections)
    return FixResult(whole, tuple(changes), tuple(rejections))


def load_whole(model: str | Path | onnx.ModelProto) -> onnx.ModelProto:
    """Return a valid model with every weight inline, as a copy.

    Raises:
        MissingInputError: the file cannot be read.
        DataError: not a valid model, or its weights cannot be loaded or are too large for one file.
    """
    if isinstance(model, onnx.ModelProto):
        whole, folder, name = onnx.ModelProto(), None, model.graph.name or "model"
        whole.CopyFrom(model)
    else:
        whole, folder, name = read_model(model), Path(model).parent, Path(model).name
    # The same tests as for a check: sizes, names, places of external data.
    light = lighten(whole, name, folder)
    size = sum(math.prod(item.shape) * (element_bytes(item.dtype) or 1) for item in light.stand_ins.values())
    if size > MAX_PROTO_BYTES:
        raise DataError(
            f"{name} has {size / 2**30:.1f} GiB of weights, more than one file can hold",
            hint="check it without --fix and --split, which need the weights",
        )
    if folder is not None:
        try:
            external_data_helper.load_external_data_for_model(whole, str(folder))
        except Exception as error:
            raise DataError(f"{name}: the weights beside the file cannot be loaded: {error}") from error
    return whole


def _weights_beside(model: str | Path | onnx.ModelProto) -> tuple[str, ...]:
    if isinstance(model, onnx.ModelProto):
        return ()
    tensors = read_model(model).graph.initializer
    return tuple(tensor.name for tensor in tensors if tensor.data_location == onnx.TensorProto.EXTERNAL)


def _run_all(model: onnx.ModelProto, feeds: Sequence[Mapping[str, AnyArray]]) -> list[dict[str, Any]]:
    runner = Runner(model)
    return [runner(feed) for feed in feeds]


def _try(
    rewrite: Rewrite,
    model: onnx.ModelProto,
    feeds: Sequence[Mapping[str, AnyArray]],
    expected: Sequence[Mapping[str, Any]],
    changes: list[Change],
    rejections: list[Rejection],
) -> onnx.ModelProto:
    """Return the model after the pass, or the model as it was when the pass is not kept."""
    candidate = onnx.ModelProto()
    candidate.CopyFrom(model)
    bench = Workbench(candidate)
    if not rewrite.requires(bench):
        return model
    try:
        nodes = rewrite.call(bench)
        difference = _proven(rewrite, bench, feeds, expected) if nodes else 0.0
    except (DataError, NativeError) as error:
        rejections.append(Rejection(rewrite.name, str(error)))
        return model
    if not nodes:
        return model
    changes.append(Change(rewrite.name, rewrite.summary, tuple(nodes), difference))
    return candidate


def _proven(
    rewrite: Rewrite,
    bench: Workbench,
    feeds: Sequence[Mapping[str, AnyArray]],
    expected: Sequence[Mapping[str, Any]],
) -> float:
    """Return the largest relative difference of a rewritten model's outputs.

    Raises:
        DataError: not the promised form, not valid, does not run, or the outputs differ.
    """
    if not rewrite.ensures(bench):
        raise DataError("the result does not have the promised form")
    validate(lighten(bench.model, "the result", None).proto, "the result")
    difference = largest_difference(expected, _run_all(bench.model, feeds))
    if not difference <= TOLERANCE:
        raise DataError(f"outputs differ by {difference:.2g} of their largest value")
    return difference
