"""Does a network normalise its input by itself, so that the preprocess file would do it a second time?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fsq_edge_compile.foreign.network_input import NetworkInput
    from fsq_edge_compile.foreign.reading import ForeignNetwork

MOVING: Final = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Cast", "Flatten")
SCALING: Final = ("Sub", "Add", "Mul", "Div", "BatchNormalization", "InstanceNormalization", "LayerNormalization")
OWN_STATISTICS: Final = ("ReduceMean", "GlobalAveragePool")  # of the input: a z-score inside the network


def normalizes_twice(network: ForeignNetwork, given: NetworkInput) -> str:
    """Return a warning where both the preprocess file and the network's first node normalise; else nothing."""
    if given.normalization.kind == "none":
        return ""
    tensor = network.source
    for _ in range(len(network.model.graph.node)):
        readers = [node for node in network.model.graph.node if tensor in node.input]
        if len(readers) == 1 and readers[0].op_type in MOVING:
            tensor = readers[0].output[0]
            continue
        operators = [node.op_type for node in readers]
        found = [operator for operator in operators if operator in SCALING]
        if not found or (len(readers) > 1 and not set(operators) & set(OWN_STATISTICS)):
            return ""
        return (
            f"the network's first node is {found[0]}, as if it normalised its input itself, and the preprocess file "
            f"does too ({given.normalization.kind}): write normalization: {{kind: none}} unless the training did both"
        )
    return ""
