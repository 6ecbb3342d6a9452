"""What counts as windows: arrays and tensors of numbers, brought into one shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from fsq_edge.data.recording import Channel
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError


def as_array(x: Any) -> AnyArray:
    """Return a numpy view of an array or a torch tensor (detached, on the CPU), without importing torch.

    Raises:
        DataError: not numbers.
    """
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = (x.float() if x.is_floating_point() else x).numpy()  # numpy has no bfloat16
    array = np.asarray(x)
    if array.dtype.kind not in "fiu":
        raise DataError(f"expected an array of numbers, got {array.dtype}")
    return array


def as_windows(array: AnyArray) -> AnyArray:
    """Return (N, C, T) of windows, unfolding (N, C, H, W).

    Raises:
        DataError: another rank, or empty.
    """
    if array.ndim not in (3, 4) or not array.size:
        raise DataError(
            f"expected windows (N, channels, samples), at least one, got shape {array.shape}",
            hint="cut recordings into windows first, or analyse a data set",
        )
    return array.reshape(*array.shape[:2], -1)


def channels_for(windows: AnyArray, declared: tuple[Channel, ...]) -> tuple[Channel, ...]:
    """Return the declared channels, or numbered ones without unit.

    Raises:
        DataError: the count differs.
    """
    count = windows.shape[1]
    if declared and len(declared) != count:
        raise DataError(f"the windows have {count} channels, {len(declared)} are declared")
    return declared or tuple(Channel(f"channel {i}", "") for i in range(count))
