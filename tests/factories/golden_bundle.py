"""Writes the golden bundle of the present schema; run once per schema version, never again for an old one.

``python -m tests.factories.golden_bundle tests/golden/bundle_v1.fsqb``
"""

from __future__ import annotations

import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import add_hef
from fsq_edge_runtime.bundle.signature import sign_bundle
from fsq_edge_runtime.testing.hef_writer import TensorSpec, hef_bytes
from tests.factories.bundles import random_bundle

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))  # no secret: it signs nothing but this file


def golden_bundle() -> Bundle:
    """A signed bundle with every kind of file that schema 1 has, HEFs of two architectures among them."""
    bundle = random_bundle()
    for arch in ("hailo8l", "hailo10h"):
        source = TensorSpec("input_layer1", (2, 50, 12), -5.0, 5.0, original_names=("conv",))
        sink = TensorSpec("fc1", (3,), -1.0, 1.0, original_names=("tanh",))
        sdk = "3.32.0" if arch == "hailo8l" else "5.2.0"
        added = add_hef(bundle, hef_bytes(arch=arch, inputs=(source,), outputs=(sink,), sdk=sdk)).bundle
        assert added is not None
        bundle = added
    return sign_bundle(bundle, private_key())


def private_key() -> bytes:
    """The private half, PEM."""
    return KEY.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())


def public_key() -> bytes:
    """The key that the golden bundle is signed with, PEM."""
    return KEY.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    if target.exists():
        raise SystemExit(f"{target} exists: a golden file is written once")
    golden_bundle().save(target)
