"""``data label`` as it is used: clocks, subjects, overlaps, borders, and an account of every second."""

import json

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import Channel, Dataset, Recording, open_dataset, write_folder
from tests.factories.loggers import still_and_moving


def call(capsys, *words):
    code = run(["data", "label", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def recording(name, n=3000, start=0.0, subject="", rate=50.0, session=""):
    samples = still_and_moving(n, rate_hz=rate)
    times = start + np.arange(n) / rate
    return Recording(name, samples, np.full(n, -1, np.int16), subject or name, session, times)


@pytest.fixture
def folder(tmp_path):
    channels = tuple(Channel(f"acc_{axis}", "g") for axis in "xyz")
    recordings = (recording("rex", start=1717236000.0), recording("tom", start=1717243200.0))
    write_folder(Dataset("two", channels, 50.0, ("unlabelled",), recordings), tmp_path / "d")
    return tmp_path / "d"


def intervals(tmp_path, text, name="labels.csv"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def labels_of(folder, position=0):
    dataset = open_dataset(f"folder:{folder}")
    return [None if i < 0 else dataset.classes[i] for i in dataset.recordings[position].labels]


TWO = "start,stop,label,subject\n10,20,walk,rex\n20,30,rest,rex\n5,15,walk,tom\n"


def test_labels_are_laid_over_the_folder_which_is_replaced_whole(capsys, tmp_path, folder):
    (folder / "import.json").write_text("{}")
    code, out, err = call(capsys, folder, "--intervals", intervals(tmp_path, TWO), "--json", "-")
    assert (code, err) == (0, "")
    labels = labels_of(folder)
    assert labels[499:501] == [None, "walk"]
    assert labels[999:1001] == ["walk", "rest"]
    assert labels[1499:1501] == ["rest", None]
    record = json.loads(out)
    assert record["recordings"][0]["seconds_per_class"] == {"rest": 10.0, "walk": 10.0}
    for entry in record["recordings"]:
        assert entry["labelled_samples"] + entry["unlabelled_samples"] == entry["samples"] == 3000
    assert (folder / "import.json").read_text() == "{}"
    assert json.loads((folder / "labelling.json").read_text())["sources"][0]["format"] == "plain"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_offsets_are_per_subject_and_dates_find_their_recording(capsys, tmp_path, folder):
    file = intervals(tmp_path, TWO)
    assert call(capsys, folder, "--intervals", file, "--offset", "tom=2.5", "--out", tmp_path / "o", "--quiet")[0] == 0
    assert labels_of(tmp_path / "o", 0)[499:501] == [None, "walk"]
    assert labels_of(tmp_path / "o", 1)[374:376] == [None, "walk"]
    dates = (
        "start,stop,label\n2024-06-01T10:00:10Z,2024-06-01T10:00:20Z,walk\n"
        "2024-06-01T12:00:10Z,2024-06-01T12:00:11Z,run\n"
    )
    assert call(capsys, folder, "--intervals", intervals(tmp_path, dates), "--quiet")[0] == 0
    assert labels_of(folder, 0)[499:501] == [None, "walk"]
    assert labels_of(folder, 1)[500] == "run"


def test_a_drift_is_recovered_from_two_anchors(capsys, tmp_path):
    # Watch, stitched to two hours; the sensor's clock gains 0.54 s an hour on the video and started 12.3 s earlier.
    watch = open_dataset("watch")
    parts = [recording for _ in range(10) for recording in watch.recordings][: 2 * 3600 // 30]
    drift = 1 + 0.54 / 3600
    lengths = [len(part) for part in parts]
    ends = np.cumsum(lengths)
    sensor = np.arange(ends[-1]) / 50
    video = (sensor - 12.3) / drift
    truth = np.concatenate([part.labels for part in parts])
    samples = np.concatenate([part.samples for part in parts])
    stitched = Recording("long", samples, np.full(len(truth), -1, np.int16), "long", "", sensor)
    write_folder(Dataset("w", watch.channels, 50.0, ("unlabelled",), (stitched,)), tmp_path / "d")
    starts = np.concatenate(([0], ends[:-1]))
    rows = [
        f"{video[a]:.3f},{video[b - 1] + 0.02:.3f},{watch.classes[truth[a]]}" for a, b in zip(starts, ends, strict=True)
    ]
    file = intervals(tmp_path, "start,stop,label\n" + "\n".join(rows) + "\n")
    first, last = starts[1], starts[-1]  # a tap is seen in the video and in the signal, to the frame and the sample
    anchors = [f"{round(video[i] * 25) / 25:.2f}@{sensor[i]:.2f}" for i in (first, last)]
    words = ["--intervals", file, "--overlaps", "last", "--json", "-"]
    code, out, _ = call(capsys, tmp_path / "d", *words, "--anchor", anchors[0], "--anchor", anchors[1])
    assert code == 0
    assert json.loads(out)["clocks"][0]["drift_s_per_hour"] == pytest.approx(0.54, abs=0.02)
    dataset = open_dataset(f"folder:{tmp_path / 'd'}")
    found = np.array([dataset.classes[i] if i >= 0 else "" for i in dataset.recordings[0].labels])
    names = np.array(watch.classes)[truth]
    wrong = np.flatnonzero(found != names)
    distance = np.abs(wrong[:, None] - np.concatenate((starts, ends))[None, :]).min(axis=1) / 50
    assert sensor[-1] > 3600
    assert distance.max(initial=0) <= 0.05
    # Without the stretch the last labels are off by half a second and more.
    assert call(capsys, tmp_path / "d", *words, "--anchor", anchors[0])[0] == 0
    dataset = open_dataset(f"folder:{tmp_path / 'd'}")
    found = np.array([dataset.classes[i] if i >= 0 else "" for i in dataset.recordings[0].labels])
    wrong = np.flatnonzero(found != names)
    assert np.abs(wrong[:, None] - starts[None, :]).min(axis=1).max() / 50 > 0.3


def test_points_borders_renames_and_priority(capsys, tmp_path, folder):
    text = "start,stop,label,subject\n10,20,walk,rex\n15,25,eat,rex\n30,30,bark,rex\n40,45,lost,rex\n1,2,x,tom\n"
    file = intervals(tmp_path, text)
    code, _, err = call(capsys, folder, "--intervals", file)
    assert code == 65
    assert (
        "labels.csv: 'walk' (line 2, 10.000 to 20.000 s) and 'eat' (line 3, 15.000 to 25.000 s) overlap in rex" in err
    )
    assert "--overlaps" in err
    words = ("--intervals", file, "--rename", "lost=", "--points", "0.5", "--trim", "0.1", "--out")
    for overlaps, at_17 in (("first", "walk"), ("last", "eat"), ("walk,eat", "walk"), ("eat,walk", "eat")):
        out = tmp_path / overlaps
        code, text, _ = call(capsys, folder, *words, out, "--overlaps", overlaps, "--json", "-")
        assert code == 0
        labels = labels_of(out)
        assert labels[17 * 50] == at_17
        assert labels[10 * 50 + 4 : 10 * 50 + 6] == [None, "walk"]
        assert labels[30 * 50] == "bark"
        assert labels[42 * 50] is None
        entry = json.loads(text)["recordings"][0]["seconds"]
        parts = entry["labelled"] + entry["trimmed"] + entry["overlapping"] + entry["outside"]
        assert parts == pytest.approx(entry["intervals"])
        assert entry["overlapping"] == pytest.approx(4.8)
        assert json.loads(text)["left_out"] == {"renamed to nothing": 1}


def test_labels_of_another_clock_are_refused_with_the_offset_that_fits(capsys, tmp_path, folder):
    before = (folder / "dataset.json").read_bytes()
    shifted = (
        "start,stop,label\n2024-06-01T08:00:10Z,2024-06-01T08:00:20Z,walk\n"  # two hours: a zone that was forgotten
    )
    (tmp_path / "rex.csv").write_text(shifted)
    code, _, err = call(capsys, folder, "--intervals", tmp_path / "rex.csv")
    assert code == 65
    assert "10.0 of 10.0 s of labels lie outside rex" in err
    assert "--offset 7200 would put them inside (whole half-hours: is a time zone wrong?)" in err
    late = intervals(tmp_path, "start,stop,label,subject\n100,110,walk,rex\n")
    code, _, err = call(capsys, folder, "--intervals", late)
    assert code == 65
    assert "--offset -100 would put them inside" in err
    assert (folder / "dataset.json").read_bytes() == before


def test_who_is_meant_must_be_known(capsys, tmp_path, folder):
    code, _, err = call(capsys, folder, "--intervals", intervals(tmp_path, "start,stop,label,subject\n1,2,walk,Rexx\n"))
    assert code == 65
    assert "labels.csv, line 2: the data set has no subject or recording 'Rexx'; near it are rex" in err
    assert "--subjects" in err
    (tmp_path / "who.csv").write_text("as written,here\nRexx,rex\n")
    words = ("--intervals", tmp_path / "labels.csv", "--subjects", tmp_path / "who.csv", "--quiet")
    assert call(capsys, folder, *words) == (0, "", "")
    assert labels_of(folder)[75] == "walk"
    code, _, err = call(capsys, folder, "--intervals", intervals(tmp_path, "1,2,walk\n", "video.csv"))
    assert code == 65
    assert "may belong to 2 recordings (rex, tom)" in err


def test_a_file_s_name_says_whose_labels_it_holds(capsys, tmp_path, folder):
    files = [intervals(tmp_path, "1\t2\twalk\n3\t4\trest\n", f"{animal}_video.txt") for animal in ("rex", "tom")]
    words = [word for file in files for word in ("--intervals", file)]
    assert call(capsys, folder, *words, "--quiet") == (0, "", "")
    assert labels_of(folder, 0)[75] == labels_of(folder, 1)[75] == "walk"


def test_labels_that_are_there_stay_when_asked(capsys, tmp_path, folder):
    assert call(capsys, folder, "--intervals", intervals(tmp_path, TWO), "--quiet")[0] == 0
    more = intervals(tmp_path, "start,stop,label,subject\n25,40,run,rex\n", "more.csv")
    assert call(capsys, folder, "--intervals", more, "--keep", "--quiet")[0] == 0
    labels = labels_of(folder)
    assert [labels[s * 50] for s in (12, 22, 27, 39)] == ["walk", "rest", "run", "run"]
    assert labels_of(folder, 1)[500] == "walk"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--offset", "rex=soon"), "--offset 'rex=soon'"),
        (("--anchor", "12"), "--anchor '12' is not [KEY=]LABEL@SENSOR"),
        (("--anchor", "1@1", "--anchor", "2@3"), "stretch time by +100.0 %"),
        (("--anchor", "1@1", "--offset", "2"), "an offset and an anchor"),
        (("--rename", "walk"), "--rename 'walk' is not OLD=NEW"),
    ],
)
def test_mistakes_in_the_call_are_usage(capsys, tmp_path, folder, words, text):
    code, _, err = call(capsys, folder, "--intervals", intervals(tmp_path, TWO), *words)
    assert code == 64
    assert text in err
