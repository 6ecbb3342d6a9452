"""Groups of nodes that the compiler takes, or refuses, as one.

A matcher looks at one anchor node and returns claims on the nodes around it. A claim that accepts a node replaces
what the operator's own row and predicate would say of it; a claim may add findings of its own.
"""

from __future__ import annotations

from fsq_edge_compile.checker.graph import Graph
from fsq_edge_compile.checker.patterns.activations import gelu, hard_swish, mish, silu, tanh_gelu
from fsq_edge_compile.checker.patterns.attention import attention
from fsq_edge_compile.checker.patterns.matching import Claim, Claims, Matcher
from fsq_edge_compile.checker.patterns.norms import group_norm, layer_norm
from fsq_edge_compile.checker.patterns.pooling import padded_max_pool
from fsq_edge_compile.checker.patterns.relabelling import FLATTENED, relabellings
from fsq_edge_compile.checker.patterns.shuffles import (
    channel_shuffle,
    layout_excursion,
    one_hot,
    redundant_expand,
    time_first,
    undone_unsqueeze,
)

# Anchor operator -> matchers, in order of preference. The first claim on a node stands.
MATCHERS: dict[str, tuple[Matcher, ...]] = {
    "Erf": (gelu,),
    "Sigmoid": (silu,),
    "HardSigmoid": (hard_swish,),
    "Clip": (hard_swish,),
    "Softplus": (mish,),
    "Tanh": (tanh_gelu,),
    "Softmax": (attention,),
    "Sqrt": (layer_norm,),
    "InstanceNormalization": (group_norm,),
    "OneHot": (one_hot,),
    "Expand": (redundant_expand,),
    "Unsqueeze": (undone_unsqueeze,),
    "Pad": (padded_max_pool,),
}
# Transposes last: attention claims its own.
LATE_MATCHERS: dict[str, tuple[Matcher, ...]] = {
    "Transpose": (channel_shuffle, layout_excursion, time_first),
}


def find_patterns(graph: Graph, channels: dict[str, int]) -> Claims:
    """Return the claims on nodes, by node name.

    Args:
        graph: the normalised graph.
        channels: channel axis by tensor name.
    """
    claims: Claims = {}
    for table in (MATCHERS, LATE_MATCHERS):
        for node in graph.nodes:
            if node.domain or node.name in claims:
                continue
            for matcher in table.get(node.op, ()):
                found = matcher(graph, channels, node)
                if found:
                    for name, claim in found.items():
                        claims.setdefault(name, claim)
                    break
    claims.update(relabellings(graph, channels, claims))
    return claims


__all__ = ["FLATTENED", "Claim", "Claims", "find_patterns"]
