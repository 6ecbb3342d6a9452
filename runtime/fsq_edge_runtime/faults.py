"""What a value of a file breaks, in words: the field, what was expected and found, and what was probably meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel, ValidationError

from fsq_edge_runtime.errors import did_you_mean
from fsq_edge_runtime.files import first_line

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

MAX_SHOWN = 60  # characters of a value
# Kind of pydantic's error -> what was expected, with the limits of its context.
_EXPECTED: Final = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "dataclass_type": "keys with values",
    "none_required": "null",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
}


def first_fault(error: ValidationError, model: type[BaseModel] | None = None) -> tuple[str, str, str]:
    """Return the fault of a document that says most, as the field, the words, and a hint.

    Args:
        error: pydantic's.
        model: what was read, for the keys that there are; None gives no hint for an unknown key.

    Returns:
        The field as ``a.b.0``, empty for the whole document; what is wrong with it; "did you mean" or another hint,
        empty where there is none.
    """
    faults = error.errors()
    # A misspelt key is a missing one, too: that it is misspelt says more.
    first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    return ".".join(str(part) for part in first["loc"]), _words(first), _meant(model, first)


def yaml_problem(error: Exception, where: str) -> str:
    """Return ``FILE, line L, column C: what is wrong``, lines and columns counted from 1.

    Args:
        error: what PyYAML raised; without a place in the file, its first line is returned.
        where: name of the file.
    """
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{where}: not valid YAML: {first_line(error)}"
    problem = " ".join(str(part) for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part)
    return f"{where}, line {mark.line + 1}, column {mark.column + 1}: not valid YAML: {problem}"


def _words(fault: ErrorDetails) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        return "there is no such key"
    if kind == "missing":
        return "this key is missing"
    if kind in ("too_short", "too_long"):
        most = f"at most {context['max_length']}" if kind == "too_long" else f"at least {context['min_length']}"
        return f"expected {most} entries, found {context['actual_length']}"
    if kind in _EXPECTED:
        limits = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in context.items()}
        return f"expected {_EXPECTED[kind].format(**limits)}, found {shown(fault['input'])}"
    if kind == "union_tag_invalid":
        return f"there is no {context['discriminator'].strip(chr(39))} {context['tag']!r}"
    if kind == "union_tag_not_found":
        return f"the key {context['discriminator']} is missing"
    return fault["msg"].removeprefix("Value error, ")


def shown(value: Any) -> str:
    """Return a value of a file for a message: short, and as JSON and YAML write it."""
    if isinstance(value, dict | list | tuple):
        return f"{'keys' if isinstance(value, dict) else 'a list'} ({len(value)})"
    text = {"None": "null", "True": "true", "False": "false"}.get(repr(value), repr(value))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _meant(model: type[BaseModel] | None, fault: ErrorDetails) -> str:
    """Return the hint for an unknown key, word or kind: the known one which is spelled most like it."""
    kind = fault["type"]
    if kind in ("union_tag_invalid", "literal_error"):
        tag = fault["input"] if kind == "literal_error" else fault["ctx"]["tag"]
        known = re.findall("'([^']*)'", fault["ctx"]["expected" if kind == "literal_error" else "expected_tags"])
        return did_you_mean(str(tag), known) or (f"one of {', '.join(known)}" if known else "")
    if kind == "union_tag_not_found":
        return f"give {fault['ctx']['discriminator']}"
    if kind != "extra_forbidden" or model is None:
        return ""
    *place, key = fault["loc"]
    models = [model]
    for part in place:
        if any(part in one.model_fields for one in models):
            models = [inner for one in models if part in one.model_fields for inner in _models(one.model_fields[part])]
        elif isinstance(part, str):  # the kind that chose one of several models
            models = [one for one in models if any(part in get_args(f.annotation) for f in one.model_fields.values())]
    fields = list(dict.fromkeys(name for one in models for name in one.model_fields))
    return did_you_mean(str(key), fields) or (f"known keys: {', '.join(fields)}" if fields else "")


def _models(field: FieldInfo) -> list[type[BaseModel]]:
    """Return the models that the values of a field can be, through lists, unions and annotations."""
    found: list[type[BaseModel]] = []
    left: list[Any] = [field.annotation]
    while left:
        one = left.pop()
        if isinstance(one, type) and issubclass(one, BaseModel):
            found.append(one)
        left += get_args(one)
    return found
