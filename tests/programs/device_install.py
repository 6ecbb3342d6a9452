"""Resolve, download and unpack the device installs for a Raspberry Pi, and print their sizes. Run by ``make device``.

Usage: ``python -m tests.programs.device_install [--short]``; --short takes Bookworm alone. Needs the package index.
"""

import argparse
import sys
import tempfile
import zipfile
from pathlib import Path

from fsq_edge.device_wheel import MOST_BYTES
from fsq_edge.wheelhouse import make_wheelhouse

MOST_UNPACKED_MB = 140.0
SYSTEMS = {
    "Bookworm: Python 3.11, numpy 1 for HailoRT 4.x": ("3.11", ("numpy<2",)),
    "Trixie: Python 3.13, numpy 2": ("3.13", ("numpy>=2",)),
}


def main() -> int:
    """Print a line for each system; 1 where an install is larger than it may be."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.device_install", description=__doc__)
    parser.add_argument("--short", action="store_true", help="only the first system")
    short, large = parser.parse_args().short, False
    for name, (python, also) in list(SYSTEMS.items())[: 1 if short else None]:
        with tempfile.TemporaryDirectory() as folder:
            house, installed = Path(folder, "house"), Path(folder, "installed")
            wheels = make_wheelhouse(house, platform="aarch64", python=python, also=also)
            for wheel in wheels:
                with zipfile.ZipFile(house / wheel.name) as archive:
                    archive.extractall(installed)
            unpacked = sum(path.stat().st_size for path in installed.rglob("*") if path.is_file()) / 1e6
            packed = sum(wheel.bytes for wheel in wheels) / 1e6
            own = next(wheel for wheel in wheels if wheel.name.startswith("fsq_edge-"))
        print(
            f"{name}, aarch64: {len(wheels)} wheels, {packed:.1f} MB packed, {unpacked:.1f} MB unpacked (at most "
            f"{MOST_UNPACKED_MB:.0f}); fsq-edge itself {own.bytes / 1e3:.0f} kB "
            f"packed (at most {MOST_BYTES / 1e3:.0f})"
        )
        large |= unpacked > MOST_UNPACKED_MB or own.bytes > MOST_BYTES
    return int(large)


if __name__ == "__main__":
    sys.exit(main())
