"""Is this HEF the network that a bundle expects, quantised for the data that the bundle's preprocessing makes?

HailoRT clips every input value to the quantisation limits. A HEF calibrated with noise in [0, 1) maps every negative
z-score to 0: it loads, runs and answers at chance. Nothing else in the tool chain notices.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fsq_edge_runtime.bundle.expected_values import ExpectedValues, expected_values
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.findings import Finding, Severity, error, finding, info, warning
from fsq_edge_runtime.hef.outputs import in_order
from fsq_edge_runtime.hef.record import HefRecord
from fsq_edge_runtime.hef.report import HefReport, HefTensor
from fsq_edge_runtime.onnx_graph import DeviceOutput, GraphEnd, read_device_end
from fsq_edge_runtime.tail import FsqTail

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

CLIPPED_ERROR = 0.02  # share of input values beyond the limits; clipping at 5 sigma alone costs below 0.001
CLIPPED_WARNING = 0.002
WIDE_LIMITS = 4.0  # limits this much wider than the data waste two of eight bits
STEP_WARNING = 0.125  # of the distance between two digits: a quarter of the way to a rounding boundary

# The compile driver names the network MODEL_PPPPPPPP_EEEEEEEE: first 8 hex digits of the hashes of the preprocessing
# and of encoder.onnx, so that the HEF itself says what it was made from.
TAGGED_NAME = re.compile(r"[A-Za-z0-9_]+_([0-9a-f]{8})_([0-9a-f]{8})")


def compare_hef(report: HefReport, bundle: Bundle, record: HefRecord | None = None) -> tuple[Finding, ...]:
    """Compare a HEF with the bundle it shall serve.

    Args:
        report: what the HEF says.
        bundle: the verified bundle.
        record: what the compilation wrote beside the HEF; None compares the hashes in the network's name.

    Returns:
        Findings; no error among them means that it fits.
    """
    outputs = bundle.device_outputs
    findings = list(_streams(report, outputs))
    if report.fault:
        findings.append(error("layout", report.fault, fix="compile again"))
    if findings:
        return tuple(findings)
    source, sink = report.inputs[0], report.outputs[0]
    if bundle.features:
        sink, pooled = sorted(report.outputs, key=lambda tensor: math.prod(tensor.shape))
        findings += _features_width(pooled, bundle.features)
    findings += _input_shape(source, bundle.preprocess.frame_shape)
    if not findings:
        findings += _input_limits(source, expected_values(bundle))
    if outputs[0].node:
        findings += _cut_outputs(report, outputs)
    else:
        findings += _output_width(sink, bundle.device_width, whole_map=bundle.has("host"))
        findings += _output_limits(sink, bundle)
        findings += _output_node(sink, read_device_end(bundle.read("encoder")))
    findings += _origin(report.network_name, record, bundle)
    return tuple(findings)


def _streams(report: HefReport, outputs: Sequence[DeviceOutput]) -> Iterator[Finding]:
    counts, wanted = (len(report.inputs), len(report.outputs)), (1, len(outputs))
    if counts != wanted:
        named = ", ".join(output.node for output in outputs if output.node)
        expected = f"one input and {len(outputs)} outputs: {named or 't and the features'}"
        expected = "one of each" if len(outputs) == 1 else expected
        message = f"{counts[0]} inputs and {counts[1]} outputs, expected {expected}"
        yield error(
            "streams",
            message,
            actual=counts,
            limit=wanted,
            fix="compile this bundle's encoder.onnx with the end nodes of its plan: fsq-edge compile BUILD --plan PLAN",
        )
    if report.groups[0].host_ops:
        names = [op.kind for op in report.groups[0].host_ops]
        yield error(
            "host-ops", f"post-processing on the host: {names}", actual=names, limit=[], fix="compile without it"
        )


def _input_shape(source: HefTensor, frame_shape: tuple[int, int, int]) -> Iterator[Finding]:
    channels, height, width = frame_shape
    wanted = (height, width, channels)
    if source.shape == wanted:
        return
    if source.shape == frame_shape:
        message = f"input {source.name} has shape {source.shape}: that is (C, H, W), a HEF has (H, W, C)"
    elif source.shape[2] != channels:
        message = f"input {source.name} has {source.shape[2]} channels, the bundle's frames have {channels}"
    else:
        message = f"input {source.name} has shape {source.shape} (H, W, C), the bundle's frames are {wanted}"
    yield error("input-shape", message, actual=source.shape, limit=wanted, fix="compile this bundle's encoder.onnx")


def _input_limits(source: HefTensor, expected: ExpectedValues) -> Iterator[Finding]:
    quant = source.quant
    limits, seen = (quant.limit_min, quant.limit_max), (expected.low, expected.high)
    clipped = expected.share_beyond(limits[0] - quant.scale, limits[1] + quant.scale)
    shown = f"limits [{limits[0]:.4g}, {limits[1]:.4g}], {expected.origin} [{seen[0]:.4g}, {seen[1]:.4g}]"
    fix = "calibrate with real training windows (fsq-edge calibrate) and compile again"
    if _looks_like_noise(limits, seen):
        message = f"input {source.name} was calibrated with uniform noise, not with motion: {shown}"
        yield error("input-noise", message, actual=limits, limit=seen, fix=fix)
    if clipped > CLIPPED_WARNING:
        severity: Severity = "error" if clipped > CLIPPED_ERROR else "warning"
        message = f"input {source.name} clips {clipped:.1%} of this bundle's input values: {shown}"
        yield finding(severity, "input-limits", message, actual=limits, limit=seen, fix=fix)
    elif limits[1] - limits[0] > WIDE_LIMITS * (seen[1] - seen[0]):
        message = f"input {source.name} is quantised far beyond the data, which wastes resolution: {shown}"
        yield warning("input-limits", message, actual=limits, limit=seen, fix=fix)


def _looks_like_noise(limits: tuple[float, float], seen: tuple[float, float]) -> bool:
    """Whether the limits are those of a uniform generator ([0, 1) or [-1, 1)) and the data's are not."""
    width = limits[1] - limits[0]
    uniform = abs(limits[1] - 1.0) < 0.02 and (abs(limits[0]) < 0.02 or abs(limits[0] + 1.0) < 0.02)
    return uniform and seen[1] - seen[0] > 1.5 * width


def _output_width(sink: HefTensor, dimensions: int, *, whole_map: bool) -> Iterator[Finding]:
    """Before a host graph the device may end at a map, which is laid out channels first as onnxruntime has it."""
    if sink.shape != (1, 1, dimensions) and not (whole_map and math.prod(sink.shape) == dimensions):
        message = f"output {sink.name} has shape {sink.shape}, the tail takes {dimensions} dimensions"
        fix = "compile this bundle's encoder.onnx"
        yield error("output-width", message, actual=sink.shape, limit=(1, 1, dimensions), fix=fix)


def _cut_outputs(report: HefReport, outputs: Sequence[DeviceOutput]) -> Iterator[Finding]:
    """Every tensor that the host graph takes must be there, with its size."""
    try:
        in_order(report.outputs, outputs)
    except DataError as wrong:
        found = [math.prod(tensor.shape) for tensor in report.outputs]
        limit = [output.values for output in outputs]
        fix = "compile this bundle's encoder.onnx"
        yield error("output-node", f"the outputs differ: {wrong.message}", actual=found, limit=limit, fix=fix)


def _features_width(sink: HefTensor, features: int) -> Iterator[Finding]:
    if math.prod(sink.shape) != features:
        message = f"output {sink.name} has shape {sink.shape}, the bundle's graph puts out {features} features"
        fix = "compile this bundle's encoder.onnx"
        yield error("features-width", message, actual=sink.shape, limit=features, fix=fix)


def _output_limits(sink: HefTensor, bundle: Bundle) -> Iterator[Finding]:
    """The output is a Tanh: its limits must reach every digit, and a step must be small against a digit."""
    if not isinstance(bundle.tail, FsqTail):
        return  # scores have no bounds that are known beforehand
    book = bundle.tail.codebook
    quant = sink.quant
    levels = np.asarray(book.levels)
    lowest = (-(levels // 2) + 0.5 + book.offset) / book.half  # below it: the first digit
    highest = (levels - levels // 2 - 1 - 0.5 + book.offset) / book.half  # above it: the last digit
    limits = (quant.limit_min, quant.limit_max)
    needed = (float(lowest.min()), float(highest.max()))
    if limits[0] > needed[0] or limits[1] < needed[1]:
        message = (
            f"output {sink.name} has limits [{limits[0]:.4g}, {limits[1]:.4g}]: codes at the edge of the code book "
            f"need [{needed[0]:.4g}, {needed[1]:.4g}] and can never occur"
        )
        yield error(
            "output-limits", message, actual=limits, limit=needed, fix="calibrate with real windows; end at Tanh"
        )
    elif limits[0] < -1.1 or limits[1] > 1.1:
        message = (
            f"output {sink.name} has limits [{limits[0]:.4g}, {limits[1]:.4g}], a Tanh gives [-1, 1]: "
            "the network ends elsewhere"
        )
        yield error("output-limits", message, actual=limits, limit=(-1.0, 1.0), fix="end the network at its Tanh")
    step = quant.scale * float(book.half.max())
    if step > STEP_WARNING:
        message = f"one output step is {step:.2f} of a digit of the code book: codes will flip by rounding"
        fix = "quantization_param(output_layer1, precision_mode=a16_w16)"
        yield warning("output-step", message, actual=step, limit=STEP_WARNING, fix=fix)


def _output_node(sink: HefTensor, end: GraphEnd) -> Iterator[Finding]:
    names = sink.original_names
    if not names or not end.node:
        yield info("output-node", "the HEF does not record the ONNX node of its output")
    elif end.node not in names:
        foreign = not set(names) & end.nodes
        message = (
            f"output {sink.name} was made from {', '.join(names)}, "
            + ("which this encoder.onnx does not have" if foreign else "not from its last node")
            + f" ({end.node}, {end.operator})"
        )
        yield error(
            "output-node", message, actual=names, limit=end.node, fix="compile this bundle's encoder.onnx whole"
        )


def _origin(network: str, record: HefRecord | None, bundle: Bundle) -> Iterator[Finding]:
    tagged = TAGGED_NAME.fullmatch(network)
    if record is not None:
        found: tuple[str, ...] = (record.preprocess_sha256, record.sha256.get("encoder.onnx", ""))
    elif tagged:
        found = tagged.groups()
    else:
        message = f"the network name {network!r} does not carry the hashes of what it was made from: not compared"
        yield info("origin", message)
        return
    encoder = next(entry.sha256 for entry in bundle.manifest.files if entry.role == "encoder")
    expected = (bundle.manifest.preprocess_sha256, encoder)
    for what, tag, digest in zip(("preprocessing", "encoder.onnx"), found, expected, strict=True):
        if not tag or not digest.startswith(tag):
            message = f"made with another {what}: hash {tag[:8] or 'missing'}, the bundle has {digest[:8]}"
            yield error("origin", message, actual=tag[:8], limit=digest[:8], fix="compile this bundle's build again")


def finding_rows(findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """Return findings about a HEF as JSON objects."""
    return [finding.to_dict("rule", "severity", "message", "limit", "actual", "fix") for finding in findings]
