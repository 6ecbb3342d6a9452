"""Reading a HEF without HailoRT, which crashes on some damaged files: the file is judged here first."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.hef import architecture as arch
from fsq_edge_runtime.hef.content import read_group
from fsq_edge_runtime.hef.hazards import find_hazard
from fsq_edge_runtime.hef.header import PAGE_BYTES, HeaderError, HefHeader, read_header
from fsq_edge_runtime.hef.report import HefReport, NetworkGroup
from fsq_edge_runtime.protobuf import FieldBudget, Message, WireError

MAX_GROUPS = 64
_CHUNK_BYTES = 1 << 20


def inspect_hef(source: str | Path | bytes, *, sha256: str | None = None) -> HefReport:
    """Read and verify a HEF.

    Args:
        source: path of the file, or its bytes.
        sha256: its digest where the caller has verified it already; None computes it.

    Returns:
        Everything the file says about itself; its length and every checksum hold.

    Raises:
        MissingInputError: there is no such file, or it cannot be read.
        DataError: it is not a HEF, is cut off or damaged, or says something that no compiler writes.

    Cost: two passes over the file (checksum and SHA-256) in 1 MiB blocks, and about a microsecond for each field of its
    programs; memory is the protobuf and at most twice that again for its fields.
    """
    if isinstance(source, bytes):
        return _inspect(io.BytesIO(source), len(source), "HEF", sha256)
    path = Path(source)
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise MissingInputError(f"{path}: not a regular file")
        with path.open("rb") as file:
            return _inspect(file, file.seek(0, io.SEEK_END), str(path), sha256)
    except OSError as error:
        raise MissingInputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _inspect(file: BinaryIO, size: int, label: str, sha256: str | None) -> HefReport:
    try:
        file.seek(0)
        header, proto = read_header(file, size)
        return _report(header, proto, size, sha256 or _sha256(file))
    except HeaderError as error:
        raise DataError(f"{label}: {error}", hint="fetch or compile the HEF again") from error
    except WireError as error:
        raise DataError(f"{label}: malformed HEF: {error}", hint="compile the HEF again") from error


def _sha256(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_CHUNK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _report(header: HefHeader, proto: bytes, size: int, sha256: str) -> HefReport:
    root = Message(memoryview(proto), "hef", FieldBudget())
    head = root.message(1, "header")
    architecture = arch.known_architecture(head.uint(1))
    extensions = tuple(item.uint(1) for item in root.messages(5, "extension"))
    optional = tuple(item.uint(1) for item in root.messages(6, "optional_extension"))
    if root.count(2) > MAX_GROUPS:
        raise WireError(f"hef: {root.count(2)} network groups, more than {MAX_GROUPS}")
    net_flow = arch.NET_FLOW in extensions and head.uint(4, bits=64) > 0  # HailoRT ignores them in format version 0
    groups, undeclared = [], False
    for group in root.messages(2, "network_group"):
        only_ops = 8 in group and not _has_contexts(group)
        undeclared = undeclared or (only_ops and not net_flow)
        groups.append(read_group(group, net_flow=net_flow or only_ops, partial=architecture.partial))
    if not groups:
        raise WireError("hef: no network groups: HailoRT would crash on this file")
    dfc_version = head.text(3)
    generation = architecture.generation
    return HefReport(
        file_bytes=size,
        sha256=sha256,
        header=header,
        architecture=architecture,
        dfc_version=dfc_version,
        timestamp_ms=head.uint(2, bits=64),
        groups=tuple(groups),
        extensions=tuple(f"{number}:{_extension_name(number)}" for number in extensions),
        strict_versioning=arch.STRICT_VERSIONING in extensions,
        minimum_hailort=arch.minimum_hailort(header.version, extensions, generation),
        generation=generation,
        paired_hailort=arch.paired_hailort(dfc_version),
        devices=architecture.devices,
        warnings=tuple(_warnings(header, architecture, extensions + optional, dfc_version, groups)),
        fault=find_hazard(
            proto,
            header.ccws_bytes - header.padding_bytes,
            net_flow=net_flow,
            partial=architecture.partial,
            undeclared=undeclared,
        ),
    )


def _has_contexts(group: Message) -> bool:
    """Whether the classic layout, with or without partial groups, has anything to run."""
    return 3 in group or any(3 in one.message(1, "network_group") for one in group.messages(7, "partial"))


def _extension_name(number: int) -> str:
    return arch.EXTENSIONS[number][0] if number in arch.EXTENSIONS else "unknown"


def _warnings(
    header: HefHeader,
    architecture: arch.Architecture,
    extensions: tuple[int, ...],
    dfc_version: str,
    groups: Sequence[NetworkGroup],
) -> Iterator[str]:
    if any(header.reserved):
        yield f"reserved header words are not zero: {[hex(word) for word in header.reserved]} (no checksum covers them)"
    if header.version == 3 and header.ccws_bytes and header.ccws_offset % PAGE_BYTES:
        yield f"the weights begin at byte {header.ccws_offset}, not on a page of {PAGE_BYTES} bytes"
    if not architecture.targets:
        yield f"architecture code {architecture.code} is not known: no statement about devices"
    if not dfc_version:
        yield "the DFC version is not recorded"
    if arch.PERIPHERY not in extensions and header.version >= 2:
        yield "the feature periph_calculation_in_hailort is missing: HailoRT from 4.18 on calls such a HEF outdated"
    if len(groups) > 1:
        yield f"{len(groups)} network groups: only the first, {groups[0].name!r}, is compared and run"
    for group in groups:
        for tensor in (*group.inputs, *group.outputs):
            quant = tensor.quant
            if not quant.scale > 0 or not quant.limit_min < quant.limit_max:
                yield f"{tensor.name}: scale {quant.scale:g} with limits [{quant.limit_min:g}, {quant.limit_max:g}]"
