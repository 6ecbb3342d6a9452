"""Stand-ins for a Hailo device, on which the way to a device is measured, and never silicon."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.backends.hailo.backend import HailoBackend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.tail import FsqTail
from fsq_edge_runtime.testing import TensorSpec, fake_hailo_platform, hef_bytes

TANH: Final = (-1.0, 1.0)


def stand_in_for(bundle: Bundle) -> HailoBackend:
    """Return the Hailo backend on a device that computes a bundle's device graph on this CPU."""
    graph = bundle.preprocess.frame_shape, bundle.device_width, bundle.read("encoder")
    return fake_device(*graph, _range(bundle))[0]


def silent_device(hefs: dict[str, bytes], generation: int, shape: tuple[int, int, int], size: int) -> HailoBackend:
    """Return the Hailo backend on a device that takes these HEFs and answers zeros.

    Args:
        hefs: by architecture.
        generation: 4 or 5.
        shape: (C', H, W) of the input.
        size: values of the output.
    """
    fake = fake_hailo_platform(generation, devices=tuple(hefs))
    fake.chip.compute_with(lambda _: np.zeros(size, dtype=np.float32))
    return HailoBackend(hefs, shape, size, binding=fake)


def _range(bundle: Bundle) -> tuple[float, float]:
    """Return the limits that a compiler would give the output: a Tanh's, or those of the self-test windows."""
    if isinstance(bundle.tail, FsqTail):
        return TANH
    t = OnnxBackend(bundle.read("encoder")).infer_batch(Preprocessor(bundle.preprocess).frames(bundle.selftest.windows))
    spare = max(float(np.ptp(t)), 1.0)  # other windows reach further
    return float(t.min()) - spare, float(t.max()) + spare


def fake_device(
    frame_shape: tuple[int, int, int],
    dimensions: int,
    graph: bytes | None,
    limits: tuple[float, float] = TANH,
) -> tuple[HailoBackend, Any]:
    """Open the Hailo backend on a stand-in device, which is returned too.

    Args:
        frame_shape: (C', H, W).
        dimensions: of the network's output.
        graph: encoder.onnx that the device computes; None lets it answer zeros.
        limits: least and greatest value of the output.
    """
    fake = fake_hailo_platform(4, graph=graph)
    if graph is None:
        fake.chip.compute_with(lambda frame: np.zeros(dimensions, dtype=np.float32))
    return HailoBackend(
        {"hailo8l": fake_hef(frame_shape, dimensions, limits)}, frame_shape, dimensions, binding=fake
    ), fake


def fake_hef(frame_shape: tuple[int, int, int], dimensions: int, limits: tuple[float, float] = TANH) -> bytes:
    """Return a HEF of such a network for :func:`fake_device`; arguments as there."""
    channels, height, width = frame_shape
    return hef_bytes(
        arch="hailo8l",
        inputs=[TensorSpec("input_layer1", (height, width, channels))],
        outputs=[TensorSpec("fc1", (dimensions,), *limits)],
    )
