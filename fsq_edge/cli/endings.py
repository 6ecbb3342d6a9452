"""How a running stream is told to end, and what happens when it cannot."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fsq_edge_runtime.errors import EXIT_UNAVAILABLE

LAST_RESORT_S = 1.9  # a service manager is promised two seconds
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_OVER = 0  # no signal has this number


class EndedWhileOpening(BaseException):
    """A signal came before the stream ran: whatever is being opened is left at once, and the block ends there."""


class Endings:
    """The ending signals of one run.

    Attributes:
        received: numbers of the signals that came.
        opening: nothing is streaming yet, so that a signal raises :class:`EndedWhileOpening`.
    """

    def __init__(self) -> None:
        self.received: set[int] = set()
        self.opening = True


@contextmanager
def ending_signals(stop: threading.Event, reload: Callable[[], object] | None = None) -> Iterator[Endings]:
    """Let SIGTERM, SIGINT and SIGHUP set ``stop``; a second one is not waited for. Give what came.

    With ``reload``, SIGHUP calls that instead.

    A thread hears of a signal even while the main one is inside a library, which keeps Python from running its handler.
    Where the block has not ended ``LAST_RESORT_S`` after the signal, the process ends (exit 69).
    """
    endings = Endings()

    def handle(number: int, frame: object) -> None:
        if endings.received:
            raise KeyboardInterrupt
        endings.received.add(number)
        stop.set()
        if endings.opening:
            raise EndedWhileOpening

    # A program started by nohup goes on when its terminal is closed.
    ending = tuple(number for number in ENDING if reload is None or number != signal.SIGHUP)
    wanted = [number for number in ending if signal.getsignal(number) is not signal.SIG_IGN]
    heard, told = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(told, False)
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(heard, stop, done, ending), name="signals", daemon=True)
    before = {number: signal.signal(number, handle) for number in wanted}
    if reload is not None:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda number, frame: reload())
    former = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    watcher.start()
    try:
        yield endings
    except EndedWhileOpening:
        pass
    except Exception:  # a library that is being loaded makes an ImportError of what the handler raises in it
        if not (endings.opening and endings.received):
            raise
    finally:
        done.set()
        signal.set_wakeup_fd(former)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.write(told, bytes([_OVER]))
        watcher.join()
        os.close(told)
        os.close(heard)


def _watch(heard: int, stop: threading.Event, done: threading.Event, ending: tuple[int, ...]) -> None:
    while (number := os.read(heard, 1)[0]) != _OVER:
        if number in ending:
            stop.set()
            if not done.wait(LAST_RESORT_S):
                _give_up()


def _give_up() -> None:
    """End the process now: something that cannot be interrupted holds its main thread."""
    with contextlib.suppress(OSError, ValueError):
        poll = select.poll()
        poll.register(2, select.POLLOUT)
        if poll.poll(0):
            os.write(2, b"error: the stream did not end in time: a device, a model or a reader holds it up\n")
    os._exit(EXIT_UNAVAILABLE)
