"""Opening the Hailo device: with the vendor's library in a process of its own, or in this one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fsq_edge_runtime.backends.hailo.binding import Binding, fake_in_place, is_installed, not_installed
from fsq_edge_runtime.onnx_graph import DeviceOutput

if TYPE_CHECKING:
    from fsq_edge_runtime.backends.hailo.backend import HailoBackend
    from fsq_edge_runtime.backends.hailo.process import HailoProcess


def open_hailo(
    hefs: Mapping[str, bytes],
    frame_shape: tuple[int, int, int],
    output_size: int,
    *,
    binding: Binding = None,
    isolated: bool = True,
    timeout_s: float = 1.0,
    outputs: tuple[DeviceOutput, ...] = (),
) -> HailoBackend | HailoProcess:
    """Open the device that is here with the HEF that is for it.

    Args:
        hefs: architecture -> bytes of the HEF.
        frame_shape: (C', H, W) of the bundle's frames.
        output_size: values of an answer: D, or D + F where the features are wanted behind ``t``.
        binding: a module in the place of ``hailo_platform``, which then runs in this process.
        isolated: whether the installed binding runs in a process of its own, so that a silent or lost device cannot
            stop this one. Needs Linux; elsewhere, and with a fake in the binding's place, it runs in this process.
        timeout_s: the longest that one inference may take when no deadline is given.
        outputs: that the network has on the device, in the order of an answer; empty is one of ``output_size``.

    Raises:
        BackendError: no binding, no device, no HEF for it, a HEF that is damaged or does not fit the bundle, or
            HailoRT refuses; ``status`` has HailoRT's code.
    """
    if binding is None and not is_installed():
        raise not_installed()
    if isolated and binding is None and not fake_in_place() and sys.platform == "linux":
        from fsq_edge_runtime.backends.hailo.process import HailoProcess

        return HailoProcess(hefs, frame_shape, output_size, timeout_s=timeout_s, outputs=outputs)
    from fsq_edge_runtime.backends.hailo.backend import HailoBackend

    return HailoBackend(hefs, frame_shape, output_size, binding=binding, timeout_s=timeout_s, outputs=outputs)
