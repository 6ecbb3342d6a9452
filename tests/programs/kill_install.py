"""Kills an installation at every system call it makes and looks at what is left; run as a program.

A forked child counts its calls (opens, folders, renames, links, removals, and fsync before and after) and sends itself
SIGKILL at the k-th. The parent then opens the install folder: the old bundle or the new one, whole, or nothing where
nothing was. Prints one JSON object per scenario.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.install import install, rollback
from fsq_edge_runtime.bundle.selftest import SelfTestResult
from fsq_edge_runtime.errors import FsqEdgeError
from tests.factories.bundles import random_bundle

WATCHED = {"open", "os.mkdir", "os.rename", "os.symlink", "os.remove", "os.rmdir", "os.chmod"}


def passing(bundle: Bundle, backend: str) -> SelfTestResult:
    return SelfTestResult(backend, 1, True, 0.0, 1.0, 1.0, passed=True, reason="")


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Run ``action`` in a child that dies at its ``step``-th call; return whether it was killed before it ended."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)

    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        tick()
        real_fsync(descriptor)
        tick()

    os.fsync = fsync
    sys.addaudithook(lambda event, _: tick() if event in WATCHED else None)
    action()
    os._exit(0)


def content(root: Path) -> dict[str, bytes] | None:
    """Files of the bundle in use, or None when none is installed."""
    return Bundle.open(root).files if os.path.lexists(root / "current") else None


def scenario(work: Path, before: list[Path], action: Callable[[Path], object], allowed: list[Path | None]) -> int:
    """Kill ``action`` at each step, from a fresh install folder each time; return how many steps there were."""
    root, template = work / "dest", work / "template"
    shutil.rmtree(template, ignore_errors=True)
    template.mkdir()
    for path in before:
        install(path, template, selftest=passing)
    expected = [Bundle.open(path).files if path else None for path in allowed]
    step = 0
    while True:
        step += 1
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template, root, symlinks=True)
        if not killed_at(step, lambda: action(root)):
            break
        if content(root) not in expected:
            raise SystemExit(f"killed at step {step}: neither the old nor the new bundle")
        if step % 4 == 0:  # the next installation cleans up and succeeds
            install(allowed[-1] or before[0], root, selftest=passing)
            left = [path.name for path in (root / "versions").iterdir() if path.name.startswith(".")]
            if content(root) != expected[-1] or left:
                raise SystemExit(f"killed at step {step}: the next installation leaves {left}")
    if content(root) != expected[-1]:
        raise SystemExit("not killed, and still not the new bundle")
    return step - 1


def main() -> None:
    work = Path(sys.argv[1])
    old, new, third = (work / f"{name}.fsqb" for name in ("old", "new", "third"))
    for seed, path in enumerate((old, new, third)):
        random_bundle(seed=seed).save(path)
    steps = {
        "first": scenario(work, [], lambda root: install(new, root, selftest=passing), [None, new]),
        "replace": scenario(work, [old, third], lambda root: install(new, root, selftest=passing), [third, new]),
        "rollback": scenario(work, [old, new], rollback, [new, old]),
    }
    print(json.dumps(steps))


if __name__ == "__main__":
    try:
        main()
    except FsqEdgeError as error:
        raise SystemExit(f"{type(error).__name__}: {error.message}") from error
