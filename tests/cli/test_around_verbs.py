"""What surrounds the chain: init, docs, data export, schema, completion, wheelhouse, the grouped help."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import click
import jsonschema
import numpy as np
import pytest
import yaml

from fsq_edge import wheelhouse
from fsq_edge.artefact_schemas import artefact_places, schema_of
from fsq_edge.cli.docs import pages
from fsq_edge.cli.main import GROUPS, VERBS, cli, grouped_verbs, run
from fsq_edge.data import write_folder
from fsq_edge.device_wheel import device_wheel
from fsq_edge.project.project import FILES
from fsq_edge_runtime.alerts import read_rules
from fsq_edge_runtime.errors import DataError
from tests.factories.labelled import flickering_bundle, labelled_dataset
from tests.unit.test_golden_schemas import GOLDEN, SCHEMAS

Capture = pytest.CaptureFixture[str]


def test_every_verb_stands_under_one_heading_in_the_order_of_use(capsys: Capture) -> None:
    groups = grouped_verbs()
    listed = [verb for verbs in groups.values() for verb in verbs]
    assert sorted(listed) == sorted(VERBS)
    assert [heading for heading in groups if heading in GROUPS] == list(groups)
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    places = [text.index(f"\n{heading}:\n") for heading in groups]
    assert places == sorted(places)


def test_init_writes_files_that_the_program_and_the_schemas_take(tmp_path: Path, capsys: Capture) -> None:
    from fsq_edge.data.importing.import_map import parse_map
    from fsq_edge.training import load_config

    project = tmp_path / "my-dog"
    assert run(["init", str(project), "--data", "quadruped", "--arch", "hailo10h"]) == 0
    assert "make" in capsys.readouterr().out
    assert {path.name for path in project.iterdir()} == {*FILES, "schemas"}
    assert load_config(project / "train.yaml").data.source == "quadruped"
    assert parse_map((project / "map.yaml").read_bytes(), "map.yaml").name == "my-dog"
    assert {rule.name for rule in read_rules(project / "alerts.yaml").rules} == {"silent", "blind"}
    for file in ("train.yaml", "map.yaml", "alerts.yaml"):
        text = (project / file).read_text()
        named = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        schema = json.loads((project / named).read_text())
        jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema).validate({**yaml.safe_load(text), "mistake": 1})
    assert not any("@" in (project / file).read_text().replace("$@", "").replace("@python3", "") for file in FILES)
    assert run(["init", str(project)]) == 64
    assert run(["init", str(tmp_path / "x"), "--data", "wach"]) == 64
    assert run(["init", str(tmp_path / "a b")]) == 64
    assert not (tmp_path / "a b").exists()


def test_the_makefile_of_a_project_calls_verbs_and_options_that_exist(tmp_path: Path) -> None:
    project = tmp_path / "dog"
    assert run(["init", str(project), "--quiet"]) == 0
    for target in ("all", "import", "folds", "tune", "replay", "budget", "bench", "plan"):
        shown = subprocess.run(
            ["make", "-n", "-C", str(project), target], capture_output=True, text=True, check=True
        ).stdout
        for line in shown.splitlines():
            if line.startswith("fsq-edge "):
                words = line.split()[1:]
                command = cli.get_command(None, words[0])  # type: ignore[arg-type] # the context is not used
                assert command is not None, line
                known = {name for parameter in command.params for name in parameter.opts}
                if words[0] not in ("data", "bundle", "bench"):
                    assert {word for word in words if word.startswith("--")} <= known, line


def test_docs_show_search_and_name_the_pages(capsys: Capture) -> None:
    assert run(["docs"]) == 0
    assert "streaming" in capsys.readouterr().out
    assert run(["docs", "training"]) == 0
    assert capsys.readouterr().out == next(page for page in pages() if page.name == "training").text()
    assert run(["docs", "--search", "feeds WATCHDOG"]) == 0
    assert "service:" in capsys.readouterr().out
    assert run(["docs", "traning"]) == 66
    assert "did you mean training?" in capsys.readouterr().err
    assert run(["docs", "--search", "no such words at all"]) == 66
    assert run(["docs", "check", "--path"]) == 0
    assert Path(capsys.readouterr().out.strip()).is_file()


@pytest.mark.parametrize("name", ["walk.npz", "walk.csv"])
def test_an_exported_recording_is_replayed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = flickering_bundle()
    dataset = labelled_dataset(bundle)
    write_folder(dataset, tmp_path / "data")
    bundle.save(tmp_path / "b.fsqb")
    assert run(["data", "export", "folder:data", "--subject", "3", "--out", name, "--quiet"]) == 0
    kind = name[-3:]
    words = ["--sink", f"jsonl:{kind}.jsonl", "--no-latency", "--quiet", "--json", f"{kind}.json"]
    assert run(["run", "b.fsqb", "--source", f"{kind}:{name}", *words]) == 0
    recording = next(found for found in dataset.recordings if found.subject == "3")
    facts = json.loads(Path(f"{kind}.json").read_text())
    assert facts["received"] == facts["accepted"] == len(recording)
    assert facts["windows"] > 100
    if kind == "npz":
        with np.load(name) as held:
            assert np.array_equal(held["samples"], recording.samples)
    assert run(["data", "export", "folder:data", "--subject", "9", "--out", name]) == 64
    assert run(["data", "export", "folder:data", "--out", "walk.txt"]) == 64


def test_every_artefact_has_a_schema_that_its_golden_file_satisfies() -> None:
    by_class = {cls: name for name, (_, cls) in artefact_places().items()}
    assert {schema.__name__ for schema in SCHEMAS.values()} | {"CalibrationRecord"} == set(by_class)
    for name, artefact in SCHEMAS.items():
        schema = schema_of(by_class[artefact.__name__])
        jsonschema.Draft202012Validator.check_schema(schema)
        # As this release writes it: fields that an earlier one wrote are read and left out.
        value = json.loads(artefact.load(GOLDEN / "schemas" / f"{name}_v1.json").to_json())
        jsonschema.Draft202012Validator(schema).validate(value)


def test_schema_prints_lists_and_suggests(tmp_path: Path, capsys: Capture) -> None:
    assert run(["schema"]) == 0
    assert "train-config" in capsys.readouterr().out
    assert run(["schema", "manifest", "--out", str(tmp_path / "m.json")]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["title"] == "Manifest"
    assert run(["schema", "train-confg"]) == 64
    assert "did you mean train-config?" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_one_for_its_shell(shell: str, capsys: Capture) -> None:
    assert run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "_FSQ_EDGE_COMPLETE" in script
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_the_shell_gets_verbs_and_options() -> None:
    environment = {**os.environ, "_FSQ_EDGE_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    program = "import sys; sys.argv = ['fsq-edge']; from fsq_edge.cli.main import main; main()"
    for words, wanted, number in (
        ("fsq-edge ch", "plain,check", "1"),
        ("fsq-edge check --fail", "plain,--fail-on", "2"),
    ):
        answer = subprocess.run(
            [sys.executable, "-c", program],
            env={**environment, "COMP_WORDS": words, "COMP_CWORD": number},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert wanted in answer.stdout.split(), answer.stderr


def test_a_wheelhouse_without_an_index_is_69_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(wheelhouse, "_source_folder", lambda: None)
    assert run(["wheelhouse", str(tmp_path / "house")]) == 69
    assert "pip download: No matching distribution found for fsq-edge" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


METADATA = """Metadata-Version: 2.4
Name: fsq-edge
Version: 0.1.0
Requires-Dist: numpy>=1.24
Provides-Extra: serial
Requires-Dist: pyserial>=3.5; extra == 'serial'
Provides-Extra: train
Requires-Dist: torch>=2.6; extra == 'train'

# The README
"""


def whole_wheel(folder: Path) -> Path:
    """A wheel of fsq-edge with three modules, one of which no device needs."""
    path, about = folder / "fsq_edge-0.1.0-py3-none-any.whl", "fsq_edge-0.1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("fsq_edge/__init__.py", "fsq_edge_runtime/session.py", "fsq_edge/training/trainer.py"):
            archive.writestr(name, "x" * 1000)
        archive.writestr(f"{about}/METADATA", METADATA)
        archive.writestr(f"{about}/RECORD", "")
    return path


@pytest.mark.parametrize(("extras", "version", "modules"), [((), "0.1.0+device", 2), (("train",), "0.1.0", 3)])
def test_a_wheelhouse_states_each_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extras: tuple[str, ...], version: str, modules: int
) -> None:
    """pip is replaced by a function that puts one wheel there: the rest is what this program adds."""

    def put_wheel(*words: str) -> None:
        if "--no-deps" in words:
            whole_wheel(Path(words[words.index("--dest") + 1]))
        else:
            assert "manylinux_2_36_aarch64" in words
            assert "manylinux_2_41_aarch64" not in words  # Bookworm has an older C library

    monkeypatch.setattr(wheelhouse, "_pip", put_wheel)
    monkeypatch.setattr(wheelhouse, "_source_folder", lambda: None)
    house = tmp_path / "house"
    (wheel,) = wheelhouse.make_wheelhouse(house, platform="aarch64", python="3.11", extras=extras)
    content = (house / wheel.name).read_bytes()
    line = (house / "requirements.txt").read_text()
    assert line == f"fsq-edge=={version} --hash=sha256:{hashlib.sha256(content).hexdigest()}\n"
    with zipfile.ZipFile(house / wheel.name) as archive:
        assert sum(name.endswith(".py") for name in archive.namelist()) == modules
    assert "--require-hashes" in (house / "INSTALL.txt").read_text()


def test_the_wheel_of_a_device_is_sound_and_the_same_twice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    whole = whole_wheel(tmp_path)
    one, two = (device_wheel(whole, tmp_path / name) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        (about,) = (name for name in archive.namelist() if name.endswith("/RECORD"))
        rows = [line.split(",") for line in archive.read(about).decode().splitlines()]
        assert {row[0] for row in rows} == set(archive.namelist())
        for name, digest, size in rows[:-1]:
            content = archive.read(name)
            assert int(size) == len(content)
            assert digest == "sha256=" + urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        fields = METADATA.partition("Provides-Extra: train")[0].replace("0.1.0", "0.1.0+device")
        assert archive.read("fsq_edge-0.1.0+device.dist-info/METADATA").decode() == fields
    with pytest.raises(DataError, match="no wheel of fsq-edge"):
        device_wheel(tmp_path / "numpy-2.0.0-py3-none-any.whl", tmp_path)


def test_a_verb_that_a_device_has_not_names_the_whole_package(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setitem(VERBS, "train", ("fsq_edge.cli.not_there", "train"))
    assert run(["train", "--data", "watch"]) == 69
    assert "pip install 'fsq-edge[all]" in capsys.readouterr().err


def test_a_device_is_led_to_the_verbs_and_pages_that_it_has(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    assert run(["--help"]) == 0
    assert "fsq-edge init" in capsys.readouterr().out
    for verb in ("init", "demo", "train"):
        monkeypatch.setitem(VERBS, verb, (f"fsq_edge.cli.not_there_{verb}", ""))
    assert run(["--help"]) == 0
    assert "Begin with `fsq-edge doctor`" in (text := capsys.readouterr().out)
    assert "init" not in text
    assert [item.value for item in cli.shell_complete(click.Context(cli), "i")] == []
    assert [item.value for item in cli.shell_complete(click.Context(cli), "ru")] == ["run"]
    (tmp_path / "exit-codes.md").write_text("# Exit codes\n")
    monkeypatch.setattr("fsq_edge.cli.docs.page_folder", lambda: tmp_path)
    assert run(["docs", "streaming"]) == 66
    assert "a device has exit-codes" in capsys.readouterr().err


def test_the_program_makes_the_folder_of_the_device_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(whole: Path, folder: Path) -> Path:
        (folder / "made.whl").write_bytes(b"1")
        return folder / "made.whl"

    monkeypatch.setattr("fsq_edge.device_wheel.device_wheel", made)
    monkeypatch.setattr("fsq_edge.wheelhouse.whole_wheel", lambda folder: folder)
    monkeypatch.setattr("sys.argv", ["make_device_wheel", str(tmp_path / "new" / "wheels")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("tests.programs.make_device_wheel")
    assert ended.value.code in (0, False)
    assert (tmp_path / "new" / "wheels" / "made.whl").is_file()
