"""``data sync`` proposes and applies nothing; ``data inspect`` and ``data qa`` take logger files as they are."""

import json
import re
import xml.dom.minidom

import numpy as np

from fsq_edge.cli.main import run
from fsq_edge.data import Dataset, Recording, open_dataset, write_folder
from fsq_edge.data.timeline import make_timeline
from tests.factories.loggers import axivity_file, still_and_moving, write_table


def call(capsys, *words):
    code = run(["data", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def stitched_watch():
    watch = open_dataset("watch")
    samples = np.concatenate([recording.samples for recording in watch.recordings[:40]])
    times = np.arange(len(samples)) / 50
    return watch, Recording("long", samples, np.full(len(samples), -1, np.int16), "long", "", times)


def test_anchors_are_proposed_from_a_reference_and_nothing_is_changed(capsys, tmp_path):
    watch, recording = stitched_watch()
    write_folder(Dataset("w", watch.channels, 50.0, ("unlabelled",), (recording,)), tmp_path / "d")
    before = {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()}
    # What a camera might have seen of it: the movement at 25 frames a second, started 7.4 s later, 0.54 s/h slower.
    drift = 1 + 0.54 / 3600
    norm = np.sqrt((recording.samples[:, :3].astype(float) ** 2).sum(axis=1))
    video = np.arange(0, (recording.timestamps[-1] - 8) / drift, 0.04)
    seen = np.interp(7.4 + video * drift, recording.timestamps, norm)
    seen += np.random.default_rng(0).normal(0, 0.05, len(seen))
    write_table(tmp_path / "motion.csv", {"time": video, "motion": seen})
    words = ("--reference", tmp_path / "motion.csv", "--html", tmp_path / "s.html", "--png", tmp_path / "png")
    code, out, err = call(capsys, "sync", tmp_path / "d", *words, "--json", "-")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["applied"] is False
    anchors = result["recordings"][0]["anchors"]
    assert len(anchors) == 2
    for anchor in anchors:
        assert abs(anchor["sensor"] - (7.4 + anchor["label"] * drift)) < 0.05
        assert anchor["correlation"] > 0.5
    assert {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()} == before
    assert "Nothing was applied" in (tmp_path / "s.html").read_text()
    assert (tmp_path / "png" / "long.png").read_bytes().startswith(b"\x89PNG")


def test_shakes_are_found_where_they_are(capsys, tmp_path):
    watch = open_dataset("watch")
    samples = still_and_moving(15_000, rate_hz=50)
    for at in (1000, 9000, 14_000):
        samples[at : at + 25] += np.random.default_rng(at).normal(0, 3, (25, 3)).astype(np.float32)
    recording = Recording("rex", samples, np.full(15_000, -1, np.int16), "rex", "", np.arange(15_000) / 50)
    write_folder(Dataset("w", watch.channels[:3], 50.0, ("unlabelled",), (recording,)), tmp_path / "d")
    code, out, _ = call(capsys, "sync", tmp_path / "d", "--candidates", 3, "--json", "-")
    assert code == 0
    found = [candidate["at"] for candidate in json.loads(out)["recordings"][0]["candidates"]]
    assert np.abs(np.array(found) - [20.25, 180.25, 280.25]).max() < 0.4


def test_a_reference_that_agrees_nowhere_proposes_nothing(capsys, tmp_path):
    watch, recording = stitched_watch()
    write_folder(Dataset("w", watch.channels, 50.0, ("unlabelled",), (recording,)), tmp_path / "d")
    noise = np.random.default_rng(1).normal(0, 1, 5000)
    write_table(tmp_path / "noise.csv", {"time": np.arange(5000) * 0.04, "motion": noise})
    code, out, _ = call(capsys, "sync", tmp_path / "d", "--reference", tmp_path / "noise.csv")
    assert code == 0
    assert "no anchor is proposed" in out


def test_logger_files_are_inspected_and_checked_as_they_are(capsys, tmp_path):
    steps = np.random.default_rng(0).integers(-300, 300, (6000, 3))
    steps[:, 2] += 256
    (tmp_path / "night.cwa").write_bytes(axivity_file(steps, skip_pages=(20, 21)))
    code, out, _ = call(capsys, "inspect", tmp_path / "night.cwa", "--json", "-")
    assert code == 0
    assert json.loads(out)["channels"][0] == {"name": "acc_x", "unit": "g"}
    table = {"time": np.arange(500) / 50, **{f"acc_{a}": still_and_moving(500)[:, i] for i, a in enumerate("xyz")}}
    for animal in ("rex", "tom"):
        write_table(tmp_path / "raw" / f"{animal}.csv", table)
    words = (tmp_path / "raw" / "rex.csv", tmp_path / "raw" / "tom.csv")
    code, _, err = call(capsys, "qa", *words)
    assert code == 64
    assert "--guess" in err
    assert call(capsys, "import", tmp_path / "raw", "--guess", "--map", tmp_path / "map.yaml", "--quiet")[0] == 0
    page = tmp_path / "qa.html"
    code, out, _ = call(capsys, "qa", *words, "--map", tmp_path / "map.yaml", "--html", page)
    assert code == 0
    assert out.rstrip().endswith("PASS")
    drawings = re.findall(r"<svg.*?</svg>", page.read_text(), re.DOTALL)
    assert len([drawing for drawing in drawings if "rex" in drawing or "tom" in drawing]) == 2
    for drawing in drawings:
        assert xml.dom.minidom.parseString(drawing).documentElement.tagName == "svg"  # noqa: S318 - our own page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.yaml", "night.cwa", "qa.html", "raw"]


def test_a_missing_dataset_folder_names_data_import(capsys, tmp_path):
    code, _, err = call(capsys, "inspect", f"folder:{tmp_path}")
    assert code == 66
    assert "data import" in err


def test_a_timeline_holds_signal_holes_labels_and_rate():
    watch, recording = stitched_watch()
    times = recording.timestamps + np.where(np.arange(len(recording)) >= 5000, 30.0, 0.0)
    labels = np.zeros(len(recording), np.int16)
    labels[:1000] = -1
    recording = Recording("x", recording.samples, labels, "x", "", times)
    dataset = Dataset("w", watch.channels, 50.0, watch.classes, (recording,))
    timeline = make_timeline(dataset, recording, steps=100)
    assert timeline.holes == ((times[4999], times[5000]),)
    assert np.isnan(timeline.low).any()
    assert timeline.label[0] == -1
    assert timeline.label[-1] == 0
    assert timeline.rate_hz.max() < 51
