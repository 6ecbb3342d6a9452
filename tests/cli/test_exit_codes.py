"""The contract of the command line: documented exit codes, one line and a hint, no traceback."""

import json
from pathlib import Path

import click
import numpy as np
import pytest

import fsq_edge.__main__
from fsq_edge.cli.main import VERBS, cli, run
from tests.factories.bundles import motion, random_bundle


def commands() -> list[list[str]]:
    found = []
    context = click.Context(cli)
    for verb in cli.list_commands(context):
        command = cli.get_command(context, verb)
        if isinstance(command, click.Group):
            found += [[verb, name] for name in command.list_commands(context)]
        found.append([verb])
    return found


def test_every_verb_is_there() -> None:
    assert sorted(cli.list_commands(click.Context(cli))) == sorted(VERBS)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_bad_flag_is_usage(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "--no-such-flag"]) == 64
    error = capfd.readouterr().err
    assert error.startswith("error: ")
    assert "hint: " in error
    assert "Traceback" not in error


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_is_free(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "--help"]) == 0
    whole = capfd.readouterr().out
    assert len(whole.splitlines()) > 5
    assert run([*words, "-h"]) == 0
    assert capfd.readouterr().out == whole


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_verb_alone_runs_or_says_what_is_missing(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if words == ["demo"]:
        pytest.skip("it needs no argument and takes a minute: tests/integration/test_demo.py runs it")
    code, shown = run(words), capfd.readouterr().err
    assert code in (0, 1, 64), shown
    assert "Traceback" not in shown
    assert code != 64 or shown.startswith("Usage: ") or "hint: " in shown, shown


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    random_bundle().save(tmp_path / "b.fsqb")
    return tmp_path / "b.fsqb"


def test_bad_input_ends_in_its_code_with_one_line_and_a_hint(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "narrow.npz", samples=np.zeros((200, 4), np.float32))
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "words.csv").write_text("acc_x,acc_y,acc_z,gyr_x,gyr_y,gyr_z\n1,2,3,4,5,six\n")
    damaged = bytearray(bundle.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged.fsqb").write_bytes(damaged)
    cases = [
        (["run", str(bundle), "--source", f"npz:{tmp_path / 'narrow.npz'}"], 65),
        (["run", str(bundle), "--source", f"npz:{tmp_path / 'empty.npz'}"], 65),
        (["run", str(bundle), "--source", f"csv:{tmp_path / 'empty.csv'}"], 65),
        (["run", str(bundle), "--source", f"csv:{tmp_path / 'words.csv'}"], 65),
        (["run", str(bundle), "--source", f"npz:{tmp_path / 'none.npz'}"], 66),
        (["run", str(bundle), "--source", "carrier-pigeon:"], 64),
        (["run", str(bundle), "--source", f"npz:{tmp_path / 'narrow.npz'}", "--backend", "gpu"], 64),
        (["bundle", "verify", str(tmp_path / "damaged.fsqb")], 65),
        (["bundle", "verify", str(tmp_path / "none.fsqb")], 66),
        (["bundle", "build", str(tmp_path / "none"), "--out", str(tmp_path / "x.fsqb")], 66),
        (["export", str(tmp_path / "none"), "--out", str(tmp_path / "build")], 66),
    ]
    for words, code in cases:
        assert run(words) == code, words
        lines = capfd.readouterr().err.splitlines()
        assert lines[0].startswith("error: "), lines
        assert len(lines) <= 2
    assert not (tmp_path / "x.fsqb").exists()
    assert not (tmp_path / "build").exists()


def test_nothing_but_nan_abstains_and_exits_0(bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "nan.npz", samples=np.full((300, 6), np.nan, np.float32))
    assert run(["run", str(bundle), "--source", f"npz:{tmp_path / 'nan.npz'}"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    decisions = [line for line in lines if line["type"] == "decision"]
    assert len(decisions) == 5
    assert all(line["label"] is None and line["quality"] for line in decisions)


def test_a_missing_extra_names_the_install_line(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    assert run(["export", str(bundle.parent), "--out", "x"]) == 69
    assert "pip install 'fsq-edge[train]'" in capfd.readouterr().err


def test_replay_is_byte_identical(bundle: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", samples=motion(1500))
    for name in ("a", "b"):
        sink = f"jsonl:{tmp_path / name}"
        source = f"npz:{tmp_path / 'm.npz'}"
        assert run(["run", str(bundle), "--source", source, "--sink", sink, "--no-latency"]) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != b""


def test_ctrl_c_while_the_libraries_load_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str, *_: object) -> None:
        if name == "fsq_edge.cli.main":
            raise KeyboardInterrupt

    monkeypatch.setattr("builtins.__import__", interrupted)
    with pytest.raises(SystemExit) as ended:
        fsq_edge.__main__.main()
    monkeypatch.undo()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"
