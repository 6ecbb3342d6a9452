import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fsq_edge_runtime.bundle.archive import FOLDER_DIGEST, MANIFEST, decode_archive, encode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.zip_form import is_safe_name
from fsq_edge_runtime.errors import BundleError, MissingInputError, UsageError
from tests.factories.bundles import preprocess_config, random_bundle


@pytest.fixture(scope="module")
def archive() -> bytes:
    return encode_archive(random_bundle().files)


def test_equal_content_gives_equal_bytes(archive: bytes) -> None:
    assert encode_archive(random_bundle().files) == archive


def test_a_bundle_opens_as_it_was_saved(tmp_path: Path) -> None:
    bundle = random_bundle()
    for path in (tmp_path / "dog.fsqb", tmp_path / "folder"):
        bundle.save(path)
        opened = Bundle.open(path)
        assert opened.manifest == bundle.manifest
        assert opened.files.keys() == bundle.files.keys()
        assert all(opened.files[name] == bundle.files[name] for name in bundle.files)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["dog.fsqb", "folder"]


def test_any_flipped_byte_is_refused(archive: bytes) -> None:
    draw = np.random.default_rng(0)
    places = {0, 1, 3, 10, 30, len(archive) - 1, len(archive) - 64, len(archive) - 66}
    places |= set(draw.integers(0, len(archive), 200).tolist())
    for place in sorted(places):
        damaged = bytearray(archive)
        damaged[place] ^= 1 << int(draw.integers(8))
        with pytest.raises(BundleError):
            decode_archive(bytes(damaged))


def test_truncated_and_extended_files_are_refused(archive: bytes) -> None:
    for damaged in (b"", archive[:10], archive[:-1], archive[: len(archive) // 2], archive + b"\0"):
        with pytest.raises(BundleError):
            decode_archive(damaged)


def test_a_right_comment_does_not_hide_a_zip_that_is_not_canonical() -> None:
    import hashlib

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("manifest.json", "{}" * 100)
    body = buffer.getvalue()[:-2] + (64).to_bytes(2, "little")
    with pytest.raises(BundleError, match="canonical"):
        decode_archive(body + hashlib.sha256(body).hexdigest().encode())


def test_a_changed_file_in_a_folder_is_refused(tmp_path: Path) -> None:
    random_bundle().save(tmp_path / "folder")
    head = tmp_path / "folder" / "head.npz"
    head.write_bytes(head.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match=r"head\.npz does not match its SHA-256"):
        Bundle.open(tmp_path / "folder")
    (tmp_path / "folder" / "extra").write_bytes(b"")
    with pytest.raises(BundleError, match="extra"):
        Bundle.open(tmp_path / "folder")


@pytest.mark.parametrize("name", [FOLDER_DIGEST, MANIFEST])
def test_a_folder_without_its_manifest_or_the_digest_of_it_is_no_bundle(name: str, tmp_path: Path) -> None:
    random_bundle().save(tmp_path / "folder")
    (tmp_path / "folder" / name).unlink()
    with pytest.raises(BundleError, match="is not a bundle folder"):
        Bundle.open(tmp_path / "folder")


def test_a_link_in_a_folder_is_refused(tmp_path: Path) -> None:
    random_bundle().save(tmp_path / "folder")
    (tmp_path / "folder" / "link").symlink_to("/etc/hostname")
    with pytest.raises(BundleError, match="link"):
        Bundle.open(tmp_path / "folder")


def test_preprocessing_of_another_model_is_refused() -> None:
    bundle = random_bundle()
    files = dict(bundle.files)
    files["preprocess.json"] = preprocess_config(clip_sigma=4.0).to_json().encode()
    with pytest.raises(BundleError, match=r"preprocess\.json"):
        Bundle.from_files(files)


def test_missing_things_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"none\.fsqb"):
        Bundle.open(tmp_path / "none.fsqb")
    with pytest.raises(BundleError, match="no hef for hailo8"):
        random_bundle().read("hef", "hailo8")
    with pytest.raises(UsageError, match="no int8 graph"):
        random_bundle().open_session(backend="onnx-int8")
    with pytest.raises(UsageError, match="unknown backend"):
        random_bundle().open_session(backend="gpu")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "", ".hidden", "a//b", "a\\b", "a/b/c/d/e", "x\n", "ü"])
def test_unsafe_names(name: str) -> None:
    assert not is_safe_name(name)
    with pytest.raises(BundleError, match="unsafe"):
        encode_archive({name: b""})


def test_the_selftest_holds_the_reference_answers() -> None:
    bundle = random_bundle()
    with bundle.open_session(backend="onnx") as session:
        found = session.predict(bundle.selftest.windows)
    np.testing.assert_array_equal(found.codes, bundle.selftest.codes)
    np.testing.assert_array_equal(found.raw_labels, bundle.selftest.labels)
    assert len(set(bundle.selftest.codes.tolist())) > 1
