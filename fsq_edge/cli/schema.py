"""``fsq-edge schema``: JSON Schemas of the files that are read and written, and of every ``--json``."""

from __future__ import annotations

from pathlib import Path

import click

from fsq_edge.artefact_schemas import artefact_places, schema_of
from fsq_edge.cli.options import path_option
from fsq_edge.cli.output import Output, table, write_json
from fsq_edge.cli.shapes import output_places, output_schema
from fsq_edge_runtime.errors import UsageError, did_you_mean


@click.command(
    "schema",
    epilog="An editor checks a YAML file whose first line is: # yaml-language-server: $schema=train-config.schema.json",
)
@click.argument("name", required=False)
@path_option("--out", metavar="FILE", help="Write the schema to this file. Default: standard output.")
def command(name: str | None, out: Path | None) -> None:
    """Print the JSON Schema (2020-12) of the file NAME, such as train-config; without NAME, list the names.

    VERB-output, such as check-output or bundle-build-output, is the schema of what that verb writes with --json.
    """
    outputs = output_places()
    if name is None:
        rows = [(found, f"{module}.{cls}") for found, (module, cls) in artefact_places().items()]
        rows += [(found, f"fsq-edge {verb} --json") for found, (_, verb) in outputs.items()]
        Output().print(table("", ["name", "schema of"], rows))
        return
    known = [*artefact_places(), *outputs]
    if name not in known:
        hint = did_you_mean(name, known) or "fsq-edge schema lists them"
        raise UsageError(f"there is no schema {name!r}", hint=hint)
    write_json(output_schema(name) if name in outputs else schema_of(name), "-" if out is None else str(out))
