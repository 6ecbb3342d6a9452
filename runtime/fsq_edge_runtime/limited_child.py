"""Work on data that nobody vouches for, in a child process with a limit on memory and time.

The child is a fresh interpreter that runs one module: bytes in at standard input, bytes out at standard output. Nothing
is pickled, and what happens to the child happens to nothing else.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass

# Address space is not what a process uses: native libraries reserve much more, so the data segment is limited.
_START = """
import resource, runpy, sys
memory, seconds, module = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.argv[:] = sys.argv[3:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


class ChildError(Exception):
    """The child was stopped at a limit, or did not survive its work; the message says which."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may take.

    Attributes:
        memory_bytes: of its data, libraries' reserves not counted.
        processor_s: seconds of processor time.
        wall_s: seconds, whatever it waits for.
    """

    memory_bytes: int
    processor_s: int
    wall_s: float


def run_limited(module: str, words: tuple[str, ...], data: bytes, limits: Limits) -> bytes:
    """Run a module as a program in a child and return what it writes to standard output.

    Args:
        module: its full name; it reads ``data`` from standard input.
        words: its arguments.
        data: what it works on.
        limits: what it may take.

    Raises:
        ChildError: a limit was reached, or it ended with another code than 0.
    """
    # -P: what lies in the working directory must not be imported in place of a package.
    command = [sys.executable, "-P", "-c", _START, str(limits.memory_bytes), str(limits.processor_s), module, *words]
    try:
        child = subprocess.run(
            command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=limits.wall_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ChildError(f"it took more than {limits.wall_s:g} s") from error
    if child.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise ChildError(f"it took more than {limits.processor_s} s of processor time")
    if child.returncode:
        raise ChildError(f"its process ended with code {child.returncode}, perhaps for want of memory")
    return child.stdout
