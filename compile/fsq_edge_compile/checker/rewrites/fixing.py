"""Rewrites a model with every pass that applies, and keeps each only if the outputs stay equal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import external_data_helper

from fsq_edge_compile.checker.graph import elements
from fsq_edge_compile.checker.loading import element_bytes, give_shapes, lighten, read_model
from fsq_edge_compile.checker.native import NativeError
from fsq_edge_compile.checker.normalise import validate
from fsq_edge_compile.checker.rewrites import (
    attention,
    channels_last,
    housekeeping,
    layers,
    masks,
    merging,
    moves,
    spellings,
    turning,
    versions,
)
from fsq_edge_compile.checker.rewrites.proving import (
    MAX_PROTO_BYTES,
    TOLERANCE,
    Prover,
    largest_difference,
    random_feeds,
    responding,
    with_random_weights,
)
from fsq_edge_compile.checker.rewrites.rewrite import Change, Rejection, Rewrite
from fsq_edge_compile.checker.rewrites.standing import standing_of
from fsq_edge_compile.checker.rewrites.workbench import Workbench
from fsq_edge_compile.checker.targets import target_for
from fsq_edge_compile.messages import copied
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError

PASSES: tuple[Rewrite, ...] = (
    versions.RaiseOpset(),
    *housekeeping.PASSES,
    *layers.PASSES,
    *channels_last.PASSES,
    *spellings.PASSES,
    *attention.PASSES,
    *masks.PASSES,
    *merging.PASSES,
    *turning.PASSES,
    *moves.PASSES,
    housekeeping.RemoveNoOps(),
    versions.LowerOpset(),
    versions.ConvertIr(),
    housekeeping.GiveNames(),
    housekeeping.DeclareOutputs(),
)
DEFAULT_RANGE = (-3.0, 3.0)
RANDOM_SETS = 3
MAX_ROUNDS = 10
# Inner tensors that one proof compares, beside the outputs.
MAX_COMPARED = 48
# They are kept for all inputs at once; attention over thousands of tokens alone has tensors of this size.
MAX_COMPARED_BYTES = 128 << 20
# Every proof runs the model, and to open a graph takes a fifth of a millisecond a node.
MAX_FIXED_NODES = 50_000
FLOAT_BYTES = 4


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
            "changes": [{**asdict(change), "nodes": list(change.nodes)} for change in self.changes],
            "rejections": [asdict(rejection) for rejection in self.rejections],
        }


def fix(
    model: str | Path | onnx.ModelProto,
    arch: str = "hailo8l",
    dfc: str | None = None,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    value_range: tuple[float, float] = DEFAULT_RANGE,
    samples: Sequence[Mapping[str, AnyArray]] = (),
    seed: int = 0,
) -> FixResult:
    """Rewrite a model into spellings that the compiler was seen to take.

    Every pass is tried on its own, and all of them again until nothing changes. A pass is kept only if all outputs of
    the whole model, the tensors at the cut and those behind the rewritten nodes stay equal to the original's (to 1e-4
    of the largest value) on random inputs and on the samples given, and only if something among them responds to the
    input. The models run in a child process with limits on memory and time. A model that would stand worse before the
    compiler afterwards, by its verdict or the device's share of the work, is left as it was.

    Args:
        model: path of an .onnx file, or a model in memory, which is not changed.
        arch: chip of that check, as for ``check``.
        dfc: compiler version of that check.
        input_shapes: sizes of graph inputs by name, in place of those in the model.
        value_range: bounds of the random float inputs: the range of the network's real input.
        samples: further inputs by name, for example from the calibration set.
        seed: of the random inputs.

    Raises:
        MissingInputError: the file cannot be read.
        UsageError: unknown chip or compiler.
        DataError: the file is no valid model, it has too many nodes, or onnxruntime cannot run it, so that nothing
            could be proven.
    """
    target = target_for(arch, dfc)
    whole = load_whole(model)
    _require_size(whole)
    give_shapes(whole, input_shapes or {})
    inlined = _weights_beside(model)
    feeds = [*random_feeds(whole, RANDOM_SETS, value_range, seed), *samples]
    before = standing_of(whole, target)
    with Prover(whole) as prover:
        session = _Session(whole, feeds, prover, before.ends if before else ())
        session.repeat()
    changes = [Change("inline-weights", "weights beside the file are stored in it", inlined, 0.0)] if inlined else []
    after = standing_of(session.model, target) if before and session.changes else None
    loss = before.loss(after) if before and after else ""
    if loss:
        return FixResult(whole, tuple(changes), (*session.rejections, Rejection("all", loss)))
    return FixResult(session.model, (*changes, *session.changes), tuple(session.rejections))


def _require_size(model: onnx.ModelProto) -> None:
    count = len(model.graph.node)
    if count > MAX_FIXED_NODES:
        raise DataError(
            f"{model.graph.name or 'the graph'} has {count:,} nodes; rewrites are proven by running the model, for at "
            f"most {MAX_FIXED_NODES:,}",
            hint="check it without --fix",
        )


def load_whole(model: str | Path | onnx.ModelProto) -> onnx.ModelProto:
    """Return a valid model with every weight inline, as a copy.

    Raises:
        MissingInputError: the file cannot be read.
        DataError: not a valid model, or its weights cannot be loaded or are too large for one file.
    """
    if isinstance(model, onnx.ModelProto):
        whole, folder, name = copied(model), None, model.graph.name or "model"
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


class _Session:
    """One model on its way through the passes.

    Args:
        model: as loaded.
        feeds: inputs of the proof.
        prover: runs models.
        cuts: inner tensors that every pass has to keep, as far as they are still there.
    """

    def __init__(
        self, model: onnx.ModelProto, feeds: Sequence[Mapping[str, AnyArray]], prover: Prover, cuts: Sequence[str]
    ) -> None:
        self.model = model
        self.changes: list[Change] = []
        self.rejections: list[Rejection] = []
        self._feeds = feeds
        self._prover = prover
        self._cuts = cuts
        self._bench = Workbench(model)
        # Proves that the model runs at all.
        self._expected = prover.run(model, feeds)

    def repeat(self) -> None:
        """Try every pass again until none changes anything or the time is over."""
        refused: set[str] = set()
        for _ in range(MAX_ROUNDS):
            before = len(self.changes)
            for rewrite in PASSES:
                if self._prover.left_s <= 0:
                    self.rejections.append(Rejection("all", "the time for proofs is over; what was proven is kept"))
                    return
                if rewrite.name not in refused and not self._try(rewrite):
                    refused.add(rewrite.name)
            if len(self.changes) == before:
                return

    def _try(self, rewrite: Rewrite) -> bool:
        """Keep a pass if it applies and is proven; False when it was tried and undone."""
        if not rewrite.requires(self._bench):
            return True
        candidate = copied(self.model)
        bench = Workbench(candidate)
        try:
            nodes = rewrite.call(bench)
            if not nodes:
                return True
            difference = self._prove(rewrite, bench, nodes)
        except (DataError, NativeError) as error:
            self.rejections.append(Rejection(rewrite.name, str(error)))
            return False
        self._note(Change(rewrite.name, rewrite.summary, tuple(nodes), difference))
        self.model, self._bench = candidate, bench
        return True

    def _note(self, change: Change) -> None:
        """Add a change; a pass that is kept in several rounds is one change."""
        for index, known in enumerate(self.changes):
            if known.rewrite == change.rewrite:
                nodes = tuple(dict.fromkeys((*known.nodes, *change.nodes)))
                worst = max(known.difference, change.difference)
                self.changes[index] = Change(change.rewrite, change.summary, nodes, worst)
                return
        self.changes.append(change)

    def _prove(self, rewrite: Rewrite, bench: Workbench, nodes: Sequence[str]) -> float:
        """Return the largest relative difference of outputs, cut tensors and the tensors behind rewritten nodes.

        Raises:
            DataError: not the promised form, not valid, does not run, a tensor differs, or none responds to the input.
        """
        if not rewrite.ensures(bench):
            raise DataError("the result does not have the promised form")
        validate(lighten(bench.model, "the result", None).proto, "the result")
        outputs = [value.name for value in self.model.graph.output]
        inner = self._comparable(bench, nodes)
        expected = self._expected
        if inner:
            runs = self._prover.run(self.model, self._feeds, inner)
            expected = [{**known, **run} for known, run in zip(expected, runs, strict=True)]
        if len(self._feeds) > 1 and not responding(expected):
            return self._prove_with_other_weights(rewrite, inner)
        found = self._prover.run(bench.model, self._feeds, [*outputs, *inner])
        difference = largest_difference(expected, found)
        if not difference <= TOLERANCE:
            raise DataError(f"outputs differ by {difference:.2g} of their largest value")
        return difference

    def _prove_with_other_weights(self, rewrite: Rewrite, inner: Sequence[str]) -> float:
        """Prove a pass on the model with random weights, where its own leave nothing that responds to the input.

        Raises:
            DataError: nothing responds all the same, or a tensor differs.
        """
        original = with_random_weights(self.model)
        rewritten = copied(original)
        rewrite.call(Workbench(rewritten))
        wanted = [*(value.name for value in original.graph.output), *inner]
        expected = self._prover.run(original, self._feeds, wanted)
        if not responding(expected):
            raise DataError("neither an output nor an inner tensor responds to the input, so nothing can be proven")
        difference = largest_difference(expected, self._prover.run(rewritten, self._feeds, wanted))
        if not difference <= TOLERANCE:
            raise DataError(f"with random weights, outputs differ by {difference:.2g} of their largest value")
        return difference

    def _comparable(self, bench: Workbench, nodes: Sequence[str]) -> list[str]:
        """Return inner float tensors that both models make: at the cut and behind the rewritten nodes."""
        changed = set(nodes)
        behind = [name for node in self.model.graph.node if node.name in changed for name in node.output if name]
        outputs = {value.name for value in self.model.graph.output}
        common = [
            name
            for name in dict.fromkeys((*self._cuts, *behind))
            if name in self._bench.producers
            and name in bench.producers
            and name not in outputs
            and self._bench.dtypes.get(name) == onnx.TensorProto.FLOAT
            and self._bench.shapes.get(name) == bench.shapes.get(name)
        ]
        room, kept = MAX_COMPARED_BYTES // max(1, len(self._feeds)), []
        for name in common[:MAX_COMPARED]:
            size = FLOAT_BYTES * (elements(self._bench.shapes.get(name)) or 0)
            if size <= room:
                room -= size
                kept.append(name)
        return kept
