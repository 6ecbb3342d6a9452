"""The README of a plan folder: what to install, what to run, what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsq_edge_compile.checker.targets import Target

if TYPE_CHECKING:
    from fsq_edge_compile.dfc.plan import Plan

# Source: Hailo's release pairing; 5.x pairs by equal number.
PAIRS = {
    "3.x": ("DFC 3.33 with HailoRT 4.23, DFC 3.32 with 4.22, DFC 3.31 with 4.21", "hailo-all"),
    "5.x": ("DFC 5.x with HailoRT of the same number (5.2 with 5.2)", "hailo-h10-all"),
}


def plan_readme(plan: Plan, target: Target) -> str:
    """Return ``README.md`` of a plan.

    Args:
        plan: the plan.
        target: architecture and compiler.
    """
    pairing, package = PAIRS[target.generation]
    forced = "".join(f"* Forced: {reason}\n" for reason in plan.forced)
    channels, height, width = plan.input_shape[1:]
    return f"""# {plan.network} for {plan.arch}

Compile this network with Hailo's Dataflow Compiler (DFC). The DFC comes from Hailo's developer zone, runs on x86-64
Linux with Python 3.10 to 3.12, and needs an environment of its own. This folder needs nothing else: `compile.py`
imports only numpy and `hailo_sdk_client`.

    /path/to/dfc/bin/python compile.py      # or: bash compile.sh, the same with Hailo's three commands

* Target {plan.arch}: DFC {target.dfc}. The device must run the HailoRT of the same release, or it may load the file
  and answer wrongly: {pairing}. On Raspberry Pi OS HailoRT is
  the package `{package}`.
* Input `{plan.input_name}` {list(plan.input_shape)} in ONNX, (H, W, C) = ({height}, {width}, {channels}) on the device.
* Output: the node `{plan.end_nodes[0]}`, in [-1, 1]. Rounding and the classifier stay on the host.
* `calib.npy`: {plan.calibration_windows} windows of training data, NHWC float32, normalised on the host already;
  `model.alls` must not normalise again. Below 1,024 windows, or without a GPU, the DFC drops its optimisation level
  to 0 without saying so.
* Compatibility check before this plan was written: {plan.check or "not run"}.
{forced}
`SHA256SUMS` names every file (`sha256sum --check SHA256SUMS`); `compile.py` checks what it reads.

Out come the HEF with a record beside it (`.hef.json`), the HARs of each stage, `emulator.npz` (what the DFC's emulator
makes of `windows.npz`, held-out windows: native, fp_optimized, quantized), `result.json` and the DFC's logs. Then:

    fsq-edge hef inspect {plan.network}.hef --bundle BUNDLE
    fsq-edge bundle add-hef BUNDLE {plan.network}.hef

Written by fsq-edge. No DFC was available to its makers: the calls are those seen in public projects.
"""
