"""``fsq-edge service``: a stream as a service of systemd."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from fsq_edge.cli.options import backend_option, default_option, path_option
from fsq_edge.cli.output import Output, output_options
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.files import write_file
from fsq_edge_runtime.personal.installing import installed_overlays
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.service_unit import ServiceUnit, find_program, verify_unit


@click.group("service")
def command() -> None:
    """Run a stream as a service of systemd."""


@command.command("install")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--source", "sources", required=True, multiple=True, metavar="ADDRESS", help="As for run --source.")
@click.option("--sink", "sinks", required=True, multiple=True, metavar="ADDRESS",
              help="As for run --sink; a relative file lies in /var/lib/NAME.")  # fmt: skip
@path_option("--alerts", help="As for run --alerts. Default: none.")
@click.option("--drift/--no-drift", default=None, help="As for run --drift.")
@click.option("--metrics", metavar="[HOST:]PORT", help="As for run --metrics. Default: none.")
@backend_option("auto", "As for run --backend.")
@default_option("--name", "fsq-edge", None, "Name of the service.")
@click.option("--user", default="", help="Run as this user, which exists. Default: one that systemd makes meanwhile.")
@path_option("--to", "folder", default=Path("/etc/systemd/system"), show_default=True, help="Folder of the unit.")
@click.option("--dry-run", is_flag=True, help="Print the unit, and write nothing.")
@output_options
def install(
    bundle: Path,
    sources: tuple[str, ...],
    sinks: tuple[str, ...],
    alerts: Path | None,
    drift: bool | None,
    metrics: str | None,
    backend: str,
    name: str,
    user: str,
    folder: Path,
    dry_run: bool,
    output: Output,
) -> None:
    """Write a hardened unit that runs BUNDLE, after systemd-analyze has checked it where it is installed.

    Exit code 1: systemd-analyze found a fault, and nothing was written.
    """
    opened = Bundle.open(bundle)
    more = ["--backend", backend] if backend != "auto" else []
    if alerts is not None:
        from fsq_edge_runtime.alerts import read_rules

        read_rules(alerts).check_classes([*opened.classes, *_overlay_classes(bundle, opened)])
        more += ["--alerts", os.path.abspath(alerts)]  # noqa: PTH100 - links stay links
    more += [] if drift is None else ["--drift" if drift else "--no-drift"]
    more += ["--metrics", metrics] if metrics is not None else []
    place = Path(os.path.abspath(bundle))  # noqa: PTH100 - the link to the bundle in force stays a link
    unit = ServiceUnit(name, find_program(sys.executable), place, sources, sinks, tuple(more), user)
    verified = verify_unit(unit)
    said = verified[1] if verified is not None else ["not checked: systemd-analyze is not installed"]
    sound = verified is None or verified[0]
    path = folder / unit.file_name
    if dry_run:
        click.echo(unit.text(), nl=False)
    elif sound:
        if not folder.is_dir():
            raise UnavailableError(f"{folder} is no folder", hint="is this a machine with systemd? --to says another")
        write_file(path, unit.text().encode())
    if not output.quiet:
        for line in said:
            click.echo(f"note: {line}", err=True)
        if sound and not dry_run:
            click.echo(f"{path} is written. Now:\n    sudo systemctl daemon-reload\n"
                       f"    sudo systemctl enable --now {name}\n    journalctl -fu {name}", err=True)  # fmt: skip
    output.write_json(
        {
            "schema_version": 1,
            "unit": str(path),
            "written": sound and not dry_run,
            "verified": None if verified is None else sound,
            "said": said,
            "text": unit.text(),
        }
    )
    if not sound:
        raise click.exceptions.Exit(1)


def _overlay_classes(place: Path, bundle: Bundle) -> list[str]:
    """Return the classes that the overlays installed with a bundle know."""
    if not place.is_dir():
        return []
    paths = [path for path in installed_overlays(place, bundle).values() if path is not None]
    return [name for path in paths for name in Overlay.open(path).record.classes]
