"""The record of the public names: ``python -m tests.programs.public_names > tests/golden/public/api.txt``.

It is written with a release: what has come since is not promised before the next one.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("fsq_edge_runtime", "fsq_edge_calibration", "fsq_edge_compile", "fsq_edge")


def public_lines() -> Iterator[str]:
    """Yield a line for every name in an ``__all__``, and one for every public method of its classes."""
    for package in PACKAGES:
        root = importlib.import_module(package)
        inner = [f"{package}.{found.name}" for found in pkgutil.iter_modules(root.__path__) if found.ispkg]
        for name in (package, *inner):
            spec = importlib.util.find_spec(name)
            if spec is None or spec.origin is None or "__all__ = " not in Path(spec.origin).read_text(encoding="utf-8"):
                continue
            module = importlib.import_module(name)
            for public in sorted(module.__all__):
                yield from _lines(f"{name}.{public}", getattr(module, public))


def _lines(path: str, value: object) -> Iterator[str]:
    if not inspect.isclass(value):
        yield f"{path}{_signature(value)}"
        return
    yield f"class {path}{_signature(value)}"
    for name, member in sorted(vars(value).items()):
        if name.startswith("_") or name in ("model_config", "model_fields", "model_computed_fields"):
            continue
        if isinstance(member, (staticmethod, classmethod)):
            member = member.__func__
        if inspect.isfunction(member):
            yield f"    {path}.{name}{_signature(member)}"
        elif isinstance(member, property):
            yield f"    {path}.{name}"


def _signature(value: object) -> str:
    """Return ``(a, b=, *, c=)``: names and kinds; an equals sign where there is a default."""
    if not callable(value):
        return ""
    fields = getattr(value, "model_fields", None)
    if isinstance(fields, dict):  # pydantic makes the signature of a model when it is first asked for
        return f"(*, {', '.join(name + ('' if field.is_required() else '=') for name, field in fields.items())})"
    try:
        parameters = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError):
        return "(...)"
    parts: list[str] = []
    for index, parameter in enumerate(parameters):
        kind, default = parameter.kind, "=" if parameter.default is not parameter.empty else ""
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(kind, "")
        before = [other.kind for other in parameters[:index]]
        if kind is parameter.KEYWORD_ONLY and not {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL} & set(before):
            parts.append("*")
        parts.append(f"{stars}{parameter.name}{default}")
    return f"({', '.join(parts)})"


if __name__ == "__main__":
    print("\n".join(public_lines()))
