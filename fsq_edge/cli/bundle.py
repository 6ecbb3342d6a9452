"""``fsq-edge bundle``: build, verify and inspect deployment bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from fsq_edge.cli.bundle_change import MAX_KEY_BYTES, add_hef, sign
from fsq_edge.cli.bundle_device import install, pull, push, rollback
from fsq_edge.cli.bundle_onnx import network_options
from fsq_edge.cli.gate_report import gate_options, stop_if_shut
from fsq_edge.cli.options import bundle_option, default_option, path_option
from fsq_edge.cli.output import Output, force_option, need, output_options, table
from fsq_edge_compile.checker.targets import ARCHES
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.install import verify_parts
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.files import read_bounded


@click.group("bundle")
def command() -> None:
    """Build, verify, inspect, sign and install deployment bundles (.fsqb files or folders)."""


command.add_command(add_hef)
command.add_command(sign)
command.add_command(install)
command.add_command(rollback)
command.add_command(push)
command.add_command(pull)


@command.command(
    epilog="Exit codes: 0 the bundle is written; 1 the check, the calibration audit or the parity ladder refuses it "
    "and nothing is written, unless --force."
)
@click.argument("build", type=click.Path(path_type=Path), required=False)
@network_options
@bundle_option(
    "--out", required=True, help="Write the bundle here: a file NAME.fsqb, or a folder, whose name has no suffix."
)
@click.option("--name", help="Call the model this (default: the name in export.json).")
@default_option("--arch", "hailo8l", click.Choice(ARCHES), "Check the device graph for this chip.")
@gate_options
@force_option
@output_options
def build(
    build: Path | None,
    out: Path,
    name: str | None,
    arch: str,
    min_code_agreement: float,
    max_drop: float,
    force: str,
    output: Output,
    **network: Any,
) -> None:
    """Make a bundle from the BUILD folder of export, calibrate and quantize, or from --onnx MODEL.

    Before, the device graph is checked for the target, the calibration set is audited again, and the parity ladder is
    climbed from torch to the int8 preview, and to the compiler's emulator where BUILD holds a compilation.

    With --onnx, --preprocess and --windows, the network was trained elsewhere: it is rewritten as check --fix does,
    checked, calibrated, previewed in int8 and compared with the file as it came, in one go.
    """
    need("onnx", "compile")
    from fsq_edge_compile.build_folder import BuildFolder
    from fsq_edge_compile.packing.bundle import build_bundle
    from fsq_edge_compile.packing.gate import check_gate
    from fsq_edge_compile.parity.ladder import Gates

    if network["onnx"] is not None and build is None:
        from fsq_edge.cli.own_network import build_own

        own = build_own(network, output, name, arch, min_code_agreement, force)
        own.save(out)
        _show(own, output, f"wrote {out}")
        output.say_next("fsq-edge", "run", out, "--source", "npz:FILE")
        output.write_json(summary(own))
        return
    if build is None or network["onnx"] is not None:
        raise UsageError("give a BUILD folder or --onnx MODEL, one of the two", hint="fsq-edge bundle build --help")
    folder = BuildFolder(build)
    gate = check_gate(folder, arch, force=force, parity=Gates(min_code_agreement, max_drop))
    stop_if_shut(output, gate, "not built")
    climbed = gate.ladder.to_dict() if gate.ladder else {}
    bundle = build_bundle(folder, name=name, check={arch: gate.report.verdict}, parity=climbed, forced=gate.forced)
    bundle.save(out)
    _show(bundle, output, f"wrote {out}")
    output.say_next("fsq-edge", "run", out, "--source", "npz:FILE")
    output.write_json(summary(bundle))


@command.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@path_option("--key", help="Require a signature that this public key verifies (Ed25519, PEM; default: none).")
@output_options
def verify(bundle: Path, key: Path | None, output: Output) -> None:
    """Check every byte of a bundle, how its parts fit, and with --key who made it.

    Hashes find damage; only --key finds an attacker. Exit 0 if it is whole, 65 if not.
    """
    opened = Bundle.open(bundle)
    verify_parts(opened, read_bounded(key, MAX_KEY_BYTES) if key else None)
    signed = "signature good" if key else _signature_state(opened)
    output.say(f"{bundle!s}: good, {len(opened.manifest.files)} files, {signed}")
    output.write_json({**summary(opened), "signature_checked": key is not None})


@command.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@output_options
def inspect(bundle: Path, output: Output) -> None:
    """Show what a bundle holds."""
    opened = Bundle.open(bundle)
    _show(opened, output, str(bundle))
    output.write_json(summary(opened))


def summary(bundle: Bundle) -> dict[str, Any]:
    """Return the JSON of the bundle verbs: the manifest with the sizes added up."""
    manifest = bundle.manifest.to_dict()
    return {**manifest, "total_bytes": sum(entry.bytes for entry in bundle.manifest.files)}


def _signature_state(bundle: Bundle) -> str:
    return "signed (not checked: no --key)" if bundle.has("signature") else "not signed"


def _show(bundle: Bundle, out: Any, title: str) -> None:
    manifest, config = bundle.manifest, bundle.preprocess
    channels = ", ".join(f"{channel.name} [{channel.unit}]" for channel in config.channels)
    out.print(f"[bold]{escape(title)}[/bold]")
    out.say(f"model     {manifest.name}\nclasses   {', '.join(manifest.classes)}")
    out.say(f"channels  {channels}")
    out.say(f"window    {config.window_samples} samples at {config.sample_rate_hz:g} Hz, hop {config.hop_samples}")
    rows = [(entry.role, entry.arch or "", entry.path, entry.bytes, entry.sha256[:12]) for entry in manifest.files]
    out.print(table("files", ["role", "arch", "path", "bytes", "sha256"], rows))
    for reason in manifest.forced:
        out.print(f"[yellow]forced[/yellow]: {escape(reason)}")
    for arch, verdict in manifest.check.items():
        out.say(f"check     {arch}: {verdict}")
    if bundle.events is not None:
        score = bundle.events.tuned
        out.say(
            f"tuned     {score.false_per_hour:.1f} false events per hour (raw argmax "
            f"{bundle.events.raw.false_per_hour:.1f}), {score.missed} of {score.events} missed; "
            f"{bundle.events.reported_on} of {bundle.events.dataset}"
        )
    out.say(f"signature {_signature_state(bundle)}")
