"""``bundle build --onnx``: a network that was trained elsewhere."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np
from rich.markup import escape

from fsq_edge.cli.options import default_option, path_option
from fsq_edge.cli.output import write_json
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.npz import read_arrays

if TYPE_CHECKING:
    from rich.console import Console

    from fsq_edge_compile.checker.report import CheckReport
    from fsq_edge_runtime.bundle.bundle import Bundle
    from fsq_edge_runtime.findings import NodeFinding

MAX_WINDOWS_BYTES = 1 << 30
MAX_CLASSES_BYTES = 1 << 20
F = TypeVar("F", bound=Callable[..., Any])


def network_options(command: F) -> F:
    """Add what ``bundle build`` needs for a network that was trained elsewhere."""
    options = (
        path_option("--onnx", help="Build from this ONNX file instead of a BUILD folder (default: none)."),
        path_option("--preprocess", help="With --onnx: what the network takes, JSON or YAML (see preprocess fit)."),
        click.option("--classes", metavar="FILE|A,B", help="With --onnx: class names in the order of the outputs."),
        path_option(
            "--windows",
            help="With --onnx: windows (N, C, T) in raw units, npy, or npz with windows and, where known, labels.",
        ),
        click.option(
            "--head",
            type=click.Choice(["softmax", "sigmoid", "anomaly"]),
            help="With --onnx: what the output is; sigmoid is several labels at once (default: read off its end and "
            "size).",
        ),
        default_option(
            "--false-alarms",
            0.01,
            click.FloatRange(0, 1, min_open=True, max_open=True),
            "With an anomaly head: fit the threshold so that this share of the normal windows is above it.",
        ),
        click.option(
            "--thresholds",
            metavar="P,Q",
            help="With a sigmoid head: probability from which on each label is there (default: fitted where the npz "
            "has labels (N, K) of 0 and 1, else 0.5 each).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def build_own(
    network: dict[str, Any],
    screen: Console,
    json_to: str | None,
    name: str | None,
    arch: str,
    min_agreement: float,
    force: str,
) -> Bundle:
    """Return the bundle of a network trained elsewhere; exit 1 with the reasons where a gate is shut.

    Raises:
        UsageError: an option is missing.
        MissingInputError, DataError: what the options name does not fit.
    """
    from fsq_edge_compile.own.building import build_bundle
    from fsq_edge_compile.own.network_input import NetworkInput

    lacking = [f"--{key}" for key in ("preprocess", "windows") if network[key] is None]
    if lacking:
        raise UsageError(
            f"--onnx needs {' and '.join(lacking)}",
            hint="fsq-edge preprocess fit --windows W.npy --rate HZ --out FILE writes the preprocess file",
        )
    windows, labels = read_windows(network["windows"])
    made = build_bundle(
        _onnx_path(network["onnx"]),
        NetworkInput.read(network["preprocess"]),
        windows,
        classes=_classes(network["classes"]),
        labels=labels,
        arch=arch,
        head=network["head"],
        false_alarm_rate=network["false_alarms"],
        thresholds=_thresholds(network["thresholds"]),
        min_label_agreement=min_agreement,
        name=name,
        force=force,
    )
    kept = made.int8.label_agreement
    screen.print(f"check     {made.check.arch}: {made.check.verdict}")
    for line in conditions(made.check):
        screen.print(escape(f"          {line}"), soft_wrap=True)
    if made.host_operators:
        screen.print(
            f"host      runs in onnxruntime behind the device: {', '.join(made.host_operators)}", soft_wrap=True
        )
    for note in made.notes:
        screen.print(escape(f"warning   {note}"), soft_wrap=True)
    screen.print(
        f"parity    original ONNX: {made.exact.label_agreement.value:.2%} of the labels equal, probabilities within "
        f"{made.exact.max_probability_difference:.1e}; int8 preview (not a device): {kept.value:.2%} of "
        f"{made.int8.windows} labels equal, KL {made.int8.kl:.2g}",
        soft_wrap=True,
    )
    for finding in made.audit.findings:
        screen.print(escape(f"audit     {finding.rule}: {finding.message}"), soft_wrap=True)
    if made.bundle is None:
        for line in made.shut:
            screen.print(escape(f"refused   {line}"), soft_wrap=True)
        for problem in made.check.errors[:10]:
            screen.print(escape(f"  {problem.node or 'file'}: {problem.message}; fix: {problem.fix}"), soft_wrap=True)
        screen.print("not built (--force REASON goes on nevertheless)")
        write_json(made.to_dict(), json_to)
        click.get_current_context().exit(1)
    return made.bundle


def conditions(report: CheckReport) -> list[str]:
    """Return one line for each operator that the chip takes under conditions only."""
    found: dict[str, NodeFinding] = {}
    for finding in report.findings:
        if finding.support == "conditional" and finding.severity != "error":
            found.setdefault(finding.op, finding)
    return [f"conditional: {op}: {finding.message}" for op, finding in found.items()]


def _thresholds(given: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in (given or "").split(",") if part.strip())
    except ValueError as error:
        raise UsageError(f"cannot read --thresholds {given}", hint="for example --thresholds 0.5,0.3") from error


def read_windows(path: Path) -> tuple[AnyArray, Any]:
    """Return windows and labels (None where there are none) of an npy or npz file.

    Raises:
        MissingInputError: it cannot be read.
        DataError: it is damaged, has no ``windows``, or is larger than 1 GiB.
    """
    data = read_bounded(path, MAX_WINDOWS_BYTES, what="the windows")
    if path.suffix == ".npz":
        try:
            names = ("windows", "labels")
            windows, labels = read_arrays(data, names)
        except ValueError as error:
            try:
                (windows,) = read_arrays(data, names[:1])
            except ValueError:
                raise DataError(f"{path.name}: {error}", hint="save it with numpy.savez(F, windows=W)") from error
            return windows, None
        return windows, labels
    try:
        return np.load(io.BytesIO(data), allow_pickle=False), None
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path.name} is no npy file of numbers", hint="numpy.save(FILE, windows)") from error


def _onnx_path(path: Path) -> Path:
    if path.suffix in (".tflite", ".pb", ".keras", ".h5") or path.is_dir():
        flag = "--tflite" if path.suffix == ".tflite" else "--saved-model"
        raise DataError(
            f"{path.name} is not an ONNX file",
            hint=f"python -m tf2onnx.convert {flag} {path} --opset 17 --output model.onnx",
        )
    return path


def _classes(given: str | None) -> tuple[str, ...]:
    if given is None:
        return ()
    if Path(given).is_file():
        text = read_bounded(Path(given), MAX_CLASSES_BYTES, what="the class names").decode("utf-8", "replace")
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    return tuple(part.strip() for part in given.split(",") if part.strip())
