"""Bundles in a real registry on the loopback: pushed, pulled, installed, and every way in which that goes wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from fsq_edge.cli.main import run
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.signature import sign_bundle
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.personal.guard import Range
from fsq_edge_runtime.personal.overlay import Overlay, channel_texts, network_digest
from fsq_edge_runtime.registry import RegistryAddress
from fsq_edge_runtime.registry.artefact import digest_of
from fsq_edge_runtime.registry.client import RegistryClient
from tests.factories.bundles import random_bundle
from tests.factories.oci_registry import HTPASSWD, PASSWORD, OciRegistry, StallingWire, needs_registry

pytest.importorskip("oras", reason="the package 'oras' is not installed (extra oci)")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciRegistry]:
    with OciRegistry(tmp_path_factory.mktemp("oci") / "registry") as started:
        yield started


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, bytes]:
    """Public keys of two people, and the private one of the first."""
    folder = tmp_path_factory.mktemp("keys")
    made = [Ed25519PrivateKey.generate() for _ in range(2)]
    for number, key in enumerate(made):
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{number}.pem").write_bytes(pem)
    private = made[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return folder / "0.pem", folder / "1.pem", private


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path, bytes]) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "b.fsqb"
    sign_bundle(random_bundle(), keys[2]).save(path)
    return path


@pytest.fixture(autouse=True)
def no_logins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def make_overlay() -> Overlay:
    """An overlay with arrays of no meaning; a registry does not look at them."""
    bundle = random_bundle()
    reach = Range(np.eye(3, dtype=np.float16), np.ones((4, 3), np.float16), 1.0)
    return Overlay.make(
        np.zeros((bundle.tail.n_answers, len(bundle.classes)), np.float32),
        reach,
        wearer="rex",
        method="table",
        strength=1.0,
        scale=1.0,
        classes=bundle.classes,
        known=len(bundle.classes),
        channels=channel_texts(bundle),
        network_sha256=network_digest(bundle),
        bundle=bundle.manifest.name,
        recordings=1,
        macro_f1_before=0.5,
        macro_f1_after=0.6,
    )


def push(bundle: Path, host: str, name: str, report: Path) -> str:
    assert run(["bundle", "push", str(bundle), f"oci://{host}/{name}", "--json", str(report), "--quiet"]) == 0
    return str(json.loads(report.read_text())["pinned"])


@needs_registry()
def test_push_pull_install_and_roll_back(
    registry: OciRegistry, bundle: Path, keys: tuple[Path, Path, bytes], tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pinned = push(bundle, registry.host, "dogs/collar:1.0", tmp_path / "r.json")
    assert push(bundle, registry.host, "dogs/collar:1.1", tmp_path / "r.json") == pinned  # equal content, equal digest
    for address in (f"oci://{registry.host}/dogs/collar:1.0", pinned):
        out = tmp_path / "pulled.fsqb"
        assert run(["bundle", "pull", address, "--out", str(out), "--key", str(keys[0])]) == 0
        assert out.read_bytes() == bundle.read_bytes()
        out.unlink()
    dest = tmp_path / "device"
    assert run(["bundle", "install", pinned, str(dest), "--backend", "onnx", "--key", str(keys[0])]) == 0
    assert pinned in capfd.readouterr().out
    assert Bundle.open(dest).files == Bundle.open(bundle).files
    fetched: list[str] = []
    plain = RegistryClient.get
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RegistryClient, "get", lambda self, place, *a: fetched.append(place) or plain(self, place, *a))
        assert run(["bundle", "install", pinned, str(dest), "--backend", "onnx", "--key", str(keys[0])]) == 0
    assert [place.partition("/")[0] for place in fetched] == ["manifests"]  # the content is there already
    random_bundle(seed=3).save(tmp_path / "other.fsqb")
    other = push(tmp_path / "other.fsqb", registry.host, "dogs/collar:2.0", tmp_path / "r.json")
    assert run(["bundle", "install", other, str(dest), "--backend", "onnx"]) == 0
    assert run(["bundle", "rollback", str(dest)]) == 0
    assert Bundle.open(dest).files == Bundle.open(bundle).files
    answer = urllib.request.urlopen(  # what any other client sees
        urllib.request.Request(
            f"http://{registry.host}/v2/dogs/collar/manifests/1.0",
            headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
        ),
        timeout=30,
    )
    with answer:
        raw = answer.read()
    assert pinned.endswith(digest_of(raw))
    assert answer.headers["Docker-Content-Digest"] == digest_of(raw)
    document = json.loads(raw)
    assert document["schemaVersion"] == 2  # the image specification's; this registry takes any
    assert document["artifactType"] == "application/vnd.fsq-edge.bundle.v1"
    assert document["annotations"]["fsq-edge.sample-rate-hz"] == "50"
    assert document["annotations"]["fsq-edge.signed"] == "yes"
    assert digest_of(bundle.read_bytes()) == document["layers"][0]["digest"]


@needs_registry()
def test_a_wrong_signature_a_wrong_digest_and_foreign_content_write_nothing(
    registry: OciRegistry, bundle: Path, keys: tuple[Path, Path, bytes], tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pinned = push(bundle, registry.host, "dogs/hat:1", tmp_path / "r.json")
    out, dest = tmp_path / "o" / "pulled.fsqb", tmp_path / "device"
    wrong = [*pinned.rpartition(":")[:2], "0" * 64]
    cases = [
        ([pinned, "--key", str(keys[1])], 65),
        (["".join(wrong)], 66),
        ([f"oci://{registry.host}/dogs/hat:2"], 66),
        ([f"oci://{registry.host}/dogs/nobody:1"], 66),
    ]
    # The registry's own disk is tampered with: the blob that the digest names has other bytes.
    hexdigest = digest_of(bundle.read_bytes()).removeprefix("sha256:")
    blob = registry.folder / f"data/docker/registry/v2/blobs/sha256/{hexdigest[:2]}/{hexdigest}/data"
    for words, code in cases:
        assert run(["bundle", "pull", *words, "--out", str(out)]) == code, words
        assert run(["bundle", "install", words[0], str(dest), *words[1:]]) == code, words
    spoiled = bytearray(blob.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    sound = blob.read_bytes()
    blob.write_bytes(spoiled)
    assert run(["bundle", "pull", pinned, "--out", str(out)]) == 65
    blob.write_bytes(sound)
    assert not out.parent.exists()
    assert not dest.exists()
    lines = capfd.readouterr().err.splitlines()
    assert [line[:6] for line in lines] == ["error:", "hint: "] * (len(lines) // 2)


@needs_registry()
def test_credentials_come_from_the_usual_files_and_are_shown_nowhere(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with OciRegistry(tmp_path / "registry", HTPASSWD) as closed:
        address = f"oci://{closed.host}/dogs/collar:1"
        assert run(["bundle", "push", str(bundle), address]) == 69
        assert "wants a login" in capfd.readouterr().err
        for variable in ("DOCKER_CONFIG", "HOME"):
            folder = tmp_path / variable / ("" if variable == "DOCKER_CONFIG" else ".docker")
            folder.mkdir(parents=True)
            closed.log_in(folder)
            monkeypatch.setenv(variable, str(tmp_path / variable))
            assert run(["bundle", "push", str(bundle), address, "--json", str(tmp_path / "r.json")]) == 0
            assert run(["bundle", "pull", address, "--out", str(tmp_path / "p.fsqb")]) == 0
            monkeypatch.delenv(variable)
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        wrong = (tmp_path / "HOME/.docker/config.json").read_text().replace('"auth": "', '"auth": "AAAA')
        (tmp_path / "auth.json").write_text(wrong)
        assert run(["bundle", "pull", address, "--out", str(tmp_path / "q.fsqb")]) == 69
        (tmp_path / "auth.json").write_text("{not json")
        assert run(["bundle", "pull", address, "--out", str(tmp_path / "q.fsqb")]) == 65
        log = (closed.folder / "log").read_text()
    shown = capfd.readouterr()
    everything = shown.out + shown.err + log + (tmp_path / "r.json").read_text()
    secret = json.loads((tmp_path / "DOCKER_CONFIG/config.json").read_text())["auths"][closed.host]["auth"]
    assert PASSWORD not in everything
    assert secret not in everything
    assert not (tmp_path / "q.fsqb").exists()


@needs_registry()
@pytest.mark.parametrize("verb", ["push", "pull"])
def test_killed_in_the_middle_leaves_what_was_there(
    registry: OciRegistry, bundle: Path, tmp_path: Path, verb: str
) -> None:
    name = f"killed/{verb}:1"
    address = f"oci://{registry.host}/{name}"
    out = tmp_path / "out.fsqb"
    if verb == "pull":
        push(bundle, registry.host, name, tmp_path / "r.json")
        out.write_bytes(b"what was there")
    with StallingWire(registry.port, 12_000, up=verb == "push") as wire:
        stalling = f"oci://{wire.host}/{name}"
        words = ["push", str(bundle), stalling] if verb == "push" else ["pull", stalling, "--out", str(out)]
        process = subprocess.Popen([sys.executable, "-m", "fsq_edge", "bundle", *words], stderr=subprocess.DEVNULL)
        assert wire.stalled.wait(60)
        process.send_signal(signal.SIGKILL)
        process.wait()
    if verb == "push":
        assert run(["bundle", "pull", address, "--out", str(out)]) == 66  # no tag before everything is there
        push(bundle, registry.host, name, tmp_path / "r.json")
    else:
        assert out.read_bytes() == b"what was there"
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []
    assert run(["bundle", "pull", address, "--out", str(out)]) == 0
    assert out.read_bytes() == bundle.read_bytes()


@needs_registry()
def test_an_overlay_is_pushed_and_pulled_and_is_no_bundle(
    registry: OciRegistry, keys: tuple[Path, Path, bytes], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    overlay = make_overlay().signed(keys[2])
    overlay.save(tmp_path / "rex.fsqo")
    pinned = push(tmp_path / "rex.fsqo", registry.host, "dogs/rex:1", tmp_path / "r.json")
    assert run(["bundle", "pull", pinned, "--out", str(tmp_path / "p.fsqo"), "--key", str(keys[0])]) == 0
    assert (tmp_path / "p.fsqo").read_bytes() == overlay.to_bytes()
    assert run(["bundle", "pull", pinned, "--out", str(tmp_path / "q.fsqo"), "--key", str(keys[1])]) == 65
    assert run(["bundle", "install", pinned, str(tmp_path / "device")]) == 65
    assert "is an overlay, not a bundle" in capfd.readouterr().err
    assert not (tmp_path / "q.fsqo").exists()
    assert not (tmp_path / "device").exists()


@needs_registry()
def test_what_another_client_pushed_is_judged_by_its_content(
    registry: OciRegistry, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import oras.provider

    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.fsqb").write_bytes(bundle.read_bytes())
    (tmp_path / "hello.txt").write_text("hello")
    ours = "application/vnd.fsq-edge.bundle.v1+zip"
    cases = {
        "text": (["hello.txt"], 65),
        "two": (["hello.txt:text/plain", f"b.fsqb:{ours}"], 65),
        "lie": ([f"hello.txt:{ours}"], 65),
        "bundle": ([f"b.fsqb:{ours}"], 0),
    }
    client = oras.provider.Registry(hostname=registry.host, insecure=True)
    for name, (files, code) in cases.items():
        client.push(f"{registry.host}/other/{name}:1", files=files, quiet=True)
        out = tmp_path / f"{name}.out"
        assert run(["bundle", "pull", f"oci://{registry.host}/other/{name}:1", "--out", str(out)]) == code, name
        assert out.exists() == (code == 0)


@needs_registry()
def test_a_full_disk_leaves_the_file_and_the_bundle_in_use(registry: OciRegistry, bundle: Path, tmp_path: Path) -> None:
    pinned = push(bundle, registry.host, "dogs/full:1", tmp_path / "r.json")
    random_bundle(seed=5).save(tmp_path / "old.fsqb")
    dest, out = tmp_path / "device", tmp_path / "out.fsqb"
    assert run(["bundle", "install", str(tmp_path / "old.fsqb"), str(dest), "--backend", "onnx"]) == 0
    out.write_bytes(b"what was there")
    limited = "import resource, signal, sys; from fsq_edge.cli.main import run; "
    limited += "from fsq_edge_runtime.bundle import install; install.install.__kwdefaults__['selftest'] = "
    limited += "__import__('fsq_edge_runtime.bundle.selftest', fromlist=['x']).run_selftest; "
    limited += (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    )
    limited += "sys.exit(run(sys.argv[1:]))"
    for words in (["pull", pinned, "--out", str(out)], ["install", pinned, str(dest), "--backend", "onnx"]):
        ended = subprocess.run(
            [sys.executable, "-c", limited, "bundle", *words], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 69, ended.stderr
        assert ended.stderr.splitlines()[0].startswith("error: cannot ")
        assert len(ended.stderr.splitlines()) == 2
    assert out.read_bytes() == b"what was there"
    assert Bundle.open(dest).files == random_bundle(seed=5).files


def test_no_registry_is_one_line(bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bundle", "pull", "oci://127.0.0.1:1/a:b", "--out", str(tmp_path / "x.fsqb")]) == 69
    assert run(["bundle", "push", str(bundle), "oci://127.0.0.1:1/a:b"]) == 69
    assert run(["bundle", "push", str(bundle), f"oci://127.0.0.1:1/a@sha256:{'0' * 64}"]) == 64
    assert len(capfd.readouterr().err.splitlines()) == 6


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("oci://localhost:5000/dogs/collar:1.4", ("localhost:5000", "dogs/collar", "1.4", "")),
        ("oci://ghcr.io/a/b", ("ghcr.io", "a/b", "latest", "")),
        (f"oci://[::1]:5000/a@sha256:{'a' * 64}", ("[::1]:5000", "a", "", f"sha256:{'a' * 64}")),
        (f"oci://registry/a:v1@sha256:{'a' * 64}", ("registry", "a", "v1", f"sha256:{'a' * 64}")),
    ],
)
def test_addresses(text: str, parts: tuple[str, ...]) -> None:
    address = RegistryAddress.parse(text)
    assert (address.host, address.repository, address.tag, address.digest) == parts
    assert RegistryAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["oci://host", "oci:host/a", "oci://host/", "oci://host/A:1", "oci://host/a:", "oci://host/a@sha256:12",
     "oci://me:secret@host/a:1", "oci://host:x/a", "oci:///a", "https://host/a", "oci://ho st/a", "oci://h/a/../b"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        RegistryAddress.parse(text)
    assert "secret" not in caught.value.message
