"""Build this checkout's wheel for a device: ``python -m tests.programs.make_device_wheel FOLDER``."""

import sys
import tempfile
from pathlib import Path

from fsq_edge.device_wheel import MOST_BYTES, device_wheel
from fsq_edge.wheelhouse import whole_wheel

target = Path(sys.argv[1])
target.mkdir(parents=True, exist_ok=True)
with tempfile.TemporaryDirectory() as folder:
    for old in target.glob("*.whl"):
        old.unlink()
    wheel = device_wheel(whole_wheel(Path(folder)), target)
print(f"{wheel.name}: {wheel.stat().st_size / 1e3:.0f} kB (at most {MOST_BYTES / 1e3:.0f})")
sys.exit(wheel.stat().st_size > MOST_BYTES)
