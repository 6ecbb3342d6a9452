"""Which output of a HEF is which of its bundle's: a compiler may file them in any order."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.hef.report import HefTensor
from fsq_edge_runtime.onnx_graph import DeviceOutput


def in_order(tensors: Sequence[HefTensor], outputs: Sequence[DeviceOutput]) -> list[HefTensor]:
    """Return a HEF's outputs in the order of the graph's: by the node that each was made from, else by size.

    Args:
        tensors: outputs of a HEF.
        outputs: of the device graph; a node is compared where both sides name one.

    Raises:
        DataError: another number of outputs, one that is missing or has another size, or two that look alike.
    """
    if len(tensors) != len(outputs):
        expected = "one of each" if len(outputs) == 1 else f"one input and {len(outputs)} outputs"
        raise DataError(f"{len(tensors)} outputs, expected {expected}")
    left = list(tensors)
    ordered = []
    for output in outputs:
        found = _matching(left, output)
        left.remove(found)
        ordered.append(found)
    return ordered


def _matching(left: Sequence[HefTensor], output: DeviceOutput) -> HefTensor:
    if output.node and any(tensor.original_names for tensor in left):
        named = [tensor for tensor in left if output.node in tensor.original_names]
        if len(named) != 1:
            raise DataError(f"{len(named) or 'no'} outputs are made from the node {output.node!r}, expected one")
        if (size := math.prod(named[0].shape)) != output.values:
            raise DataError(f"{named[0].name} has {size} values, what {output.node!r} makes has {output.values}")
        return named[0]
    sized = [tensor for tensor in left if math.prod(tensor.shape) == output.values]
    if not sized or (output.node and len(sized) > 1):
        sizes = " and ".join(str(math.prod(tensor.shape)) for tensor in left)
        what = "several outputs have" if sized else f"the outputs have {sizes} values, none"
        raise DataError(f"{what} the {output.values} of {output.node or 'the graph'}, and the HEF names no nodes")
    return sized[0]
