"""``manifest.json``: the list of a bundle's files, and what is known about its model."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from fsq_edge_runtime.artefact import Artefact, StrictModel
from fsq_edge_runtime.bundle.archive import MANIFEST

Role = Literal[
    "preprocess",
    "encoder",
    "encoder-batch",
    "encoder-int8",
    "host",
    "head",
    "head-int8",
    "decision",
    "decision-int8",
    "stream",
    "events",
    "features",
    "fingerprint",
    "selftest",
    "calibration",
    "hef",
    "signature",
    "report",
]

MAX_LABEL: Final = 128  # characters of a class name
REQUIRED_ROLES: Final = ("preprocess", "encoder", "head", "decision", "fingerprint", "selftest")


class BundleFile(StrictModel):
    """One file of the bundle.

    Attributes:
        path: name inside the bundle.
        role: what it is for; each role but ``hef`` occurs at most once.
        bytes: exact length.
        sha256: of its content, hex.
        arch: target architecture of a HEF.
    """

    path: str
    role: Role
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    arch: str | None = None


class Manifest(Artefact):
    """``manifest.json``: the list of files and what is known about the model.

    Attributes:
        name: of the model; letters, digits, ``_`` and ``-``.
        classes: labels in the order of the logits.
        files: every other file of the bundle, in archive order.
        preprocess_sha256: :meth:`PreprocessConfig.digest`; the calibration set and the head were made with it.
        versions: packages that made the bundle.
        provenance: data set, split, seed, revision and metrics of the training run.
        check: verdict of the compatibility check, by architecture.
        parity: rungs of the parity ladder with their figures.
        forced: each gate that was overridden with ``--force``, with the reason.
    """

    KIND: ClassVar[str] = MANIFEST

    name: str = Field(pattern=r"^[A-Za-z0-9_\-]{1,64}$")
    classes: tuple[str, ...] = Field(min_length=2, max_length=4096)
    files: tuple[BundleFile, ...] = Field(max_length=255)
    preprocess_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    versions: dict[str, str] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)
    check: dict[str, str] = Field(default_factory=dict)
    parity: dict[str, Any] = Field(default_factory=dict)
    forced: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _roles_are_whole(self) -> Self:
        roles = [entry.role for entry in self.files if entry.role != "hef"]
        missing = [role for role in REQUIRED_ROLES if role not in roles]
        if missing or len(set(roles)) != len(roles):
            raise ValueError(f"roles missing: {missing}" if missing else "a role occurs twice")
        unprintable = [name for name in self.classes if not name.isprintable() or not 0 < len(name) <= MAX_LABEL]
        if unprintable or len(set(self.classes)) != len(self.classes):
            # Labels go to terminals and logs: an escape sequence in one is an attack, not a label.
            raise ValueError("class names must be different, printable and at most 128 characters")
        targets = [entry.arch for entry in self.files if entry.role == "hef"]
        if None in targets or len(set(targets)) != len(targets):
            raise ValueError("each HEF needs an architecture of its own")
        if len({entry.path for entry in self.files}) != len(self.files):
            raise ValueError("a path occurs twice")
        return self
