"""Every shell and Python block of README and docs runs, but for what ``unrun.yaml`` lists with a reason."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fsq_edge.cli.main import run
from fsq_edge.data import sources
from fsq_edge.training import assembly
from tests.blocks import shelf as shelves
from tests.blocks.finding import PAGES, ROOT, Block, blocks_of, words_of
from tests.blocks.names import names_for

UNRUN = yaml.safe_load((Path(__file__).parent / "unrun.yaml").read_text())
PATTERNS = [(reason, pattern) for reason, patterns in UNRUN.items() for pattern in patterns]
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
# A place outside the folder that the page is tried in -> one inside it; and what a reader fills in.
ELSEWHERE = {
    "/opt/": "opt/",
    ".venv/bin/fsq-edge": "fsq-edge",
    "PATH...": "raw/collar_rex.csv --map collars.yaml",
    "--guess --map collars.yaml": "--guess --force --map collars.yaml",
    "SOURCE": "folder:collar",
    "--out DIR": "--out dir",
    "[--html F]": "--html f.html",
}
GOOD = (0, 1, 2)  # 1 and 2 are a verb's negative answers: a gate may refuse a network that was made small


def why_unrun(command: str) -> str | None:
    bare = re.sub(r"\s+#.*$", "", command)
    return next((reason for reason, pattern in PATTERNS if re.search(pattern, bare)), None)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder, before = tmp_path_factory.mktemp("shelf"), Path.cwd()
    dataset = shelves.stand_in_for_watch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "load_watch", lambda: dataset)
        patch.setattr(assembly, "default_epochs", lambda *rest: 1)
        os.chdir(folder)
        try:
            shelves.fill(folder, dataset)
            yield folder
        finally:
            os.chdir(before)


@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS}))
def test_the_blocks_of_a_page_run_in_order(page: str, shelf: Path, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    shutil.copytree(shelf, folder)
    shelves.arrange(page, folder)
    os.chdir(folder)
    try:
        namespace = names_for(folder / "dog.fsqb")
        for block in (block for block in BLOCKS if block.page == page):
            if block.kind == "shell":
                for command in block.commands:
                    if why_unrun(command) is None:
                        execute(command, block)
            elif block.kind == "python":
                evaluate(block, namespace)
            elif block.kind == "yaml":
                yaml.safe_load(block.text)
    finally:
        os.chdir(shelf)


def execute(command: str, block: Block) -> None:
    for there, here in ELSEWHERE.items():
        command = command.replace(there, here)
    bare = re.sub(r"\s+#.*$", "", command.removeprefix("$ "))
    output = io.StringIO()
    if re.match(r"fsq-edge bench (?!compare|layers)", bare) and "--quick" not in bare:
        bare += " --quick"  # the whole of it takes minutes and gives figures that nobody reads here
    if bare.startswith("fsq-edge ") and not re.search(r"[|<>;*]|&&|\$|stdin:", bare):
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = run(words_of(bare)[1:])
    else:
        code = in_shell(bare, output)
    assert code in GOOD, f"{block.page}, line {block.line}: {command}\n{output.getvalue()[-2000:]}"


def in_shell(command: str, output: io.StringIO) -> int:
    """Run a line with pipes as bash does; there the data sets are the real ones."""
    roots = [str(ROOT / part) for part in (".", "runtime", "compile", "calibration", "benchmarks")]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(roots),
    }
    words = ["bash", "-c", f"set -o pipefail; {command}"]
    with Path("phone.csv").open() as samples:  # what a sensor would send
        ended = subprocess.run(
            words, env=environment, capture_output=True, text=True, stdin=samples, timeout=120, check=False
        )
    output.write(ended.stdout[-1000:] + ended.stderr)
    return ended.returncode


def evaluate(block: Block, namespace: dict[str, object]) -> None:
    code = compile(block.text, f"{block.page}, line {block.line}", "exec")
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, namespace)  # noqa: S102 - the project's own pages


def test_every_entry_of_the_list_fits_a_command_of_the_pages() -> None:
    commands = [
        re.sub(r"\s+#.*$", "", command) for block in BLOCKS if block.kind == "shell" for command in block.commands
    ]
    unused = [pattern for _, pattern in PATTERNS if not any(re.search(pattern, command) for command in commands)]
    assert unused == []
    listed = [command for command in commands if why_unrun(command)]
    assert len(listed) < len(commands) / 2


def test_the_harness_finds_the_blocks() -> None:
    kinds = [block.kind for block in BLOCKS]
    assert kinds.count("shell") > 40
    assert kinds.count("python") > 15


def test_the_harness_sees_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("Text:\n\n    fsq-edge check gone.onnx   # a comment\n\n```python\nnot_a_name\n```\n")
    first, second = (Block("page.md", 1, kind, text) for kind, text in (
        ("shell", "fsq-edge check gone.onnx   # a comment\n"), ("python", "not_a_name\n")))  # fmt: skip
    with pytest.raises(AssertionError, match=r"gone\.onnx"):
        execute(first.commands[0], first)
    with pytest.raises(NameError):
        evaluate(second, {})
