"""``fsq-edge schema``: JSON Schemas of the files that are read and written, for editors and scripts."""

from __future__ import annotations

from pathlib import Path

import click

from fsq_edge.artefact_schemas import artefact_places, schema_of
from fsq_edge.cli.options import path_option
from fsq_edge.cli.output import Output, table, write_json
from fsq_edge_runtime.errors import UsageError, did_you_mean


@click.command(
    "schema",
    epilog="An editor checks a YAML file whose first line is: # yaml-language-server: $schema=train-config.schema.json",
)
@click.argument("name", required=False)
@path_option("--out", metavar="FILE", help="Write the schema to this file. Default: standard output.")
def command(name: str | None, out: Path | None) -> None:
    """Print the JSON Schema (2020-12) of the file NAME, such as train-config; without NAME, list the names."""
    if name is None:
        rows = [(found, f"{module}.{cls}") for found, (module, cls) in artefact_places().items()]
        Output().print(table("", ["file", "defined by"], rows))
        return
    known = artefact_places()
    if name not in known:
        hint = did_you_mean(name, known) or "fsq-edge schema lists them"
        raise UsageError(f"there is no schema {name!r}", hint=hint)
    write_json(schema_of(name), "-" if out is None else str(out))
