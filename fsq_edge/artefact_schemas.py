"""JSON Schemas of the artefacts, found in the sources so that a new artefact is among them by itself."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.extras import need

PACKAGES = ("fsq_edge_runtime", "fsq_edge_calibration", "fsq_edge_compile", "fsq_edge_benchmarks", "fsq_edge")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_CLASS = re.compile(r"^class (?:(\w+)\(Artefact\)|(ImportMap|ImportRecord)\()", re.MULTILINE)
_EDITED = frozenset({"AlertRules", "CheckBaseline", "ImportMap", "NetworkInput", "TrainConfig"})
# Artefacts that train, evaluate and bench write carry the package of an extra in their module.
_NEEDED = {"fsq_edge.training": ("torch", "train"), "fsq_edge.evaluation": ("torch", "train")}


@cache
def artefact_places() -> dict[str, tuple[str, str]]:
    """Return name -> (module, class) of every artefact; no module is imported."""
    found = {}
    for package in PACKAGES:
        for module, text in _sources(package):
            for match in _CLASS.finditer(text):
                name = match[1] or match[2]
                found[re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()] = (module, name)
    return dict(sorted(found.items()))


def _sources(package: str) -> Iterator[tuple[str, str]]:
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join((package, *(part for part in parts if part != "__init__"))), path.read_text("utf-8")


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an artefact.

    Args:
        name: one of ``artefact_places``.

    Raises:
        UsageError: there is none of this name.
        UnavailableError: the extra that the artefact belongs to is not installed.
    """
    if name not in artefact_places():
        raise UsageError(f"there is no schema {name!r}", hint="fsq-edge schema lists them")
    module, cls = artefact_places()[name]
    for prefix, (package, extra) in _NEEDED.items():
        if module.startswith(prefix):
            need(package, extra)
    # What people write may leave out defaults; what programs write has every field, as it is written.
    mode: Literal["validation", "serialization"] = "validation" if cls in _EDITED else "serialization"
    schema: dict[str, Any] = getattr(importlib.import_module(module), cls).model_json_schema(mode=mode)
    return {"$schema": DIALECT, "$id": f"urn:fsq-edge:{name}", **schema}
