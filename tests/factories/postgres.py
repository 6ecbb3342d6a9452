"""A real PostgreSQL (Debian's) on the loopback, with a password, for the length of a block."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

PASSWORD = "pg-s3cret"  # noqa: S105 - of a database that lives as long as a test


def find_programs() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def needs_postgres() -> pytest.MarkDecorator:
    absent = find_programs() is None
    return pytest.mark.skipif(absent, reason="PostgreSQL (Debian package postgresql) is not installed")


class Postgres:
    """A cluster in a folder of its own; root runs it as the user ``postgres``, since it refuses root.

    Attributes:
        address: with the user, without the password.
        passwords: a ``.pgpass`` file that has it.
    """

    def __init__(self) -> None:
        programs = find_programs()
        assert programs is not None
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="fsq-pg-"))
        self._user: dict[str, int] = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            os.chown(self._folder, entry.pw_uid, entry.pw_gid)
            self._user = {"user": entry.pw_uid, "group": entry.pw_gid}
        with contextlib.closing(socket.socket()) as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.address = f"postgresql://sweeper@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Postgres:
        secret = self._folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        words = ["-D", str(self._folder / "data"), "-U", "sweeper", "-A", "scram-sha-256", "--pwfile", str(secret)]
        self._run("initdb", *words, "-E", "UTF8", "--no-locale", "--no-sync")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-l", log, "-w", "-t", "120", "-o", options, "start")
        return self

    def __exit__(self, *error: object) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def write_passwords(self, path: Path) -> Path:
        path.write_text(f"127.0.0.1:{self.port}:*:sweeper:{PASSWORD}\n")
        path.chmod(0o600)
        return path

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [str(self._programs / program), *words],
            check=True,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._user,  # type: ignore[call-overload]  # user and group
        )
