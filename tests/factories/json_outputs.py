"""The schema of a verb's ``--json``, closed: in the tests every key must be declared."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema

from fsq_edge.cli.shapes import SUFFIX, output_schema


@cache
def validator_of(verb: str) -> jsonschema.Draft202012Validator:
    """Return what checks the output of a verb such as ``bundle build``."""
    schema = output_schema(verb.replace(" ", "-") + SUFFIX)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(closed(schema))


def closed(schema: Any) -> Any:
    """Return a schema whose objects take no key that it does not name."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(part) for key, part in schema.items()}
    return {"additionalProperties": False, **found} if isinstance(found.get("properties"), dict) else found
