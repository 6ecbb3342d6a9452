"""The parity ladder of a bundle or a BUILD folder, with torch from a run where one is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fsq_edge.deploy.plain_windows import read_windows
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.parity.bundle_rungs import hef_rung, ladder_of_bundle
from fsq_edge_compile.parity.ladder import Gates, LadderReport
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.extras import need


def climb_ladder(
    path: Path, gates: Gates | None = None, *, run_folder: Path | None = None, windows: Path | None = None
) -> LadderReport:
    """Compare all forms of a model on one set of windows; see :func:`fsq_edge_compile.parity.ladder.run_ladder`.

    Args:
        path: a bundle, or a BUILD folder, which has held-out windows of its own.
        gates: what must hold; None takes the defaults.
        run_folder: torch is the first rung, and a bundle takes the held-out windows of this run.
        windows: for a bundle without a run: npz with ``windows`` (N, C, T) in raw units, ``labels`` (N,) and, where
            they are known, ``subjects`` (N,); None takes the 16 self-test windows.

    Raises:
        UnavailableError: a package is missing.
        MissingInputError, DataError, BundleError: a file is gone, damaged or of another form.
    """
    if (path / "export.json").is_file():
        return _ladder_of_build(path, run_folder, gates)
    return _ladder_of_bundle(path, run_folder, windows, gates)


def _ladder_of_build(folder: Path, run_folder: Path | None, gates: Gates | None) -> LadderReport:
    need("onnx", "compile")
    from fsq_edge_compile.parity.build_rungs import ladder_of_build

    forward = None if run_folder is None else _held_out_of_run(run_folder)[1]
    return ladder_of_build(BuildFolder(folder), gates=gates, forward=forward)


def _ladder_of_bundle(path: Path, run_folder: Path | None, windows: Path | None, gates: Gates | None) -> LadderReport:
    opened = Bundle.open(path)
    extra = [hef_rung(opened)] if opened.hef_architectures else []
    if run_folder is not None:
        (x, labels, subjects), forward = _held_out_of_run(run_folder)
        return ladder_of_bundle(opened, x, labels, groups=subjects, gates=gates, forward=forward, extra=extra)
    if windows is None:
        return ladder_of_bundle(opened, gates=gates, extra=extra)
    given = read_windows(windows)
    if given.labels is None:
        raise DataError(f"{windows.name}: no labels", hint="numpy.savez with windows (N, C, T), labels (N,)")
    x = np.asarray(given.windows, dtype=np.float32)
    return ladder_of_bundle(opened, x, given.labels, groups=given.subjects, gates=gates, extra=extra)


def _held_out_of_run(run_folder: Path) -> tuple[tuple[Any, Any, Any], Any]:
    """Return the held-out windows of a run and its torch forward."""
    torch = need("torch", "train")
    torch.set_num_threads(1)
    from fsq_edge.deploy.build import MAX_REFERENCE_WINDOWS, device_outputs, usable_windows
    from fsq_edge.training import load_run

    run = load_run(run_folder)
    split = run.windows()
    held_out = usable_windows(run, split.test if len(split.test) else split.val, MAX_REFERENCE_WINDOWS)
    given = held_out.windows, held_out.index.label, held_out.index.subject
    return given, lambda frames: device_outputs(run, frames)
