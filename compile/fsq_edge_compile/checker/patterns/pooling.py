"""A max pool whose padding stands in front of it as an operator of its own."""

from __future__ import annotations

import numpy as np

from fsq_edge_compile.checker.families.predicate import Breach
from fsq_edge_compile.checker.graph import Graph, Node
from fsq_edge_compile.checker.patterns.matching import Claim, Claims, reader


def padded_max_pool(graph: Graph, channels: dict[str, int], pad: Node) -> Claims:
    """Minus infinity around a map that only a MaxPool reads: the simplifier makes it the pool's padding.

    The vendor's parser tries a simplified graph before it gives up, and onnx-simplifier merges exactly this value.
    """
    pool = reader(graph, pad, "MaxPool")
    rank, pads = graph.rank(pad.input(0)) or 0, graph.integers(pad, 1, "pads")
    value = graph.scalar(pad.input(2)) if pad.input(2) else pad.attribute("value", 0.0)
    if pool is None or value != -np.inf or pad.attribute("mode", "constant") != "constant" or pad.input(3):
        return {}
    if not pads or len(pads) != 2 * rank or min(pads) < 0 or any((*pads[:2], *pads[rank : rank + 2])):
        return {}
    return {pad.name: Claim("padded-pool", row="MaxPool", breaches=(Breach("pad.of-max-pool", str(list(pads))),))}
