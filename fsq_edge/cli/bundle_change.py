"""``fsq-edge bundle add-hef`` and ``sign``: a new bundle from an old one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from fsq_edge.cli.options import bundle_option, path_option
from fsq_edge.cli.output import Output, force_option, output_options
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import add_hef as add
from fsq_edge_runtime.bundle.hef_match import finding_rows
from fsq_edge_runtime.bundle.signature import SignatureFile, sign_bundle
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.findings import Finding
from fsq_edge_runtime.hef import read_record

MAX_KEY_BYTES = 64 * 1024
MAX_HEF_BYTES = 512 << 20
_OUT_HELP = "Write the new bundle here (default: replace BUNDLE)."


@click.command("add-hef")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("hef", type=click.Path(path_type=Path))
@click.option("--arch", metavar="ARCH", help="Add it for this chip (default: the chip that the HEF names).")
@force_option
@bundle_option("--out", help=_OUT_HELP)
@output_options
def add_hef(bundle: Path, hef: Path, arch: str | None, force: str, out: Path | None, output: Output) -> None:
    """Put a compiled network into a bundle, after inspecting it and comparing it with the bundle.

    The record that a compilation writes beside the HEF (NAME.hef.json) is read when it is there.

    Exit codes: 1 it does not fit the bundle (nothing is written); 65 damaged.
    """
    data = read_bounded(hef, MAX_HEF_BYTES)
    record = read_record(hef, hashlib.sha256(data).hexdigest())
    added = add(Bundle.open(bundle), data, arch=arch, force=force, record=record)
    show_findings(output, added.findings)
    if added.bundle is not None:
        added.bundle.save(out or bundle, replace=True)
        verb = "replaced" if added.replaced else "added"
        output.say(f"{verb} the HEF for {added.arch} in {out or bundle!s}")
        if added.unsigned:
            output.say("the bundle was signed: its content changed, sign it again")
    else:
        output.say("not added: it does not fit this bundle (--force REASON adds it nevertheless)")
    value = {"schema_version": 1, "added": added.bundle is not None, "arch": added.arch}
    output.write_json({**value, "findings": finding_rows(added.findings)})
    if added.bundle is None:
        click.get_current_context().exit(1)


@click.command("sign")
@click.argument("bundle", type=click.Path(path_type=Path))
@path_option("--key", required=True, help="Sign with this private key (Ed25519, PEM, not encrypted).")
@bundle_option("--out", help=_OUT_HELP)
@output_options
def sign(bundle: Path, key: Path, out: Path | None, output: Output) -> None:
    """Sign a bundle, in place of an older signature.

    Make a pair of keys with: openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out
    key.pub
    """
    signed = sign_bundle(Bundle.open(bundle), read_bounded(key, MAX_KEY_BYTES))
    signed.save(out or bundle, replace=True)
    signer = SignatureFile.from_json(signed.read("signature")).public_key
    output.say(f"signed {out or bundle!s}, public key {signer[:16]}...")
    output.write_json({"schema_version": 1, "signed": True, "public_key": signer})


def show_findings(screen: Output, findings: tuple[Finding, ...]) -> None:
    """Print what a comparison of a HEF with a bundle found, with the remedy."""
    for finding in findings:
        screen.say(f"{finding.severity}: {finding.message}")
        if finding.fix:
            screen.say(f"  fix: {finding.fix}")
