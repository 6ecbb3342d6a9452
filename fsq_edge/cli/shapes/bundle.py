"""What ``bundle`` and ``hef`` write with ``--json``."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from fsq_edge.cli.shapes import Nulls, Versioned, joined
from fsq_edge.cli.shapes.check import Check
from fsq_edge_compile.foreign.scores import ScoreAgreement
from fsq_edge_runtime.bundle.manifest import Manifest
from fsq_edge_runtime.bundle.selftest import SelfTestResult
from fsq_edge_runtime.findings import Severity
from fsq_edge_runtime.hef import HefReport, LoadVerdict


class Refused(Versioned):
    """A gate that refused the network; ``parity`` is the ladder of ``parity --json``, null where none was climbed."""

    status: str
    check: Check
    calibration: list[str]
    parity: dict[str, Any] | None


class OwnRefused(Versioned):
    """Gates that refused a network that was trained elsewhere, one line each."""

    status: Literal["built", "not built"]
    check: Check
    host_operators: list[str]
    calibration: list[str]
    parity: dict[Literal["onnx", "int8-preview"], ScoreAgreement | None]
    notes: list[str]
    shut: list[str]
    forced: list[str]


class TotalBytes(TypedDict):
    """Sizes of all files of a bundle, added up."""

    total_bytes: int


class SignatureChecked(TypedDict):
    """Whether ``--key`` was given."""

    signature_checked: bool


class HefRow(TypedDict):
    """A difference between a HEF and a bundle."""

    rule: str
    severity: Severity
    message: str
    limit: Any
    actual: Any
    fix: str


class AddHef(Versioned):
    """Whether the HEF is in the bundle now."""

    added: bool
    arch: str
    findings: list[HefRow]


class Install(Versioned):
    """What is installed now, and what a rollback returns to (empty: nothing)."""

    destination: str
    version: str
    previous: str
    already: bool
    selftest: SelfTestResult | None


class Sign(Versioned):
    """The public key, in hexadecimal digits."""

    signed: Literal[True]
    public_key: str


class Push(Versioned):
    """The address that names this content for ever."""

    address: str
    digest: str
    pinned: str


class Pull(Versioned):
    """What was fetched."""

    out: str
    digest: str
    pinned: str
    signature_checked: bool


class HefFit(TypedDict):
    """Whether a HEF fits the bundle."""

    fits: bool
    findings: list[HefRow]


class HefChecks(Versioned):
    """What ``--bundle`` and ``--device`` add."""

    bundle: NotRequired[HefFit]
    load: NotRequired[LoadVerdict]


_bundle = joined(Manifest, TotalBytes)
OUTPUTS = {
    "bundle add-hef": (AddHef,),
    "bundle build": (_bundle, Refused, OwnRefused),
    "bundle inspect": (_bundle,),
    "bundle install": (Install,),
    "bundle pull": (Pull,),
    "bundle push": (Push,),
    "bundle rollback": (Install,),
    "bundle sign": (Sign,),
    "bundle verify": (joined(Manifest, TotalBytes, SignatureChecked),),
    "hef inspect": (Nulls(joined(HefReport, HefChecks)),),
}
