"""A bundle of a network that a suite trains itself, by the steps of ``train``, ``export`` and ``bundle build``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsq_edge.training import TrainConfig
    from fsq_edge.training.run import Run
    from fsq_edge.training.split import WindowSides
    from fsq_edge_runtime.bundle.bundle import Bundle


def trained_bundle(config: TrainConfig, sides: WindowSides, folder: Path) -> tuple[Run, Bundle]:
    """Train, export and build.

    Args:
        config: of the training; its source must give ``sides`` again.
        sides: windows in three parts.
        folder: gets ``run``, ``build`` and ``bundle.fsqb``.
    """
    from fsq_edge.deploy.build import export_run
    from fsq_edge.training import load_run, train
    from fsq_edge_compile.build_folder import BuildFolder
    from fsq_edge_compile.packing.bundle import build_bundle
    from fsq_edge_runtime.bundle.bundle import Bundle

    train(config, folder / "run", sides=sides)
    run = load_run(folder / "run")
    export_run(run, folder / "build")
    build_bundle(BuildFolder(folder / "build")).save(folder / "bundle.fsqb")
    return run, Bundle.open(folder / "bundle.fsqb")
