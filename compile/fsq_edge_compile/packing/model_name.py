"""The name of a model, made from what its data set calls itself. A device install can import this."""

from __future__ import annotations

import re


def plain_name(text: str) -> str:
    """Return a model name made of letters, digits, ``_`` and ``-``: what a data set calls itself may be any text.

    Example:
        >>> plain_name("Dog (left), v2.1")
        'Dog_left_v2_1'
    """
    return re.sub(r"[^A-Za-z0-9_\-]+", "_", text).strip("_")[:64] or "model"
