"""``push`` and ``pull``: a bundle or an overlay as one OCI artefact, one layer each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from fsq_edge_runtime.artefact import read_json
from fsq_edge_runtime.bundle.archive import MAX_BUNDLE_BYTES, decode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.install import verify_parts
from fsq_edge_runtime.errors import BundleError, DataError, UsageError
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.registry.address import RegistryAddress
from fsq_edge_runtime.registry.artefact import (
    BUNDLE_TYPE,
    EMPTY,
    MANIFEST_TYPE,
    OVERLAY_TYPE,
    artefact_manifest,
    content_of,
    digest_of,
)
from fsq_edge_runtime.registry.client import RegistryClient

MAX_MANIFEST_BYTES: Final = 4 << 20
_NOT_OURS: Final = "fsq-edge bundle push writes such artefacts"


@dataclass(frozen=True, slots=True)
class Pulled:
    """A verified bundle or overlay out of a registry.

    Attributes:
        content: opened.
        digest: of the artefact's manifest, ``sha256:...``; the address with it names this content for ever.
    """

    content: Bundle | Overlay
    digest: str

    @property
    def bundle(self) -> Bundle:
        """The bundle.

        Raises:
            BundleError: it is an overlay.
        """
        if isinstance(self.content, Bundle):
            return self.content
        raise BundleError("the artefact is an overlay, not a bundle", hint="fsq-edge bundle pull writes it to a file")


def push(content: Bundle | Overlay, address: RegistryAddress, *, plain_http: bool = False) -> str:
    """Store a bundle or an overlay in a registry; the tag moves last, so a kill leaves the tag as it was.

    Equal content gives equal digests: nothing in the artefact depends on time or machine.

    Args:
        content: opened, so verified.
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
    data, manifest = content_of(content), artefact_manifest(content)
    client = RegistryClient(address, plain_http=plain_http)
    client.put_blob(EMPTY, digest_of(EMPTY))
    client.put_blob(data, digest_of(data))
    client.put_manifest(manifest, address.tag)
    return digest_of(manifest)


def pull(
    address: RegistryAddress, *, public_key: bytes | None = None, plain_http: bool = False, known: bytes = b""
) -> Pulled:
    """Fetch a bundle or an overlay into memory and verify it: its digests, its archive hash, its parts, its signature.

    Args:
        address: with a tag or a digest; a digest is compared with what came.
        public_key: PEM; the content must be signed with its private half.
        plain_http: without TLS.
        known: content that is here already; it is not fetched again where its digest is the artefact's.

    Raises:
        MissingInputError: the registry has no such artefact.
        DataError: another artefact, a digest that does not match, or content that is damaged or not signed as asked.
        UnavailableError: the registry does not answer; ``oras`` is not installed.
    """
    client = RegistryClient(address, plain_http=plain_http)
    manifest = client.get(f"manifests/{address.reference}", MAX_MANIFEST_BYTES, MANIFEST_TYPE)
    digest = digest_of(manifest)
    if address.digest and digest != address.digest:
        raise BundleError(f"{address}: the registry gave {digest}", hint="the registry or the way to it is not sound")
    kind, layer = _layer(manifest, address)
    is_known = digest_of(known) == layer["digest"]
    data = known if is_known else client.get(f"blobs/{layer['digest']}", layer["size"])
    if len(data) != layer["size"] or digest_of(data) != layer["digest"]:
        raise BundleError(f"{address}: the content that came does not match its digest", hint="pull it again")
    origin = address.pinned(digest)
    if kind == OVERLAY_TYPE:
        overlay = Overlay.from_bytes(data, origin=origin)
        if public_key is not None:
            overlay.check_signature(public_key)
        return Pulled(overlay, digest)
    bundle = Bundle.from_files(decode_archive(data), origin=origin)
    verify_parts(bundle, public_key)
    return Pulled(bundle, digest)


def _layer(manifest: bytes, address: RegistryAddress) -> tuple[str, dict[str, Any]]:
    """Return the kind of content and its one layer."""
    try:
        document = read_json(manifest, str(address), what="the artefact's manifest")
        (layer,) = document["layers"]
        kind, size, digest = str(layer["mediaType"]).removesuffix("+zip"), layer["size"], layer["digest"]
    except (DataError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{address} is no bundle's or overlay's artefact", hint=_NOT_OURS) from error
    sound = isinstance(size, int) and 0 < size <= MAX_BUNDLE_BYTES and isinstance(digest, str)
    if kind not in (BUNDLE_TYPE, OVERLAY_TYPE) or not sound or not digest.startswith("sha256:"):
        raise BundleError(f"{address} holds {kind[:80]!r}, neither a bundle nor an overlay", hint=_NOT_OURS)
    return kind, {"digest": digest, "size": size}
