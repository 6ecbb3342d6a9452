"""``fsq-edge bundle push`` and ``pull``: bundles and overlays in an OCI registry."""

from __future__ import annotations

from pathlib import Path

import click

from fsq_edge.cli.bundle_change import MAX_KEY_BYTES
from fsq_edge.cli.bundle_device import key_option
from fsq_edge.cli.options import path_option
from fsq_edge.cli.output import Output, output_options
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.files import read_bounded, write_file
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.registry import RegistryAddress
from fsq_edge_runtime.registry import pull as pull_bundle
from fsq_edge_runtime.registry import push as push_bundle
from fsq_edge_runtime.registry.artefact import content_of

plain_http_option = click.option(
    "--plain-http", is_flag=True, help="Speak HTTP without TLS (default: only to a registry on this machine)."
)


@click.command("push")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("address", metavar="oci://HOST/NAME:TAG")
@plain_http_option
@output_options
def push(bundle: Path, address: str, plain_http: bool, output: Output) -> None:
    """Store BUNDLE, or an overlay NAME.fsqo, in an OCI registry, with what it is as annotations.

    Prints the address by digest, which names this content for ever. Log in with docker login or podman login.

    Exit codes: 65 the bundle is damaged; 69 the registry does not answer or does not take it.
    """
    place = RegistryAddress.parse(address)
    content = Overlay.open(bundle) if bundle.suffix == ".fsqo" else Bundle.open(bundle)
    digest = push_bundle(content, place, plain_http=plain_http)
    output.say(f"pushed {place!s}\n{place.pinned(digest)}")
    output.write_json({"schema_version": 1, "address": str(place), "digest": digest, "pinned": place.pinned(digest)})


@click.command("pull")
@click.argument("address", metavar="oci://HOST/NAME[:TAG|@sha256:DIGEST]")
@path_option("--out", required=True, help="Write what was pulled here, a file NAME.fsqb (or NAME.fsqo).")
@key_option
@plain_http_option
@output_options
def pull(address: str, out: Path, key: Path | None, plain_http: bool, output: Output) -> None:
    """Fetch a bundle or an overlay from an OCI registry; it is verified before anything is written.

    Exit codes: 65 damaged, another artefact, or not signed with the key; 66 not there; 69 the registry does not answer.
    """
    place = RegistryAddress.parse(address)
    public_key = read_bounded(key, MAX_KEY_BYTES) if key else None
    pulled = pull_bundle(place, public_key=public_key, plain_http=plain_http)
    write_file(out, content_of(pulled.content))
    signed = "signature good" if key else "signature not checked (no --key)"
    pinned = place.pinned(pulled.digest)
    output.say(f"wrote {out!s}: {pinned}, {signed}")
    facts = {"out": str(out), "digest": pulled.digest, "pinned": pinned, "signature_checked": key is not None}
    output.write_json({"schema_version": 1, **facts})
