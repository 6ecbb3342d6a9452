"""Bundles made: of their parts, or with a change from an older one, which is never touched."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fsq_edge_runtime.bundle.archive import MANIFEST
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.manifest import REQUIRED_ROLES, BundleFile, Manifest, Role
from fsq_edge_runtime.errors import BundleError, UsageError
from fsq_edge_runtime.faults import first_fault
from fsq_edge_runtime.findings import Finding
from fsq_edge_runtime.hef import HefRecord, HefReport, compare_hef, inspect_hef
from fsq_edge_runtime.preprocess import PreprocessConfig

MAX_REASON = 200  # characters of a reason for forcing


def with_files(
    bundle: Bundle,
    changes: Mapping[tuple[Role, str | None], tuple[str, bytes] | None],
    *,
    forced: Sequence[str] = (),
) -> Bundle:
    """Return a bundle with files added, replaced or (None) removed.

    Args:
        bundle: the verified bundle.
        changes: (role, architecture of a HEF or None) -> (path inside the bundle, content), or None to remove it.
        forced: lines to add to the manifest's record of overridden gates.

    Raises:
        BundleError: the result does not fit together.
    """
    files = {MANIFEST: b"", **bundle.files}
    entries: list[BundleFile] = []
    for entry in bundle.manifest.files:
        if (entry.role, entry.arch) in changes:
            del files[entry.path]
        else:
            entries.append(entry)
    for (role, arch), change in changes.items():
        if change is None:
            continue
        path, data = change
        digest = hashlib.sha256(data).hexdigest()
        entries.append(BundleFile(path=path, role=role, bytes=len(data), sha256=digest, arch=arch))
        files[path] = data
    values = bundle.manifest.model_dump()
    values["files"] = tuple(entry.model_dump() for entry in entries)
    values["forced"] = tuple(dict.fromkeys((*bundle.manifest.forced, *forced)))
    manifest = Manifest.model_validate(values)
    return Bundle.from_files({**files, MANIFEST: manifest.to_json().encode()}, origin=bundle.origin)


@dataclass(frozen=True, slots=True)
class AddedHef:
    """What :func:`add_hef` did.

    Attributes:
        bundle: the new bundle; None when the HEF does not fit and was not forced.
        arch: architecture it is filed under.
        report: what the HEF says.
        findings: comparison with the bundle.
        replaced: the bundle had a HEF for this architecture.
        unsigned: the bundle was signed; the signature was dropped because the content changed.
    """

    bundle: Bundle | None
    arch: str
    report: HefReport
    findings: tuple[Finding, ...]
    replaced: bool
    unsigned: bool


def check_reason(reason: str) -> None:
    """Refuse a reason for forcing that cannot be recorded; an empty one forces nothing.

    Raises:
        UsageError: it is not one printable line, or longer than ``MAX_REASON`` characters.
    """
    if reason and (not reason.isprintable() or len(reason) > MAX_REASON):
        raise UsageError(f"the reason must be one line of at most {MAX_REASON} characters")


def add_hef(
    bundle: Bundle, hef: bytes, *, arch: str | None = None, force: str = "", record: HefRecord | None = None
) -> AddedHef:
    """Inspect a HEF, compare it with the bundle and file it under its architecture.

    Args:
        bundle: the verified bundle.
        hef: the HEF's bytes.
        arch: the target it was compiled for; None takes it from the file.
        force: why a HEF that does not fit shall be taken all the same; recorded in the manifest. Damage cannot be
            forced.
        record: what the compilation wrote beside the HEF; gates forced there go into the manifest too.

    Raises:
        DataError: the HEF is damaged or of an unknown architecture.
        UsageError: the HEF was compiled for another target than ``arch``, or the reason is not one printable line.
    """
    check_reason(force)
    report = inspect_hef(hef)
    targets = report.architecture.targets
    if not targets:
        raise BundleError(f"the HEF is for the unknown architecture {report.architecture.code}")
    if arch is not None and arch not in targets:
        raise UsageError(f"the HEF was compiled for {' or '.join(targets)}, not for {arch}")
    target = arch or targets[0]
    findings = compare_hef(report, bundle, record)
    errors = sorted({finding.rule for finding in findings if finding.severity == "error"})
    replaced = target in bundle.hef_architectures
    unsigned = bundle.has("signature")
    if errors and not force:
        return AddedHef(None, target, report, findings, replaced, unsigned=False)
    forced = [f"compile {target}: {line}" for line in (record.forced if record else ())]
    if errors:
        forced.append(f"add-hef {target} in spite of {', '.join(errors)}: {force}")
    changes: dict[tuple[Role, str | None], tuple[str, bytes] | None] = {("hef", target): (f"hef/{target}.hef", hef)}
    if unsigned:
        changes["signature", None] = None
    return AddedHef(with_files(bundle, changes, forced=forced), target, report, findings, replaced, unsigned)


def make_bundle(
    name: str,
    classes: tuple[str, ...],
    parts: Mapping[tuple[Role, str | None], tuple[str, bytes]],
    **facts: Any,
) -> Bundle:
    """Assemble and verify a bundle in memory; equal input gives equal bytes.

    Args:
        name: of the model.
        classes: labels in the order of the logits.
        parts: (role, architecture of a HEF or None) -> (path inside the bundle, content), in archive order.
        facts: further fields of :class:`Manifest` (versions, provenance, check, parity, forced).

    Raises:
        UsageError: a required role is missing.
        BundleError: the parts do not fit together.
    """
    given = {role for role, _ in parts}
    lacking = [role for role in REQUIRED_ROLES if role not in given]
    if lacking:
        raise UsageError(f"a bundle needs the parts {', '.join(lacking)}")
    entries = tuple(
        BundleFile(path=path, role=role, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), arch=arch)
        for (role, arch), (path, data) in parts.items()
    )
    preprocess = PreprocessConfig.from_json(parts["preprocess", None][1], origin="preprocess.json")
    try:
        manifest = Manifest(name=name, classes=classes, files=entries, preprocess_sha256=preprocess.digest(), **facts)
    except ValidationError as error:
        field, words, _ = first_fault(error)
        raise BundleError(f"the bundle cannot be made: {field or 'manifest'}: {words}") from error
    files = {MANIFEST: manifest.to_json().encode(), **dict(parts.values())}
    return Bundle.from_files(files)
