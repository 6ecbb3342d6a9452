"""Writes a project folder from its templates."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

from fsq_edge.artefact_schemas import schema_of
from fsq_edge_runtime.errors import UnavailableError, UsageError
from fsq_edge_runtime.files import new_folder, write_errors

# File of the project -> template. The editor's schemas are written beside them.
FILES = {
    "README.md": "README.md.txt",
    "Makefile": "Makefile.txt",
    "train.yaml": "train.yaml.txt",
    "map.yaml": "map.yaml.txt",
    "alerts.yaml": "alerts.yaml.txt",
    ".gitignore": "gitignore.txt",
}
SCHEMAS = ("train-config", "import-map", "alert-rules")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def write_project(folder: Path, data: str, arch: str, python: str) -> list[str]:
    """Write a project folder, whole or not at all.

    Args:
        folder: must not exist, or be empty; its name is the model's.
        data: data source that the project trains on at first, such as ``watch``.
        arch: chip that it checks for.
        python: command that starts Python, for the Makefile.

    Returns:
        The files, relative to the folder. An editor's schema whose extra is not installed is left out.

    Raises:
        UsageError: the folder holds something, or its name is none for files.
        UnavailableError: it cannot be written.
    """
    name = folder.resolve().name
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a model and its files", hint="letters, digits, - and _: my-project")
    values = {"@NAME@": name, "@DATA@": data, "@ARCH@": arch, "@PYTHON@": python}
    contents = {file: _filled(template, values) for file, template in FILES.items()}
    for schema in SCHEMAS:
        try:
            contents[f"schemas/{schema}.json"] = json.dumps(schema_of(schema), indent=1) + "\n"
        except UnavailableError:
            continue  # the editor checks nothing; the program itself checks all the same
    with write_errors(folder), new_folder(folder) as building:
        (building / "schemas").mkdir()
        for file, text in contents.items():
            (building / file).write_text(text, encoding="utf-8")
    return sorted(contents)


def _filled(template: str, values: dict[str, str]) -> str:
    text = (resources.files(__package__) / "templates" / template).read_text(encoding="utf-8")
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text
