"""A CPU stream starts without anything of Hailo's being imported."""

import subprocess
import sys

CODE = """
import sys
from fsq_edge_runtime.backends.selection import select_backend
from tests.factories.bundles import random_bundle
for choice in ("onnx", "auto"):
    select_backend(random_bundle(), choice).backend.close()
print(*[name for name in sys.modules if name.startswith(("fsq_edge_runtime.backends.hailo", "fsq_edge_runtime.hef"))])
"""


def test_onnx_needs_nothing_of_hailo() -> None:
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{CODE}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == []
