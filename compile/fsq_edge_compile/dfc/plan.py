"""A plan: the folder with everything that a machine with the DFC needs to make a HEF from a BUILD folder."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from pydantic import Field

from fsq_edge_calibration.array_rules import LEAST_COUNT, missing_values, structure
from fsq_edge_calibration.calibration_set import CalibrationSet, load_calibration_set
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.checker.targets import FIRST_DFC, Target
from fsq_edge_compile.dfc.model_script import ScriptOptions, lint_model_script, write_model_script
from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.files import write_file
from fsq_edge_runtime.npz import npy_bytes, npz_bytes
from fsq_edge_runtime.onnx_graph import read_cut_outputs, read_device_end, read_device_ends
from fsq_edge_runtime.preprocess import PreprocessConfig

ENCODER: Final = "encoder.onnx"
CALIBRATION: Final = "calib.npy"
SCRIPT: Final = "model.alls"
WINDOWS: Final = "windows.npz"
PLAN: Final = "plan.json"
SUMS: Final = "SHA256SUMS"
EMULATED: Final = 128  # held-out windows that go through the DFC's emulator, for the parity ladder

# Source: Hailo's release pairing; 5.x pairs by equal number.
PAIRS: Final = {
    "3.x": ("DFC 3.33 with HailoRT 4.23, DFC 3.32 with 4.22, DFC 3.31 with 4.21", "hailo-all"),
    "5.x": ("DFC 5.x with HailoRT of the same number (5.2 with 5.2)", "hailo-h10-all"),
}


class Plan(Artefact):
    """``plan.json``: what ``compile.py`` reads.

    Attributes:
        network: the DFC's network name: model, preprocessing and encoder hashes, so that the HEF says its origin.
        arch: target architecture.
        first_dfc: (major, minor) of the first DFC that serves the target; another major does not.
        onnx: the device graph.
        calibration: NHWC float32 array (N, H, W, C).
        script: model script.
        windows: held-out frames for the emulator: ``frames_nhwc`` (K, H, W, C) and ``reference_index`` (K,), which
            windows of reference.npz they are.
        input_name: the graph's input.
        input_shape: (1, C, H, W), or (1, C, T) of a network that begins with rank 3.
        start_nodes: the graph's inputs.
        end_nodes: the ONNX node that ends the network.
        parts: values of each end node's output where a host graph takes several; else empty.
        calibration_windows: N.
        preprocess_sha256: of the preprocessing that made the calibration frames.
        check: verdict of the compatibility check.
        forced: gates that were overridden, with the reason.
        sha256: of each file that compile.py reads.
    """

    KIND: ClassVar[str] = PLAN

    network: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
    arch: str
    first_dfc: tuple[int, int]
    onnx: str = ENCODER
    calibration: str = CALIBRATION
    script: str = SCRIPT
    windows: str = WINDOWS
    input_name: str = "input"
    input_shape: tuple[int, ...] = Field(min_length=3, max_length=4)
    start_nodes: tuple[str, ...]
    end_nodes: tuple[str, ...]
    parts: tuple[int, ...] = ()
    calibration_windows: int
    preprocess_sha256: str
    check: str
    forced: tuple[str, ...] = ()
    sha256: dict[str, str]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What a caller may choose.

    Attributes:
        optimization_level: see :class:`ScriptOptions`.
        output_16bit: see :class:`ScriptOptions`.
        script: a model script of the caller's own; linted, errors refuse it.
        check: verdict of the compatibility check, for the record.
        forced: gates that were overridden, for the record.
    """

    optimization_level: int = 2
    output_16bit: bool = False
    script: str | None = None
    check: str = ""
    forced: tuple[str, ...] = ()


def write_plan(build: BuildFolder, target: Target, folder: Path, options: PlanOptions | None = None) -> Plan:
    """Write a plan folder; equal input gives equal bytes.

    Args:
        build: with encoder.onnx, preprocess.json, export.json, reference.npz and calibration.npz.
        target: architecture and compiler.
        folder: made when it does not exist; files of an earlier plan are replaced.
        options: choices; None takes the defaults.

    Returns:
        What ``plan.json`` says.

    Raises:
        MissingInputError: a part of the build is missing.
        DataError: the calibration set was not made for this graph (preprocessing, layout, values, count).
        UsageError: the model script is refused by the linter.
    """
    chosen = options or PlanOptions()
    encoder, preprocess = build.read(ENCODER), build.preprocess
    calibration = load_calibration_set(build.path / "calibration.npz")
    ends = read_device_ends(encoder)
    if not all(end.node for end in ends):
        raise DataError("the last node of encoder.onnx has no name, which the DFC needs", hint="fsq-edge export again")
    channels, height, width = preprocess.frame_shape
    network = PlannedNetwork(
        name=network_name(build.record.name, preprocess.digest(), encoder),
        model=encoder,
        frames_nhwc=checked_frames(calibration, preprocess),
        windows=_held_out_frames(build),
        input_name="input",
        input_shape=(1, channels, height, width),
        end_nodes=tuple(end.node for end in ends),
        parts=tuple(output.values for output in read_cut_outputs(encoder)),
        preprocess_sha256=preprocess.digest(),
    )
    return write_network_plan(network, target, folder, chosen)


@dataclass(frozen=True, slots=True)
class PlannedNetwork:
    """What a plan is made of.

    Attributes:
        name: the compiler's name of the network; letters, digits and ``_``.
        model: the ONNX file's bytes.
        frames_nhwc: (N, H, W, C) float32, at least 64.
        windows: content of ``windows.npz``.
        input_name: the graph's input.
        input_shape: (1, C, H, W), or (1, C, T) of a network that begins with rank 3.
        end_nodes: the nodes that end the network.
        preprocess_sha256: of the preprocessing that made the frames; empty where they came ready.
        parts: values of each end node's output where a host graph takes several; else empty.
    """

    name: str
    model: bytes
    frames_nhwc: Float32Array
    windows: bytes
    input_name: str
    input_shape: tuple[int, ...]
    end_nodes: tuple[str, ...]
    preprocess_sha256: str
    parts: tuple[int, ...] = ()


def write_network_plan(network: PlannedNetwork, target: Target, folder: Path, options: PlanOptions) -> Plan:
    """Write the plan folder of a network, whoever made it; equal input gives equal bytes.

    Raises:
        UsageError: the model script is refused by the linter.
    """
    frames = network.frames_nhwc
    contents = {
        ENCODER: network.model,
        CALIBRATION: npy_bytes(frames),
        WINDOWS: network.windows,
        SCRIPT: _script(options, len(frames), target, len(network.end_nodes)).encode(),
    }
    plan = Plan(
        network=network.name,
        arch=target.arch,
        first_dfc=FIRST_DFC.get(target.arch, (int(target.generation.split(".")[0]), 0)),
        input_name=network.input_name,
        input_shape=network.input_shape,
        start_nodes=(network.input_name,),
        end_nodes=network.end_nodes,
        parts=network.parts,
        calibration_windows=len(frames),
        preprocess_sha256=network.preprocess_sha256,
        check=options.check,
        forced=options.forced,
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
    )
    contents[PLAN] = plan.to_json().encode()
    contents["compile.py"] = resources.files(__package__).joinpath("plan_compile.py").read_bytes()
    contents["compile.sh"] = _shell(plan).encode()
    contents["README.md"] = _readme(plan, target, fsq=read_device_end(network.model).operator == "Tanh").encode()
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(contents.items()))
    for name, data in {**contents, SUMS: sums.encode()}.items():
        write_file(folder / name, data)
    (folder / "compile.sh").chmod(0o755)
    return plan


def load_plan(folder: Path) -> Plan:
    """Return the plan of a folder.

    Raises:
        MissingInputError: there is none.
        DataError: it cannot be read.
    """
    return Plan.load(folder / PLAN)


def network_name(model: str, preprocess_sha256: str, encoder: bytes) -> str:
    """Return ``MODEL_PPPPPPPP_EEEEEEEE``: letters, digits and ``_`` only, or the DFC says "Invalid scope name".

    Args:
        model: name of the model, any text.
        preprocess_sha256: its first 8 digits go in; zeros where it is empty.
        encoder: the device graph; its SHA-256's first 8 digits go in.
    """
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", model).strip("_")[:48] or "model"
    if plain[0].isdigit():
        plain = f"m{plain}"
    return f"{plain}_{preprocess_sha256[:8] or '0' * 8}_{hashlib.sha256(encoder).hexdigest()[:8]}"


def checked_frames(calibration: CalibrationSet, preprocess: PreprocessConfig) -> Float32Array:
    """Return the calibration frames (N, H, W, C) float32 after checking that they are this graph's.

    Raises:
        DataError: another preprocessing, channels first, another shape, values that are not finite, or fewer than 64.
    """
    calibration.require_preprocessing(preprocess)
    frames = np.ascontiguousarray(calibration.frames_nhwc, dtype=np.float32)
    wrong = list(structure(frames, preprocess.frame_shape)) or list(missing_values(frames, calibration.channel_names))
    if not wrong and len(frames) >= LEAST_COUNT:
        return frames
    few = f"{len(frames)} calibration windows, at least {LEAST_COUNT} are needed"
    raise DataError(wrong[0].message if wrong else few, hint="fsq-edge calibrate RUN --out BUILD makes the right one")


def _held_out_frames(build: BuildFolder) -> bytes:
    """Return ``windows.npz``: windows of reference.npz, spread evenly, as frames."""
    held_out = build.reference().frames(build.preprocess, EMULATED)
    return held_out_bytes(np.ascontiguousarray(held_out.frames.transpose(0, 2, 3, 1)), held_out.rows)


def held_out_bytes(frames_nhwc: Float32Array, rows: Int64Array) -> bytes:
    """Return ``windows.npz`` of frames (K, H, W, C) and which windows (K,) they are."""
    return npz_bytes(frames_nhwc=frames_nhwc, reference_index=rows)


def _script(options: PlanOptions, windows: int, target: Target, outputs: int) -> str:
    if options.script is None:
        wide = options.output_16bit
        return write_model_script(ScriptOptions(windows, options.optimization_level, 0, wide, outputs=outputs))
    generation = int(target.generation.split(".")[0])
    findings = lint_model_script(options.script, windows, generation=generation)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        first = errors[0]
        raise UsageError(f"model script {first.where}: {first.message}", hint=first.fix)
    return options.script


def _shell(plan: Plan) -> str:
    network = plan.network
    return f"""#!/usr/bin/env bash
# The three commands of Hailo's compiler for this plan; compile.py does the same from Python and records more.
set -euo pipefail
cd "$(dirname "$0")"
[ "$(uname -m)" = x86_64 ] || {{ echo "the DFC runs on x86-64 Linux only, this is $(uname -m)" >&2; exit 69; }}
hailo parser --help >/dev/null 2>&1 || {{
  echo "no Dataflow Compiler here (on a Raspberry Pi, hailo is HailoRT's own tool and has no parser)" >&2; exit 69; }}
sha256sum --check --quiet {SUMS}
hailo parser onnx {ENCODER} --net-name {network} --hw-arch {plan.arch} \\
  --start-node-names {shlex.join(plan.start_nodes)} --end-node-names {shlex.join(plan.end_nodes)} \\
  --har-path {network}.har -y
hailo optimize {network}.har --hw-arch {plan.arch} --calib-set-path {CALIBRATION} --model-script {SCRIPT}
hailo compiler {network}_optimized.har --hw-arch {plan.arch}
echo "wrote {network}.hef: fsq-edge bundle add-hef BUNDLE {network}.hef"
"""


def _readme(plan: Plan, target: Target, *, fsq: bool) -> str:
    pairing, package = PAIRS[target.generation]
    channels, *rows, width = plan.input_shape[1:]
    height = rows[0] if rows else 1
    if fsq:
        end = f"the node `{plan.end_nodes[0]}`, in [-1, 1]"
        end += f", and the features at `{plan.end_nodes[1]}`" if len(plan.end_nodes) > 1 else ""
        end += ". Rounding and the classifier stay on the host."
    else:
        end = " and ".join(f"`{name}`" for name in plan.end_nodes) + ". What follows in the file stays on the host."
    return resources.files(__package__).joinpath("plan_readme.md").read_text(encoding="utf-8").format(
        network=plan.network, arch=plan.arch, dfc=target.dfc, pairing=pairing, package=package,
        input_name=plan.input_name, input_shape=list(plan.input_shape), end_node=end, channels=channels,
        height=height, width=width, calibration_windows=plan.calibration_windows, check=plan.check or "not run",
        forced="".join(f"* Forced: {reason}\n" for reason in plan.forced),
    )  # fmt: skip
