"""``fsq-edge bundle``: build, verify and inspect deployment bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsq_edge.cli.output import console, need, output_options, table, write_json

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle import Bundle


@click.group("bundle")
def command() -> None:
    """Build, verify and inspect deployment bundles (.fsqb files or folders)."""


@command.command()
@click.argument("build", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="NAME.fsqb, or a folder without suffix.")
@click.option("--name", help="Name of the model; the export's by default.")
@click.option("--arch", default="hailo8l", show_default=True, help="Target that the device graph is checked for.")
@output_options
def build(build: Path, out: Path, name: str | None, arch: str, json_to: str | None, quiet: bool) -> None:
    """Make a bundle from the BUILD folder of export, calibrate and quantize."""
    need("onnx", "compile")
    from fsq_edge_compile.build_folder import BuildFolder
    from fsq_edge_compile.bundle import build_bundle

    bundle = build_bundle(BuildFolder(build), name=name)
    bundle.save(out)
    _show(bundle, console(quiet, json_to), f"wrote {out}")
    write_json(summary(bundle), json_to)


@command.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@output_options
def verify(bundle: Path, json_to: str | None, quiet: bool) -> None:
    """Check every byte of a bundle and how its parts fit. Exit 0 if it is whole, 65 if not."""
    from fsq_edge_runtime.bundle import Bundle

    opened = Bundle.open(bundle)
    console(quiet, json_to).print(f"{bundle}: good, {len(opened.manifest.files)} files")
    write_json(summary(opened), json_to)


@command.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@output_options
def inspect(bundle: Path, json_to: str | None, quiet: bool) -> None:
    """Show what a bundle holds."""
    from fsq_edge_runtime.bundle import Bundle

    opened = Bundle.open(bundle)
    _show(opened, console(quiet, json_to), str(bundle))
    write_json(summary(opened), json_to)


def summary(bundle: Bundle) -> dict[str, Any]:
    """Return the JSON of the bundle verbs: the manifest with the sizes added up."""
    manifest = bundle.manifest.to_dict()
    return {**manifest, "total_bytes": sum(entry.bytes for entry in bundle.manifest.files)}


def _show(bundle: Bundle, out: Any, title: str) -> None:
    manifest, config = bundle.manifest, bundle.preprocess
    channels = ", ".join(f"{channel.name} [{channel.unit}]" for channel in config.channels)
    out.print(f"[bold]{title}[/bold]\nmodel     {manifest.name}\nclasses   {', '.join(manifest.classes)}")
    out.print(f"channels  {channels}", markup=False)
    out.print(f"window    {config.window_samples} samples at {config.sample_rate_hz:g} Hz, hop {config.hop_samples}")
    rows = [(entry.role, entry.arch or "", entry.path, entry.bytes, entry.sha256[:12]) for entry in manifest.files]
    out.print(table("files", ["role", "arch", "path", "bytes", "sha256"], rows))
    for reason in manifest.forced:
        out.print(f"[yellow]forced[/yellow]: {reason}")
