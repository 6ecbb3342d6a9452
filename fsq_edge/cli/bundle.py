"""``fsq-edge bundle``: build, verify and inspect deployment bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from fsq_edge.cli.bundle_change import MAX_KEY_BYTES, add_hef, sign
from fsq_edge.cli.bundle_device import install, pull, push, rollback
from fsq_edge.cli.options import PartGroup, path_option
from fsq_edge.cli.output import Output, output_options, table
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.install import verify_parts
from fsq_edge_runtime.files import read_bounded


@click.group("bundle", cls=PartGroup, elsewhere={"build": "fsq_edge.cli.build_bundle"})
def command() -> None:
    """Build, verify, inspect, sign and install deployment bundles (.fsqb files or folders)."""


command.add_command(add_hef)
command.add_command(sign)
command.add_command(install)
command.add_command(rollback)
command.add_command(push)
command.add_command(pull)


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
    show_bundle(opened, output, str(bundle))


def summary(bundle: Bundle) -> dict[str, Any]:
    """Return the JSON of the bundle verbs: the manifest with the sizes added up."""
    manifest = bundle.manifest.to_dict()
    return {**manifest, "total_bytes": sum(entry.bytes for entry in bundle.manifest.files)}


def _signature_state(bundle: Bundle) -> str:
    return "signed (not checked: no --key)" if bundle.has("signature") else "not signed"


def show_bundle(bundle: Bundle, out: Output, title: str) -> None:
    """Print what a bundle holds, under a title, and write its JSON."""
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
    out.write_json(summary(bundle))
