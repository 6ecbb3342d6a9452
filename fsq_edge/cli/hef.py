"""``fsq-edge hef``: read a HEF without HailoRT."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from fsq_edge.cli.bundle_change import show_findings
from fsq_edge.cli.options import path_option
from fsq_edge.cli.output import Output, output_options, table
from fsq_edge_runtime.bundle.hef_match import finding_rows
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.findings import Finding
from fsq_edge_runtime.hef import HefReport, HefTensor, LoadVerdict, check_load, compare_hef, inspect_hef, read_record

MAX_YEAR_MS = 253_402_300_799_000  # the last millisecond that a date can show


@click.group("hef")
def command() -> None:
    """Read Hailo's compiled networks (HEF) without HailoRT."""


@command.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@path_option("--bundle", "bundle_path", help="Compare the HEF with this bundle.")
@click.option(
    "--device", metavar="NAME", help="Say whether this device loads it, for example hailo8l (default: no device)."
)
@click.option(
    "--hailort",
    default="",
    metavar="VERSION",
    help="With --device: assume this HailoRT, for example 4.23.0 (default: any).",
)
@output_options
def inspect(file: Path, bundle_path: Path | None, device: str | None, hailort: str, output: Output) -> None:
    """Verify FILE and show what is in it.

    Exit codes: 0 sound (and fits, loads); 1 it does not fit the bundle or the device will not load it; 65 damaged or
    not a HEF.
    """
    if hailort and not device:
        raise UsageError("--hailort needs --device", hint="for example --device hailo8l --hailort 4.23.0")
    report = inspect_hef(file)
    findings: tuple[Finding, ...] = ()
    if bundle_path:
        from fsq_edge_runtime.bundle.bundle import Bundle

        findings = compare_hef(report, Bundle.open(bundle_path), read_record(file, report.sha256))
    verdict = check_load(report, device, hailort) if device else None
    _show(output, file, report)
    if bundle_path:
        _show_findings(output, findings)
    if verdict:
        _show_verdict(output, device or "", hailort, verdict)
    output.write_json(_to_dict(report, findings if bundle_path else None, verdict))
    fits = all(finding.severity != "error" for finding in findings)
    if not fits or (verdict and not verdict.loads):
        click.get_current_context().exit(1)


def _to_dict(report: HefReport, findings: tuple[Finding, ...] | None, verdict: LoadVerdict | None) -> dict[str, Any]:
    value = report.to_dict()
    if findings is not None:
        value["bundle"] = {
            "fits": all(finding.severity != "error" for finding in findings),
            "findings": finding_rows(findings),
        }
    if verdict is not None:
        value["load"] = dataclasses.asdict(verdict)
    return value


def _show(out: Output, file: Path, report: HefReport) -> None:
    rows = [(name, escape(text)) for name, text in _facts(report)]
    out.print(table(escape(str(file)), ("field", "value"), rows))
    for way, tensors in (("input", report.inputs), ("output", report.outputs)):
        for tensor in tensors:
            _show_stream(out, way, tensor)
    for warning in (*([report.fault] if report.fault else []), *report.warnings):
        out.say(f"warning: {warning}")


def _show_stream(out: Output, way: str, tensor: HefTensor) -> None:
    quant = tensor.quant
    limits = f"[{quant.limit_min:.4g}, {quant.limit_max:.4g}]"
    lines = [
        f"\n{way} {tensor.name}",
        f"  {'x'.join(map(str, tensor.shape))} {tensor.order} {tensor.dtype}",
        f"  scale {quant.scale:.6g}, zero point {quant.zero_point:g}, limits {limits}",
    ]
    if tensor.original_names:
        lines.append(f"  made from {', '.join(tensor.original_names)}")
    out.say("\n".join(lines))


def _facts(report: HefReport) -> Iterator[tuple[str, str]]:
    group, header = report.groups[0], report.header
    yield "network", group.name
    yield "architecture", f"{report.architecture.name} (code {report.architecture.code})"
    yield "compiled by", f"DFC {report.dfc_version or 'not recorded'}, {_date(report.timestamp_ms)}"
    yield "loads on", ", ".join(report.devices) or "no device this release knows"
    paired = f", released with {report.paired_hailort}" if report.paired_hailort else ""
    strict = ", same major.minor as the DFC only" if report.strict_versioning else ""
    yield "HailoRT", f"{report.generation}.x, {report.minimum_hailort} or newer{paired}{strict}"
    yield "file", f"{report.file_bytes} bytes, header version {header.version}, {header.checksum_kind} good"
    yield "layout", f"{group.layout}, contexts {group.contexts}"
    if group.estimated_fps > 0:
        latency = f", {group.estimated_latency_s * 1e6:.0f} µs" if group.estimated_latency_s > 0 else ""
        yield "compiler's estimate", f"{group.estimated_fps:.0f} frames/s{latency} (simulated, not measured)"
    yield "SHA-256", report.sha256


def _date(timestamp_ms: int) -> str:
    if not 0 < timestamp_ms < MAX_YEAR_MS:
        return "date not recorded"
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _show_findings(out: Output, findings: tuple[Finding, ...]) -> None:
    errors = sum(finding.severity == "error" for finding in findings)
    out.say(f"\nagainst the bundle: {'does not fit' if errors else 'fits'}")
    show_findings(out, findings)


def _show_verdict(out: Output, device: str, hailort: str, verdict: LoadVerdict) -> None:
    stack = f"{device} with HailoRT {hailort}" if hailort else device
    out.say(f"\n{stack}: {'loads it' if verdict.loads else f'refuses it (status {verdict.status})'}")
    for line in (*verdict.reasons, *verdict.warnings):
        out.say(f"  {line}")
