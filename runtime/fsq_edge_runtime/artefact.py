"""The base of every JSON artefact: strict, frozen, versioned, with the whole truth written out on save."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.faults import first_fault, shown
from fsq_edge_runtime.files import read_bounded

MAX_JSON_BYTES = 16 * 1024 * 1024
MAX_JSON_DEPTH = 64  # lists and objects inside each other; what this project writes has at most 8
# Terminal controls, text-direction overrides, and halves of characters, which no output can encode: artefacts come from
# outside and their text is printed and logged.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class StrictModel(BaseModel):
    """A frozen pydantic model that refuses unknown keys and never coerces types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


class Artefact(StrictModel):
    """A versioned JSON document.

    Subclasses set ``KIND`` (what an error calls it) and ``VERSION`` (the only schema version this release reads).
    """

    KIND: ClassVar[str] = "artefact"
    VERSION: ClassVar[int] = 1

    schema_version: int = 1

    @classmethod
    def from_json(cls, text: str | bytes, *, origin: str = "") -> Self:
        """Read one document.

        Args:
            text: JSON, UTF-8, at most 16 MiB.
            origin: file name for the error message.

        Raises:
            DataError: too large, not JSON, an unknown schema version, an unknown or missing key, a wrong type.
        """
        where = origin or cls.KIND
        value = read_json(text, where, what=cls.KIND)
        if not isinstance(value, dict) or "schema_version" not in value:
            keys = isinstance(value, dict)
            said = "the key schema_version is missing" if keys else f"expected keys with values, found {shown(value)}"
            raise DataError(f"{where}: {said}", hint=f"{cls.KIND} begins with schema_version: {cls.VERSION}")
        version = value["schema_version"]
        if version != cls.VERSION:
            raise DataError(
                f"{where}: schema version {version!r}, this release reads version {cls.VERSION} of {cls.KIND}",
                hint="use the release of fsq-edge that wrote it, or write it again with this one",
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            field, words, hint = first_fault(error, cls)
            raise DataError(
                f"{where}: {field or 'document'}: {words}", hint=hint or f"repair or rewrite {cls.KIND}"
            ) from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read one document from a file.

        Raises:
            MissingInputError: the file cannot be opened.
            DataError: as :meth:`from_json`.
        """
        return cls.from_json(read_bounded(path, MAX_JSON_BYTES, what=cls.KIND), origin=path.name)

    def to_json(self) -> str:
        """Return the document as indented JSON with every default written out, keys in order of declaration."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain JSON values."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the canonical form: sorted keys, no white space."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def read_json(text: str | bytes, where: str, *, what: str = "the file") -> Any:
    """Return the value of a JSON text that may be hostile: bounded size and depth, finite numbers, printable text.

    Args:
        text: JSON, UTF-8, at most 16 MiB.
        where: file name for the error message.
        what: what the hint calls it.

    Raises:
        DataError: too large, nested too deep, not JSON, a key twice, a number that is none, or control characters.
    """
    if len(text) > MAX_JSON_BYTES:
        raise DataError(f"{where}: {len(text)} bytes is more than the {MAX_JSON_BYTES} allowed for {what}")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not valid JSON ({error})", hint=f"write {what} again") from error
    fault = _fault(value)
    if fault:
        raise DataError(f"{where}: {fault}", hint=f"repair or rewrite {what}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; a key given twice would be read by one parser as the first and by another as the last."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


def _fault(value: Any) -> str:
    """Return what is wrong with a value's depth, texts or numbers, without recursion; empty when nothing is."""
    level: list[Any] = [value]
    for _ in range(MAX_JSON_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str) and _CONTROL.search(item):
                return "a text in it has control characters"
            elif isinstance(item, float) and not math.isfinite(item):
                return "a number in it is larger than any that can be computed with"
        if not below:
            return ""
        level = below
    return f"lists and objects in it are nested deeper than {MAX_JSON_DEPTH} levels"


def json_bytes(value: dict[str, Any]) -> bytes:
    """Return indented JSON with a final newline."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
