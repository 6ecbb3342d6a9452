"""Where an artefact lies in a registry, as people type it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fsq_edge_runtime.addresses import check_host, redacted
from fsq_edge_runtime.errors import UsageError

SCHEME = "oci://"
FORM = "oci://HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]"
# The names that the distribution specification allows.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?")
_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|\[::1\]")


@dataclass(frozen=True, slots=True)
class RegistryAddress:
    """A place in a registry.

    Attributes:
        host: with its port where one was given.
        repository: name of the artefact's place.
        tag: empty where only a digest was given.
        digest: ``sha256:`` and 64 hex digits, of the artefact's manifest; empty where none was given.
    """

    host: str
    repository: str
    tag: str
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> RegistryAddress:
        """Read ``oci://HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]``; without tag and digest the tag is ``latest``.

        Raises:
            UsageError: another form, or a password in it.

        Example:
            >>> RegistryAddress.parse("oci://localhost:5000/dogs/collar:1.4")
            RegistryAddress(host='localhost:5000', repository='dogs/collar', tag='1.4', digest='')
        """
        if not text.startswith(SCHEME):
            raise UsageError(f"{redacted(text)!r} is no address in a registry", hint=FORM)
        host, slash, rest = text.removeprefix(SCHEME).partition("/")
        if "@" in host:
            raise UsageError(f"{redacted(text)!r}: an address has no password", hint="docker login HOST keeps it")
        rest, at, digest = rest.partition("@")
        repository, colon, tag = rest.partition(":")
        tag = tag if colon else "" if at else "latest"
        found = _HOST.fullmatch(host)
        sound = found and _REPOSITORY.fullmatch(repository) and (not colon or _TAG.fullmatch(tag))
        if not (slash and found and sound) or (at and not _DIGEST.fullmatch(digest)):
            raise UsageError(f"{redacted(text)!r} is no address in a registry", hint=FORM)
        check_host(found["name"].strip("[]"), text)
        return cls(host, repository, tag, digest)

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on this machine, where plain HTTP needs no asking."""
        found = _HOST.fullmatch(self.host)
        return found is not None and _LOOPBACK.fullmatch(found["name"]) is not None

    @property
    def reference(self) -> str:
        """The digest where there is one, else the tag."""
        return self.digest or self.tag

    def pinned(self, digest: str) -> str:
        """Return the address of one very content, whatever the tag names later."""
        return f"{SCHEME}{self.host}/{self.repository}@{digest}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{SCHEME}{self.host}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")
