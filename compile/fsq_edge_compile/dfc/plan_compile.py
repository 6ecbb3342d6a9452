#!/usr/bin/env python3
"""Compile a plan folder with Hailo's Dataflow Compiler (DFC): run it inside the folder, on the machine with the DFC.

Needs Python 3.10 or newer, numpy and hailo_sdk_client, nothing else. Reads plan.json and the files it names, writes
NETWORK.hef with NETWORK.hef.json beside it, NETWORK*.har, emulator.npz and result.json. Exit codes: 0 compiled, 1 the
DFC refused the network, 65 a file of the plan is missing or damaged, 69 no DFC or the wrong one for the target.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EVENT = "@fsq-edge "  # marks the lines that the driver reads; all others are the DFC's own log


class RefusedError(Exception):
    """The run ends here: ``status`` goes to result.json, ``code`` is the exit code."""

    def __init__(self, status: str, code: int, error: Exception) -> None:
        super().__init__(str(error))
        self.status, self.code, self.error = status, code, error


def say(**event: Any) -> None:
    """Print one event for the driver."""
    print(EVENT + json.dumps(event), flush=True)


@contextmanager
def stage(name: str, result: dict[str, Any]) -> Iterator[None]:
    """Announce a stage, time it, and turn whatever the DFC raises in it into a refusal."""
    say(stage=name, state="begin")
    started = time.monotonic()
    result["stage"] = name
    try:
        yield
    except RefusedError:
        raise
    except Exception as error:
        raise RefusedError("refused", 1, error) from error
    result["seconds"][name] = round(time.monotonic() - started, 3)
    say(stage=name, state="end", seconds=result["seconds"][name])


def read_plan() -> dict[str, Any]:
    """Return plan.json after checking every file of the plan against its SHA-256."""
    plan: dict[str, Any] = json.loads(Path("plan.json").read_text(encoding="utf-8"))
    for name, digest in plan["sha256"].items():
        path = Path(name)
        if not path.is_file():
            raise RefusedError("failed", 65, FileNotFoundError(name + " is missing from the plan"))
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise RefusedError("failed", 65, ValueError(name + " is damaged: its SHA-256 is not the plan's"))
    return plan


def import_dfc(plan: dict[str, Any], result: dict[str, Any]) -> Any:
    """Return hailo_sdk_client, after checking that this DFC serves the target."""
    try:
        client = importlib.import_module("hailo_sdk_client")
    except ImportError as error:
        raise RefusedError("failed", 69, error) from error
    try:
        version = importlib.metadata.version("hailo_dataflow_compiler")
    except importlib.metadata.PackageNotFoundError:
        version = str(getattr(client, "__version__", ""))
    result["dfc_version"] = version
    numbers = re.match(r"(\d+)\.(\d+)", version)
    major, minor = plan["first_dfc"]
    if numbers and (int(numbers.group(1)) != major or int(numbers.group(2)) < minor):
        wanted = f"DFC {major}.x" + (f" from {major}.{minor} on" if minor else "")
        text = f"DFC {version} is installed, {plan['arch']} needs {wanted}"
        raise RefusedError("failed", 69, RuntimeError(text))
    return client


def recommended_end_nodes(error: Exception) -> list[str]:
    """Return the end nodes that the parser recommends: an attribute in some releases, the text in all."""
    names = getattr(error, "recommended_end_node_names", None)
    if names:
        return [str(name) for name in names]
    found = re.search(r"using these end node names:\s*(.+)", str(error))
    return [name.strip() for name in found.group(1).split(",") if name.strip()] if found else []


def emulate(runner: Any, context: Any, frames: Any, parts: list[int]) -> Any:
    """Return what the emulator makes of the frames at one stage, (N, D) float32; features beside t are left out.

    Where a host graph takes several outputs, they are joined in its order; a map is laid out channels first.
    """
    import numpy as np

    with runner.infer_context(context) as inference:
        found = runner.infer(inference, frames)
    arrays = [np.asarray(one, dtype=np.float32) for one in (found if isinstance(found, list | tuple) else [found])]
    rows = [(one.transpose(0, 3, 1, 2) if one.ndim == 4 else one).reshape(len(frames), -1) for one in arrays]
    if not parts:
        return min(rows, key=np.size)
    sized = {row.shape[1]: row for row in rows}
    if len(rows) != len(parts) or len(sized) != len(parts) or set(sized) != set(parts):
        raise ValueError(f"outputs of {[row.shape[1] for row in rows]} values cannot be told apart as {parts}")
    return np.concatenate([sized[part] for part in parts], axis=1)


def try_emulate(
    name: str,
    runner: Any,
    context: Any,
    held_out: tuple[Any, list[int]],
    result: dict[str, Any],
    outputs: dict[str, Any],
) -> None:
    """Emulate; a failure is recorded and does not stop the compilation."""
    try:
        outputs[name] = emulate(runner, context, *held_out)
        say(stage="emulate", state="end", name=name)
    except Exception as error:  # noqa: BLE001 - the emulator is a bonus: whatever it raises, the HEF is still wanted
        result["emulator_errors"][name] = f"{type(error).__name__}: {error}"
        say(stage="emulate", state="failed", name=name)


def layer_names(runner: Any) -> dict[str, list[str]]:
    """Return HN layer -> original ONNX node names, for the record."""
    layers = runner.get_hn_dict()["layers"]
    return {name: [str(one) for one in layer.get("original_names", [])] for name, layer in layers.items()}


def write_whole(path: str, data: bytes) -> None:
    """Write a file under a temporary name, wait for the disk, rename."""
    temporary = Path(str(path) + ".partial")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def compile_plan(plan: dict[str, Any], client: Any, result: dict[str, Any]) -> None:
    """Parse, optimise, compile; write HARs, emulator outputs and the HEF."""
    import numpy as np

    network = plan["network"]
    calibration = np.load(plan["calibration"], allow_pickle=False)
    held_out = np.load(plan["windows"], allow_pickle=False)
    frames = held_out["frames_nhwc"], plan["parts"]
    contexts = client.InferenceContext
    outputs: dict[str, Any] = {}
    runner = client.ClientRunner(hw_arch=plan["arch"])
    with stage("parse", result):
        runner.translate_onnx_model(
            plan["onnx"],
            network,
            start_node_names=plan["start_nodes"],
            end_node_names=plan["end_nodes"],
            net_input_shapes={plan["input_name"]: plan["input_shape"]},
        )
        runner.save_har(network + ".har")
        result["layers"] = layer_names(runner)
        try_emulate("native", runner, contexts.SDK_NATIVE, frames, result, outputs)
    with stage("optimise", result):
        runner.load_model_script(plan["script"])
        runner.optimize_full_precision(calib_data=calibration)
        try_emulate("fp_optimized", runner, contexts.SDK_FP_OPTIMIZED, frames, result, outputs)
        runner.optimize(calibration)
        runner.save_har(network + "_optimized.har")
        try_emulate("quantized", runner, contexts.SDK_QUANTIZED, frames, result, outputs)
        np.savez("emulator.npz", reference_index=held_out["reference_index"], **outputs)
    with stage("compile", result):
        hef = runner.compile()
        runner.save_har(network + "_compiled.har")
    write_whole(network + ".hef", hef)
    result["hef"], result["hef_sha256"] = network + ".hef", hashlib.sha256(hef).hexdigest()
    record = {key: plan[key] for key in ("schema_version", "network", "arch", "sha256", "preprocess_sha256", "forced")}
    record.update(dfc_version=result["dfc_version"], hef_sha256=result["hef_sha256"])
    write_whole(network + ".hef.json", (json.dumps(record, indent=2) + "\n").encode())


def main() -> int:
    """Run the plan in the current folder and return the exit code."""
    result: dict[str, Any] = {
        "schema_version": 1,
        "status": "failed",
        "stage": "begin",
        "dfc_version": "",
        "python": platform.python_version(),
        "machine": platform.machine(),
        "seconds": {},
        "layers": {},
        "emulator_errors": {},
        "error": None,
        "recommended_end_nodes": [],
        "hef": "",
        "hef_sha256": "",
    }
    code = 0
    try:
        plan = read_plan()
        client = import_dfc(plan, result)
        say(stage="begin", state="end", dfc_version=result["dfc_version"], arch=plan["arch"])
        compile_plan(plan, client, result)
        result["status"] = "compiled"
    except RefusedError as refusal:
        error = refusal.error
        code, result["status"] = refusal.code, refusal.status
        result["error"] = {"class": type(error).__name__, "text": str(error)}
        result["recommended_end_nodes"] = recommended_end_nodes(error)
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    write_whole("result.json", (json.dumps(result, indent=2) + "\n").encode())
    say(stage=result["stage"], state=result["status"])
    return code


if __name__ == "__main__":
    sys.exit(main())
