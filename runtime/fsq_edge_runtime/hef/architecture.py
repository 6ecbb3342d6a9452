"""Architectures, devices and versions: who loads which HEF.

Source: HailoRT's MIT-licensed sources (hef.proto, hef_internal.hpp, device_base.cpp) and the release pairing of
Hailo's suites. None of it was tried on silicon here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """One value of the HEF's architecture code.

    Attributes:
        code: the number in the file.
        targets: compile targets that write it; the first is its usual name.
        devices: devices that load it, best first.
        generation: HailoRT generation that drives those devices, 4 or 5; 0 when not known.
        partial: its contexts stand in partial network groups; HailoRT crashes when they are missing.
    """

    code: int
    targets: tuple[str, ...]
    devices: tuple[str, ...]
    generation: int
    partial: bool = False

    @property
    def name(self) -> str:
        """The usual target name, or ``unknown-N``."""
        return self.targets[0] if self.targets else f"unknown-{self.code}"


_EIGHT = ("hailo8", "hailo8r")
ARCHITECTURES: dict[int, Architecture] = {
    known.code: known
    for known in (
        Architecture(0, ("hailo8",), _EIGHT, 4),
        Architecture(1, ("hailo8",), _EIGHT, 4),  # what the DFC writes for the target hailo8
        Architecture(2, ("hailo8r",), _EIGHT, 4),
        Architecture(3, ("hailo8l",), ("hailo8l", *_EIGHT), 4, partial=True),
        Architecture(4, ("hailo15m",), ("hailo15m", "hailo15h", "hailo10h"), 5, partial=True),
        Architecture(5, ("hailo10h",), ("hailo10h", "hailo15h"), 5),  # deprecated code
        Architecture(6, ("hailo15l",), ("hailo15l",), 5),
        Architecture(103, ("hailo10h", "hailo15h"), ("hailo10h", "hailo15h"), 5),  # one code for both
        Architecture(108, ("hailo12l",), ("hailo12l",), 5),
    )
}
DEVICES = ("hailo8", "hailo8r", "hailo8l", "hailo10h", "hailo15h", "hailo15m", "hailo15l", "hailo12l")

# DFC major.minor -> HailoRT major.minor of the same release; 5.x pairs by equal number.
PAIRED_HAILORT = {"3.31": "4.21", "3.32": "4.22", "3.33": "4.23"}

NET_FLOW, STRICT_VERSIONING, PERIPHERY, SCALE_PER_FEATURE = 13, 35, 26, 25
# Feature number -> (name, first HailoRT that knows it); "" = every release this project knows.
EXTENSIONS: dict[int, tuple[str, str]] = {
    0: ("abbale", ""),
    1: ("posted_writes", ""),
    2: ("ddr", ""),
    3: ("padded_ddr_buffers", ""),
    4: ("is_multi_contexts", ""),
    5: ("compressed_params", ""),
    6: ("transpose_component", ""),
    9: ("is_nms_multi_context", ""),
    10: ("offload_argmax", ""),
    11: ("hw_padding", "4.16"),
    12: ("ko_run_asap", ""),
    13: ("hailo_net_flow", ""),
    14: ("hailo_net_flow_yolov5_nms", "4.12"),
    15: ("hailo_net_flow_yolox_nms", "4.14"),
    16: ("hailo_net_flow_ssd_nms", "4.14"),
    17: ("hailo_net_flow_iou_nms", "4.15"),
    18: ("write_data_by_type", "4.14"),
    19: ("nms_output_burst", "4.14"),
    20: ("dual_direction_stream_index", "4.14"),
    21: ("hailo_net_flow_argmax", "4.14"),
    22: ("hailo_net_flow_softmax", "4.14"),
    23: ("aligned_format_type", "4.14"),
    24: ("hailo_net_flow_yolov5_seg_nms", "4.15"),
    25: ("output_scale_per_feature", "4.14"),
    26: ("periph_calculation_in_hailort", "4.14"),
    27: ("hailo_net_flow_yolov8_nms", "4.16"),
    28: ("batch_register_config", "4.17"),
    29: ("hailo_net_flow_bbox_decoding", "4.18"),
    30: ("ccw_ptr_squeeze", ""),
    31: ("external_resources", "4.21"),
    32: ("shared_config", "4.21"),
    33: ("csm_crc", "5.1"),
    34: ("enable_config_channels", "5.1"),
    35: ("strict_runtime_versioning", "5.0"),
}
HEADER_MINIMUM = {0: "4.0", 1: "4.0", 2: "4.20", 3: "4.21"}


def known_architecture(code: int) -> Architecture:
    """Return the architecture of a code; an unknown one has no targets and no devices."""
    return ARCHITECTURES.get(code, Architecture(code, (), (), 0))


def code_of(target: str) -> int:
    """Return the code the DFC writes for a compile target.

    Raises:
        KeyError: not a target.
    """
    newest_first = (103, 1, 2, 3, 4, 6, 108)
    return {name: code for code in reversed(newest_first) for name in ARCHITECTURES[code].targets}[target]


def version_key(version: str) -> tuple[int, int]:
    """Return (major, minor) of a version such as ``4.20.0``; (0, 0) when it is not one."""
    parts = version.split(".")
    if len(parts) < 2 or not (parts[0].isdecimal() and parts[1].isdecimal()):
        return (0, 0)
    return int(parts[0][:6]), int(parts[1][:6])


def paired_hailort(dfc_version: str) -> str:
    """Return the HailoRT (major.minor) released with a DFC version, or an empty string when not known."""
    major, minor = version_key(dfc_version)
    if major >= 5:
        return f"{major}.{minor}"
    return PAIRED_HAILORT.get(f"{major}.{minor}", "")


def minimum_hailort(header_version: int, extensions: tuple[int, ...], generation: int) -> str:
    """Return the oldest HailoRT that reads this header version, these features and drives this generation."""
    candidates = [HEADER_MINIMUM[header_version], "5.0" if generation == 5 else "4.0"]
    candidates += [EXTENSIONS[number][1] or "4.0" for number in extensions if number in EXTENSIONS]
    return max(candidates, key=version_key)
