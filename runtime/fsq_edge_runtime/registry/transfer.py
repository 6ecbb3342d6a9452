"""``push`` and ``pull``: a bundle or an overlay as one OCI artefact, one layer each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from fsq_edge_runtime.artefact import read_json
from fsq_edge_runtime.bundle.archive import MANIFEST, MAX_BUNDLE_BYTES, decode_archive, encode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.install import verify_parts
from fsq_edge_runtime.errors import BundleError, DataError, UsageError
from fsq_edge_runtime.registry.address import RegistryAddress
from fsq_edge_runtime.registry.client import MANIFEST_TYPE, RegistryClient

MAX_MANIFEST_BYTES: Final = 4 << 20
BUNDLE_TYPE: Final = "application/vnd.fsq-edge.bundle.v1"
_EMPTY: Final = b"{}"
_EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
_NOT_OURS: Final = "fsq-edge bundle push writes such artefacts"


@dataclass(frozen=True, slots=True)
class Pulled:
    """A verified bundle out of a registry.

    Attributes:
        bundle: opened.
        digest: of the artefact's manifest, ``sha256:...``; the address with it names this content for ever.
    """

    bundle: Bundle
    digest: str


def push(bundle: Bundle, address: RegistryAddress, *, plain_http: bool = False) -> str:
    """Store a bundle in a registry; the tag moves last, so a kill leaves the tag as it was.

    Equal bundles give equal digests: nothing in the artefact depends on time or machine.

    Args:
        bundle: opened, so verified.
        address: with a tag.
        plain_http: without TLS.

    Returns:
        The digest of the artefact, ``sha256:...``.

    Raises:
        UsageError: the address names a digest.
        UnavailableError: the registry does not answer, or does not take it; ``oras`` is not installed.
    """
    if address.digest:
        raise UsageError(
            f"{address}: a push needs a tag, the digest follows from the content", hint="oci://HOST/NAME:TAG"
        )
    data = encode_archive(bundle.files)
    manifest = artefact_manifest(bundle, data)
    client = RegistryClient(address, plain_http=plain_http)
    client.put_blob(_EMPTY, digest_of(_EMPTY))
    client.put_blob(data, digest_of(data))
    client.put_manifest(manifest, address.tag)
    return digest_of(manifest)


def pull(address: RegistryAddress, *, public_key: bytes | None = None, plain_http: bool = False) -> Pulled:
    """Fetch a bundle into memory and verify it: its digests, its archive hash, its parts, and its signature.

    Args:
        address: with a tag or a digest; a digest is compared with what came.
        public_key: PEM; the bundle must be signed with its private half.
        plain_http: without TLS.

    Raises:
        MissingInputError: the registry has no such artefact.
        BundleError: another artefact, a digest that does not match, or a bundle that is damaged or not signed as asked.
        UnavailableError: the registry does not answer; ``oras`` is not installed.
    """
    client = RegistryClient(address, plain_http=plain_http)
    manifest = client.get(f"manifests/{address.reference}", MAX_MANIFEST_BYTES, MANIFEST_TYPE)
    digest = digest_of(manifest)
    if address.digest and digest != address.digest:
        raise BundleError(f"{address}: the registry gave {digest}", hint="the registry or the way to it is not sound")
    layer = _layer(manifest, address)
    data = client.get(f"blobs/{layer['digest']}", layer["size"])
    if len(data) != layer["size"] or digest_of(data) != layer["digest"]:
        raise BundleError(f"{address}: the content that came does not match its digest", hint="pull it again")
    bundle = Bundle.from_files(decode_archive(data), origin=address.pinned(digest))
    verify_parts(bundle, public_key)
    return Pulled(bundle, digest)


def artefact_manifest(bundle: Bundle, data: bytes) -> bytes:
    """Return the OCI manifest of a bundle: one layer, and what people want to see without pulling it."""
    described, config = bundle.manifest, bundle.preprocess
    annotations = {
        "org.opencontainers.image.title": described.name,
        "fsq-edge.classes": ", ".join(described.classes),
        "fsq-edge.channels": ", ".join(f"{channel.name} [{channel.unit}]" for channel in config.channels),
        "fsq-edge.sample-rate-hz": f"{config.sample_rate_hz:g}",
        "fsq-edge.window-samples": str(config.window_samples),
        "fsq-edge.architectures": ", ".join(bundle.hef_architectures),
        "fsq-edge.manifest-sha256": hashlib.sha256(bundle.files[MANIFEST]).hexdigest(),
        "fsq-edge.signed": "yes" if bundle.has("signature") else "no",
        "fsq-edge.forced": "; ".join(described.forced),
    }
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": BUNDLE_TYPE,
        "config": {"mediaType": _EMPTY_TYPE, "digest": digest_of(_EMPTY), "size": len(_EMPTY)},
        "layers": [
            {
                "mediaType": f"{BUNDLE_TYPE}+zip",
                "digest": digest_of(data),
                "size": len(data),
                "annotations": {"org.opencontainers.image.title": f"{described.name}.fsqb"},
            }
        ],
        "annotations": {name: value for name, value in annotations.items() if value},
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def digest_of(data: bytes) -> str:
    """Return the digest of some content as registries write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _layer(manifest: bytes, address: RegistryAddress) -> dict[str, Any]:
    """Return the one layer of a bundle's artefact."""
    try:
        document = read_json(manifest, str(address), what="the artefact's manifest")
        (layer,) = document["layers"]
        kind, size, digest = layer["mediaType"], layer["size"], layer["digest"]
    except (DataError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{address} is not a bundle's artefact", hint=_NOT_OURS) from error
    sound = isinstance(size, int) and 0 < size <= MAX_BUNDLE_BYTES and isinstance(digest, str)
    if kind != f"{BUNDLE_TYPE}+zip" or not sound or not digest.startswith("sha256:"):
        raise BundleError(f"{address} holds {str(kind)[:80]!r}, not a bundle", hint=_NOT_OURS)
    return {"digest": digest, "size": size}
