import json

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import Channel, Dataset, Recording, open_dataset, write_folder
from tests.factories.loggers import still_and_moving
from tests.factories.recordings import make_dataset, make_recording


def call(capsys, *words):
    code = run(["data", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


SMALL = ("--animals", 3, "--seconds", 30)


def test_list_names_every_source(capsys):
    code, out, _ = call(capsys, "list", "--json", "-")
    assert code == 0
    assert list(json.loads(out)["sources"]) == ["watch", "quadruped", "folder:PATH"]


def test_make_writes_the_seed_form_where_the_seed_looks_for_it(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = call(capsys, "make", "quadruped", *SMALL)
    assert code == 0
    assert "synthetic" in out
    windows = np.load("quadruped_data/processed/X_train_quadruped.npy")
    assert windows.shape[1:] == (9, 100)
    metadata = json.loads((tmp_path / "quadruped_data/processed/quadruped_metadata.json").read_text())
    assert metadata["synthetic"] is True
    assert len(metadata["classes"]) == 10
    code, out, _ = call(capsys, "inspect", "folder:quadruped_data/processed", "--json", "-")
    assert code == 0
    assert json.loads(out)["windows"]["mixed"] == 0


def test_make_is_reproducible_and_replaces_only_when_forced(capsys, tmp_path):
    out = tmp_path / "w"
    assert call(capsys, "make", "quadruped", "--out", out, "--seed", 3, *SMALL, "--quiet") == (0, "", "")
    first = (out / "X_test_quadruped.npy").read_bytes()
    code, _, err = call(capsys, "make", "quadruped", "--out", out, *SMALL)
    assert code == 64
    assert "not an empty folder" in err
    assert call(capsys, "make", "quadruped", "--out", out, "--seed", 3, "--force", *SMALL)[0] == 0
    assert (out / "X_test_quadruped.npy").read_bytes() == first


def test_make_recordings_gives_a_dataset_folder(capsys, tmp_path):
    code, _, _ = call(capsys, "make", "quadruped", "--form", "recordings", "--out", tmp_path / "r", *SMALL)
    assert code == 0
    dataset = open_dataset(f"folder:{tmp_path / 'r'}")
    assert dataset.subjects == ("1", "2", "3")
    assert all(len(recording) == 3000 for recording in dataset.recordings)


def test_inspect_counts_windows_and_seconds(capsys):
    code, out, _ = call(capsys, "inspect", "watch", "--json", "-")
    summary = json.loads(out)
    assert code == 0
    assert summary["windows"]["pure"] == sum(c["windows"] for c in summary["classes"]) == 4677
    assert sum(c["seconds"] for c in summary["classes"]) == pytest.approx(summary["seconds"])
    assert summary["subjects"] == [str(i) for i in range(1, 11)]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("inspect", "nope"), 64, "unknown data source"),
        (("inspect", "folder:/does/not/exist"), 66, "is not a folder"),
        (("make", "quadruped", "--animals", "1"), 64, "--animals"),
        (("make", "horse"), 64, "horse"),
        (("list", "--nope"), 64, "--nope"),
    ],
)
def test_mistakes_end_in_one_line_a_hint_and_a_code(capsys, words, code, text):
    got, out, err = call(capsys, *words)
    assert got == code
    assert out == ""
    assert text in err
    assert "Traceback" not in err
    assert err.startswith("error: ")


def test_qa_passes_healthy_data_and_fails_broken_data(capsys, tmp_path):
    code, out, _ = call(capsys, "qa", "watch", "--strict")
    assert code == 0
    assert out.rstrip().endswith("PASS")
    recordings = [make_recording(f"r{i}", n=400, seed=i) for i in range(3)]
    recordings[0].samples[:200] = np.nan
    recordings[1].samples[:, 2] = 0.0
    write_folder(make_dataset(recordings), tmp_path / "d")
    code, out, _ = call(capsys, "qa", f"folder:{tmp_path / 'd'}", "--json", "-", "--html", tmp_path / "qa.html")
    report = json.loads(out)
    assert code == 1
    assert report["passed"] is False
    assert {"nan", "gap"} <= {finding["rule"] for finding in report["analyses"][0]["findings"]}
    assert "<html" in (tmp_path / "qa.html").read_text()


def test_qa_reports_on_data_that_are_nan_everywhere(capsys, tmp_path):
    recording = make_recording(n=200)
    recording.samples[:] = np.nan
    write_folder(make_dataset([recording]), tmp_path / "d")
    code, out, err = call(capsys, "qa", f"folder:{tmp_path / 'd'}")
    assert (code, err) == (1, "")
    assert "dead, nothing is finite" in out


def test_qa_strict_counts_warnings(capsys, tmp_path):
    recording = make_recording(n=200)
    recording.samples[3, 1] = np.nan
    write_folder(make_dataset([recording]), tmp_path / "d")
    source = f"folder:{tmp_path / 'd'}"
    assert call(capsys, "qa", source, "--quiet") == (0, "", "")
    assert call(capsys, "qa", source, "--quiet", "--strict") == (1, "", "")
    assert "FAIL (warnings count, as --strict asks)" in call(capsys, "qa", source, "--strict")[1]


def test_inspect_and_qa_look_at_data_with_labels_and_write_nothing(capsys, tmp_path):
    channels = tuple(Channel(f"acc_{axis}", "g") for axis in "xyz")
    samples = still_and_moving(3000, rate_hz=50.0)
    recording = Recording("rex", samples, np.full(3000, -1, np.int16), "rex", "", np.arange(3000) / 50)
    write_folder(Dataset("one", channels, 50.0, ("unlabelled",), (recording,)), tmp_path / "d")
    (tmp_path / "labels.csv").write_text("start,stop,label\n10,20,walk\n")
    before = {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()}
    code = run(["data", "inspect", str(tmp_path / "d"), "--labels", str(tmp_path / "labels.csv"), "--json", "-"])
    summary = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [(entry["name"], entry["seconds"]) for entry in summary["classes"]] == [("walk", 10.0)]
    assert run(["data", "qa", str(tmp_path / "d"), "--labels", str(tmp_path / "labels.csv")]) == 0
    assert run(["data", "qa", str(tmp_path / "d"), "--labels", str(tmp_path / "none.csv")]) == 66
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()}
