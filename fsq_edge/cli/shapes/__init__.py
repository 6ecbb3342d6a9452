"""The shape of each verb's ``--json``: types of what the verbs write, and the JSON Schemas made from them.

Where a verb writes an artefact or a dataclass, its shape is that class. The rest is typed in this folder.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from typing_extensions import TypedDict

from fsq_edge.artefact_schemas import DIALECT
from fsq_edge_runtime.extras import need

SUFFIX = "-output"
# module of this folder -> (its verbs, package and extra that its types need)
PLACES: dict[str, tuple[tuple[str, ...], tuple[tuple[str, str], ...]]] = {
    "about": (
        ("alerts", "bench", "bench compare", "budget", "docs", "doctor", "explain", "init", "metrics list",
         "metrics export", "picture", "run", "score", "score collate", "service install", "wheelhouse"),
        (),
    ),
    "data": (
        ("data export", "data import", "data inspect", "data label", "data list", "data make", "data qa", "data sync"),
        (),
    ),
    "bundle": (
        ("bundle add-hef", "bundle build", "bundle inspect", "bundle install", "bundle pull", "bundle push",
         "bundle rollback", "bundle sign", "bundle verify", "hef inspect"),
        (),
    ),
    "check": (("check",), (("onnx", "compile"),)),
    "deploy": (
        ("bench layers", "calibrate", "compile", "export", "parity", "personalize", "preprocess fit", "quantize",
         "tune"),
        (("onnx", "compile"),),
    ),
    "train": (("demo", "evaluate", "sweep", "train"), (("torch", "train"), ("safetensors", "train"))),
}  # fmt: skip


class Versioned(TypedDict):
    """What every object has."""

    schema_version: int


@dataclass(frozen=True, slots=True)
class Joined:
    """One object with the keys of several types; a key of a later one replaces that of an earlier one."""

    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Nulls:
    """A type whose numbers may be NaN or infinite, which JSON has no word for: null stands in their place."""

    part: Any


def joined(*parts: Any) -> Joined:
    """Return one object of several types."""
    return Joined(parts)


def output_places() -> dict[str, tuple[str, str]]:
    """Return name of the schema -> (module, verb) of every ``--json``; no module is imported."""
    return {
        verb.replace(" ", "-") + SUFFIX: (f"{__name__}.{module}", verb)
        for module, (verbs, _) in PLACES.items()
        for verb in verbs
    }


def output_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of what a verb writes with ``--json``; further keys may come.

    Args:
        name: one of ``output_places``.

    Raises:
        UnavailableError: the extra that the verb belongs to is not installed.
    """
    module, verb = output_places()[name]
    for package, extra in PLACES[module.rpartition(".")[2]][1]:
        need(package, extra)
    forms = importlib.import_module(module).OUTPUTS[verb]
    schemas = [_open(_schema(form)) for form in forms]
    definitions: dict[str, Any] = reduce(lambda all_of, one: {**all_of, **one.pop("$defs", {})}, schemas, {})
    whole = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    named = {"$schema": DIALECT, "$id": f"urn:fsq-edge:{name}", "title": f"fsq-edge {verb} --json"}
    return {**whole, **named, **({"$defs": definitions} if definitions else {})}


class _WithNulls(GenerateJsonSchema):
    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return {"anyOf": [super().float_schema(schema), {"type": "null"}]}


def _schema(form: Any, generator: type[GenerateJsonSchema] = GenerateJsonSchema) -> dict[str, Any]:
    if isinstance(form, Nulls):
        return _schema(form.part, _WithNulls)
    if isinstance(form, Joined):
        parts = [_schema(part, generator) for part in form.parts]
        merged: dict[str, Any] = {"type": "object"}
        for key in ("properties", "$defs"):
            merged[key] = reduce(lambda all_of, one: {**all_of, **one.get(key, {})}, parts, {})
        merged["required"] = sorted({name for part in parts for name in part.get("required", ())})
        return merged
    if isinstance(form, type) and issubclass(form, BaseModel):
        return form.model_json_schema(mode="serialization")
    return TypeAdapter(form).json_schema(mode="serialization", schema_generator=generator)


def _open(schema: Any) -> Any:
    """Return a schema that allows further keys, as later releases may write them."""
    if isinstance(schema, dict):
        return {key: _open(part) for key, part in schema.items() if (key, part) != ("additionalProperties", False)}
    return [_open(part) for part in schema] if isinstance(schema, list) else schema
