"""A YAML parser's complaint as one line: what is wrong, in which line and column."""

from __future__ import annotations

from fsq_edge_runtime.files import first_line


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
