"""The README's shell commands, run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from fsq_edge.cli.main import run

README = Path(__file__).parents[2] / "README.md"
NOT_HERE = ("plan/watch_", "serial:")  # need a compiler's output and a port; both have tests of their own
SHORTER = {"train": ["--epochs", "4"], "quantize": ["--no-alternatives"], "bench": ["--quick", "--decisions", "200"]}
ANSWERS = {"doctor": {0, 1}}  # what is wrong with the machine of the test is no fault of the README


def test_the_commands_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = README.read_text().split("## From the shell")[1].split("\n## ")[0]
    lines = [line.strip() for line in re.findall(r"^    fsq-edge .*$", section, flags=re.MULTILINE)]
    assert len(lines) >= 12
    monkeypatch.chdir(tmp_path)
    for line in lines:
        if any(mark in line for mark in NOT_HERE):
            continue
        words = shlex.split(line.replace("/opt/", "opt/"), comments=True)[1:]
        assert run([*words, *SHORTER.get(words[0], [])]) in ANSWERS.get(words[0], {0}), line
    assert (tmp_path / "watch.fsqb").is_file()
    assert (tmp_path / "plan" / "compile.py").is_file()
    assert (tmp_path / "opt" / "watch" / "current" / "manifest.json").is_file()
