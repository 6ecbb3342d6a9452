"""The runtime must start on a device that has neither torch nor onnx."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "onnx", "onnxsim", "onnxruntime", "sklearn", "matplotlib", "scipy", "pandas", "fsq_edge.training")


@pytest.mark.parametrize("module", ["fsq_edge_runtime", "fsq_edge", "fsq_edge.cli.main", "fsq_edge_calibration"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
