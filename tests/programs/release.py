"""What a release must be: the same wheel twice, the right files in wheel and sdist, metadata that an index takes.

Usage: ``python -m tests.programs.release``; ``make release`` runs it. Needs build, twine, hatchling.
The wheel is then installed into an environment of its own by ``make bare``.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("fsq_edge", "fsq_edge_runtime", "fsq_edge_calibration", "fsq_edge_compile", "fsq_edge_benchmarks")
SOURCES = ("fsq_edge", "runtime", "calibration", "compile", "benchmarks")
NEVER = (".pyc", ".onnx", ".pt", ".pkl", ".log", ".fsqb")


def main() -> None:
    """Build, compare, check; the first thing that is wrong ends with its description."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = (_build(Path(folder, name)) for name in ("first", "second"))
        for one, other in zip(first, second, strict=True):
            if _digest(one) != _digest(other):
                sys.exit(f"{one.name} is not the same twice: {_digest(one)} and {_digest(other)}")
        sdist, wheel = first
        with zipfile.ZipFile(wheel) as archive:
            _check_wheel(archive.namelist())
        with tarfile.open(sdist) as archive:
            _check_sdist(archive.getnames())
        words = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e3:.0f} kB, sha256 {_digest(wheel)}, the same twice")
        print(f"{sdist.name}: {sdist.stat().st_size / 1e3:.0f} kB, sha256 {_digest(sdist)}, the same twice")


def _build(out: Path) -> list[Path]:
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1577836800"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return sorted(out.iterdir(), key=lambda path: path.suffix == ".whl")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_wheel(names: list[str]) -> None:
    modules = {
        str(path.relative_to(ROOT / source if source != "fsq_edge" else ROOT))
        for source in SOURCES
        for path in (ROOT / source).rglob("*.py")
    }
    missing = sorted(modules - set(names))
    if missing:
        sys.exit(f"the wheel lacks {missing[:5]}")
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    if tops != set(PACKAGES):
        sys.exit(f"the wheel has the top levels {sorted(tops)}, expected {sorted(PACKAGES)}")
    _refuse(names, "wheel")
    for needed in ("fsq_edge/_pages/index.md", "fsq_edge/project/templates/Makefile.txt", "fsq_edge_runtime/py.typed"):
        if needed not in names:
            sys.exit(f"the wheel lacks {needed}")


def _check_sdist(names: list[str]) -> None:
    inside = {name.partition("/")[2] for name in names}
    for needed in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "docs/index.md",
        "tests/cli/test_promises.py",
    ):
        if needed not in inside:
            sys.exit(f"the sdist lacks {needed}")
    _refuse([name for name in inside if not name.startswith(("tests/", "benchmarks/"))], "sdist")


def _refuse(names: list[str], what: str) -> None:
    wrong = [name for name in names if name.endswith(NEVER) or "__pycache__" in name or name.startswith("build/")]
    if wrong:
        sys.exit(f"the {what} holds {wrong[:5]}")


main()
