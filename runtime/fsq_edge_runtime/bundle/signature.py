"""Ed25519 signatures of bundles: hashes find damage, only a signature with a key of yours finds an attacker.

What is signed is the manifest without its own signature entry, in canonical JSON; the manifest holds the SHA-256 of
every other file. Keys are PEM files as OpenSSL writes them: ``openssl genpkey -algorithm ed25519 -out key.pem`` and
``openssl pkey -in key.pem -pubout -out key.pub``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.bundle.archive import MANIFEST
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import with_files
from fsq_edge_runtime.errors import BundleError, DataError
from fsq_edge_runtime.extras import need

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_PATH = "signature.json"
_DOMAIN = b"fsq-edge bundle signature 1\n"  # a signature made for anything else is not one of a bundle


class SignatureFile(Artefact):
    """``signature.json``.

    Attributes:
        algorithm: always ``ed25519``.
        public_key: the signer's, 32 bytes hex; a hint which key to use, not a reason to trust it.
        signature: 64 bytes hex.
    """

    KIND: ClassVar[str] = SIGNATURE_PATH

    algorithm: Literal["ed25519"] = "ed25519"
    public_key: str = Field(pattern=r"^[0-9a-f]{64}$")
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")


def signed_content(manifest: bytes) -> bytes:
    """Return the bytes that a signature covers.

    The text of the manifest is used, not this release's model of it: a field that a later release adds must not
    break old signatures.

    Args:
        manifest: ``manifest.json``.
    """
    value = json.loads(manifest)
    value["files"] = [entry for entry in value["files"] if entry["role"] != "signature"]
    return _DOMAIN + json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def sign_bundle(bundle: Bundle, private_key: bytes) -> Bundle:
    """Return the bundle with a signature, in place of an older one.

    Args:
        bundle: the verified bundle.
        private_key: Ed25519 private key, PEM, not encrypted.

    Raises:
        UnavailableError: the package cryptography is not installed.
        DataError: not such a key.
    """
    bare = with_files(bundle, {("signature", None): None})
    record = sign_bytes(signed_content(bare.files[MANIFEST]), private_key)
    return with_files(bare, {("signature", None): (SIGNATURE_PATH, record.to_json().encode())})


def sign_bytes(content: bytes, private_key: bytes) -> SignatureFile:
    """Return the signature of some bytes, which begin with a line that says what they are.

    Raises:
        UnavailableError: the package cryptography is not installed.
        DataError: not an Ed25519 private key, PEM, not encrypted.
    """
    key = _private_key(private_key)
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return SignatureFile(public_key=public.hex(), signature=key.sign(content).hex())


def verify_bytes(content: bytes, record: SignatureFile, public_key: bytes, what: str) -> None:
    """Return if some bytes were signed with the private half of this key.

    Args:
        content: as signed.
        record: the signature.
        public_key: Ed25519 public key, PEM.
        what: names them in the message, such as ``the bundle``.

    Raises:
        UnavailableError: the package cryptography is not installed.
        DataError: not such a key.
        BundleError: signed with another key, or changed since.
    """
    key = _public_key(public_key)
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(bytes.fromhex(record.signature), content)
    except InvalidSignature as error:
        raise BundleError(
            f"{what}'s signature was not made with this key, or {what} was changed after it was signed",
            hint=f"it names the signer {record.public_key[:16]}...; fetch {what} again from its maker",
        ) from error


def check_signature(bundle: Bundle, public_key: bytes) -> None:
    """Return if the bundle was signed with the private half of this key.

    Args:
        bundle: the verified bundle.
        public_key: Ed25519 public key, PEM.

    Raises:
        UnavailableError: the package cryptography is not installed.
        DataError: not such a key.
        BundleError: not signed, or signed with another key, or changed since.
    """
    _public_key(public_key)
    if not bundle.has("signature"):
        raise BundleError("the bundle is not signed", hint="fsq-edge bundle sign BUNDLE --key PRIVATE.pem")
    record = SignatureFile.from_json(bundle.read("signature"), origin=SIGNATURE_PATH)
    verify_bytes(signed_content(bundle.files[MANIFEST]), record, public_key, "the bundle")


def _private_key(pem: bytes) -> Ed25519PrivateKey:
    need("cryptography", "sign", "a signature")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"PUBLIC KEY-----" in pem:
        raise DataError("this is the public key; signing takes the private one", hint=_HOW_TO_MAKE)
    try:
        key = load_pem_private_key(pem, password=None)
    except Exception as error:
        raise DataError("not a PEM private key, or an encrypted one", hint=_HOW_TO_MAKE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise DataError("the private key is not an Ed25519 key", hint=_HOW_TO_MAKE)
    return key


def _public_key(pem: bytes) -> Ed25519PublicKey:
    need("cryptography", "sign", "a signature")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY-----" in pem:
        raise DataError("this is the private key; verifying takes the public one", hint=_HOW_TO_DERIVE)
    try:
        key = load_pem_public_key(pem)
    except Exception as error:
        raise DataError("not a PEM public key", hint=_HOW_TO_MAKE) from error
    if not isinstance(key, Ed25519PublicKey):
        raise DataError("the public key is not an Ed25519 key", hint=_HOW_TO_MAKE)
    return key


_HOW_TO_DERIVE = "openssl pkey -in key.pem -pubout -out key.pub, then --key key.pub"
_HOW_TO_MAKE = "openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out key.pub"
