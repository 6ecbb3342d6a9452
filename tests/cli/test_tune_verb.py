"""``fsq-edge tune``: what it writes, what it refuses, and how it says so."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import Dataset, write_folder
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.signature import sign_bundle
from tests.factories.golden_bundle import KEY
from tests.factories.labelled import BLOCK, flickering_bundle, labelled_dataset, with_provenance


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Dataset]:
    """A bundle that a run made with subject 4 held out, and the recordings as a dataset folder."""
    folder = tmp_path_factory.mktemp("tune")
    bundle = flickering_bundle()
    dataset = labelled_dataset(bundle)
    write_folder(dataset, folder / "data")
    with_provenance(bundle, dataset, ["4"]).save(folder / "b.fsqb")
    return folder / "b.fsqb", folder / "data", dataset


def test_tune_writes_a_verified_bundle_a_page_and_a_picture(made, tmp_path, capfd):
    bundle, data, _ = made
    before = bundle.read_bytes()
    out = tmp_path / "tuned.fsqb"
    words = ["tune", str(bundle), "--recordings", f"folder:{data}", "--out", str(out), "--max-delay", "1"]
    extras = ["--html", str(tmp_path / "t.html"), "--png", str(tmp_path / "t.png"), "--json", str(tmp_path / "t.json")]
    assert run([*words, *extras]) == 0
    printed = capfd.readouterr().out
    for text in ("Pareto front", "held out by the run", "fit: tuned", "hop", "chosen", "wrote"):
        assert text in printed
    assert bundle.read_bytes() == before
    tuned = Bundle.open(out)
    value = json.loads((tmp_path / "t.json").read_text())
    assert value["schema_version"] == 1
    assert value["written"] == str(out)
    assert value["broken"] == []
    assert value["decision"] == tuned.decision.to_dict()
    assert value["events"] == tuned.events.to_dict()
    assert value["events"]["tuned"]["false_per_hour"] < 0.5 * value["events"]["raw"]["false_per_hour"]
    falls = [entry["false_per_hour"] for entry in value["front"]]
    assert falls == sorted(falls)
    page = (tmp_path / "t.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert run(["bundle", "verify", str(out)]) == 0
    assert run(["bundle", "inspect", str(out)]) == 0
    assert "false events per hour" in capfd.readouterr().out


def test_a_signed_bundle_is_never_replaced_and_json_goes_to_standard_output(made, tmp_path, capfd):
    from cryptography.hazmat.primitives import serialization as form

    bundle, data, _ = made
    pem = KEY.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    path = tmp_path / "signed.fsqb"
    sign_bundle(Bundle.open(bundle), pem).save(path)
    words = ["tune", str(path), "--recordings", f"folder:{data}", "--json", "-", "--hop", "20"]
    assert run(words) == 64
    assert "is signed" in capfd.readouterr().err
    assert Bundle.open(path).has("signature")
    assert run([*words, "--out", str(tmp_path / "tuned.fsqb")]) in (0, 2)
    value = json.loads(capfd.readouterr().out)
    assert value["unsigned"] is True
    assert value["events"]["hop_samples"] == 20
    assert Bundle.open(path).has("signature")
    assert not Bundle.open(tmp_path / "tuned.fsqb").has("signature")
    unsigned = tmp_path / "unsigned.fsqb"
    unsigned.write_bytes(bundle.read_bytes())
    words[1] = str(unsigned)
    assert run(words) in (0, 2)
    assert Bundle.open(unsigned).preprocess.hop_samples == 20  # without --out and without a signature: in place


def test_held_out_subjects_need_force_which_is_recorded(made, tmp_path, capfd):
    bundle, data, dataset = made
    out = tmp_path / "x.fsqb"
    words = ["tune", str(bundle), "--recordings", f"folder:{data}", "--out", str(out), "--quiet"]
    assert run([*words, "--subjects", "1,4"]) == 64
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("error: subject 4 is held out")
    assert len(lines) == 2
    assert run([*words, "--subjects", "9"]) == 64
    assert not out.exists()
    capfd.readouterr()
    both = tmp_path / "both.fsqb"
    with_provenance(flickering_bundle(), dataset, ["3", "4"]).save(both)
    words[1] = str(both)
    assert run([*words, "--subjects", "1,2,4", "--force", "a field trial"]) in (0, 2)
    assert capfd.readouterr().out == ""
    assert Bundle.open(out).manifest.forced == ("tune on held-out subject 4: a field trial",)


def test_a_limit_that_does_not_hold_on_the_others_is_said(made, tmp_path, capfd):
    bundle, _, dataset = made
    brief = [  # the held-out subject does nothing for longer than 1.2 s
        replace(one, samples=one.samples[keep], labels=one.labels[keep]) if one.subject == "4" else one
        for one in dataset.recordings
        for keep in [np.arange(len(one)) % BLOCK < 60]
    ]
    write_folder(replace(dataset, recordings=tuple(brief)), tmp_path / "brief")
    words = ["tune", str(bundle), "--recordings", f"folder:{tmp_path / 'brief'}", "--out", str(tmp_path / "x.fsqb")]
    assert run([*words, "--max-delay", "1", "--json", str(tmp_path / "x.json")]) == 2
    assert "events are missed" in json.loads((tmp_path / "x.json").read_text())["broken"][0]
    assert "does not hold" in capfd.readouterr().out
    assert Bundle.open(tmp_path / "x.fsqb").events.tuned.missed > 0


def test_where_nothing_beats_raw_argmax_nothing_is_written(made, tmp_path, capfd):
    bundle, data, _ = made
    out, document = tmp_path / "x.fsqb", tmp_path / "x.json"
    words = ["tune", str(bundle), "--recordings", f"folder:{data}", "--out", str(out), "--hop", "100"]
    assert run([*words, "--max-delay", "0", "--json", str(document)]) == 1
    assert "nothing written" in capfd.readouterr().out
    assert not out.exists()
    assert json.loads(document.read_text())["written"] is None


def test_bad_input_ends_in_its_code_with_one_line_and_a_hint(made, tmp_path, capfd):
    bundle, _, _ = made
    before = bundle.read_bytes()
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    cases = [
        (["tune", str(bundle)], 64),
        (["tune", str(bundle), "--recordings", "carrier-pigeon"], 64),
        (["tune", str(bundle), "--recordings", "quadruped"], 65),
        (["tune", str(bundle), "--recordings", f"npz:{tmp_path / 'bad.npz'}"], 65),
        (["tune", str(bundle), "--recordings", f"npz:{tmp_path / 'none.npz'}"], 66),
        (["tune", str(bundle), "--recordings", f"folder:{tmp_path / 'none'}"], 66),
        (["tune", str(tmp_path / "none.fsqb"), "--recordings", "watch"], 66),
        (["tune", str(bundle), "--recordings", "watch", "--keep", "2"], 64),
    ]
    for words, code in cases:
        assert run(words) == code, words
        error = capfd.readouterr().err.splitlines()
        assert error[0].startswith("error: "), error
        assert len(error) <= 2
    assert bundle.read_bytes() == before


def test_a_device_install_can_tune(made, tmp_path, monkeypatch, capfd):
    import sys

    bundle, data, _ = made
    for module in ("torch", "onnx", "sklearn", "seglearn", "matplotlib", "jinja2"):
        monkeypatch.setitem(sys.modules, module, None)
    words = ["tune", str(bundle), "--recordings", f"folder:{data}", "--out", str(tmp_path / "d.fsqb"), "--quiet"]
    assert run(words) in (0, 2)
    assert Bundle.open(tmp_path / "d.fsqb").events is not None
    assert run([*words, "--html", str(tmp_path / "d.html")]) == 69
    assert "fsq-edge[report]" in capfd.readouterr().err
