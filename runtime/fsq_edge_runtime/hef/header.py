"""The HEF file header of all four versions: layout, exact length, checksum.

All header integers are big-endian. The checksum covers every byte after the header; reserved words lie outside it.

Source: HailoRT's MIT-licensed sources (hef_internal.hpp).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import xxhash

MAGIC = 0x01484546
COMMON = struct.Struct(">III")  # magic, version, proto_size
# version -> (rest of the header, name of the checksum)
DISTINCT = {
    0: (struct.Struct(">I16s"), "md5"),
    1: (struct.Struct(">IQI"), "crc32"),
    2: (struct.Struct(">QQQQ"), "xxh3_64"),
    3: (struct.Struct(">QQIQQQ"), "xxh3_64"),
}
MAX_PROTO_BYTES = 64 << 20
MAX_FILE_BYTES = 2 << 30
PAGE_BYTES = 4096  # version 3 pads the weights to a page
_CHUNK_BYTES = 1 << 20


class HeaderError(ValueError):
    """The header or the length or a checksum is wrong."""


@dataclass(frozen=True, slots=True)
class HefHeader:
    """The header's numbers, verified.

    Attributes:
        version: 0 to 3.
        header_bytes: size of the header itself.
        proto_bytes: size of the protobuf that follows it.
        ccws_bytes: size of the weights after the protobuf, padding included (0 in version 0: they are inside it).
        padding_bytes: version 3: padding inside ``ccws_bytes``.
        additional_bytes: version 3: additional information at the end of the file.
        checksum_kind: ``md5``, ``crc32`` or ``xxh3_64``.
        checksum: hexadecimal digest of everything after the header.
        proto_checksum: version 3 of HailoRT 5.x: hexadecimal xxh3_64 of the protobuf alone; empty when not given.
        reserved: reserved words of the header; all zero in every file seen.
    """

    version: int
    header_bytes: int
    proto_bytes: int
    ccws_bytes: int
    padding_bytes: int
    additional_bytes: int
    checksum_kind: str
    checksum: str
    proto_checksum: str
    reserved: tuple[int, ...]

    @property
    def ccws_offset(self) -> int:
        """Where the weights begin, after the padding."""
        return self.header_bytes + self.proto_bytes + self.padding_bytes

    @property
    def file_bytes(self) -> int:
        """The exact length the file must have."""
        return self.header_bytes + self.proto_bytes + self.ccws_bytes + self.additional_bytes


def read_header(file: BinaryIO, size: int) -> tuple[HefHeader, bytes]:
    """Read and verify a HEF's header, length and checksums.

    Args:
        file: the HEF, at its start.
        size: the file's length in bytes.

    Returns:
        The header, and the protobuf's bytes.

    Raises:
        HeaderError: too short, foreign, of an unknown version, of the wrong length, or damaged.

    Cost: one pass over the file in blocks of 1 MiB; memory is bounded by the protobuf's limit of 64 MiB.
    """
    header = _parse_header(file.read(COMMON.size), file, size)
    if size != header.file_bytes:
        difference = "cut off" if size < header.file_bytes else "has bytes after the end"
        raise HeaderError(f"the file {difference}: {size} bytes, its header says {header.file_bytes}")
    proto = file.read(header.proto_bytes)
    if len(proto) != header.proto_bytes:
        raise HeaderError(f"the file shrank while it was read: {len(proto)} of {header.proto_bytes} bytes")
    _check_padding(header, file)
    found = _digest(header.checksum_kind, proto, file)
    if found != header.checksum:
        raise HeaderError(f"damaged: {header.checksum_kind} is {found}, the header says {header.checksum}")
    if header.proto_checksum and header.proto_checksum != xxhash.xxh3_64_hexdigest(proto):
        raise HeaderError(f"damaged: the protobuf's xxh3_64 is not {header.proto_checksum} as the header says")
    return header, proto


def _parse_header(common: bytes, file: BinaryIO, size: int) -> HefHeader:
    if len(common) < COMMON.size:
        raise HeaderError(f"too short for a HEF: {len(common)} bytes")
    magic, version, proto_bytes = COMMON.unpack(common)
    if magic != MAGIC:
        raise HeaderError(f"not a HEF: it starts with {common[:4].hex()}, a HEF with {MAGIC:08x}")
    if version not in DISTINCT:
        raise HeaderError(f"HEF header version {version} is not known (known: 0, 1, 2, 3)")
    layout, kind = DISTINCT[version]
    rest = file.read(layout.size)
    if len(rest) < layout.size:
        raise HeaderError(f"cut off inside the header: {size} bytes, it has {COMMON.size + layout.size}")
    if proto_bytes > MAX_PROTO_BYTES or size > MAX_FILE_BYTES:
        limits = f"limits {MAX_PROTO_BYTES} and {MAX_FILE_BYTES}"
        raise HeaderError(f"too large: protobuf {proto_bytes} bytes, file {size} bytes ({limits})")
    ccws = padding = additional = proto_checksum = 0
    if version == 0:
        *reserved, digest = layout.unpack(rest)
        checksum = digest.hex()
    elif version == 1:
        crc, ccws, *reserved = layout.unpack(rest)
        checksum = f"{crc:08x}"
    elif version == 2:
        xxh3, ccws, *reserved = layout.unpack(rest)
        checksum = f"{xxh3:016x}"
    else:
        xxh3, ccws, padding, additional, proto_checksum, *reserved = layout.unpack(rest)
        checksum = f"{xxh3:016x}"
        if padding > ccws:
            raise HeaderError(f"padding of {padding} bytes is larger than the {ccws} bytes of weights that hold it")
    return HefHeader(
        version=version,
        header_bytes=COMMON.size + layout.size,
        proto_bytes=proto_bytes,
        ccws_bytes=ccws,
        padding_bytes=padding,
        additional_bytes=additional,
        checksum_kind=kind,
        checksum=checksum,
        proto_checksum=f"{proto_checksum:016x}" if proto_checksum else "",
        reserved=tuple(reserved),
    )


def _check_padding(header: HefHeader, file: BinaryIO) -> None:
    """The padding's size lies outside every checksum: it must align the weights, and be zeros."""
    if not header.padding_bytes:
        return
    if header.ccws_offset % PAGE_BYTES and header.ccws_bytes % PAGE_BYTES:
        raise HeaderError(f"padding of {header.padding_bytes} bytes does not align the weights to {PAGE_BYTES} bytes")
    start = file.tell()
    if file.read(min(header.padding_bytes, _CHUNK_BYTES)).strip(b"\0"):
        raise HeaderError(f"the padding of {header.padding_bytes} bytes is not all zeros")
    file.seek(start)


def _digest(kind: str, proto: bytes, file: BinaryIO) -> str:
    blocks = _blocks(proto, file)
    if kind == "crc32":
        crc = 0
        for block in blocks:
            crc = zlib.crc32(block, crc)
        return f"{crc:08x}"
    digest = hashlib.md5(usedforsecurity=False) if kind == "md5" else xxhash.xxh3_64()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _blocks(proto: bytes, file: BinaryIO) -> Iterator[bytes]:
    yield proto
    while block := file.read(_CHUNK_BYTES):
        yield block
