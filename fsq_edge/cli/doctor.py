"""``fsq-edge doctor``: what is wrong with this machine, and the line that fixes it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from fsq_edge.cli.options import path_option
from fsq_edge.cli.output import Output, output_options
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.doctor import Checkup, Facts, LiveSystem, RecordedSystem, examine, gather
from fsq_edge_runtime.hef import HefReport, inspect_hef

_MARKS = {"error": "[red]error[/red]", "warning": "[yellow]warning[/yellow]", "info": "info"}

# What `run` and `bundle` can be asked for beyond the base install: extra, the module that it brings, what for.
EXTRAS = (
    ("serial", "serial", "sensors on a serial port"),
    ("mqtt", "paho", "MQTT sources and sinks"),
    ("metrics", "prometheus_client", "metrics for Prometheus"),
    ("monitor", "uvicorn", "the live page"),
    ("sign", "cryptography", "signatures of bundles"),
)


@click.command("doctor")
@path_option("--bundle", "bundle_path", help="Examine the HEFs of this bundle, too.")
@path_option("--root", help="Examine a recorded tree instead of this machine (default: this machine).")
@output_options
def command(bundle_path: Path | None, root: Path | None, output: Output) -> None:
    """Examine the device, its driver and firmware, the installed stack and this Python.

    Works without privileges and without any Hailo software. With --bundle it also says which HEF fits the device and
    whether the CPU or the device is the better place for this network.

    Root causes come first, with what follows from each below it; the repairs are those of the system at hand (Raspberry
    Pi OS, Debian, Ubuntu, Fedora, Proxmox, Home Assistant OS, a container). Exit code 1: something keeps this machine
    from what it has the parts for.
    """
    system = RecordedSystem(root) if root else LiveSystem()
    bundle = Bundle.open(bundle_path) if bundle_path else None
    checkup = examine(gather(system), _reports(bundle) if bundle else None)
    placement = _placement(bundle, root) if bundle else None
    report = {**checkup.to_dict(), **({"placement": placement} if placement is not None else {})}
    _show(output, checkup, placement)
    if root is None:
        for extra, module, purpose in EXTRAS:
            if importlib.util.find_spec(module) is None:
                line = f"not installed: {purpose}: pip install 'fsq-edge[{extra}]'"
                output.say(line)
    output.write_json(report)
    if not checkup.healthy:
        click.get_current_context().exit(1)


def _reports(bundle: Bundle) -> list[HefReport]:
    return [inspect_hef(bundle.read("hef", arch)) for arch in bundle.hef_architectures]


def _placement(bundle: Bundle, root: Path | None) -> dict[str, Any] | None:
    """Measure where the network runs best; a recorded tree is another machine, so nothing is measured there."""
    if root is not None:
        return None
    from fsq_edge_benchmarks.bench.placement import place

    return place(bundle, quick=True).to_dict()


def _show(out: Output, checkup: Checkup, placement: dict[str, Any] | None) -> None:
    for name, value in _summary(checkup.facts):
        out.say(f"{name:<10} {value}")
    if placement is not None:
        out.say(f"{'placement':<10} {placement['sentence']}")
    out.print()
    for finding in checkup.findings:
        said = f"{finding.rule}: {escape(finding.message)}"
        if finding.rule in checkup.because:
            out.say(f"  follows from it: {said}")
            continue
        out.print(f"{_MARKS[finding.severity]} {said}", soft_wrap=True)
        if finding.fix:
            out.say(f"  fix: {finding.fix}")  # one line, to be copied whole
    out.print(_closing(checkup), style="bold")


def _closing(checkup: Checkup) -> str:
    if not checkup.healthy:
        return "fix the errors above, top first"
    if any(finding.severity == "warning" for finding in checkup.findings):
        return "no error; the warnings above say what may still go wrong, and what fixes it"
    return "nothing to fix"


def _summary(facts: Facts) -> list[tuple[str, str]]:
    identity, python = facts.identity, facts.interpreter
    devices = [f"{device.chip.name if device.chip else device.device_id} at {device.address}" for device in facts.pci]
    said = [identity.architecture, identity.firmware and f"firmware {identity.firmware}"]
    heat = [f"{identity.temperature_c:.0f} C"] if identity.temperature_c is not None else []
    drivers = [f"{module.name} {module.version or '?'}" for module in facts.modules]
    kind = "virtual environment" if python.in_venv else "system"
    seen = "" if python.system_packages else ", without system packages"
    torch = facts.packages.get("torch")
    packages = [f"{name} {version}" for name, version in facts.packages.items() if version and name != "torch"]
    device = "cuda (auto)" if facts.cuda.startswith("likely") else "cpu (auto)"
    return [
        (
            "system",
            f"{facts.os_name}, kernel {facts.kernel}, {facts.machine}"
            + (", in a container" if facts.container else ""),
        ),
        *([("board", facts.board)] if facts.board else []),
        ("device", ", ".join([*devices, *(word for word in said if word), *heat]) or "no Hailo device"),
        ("driver", ", ".join(drivers) or "none"),
        ("HailoRT", f"library {facts.library_version or 'none'}, Python binding {facts.binding or 'none'}"),
        ("python", f"{python.version} ({kind}{seen})"),
        ("packages", ", ".join(packages) or "none"),
        (
            "torch",
            f"{torch}, CUDA {facts.cuda or 'unknown'}; training would use {device}" if torch else "not installed",
        ),
    ]
