"""Running a plan: another interpreter, a container, or this interpreter; live, bounded, and with everything kept."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_compile.dfc.child import run_child
from fsq_edge_compile.dfc.plan import load_plan
from fsq_edge_compile.dfc.refusal import Refusal, compare_end_nodes, read_recommended_end_nodes, read_refusals
from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.errors import DataError, UnavailableError
from fsq_edge_runtime.hef import HefReport, inspect_hef

LOG: Final = "dfc.log"
EVENT: Final = "@fsq-edge "
MAX_LOG_BYTES: Final = 8 << 20  # of the log that is searched for refusals
_STALE: Final = ("result.json", "emulator.npz")
_FAULT: Final = re.compile(r"error|cannot|denied|not found|no such|unable|killed", re.IGNORECASE)


class DfcResult(Artefact):
    """``result.json``: what ``compile.py`` reports.

    Attributes:
        status: ``compiled``, ``refused`` by the DFC, or ``failed`` before it was asked.
        stage: where it ended.
        dfc_version: as installed; empty when not known.
        python: of the DFC's interpreter.
        machine: its processor architecture.
        seconds: by stage.
        layers: HN layer to original ONNX node names.
        emulator_errors: by emulator stage; the emulator is optional.
        error: class and text of what ended it.
        recommended_end_nodes: the parser's.
        hef: file name.
        hef_sha256: of the file.
    """

    status: str
    stage: str
    dfc_version: str
    python: str
    machine: str
    seconds: dict[str, float]
    layers: dict[str, tuple[str, ...]]
    emulator_errors: dict[str, str]
    error: dict[str, str] | None
    recommended_end_nodes: tuple[str, ...]
    hef: str
    hef_sha256: str


@dataclass(frozen=True, slots=True)
class Compilation:
    """How a run ended.

    Attributes:
        folder: where everything is: HEF, HARs, emulator.npz, result.json, dfc.log.
        result: what compile.py reports.
        refusals: errors of the DFC, matched with our findings.
        end_nodes: one line about recommended end nodes; empty when there are none.
        hef: the inspected HEF; None when there is none.
    """

    folder: Path
    result: DfcResult
    refusals: tuple[Refusal, ...]
    end_nodes: str
    hef: HefReport | None

    @property
    def hef_path(self) -> Path:
        """Path of the HEF."""
        return self.folder / self.result.hef

    @property
    def emulator_path(self) -> Path | None:
        """``emulator.npz`` (frames_nhwc and t of native, fp_optimized, quantized), or None when it was not made."""
        path = self.folder / "emulator.npz"
        return path if path.is_file() else None


def python_command(interpreter: str | None) -> list[str]:
    """Return the command for a plan in an interpreter that has the DFC.

    Args:
        interpreter: path or name; None takes the current one, if ``hailo_sdk_client`` is there.

    Raises:
        UnavailableError: the current interpreter has no DFC.
    """
    if interpreter is None:
        if importlib.util.find_spec("hailo_sdk_client") is None:
            raise UnavailableError(
                "this interpreter has no Dataflow Compiler (hailo_sdk_client)",
                hint="--dfc-python PATH, --dfc-docker IMAGE, or --plan DIR to take to a machine that has it",
            )
        interpreter = sys.executable
    return [interpreter, "-u", "compile.py"]


def docker_command(image: str, folder: Path) -> tuple[list[str], list[str]]:
    """Return the command for a plan in a container, and the command that ends the container.

    The container gets the plan folder and nothing else: no network, no other file, the caller's own user.

    Args:
        image: name of an image with the DFC whose ``python3`` has ``hailo_sdk_client``.
        folder: the plan.

    Raises:
        DataError: a comma in the path, which docker's mount option cannot say.
    """
    source = str(folder.resolve())
    if "," in source:
        raise DataError(f"the path {source} has a comma, which docker cannot mount", hint="choose another folder")
    name = f"fsq-edge-{os.getpid()}"
    run = ["docker", "run", "--rm", "--name", name, "--network", "none", "--user", f"{os.getuid()}:{os.getgid()}"]
    run += ["--env", "HOME=/tmp", "--mount", f"type=bind,source={source},target=/plan", "--workdir", "/plan"]
    return [*run, "--entrypoint", "python3", image, "-u", "compile.py"], ["docker", "kill", name]


def run_plan(
    folder: Path,
    command: Sequence[str],
    *,
    time_limit_s: float,
    report: CheckReport | None = None,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    on_line: Callable[[str], None] = lambda line: None,
    on_stop: Sequence[str] = (),
) -> Compilation:
    """Run a plan and collect what it made.

    Args:
        folder: the plan.
        command: from :func:`python_command` or :func:`docker_command`.
        time_limit_s: for the whole run.
        report: our check of this network, to match refusals with findings.
        on_event: called with each of compile.py's events (stage, state, seconds).
        on_line: called with each line of the DFC's own log.
        on_stop: ends what the command started elsewhere.

    Returns:
        How it ended; a refusal by the DFC is a result, not an error.

    Raises:
        UnavailableError: the command cannot be run, has no DFC or the wrong one, or the time limit passed.
        DataError: the plan is damaged, or what came out is not a sound HEF for the target.
    """
    plan = load_plan(folder)
    for stale in (*_STALE, f"{plan.network}.hef", f"{plan.network}.hef.json"):
        (folder / stale).unlink(missing_ok=True)

    def take(line: str) -> None:
        event = _event(line)
        if event is None:
            on_line(line)
        else:
            on_event(event)

    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
    environment["PYTHONUNBUFFERED"] = "1"
    log = folder / LOG
    code = run_child(
        command,
        folder=folder,
        log=log,
        time_limit_s=time_limit_s,
        on_line=take,
        environment=environment,
        on_stop=on_stop,
    )
    result = _read_result(folder, code, log)
    text = f"{result.error['class']}: {result.error['text']}\n" if result.error else ""
    text += _tail(log) if result.status != "compiled" else ""
    recommended = result.recommended_end_nodes or read_recommended_end_nodes(text)
    return Compilation(
        folder,
        result,
        read_refusals(text, report),
        compare_end_nodes(recommended, report) if report else "",
        _inspected(folder, result, plan.arch) if result.status == "compiled" else None,
    )


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith(EVENT):
        return None
    try:
        event = json.loads(line.removeprefix(EVENT))
    except ValueError:
        return None  # a line of the log that only looks like an event
    return event if isinstance(event, dict) else None


def _read_result(folder: Path, code: int, log: Path) -> DfcResult:
    path = folder / "result.json"
    if not path.is_file():
        lines = [line for line in _tail(log).splitlines() if line.strip()]
        faults = [line for line in lines if _FAULT.search(line)]
        last = (faults or lines or ["no output"])[-1]
        raise UnavailableError(
            f"the compiler's process ended with code {code} and left no result: {last[:200]}", hint=f"see {log}"
        )
    result = DfcResult.load(path)
    if result.status == "failed":
        said = result.error["text"] if result.error else "no reason given"
        kind = DataError if code == 65 else UnavailableError
        raise kind(f"the compiler was not run: {said}", hint=f"see {log}")
    return result


def _inspected(folder: Path, result: DfcResult, arch: str) -> HefReport:
    report = inspect_hef(folder / result.hef)
    if report.sha256 != result.hef_sha256:
        raise DataError(f"{result.hef} is not the file that compile.py wrote: its SHA-256 differs")
    if arch not in report.architecture.targets:
        raise DataError(f"{result.hef} is for {report.architecture.name}, the plan asked for {arch}")
    return report


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MAX_LOG_BYTES))
        return file.read().decode("utf-8", "replace")
