"""Batch, instance and layer normalisation, and recurrent layers."""

from __future__ import annotations

from collections.abc import Iterator

from fsq_edge_compile.checker.families.predicate import Breach, Context, Predicate, text
from fsq_edge_compile.checker.graph import Graph, positive_axis


def batch_normalization(context: Context) -> Iterator[Breach]:
    """BatchNormalization: the inference form with constant statistics."""
    node = context.node
    computed = [name for name in node.inputs[1:5] if not context.graph.is_constant(name)]
    if computed:
        yield Breach("batch-norm.computed-statistics", ", ".join(computed))
    if node.attribute("training_mode", 0) or len([name for name in node.outputs if name]) > 1:
        yield Breach("batch-norm.training", "training mode")


def instance_normalization(context: Context) -> Iterator[Breach]:
    """InstanceNormalization: seen on 4-D maps only."""
    if context.rank() not in (4, None):
        yield Breach("instance-norm.rank", text(context.shape()))


def layer_normalization(context: Context) -> Iterator[Breach]:
    """LayerNormalization as one operator: over the channels, or over [C, H, W]."""
    rank, channel = context.rank(), context.channel()
    yield Breach("layer-norm.single-operator", f"opset {context.graph.opset}")
    if rank is None or channel is None:
        return
    axis = positive_axis(int(context.node.attribute("axis", -1)), rank)
    over_channels = axis == rank - 1 == channel
    over_all = axis == 1 and rank == 4 and channel == 1
    if not over_channels and not over_all:
        yield Breach("layer-norm.axis", f"axis {axis} of {text(context.shape())}", f"axis {channel}")
    yield from untracked_layout(context.graph, context.node.input(0))


def untracked_layout(graph: Graph, name: str) -> Iterator[Breach]:
    """A LayerNorm right behind Concat or Reshape has been seen to lose its layout."""
    maker = graph.producer(name)
    if maker is not None and maker.op in ("Add", "Sub"):
        activations = graph.activations(maker)
        maker = graph.producer(activations[0]) if len(activations) == 1 else maker
    if maker is not None and maker.op in ("Concat", "Reshape"):
        yield Breach("layer-norm.untracked-layout", f"{maker.op} {maker.name}")


def lstm(context: Context) -> Iterator[Breach]:
    """LSTM: listed in the documents, refused when bidirectional, and nowhere seen to work unrolled by the compiler."""
    direction = str(context.node.attribute("direction", "forward"))
    if direction == "bidirectional":
        yield Breach("lstm.bidirectional", direction)
    else:
        yield Breach("recurrent.unproven", direction)


def recurrent(context: Context) -> Iterator[Breach]:
    """GRU and RNN: listed in the documents only."""
    yield Breach("recurrent.unproven", str(context.node.attribute("direction", "forward")))


PREDICATES: dict[str, Predicate] = {
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "LSTM": lstm,
    "GRU": recurrent,
    "RNN": recurrent,
}
