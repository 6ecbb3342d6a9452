"""One thing that ``doctor`` has to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found and the line that mends it.

    Args:
        rule: stable identifier such as ``driver-version``.
        severity: ``error`` keeps the device from being used, ``warning`` may hurt, ``info`` is worth knowing.
        message: one sentence with the values found.
        fix: the line that mends it; empty where nothing is to be done.
        source: why this is known: a status code, a document, an observation.
    """

    rule: str
    severity: Severity
    message: str
    fix: str = ""
    source: str = ""
