"""``fsq-edge bundle install`` and ``rollback``, ``push`` and ``pull``: bundles on a device and in an OCI registry."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import click

from fsq_edge.cli.bundle_change import MAX_KEY_BYTES
from fsq_edge.cli.options import backend_option, overlays_by_stream, path_option
from fsq_edge.cli.output import Output, output_options
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.install import Installed
from fsq_edge_runtime.bundle.install import install as install_bundle
from fsq_edge_runtime.bundle.install import rollback as roll_back
from fsq_edge_runtime.errors import FsqEdgeError
from fsq_edge_runtime.files import read_bounded, write_file
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.registry import RegistryAddress
from fsq_edge_runtime.registry import pull as pull_bundle
from fsq_edge_runtime.registry import push as push_bundle
from fsq_edge_runtime.registry.artefact import content_of

key_option = path_option(
    "--key",
    help="Refuse a bundle whose signature this public key does not verify (Ed25519, PEM; default: none needed).",
)
plain_http_option = click.option(
    "--plain-http", is_flag=True, help="Speak HTTP without TLS (default: only to a registry on this machine)."
)


def _read(key: Path | None) -> bytes | None:
    return read_bounded(key, MAX_KEY_BYTES) if key else None


@click.command("install")
@click.argument("bundle", metavar="BUNDLE|oci://...")
@click.argument("destination", type=click.Path(path_type=Path))
@backend_option("auto", "Run the self-test on this backend, the one that will run the bundle.")
@key_option
@plain_http_option
@click.option(
    "--overlay", "overlay_texts", multiple=True, metavar="[STREAM=]P.fsqo",
    help="Install this overlay for a stream, or for all without one of their own; run DESTINATION then applies it. "
    "STREAM= alone takes a stream's overlay away; may be given again. Default: overlays stay as they are.",
)  # fmt: skip
@output_options
def install(
    bundle: str,
    destination: Path,
    backend: str,
    key: Path | None,
    plain_http: bool,
    overlay_texts: tuple[str, ...],
    output: Output,
) -> None:
    """Make BUNDLE the current one in the folder DESTINATION, whole or not at all.

    BUNDLE is a file, a folder, or an address in a registry; give that with its @sha256: digest, or give --key.

    It is verified, its self-test is run on the backend, and the one before is kept for rollback. A kill or a power cut
    at any moment leaves the old bundle or the new one. Run it with: fsq-edge run DESTINATION

    Exit codes: 65 damaged, not signed with the key, or the self-test failed; 69 no space or no device.
    """
    public_key = _read(key)
    source = _pulled(bundle, destination, public_key, plain_http, output) if bundle.startswith("oci:") else bundle
    overlays = _opened(source, overlays_by_stream(overlay_texts), public_key)
    done = install_bundle(source, destination, backend=backend, public_key=public_key)
    test = done.selftest
    if test:
        output.say(
            f"self-test on {test.backend}: {test.windows} windows, codes {test.code_agreement:.0%} and labels "
            f"{test.label_agreement:.0%} as the reference"
        )
    if overlays:
        from fsq_edge_runtime.personal.installing import install_overlays

        install_overlays(destination, Bundle.open(destination), overlays)
        for stream, overlay in overlays.items():
            whose = "taken away" if overlay is None else f"of {overlay.record.wearer}"
            output.say(f"overlay for {stream or 'all streams'}: {whose}")
    verb = "already in use" if done.already else "installed"
    output.say(f"{verb}: {done.version}" + (f", before it {done.previous}" if done.previous else ""))
    output.write_json(_to_dict(done))


def _pulled(text: str, destination: Path, public_key: bytes | None, plain_http: bool, screen: Output) -> Bundle:
    """Fetch a bundle; what is installed already is not fetched again, so a timer costs a registry next to nothing."""
    known = b""
    with contextlib.suppress(FsqEdgeError):  # nothing installed, or something damaged: it is fetched
        known = content_of(Bundle.open(destination))
    pulled = pull_bundle(RegistryAddress.parse(text), public_key=public_key, plain_http=plain_http, known=known)
    screen.say(f"pulled {pulled.bundle.origin}")
    return pulled.bundle


def _opened(bundle: str | Bundle, paths: dict[str, Path | None], public_key: bytes | None) -> dict[str, Overlay | None]:
    """Open overlays and refuse those that the bundle cannot take, before anything is installed."""
    if not paths:
        return {}
    opened = Bundle.open(bundle) if isinstance(bundle, str) else bundle
    found: dict[str, Overlay | None] = {}
    for stream, path in paths.items():
        overlay = found[stream] = None if path is None else Overlay.open(path)
        if overlay is not None:
            overlay.require(opened)
            if public_key is not None:
                overlay.check_signature(public_key)
    return found


@click.command("rollback")
@click.argument("destination", type=click.Path(path_type=Path))
@key_option
@output_options
def rollback(destination: Path, key: Path | None, output: Output) -> None:
    """Return to the bundle that was in use before; a second call returns to the newer one.

    Exit codes: 65 the one before is damaged or not signed with the key; 66 there is none.
    """
    done = roll_back(destination, public_key=_read(key))
    output.say(f"in use: {done.version}, before it {done.previous}")
    output.write_json(_to_dict(done))


def _to_dict(done: Installed) -> dict[str, object]:
    return {
        "schema_version": 1,
        "destination": str(done.destination),
        "version": done.version,
        "previous": done.previous,
        "already": done.already,
        "selftest": dataclasses.asdict(done.selftest) if done.selftest else None,
    }


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
    pulled = pull_bundle(place, public_key=_read(key), plain_http=plain_http)
    write_file(out, content_of(pulled.content))
    signed = "signature good" if key else "signature not checked (no --key)"
    pinned = place.pinned(pulled.digest)
    output.say(f"wrote {out!s}: {pinned}, {signed}")
    facts = {"out": str(out), "digest": pulled.digest, "pinned": pinned, "signature_checked": key is not None}
    output.write_json({"schema_version": 1, **facts})
