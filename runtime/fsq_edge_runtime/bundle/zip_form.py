"""The one way in which a bundle's zip is written: stored, dated 1980, no extra fields, no slack.

Source: PKWARE's APPNOTE, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fsq_edge_runtime.errors import BundleError

COMMENT_BYTES: Final = 64
LOCAL_MAGIC: Final = b"PK\x03\x04"
FETCH_AGAIN: Final = "fetch or build the bundle again"
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION, _UNIX, _MODE = 20, 3, 0o100644
_DATE = 0x21  # the first of January 1980, the earliest that a zip can say
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}(/[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}){0,3}")


def is_safe_name(name: str) -> bool:
    """Return whether ``name`` is a plain relative path: ASCII, no ``..``, no leading dot or slash, at most 4 levels."""
    return _SAFE_NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One file of the zip: stored, dated 1980, no extra field, no comment.

    Attributes:
        name: ASCII.
        crc: CRC-32 of the content.
        size: of the content.
        offset: where the local header begins.
    """

    name: bytes
    crc: int
    size: int
    offset: int

    @property
    def stored_bytes(self) -> int:
        """Local header and content."""
        return _LOCAL.size + len(self.name) + self.size

    def local_header(self) -> bytes:
        """Return the header that stands before the content."""
        sizes = (self.crc, self.size, self.size, len(self.name), 0)
        return _LOCAL.pack(LOCAL_MAGIC, _VERSION, 0, 0, 0, _DATE, *sizes) + self.name

    def directory_entry(self) -> bytes:
        """Return the entry of the central directory."""
        sizes = (self.crc, self.size, self.size, len(self.name), 0, 0, 0, 0)
        unix = _UNIX << 8 | _VERSION
        fixed = (b"PK\x01\x02", unix, _VERSION, 0, 0, 0, _DATE)
        return _CENTRAL.pack(*fixed, *sizes, _MODE << 16, self.offset) + self.name


def read_entry(body: memoryview, offset: int) -> tuple[StoredEntry, memoryview]:
    """Return the entry at an offset and its content.

    Args:
        body: the zip without its comment.
        offset: where a local header begins.

    Raises:
        BundleError: cut off, compressed, of an unsafe name, or not as :meth:`StoredEntry.local_header` writes it.
    """
    header = bytes(body[offset : offset + _LOCAL.size])
    if len(header) < _LOCAL.size:
        raise BundleError("the bundle's zip structure is damaged: a header is cut off", hint=FETCH_AGAIN)
    method, crc, size, name_bytes = (_LOCAL.unpack(header)[place] for place in (3, 6, 8, 9))
    start = offset + _LOCAL.size
    name = bytes(body[start : start + name_bytes])
    content = body[start + name_bytes : start + name_bytes + size]
    if method != 0:
        raise BundleError("the bundle is not canonical: an entry is compressed", hint=FETCH_AGAIN)
    shown = name.decode("ascii", "backslashreplace")
    if not is_safe_name(shown):
        raise BundleError(f"the bundle holds a file with an unsafe name: {shown[:80]!r}", hint=FETCH_AGAIN)
    entry = StoredEntry(name, crc, size, offset)
    if len(content) != size or header + name != entry.local_header() or zlib.crc32(content) != crc:
        raise BundleError(f"the bundle is not in canonical form at {shown!r}", hint=FETCH_AGAIN)
    return entry, content


def directory(entries: Sequence[StoredEntry], offset: int) -> bytes:
    """Return the central directory and the end record, which announces the comment."""
    listed = b"".join(entry.directory_entry() for entry in entries)
    counts = (0, 0, len(entries), len(entries))
    return listed + _END.pack(b"PK\x05\x06", *counts, len(listed), offset, COMMENT_BYTES)
