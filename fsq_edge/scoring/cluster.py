"""An archive on a Dask cluster: every worker holds the opened bundle, and writes into the shared output folder."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Worker, WorkerPlugin, as_completed, get_worker
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from fsq_edge.data.importing.packages import need_package
from fsq_edge.scoring.archive import ArchiveFile
from fsq_edge.scoring.scorer import Outcome, Scorer
from fsq_edge.scoring.settings import ScoreSettings
from fsq_edge.scoring.workers import LostRecording
from fsq_edge_runtime.addresses import redacted
from fsq_edge_runtime.errors import DataError, FsqEdgeError, UnavailableError
from fsq_edge_runtime.files import first_line, read_bounded

AHEAD = 4  # recordings handed to each thread of the cluster in advance
CONNECT_S = 20.0
LOGGERS = ("distributed.client", "distributed.comm", "distributed.core", "distributed.batched", "tornado", "asyncio")
MAX_CONFIG_BYTES = 1 << 20
AGAIN = "start it, then run the same command again: what is scored is kept"


class BundlePlugin(WorkerPlugin):  # type: ignore[misc]  # its package is typed in part only
    """Opens the bundle once for every thread of a worker that needs it.

    Args:
        bundle: the bundle, as the bytes of its file.
        settings: how to score.
        root: the output folder, the same path on every worker.
    """

    def __init__(self, bundle: bytes, settings: ScoreSettings, root: Path) -> None:
        self.name = f"fsq-edge-{root}"
        self._arguments = (bundle, settings, root)

    def setup(self, worker: Worker) -> None:
        """Prepare a new worker."""
        self._here = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "_arguments": self._arguments}

    def score(self, file: ArchiveFile) -> Outcome:
        """Score one recording with this thread's own scorer."""
        if not hasattr(self._here, "scorer"):
            self._here.scorer = Scorer(*self._arguments)
        scorer: Scorer = self._here.scorer
        return scorer.score(file)


def score_on_worker(file: ArchiveFile, plugin: str) -> Outcome | FsqEdgeError:
    """Score one recording on the worker that this is called on; what must end the run comes back as a value."""
    try:
        held: BundlePlugin = get_worker().plugins[plugin]
        return held.score(file)
    except FsqEdgeError as error:
        return error


def cluster_engine(
    scheduler: str | None, config: Path | None
) -> Callable[[Sequence[ArchiveFile], bytes, ScoreSettings, Path], Iterator[Outcome | LostRecording]]:
    """Return what scores on a Dask cluster.

    Args:
        scheduler: its address, such as ``tcp://HOST:8786``; None takes ``scheduler-address`` of the configuration.
        config: a Dask configuration in YAML, with certificates of ``distributed.comm.tls`` for example.

    Raises:
        MissingInputError, DataError: the configuration cannot be read.
    """
    settings = _read_config(config) if config else {}

    def engine(
        files: Sequence[ArchiveFile], bundle: bytes, how: ScoreSettings, root: Path
    ) -> Iterator[Outcome | LostRecording]:
        with dask.config.set(settings):
            address = scheduler or dask.config.get("scheduler-address", None)
            if not address:
                raise DataError(f"{config} names no scheduler", hint="add a line: scheduler-address: tcp://HOST:8786")
            yield from _score(files, bundle, how, root.resolve(), str(address))

    return engine


def _read_config(path: Path) -> dict[str, Any]:
    yaml = need_package("yaml", "--dask-config")
    try:
        found = yaml.safe_load(read_bounded(path, MAX_CONFIG_BYTES, what="the Dask configuration"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not YAML: {first_line(error)}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no settings", hint="a line such as scheduler-address: tcp://HOST:8786")
    return found


def _score(
    files: Sequence[ArchiveFile], bundle: bytes, settings: ScoreSettings, root: Path, address: str
) -> Iterator[Outcome | LostRecording]:
    shown = redacted(address)
    for name in LOGGERS:  # they print a page of traceback for what is said in one line below
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise UnavailableError(f"no Dask scheduler answers at {shown}", hint=AGAIN) from error
    try:
        plugin = BundlePlugin(bundle, settings, root)
        client.register_plugin(plugin)
        threads = sum(client.nthreads().values())
        if not threads:
            raise UnavailableError(f"the Dask scheduler at {shown} has no workers", hint="dask worker " + shown)
        yield from _collect(client, files, plugin.name, AHEAD * threads, shown)
    except (OSError, RuntimeError, FutureCancelledError) as error:
        raise UnavailableError(f"the Dask scheduler at {shown} was lost", hint=AGAIN) from error
    finally:
        with suppress(OSError, RuntimeError):
            client.close(timeout=5)


def _collect(
    client: Client, files: Sequence[ArchiveFile], plugin: str, ahead: int, shown: str
) -> Iterator[Outcome | LostRecording]:
    def submit(file: ArchiveFile) -> Any:
        future = client.submit(score_on_worker, file, plugin, key=f"{plugin}-{file.name}", pure=False)
        waiting[future.key] = file
        return future

    waiting: dict[str, ArchiveFile] = {}
    coming = iter(files)
    running = as_completed(
        [submit(file) for file in itertools.islice(coming, ahead)], loop=client.loop, raise_errors=False
    )
    for future in running:
        file = waiting.pop(future.key)
        if future.status == "cancelled" or future.status == "lost":
            raise UnavailableError(f"the Dask scheduler at {shown} was lost", hint=AGAIN)
        if future.status == "error":
            error = future.exception()
            if not isinstance(error, KilledWorker):
                raise error
            yield LostRecording(file)
        else:
            outcome = future.result()
            if isinstance(outcome, FsqEdgeError):
                raise outcome
            yield outcome
        future.release()
        if (following := next(coming, None)) is not None:
            running.add(submit(following))
