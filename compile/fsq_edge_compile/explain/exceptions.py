"""Exceptions of Hailo's own Python packages that no row names: the package gives the stage, the text the layer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fsq_edge_compile.explain.report import LogFinding
from fsq_edge_compile.explain.table import LogTable

SHOWN_MESSAGE = 200
_FRAME = re.compile(
    r'^\s*File "(?:[^"]*[/\\])?(?P<path>hailo_\w+[/\\][^"]{1,200})\.py", line \d+, in (?P<function>\S+)'
)
_RAISED = re.compile(r"^\s*(?P<path>(?:[A-Za-z_]\w*\.)*)(?P<name>[A-Z]\w{2,80})(?:: (?P<said>.+))?$")


@dataclass(frozen=True, slots=True)
class Frame:
    """A call of one of Hailo's packages in a Python traceback.

    Attributes:
        module: dotted path of its file, such as ``hailo_sdk_client.runner.client_runner``.
        function: the function that was running.
    """

    module: str
    function: str


def frame_of(line: str) -> Frame | None:
    """Return the call that a line of a traceback shows; None where it is no call of a Hailo package.

    Args:
        line: one line of a log, white space at its start kept.
    """
    found = _FRAME.match(line)
    return Frame(re.sub(r"[/\\]", ".", found["path"]), found["function"]) if found else None


def explain_exception(number: int, line: str, frame: Frame | None, table: LogTable) -> LogFinding | None:
    """Explain the last line of a traceback by where it was raised; None where no package of Hailo's raised it.

    Args:
        number: of the line in its log, from 1.
        line: ``module.ClassName: message``, or the class alone.
        frame: innermost call of a Hailo package in the traceback before it; None where there was none.
        table: the table of log texts.
    """
    raised = _RAISED.match(line)
    if raised is None:
        return None
    step = table.step(f"{raised['path']}{raised['name']}", frame.module if frame else "")
    if step is None:
        return None
    layer = table.layer_in(raised["said"] or "")
    kind = table.kind(layer)
    inside = f" in {frame.function} of {frame.module}" if frame else ""
    about = f" at the {kind.name} {layer}" if layer else ""
    said = f": {raised['said'][:SHOWN_MESSAGE]}" if raised["said"] else ""
    return LogFinding(
        line=number,
        text=line[:SHOWN_MESSAGE],
        id=f"exception-{step.stage}",
        node="",
        layer=layer,
        op="",
        rule="",
        severity="error",
        stage=step.stage,
        message=f"{step.name} stopped{about} with {raised['name']}{inside}{said}",
        fix=step.fix + (f"; for a {kind.name}: {kind.advice}" if layer and step.stage == "allocate" else ""),
        source="the exception's own words; its package names the stage",
        confidence="low",
    )
