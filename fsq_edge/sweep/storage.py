"""Where the trials of a sweep are kept: one SQLite or journal file, or a PostgreSQL database for many machines."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import optuna
import sqlalchemy
from optuna.storages import JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend

from fsq_edge_runtime.addresses import redacted
from fsq_edge_runtime.errors import MissingInputError, UnavailableError, UsageError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.files import first_line

FORMS = "sqlite:///FILE, journal:FILE, postgresql://USER@HOST/DATABASE, or env:NAME for one of them"
MAX_RETRIES = 3
DEAD_AFTER = 3  # heartbeats without a sign of life


@contextmanager
def open_storage(text: str, heartbeat_s: int = 30) -> Iterator[Any]:
    """Open a storage for the length of a block.

    Args:
        text: one of ``FORMS``. A password stands in no command line: PostgreSQL reads it from ``~/.pgpass``,
            ``PGPASSFILE`` or ``PGPASSWORD``, or the whole address comes from an environment variable (``env:NAME``).
        heartbeat_s: seconds between signs of life of a running trial; a trial that shows none for three times as long
            is taken for dead and started again by another worker. A journal file knows its dead by their process.

    Raises:
        UsageError: another form, or a password in the command line.
        MissingInputError: the environment variable is not set.
        UnavailableError: the file or the database cannot be opened, or the driver is not installed.
    """
    given, text = text, _from_environment(text)
    kind, _, place = text.partition(":")
    if kind == "journal" and place:
        _require_folder(Path(place))
        with storage_errors(given):
            storage = JournalStorage(JournalFileBackend(place))
        yield storage
        return
    if kind == "sqlite" and text.startswith("sqlite:///") and len(text) > len("sqlite:///"):
        _require_folder(Path(text.removeprefix("sqlite:///")))
    elif kind in ("postgresql", "postgres", "postgresql+psycopg") and urlsplit(text).hostname:
        if urlsplit(text).password is not None and not given.startswith("env:"):
            raise UsageError(
                f"{redacted(text)}: a password in a command line is read by everybody on this machine",
                hint="put it into ~/.pgpass, or the whole address into a variable: --storage env:NAME",
            )
        need("psycopg", "sweep", "a PostgreSQL storage")
        text = f"postgresql+psycopg:{place}"
    else:
        raise UsageError(f"unknown storage {redacted(text)!r}", hint=FORMS)
    with storage_errors(given):
        database = RDBStorage(
            text,
            heartbeat_interval=heartbeat_s,
            grace_period=DEAD_AFTER * heartbeat_s,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES),
            engine_kwargs={"pool_pre_ping": True},  # a database that was started again between two trials
        )
    try:
        yield database
    finally:
        database.remove_session()
        database.engine.dispose()


@contextmanager
def storage_errors(text: str) -> Iterator[None]:
    """Turn a storage's errors into one line without its password, and keep Optuna's remarks on its own releases quiet.

    Args:
        text: the storage, as it was typed.

    Raises:
        UnavailableError: the block raised an error of the storage.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, OSError) as error:
        said = first_line(getattr(error, "orig", None) or error.__cause__ or error, 120)
        secret = urlsplit(_from_environment(text)).password
        raise UnavailableError(
            f"the storage {redacted(text)} fails: {said.replace(secret, '***') if secret else said}",
            hint="is it there? what was tried is kept: run the same command again",
        ) from error


def _from_environment(text: str) -> str:
    if not text.startswith("env:"):
        return text
    name = text.removeprefix("env:")
    if not os.environ.get(name):
        raise MissingInputError(f"the environment variable {name} is not set", hint=f"export {name}=postgresql://...")
    return os.environ[name]


def _require_folder(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise UnavailableError(f"cannot write {path}: its folder does not exist", hint=f"mkdir -p {path.parent}")
