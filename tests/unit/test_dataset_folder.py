import json
import zipfile

import numpy as np
import pytest

from fsq_edge.data import archive as archive_module
from fsq_edge.data import cut_windows, open_dataset, read_folder, write_folder
from fsq_edge.data.archive import read_npz, write_npz
from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError
from tests.factories.recordings import make_dataset, make_recording


@pytest.fixture
def folder(tmp_path):
    timestamps = np.arange(300) / 50.0
    recordings = [
        make_recording("s1/first set", seed=1, timestamps=timestamps),
        make_recording("plain", seed=2, subject="2", label=1),
    ]
    write_folder(make_dataset(recordings, mirror=(1, -1, 1)), tmp_path / "set")
    return tmp_path / "set"


def edit(folder, **changes):
    path = folder / "dataset.json"
    value = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: item for key, item in value.items() if item is not None}))


def replace_arrays(folder, **arrays):
    path = folder / "plain.npz"
    with np.load(path) as old:
        kept = {name: old[name] for name in old.files}
    np.savez(path, **(kept | arrays))


def test_what_is_written_is_read(folder):
    back = open_dataset(f"folder:{folder}")
    original = make_dataset([make_recording("s1/first set", seed=1), make_recording("plain", seed=2, subject="2")])
    assert (back.name, back.mirror, back.classes, back.licence) == ("toy", (1, -1, 1), ("rest", "walk"), "CC0")
    assert [r.subject for r in back.recordings] == ["1", "2"]
    assert back.recordings[1].recording_id == "plain"
    for mine, theirs in zip(original.recordings, back.recordings, strict=True):
        np.testing.assert_array_equal(mine.samples, theirs.samples)
    np.testing.assert_array_equal(back.recordings[0].timestamps, np.arange(300) / 50.0)
    assert back.recordings[1].timestamps is None


def test_samples_are_aligned_read_only_views_of_the_file(folder):
    samples = read_folder(folder).recordings[0].samples
    assert not samples.flags.owndata
    assert not samples.flags.writeable
    assert samples.__array_interface__["data"][0] % 64 == 0


def test_files_that_numpy_wrote_are_mapped_too_and_compressed_ones_are_read(folder):
    expected = cut_windows(read_folder(folder), 100, 50).gather()
    with np.load(folder / "plain.npz") as old:
        arrays = dict(old)
    for save in (np.savez, np.savez_compressed):
        save(folder / "plain.npz", **arrays)
        np.testing.assert_array_equal(cut_windows(read_folder(folder), 100, 50).gather(), expected)


def test_other_number_types_are_converted(folder):
    replace_arrays(folder, samples=np.ones((300, 3)), labels=np.ones(300, np.int64))
    recording = read_folder(folder).recordings[1]
    assert (recording.samples.dtype, recording.labels.dtype) == (np.float32, np.int16)


def test_numbers_as_subjects_are_admitted(folder):
    entries = [{"file": "plain.npz", "subject": 7, "session": 1}]
    edit(folder, recordings=entries)
    assert read_folder(folder).subjects == ("7",)


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        write_npz(tmp_path / name, {"samples": np.ones((5, 3), np.float32)})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(tmp_path / "a.npz", {"samples": np.array([object()])})
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(folder):
    before = sorted(folder.iterdir())
    with pytest.raises(UsageError, match="not an empty folder"):
        write_folder(make_dataset(), folder)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"samples": np.zeros((300, 4), np.float32)}, "expected (n, 3)"),
        ({"samples": np.zeros(300, np.float32)}, "expected (n, 3)"),
        ({"samples": np.zeros((0, 3), np.float32), "labels": np.zeros(0, np.int16)}, "holds no samples"),
        ({"samples": np.full((300, 3), "x")}, "must be numbers"),
        ({"samples": np.full((300, 3), None)}, "Python objects"),
        ({"labels": np.zeros(299, np.int16)}, "labels must be (300,)"),
        ({"labels": np.full(300, 2, np.int16)}, "label 2, the data set declares 2 classes"),
        ({"labels": np.full(300, 70000)}, "-1..32767"),
        ({"labels": np.zeros(300)}, "labels must be integers"),
        ({"timestamps": np.full(300, np.nan)}, "timestamps must be finite"),
        ({"timestamps": np.full(300, "noon")}, "timestamps must be finite"),
    ],
)
def test_bad_arrays_end_in_one_clear_error(folder, arrays, words):
    replace_arrays(folder, **arrays)
    with pytest.raises(DataError) as caught:
        read_folder(folder)
    assert words in caught.value.message
    assert "plain" in caught.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema_version": 2}, "schema version 2, this release reads version 1"),
        ({"schema_version": None}, "the key schema_version is missing"),
        ({"colour": "blue"}, "colour: there is no such key"),
        ({"channels": []}, "channels: "),
        ({"sample_rate_hz": -1}, "sample_rate_hz: "),
        ({"recordings": []}, "recordings: "),
        ({"mirror": [1, 1]}, "mirror must be 3 signs"),
        ({"recordings": [{"file": "../plain.npz", "subject": "1"}]}, "lies outside the folder"),
        ({"recordings": [{"file": "/etc/passwd", "subject": "1"}]}, "lies outside the folder"),
        ({"recordings": [{"file": "plain.npz", "subject": "1"}] * 2}, "'plain.npz' twice"),
    ],
)
def test_bad_descriptions_end_in_one_clear_error(folder, changes, words):
    edit(folder, **changes)
    with pytest.raises(DataError) as caught:
        read_folder(folder)
    assert words in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_description_that_is_not_an_object(folder, content):
    (folder / "dataset.json").write_bytes(content)
    with pytest.raises(DataError, match=r"dataset\.json"):
        read_folder(folder)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04"])
def test_a_recording_that_is_not_an_archive(folder, content):
    (folder / "plain.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"plain\.npz"):
        read_folder(folder)


def test_a_recording_cut_short_at_any_place_is_an_error_not_a_crash(folder):
    whole = (folder / "plain.npz").read_bytes()
    for length in range(1, len(whole), 97):
        (folder / "plain.npz").write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_folder(folder)


def test_an_archive_without_samples(folder):
    np.savez(folder / "plain.npz", x=np.zeros(3))
    with pytest.raises(DataError, match="no array 'samples'; it has 'x'"):
        read_folder(folder)


def test_an_array_that_unpacks_too_large_is_refused(folder, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_ARRAY_BYTES", 1000)
    with pytest.raises(DataError, match="the limit is 1000"):
        read_npz(folder / "plain.npz", ("samples",))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("shape", [b"(100000, 3)", b"(10**15, 3)", b"(1000000000000000, 3)", b"(-1, 3)"])
def test_a_lying_npy_header_is_refused(tmp_path, method, shape):
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + b", }"
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("samples.npy", header.ljust(127) + b"\n" + bytes(12))
    with pytest.raises(DataError, match=r"its header says otherwise|not a readable npz file"):
        read_npz(tmp_path / "a.npz", ("samples",))


def test_missing_inputs_name_the_path(folder, tmp_path):
    with pytest.raises(MissingInputError, match="is not a folder"):
        open_dataset(f"folder:{tmp_path / 'none'}")
    with pytest.raises(MissingInputError, match=r"holds neither dataset\.json"):
        open_dataset(f"folder:{tmp_path}")
    (folder / "plain.npz").unlink()
    with pytest.raises(MissingInputError, match=r"plain\.npz: No such file"):
        open_dataset(f"folder:{folder}")


@pytest.mark.parametrize("name", ["wotch", "folder:", "watch:x", ""])
def test_unknown_sources_name_the_known_ones(name):
    with pytest.raises(UsageError) as caught:
        open_dataset(name)
    assert "watch" in caught.value.hint
    assert "folder:PATH" in caught.value.hint


def test_data_that_are_missing_everywhere_are_refused(folder):
    for value, columns, words in (
        (np.nan, slice(None), "every channel"),
        (np.inf, slice(1, 2), "no finite value in acc_y"),
    ):
        dataset = make_dataset([make_recording("a", n=70_000), make_recording("b")])
        for recording in dataset.recordings:
            recording.samples[:, columns] = value
        write_folder(dataset, folder.parent / words[:5])
        source = f"folder:{folder.parent / words[:5]}"
        with pytest.raises(DataError, match=words):
            open_dataset(source)
        assert open_dataset(source, check_finite=False).n_samples == 70_300


def test_more_recordings_than_open_files(tmp_path):
    resource = pytest.importorskip("resource", reason="POSIX resource limits")
    dataset = make_dataset([make_recording(f"r{i}", n=2) for i in range(80)])
    write_folder(dataset, tmp_path / "many")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        assert len(read_folder(tmp_path / "many").recordings) == 80
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
