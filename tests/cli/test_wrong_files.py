"""Every verb and every option that takes a file, given another thing: one line, a hint, a documented code, no trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import write_folder
from fsq_edge_runtime.testing.hef_writer import write_hef
from tests.factories.build_folders import random_build
from tests.factories.golden_bundle import private_key
from tests.factories.labelled import flickering_bundle, labelled_dataset
from tests.factories.plain_networks import described, motion, network
from tests.unit.test_faults import RAW

# X is what is wrong.
CALLS = (
    """
docs X
data import X --guess --map m.yaml --force
data import walk.csv --map X --out o
data label X --intervals labels.csv
data label data --intervals X --out o
data label data --intervals labels.csv --subjects X --out o
data sync X
data sync data --intervals X
data sync data --reference X
data export X --out o.csv
data export folder:X --out o.csv
data inspect X
data inspect folder:X
data qa X
train X --out o
train --data X --out o
train --data folder:X --out o
evaluate X
sweep X --space s.yaml --storage journal:j --out o
sweep c.yaml --space X --storage journal:j --out o
sweep c.yaml --space s.yaml --storage X --out o
export X --out o
export --onnx X NETWORK --out o
export --onnx own.onnx --preprocess X --windows own.npy --classes a,b,c,d --out o
export --onnx own.onnx --preprocess own.json --windows X --classes a,b,c,d --out o
check X
check build/encoder.onnx --baseline X
calibrate X --out o.npz
calibrate --audit X
quantize X
quantize own.onnx --calib X --out o.onnx
parity X
parity b.fsqb --run X
parity b.fsqb --windows X
preprocess fit --windows X --out o.json
compile X --arch hailo8 --plan o
compile build --arch hailo8 --dfc-python X
compile own.onnx --arch hailo8 --plan o --calib X
hef inspect X
hef inspect b.hef --bundle X
bundle add-hef X b.hef --out o.fsqb
bundle add-hef b.fsqb X --out o.fsqb
bundle sign X --key key.pem --out o.fsqb
bundle sign b.fsqb --key X --out o.fsqb
bundle install X o --backend onnx
bundle install b.fsqb o --backend onnx --key X
bundle install b.fsqb o --backend onnx --overlay X
bundle rollback X
bundle push X oci://127.0.0.1:1/a/b:1
bundle build X --out o.fsqb
bundle build --onnx X NETWORK --out o.fsqb
bundle verify X
bundle verify b.fsqb --key X
bundle inspect X
tune X --recordings folder:data --out o.fsqb
tune b.fsqb --recordings X --out o.fsqb
tune b.fsqb --recordings npz:X --out o.fsqb
personalize X --recordings folder:data --subject 1 --out o.fsqo
personalize b.fsqb --recordings npz:X --subject 1 --out o.fsqo
personalize b.fsqb --log X --out o.fsqo
run X --source npz:walk.npz
run b.fsqb --source X
run b.fsqb --source npz:X
run b.fsqb --source csv:X
run b.fsqb --source serial:X
run b.fsqb --source npz:walk.npz --alerts X
run b.fsqb --source npz:walk.npz --overlay X
score X walk.npz --out o
score b.fsqb walk.npz --out o --map X
score b.fsqb walk.npz --out o --dask-config X
score collate X
service install X --source udp:9 --sink jsonl:a?append --dry-run
service install b.fsqb --source udp:9 --sink jsonl:a?append --dry-run --alerts X
budget X
alerts X o.jsonl
alerts alerts.yaml X
bench X
bench b.fsqb --baseline X
bench b.fsqb --run X
bench b.fsqb --against X --quick --decisions 20
bench own.onnx --windows X
bench layers X
bench compare X X
explain X
doctor --bundle X
doctor --root X
""".replace("NETWORK", "--preprocess own.json --windows own.npy --classes a,b,c,d")
    .strip()
    .splitlines()
)
OUTPUTS = """
init X
data import walk.csv --guess --map X --force
data make quadruped --animals 3 --seconds 10 --out X
data export folder:data --out X.npz
data qa folder:data --html X
data list --json X
check build/encoder.onnx --report X
check build/encoder.onnx --fix X
check build/encoder.onnx --split X
check build/encoder.onnx --write-baseline X
quantize own.onnx --calib own.npy --out X
preprocess fit --windows own.npy --out X
compile build --arch hailo8 --plan X --force trial
bundle build build --out X --force trial
bundle sign b.fsqb --key key.pem --out X
bundle install b.fsqb X --backend onnx
run b.fsqb --source npz:walk.npz --sink jsonl:X
run b.fsqb --source npz:walk.npz --sink csv:X
run b.fsqb --source npz:walk.npz --sink parquet:X
run b.fsqb --source npz:walk.npz --sink jsonl:o.jsonl --json X
score b.fsqb walk.npz --out X
metrics export X
schema manifest --out X
wheelhouse X
""".strip().splitlines()
NO_ERROR = {("explain", "empty"), ("explain", "text.txt")}  # logs without an error


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    bundle = flickering_bundle()
    bundle.save(folder / "b.fsqb")
    write_folder(labelled_dataset(bundle), folder / "data")
    random_build(folder / "build", windows=64)
    write_hef(folder / "b.hef", arch="hailo8l")
    network(folder / "own.onnx")
    np.save(folder / "own.npy", motion())
    np.savez(folder / "walk.npz", samples=np.zeros((300, len(bundle.preprocess.channels)), np.float32))
    texts = {
        "own.json": described().to_json(),
        "walk.csv": "timestamp,acc_x,acc_y,acc_z\n" + "".join(f"{n / 50},0,0,{1 + n % 3 / 100}\n" for n in range(500)),
        "labels.csv": "start,stop,label\n1,5,walk\n",
        "c.yaml": "data: {source: watch}\n",
        "s.yaml": "model.hidden_dim: {choices: [4, 8]}\n",
        "alerts.yaml": "schema_version: 1\nrules:\n  - {name: silent, kind: silence, longer_than_s: 60}\n",
        "text.txt": "hello\nworld\n",
        "empty": "",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "key.pem").write_bytes(private_key())
    (folder / "binary").write_bytes(bytes(range(256)) * 40)
    (folder / "folder").mkdir()
    (folder / "folder" / "mine").write_text("stays")
    return folder


def called(line: str, wrong: str) -> list[str]:
    return [word.replace("X", wrong) if word.strip("X") in ("", ".npz") or word.endswith(":X") else word
            for word in line.split()]  # fmt: skip


def said(shown: str) -> list[str]:
    """How the lines begin, without notes, warnings and what onnxruntime prints."""
    begun = [line.partition(": ")[0] for line in shown.splitlines() if "[W:onnxruntime" not in line]
    return [word for word in begun if word not in ("note", "warning")]


@pytest.mark.parametrize("line", CALLS)
def test_a_wrong_input_is_one_line_with_a_hint(
    line: str, shelf: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shelf)
    for wrong in ("nothing.here", "folder", "empty", "binary", "text.txt"):
        code = run(called(line, wrong))
        shown = capfd.readouterr().err
        if line.startswith("score") and code == 1:  # the recording is written down, and the rest goes on
            continue
        if (line.split()[0], wrong) in NO_ERROR:
            assert code == 0
            continue
        assert code in (64, 65, 66, 69), (line, wrong, code)
        assert said(shown) == ["error", "hint"], (line, wrong, shown)
        assert not any(raw in shown for raw in (*RAW, "NoneType", "Errno 2")), (line, wrong, shown)


@pytest.mark.parametrize("line", OUTPUTS)
def test_an_output_that_cannot_be_written_is_one_line_with_a_hint(
    line: str, shelf: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shelf)
    for wrong in ("folder", "/proc/nothing", "/dev/null/x"):
        code = run(called(line, wrong))
        shown = capfd.readouterr().err
        assert (shelf / "folder" / "mine").read_text() == "stays"
        if code in (0, 1) and wrong == "folder":  # it takes a folder, and what is there stays
            continue
        assert code in (64, 65, 69), (line, wrong, code, shown)
        assert said(shown) == ["error", "hint"], (line, wrong, shown)


OWN_INPUT = """
quantize own.onnx --calib own.npy --out own.onnx
preprocess fit --windows own.npy --out own.npy
check own.onnx --fix own.onnx
check own.onnx --json own.onnx
run b.fsqb --source npz:walk.npz --sink jsonl:walk.npz
run b.fsqb --source npz:walk.npz --sink csv:b.fsqb?append
run b.fsqb --source npz:walk.npz --sink jsonl:o.jsonl --json b.fsqb
data import walk.csv --guess --map walk.csv --force
data export folder:data --out data/0.npz
data qa folder:data --html data/dataset.json
bundle sign b.fsqb --key key.pem --out key.pem
explain text.txt --json text.txt
bench b.fsqb --json b.fsqb
""".strip().splitlines()


@pytest.mark.parametrize("line", OWN_INPUT)
def test_no_verb_writes_over_what_it_reads(
    line: str, shelf: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shelf)
    recording = sorted(Path("data").glob("*.npz"))[0]
    before = {path: path.read_bytes() for path in shelf.rglob("*") if path.is_file()}
    assert run(line.replace("data/0.npz", str(recording)).split()) == 64
    assert "is read, and would be written over" in capfd.readouterr().err
    assert {path: path.read_bytes() for path in shelf.rglob("*") if path.is_file()} == before


def test_a_bundle_is_changed_in_place(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.fsqb").write_bytes((shelf / "b.fsqb").read_bytes())
    words = ["bundle", "sign", "b.fsqb", "--key", str(shelf / "key.pem"), "--out", "b.fsqb", "--quiet"]
    assert run(words) == 0
