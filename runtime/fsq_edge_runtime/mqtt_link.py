"""One way to an MQTT broker, for the source and the sink: address, credentials, TLS, reconnecting."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from fsq_edge_runtime.addresses import check_host, redacted
from fsq_edge_runtime.errors import UnavailableError, UsageError, did_you_mean
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.files import first_line
from fsq_edge_runtime.tls import tls_context

_log = logging.getLogger("fsq_edge_runtime.mqtt")
PASSWORD_VARIABLE = "FSQ_EDGE_MQTT_PASSWORD"  # noqa: S105 - the name of a variable, not a password
CONNECT_TIMEOUT_S = 5.0
KEEPALIVE_S = 15
LONGEST_WAIT_S = 10
MAX_TEXT_BYTES = 1024  # MQTT itself takes 65,535
_FORM = "mqtt://[USER@]HOST[:PORT]/TOPIC[?qos=1&ca=FILE]"
_OPTIONS = ("qos", "ca", "client_id", "homeassistant", "part")
_PART = re.compile(r"([1-9]\d{0,3})/([1-9]\d{0,3})", re.ASCII)


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """``mqtt[s]://[USER@]HOST[:PORT]/TOPIC[?qos=0|1|2][&ca=FILE][&client_id=ID]``; the password is in the environment.

    A sink's may have ``homeassistant=1``, or ``homeassistant=remove``; a source's ``part=K/N``.

    Attributes:
        host: of the broker.
        port: 1883, or 8883 with TLS, by default.
        topic: to subscribe to (with wildcards) or to publish under.
        user: or None.
        qos: quality of service, 1 by default.
        tls: encrypted.
        ca: certificate authority's file; None trusts the system's.
        client_id: empty lets the broker choose.
        home: ``1``, ``remove``, or empty.
        part: (K, N): the source takes the streams of the Kth of N gateways, from 1, and leaves the others.
    """

    host: str
    port: int
    topic: str
    user: str | None
    qos: int
    tls: bool
    ca: str | None
    client_id: str
    home: str = ""
    part: tuple[int, int] = (1, 1)

    @classmethod
    def parse(cls, text: str) -> MqttAddress:
        """Read an address.

        Raises:
            UsageError: not such an address; a password in it.
        """
        shown = redacted(text)
        try:
            url = urlsplit(text, allow_fragments=False)  # '#' is a wildcard
            options = parse_qs(url.query, keep_blank_values=True)
            port = url.port or (8883 if url.scheme == "mqtts" else 1883)
            qos = int(options.get("qos", ["1"])[0])
        except ValueError as error:  # its message quotes the address
            raise UsageError(f"{shown!r}: the port or the quality of service is no number", hint=_FORM) from error
        topic = unquote(url.path.lstrip("/"))
        if unknown := set(options) - set(_OPTIONS):
            # What resembles no option may be a part of a password, and is not quoted.
            hint = did_you_mean(min(unknown), _OPTIONS)
            named = f" {min(unknown)}" if hint else ""
            raise UsageError(f"{shown!r}: unknown option{named}", hint=hint or f"known: {', '.join(_OPTIONS)}")
        if not url.hostname or not topic or qos not in (0, 1, 2):
            raise UsageError(f"{shown!r} is not an MQTT address", hint=_FORM)
        if url.password is not None:
            raise UsageError("an MQTT address must not hold a password", hint=f"put it into {PASSWORD_VARIABLE}")
        home = options.get("homeassistant", ["0"])[0]
        if home not in ("0", "1", "remove"):
            raise UsageError(f"{shown!r}: homeassistant is 1, remove or 0", hint=_FORM)
        part = _PART.fullmatch(options.get("part", ["1/1"])[0])
        if part is None or int(part[1]) > int(part[2]):
            raise UsageError(f"{shown!r}: part is K/N, such as 1/2 for the first of two gateways", hint=_FORM)
        ca, client_id = options.get("ca", [None])[0], options.get("client_id", [""])[0] or ""
        if ca is not None and url.scheme != "mqtts":
            raise UsageError(f"{shown!r}: ca= without encryption", hint="mqtts://... encrypts")
        for what, value in (("topic", topic), ("client_id", client_id), ("user", url.username or "")):
            if len(value.encode("utf-8", "replace")) > MAX_TEXT_BYTES or not (value.isprintable() or not value):
                raise UsageError(f"{shown!r}: the {what} is too long or has control characters")
        if not _is_filter(topic):
            raise UsageError(f"{shown!r}: the topic's wildcards are not in places of their own", hint="a/+/b or a/#")
        host = check_host(url.hostname, text)
        taken = int(part[1]), int(part[2])
        return cls(host, port, topic, url.username, qos, url.scheme == "mqtts", ca, client_id, home.strip("0"), taken)


def _is_filter(topic: str) -> bool:
    """Return whether wildcards stand alone in their level, and # in the last one (MQTT 5, section 4.7.1)."""
    levels = topic.split("/")
    alone = all(level in ("+", "#") or not set(level) & {"+", "#"} for level in levels)
    return alone and "#" not in levels[:-1]


class MqttLink:
    """A connection that is renewed whenever the broker comes back; that it went and came is logged.

    Args:
        address: of the broker.
        on_up: called on the network's thread each time the connection stands.
        will: topic and payload that the broker publishes, retained, when this client vanishes.

    Attributes:
        client: paho's client; set further callbacks before :meth:`open`.
        connected: the connection stands now.
        connections: how often it came to stand.

    Raises:
        UnavailableError: paho-mqtt is not installed.
        MissingInputError: the certificate authority's file cannot be read.
        DataError: it is none.
    """

    def __init__(
        self, address: MqttAddress, on_up: Callable[[], None], *, will: tuple[str, bytes] | None = None
    ) -> None:
        self._address, self._on_up = address, on_up
        self.connected, self.connections = False, 0
        self._answered, self._refusal = threading.Event(), ""
        self._where = f"the MQTT broker {address.host}:{address.port} of {address.topic}"
        self.client = _make_client(address)
        self.client.on_connect = self._answer
        self.client.on_disconnect = self._lost
        if will is not None:
            self.client.will_set(*will, qos=1, retain=True)

    def open(self) -> None:
        """Connect for the first time.

        Raises:
            UnavailableError: the broker cannot be reached, does not answer or refuses.
        """
        where = f"the MQTT broker {self._address.host}:{self._address.port}"
        try:
            self.client.connect(self._address.host, self._address.port, KEEPALIVE_S)
        except (OSError, ValueError) as error:  # a host name that no resolver takes is a ValueError
            raise UnavailableError(f"cannot reach {where}: {first_line(error)}", hint="is it running there?") from error
        self.client.loop_start()
        if not self._answered.wait(CONNECT_TIMEOUT_S) or self._refusal:
            self.close()
            why = f"refuses: {self._refusal}" if self._refusal else "does not answer"
            raise UnavailableError(f"{where} {why}", hint=f"user in the address, password in {PASSWORD_VARIABLE}")

    def close(self) -> None:
        """Leave the broker in good order; the will is not published."""
        self.client.disconnect()
        self.client.loop_stop()

    def _answer(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._refusal = str(reason) if reason.is_failure else ""
        if not self._refusal:
            self.connected = True
            self.connections += 1
            if self.connections > 1:
                _log.warning("note: %s is back", self._where)
            self._on_up()
        self._answered.set()

    def _lost(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self.connected and reason.is_failure:  # not by close()
            _log.warning("warning: %s went away (%s); it is tried again until it is back", self._where, reason)
        self.connected = False


def _make_client(address: MqttAddress) -> Any:
    paho: Any = need("paho.mqtt.client", "mqtt", "MQTT")
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=address.client_id)
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.reconnect_delay_set(1, LONGEST_WAIT_S)
    if address.user is not None:
        client.username_pw_set(address.user, os.environ.get(PASSWORD_VARIABLE))
    if address.tls:
        client.tls_set_context(tls_context(address.ca))
    return client
