"""Worker processes on this machine, each with the opened bundle; a worker that dies costs at most its own recording."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from multiprocessing.synchronize import Event
from pathlib import Path

from fsq_edge.scoring.archive import ArchiveFile
from fsq_edge.scoring.scorer import Outcome, Scorer
from fsq_edge.scoring.settings import ScoreSettings

AHEAD = 2  # recordings handed to a worker before it asks: the next one is there when one is done
_worker: list[Scorer] = []  # the scorer of this process, once it is a worker


@dataclass(frozen=True, slots=True)
class LostRecording:
    """A worker died while it scored this recording, also when that was its only one.

    Attributes:
        file: the recording.
    """

    file: ArchiveFile


def score_here(
    files: Iterable[ArchiveFile], bundle: bytes, settings: ScoreSettings, root: Path
) -> Iterator[Outcome | LostRecording]:
    """Score in this process; errors as :meth:`Scorer.score`."""
    scorer = Scorer(bundle, settings, root)
    for file in files:
        yield scorer.score(file)


def score_in_workers(
    files: Sequence[ArchiveFile], bundle: bytes, settings: ScoreSettings, root: Path, workers: int
) -> Iterator[Outcome | LostRecording]:
    """Score in processes of their own, in the order in which they finish.

    When a worker dies, the recordings that were under way are scored again one at a time, each by a new worker: the
    one that kills its worker again is given up, the others are not.

    Raises:
        UnavailableError: as :class:`Scorer` and its ``score``; what is under way is finished or dropped whole.
    """
    Scorer(bundle, settings, root)  # what fails in every worker is said once, here
    coming, workers = iter(files), max(1, min(workers, len(files)))
    while True:
        suspects: list[ArchiveFile] = []
        yield from _pool(coming, bundle, settings, root, workers, suspects)
        if not suspects:
            return
        for file in suspects:
            again: list[ArchiveFile] = []
            yield from _pool(iter([file]), bundle, settings, root, 1, again)
            if again:
                yield LostRecording(file)


def _pool(
    coming: Iterator[ArchiveFile],
    bundle: bytes,
    settings: ScoreSettings,
    root: Path,
    workers: int,
    suspects: list[ArchiveFile],
) -> Iterator[Outcome]:
    """Score what is coming until it ends or a worker dies; then ``suspects`` holds what was under way."""
    # Not fork: onnxruntime's threads do not survive it.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _begin, (bundle, settings, root, stop))
    waiting: dict[Future[Outcome], ArchiveFile] = {}
    try:
        while True:
            while len(waiting) < AHEAD * workers and not suspects and (file := next(coming, None)) is not None:
                try:
                    waiting[pool.submit(_score, file)] = file
                except BrokenProcessPool:
                    suspects.append(file)
            if not waiting:
                return
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                file = waiting.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    suspects.append(file)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _begin(bundle: bytes, settings: ScoreSettings, root: Path, stop: Event) -> None:
    """Open the bundle in a new worker, and let it end with its parent, however that ends."""
    for number in (signal.SIGINT, signal.SIGHUP):  # the parent hears them, too, and says when to stop
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    _worker[:] = [Scorer(bundle, settings, root, stop.is_set)]


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _score(file: ArchiveFile) -> Outcome:
    return _worker[0].score(file)
