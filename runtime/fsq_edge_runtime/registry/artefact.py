"""The OCI manifest of a bundle or an overlay: one layer, and annotations that say what it is without a pull."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from fsq_edge_runtime.bundle.archive import MANIFEST, encode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.personal.overlay import Overlay

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
BUNDLE_TYPE: Final = "application/vnd.fsq-edge.bundle.v1"
OVERLAY_TYPE: Final = "application/vnd.fsq-edge.overlay.v1"
EMPTY: Final = b"{}"  # the config that the specification gives artefacts without one
_EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
_TITLE: Final = "org.opencontainers.image.title"


def content_of(content: Bundle | Overlay) -> bytes:
    """Return the bytes of the file: ``NAME.fsqb`` or ``NAME.fsqo``."""
    return encode_archive(content.files) if isinstance(content, Bundle) else content.to_bytes()


def artefact_manifest(content: Bundle | Overlay) -> bytes:
    """Return the manifest, the same bytes for the same content."""
    data = content_of(content)
    is_bundle = isinstance(content, Bundle)
    annotations = _of_bundle(content) if isinstance(content, Bundle) else _of_overlay(content)
    kind = BUNDLE_TYPE if is_bundle else OVERLAY_TYPE
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": kind,
        "config": {"mediaType": _EMPTY_TYPE, "digest": digest_of(EMPTY), "size": len(EMPTY)},
        "layers": [
            {
                "mediaType": f"{kind}+zip",
                "digest": digest_of(data),
                "size": len(data),
                "annotations": {_TITLE: annotations[_TITLE] + (".fsqb" if is_bundle else ".fsqo")},
            }
        ],
        "annotations": {name: value for name, value in annotations.items() if value},
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def digest_of(data: bytes) -> str:
    """Return the digest of some content as registries write it.

    Example:
        >>> digest_of(b"{}")
        'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'
    """
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _of_bundle(bundle: Bundle) -> dict[str, str]:
    described, config = bundle.manifest, bundle.preprocess
    return {
        _TITLE: described.name,
        "fsq-edge.classes": ", ".join(described.classes),
        "fsq-edge.channels": ", ".join(f"{channel.name} [{channel.unit}]" for channel in config.channels),
        "fsq-edge.sample-rate-hz": f"{config.sample_rate_hz:g}",
        "fsq-edge.window-samples": str(config.window_samples),
        "fsq-edge.architectures": ", ".join(bundle.hef_architectures),
        "fsq-edge.manifest-sha256": hashlib.sha256(bundle.files[MANIFEST]).hexdigest(),
        "fsq-edge.signed": "yes" if bundle.has("signature") else "no",
        "fsq-edge.forced": "; ".join(described.forced),
    }


def _of_overlay(overlay: Overlay) -> dict[str, str]:
    record = overlay.record
    return {
        _TITLE: f"{record.bundle}-overlay",  # not the wearer: whoever may list a registry would learn who wears what
        "fsq-edge.classes": ", ".join(record.classes),
        "fsq-edge.channels": ", ".join(record.channels),
        "fsq-edge.bundle": record.bundle,
        "fsq-edge.network-sha256": record.network_sha256,
        "fsq-edge.signed": "yes" if overlay.signature else "no",
        "fsq-edge.forced": record.forced,
    }
