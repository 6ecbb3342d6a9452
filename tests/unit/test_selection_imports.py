"""What a CPU stream leaves alone: Hailo's modules, the network and the home folder."""

import os
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


def test_onnxruntime_reports_nothing_and_leaves_no_file_at_home(tmp_path: Path) -> None:
    random_bundle().save(tmp_path / "b.fsqb")
    home = tmp_path / "home"
    home.mkdir()
    quiet = ("CI", "ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")  # each silences or moves it
    surroundings = {name: value for name, value in os.environ.items() if name not in quiet}
    code = f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}\n{CODE}"
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "b.fsqb")],
        env={**surroundings, "HOME": str(home)},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert list(home.rglob("*")) == []
