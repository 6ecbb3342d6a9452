"""The overlay: a small verified file that makes a bundle's network one wearer's own.

It is a zip in the one form that bundles have (:mod:`fsq_edge_runtime.bundle.zip_form`): ``overlay.json`` first, then
``arrays.npz``, then the signature where there is one; its comment is the SHA-256 of all bytes before it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.artefact import Artefact, StrictModel
from fsq_edge_runtime.bundle.archive import decode_archive, encode_archive
from fsq_edge_runtime.bundle.signature import SIGNATURE_PATH, SignatureFile, sign_bytes, verify_bytes
from fsq_edge_runtime.errors import BundleError, DataError
from fsq_edge_runtime.faults import first_fault
from fsq_edge_runtime.files import read_bounded, write_file
from fsq_edge_runtime.npz import npz_bytes, read_arrays
from fsq_edge_runtime.personal.guard import DIRECTIONS, PROTOTYPES, Range
from fsq_edge_runtime.tail import MAX_CODES

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

OVERLAY: Final = "overlay.json"
ARRAYS: Final = "arrays.npz"
MAX_OVERLAY_BYTES: Final = 64 * 1024 * 1024
MAX_WEARER: Final = 64
MAX_WEIGHT: Final = 1e6
_DOMAIN: Final = b"fsq-edge overlay signature 1\n"
_AGAIN: Final = "fsq-edge personalize BUNDLE makes an overlay for this bundle"


class ClassScore(StrictModel):
    """How one class did on windows that were held out while fitting.

    Attributes:
        name: of the class.
        windows: of the wearer.
        recall_before: of the base head, 0 to 1.
        recall_after: of the personal head, 0 to 1.
    """

    name: str
    windows: int = Field(ge=0)
    recall_before: float = Field(ge=0, le=1)
    recall_after: float = Field(ge=0, le=1)


class OverlayRecord(Artefact):
    """``overlay.json``: whose it is, for which network, and how it was made.

    Attributes:
        wearer: as given when it was made.
        method: ``head`` reads the features, ``table`` the codes.
        strength: of the wearer's windows against the training's, see :class:`fsq_edge_runtime.personal.heads.Choice`.
        scale: factor on the scores before the softmax.
        margin: score by which a new class has to lead.
        reach: see :class:`fsq_edge_runtime.personal.guard.Range`.
        classes: of the bundle, then the new ones.
        known: how many of them are the bundle's.
        channels: ``name [unit]`` of the bundle's channels.
        network_sha256: :func:`network_digest` of the bundle.
        bundle: name of the bundle.
        recordings: stretches that the windows came from.
        macro_f1_before: of the base head on held-out windows of the wearer.
        macro_f1_after: of the personal head on those windows.
        scores: by class.
        forced: why it was made in spite of a refusal; empty when none was in the way.
        arrays_sha256: of ``arrays.npz``.
    """

    KIND: ClassVar[str] = OVERLAY

    wearer: str = Field(min_length=1, max_length=MAX_WEARER)
    method: Literal["head", "table"]
    strength: float = Field(gt=0, le=1e6)
    scale: float = Field(gt=0, le=1e6)
    margin: float = Field(default=0.0, ge=0, le=10)
    reach: float = Field(gt=0, le=1e6)
    classes: tuple[str, ...] = Field(min_length=2, max_length=4096)
    known: int = Field(ge=2)
    channels: tuple[str, ...]
    network_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bundle: str
    recordings: int = Field(ge=1)
    macro_f1_before: float = Field(ge=0, le=1)
    macro_f1_after: float = Field(ge=0, le=1)
    scores: tuple[ClassScore, ...] = ()
    forced: str = ""
    arrays_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _names_are_names(self) -> Self:
        names = (self.wearer, *self.classes)
        if len(set(self.classes)) != len(self.classes) or not all(name.isprintable() and name for name in names):
            raise ValueError("wearer and classes must be printable, the classes different")
        if self.known > len(self.classes):
            raise ValueError("more known classes than classes")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """An opened, verified overlay.

    Attributes:
        record: what it says of itself.
        weights: (F + 1, K) float32 for features in steps, the last row the bias; or (codes, K) log-probabilities.
        range: where the wearer's windows were.
        signature: made by whom; None when it is not signed.
    """

    record: OverlayRecord
    weights: Float32Array
    range: Range
    signature: SignatureFile | None = None

    @classmethod
    def make(cls, weights: Float32Array, found: Range, **facts: Any) -> Overlay:
        """Return an overlay; equal input gives equal bytes.

        Args:
            weights: as the attribute.
            found: as the attribute ``range``.
            facts: fields of :class:`OverlayRecord`, without ``reach`` and ``arrays_sha256``.

        Raises:
            DataError: a field is out of range.
        """
        digest = hashlib.sha256(_pack(weights, found)).hexdigest()
        try:
            record = OverlayRecord(reach=found.reach, arrays_sha256=digest, **facts)
        except ValidationError as error:
            field, words, _ = first_fault(error)
            raise DataError(f"the overlay cannot be made: {field}: {words}") from error
        return cls(record, weights, found)

    @classmethod
    def open(cls, path: str | Path) -> Overlay:
        """Read and verify an overlay.

        Raises:
            MissingInputError: no such file.
            DataError: damaged, not in its one form, an unknown version, or values out of range.
        """
        path = Path(path)
        return cls.from_bytes(read_bounded(path, MAX_OVERLAY_BYTES, what="the overlay"), origin=str(path))

    @classmethod
    def from_bytes(cls, data: bytes, *, origin: str = "the overlay") -> Overlay:
        """Read and verify the bytes of an overlay; errors as :meth:`open`."""
        try:
            files = decode_archive(data)
        except BundleError as error:
            message = error.message.replace("a bundle", "an overlay").replace("the bundle", "the overlay")
            raise DataError(f"{origin}: {message}", hint=_AGAIN) from error
        names = list(files)
        if names not in ([OVERLAY, ARRAYS], [OVERLAY, ARRAYS, SIGNATURE_PATH]):
            raise DataError(f"{origin} is not an overlay: it holds {', '.join(names[:4])[:120]}", hint=_AGAIN)
        record = OverlayRecord.from_json(files[OVERLAY], origin=OVERLAY)
        if hashlib.sha256(files[ARRAYS]).hexdigest() != record.arrays_sha256:
            raise DataError(f"{origin}: {ARRAYS} does not match its SHA-256 in {OVERLAY}", hint=_AGAIN)
        weights, found = _unpack(files[ARRAYS], record)
        signed = files.get(SIGNATURE_PATH)
        signature = None if signed is None else SignatureFile.from_json(signed, origin=SIGNATURE_PATH)
        return cls(record, weights, found, signature)

    def to_bytes(self) -> bytes:
        """Return the file, the same bytes for the same content."""
        files = {OVERLAY: self.record.to_json().encode(), ARRAYS: _pack(self.weights, self.range)}
        if self.signature is not None:
            files[SIGNATURE_PATH] = self.signature.to_json().encode()
        return encode_archive(files)

    def save(self, path: str | Path) -> None:
        """Write the file whole or not at all."""
        write_file(Path(path), self.to_bytes())

    def signed(self, private_key: bytes) -> Overlay:
        """Return the overlay with a signature.

        Raises:
            UnavailableError: the package cryptography is not installed.
            DataError: not an Ed25519 private key in PEM.
        """
        return Overlay(self.record, self.weights, self.range, sign_bytes(self._signed_content(), private_key))

    def check_signature(self, public_key: bytes) -> None:
        """Return if the overlay was signed with the private half of this key.

        Raises:
            UnavailableError: the package cryptography is not installed.
            DataError: not such a key, not signed, or signed with another one.
        """
        if self.signature is None:
            raise DataError("the overlay is not signed", hint="fsq-edge personalize ... --sign PRIVATE.pem")
        verify_bytes(self._signed_content(), self.signature, public_key, "the overlay")

    def _signed_content(self) -> bytes:
        return _DOMAIN + json.dumps(self.record.to_dict(), sort_keys=True, separators=(",", ":")).encode()

    def require(self, bundle: Bundle) -> None:
        """Return if the overlay was made for this bundle's network.

        A bundle that was tuned, signed, or given a HEF since then has the same network.

        Raises:
            DataError: other channels, other classes, or another network.
        """
        channels = channel_texts(bundle)
        if self.record.channels != channels:
            raise DataError(
                f"the overlay of {self.record.wearer!r} is for the channels {', '.join(self.record.channels)[:200]}, "
                f"the bundle has {', '.join(channels)[:200]}",
                hint=_AGAIN,
            )
        if self.record.network_sha256 != network_digest(bundle):
            raise DataError(
                f"the overlay of {self.record.wearer!r} was made for another network, {self.record.bundle[:80]!r}",
                hint=_AGAIN,
            )
        rows = bundle.features + 1 if self.record.method == "head" else bundle.tail.n_answers
        looked_at = bundle.features if self.record.method == "head" else bundle.tail.width
        if len(self.weights) != rows or len(self.range.directions) != looked_at:
            raise DataError(f"the overlay's arrays {self.weights.shape} do not fit the bundle's head", hint=_AGAIN)
        if self.record.classes[: self.record.known] != bundle.classes:
            raise DataError("the overlay's classes are not the bundle's", hint=_AGAIN)


def channel_texts(bundle: Bundle) -> tuple[str, ...]:
    """Return ``name [unit]`` of every channel."""
    return tuple(f"{channel.name} [{channel.unit}]" for channel in bundle.preprocess.channels)


def network_digest(bundle: Bundle) -> str:
    """Return the SHA-256 (hex) of what an overlay depends on: preprocessing, device graph, head, classes, statistics.

    Decision settings, HEFs and signatures are not among them, so a bundle that is tuned or signed keeps its overlays.
    """
    hashes = {entry.role: entry.sha256 for entry in bundle.manifest.files if entry.arch is None}
    parts = {
        "preprocess": bundle.manifest.preprocess_sha256,
        "classes": bundle.classes,
        **{role: hashes.get(role) for role in ("encoder", "head", "features")},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _pack(weights: Float32Array, found: Range) -> bytes:
    return npz_bytes(weights=weights, directions=found.directions, points=found.points)


def _unpack(data: bytes, record: OverlayRecord) -> tuple[Float32Array, Range]:
    try:
        weights, directions, points = read_arrays(data, ("weights", "directions", "points"))
    except ValueError as error:
        raise DataError(f"the overlay's arrays cannot be read: {error}", hint=_AGAIN) from error
    kinds = [array.dtype.str for array in (weights, directions, points)]
    sound = (
        kinds == ["<f4", "<f2", "<f2"]
        and weights.ndim == directions.ndim == points.ndim == 2
        and weights.shape[1] == len(record.classes)
        and 0 < len(weights) <= MAX_CODES
        and 0 < directions.shape[1] == points.shape[1] <= max(DIRECTIONS, 64)
        and 0 < len(points) <= PROTOTYPES
    )
    if not sound or not all(_bounded(array) for array in (weights, directions, points)):
        raise DataError("the overlay's arrays have sizes or values that none can have", hint=_AGAIN)
    return weights, Range(directions, points, record.reach)


def _bounded(array: AnyArray) -> bool:
    return bool((np.abs(array.astype(np.float32)) <= MAX_WEIGHT).all())  # NaN is not less
