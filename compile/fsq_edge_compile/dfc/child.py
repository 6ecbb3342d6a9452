"""A child process with its output read line by line, a time limit, and nothing left running behind it."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from fsq_edge_runtime.errors import UnavailableError

_GRACE_S = 5.0  # between asking a process group to end and ending it
MAX_LINE = 64 * 1024  # bytes; a longer line is taken in pieces


class TimeLimitError(UnavailableError):
    """The child ran longer than it was allowed to."""


def run_child(
    command: Sequence[str],
    *,
    folder: Path,
    log: Path,
    time_limit_s: float,
    on_line: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
    on_stop: Sequence[str] = (),
) -> int:
    """Run a command to its end, without a terminal and without input.

    Args:
        command: program and arguments; no shell.
        folder: working directory.
        log: gets every byte of its output; made anew.
        time_limit_s: after it the whole process group is ended.
        on_line: called with each line as it comes.
        environment: None takes our own.
        on_stop: a command that ends what the child started elsewhere (a container), run when the child is stopped.

    Returns:
        Its exit code; negative for a signal.

    Raises:
        UnavailableError: it cannot be started, or (``TimeLimitError``) the limit passed.
    """
    lines: queue.Queue[bytes | None] = queue.Queue()
    with log.open("wb") as file:
        try:
            child = subprocess.Popen(
                list(command),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise UnavailableError(f"cannot run {command[0]}: {error.strerror}", hint="check the path") from error
        reader = threading.Thread(target=_read, args=(child, lines), daemon=True)
        reader.start()
        deadline = time.monotonic() + time_limit_s
        try:
            for line in _until_end(child, lines, deadline):
                file.write(line)
                on_line(line.decode("utf-8", "replace").rstrip("\r\n"))
            return child.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise TimeLimitError(
                f"stopped after the time limit of {time_limit_s / 60:g} minutes; the log is {log}",
                hint="a longer --time-limit, or a lower --optimization-level",
            ) from error
        finally:
            _stop(child, on_stop)
            reader.join(timeout=_GRACE_S)  # ends with the output; what the child left running may hold that open


def _read(child: subprocess.Popen[bytes], lines: queue.Queue[bytes | None]) -> None:
    if child.stdout is not None:
        with child.stdout as output:
            while line := output.readline(MAX_LINE):
                lines.put(line)
    lines.put(None)


def _until_end(child: subprocess.Popen[bytes], lines: queue.Queue[bytes | None], deadline: float) -> Iterator[bytes]:
    """Yield lines until the output ends, or the child has ended and what it left running says nothing more.

    Raises:
        subprocess.TimeoutExpired: the deadline passed.
    """
    silent_since = time.monotonic()
    while True:
        now = time.monotonic()
        if now > deadline:
            raise subprocess.TimeoutExpired(child.args, 0.0)
        try:
            line = lines.get(timeout=min(0.5, deadline - now + 0.001))
        except queue.Empty:
            if child.poll() is not None and time.monotonic() - silent_since > _GRACE_S:
                return
            continue
        if line is None:
            return
        silent_since = time.monotonic()
        yield line


def _stop(child: subprocess.Popen[bytes], on_stop: Sequence[str]) -> None:
    """End the child's process group if it still runs; the group is its own, nobody else's."""
    if child.poll() is None:
        if on_stop:
            subprocess.run(list(on_stop), stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
        for wanted in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(child.pid, wanted)
                child.wait(timeout=_GRACE_S)
                break
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break
    child.wait()
