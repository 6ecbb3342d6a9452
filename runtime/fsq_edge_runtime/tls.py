"""Whose certificates are trusted."""

from __future__ import annotations

import ssl
from pathlib import Path

from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.files import first_line


def tls_context(ca: str | None) -> ssl.SSLContext:
    """Return a context that checks certificates against ``ca``, or the system's authorities.

    Raises:
        MissingInputError: the file cannot be read.
        DataError: it holds no certificate authority.
    """
    if ca is not None and not Path(ca).is_file():
        raise MissingInputError(f"cannot read the certificate authority {ca}")
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise DataError(f"{ca} is not a certificate authority: {first_line(error)}") from error
