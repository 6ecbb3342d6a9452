"""The wheel for a device: what runs, looks at and measures a bundle, cut out of the whole wheel.

It has the same name and the version ``VERSION+device``, so it satisfies ``fsq-edge==VERSION``. It leaves out what the
base install cannot run anyway: data, training, checking, reports, and most pages.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tokenize
import zipfile
from pathlib import Path

from fsq_edge_runtime.errors import DataError

LABEL = "device"
MOST_BYTES = 600_000
# The verbs of a device, and what their modules import; ``make bare`` runs them without the rest.
VERBS = (
    "alerts", "bench", "bundle", "completion", "docs", "doctor", "hef", "main", "output", "options", "run", "service",
)  # fmt: skip
# What a device runs with; any other extra needs modules that this wheel leaves out.
EXTRAS = frozenset(("alerts", "metrics", "monitor", "mqtt", "oci", "parquet", "serial", "sign"))
PAGES = ["device-install", "exit-codes", "troubleshooting"]
# They need an extra that a device has not, the stand-in for a device, or a checkout of the project.
NO_BENCH = ["charts", "checkouts", "layers", "onnx_network", "page", "pair_block", "stand_in", "torch_backend"]
NO_MEASURE = ["fixed_bundle", "onlookers", "twins"]  # only suites import them
KEPT = re.compile(
    rf"fsq_edge/(__init__|__main__|cli/__init__|cli/({'|'.join(VERBS)})(_\w+)?|cli/endings"
    r"|report/(__init__|document|terminal))\.py"
    rf"|fsq_edge/_pages/({'|'.join(PAGES)})\.md"
    rf"|fsq_edge_benchmarks/(__init__|bench/(?!({'|'.join(NO_BENCH)})\.).*|measure/(?!({'|'.join(NO_MEASURE)})\.).*)\.py"
    r"|fsq_edge_runtime/(?!testing/|py\.typed|counted_scores\.|metrics/.*\.(json|yml)).*"
    r"|[^/]+\.dist-info/(?!RECORD).*"
)


def device_wheel(whole: Path, folder: Path) -> Path:
    """Write the device's wheel of a whole wheel and return its path; the same wheel gives the same bytes.

    Args:
        whole: wheel of fsq-edge, such as ``fsq_edge-0.1.0-py3-none-any.whl``.
        folder: where to write it.

    Raises:
        DataError: ``whole`` is no wheel of fsq-edge.
    """
    named = re.fullmatch(r"fsq_edge-([^-+]+)-([^-]+-[^-]+-[^-]+)\.whl", whole.name)
    if named is None or not zipfile.is_zipfile(whole):
        raise DataError(f"{whole.name} is no wheel of fsq-edge", hint="python -m build --wheel")
    version, tags = named.groups()
    out = folder / f"fsq_edge-{version}+{LABEL}-{tags}.whl"
    renamed = (f"fsq_edge-{version}.dist-info/", f"fsq_edge-{version}+{LABEL}.dist-info/")
    record = []
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            if KEPT.fullmatch(entry.filename) is None:
                continue
            name = entry.filename.replace(*renamed)
            content = source.read(entry)
            if name == f"{renamed[1]}METADATA":
                content = _metadata(content.decode(), version).encode()
            elif entry.filename.endswith((".js", ".css", ".html")):
                content = _page(content.decode()).encode()
            elif entry.filename.endswith(".py"):
                content = _program(content.decode()).encode()
            record.append(f"{name},sha256={_digest(content)},{len(content)}\n")
            target.writestr(_copy_of(entry, name), content, compresslevel=9)
        name = f"{renamed[1]}RECORD"
        whole_record = "".join([*record, f"{name},,\n"])
        target.writestr(_copy_of(source.getinfo(f"{renamed[0]}RECORD"), name), whole_record, compresslevel=9)
    return out


def _metadata(whole: str, version: str) -> str:
    """Return the fields of METADATA with the device's version and extras, without the README that follows them."""
    lines = []
    for line in whole.partition("\n\n")[0].splitlines():
        extra = re.fullmatch(r"Provides-Extra: (.+)|Requires-Dist: .*extra == '(.+)'", line)
        if extra is None or (extra[1] or extra[2]) in EXTRAS:
            lines.append(f"{line}+{LABEL}\n" if line == f"Version: {version}" else f"{line}\n")
    return "".join(lines)


def _program(text: str) -> str:
    """Return a module without comments, every line where it was, so that a traceback names those of the source."""
    lines = text.split("\n")  # as tokenize counts them: a page break or a separator within a text ends none
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    return "\n".join(lines)


def _page(text: str) -> str:
    """Return a part of the live page without indentation and lines of comment: no reader, only browsers, get it."""
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))


def _copy_of(entry: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    copy = zipfile.ZipInfo(name, entry.date_time)
    copy.external_attr, copy.compress_type = entry.external_attr, zipfile.ZIP_DEFLATED
    return copy


def _digest(content: bytes) -> str:
    """Return SHA-256 as RECORD writes it: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
