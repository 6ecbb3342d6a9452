"""``fsq-edge wheelhouse``: what a device needs to install without a network."""

from __future__ import annotations

from pathlib import Path

import click

from fsq_edge.cli.options import default_option, names_of
from fsq_edge.cli.output import Output, output_options, table
from fsq_edge.wheelhouse import GLIBC, PLATFORMS, make_wheelhouse


@click.command(
    "wheelhouse", epilog="Exit codes: 0; 64 DIR holds something; 69 pip found no wheels, or no package index."
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@default_option(
    "--platform", "aarch64", click.Choice(PLATFORMS), "Download for this machine; a Raspberry Pi is aarch64."
)
@default_option(
    "--python", "3.11", click.Choice(list(GLIBC)), "Download for this Python: 3.11 on Bookworm, 3.13 on Trixie."
)
@click.option(
    "--extras", callback=names_of(), metavar="A,B", help="Also the extras, such as serial,mqtt. Default: none."
)
@click.option(
    "--with", "also", multiple=True, metavar="REQUIREMENT", help="Also this, such as 'numpy<2' for HailoRT 4.x."
)
@output_options
def command(
    folder: Path,
    platform: str,
    python: str,
    extras: tuple[str, ...] | None,
    also: tuple[str, ...],
    output: Output,
) -> None:
    """Download the wheels of a device install into DIR, with requirements.txt (hashes) and INSTALL.txt.

    Uses the package index that pip is configured for; nothing else of fsq-edge reads a network by itself.
    """
    wheels = make_wheelhouse(folder, platform=platform, python=python, extras=extras or (), also=also)
    megabytes = [(wheel.name, f"{wheel.bytes / 1e6:.2f}", f"{wheel.unpacked_bytes / 1e6:.2f}") for wheel in wheels]
    unpacked = sum(wheel.unpacked_bytes for wheel in wheels)
    output.print(table("", ["wheel", "MB", "MB unpacked"], megabytes))
    output.say(f"{len(wheels)} wheels, {unpacked / 1e6:.1f} MB unpacked; how to install: {folder / 'INSTALL.txt'}")
    files = [
        {"name": wheel.name, "bytes": wheel.bytes, "unpacked_bytes": wheel.unpacked_bytes, "sha256": wheel.sha256}
        for wheel in wheels
    ]
    value = {"schema_version": 1, "folder": str(folder), "platform": platform, "python": python}
    output.write_json({**value, "unpacked_bytes": unpacked, "wheels": files})
