"""Run the device side on the versions of ``tests/environments/oldest.txt``: the verbs, then the runtime's own tests.

Usage: ``python oldest_versions.py`` with the interpreter of such an environment; ``make oldest`` makes it.
"""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLOORS = ROOT / "tests" / "environments" / "oldest.txt"
# They need neither torch nor a trainer's package.
TESTS = (
    "tests/unit/test_stream_grid.py",
    "tests/unit/test_stream_quality.py",
    "tests/unit/test_stream_resampler.py",
    "tests/unit/test_stream_session.py",
    "tests/unit/test_preprocess.py",
    "tests/unit/test_decision_head.py",
    "tests/unit/test_bundle.py",
    "tests/unit/test_golden_bundles.py",
    "tests/integration/test_replay_sources.py",
)


def main() -> int:
    wanted = dict(line.split("==") for line in FLOORS.read_text().splitlines() if "==" in line)
    found = {name: importlib.metadata.version(name) for name in wanted}
    if found != wanted:
        print(f"this environment has {found}, expected {wanted}", file=sys.stderr)
        return 1
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    code = subprocess.run(words, cwd=ROOT, check=False).returncode
    print(f"Python {sys.version.split()[0]}, " + ", ".join(f"{name} {version}" for name, version in found.items()))
    return code


sys.exit(main())
