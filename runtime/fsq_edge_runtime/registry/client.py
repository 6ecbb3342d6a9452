"""A registry spoken to through ``oras``, with time limits, bounded answers and errors that show no secret."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsq_edge_runtime.errors import DataError, MissingInputError, UnavailableError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.files import write_errors
from fsq_edge_runtime.registry.address import RegistryAddress
from fsq_edge_runtime.registry.artefact import MANIFEST_TYPE

CONNECT_S, READ_S = 10.0, 60.0
BLOCK = 1 << 16
LOGIN = "docker login HOST (or podman login) writes the file that is read here"
_DENIED = (401, 403)


class RegistryClient:
    """One repository of a registry.

    Credentials come from where ``docker login`` and ``podman login`` leave them, credential helpers included; they are
    never part of an address, a message or a log.

    Args:
        address: of the artefact.
        plain_http: without TLS; on the loopback it always is.

    Raises:
        UnavailableError: the package ``oras`` is not installed, or the registry does not answer.
        DataError: a file of credentials is damaged.
    """

    def __init__(self, address: RegistryAddress, *, plain_http: bool = False) -> None:
        need("oras", "oci", "a registry")
        self.address = address
        self._insecure = plain_http or address.is_loopback
        self._root = f"{'http' if self._insecure else 'https'}://{address.host}/v2/"
        with self._errors("reach"):
            self._provider = self._open(self._challenge())

    def get(self, place: str, limit: int, accept: str = "*/*") -> bytes:
        """Return what lies at ``manifests/REFERENCE`` or ``blobs/DIGEST``.

        Raises:
            MissingInputError: it is not there.
            UnavailableError: the registry does not answer, or asks for another login.
            DataError: it is larger than ``limit`` bytes.
        """
        parts, size = [], 0
        with self._errors("read"):
            answer = self._provider.do_request(self._url(place), "GET", headers=self._headers(accept), stream=True)
            with answer:
                self._check(answer, place)
                for block in answer.iter_content(BLOCK):
                    parts.append(block)
                    size += len(block)
                    if size > limit:
                        raise DataError(f"{self.address}: {place.partition('/')[0]} of more than {limit} bytes")
        return b"".join(parts)

    def put_blob(self, data: bytes, digest: str) -> None:
        """Store content under its digest; nothing is sent where the registry has it already.

        Raises:
            UnavailableError: the registry does not take it, or there is no space for a temporary file.
        """
        layer = {"digest": digest, "size": len(data), "mediaType": "application/octet-stream"}
        folder = Path(tempfile.gettempdir())
        with write_errors(folder), tempfile.TemporaryDirectory(prefix="fsq-edge-push-") as temporary:
            file = Path(temporary) / "blob"
            file.write_bytes(data)
            with self._errors("write"):
                self._check(self._provider.upload_blob(str(file), self._container, layer), "its content")

    def put_manifest(self, data: bytes, reference: str) -> None:
        """Name what was stored: from now on ``reference`` is this manifest.

        Raises:
            UnavailableError: the registry does not take it.
        """
        headers = {**self._headers("*/*"), "Content-Type": MANIFEST_TYPE}
        with self._errors("write"):
            url = self._url(f"manifests/{reference}")
            self._check(self._provider.do_request(url, "PUT", data=data, headers=headers), reference)

    def _url(self, place: str) -> str:
        return f"{self._root}{self.address.repository}/{place}"

    def _headers(self, accept: str) -> dict[str, str]:
        return {**self._provider.headers, "Accept": accept}

    def _challenge(self) -> str:
        """Return how the registry wants to be logged in to; empty where it does not."""
        import requests

        answer = requests.get(self._root, timeout=(CONNECT_S, READ_S), allow_redirects=False)
        return answer.headers.get("WWW-Authenticate", "") if answer.status_code in _DENIED else ""

    def _open(self, challenge: str) -> Any:
        import oras.logger
        from oras.container import Container

        oras.logger.setup_logger(quiet=True)  # it would print what credential helpers and registries say
        basic = challenge.lower().startswith("basic")
        provider = _provider_type()(
            hostname=self.address.host, insecure=self._insecure, auth_backend="basic" if basic else "token"
        )
        try:
            self._container = Container(f"localhost:0/{self.address.repository}")
            self._container.registry = self.address.host  # a host without a dot would be taken for a folder
            provider.auth.load_configs(self._container, _credential_files())
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise DataError("a file of registry credentials is damaged", hint=LOGIN) from error
        if basic:
            if not getattr(provider.auth, "_basic_auth", None):
                raise UnavailableError(f"{self.address.host} wants a login, and there is none for it", hint=self._login)
            provider.headers.update(provider.auth.get_auth_header())
        return provider

    @property
    def _login(self) -> str:
        return LOGIN.replace("HOST", self.address.host)

    def _check(self, answer: Any, place: str) -> None:
        code = answer.status_code
        if code == 404:
            raise MissingInputError(f"{self.address}: the registry has no {place}", hint="check name, tag and digest")
        if code in _DENIED:
            raise UnavailableError(f"{self.address.host} refuses this login (HTTP {code})", hint=self._login)
        if code not in (200, 201, 202):
            raise UnavailableError(
                f"{self.address.host} answers HTTP {code} for {place}", hint="the registry's own log says why"
            )

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        """Turn errors of the connection into one line; their own texts hold addresses that may be signed."""
        import requests

        try:
            yield
        except requests.exceptions.SSLError as error:
            raise UnavailableError(
                f"cannot {verb} {self.address}: the certificate of {self.address.host} is not trusted",
                hint="REQUESTS_CA_BUNDLE names the certificate authority; --plain-http is without TLS",
            ) from error
        except requests.exceptions.RequestException as error:
            raise UnavailableError(
                f"cannot {verb} {self.address}: {_said(error)}", hint="is the registry there? try again"
            ) from error
        except ValueError as error:  # oras has no error types of its own
            raise UnavailableError(f"{self.address.host} wants a login that it accepts", hint=self._login) from error


def _provider_type() -> Any:
    import oras.provider
    import requests

    class Limited(requests.Session):  # type: ignore[misc]  # untyped
        """A session that never waits for ever."""

        def request(self, *arguments: Any, **options: Any) -> requests.Response:
            options.setdefault("timeout", (CONNECT_S, READ_S))
            return super().request(*arguments, **options)

    class Provider(oras.provider.Registry):  # type: ignore[misc]  # untyped
        """The library's registry without its repetitions, which would wait two minutes before an error is said."""

        do_request = oras.provider.Registry.do_request.__wrapped__

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.session = self.auth.session = Limited()

    return Provider


def _credential_files() -> list[str]:
    """Return the files of credentials that are there, besides ``~/.docker/config.json``."""
    places = []
    if folder := os.environ.get("DOCKER_CONFIG"):
        places.append(Path(folder) / "config.json")
    if file := os.environ.get("REGISTRY_AUTH_FILE"):
        places.append(Path(file))
    if folder := os.environ.get("XDG_RUNTIME_DIR"):
        places.append(Path(folder) / "containers" / "auth.json")
    found = [str(place) for place in places if place.is_file()]
    for place in found:
        json.loads(Path(place).read_bytes())["auths"]  # the library takes a list, too, and fails later
    return found


def _said(error: Exception) -> str:
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer within {READ_S:.0f} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return "no connection"
