"""Every verb is run with ``--json``, and what it writes satisfies the schema that ``fsq-edge schema`` gives."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import click
import jsonschema
import numpy as np
import pytest

from fsq_edge import wheelhouse
from fsq_edge.cli.main import cli, run
from fsq_edge.cli.shapes import output_places, output_schema
from fsq_edge_runtime.errors import EXIT_UNAVAILABLE
from fsq_edge_runtime.testing.hef_writer import TensorSpec, write_hef
from tests.factories.bundles import random_bundle
from tests.factories.golden_bundle import private_key, public_key
from tests.factories.json_outputs import validator_of
from tests.factories.oci_registry import OciRegistry, needs_registry
from tests.factories.plain_networks import described, motion, network
from tests.factories.runs import train_small_run
from tests.factories.training import write_exercises

HEF = {
    "inputs": (TensorSpec("input_layer1", (2, 50, 6), -5.0, 5.0, original_names=("conv",)),),
    "outputs": (TensorSpec("fc1", (3,), -1.0, 1.0, original_names=("tanh",)),),
}
NETWORK = "--onnx own.onnx --preprocess own.json --windows own.npy --classes a,b,c,d"
# The verb, what follows it, and the exit codes that it may end with on an untrained network and a machine of anyone.
CALLS = """
init | project
docs |
docs | training --path
docs | --search sinks
doctor | | 0 1
data list |
data make | quadruped --animals 3 --seconds 20 --out made --form recordings
data make | quadruped --animals 3 --seconds 20 --out windows
data inspect | folder:data
data qa | folder:data | 0 1
data export | folder:data --subject 5 --out walk.csv
data import | x --preset list
data import | walk.csv --guess --map map.yaml
data import | walk.csv --map map.yaml --out imported
data label | imported --intervals labels.csv
data sync | imported
train | --data folder:data --test-subjects 5,6 --epochs 1 --out once
train | --data folder:data --folds 3 --epochs 1 --out folds
evaluate | run
sweep | search/config.yaml --space space.yaml --storage journal:trials --trials 1 --out sweep
demo | --quick --out demo
export | run --out build
calibrate | run --out build --allow-small | 0 1
check | build/encoder.onnx --fix fixed.onnx --split parts --report build/check.html
check | build | 0 1 2
check | walk.csv.onnx | 65
check | --explain Conv
check | --explain softmax.axis
quantize | build --no-alternatives | 0 1
quantize | build/encoder.onnx --calib build/calibration.npz --out int8.onnx
quantize | own.onnx --calib own.npy --out own_int8.onnx
parity | build | 0 1
compile | build --arch hailo8 --plan plan --force trial
compile | own.onnx --arch hailo8 --plan own_plan --calib own.npy
bundle build | build --out gait.fsqb --force trial
bundle inspect | gait.fsqb
bundle verify | gait.fsqb
bundle add-hef | gait.fsqb gait.hef --out two.fsqb | 0 1
hef inspect | gait.hef --bundle gait.fsqb --device hailo8l | 0 1
bundle sign | gait.fsqb --key key.pem --out signed.fsqb
bundle install | gait.fsqb place --backend onnx
bundle install | signed.fsqb place --backend onnx
bundle rollback | place
preprocess fit | --windows own.npy --out fitted.json
export | NETWORK --out own_build | 0 1
bundle build | NETWORK --out own.fsqb | 0 1
tune | gait.fsqb --recordings folder:data --out tuned.fsqb --force trial | 0 1 2
personalize | gait.fsqb --recordings folder:data --subject 5 --out p.fsqo | 0 1
run | gait.fsqb --source csv:walk.csv --sink jsonl:log.jsonl
run | gait.fsqb --source csv:walk.csv --sink jsonl:log2.jsonl --workers 2
score | gait.fsqb data --out scored
score collate | scored
budget | log.jsonl
alerts | project/alerts.yaml log.jsonl
metrics list |
metrics export | dashboards
service install | gait.fsqb --source udp:9999 --sink jsonl:o?append --dry-run | 0 1
explain | dfc.log | 0 1
picture | build/check.html | 0 69
bench | gait.fsqb --quick --decisions 50
bench layers | gait.fsqb
bench compare | bench.json bench.json
wheelhouse | house
""".replace("NETWORK", NETWORK)


def verbs_with_json() -> set[str]:
    found = {"score collate"}  # a word of its own, which click does not list
    context = click.Context(cli)
    for verb in cli.list_commands(context):
        command = cli.get_command(context, verb)
        names = command.list_commands(context) if isinstance(command, click.Group) else []
        named = {f"{verb} {name}": command.get_command(context, name) for name in names}
        for name, one in {verb: command, **named}.items():
            if one is not None and any("--json" in parameter.opts for parameter in one.params):
                found.add(name.removesuffix(" measure"))  # `bench` alone measures
    return found


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a trained run and what else the verbs read, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    train_small_run(tmp_path)
    Path("search").mkdir()
    write_exercises(tmp_path / "search", training={"max_epochs": 1})
    Path("space.yaml").write_text("model.hidden_dim: {choices: [4, 8]}\n")
    write_hef(tmp_path / "gait.hef", arch="hailo8l", **HEF)
    Path("key.pem").write_bytes(private_key())
    Path("key.pub").write_bytes(public_key())
    Path("labels.csv").write_text("start,stop,label\n1,5,walk\n5,8,rest\n")
    network(tmp_path / "own.onnx")
    np.save(tmp_path / "own.npy", motion())
    Path("own.json").write_text(described().to_json())
    Path("walk.csv.onnx").write_text("no model")
    Path("dfc.log").write_text("[error] Something that nobody knows\nKeyError: 'x'\n")
    return tmp_path


def put_wheel(*words: str) -> None:
    folder = Path(words[words.index("--dest") + 1])
    name = "fsq_edge-0.1.0-py3-none-any.whl"
    if "--no-deps" in words:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("fsq_edge/__init__.py", "")
            archive.writestr(
                "fsq_edge-0.1.0.dist-info/METADATA", "Metadata-Version: 2.4\nName: fsq-edge\nVersion: 0.1.0\n\n"
            )
            archive.writestr("fsq_edge-0.1.0.dist-info/RECORD", "")


def test_every_verb_has_a_schema() -> None:
    assert {verb for _, verb in output_places().values()} == verbs_with_json()
    for name, (_, verb) in output_places().items():
        schema = output_schema(name)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["title"] == f"fsq-edge {verb} --json"
        assert '"additionalProperties": false' not in json.dumps(schema)  # later releases may write further keys


@pytest.mark.slow
def test_every_verb_writes_what_its_schema_says(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheelhouse, "_pip", put_wheel)
    monkeypatch.setattr(wheelhouse, "_source_folder", lambda: None)
    monkeypatch.setattr("fsq_edge.cli.demo.QUICK_EPOCHS", 2)
    seen, wrong = set(), []
    for number, line in enumerate(CALLS.strip().splitlines()):
        verb, words, codes = [part.strip() for part in (*line.split("|"), "", "")[:3]]
        file = shelf / ("bench.json" if verb == "bench" else f"output-{number}.json")
        code = run([*verb.split(), *words.split(), "--quiet", "--json", str(file)])
        if str(code) not in (codes.split() or ["0"]):
            wrong.append((line, code))
        if code == EXIT_UNAVAILABLE:
            seen.add(verb)  # such as a picture without Chromium
            continue
        validator_of(verb).validate(json.loads(file.read_text()))
        seen.add(verb)
    assert wrong == []
    assert verbs_with_json() - seen == {"bundle push", "bundle pull"}


@needs_registry()
def test_push_and_pull_write_what_their_schemas_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("oras", reason="the package 'oras' is not installed (extra oci)")
    monkeypatch.setenv("HOME", str(tmp_path))
    random_bundle().save(tmp_path / "b.fsqb")
    with OciRegistry(tmp_path / "registry") as registry:
        address = f"oci://{registry.host}/dogs/collar:1.0"
        for verb, words in (("push", [str(tmp_path / "b.fsqb"), address]), ("pull", [address, "--out", "c.fsqb"])):
            monkeypatch.chdir(tmp_path)
            assert run(["bundle", verb, *words, "--quiet", "--json", "o.json"]) == 0
            validator_of(f"bundle {verb}").validate(json.loads(Path("o.json").read_text()))
