"""What ``bundle build --onnx`` and ``export --onnx`` do; not on a device, which cannot build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsq_edge.cli.output import Output
from fsq_edge.deploy.foreign_formats import require_onnx
from fsq_edge.deploy.plain_windows import PlainWindows, windows_from
from fsq_edge_compile.foreign.network_input import NetworkInput
from fsq_edge_compile.own.building import build_bundle
from fsq_edge_compile.own.folder import write_network
from fsq_edge_compile.own.network import prepare_network
from fsq_edge_runtime.bundle.edit import check_reason
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.files import read_bounded

if TYPE_CHECKING:
    from fsq_edge_compile.checker.report import CheckReport
    from fsq_edge_compile.foreign.scores import ScoreAgreement
    from fsq_edge_runtime.bundle.bundle import Bundle
    from fsq_edge_runtime.findings import NodeFinding

MAX_CLASSES_BYTES = 1 << 20
SHOWN_PROBLEMS = 10


def build_own(
    network: dict[str, Any],
    output: Output,
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
    made = build_bundle(**_arguments(network), arch=arch, min_label_agreement=min_agreement, name=name, force=force)
    _show_parts(output, made.check, made.host_operators, made.notes)
    output.say(_agreement(made.exact) + _after_rounding(made.int8))
    for finding in made.audit.findings:
        output.say(f"audit     {finding.rule}: {finding.message}")
    if made.bundle is None:
        _refuse(output, made.check, made.shut, "not built")
        output.write_json(made.to_dict())
        click.get_current_context().exit(1)
    return made.bundle


def export_own(network: dict[str, Any], output: Output, name: str | None, arch: str, force: str, out: Path) -> None:
    """Write the BUILD folder of a network trained elsewhere; exit 1 with the reasons where a gate is shut.

    Raises:
        UsageError: an option is missing.
        MissingInputError, DataError: what the options name does not fit.
    """
    check_reason(force)
    arguments = _arguments(network)
    made = prepare_network(**arguments, arch=arch)
    _show_parts(output, made.report, made.cut.host_operators, made.notes)
    output.say(_agreement(made.exact))
    shut = made.shut()
    facts = {
        "check": made.report.to_dict(),
        "parity": made.exact.to_dict(),
        "notes": list(made.notes),
        "shut": list(shut),
    }
    if shut and not force:
        _refuse(output, made.report, shut, "not exported")
        output.write_json({"schema_version": 1, "build": None, **facts})
        click.get_current_context().exit(1)
    record = write_network(made, out, name or Path(arguments["model"]).stem)
    output.say(f"wrote {out}; next: fsq-edge calibrate {network['windows']} --out {out}")
    output.write_json({"schema_version": 1, "build": str(out), **record.to_dict(), **facts})


def _arguments(network: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the options, read from their files."""
    lacking = [f"--{key}" for key in ("preprocess", "windows") if network[key] is None]
    if lacking:
        raise UsageError(
            f"--onnx needs {' and '.join(lacking)}",
            hint="fsq-edge preprocess fit --windows W.npy --rate HZ --out FILE writes the preprocess file",
        )
    model = require_onnx(network["onnx"])
    given = NetworkInput.read(network["preprocess"])
    plain = own_windows(network["windows"], given)
    return {
        "model": model,
        "preprocess": given,
        "windows": plain.windows,
        "classes": _classes(network["classes"]),
        "labels": plain.labels,
        "head": network["head"],
        "false_alarm_rate": network["false_alarms"],
        "thresholds": _thresholds(network["thresholds"]),
    }


def _show_parts(screen: Output, report: CheckReport, host: Sequence[str], notes: Sequence[str]) -> None:
    screen.say(f"check     {report.arch}: {report.verdict}")
    for line in conditions(report):
        screen.say(f"          {line}")
    if host:
        screen.say(f"host      runs in onnxruntime behind the device: {', '.join(host)}")
    for note in notes:
        screen.say(f"warning   {note}")


def _agreement(exact: ScoreAgreement) -> str:
    return (
        f"parity    original ONNX: {exact.label_agreement.value:.2%} of the labels equal, probabilities within "
        f"{exact.max_probability_difference:.1e}"
    )


def _after_rounding(found: ScoreAgreement | None) -> str:
    if found is None:
        return ""
    related = "" if found.correlation is None else f", correlation {found.correlation:.4f}"
    kept = found.label_agreement.value
    return f"; int8 preview (not a device): {kept:.2%} of {found.windows} labels equal, KL {found.kl:.2g}{related}"


def _refuse(screen: Output, report: CheckReport, shut: Sequence[str], outcome: str) -> None:
    for line in shut:
        screen.say(f"refused   {line}")
    for problem in report.errors[:SHOWN_PROBLEMS]:
        screen.say(f"  {problem.node or 'file'}: {problem.message}; fix: {problem.fix}")
    screen.say(f"{outcome} (--force REASON goes on nevertheless)")


def own_windows(text: str, given: NetworkInput) -> PlainWindows:
    """Return the windows that ``--windows`` names, cut as the preprocess file says where it is a data source."""
    names = [channel.name for channel in given.channels]
    return windows_from(text, names, given.sample_rate_hz, given.window_samples, given.hop_samples)


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


def _classes(given: str | None) -> tuple[str, ...]:
    if given is None:
        return ()
    if Path(given).is_file():
        text = read_bounded(Path(given), MAX_CLASSES_BYTES, what="the class names").decode("utf-8", "replace")
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    return tuple(part.strip() for part in given.split(",") if part.strip())
