"""Recurrent layers."""

from __future__ import annotations

from collections.abc import Iterator

from fsq_edge_compile.checker.families.predicate import Breach, Context, Predicate


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


PREDICATES: dict[str, Predicate] = {"LSTM": lstm, "GRU": recurrent, "RNN": recurrent}
