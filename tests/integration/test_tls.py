"""Encrypted receivers: the right authority lets records through, everything else is refused in one line."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.sinks import open_sink
from tests.factories.authority import DAY, NOW, Authority
from tests.factories.live import Broker, eventually
from tests.factories.receivers import Receiver
from tests.factories.records import decision

PASSWORD = "hunter2"  # noqa: S105 - of a broker that lives as long as the test
Make = Callable[[tuple[Path, Path]], Broker]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    folder.chmod(0o755)
    return Authority(folder)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Broker] = []

    def start(pair: tuple[Path, Path]) -> Broker:
        folder = tmp_path / "broker"
        folder.mkdir()
        passwords = folder / "passwords"
        program = shutil.which("mosquitto_passwd") or shutil.which("mosquitto_passwd", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.skip("'mosquitto_passwd' is not installed (apt install mosquitto)")
        subprocess.run([program, "-b", "-c", str(passwords), "dog", PASSWORD], check=True, capture_output=True)
        passwords.chmod(0o644)
        for copy in pair:  # where Mosquitto, which may run as another user, can read them
            shutil.copy(copy, folder / copy.name)
        extra = (
            f"certfile {folder / pair[0].name}\nkeyfile {folder / pair[1].name}\npassword_file {passwords}\nuser root\n"
        )
        broker = Broker(folder, extra, anonymous=False)
        broker.start()
        made.append(broker)
        return broker

    yield start
    for broker in made:
        broker.kill()


def address(broker: Broker, ca: Path, user: str = "dog@", host: str = "localhost") -> str:
    return f"mqtts://{user}{host}:{broker.port}/dogs?ca={ca}"


def test_the_right_authority_and_password_let_records_through(
    make: Make, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSQ_EDGE_MQTT_PASSWORD", PASSWORD)
    broker = make(authority.issue("good"))
    sink = open_sink(address(broker, authority.path))
    sink.write(decision(0))
    eventually(lambda: sink.counters["records"] == 1, "the first record")
    broker.kill()
    eventually(lambda: not sink._link.connected, "the sink sees that the broker has gone")
    sink.write(decision(1))
    broker.start()
    eventually(lambda: sink.counters["records"] == 2, "the second, after a restart")
    sink.close()


@pytest.mark.parametrize("password", ["wrong-secret", None])
def test_a_wrong_password_is_refused_and_not_said(
    password: str | None, make: Make, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    if password is not None:
        monkeypatch.setenv("FSQ_EDGE_MQTT_PASSWORD", password)
    broker = make(authority.issue("good"))
    with pytest.raises(UnavailableError, match="refuses: Not authorized") as caught:
        open_sink(address(broker, authority.path))
    assert "wrong-secret" not in caught.value.message + caught.value.hint
    assert "FSQ_EDGE_MQTT_PASSWORD" in caught.value.hint


def test_a_wrong_authority_is_refused(
    make: Make, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSQ_EDGE_MQTT_PASSWORD", PASSWORD)
    broker = make(authority.issue("good"))
    stranger = Authority(tmp_path / "stranger")
    with pytest.raises(UnavailableError, match="certificate verify failed") as caught:
        open_sink(address(broker, stranger.path))
    assert PASSWORD not in caught.value.message


@pytest.mark.parametrize(
    ("issued", "reason"),
    [({"until": NOW - DAY}, "certificate has expired"), ({"host": "elsewhere"}, "Hostname mismatch")],
)
def test_an_expired_certificate_and_one_for_another_host_are_refused(
    issued: dict[str, object], reason: str, make: Make, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSQ_EDGE_MQTT_PASSWORD", PASSWORD)
    broker = make(authority.issue("bad", **issued))
    with pytest.raises(UnavailableError, match=reason):
        open_sink(address(broker, authority.path))


def test_webhooks_and_influx_check_certificates_too(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("receiver"))
    receiver = Receiver(context=context)
    place = f"https://localhost:{receiver.port}/"
    sink = open_sink(f"webhook:{place}x")  # the system's authorities do not know this one
    sink.write(decision(0))
    eventually(lambda: sink.counters["retries"], "the refusal")
    sink.close()
    assert "certificate verify failed" in str(sink.error)
    assert not receiver.requests
    monkeypatch.setenv("FSQ_EDGE_WEBHOOK_CA", str(authority.path))
    for text in (f"webhook:{place}x", f"influx:{place}?db=dogs&ca={authority.path}"):
        sink = open_sink(text)
        sink.write(decision(0))
        eventually(lambda made=sink: made.counters["records"], "the record")
        sink.close()
    receiver.close()
    assert [path for path, _, _ in receiver.requests] == ["/x", "/write?db=dogs&precision=ns"]
