"""What a killed writer leaves beside a file or a folder is removed by the next one, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fsq_edge_runtime import files
from fsq_edge_runtime.files import new_folder, write_file

HANG = """
import os, sys, time
from pathlib import Path
from fsq_edge_runtime import files
os.O_TMPFILE = os.O_DIRECTORY  # ends with EISDIR, as where a file system knows no files without a name
with getattr(files, sys.argv[1])(Path(sys.argv[2])):
    print("in", flush=True)
    time.sleep(60)
"""


def write(kind: str, path: Path) -> None:
    if kind == "whole_file":
        write_file(path, b"new")
    else:
        with new_folder(path) as folder:
            (folder / "a").write_text("new")


@pytest.fixture
def no_nameless_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)


@pytest.mark.usefixtures("no_nameless_files")
@pytest.mark.parametrize("kind", ["whole_file", "new_folder"])
def test_the_next_writer_removes_what_a_kill_left_and_spares_who_still_writes(kind: str, tmp_path: Path) -> None:
    target, strangers = tmp_path / "out", {".out.keep", ".out.0123abcd.txt", "other.0123abcd"}
    for name in strangers:
        (tmp_path / name).write_text("not ours")
    environment = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", HANG, kind, str(target)], stdout=subprocess.PIPE, env=environment
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        living = {entry.name for entry in tmp_path.iterdir()} - strangers
        write(kind, target)
        assert {entry.name for entry in tmp_path.iterdir()} == {"out"} | living | strangers
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert len(living) == 1
    if kind == "new_folder":
        (target / "a").unlink()
    write(kind, target)
    assert {entry.name for entry in tmp_path.iterdir()} == {"out"} | strangers


def test_a_folder_that_is_missing_keeps_its_former_content(tmp_path: Path) -> None:
    former = tmp_path / ".out.0123abcd.former"
    former.mkdir()
    with new_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("new")
    assert former.is_dir()
    with new_folder(tmp_path / "out", replaceable="a") as folder:
        (folder / "a").write_text("newer")
    assert not former.exists()
