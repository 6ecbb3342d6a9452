import json

import numpy as np
import pytest

from fsq_edge.data import check_leaks, cut_windows, open_dataset, split_as_declared, split_by_subject
from fsq_edge.data.quadruped import make_quadruped
from fsq_edge.data.stored_windows.files import find_stored_windows, read_stored_windows, write_stored_windows
from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError
from tests.factories.recordings import make_dataset


@pytest.fixture(scope="module")
def split():
    return split_by_subject(make_quadruped(seed=0, animals=4, seconds=60), ["1"], ["2"])


@pytest.fixture
def written(split, tmp_path):
    write_stored_windows(split, tmp_path / "processed", "quadruped")
    return tmp_path / "processed"


def test_files_shapes_and_types(written):
    assert sorted(path.name for path in written.iterdir()) == [
        "X_test_quadruped.npy",
        "X_train_quadruped.npy",
        "X_val_quadruped.npy",
        "quadruped_metadata.json",
        "y_test_quadruped.npy",
        "y_train_quadruped.npy",
        "y_val_quadruped.npy",
    ]
    windows, labels = np.load(written / "X_train_quadruped.npy"), np.load(written / "y_train_quadruped.npy")
    assert windows.shape == (len(labels), 9, 100)
    assert (windows.dtype, labels.dtype) == (np.float32, np.int64)


def test_windows_come_back_as_they_were_cut(written, split):
    back = open_dataset(f"folder:{written}")
    assert (back.name, back.sample_rate_hz, back.classes) == ("quadruped-synthetic", 100.0, split.train.classes)
    sides = split_as_declared(back)
    for role in ("train", "val", "test"):
        original = cut_windows(getattr(split, role), 100, 50)
        again = cut_windows(getattr(sides, role), 100, 50)
        np.testing.assert_array_equal(again.gather(), original.gather())
        np.testing.assert_array_equal(again.label, original.label)
        np.testing.assert_array_equal(again.subject, original.subject)
    assert sides.notes == ()


def test_windows_stay_on_disk_and_apart(written):
    back = read_stored_windows(find_stored_windows(written))
    assert not back.recordings[0].samples.flags.owndata
    index = cut_windows(back, 60, 40)
    assert set(index.start.tolist()) == {0, 40}
    assert len(index) == 2 * len(back.recordings)
    with pytest.raises(DataError):
        cut_windows(back, 101, 50)


def test_leaks_are_seen_behind_windows_that_are_already_cut(written):
    back = open_dataset(f"folder:{written}")
    neighbours = [r for r in back.recordings if r.origin == back.recordings[0].origin][:2]
    one, other = (make_dataset([r], classes=back.classes, channels=back.channels) for r in neighbours)
    assert check_leaks(one, other, keep_apart="interval").n_overlaps == 1


def test_an_existing_folder_is_replaced_only_on_request(written, split):
    with pytest.raises(UsageError, match="not an empty folder"):
        write_stored_windows(split, written, "quadruped")
    write_stored_windows(split, written, "quadruped", 50, 50, replace=True)
    assert np.load(written / "X_val_quadruped.npy").shape[2] == 50
    assert [path.name for path in written.parent.iterdir()] == ["processed"]
    (written / "quadruped_metadata.json").unlink()
    with pytest.raises(UsageError):
        write_stored_windows(split, written, "quadruped", replace=True)


def foreign(folder, metadata=None, n=(6, 3, 3), channels=9):
    folder.mkdir()
    for role, count in zip(("train", "val", "test"), n, strict=True):
        np.save(folder / f"X_{role}_dog.npy", np.ones((count, channels, 100)))
        np.save(folder / f"y_{role}_dog.npy", np.arange(count) % 3)
    if metadata is not None:
        (folder / "dog_metadata.json").write_text(metadata)
    return folder


def test_windows_of_another_origin(tmp_path):
    metadata = json.dumps({"sampling_rate": 50, "class_names": ["a", "b", "c"], "anything": [1]})
    back = open_dataset(f"folder:{foreign(tmp_path / 'd', metadata)}")
    assert (back.sample_rate_hz, back.classes) == (50.0, ("a", "b", "c"))
    assert back.subjects == ("test", "train", "val")
    assert [channel.name for channel in back.channels][::4] == ["acc_x", "gyro_y", "mag_z"]
    assert back.recordings[0].samples.dtype == np.float32
    assert "cannot be checked" in split_as_declared(back).notes[-1]


def test_windows_without_metadata_say_what_was_assumed(tmp_path):
    back = open_dataset(f"folder:{foreign(tmp_path / 'd', channels=4)}")
    assert (back.sample_rate_hz, back.classes) == (100.0, ("class_0", "class_1", "class_2"))
    assert [channel.name for channel in back.channels] == ["channel_0", "channel_1", "channel_2", "channel_3"]
    assert "assumed" in back.source


@pytest.mark.parametrize(
    ("file", "array", "error", "words"),
    [
        ("X_train_dog.npy", np.ones((6, 9, 2, 50)), DataError, "windows (N, channels, samples)"),
        ("X_train_dog.npy", np.ones((0, 9, 100)), DataError, "holds no windows"),
        ("X_train_dog.npy", np.ones((5, 9, 100)), DataError, "5 windows, its labels are 6"),
        ("X_val_dog.npy", np.ones((3, 8, 100)), DataError, "has 8 channels"),
        ("X_train_dog.npy", np.array([[[None]]]), DataError, "not a readable npy file"),
        ("y_train_dog.npy", np.ones((6, 1)), DataError, "labels (N,)"),
        ("y_train_dog.npy", np.full(6, 0.5), DataError, "must be integers"),
        ("y_train_dog.npy", np.full(6, -3), DataError, "-1..32767"),
        ("y_train_dog.npy", None, MissingInputError, "y_train_dog.npy"),
        ("X_train.npy", np.ones((6, 9, 100)), DataError, "two window files for train"),
    ],
)
def test_bad_files_end_in_one_clear_error(tmp_path, file, array, error, words):
    folder = foreign(tmp_path / "d")
    if array is None:
        (folder / file).unlink()
    else:
        np.save(folder / file, array, allow_pickle=True)
    with pytest.raises(error) as caught:
        open_dataset(f"folder:{folder}")
    assert words in caught.value.message


@pytest.mark.parametrize("text", ["", "{", '{"schema_version": 9}', '{"schema_version": 1, "name": 3}'])
def test_bad_metadata(tmp_path, text):
    with pytest.raises(DataError, match="dog_metadata"):
        open_dataset(f"folder:{foreign(tmp_path / 'd', text)}")


def test_an_empty_window_file(tmp_path):
    folder = foreign(tmp_path / "d")
    (folder / "X_train_dog.npy").write_bytes(b"")
    with pytest.raises(DataError, match="X_train_dog"):
        open_dataset(f"folder:{folder}")
