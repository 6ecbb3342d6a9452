"""``bench MODEL.onnx`` and ``bench FILE.hef``: a network without a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsq_edge.cli.output import need
from fsq_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from fsq_edge_benchmarks.bench.bench import BenchSettings
    from fsq_edge_benchmarks.bench.network_bench import NetworkFile
    from fsq_edge_benchmarks.bench.result import BenchResult, Mode

MOST_WINDOWS = 4096
FOREIGN = (".tflite", ".lite", ".pb", ".keras", ".h5", ".hdf5", ".pt", ".pth", ".pt2")


def is_network(path: Path) -> bool:
    """Return whether a path names a network alone, or one of another framework, and not a bundle."""
    return path.suffix.lower() in (".onnx", ".hef", *FOREIGN)


def windows_or_file(ctx: click.Context, param: click.Parameter, value: str | None) -> int | Path | None:
    """Read a number of windows, 1 to 4,096, or the name of a file."""
    if value is None or not value.lstrip("-").isdigit():
        return None if value is None else Path(value)
    if not 1 <= int(value) <= MOST_WINDOWS:
        raise click.BadParameter(f"{value} is not in the range 1<=x<={MOST_WINDOWS}.", ctx, param)
    return int(value)


def measure_network(
    path: Path,
    modes: Sequence[Mode],
    backends: Sequence[str] | None,
    sizes: Mapping[str, Any],
    settings: BenchSettings,
    against: str | None,
    quick: bool,
    say: Callable[[str], None],
) -> BenchResult:
    """Return what ``bench`` found of an ONNX file or a HEF.

    Raises:
        UsageError: an option that needs a bundle.
        MissingInputError, DataError: a file does not fit.
        BackendError: no device.
    """
    from fsq_edge_benchmarks.bench.network_bench import bench_network

    network = _opened(path, sizes["windows"], against)
    for name in ("seconds", "streams", "starts"):
        if sizes[name] is not None:
            raise UsageError(f"--{name} needs a bundle, {path.name} is a network alone")
    return bench_network(
        network,
        modes,
        backends,
        decisions=int(sizes["decisions"] or settings.decisions),
        rounds=settings.rounds,
        windows=sizes["windows"] if isinstance(sizes["windows"], int) else settings.windows,
        quick=quick,
        say=say,
    )


def _opened(path: Path, windows: int | Path | None, against: str | None) -> NetworkFile:
    """Return the file; only an ONNX file needs the workstation's packages."""
    if path.suffix.lower() == ".hef":
        from fsq_edge_benchmarks.bench.network_bench import HefFile

        if against is not None or isinstance(windows, Path):
            raise UsageError("--against and a file of windows go with an ONNX file", hint="leave them out")
        return HefFile(path)
    from fsq_edge.deploy.foreign_formats import require_onnx

    require_onnx(path)
    need("onnx", "compile")
    from fsq_edge.deploy.foreign_set import read_frames
    from fsq_edge_benchmarks.bench.onnx_network import OnnxFile

    if against is not None and Path(against).suffix.lower() != ".onnx":
        raise UsageError(f"--against {against}: an ONNX file is raced against another one", hint="--against OTHER.onnx")
    inputs = read_frames(windows) if isinstance(windows, Path) else None
    return OnnxFile(path, inputs, None if against is None else Path(against))
