"""Signing: what it covers, and which keys it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fsq_edge_runtime.bundle.archive import MANIFEST, encode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import add_hef
from fsq_edge_runtime.bundle.signature import check_signature, sign_bundle, signed_content
from fsq_edge_runtime.errors import DataError, UnavailableError
from fsq_edge_runtime.testing.hef_writer import TensorSpec, hef_bytes
from tests.factories.bundles import random_bundle

SEED = bytes(range(32))
HEF = {
    "inputs": (TensorSpec("input_layer1", (2, 50, 12), -5.0, 5.0, original_names=("conv",)),),
    "outputs": (TensorSpec("fc1", (3,), -1.0, 1.0, original_names=("tanh",)),),
}


def private_pem(key: object) -> bytes:
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())  # type: ignore[attr-defined, no-any-return]


def public_pem(key: object) -> bytes:
    public = key.public_key()  # type: ignore[attr-defined]
    return public.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def signed() -> Bundle:
    return sign_bundle(random_bundle(), private_pem(Ed25519PrivateKey.from_private_bytes(SEED)))


def test_a_signed_bundle_verifies_and_is_the_same_every_time(signed: Bundle, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    check_signature(signed, public_pem(key))
    assert encode_archive(sign_bundle(random_bundle(), private_pem(key)).files) == encode_archive(signed.files)
    again = sign_bundle(signed, private_pem(key))
    assert again.files == signed.files, "signing again replaces the signature"
    for path in (tmp_path / "dog.fsqb", tmp_path / "folder"):
        signed.save(path)
        check_signature(Bundle.open(path), public_pem(key))


def test_the_signature_covers_the_manifest_text_not_this_releases_model_of_it(signed: Bundle) -> None:
    manifest = json.loads(signed.files[MANIFEST])
    later = {**manifest, "a_field_of_a_later_release": 1}
    assert signed_content(json.dumps(later).encode()) != signed_content(signed.files[MANIFEST])
    reordered = json.dumps(dict(reversed(manifest.items())), indent=7).encode()
    assert signed_content(reordered) == signed_content(signed.files[MANIFEST])


def test_adding_a_hef_drops_the_signature_and_says_so(signed: Bundle) -> None:
    added = add_hef(signed, hef_bytes(arch="hailo8l", **HEF))  # type: ignore[arg-type]
    assert added.bundle is not None
    assert (added.unsigned, added.bundle.has("signature")) == (True, False)


def test_other_keys_are_refused(signed: Bundle) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(DataError, match="not an Ed25519 key"):
        sign_bundle(signed, private_pem(curve))
    with pytest.raises(DataError, match="not an Ed25519 key"):
        check_signature(signed, public_pem(curve))
    for junk in (b"", b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", bytes(100)):
        with pytest.raises(DataError, match="not a PEM"):
            check_signature(signed, junk)


def test_without_the_package_the_hint_names_the_extra(signed: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for call in (check_signature, sign_bundle):
        with pytest.raises(UnavailableError) as caught:
            call(signed, b"")
        assert "fsq-edge[sign]" in caught.value.hint


def test_opening_and_verifying_needs_no_cryptography(tmp_path: Path, signed: Bundle) -> None:
    signed.save(tmp_path / "dog.fsqb")
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from fsq_edge_runtime.bundle.bundle import Bundle\n"
        "from fsq_edge_runtime.bundle.install import verify_parts\n"
        f"verify_parts(Bundle.open({str(tmp_path / 'dog.fsqb')!r}))\n"
    )
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
