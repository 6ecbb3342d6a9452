"""What a newcomer meets first: help, mistakes with an answer, a full disk, a pipe that closes, a base install."""

import errno
import importlib.util
import io
import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from fsq_edge.cli.main import run
from fsq_edge.cli.output import Output
from fsq_edge.cli.train import _bar
from fsq_edge.data import write_folder
from fsq_edge_benchmarks import suites
from fsq_edge_compile import check, fix
from fsq_edge_compile.checker.rulebook import rulebook
from fsq_edge_compile.checker.rulecard import card_lines, find_rules
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.ports import in_use_hint
from tests.factories.labelled import flickering_bundle, labelled_dataset, with_provenance
from tests.factories.onnx_graphs import GraphFactory

BARE = """
import sys
ABSENT = {"torch", "onnx", "sklearn", "seglearn", "matplotlib", "jinja2", "yaml", "safetensors"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])
sys.meta_path.insert(0, Absent())
from fsq_edge.cli.main import run
from fsq_edge.cli.train import _bar
sys.exit(run(sys.argv[1:]))
"""
COMMAND = [sys.executable, "-m", "fsq_edge"]


def error_of(capfd: pytest.CaptureFixture[str]) -> str:
    return capfd.readouterr().err


def test_no_verb_prints_the_help_in_its_lines_and_is_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 64
    shown = error_of(capfd)
    assert shown.startswith("Usage: ")
    assert len([line for line in shown.splitlines() if line.startswith("  ")]) > 15


def test_a_misspelt_verb_names_the_one_that_was_meant(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["chek", "model.onnx"]) == 64
    assert "there is no verb 'chek'; did you mean check?" in error_of(capfd)


@pytest.mark.parametrize("words", [["-h"], ["check", "-h"], ["data", "qa", "-h"]], ids=" ".join)
def test_h_is_help(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    assert capfd.readouterr().out.startswith("Usage: ")


def test_a_full_device_ends_in_69_with_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([*COMMAND, "data", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 69
    assert ended.stderr.splitlines()[0] == "error: cannot write the output: No space left on device"
    assert len(ended.stderr.splitlines()) == 2


def test_a_reader_that_leaves_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([*COMMAND, "data", "list"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_encoding_without_the_character_gets_an_escape() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run([*COMMAND, "explain", "Ω.log"], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 66
    assert "\\u03a9.log" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_tune_on_the_base_install_writes_its_bundle(tmp_path: Path) -> None:
    bundle = flickering_bundle()
    dataset = labelled_dataset(bundle)
    write_folder(dataset, tmp_path / "data")
    with_provenance(bundle, dataset, ["4"]).save(tmp_path / "b.fsqb")
    words = ["tune", "b.fsqb", "--recordings", "folder:data", "--out", "t.fsqb", "--quiet"]
    ended = subprocess.run(
        [sys.executable, "-c", BARE, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode in (0, 2), ended.stderr
    assert Bundle.open(tmp_path / "t.fsqb").events is not None


def test_every_rule_is_explained_in_words() -> None:
    for name in rulebook().rules:
        lines = list(card_lines(find_rules(name)[0]))
        assert "{" not in next(line for line in lines if line.startswith("  says:"))


def test_a_misspelt_path_makes_no_folders(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "list", "--json", str(tmp_path / "no/such/x.json")]) == 69
    assert f"hint: mkdir -p {tmp_path / 'no/such'}" in error_of(capfd)
    assert list(tmp_path.iterdir()) == []
    assert run(["data", "list", "--quiet", "--json", str(tmp_path / "one/x.json")]) == 0


def test_binary_data_are_no_log_and_the_hint_names_their_reader(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08\x12\x07\x00pytorch")
    assert run(["explain", str(tmp_path / "m.onnx")]) == 65
    shown = error_of(capfd)
    assert "is not a log" in shown
    assert f"hint: fsq-edge check {tmp_path / 'm.onnx'}" in shown


@pytest.mark.parametrize(
    ("source", "hint"),
    [("wach", "did you mean watch?"), ("data", "did you mean folder:data?"), ("walk.csv", "data import walk.csv")],
)
def test_a_source_written_wrongly_gets_the_right_form(
    source: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(labelled_dataset(flickering_bundle()), tmp_path / "data")
    (tmp_path / "walk.csv").write_text("a,b\n1,2\n")
    assert run(["train", "--data", source, "--out", "run"]) == 64
    assert hint in error_of(capfd)


def test_an_empty_name_between_commas_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--data", "watch", "--test-subjects", "5,,6", "--out", "run"]) == 64
    assert "an empty name between commas" in error_of(capfd)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("training:\n  seed: 1\n\tlr: 2\n", "c.yaml, line 3, column 1: "),
        ("training: [1, 2\n", "c.yaml, line 2, column 1: "),
        ("training:\n  max_epoch: 3\n", "hint: did you mean max_epochs?"),
        ("trainig:\n  seed: 3\n", "hint: did you mean training?"),
    ],
)
def test_a_mistake_in_yaml_names_its_place_or_what_was_meant(
    text: str, wanted: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    assert run(["train", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")]) == 65
    shown = error_of(capfd)
    assert wanted in shown
    assert "byte string" not in shown


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a bundle and two seconds of a recording, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    bundle = flickering_bundle()
    bundle.save(tmp_path / "b.fsqb")
    np.savez(tmp_path / "walk.npz", samples=np.zeros((300, len(bundle.preprocess.channels)), np.float32))
    return tmp_path


@pytest.mark.parametrize(
    ("source", "code", "hint"),
    [
        ("walk.npz", 64, "did you mean npz:walk.npz?"),
        ("/dev/ttyACM9", 64, "did you mean serial:/dev/ttyACM9?"),
        ("-", 64, "did you mean stdin:?"),
        ("csv:walk.npz", 65, "--source npz:walk.npz"),
    ],
)
@pytest.mark.usefixtures("shelf")
def test_a_stream_written_wrongly_gets_the_right_form(
    source: str, code: int, hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", "b.fsqb", "--source", source]) == code
    assert hint in error_of(capfd)


@pytest.mark.usefixtures("shelf")
def test_a_file_sink_leaves_one_line_for_the_person(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["run", "b.fsqb", "--source", "npz:walk.npz", "--sink"]
    assert run([*words, "jsonl:o.jsonl"]) == 0
    shown = capfd.readouterr()
    assert shown.out == ""
    assert re.search(r"note: 300 samples, [1-9]\d* windows: ", shown.err)
    assert run([*words, "jsonl:o.jsonl", "--quiet"]) == 0
    assert "note:" not in error_of(capfd)


@pytest.mark.usefixtures("shelf")
def test_the_page_says_its_address(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "b.fsqb", "--source", "npz:walk.npz", "--sink", "http:127.0.0.1:0"]) == 0
    assert re.search(r"note: http://127\.0\.0\.1:[1-9]\d*/ shows the stream", error_of(capfd))


@pytest.fixture(params=["tcp", "udp"])
def taken(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """Give a protocol and a port of it that this process holds."""
    kind = socket.SOCK_STREAM if request.param == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as held:
        held.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            held.listen()
        yield request.param, held.getsockname()[1]


@pytest.mark.usefixtures("shelf")
def test_a_port_in_use_names_the_program_that_has_it(taken: tuple[str, int], capfd: pytest.CaptureFixture[str]) -> None:
    protocol, port = taken
    words = ["--sink", f"http:127.0.0.1:{port}"] if protocol == "tcp" else ["--source", f"udp:127.0.0.1:{port}"]
    assert run(["run", "b.fsqb", "--source", "npz:walk.npz", *words]) == 69
    assert f"(process {os.getpid()}) has this port" in error_of(capfd)
    assert in_use_hint("tcp", 1, OSError(errno.EADDRINUSE, "x")).startswith("take another port")
    assert in_use_hint("tcp", 1, OSError(errno.EACCES, "x")) == ""


@pytest.mark.usefixtures("shelf")
def test_a_misspelt_mode_names_the_one_that_was_meant(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "b.fsqb", "--mode", "sngle"]) == 64
    shown = error_of(capfd)
    assert "did you mean single?" in shown
    assert "bench --help" in shown
    assert "measure" not in shown


def test_a_private_key_is_called_one(shelf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    private = ed25519.Ed25519PrivateKey.generate()
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (shelf / "key.pem").write_bytes(private.private_bytes(*form))
    public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (shelf / "key.pub").write_bytes(private.public_key().public_bytes(*public))
    assert run(["bundle", "verify", "b.fsqb", "--key", "key.pem"]) == 65
    assert "this is the private key" in error_of(capfd)
    assert run(["bundle", "sign", "b.fsqb", "--key", "key.pub"]) == 65
    assert "this is the public key" in error_of(capfd)


@pytest.mark.usefixtures("shelf")
def test_nothing_to_roll_back_to_names_the_next_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bundle", "install", "b.fsqb", "dog", "--backend", "onnx", "--quiet"]) == 0
    assert run(["bundle", "rollback", "dog"]) == 66
    assert "hint: fsq-edge bundle install OTHER.fsqb dog" in error_of(capfd)
    assert run(["bundle", "rollback", "cat"]) == 66
    assert "hint: fsq-edge bundle install BUNDLE cat" in error_of(capfd)


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--data", "watch", "--out", "watch.zip"],
        ["export", "run", "--out", "file.txt"],
        ["data", "make", "quadruped", "--out", "b.fsqb"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("shelf")
def test_a_folder_is_not_called_like_a_file(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 64
    assert f"{words[-1]} names a file, a folder is written" in error_of(capfd)
    assert not Path("watch.zip").exists()


@pytest.mark.usefixtures("shelf")
def test_a_bundle_is_not_called_like_another_file(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["tune", "b.fsqb", "--recordings", "folder:data", "--out", "watch.zip"]) == 64
    assert "did you mean watch.fsqb?" in error_of(capfd)


def test_train_on_a_full_disk_ends_in_69_with_one_line(tmp_path: Path) -> None:
    """A limit on the size of files answers as a full disk does, in the middle of a write."""
    write_folder(labelled_dataset(flickering_bundle()), tmp_path / "data")
    ended = subprocess.run(
        [*COMMAND, "train", "--data", "folder:data", "--out", "run", "--epochs", "1", "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)),
    )
    assert ended.returncode == 69
    assert ended.stderr.splitlines()[0] == "error: cannot write run/checkpoint.safetensors: File too large"
    assert len(ended.stderr.splitlines()) == 2


SUITES = sorted(
    path.stem
    for path in Path(suites.__path__[0]).glob("*.py")
    if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
)


def test_help_of_a_benchmark_measures_nothing() -> None:
    """Every module is run in one process, which ends at once where one reads its arguments."""
    script = (
        "import contextlib, io, runpy, sys\n"
        "for name in sys.argv[1:]:\n"
        "    sys.argv, shown, code = [name, '--help'], io.StringIO(), None\n"
        "    with contextlib.redirect_stdout(shown):\n"
        "        try: runpy.run_module('fsq_edge_benchmarks.suites.' + name, run_name='__main__', alter_sys=False)\n"
        "        except SystemExit as end: code = end.code\n"
        "    text = shown.getvalue()\n"
        "    assert code == 0 and text.startswith('usage: python -m fsq_edge_benchmarks.suites.' + name), name\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *SUITES], stderr=subprocess.PIPE, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert len(SUITES) > 15


def test_doctor_lists_the_extras_of_a_device_that_are_missing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "serial" else there(name))
    run(["doctor"])
    shown = capfd.readouterr().out
    assert "pip install 'fsq-edge[serial]'" in shown
    assert "pip install 'fsq-edge[mqtt]'" not in shown


def test_train_says_now_and_then_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Output()
    shown.console = Console(file=io.StringIO(), width=120)
    clock = iter([0.0, 9.0, 10.5, 10.5, 12.0])
    monkeypatch.setattr("fsq_edge.cli.train.time.monotonic", lambda: next(clock))
    with _bar(shown) as listen:
        assert listen is not None
        for epoch in (3, 4, 5):
            listen(SimpleNamespace(epoch=epoch, train_loss=0.5, val_macro_f1=0.75), 9)  # type: ignore[arg-type]
    assert shown.console.file.getvalue() == "epoch 4 of 9: loss 0.500, validation macro-F1 0.750\n"  # type: ignore[attr-defined]


def test_fix_leaves_no_half_squeeze() -> None:
    """A Squeeze in front of Flatten became a Reshape that the check refuses: the copy was worse than the model."""
    graph = GraphFactory("x", [1, 6, 50])
    lifted = graph.add("Unsqueeze", "x", graph.ints(2))
    row = graph.add("Squeeze", graph.add("Relu", graph.conv(lifted, 16, (1, 5), inputs=6)), graph.ints(2))
    model = graph.model(graph.gemm(graph.add("Flatten", row, axis=1), 16 * 50, 4))
    assert check(model).verdict == "full"
    fixed = fix(model)
    assert [node.op_type for node in fixed.model.graph.node] == ["Reshape", "Conv", "Relu", "Flatten", "Gemm"]
    assert check(fixed.model).verdict == "full"
    assert "merge-moves" in {change.rewrite for change in fixed.changes}
