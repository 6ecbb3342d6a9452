"""A CPU stream starts without anything of Hailo's being imported."""

import subprocess
import sys
from pathlib import Path

from tests.factories.bundles import random_bundle

CODE = """
import sys
from fsq_edge_runtime.backends.selection import select_backend
from fsq_edge_runtime.bundle.bundle import Bundle
for choice in ("onnx", "auto"):
    select_backend(Bundle.open(sys.argv[1]), choice).backend.close()
print(*[name for name in sys.modules if name.startswith(("fsq_edge_runtime.backends.hailo", "fsq_edge_runtime.hef"))])
"""


def test_onnx_needs_nothing_of_hailo(tmp_path: Path) -> None:
    random_bundle().save(tmp_path / "b.fsqb")
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{CODE}", str(tmp_path / "b.fsqb")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == []
