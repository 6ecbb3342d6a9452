"""The HEFs of a bundle: which may be given to HailoRT, and which is for the device that is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fsq_edge_runtime.backends.hailo.errors import from_status
from fsq_edge_runtime.errors import BackendError, DataError
from fsq_edge_runtime.hef import DEVICES, HefReport, inspect_hef
from fsq_edge_runtime.hef.outputs import in_order
from fsq_edge_runtime.onnx_graph import DeviceOutput

CORRUPT, WRONG_DEVICE = 91, 93


def inspect_hefs(
    hefs: Mapping[str, bytes], frame_shape: tuple[int, int, int], outputs: Sequence[DeviceOutput]
) -> dict[str, HefReport]:
    """Read HEFs before HailoRT sees them, which crashes on some, and compare them with the bundle.

    Args:
        hefs: architecture -> bytes.
        frame_shape: (C', H, W) of the bundle's frames.
        outputs: that the network has on the device, in the order of an answer.

    Raises:
        BackendError: there is none, or one is damaged, or must not be given to HailoRT, or has other shapes.
    """
    if not hefs:
        raise BackendError("the bundle has no HEF", hint="fsq-edge bundle add-hef BUNDLE FILE")
    return {name: _inspect(name, data, frame_shape, outputs) for name, data in hefs.items()}


def _inspect(name: str, data: bytes, frame_shape: tuple[int, int, int], outputs: Sequence[DeviceOutput]) -> HefReport:
    try:
        report = inspect_hef(data)
    except DataError as error:
        raise BackendError(
            f"the HEF for {name} is damaged: {error.message}", hint=error.hint, status=CORRUPT
        ) from error
    if report.fault:
        raise BackendError(
            f"the HEF for {name} is not given to HailoRT: {report.fault}", hint="compile it again", status=CORRUPT
        )
    channels, height, width = frame_shape
    got, wanted = report.inputs[0].shape, (height, width, channels)
    hint = "compile the bundle's own encoder.onnx: fsq-edge compile BUILD"
    if len(report.inputs) != 1 or got != wanted:
        shapes = " and ".join(str(tensor.shape) for tensor in report.inputs)
        raise BackendError(f"the HEF for {name} takes {shapes}, the bundle gives (H, W, C) = {wanted}", hint=hint)
    try:
        in_order(report.outputs, outputs)
    except DataError as error:
        raise BackendError(f"the HEF for {name} does not fit the bundle: {error.message}", hint=hint) from error
    return report


def choose_hef(reports: Mapping[str, HefReport], device: str | None, generation: int) -> str:
    """Return the architecture of the HEF to use: the device's own first, else one that it also loads.

    A device that does not say what it is, or says what its stack cannot drive, gets the first HEF of the generation;
    HailoRT refuses it if it does not fit.

    Args:
        reports: architecture that each HEF is filed under -> what our inspector says of it.
        device: architecture that the device names, such as ``hailo8l``.
        generation: major version of the binding.

    Raises:
        BackendError: none of them fits; its status is that of a HEF for another device.
    """
    here = device
    if here not in DEVICES or here.startswith("hailo8") != (generation == 4):
        here = None
    if here is None:
        fitting = [name for name, report in reports.items() if report.generation == generation]
    else:
        fitting = [name for name, report in reports.items() if here in report.devices]
        fitting.sort(key=lambda name: here not in reports[name].architecture.targets)
    if not fitting:
        error = from_status(
            f"the bundle has HEFs for {', '.join(reports)}, the device is {here or 'unnamed'}: loading", 93
        )
        raise BackendError(error.message, hint=error.hint, status=WRONG_DEVICE)
    return fitting[0]
