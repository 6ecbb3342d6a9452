"""Ask the first Hailo device who it is, in a process of its own: ``python -m fsq_edge_runtime.doctor.device_probe``.

The binding may crash or hang on a damaged installation, so ``doctor`` runs this module as a child and reads one line of
JSON: ``{"binding": VERSION, "devices": [IDS], "device": {architecture, firmware, temperature_c, error, status}}``.
"""

from __future__ import annotations

import json
import os
from typing import Any

from fsq_edge_runtime.backends.hailo.device import architecture_name
from fsq_edge_runtime.backends.hailo.errors import status_of


def probe() -> dict[str, Any]:
    """Return what the binding says of the first device; an error is an answer, too."""
    os.environ.setdefault("HAILORT_LOGGER_PATH", "NONE")
    os.environ.setdefault("HAILORT_CONSOLE_LOGGER_LEVEL", "critical")
    answer: dict[str, Any] = {"binding": None, "devices": [], "device": None}
    try:
        import hailo_platform

        answer["binding"] = str(getattr(hailo_platform, "__version__", "unknown"))
        answer["devices"] = [str(device) for device in hailo_platform.Device.scan()]
        if answer["devices"]:
            answer["device"] = _identify(hailo_platform, answer["devices"][0])
    except Exception as error:  # noqa: BLE001 - a broken installation may raise anything; it is the answer
        answer["device"] = {"error": f"{type(error).__name__}: {error}", "status": status_of(error)}
    return answer


def _identify(platform: Any, device_id: str) -> dict[str, Any]:
    device = platform.Device(device_id)
    try:
        board = device.control.identify()
        found: dict[str, Any] = {
            "architecture": architecture_name(board.device_architecture),
            "firmware": str(board.firmware_version).split(" ")[0],
        }
        try:
            heat = device.control.get_chip_temperature()
            found["temperature_c"] = max(float(heat.ts0_temperature), float(heat.ts1_temperature))
        except Exception as error:  # noqa: BLE001 - some boards have no sensor; the identity still counts
            found["error"] = f"temperature: {type(error).__name__}: {error}"
        return found
    finally:
        device.release()


if __name__ == "__main__":
    print(json.dumps(probe()))
