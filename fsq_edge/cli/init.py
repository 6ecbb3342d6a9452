"""``fsq-edge init``: a project folder to start from."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from fsq_edge.cli.options import default_option
from fsq_edge.cli.output import Output, output_options
from fsq_edge.data.sources import check_source
from fsq_edge_compile.checker.targets import ARCHES


@click.command("init", epilog="Exit codes: 0; 64 FOLDER holds something, or no such data source.")
@click.argument("folder", type=click.Path(path_type=Path))
@default_option("--data", "watch", None, "Train on this data source at first.", metavar="SOURCE")
@default_option("--arch", "hailo8l", click.Choice(ARCHES), "Check and compile for this chip.")
@output_options
def command(folder: Path, data: str, arch: str, output: Output) -> None:
    """Write a commented project into FOLDER: training, import map, alerts and a Makefile.

    It asks nothing and trains nothing. The name of FOLDER is the model's; `make` there trains on SOURCE and builds a
    bundle, `make replay` streams a recording through it.
    """
    from fsq_edge.project import write_project

    check_source(data)
    files = write_project(folder, data, arch, "python3")
    output.say(f"wrote {folder}: {', '.join(files)}")
    here = Path(sys.argv[0]).resolve().parent
    path = f"PATH={shlex.quote(str(here))}:$PATH " if (here / "fsq-edge").exists() else ""
    output.say(f"next: cd {shlex.quote(str(folder))} && {path}make")
    output.write_json({"schema_version": 1, "folder": str(folder), "files": files})
