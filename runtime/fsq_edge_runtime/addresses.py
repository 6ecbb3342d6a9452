"""Addresses of sources and sinks as users type them, without the secrets that they may hold."""

from __future__ import annotations

import re
from ipaddress import ip_address

from fsq_edge_runtime.errors import UsageError

_SECRETS = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*:(?://)?)?.*@", re.DOTALL)
_LABEL = re.compile(r"[^\s.@/\x00-\x1f]{1,63}")


def redacted(text: str) -> str:
    """Return an address fit for messages: what stands before its last ``@``, and its query, are left out.

    Example:
        >>> redacted("mqt://me:secret@broker/dogs?qos=1")
        'mqt://***@broker/dogs'
    """
    if text.startswith("webhook:") and not text.startswith("webhook:env:"):
        return "webhook:***"  # its path is a secret, too
    address, _, query = text.partition("?")
    if "@" in query:  # a password may hold a question mark
        address = text
    return _SECRETS.sub(r"\1***@", address)


def check_host(host: str, text: str) -> str:
    """Return the host's name if a resolver can be asked for it.

    Raises:
        UsageError: a part of it is empty, too long, or holds white space.
    """
    labels = host.removesuffix(".").split(".")
    if ":" not in host and (len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels)):
        raise UsageError(f"{redacted(text)!r}: {host[:80]!r} is not a host name")
    return host


def is_loopback(host: str) -> bool:
    """Return whether the value of a Host header, with or without a port, names this machine.

    Example:
        >>> is_loopback("[::1]:8080"), is_loopback("localhost"), is_loopback("127.0.0.1.example.com")
        (True, True, False)
    """
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if name == "localhost":
        return True
    try:
        return ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
