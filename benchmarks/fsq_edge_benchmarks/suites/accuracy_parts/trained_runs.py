"""Training runs that several benchmarks share, trained once and loaded by the next; and bundles of them."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

import fsq_edge
from fsq_edge.deploy.build import export_run
from fsq_edge.training import Run, TrainConfig, load_run, train
from fsq_edge.training.record import record_split, versions
from fsq_edge.training.split import WindowSides
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.packing.bundle import build_bundle
from fsq_edge_runtime import preprocess
from fsq_edge_runtime.bundle.bundle import Bundle


def trained_run(config: TrainConfig, sides: WindowSides, runs: Path | None = None, *, anew: bool = False) -> Run:
    """Train, or load the run that the same configuration, split and training code left behind.

    Args:
        config: the training configuration.
        sides: the three sides of the split.
        runs: folder that keeps runs, made when it does not exist; None keeps nothing.
        anew: train although a run was kept, because the time it takes is measured; it replaces the kept one.

    Raises:
        FsqEdgeError: a kept run is damaged, or the training cannot be done.
    """
    if runs is None:
        with tempfile.TemporaryDirectory() as folder:
            train(config, Path(folder), sides=sides)
            return load_run(Path(folder))
    place = runs / _key(config, sides)
    if anew:
        shutil.rmtree(place, ignore_errors=True)
    if not (place / "run.json").is_file():
        train(config, place, sides=sides)
    return load_run(place)


def trained_bundle(config: TrainConfig, sides: WindowSides, folder: Path) -> tuple[Run, Bundle]:
    """Train, export and build, as ``train``, ``export`` and ``bundle build`` do.

    Args:
        config: of the training; its source must give ``sides`` again.
        sides: windows in three parts.
        folder: gets ``run``, ``build`` and ``bundle.fsqb``.
    """
    train(config, folder / "run", sides=sides)
    run = load_run(folder / "run")
    export_run(run, folder / "build")
    build_bundle(BuildFolder(folder / "build")).save(folder / "bundle.fsqb")
    return run, Bundle.open(folder / "bundle.fsqb")


def _key(config: TrainConfig, sides: WindowSides) -> str:
    """Return a folder name that says seed and test subjects, and stands for all that decides the weights."""
    # Whoever cut the sides may have named the subjects in the configuration or not: the split says them.
    data = config.data.model_copy(update={"test_subjects": (), "val_subjects": ()})
    digest = hashlib.sha256(config.model_copy(update={"data": data}).to_json().encode())
    digest.update(record_split(sides).model_dump_json().encode())
    digest.update(repr(sorted(versions().items())).encode())
    for path in _training_code():
        digest.update(path.read_bytes())
    subjects = "-".join(sides.split.test.subjects)
    return f"{sides.train.dataset.name}-{subjects}-seed{config.training.seed}-{digest.hexdigest()[:12]}"


def _training_code() -> list[Path]:
    """Return the files whose change may change the weights."""
    core = Path(fsq_edge.__file__).parent
    folders = [path for part in ("data", "training") for path in sorted((core / part).rglob("*.py"))]
    return [*folders, core / "model.py", core / "fsq.py", Path(preprocess.__file__)]
