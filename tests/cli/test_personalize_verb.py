"""``fsq-edge personalize`` and what takes its overlay: run and bundle install."""

import json
from pathlib import Path

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import write_folder
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import with_files
from fsq_edge_runtime.personal.overlay import Overlay
from tests.factories.golden_bundle import private_key, public_key
from tests.factories.wearers import OWN, RATE, USUAL, knowing_bundle, movement, wearer_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, the wearer's recordings, those of a wearer like everyone, and a trot to be told."""
    folder = tmp_path_factory.mktemp("personal")
    bundle = knowing_bundle()
    bundle.save(folder / "dog.fsqb")
    with_files(bundle, {("features", None): None}).save(folder / "other.fsqb")
    write_folder(wearer_dataset(bundle), folder / "own")
    write_folder(wearer_dataset(bundle, kinds=USUAL), folder / "usual")
    samples = np.concatenate([movement(*OWN[1], 1000, 77), movement(*OWN[1], 750, 78, True)])
    np.savez(folder / "trot.npz", samples=samples, timestamps=np.arange(len(samples)) / RATE)
    (folder / "key.pem").write_bytes(private_key())
    (folder / "key.pub").write_bytes(public_key())
    assert run(["personalize", str(folder / "dog.fsqb"), "--recordings", f"folder:{folder / 'own'}", "--subject", "rex",
                "--method", "head", "--out", str(folder / "rex.fsqo"), "--quiet"]) == 0  # fmt: skip
    return folder


def lines(path: Path, kind: str) -> list[dict[str, object]]:
    return [line for line in map(json.loads, path.read_text().splitlines()) if line["type"] == kind]


def streamed(made: Path, bundle: str, out: Path, *more: str) -> list[object]:
    words = ["run", str(made / bundle), "--source", f"npz:{made / 'trot.npz'}", "--sink", f"jsonl:{out}"]
    assert run([*words, *more]) == 0
    return [line["raw_label"] for line in lines(out, "decision")]


def test_the_overlay_is_written_reported_and_used(made, tmp_path, capfd):
    out = tmp_path / "p.fsqo"
    words = ["personalize", str(made / "dog.fsqb"), "--recordings", f"folder:{made / 'own'}", "--subject", "rex"]
    words += ["--report", str(tmp_path / "p.html")]
    assert run([*words, "--out", str(out), "--json", str(tmp_path / "p.json"), "--sign", str(made / "key.pem")]) == 0
    page = (tmp_path / "p.html").read_text()
    assert '<p class="verdict good"><strong>helps</strong>Macro-F1 ' in page
    assert "<td>trot</td>" in page
    printed = capfd.readouterr().out
    for text in ("windows", "method", "held-out blocks", "held-out recordings", "recall before", "trot", "wrote"):
        assert text in printed
    value = json.loads((tmp_path / "p.json").read_text())
    assert value["schema_version"] == 1
    assert value["written"] == str(out)
    assert value["reasons"] == []
    assert value["gains"][0]["macro_f1"]["after"] > value["gains"][0]["macro_f1"]["before"] + 0.2
    assert value["overlay"]["wearer"] == "rex"
    assert Overlay.open(out).record.to_dict() == value["overlay"]
    Overlay.open(out).check_signature(public_key())
    assert streamed(made, "dog.fsqb", tmp_path / "base.jsonl")[:19].count("trot") < 3
    own = streamed(made, "dog.fsqb", tmp_path / "own.jsonl", "--overlay", str(out))
    assert own[:19].count("trot") > 15
    events = lines(tmp_path / "own.jsonl", "overlay")
    assert events[0]["head"] == "base"
    assert events[0]["wearer"] == "rex"
    other = streamed(made, "dog.fsqb", tmp_path / "other.jsonl", "--overlay", f"max={out}")
    assert other == streamed(made, "dog.fsqb", tmp_path / "base.jsonl"), "the stream is not max"


def test_one_who_moves_like_everyone_is_refused_and_nothing_is_written(made, tmp_path, capfd):
    out = tmp_path / "p.fsqo"
    words = ["personalize", str(made / "dog.fsqb"), "--recordings", f"folder:{made / 'usual'}", "--subject", "rex"]
    out.write_bytes(b"what was there before")
    assert run([*words, "--out", str(out)]) == 1
    printed = capfd.readouterr().out
    assert "refused: no gain beyond noise" in printed
    assert "nothing written" in printed
    assert out.read_bytes() == b"what was there before"
    assert run([*words, "--out", str(out), "--force", "a test"]) == 0
    assert Overlay.open(out).record.forced == "a test"


def test_a_log_with_corrected_labels_does_as_well(made, tmp_path, capfd):
    out, log = tmp_path / "p.fsqo", tmp_path / "log.jsonl"
    pieces = [movement(*kind, 1000, 500 + number) for number, kind in enumerate(OWN)]
    np.savez(tmp_path / "day.npz", samples=np.concatenate(pieces), timestamps=np.arange(4000) / RATE)
    words = ["run", str(made / "dog.fsqb"), "--source", f"npz:{tmp_path / 'day.npz'}", "--sink", f"jsonl:{log}"]
    assert run([*words, "--features"]) == 0
    intervals = "start,end,label\n0,20,walk\n20,40,trot\n40,60,eat\n60,80,rest\n"
    (tmp_path / "labels.csv").write_text(intervals)
    fit = ["personalize", str(made / "dog.fsqb"), "--log", str(log), "--out", str(out)]
    report = ["--json", str(tmp_path / "p.json")]
    assert run([*fit, "--labels", str(tmp_path / "labels.csv"), "--wearer", "rex", *report]) == 0
    value = json.loads((tmp_path / "p.json").read_text())
    assert value["windows"] == {"walk": 19, "trot": 19, "eat": 19, "rest": 19}
    assert {one["method"] for one in value["tried"]} == {"head", "table"}
    assert streamed(made, "dog.fsqb", tmp_path / "own.jsonl", "--overlay", str(out))[:19].count("trot") > 15
    names = ("walk", "trot", "eat", "rest")
    corrected = []
    for line in map(json.loads, log.read_text().splitlines()):
        if line["type"] == "decision":
            line.pop("features")
            line["truth"] = names[min(3, int(line["t_start"] // 20))]
        corrected.append(json.dumps(line))
    log.write_text("\n".join(corrected) + "\n")
    assert run([*fit, *report]) == 0
    tried = json.loads((tmp_path / "p.json").read_text())["tried"]
    assert {one["method"] for one in tried} == {"table"}, "the log has no features"
    capfd.readouterr()
    assert run([*fit, "--method", "head"]) == 64


def test_an_installed_bundle_applies_its_overlays(made, tmp_path, capfd):
    root = tmp_path / "opt"
    words = ["bundle", "install", str(made / "dog.fsqb"), str(root)]
    assert run([*words, "--overlay", f"0={made / 'rex.fsqo'}"]) == 0
    assert "overlay for 0: of rex" in capfd.readouterr().out
    source = ["--source", f"npz:{made / 'trot.npz'}", "--sink", f"jsonl:{tmp_path / 'own.jsonl'}"]
    assert run(["run", str(root), *source]) == 0
    assert [line["raw_label"] for line in lines(tmp_path / "own.jsonl", "decision")][:19].count("trot") > 15
    assert run([*words, "--overlay", "0="]) == 0
    assert run(["run", str(root), *source]) == 0
    assert [line["raw_label"] for line in lines(tmp_path / "own.jsonl", "decision")][:19].count("trot") < 3
    assert Bundle.open(root).features == 16


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("--subject rex --out {tmp}/p.fsqo", 64, "give --recordings or --log"),
        ("--recordings folder:{made}/own --out {tmp}/p.fsqo", 64, "needs --subject"),
        ("--recordings folder:{made}/own --subject max --out {tmp}/p.fsqo", 65, "no subject 'max'"),
        ("--recordings folder:{made}/none --subject rex --out {tmp}/p.fsqo", 66, "none"),
        ("--recordings folder:{made}/own --subject rex --new-class walk --out {tmp}/p.fsqo", 65, "already"),
        ("--log {tmp}/none.jsonl --out {tmp}/p.fsqo", 66, "none.jsonl"),
        ("--recordings folder:{made}/own --subject rex --out {tmp}/a/b/p.fsqo", 69, "does not exist"),
        (
            "--recordings folder:{made}/own --subject rex --sign {made}/key.pub --out {tmp}/p.fsqo",
            65,
            "signing takes the private one",
        ),
    ],
)
def test_bad_input_ends_in_its_code_with_one_line_and_a_hint(made, tmp_path, capfd, words, code, message):
    text = words.format(made=made, tmp=tmp_path)
    assert run(["personalize", str(made / "dog.fsqb"), *text.split()]) == code
    error = capfd.readouterr().err.splitlines()
    assert len(error) == 2
    assert message in error[0]
    assert error[1].startswith("hint: ")
    assert not (tmp_path / "p.fsqo").exists()


def test_run_refuses_overlays_that_do_not_fit(made, tmp_path, capfd):
    damaged = tmp_path / "damaged.fsqo"
    data = (made / "rex.fsqo").read_bytes()
    damaged.write_bytes(data[:1000] + b"x" + data[1001:])
    base = ["run", str(made / "dog.fsqb"), "--source", f"npz:{made / 'trot.npz'}", "--sink", f"jsonl:{tmp_path / 'l'}"]
    other = ["run", str(made / "other.fsqb"), *base[2:]]
    for words, code, message in (
        ([*base, "--overlay", str(damaged)], 65, "damaged"),
        ([*other, "--overlay", str(made / "rex.fsqo")], 65, "another network"),
        ([*base, "--overlay", str(tmp_path / "none.fsqo")], 66, "none.fsqo"),
        ([*base, "--overlay", f"0={made / 'rex.fsqo'}", "--overlay", f"0={damaged}"], 64, "two overlays for 0"),
    ):
        assert run(words) == code
        assert message in capfd.readouterr().err
