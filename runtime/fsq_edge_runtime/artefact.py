"""The base of every JSON artefact: strict, frozen, versioned, with the whole truth written out on save."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import read_bounded

MAX_JSON_BYTES = 16 * 1024 * 1024
# Terminal controls and text-direction overrides: artefacts come from outside and their text is printed and logged.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


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
        if len(text) > MAX_JSON_BYTES:
            raise DataError(f"{where}: {len(text)} bytes is more than the {MAX_JSON_BYTES} allowed for {cls.KIND}")
        try:
            value = json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not valid JSON ({error})", hint=f"write {cls.KIND} again") from error
        if _has_control(value):
            raise DataError(f"{where}: a text in it has control characters", hint=f"repair or rewrite {cls.KIND}")
        version = value.get("schema_version") if isinstance(value, dict) else None
        if version != cls.VERSION:
            raise DataError(
                f"{where}: schema version {version!r}, this release reads version {cls.VERSION} of {cls.KIND}",
                hint="use the release of fsq-edge that wrote it, or write it again with this one",
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "document"
            raise DataError(f"{where}: {field}: {first['msg']}", hint=f"repair or rewrite {cls.KIND}") from error

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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; a key given twice would be read by one parser as the first and by another as the last."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return value


def _has_control(value: Any) -> bool:
    if isinstance(value, str):
        return _CONTROL.search(value) is not None
    if isinstance(value, dict):
        return any(_has_control(key) or _has_control(item) for key, item in value.items())
    return isinstance(value, list) and any(_has_control(item) for item in value)
