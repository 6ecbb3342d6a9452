"""Records to InfluxDB: line protocol to a file, by UDP or over HTTP, versions 1 and 2."""

from __future__ import annotations

import base64
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlencode

from fsq_edge_runtime.addresses import check_host, redacted
from fsq_edge_runtime.errors import UnavailableError, UsageError
from fsq_edge_runtime.sinks.base import Sink
from fsq_edge_runtime.sinks.delivery import DeliverySink
from fsq_edge_runtime.sinks.files import Output
from fsq_edge_runtime.sinks.http_post import HttpAddress, HttpPost
from fsq_edge_runtime.sinks.line_protocol import LineProtocol
from fsq_edge_runtime.sinks.queued import QueuedSink
from fsq_edge_runtime.stream.records import Record

TOKEN_VARIABLE = "FSQ_EDGE_INFLUX_TOKEN"  # noqa: S105 - the name of a variable
PASSWORD_VARIABLE = "FSQ_EDGE_INFLUX_PASSWORD"  # noqa: S105 - the name of a variable
FORM = (
    "influx:FILE[?append], influx:udp://HOST:PORT, influx:http://HOST:8086/?org=O&bucket=B (the token in "
    f"{TOKEN_VARIABLE}) or influx:http://[USER@]HOST:8086/?db=D (the password in {PASSWORD_VARIABLE})"
)
BATCH_LINES = 1000
DATAGRAM_BYTES = 1400  # below the usual MTU: a datagram in pieces is lost with any of them
LONGEST_DATAGRAM = 65_000


class LineSink:
    """Lines to a file or standard output.

    Args:
        output: where to.
        lines: makes a line of a record.
    """

    name = "influx"

    def __init__(self, output: Output, lines: LineProtocol) -> None:
        self.counters = {"records": 0}
        self._output, self._lines = output, lines

    def write(self, record: Record) -> None:
        """Write one line."""
        line = self._lines.line(record, time.time_ns())
        if line is not None:
            self._output.write(line + "\n")
            self.counters["records"] += 1

    def close(self) -> None:
        """Close the file."""
        self._output.close()


def open_influx(place: str, *, live: bool, stop: threading.Event | None) -> Sink:
    """Open the sink that ``influx:PLACE`` says.

    Args:
        place: what follows ``influx:``.
        live: never wait for the receiver.
        stop: once it is set, nothing waits any more.

    Raises:
        UsageError: not such a form.
        UnavailableError: a file or host that cannot be had.
    """
    address, _, query = place.partition("?")
    if address.startswith(("http://", "https://")):
        return _open_http(place, live=live, stop=stop)
    options = _options(query, ("append", "clock"), place)
    lines = _lines(options, place)
    if address.startswith("udp://"):
        return _open_udp(address, lines, place, live=live, stop=stop)
    if not address or "://" in address:
        raise UsageError(f"influx:{redacted(place)!r} is no place for lines", hint=FORM)
    sink = LineSink(Output(None if address == "-" else Path(address), append="append" in options, stop=stop), lines)
    return QueuedSink(sink) if live else sink


def _open_http(place: str, *, live: bool, stop: threading.Event | None) -> Sink:
    shown = redacted(place)
    address = HttpAddress.parse(place, shown, FORM)
    options = _options(address.query, ("org", "bucket", "db", "rp", "ca", "clock"), place)
    lines = _lines(options, place)
    headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "fsq-edge"}
    root = address.path.rstrip("/")
    if {"org", "bucket"} <= set(options) and not {"db", "rp"} & set(options):
        token = _secret(TOKEN_VARIABLE)
        headers |= {"Authorization": f"Token {token}"} if token else {}
        wanted = {"org": options["org"], "bucket": options["bucket"], "precision": "ns"}
        target = f"{root}/api/v2/write?{urlencode(wanted)}"
    elif "db" in options and not {"org", "bucket"} & set(options):
        if address.user is not None:
            pair = f"{address.user}:{_secret(PASSWORD_VARIABLE)}".encode()
            headers |= {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        wanted = {"db": options["db"], "precision": "ns"} | ({"rp": options["rp"]} if "rp" in options else {})
        target = f"{root}/write?{urlencode(wanted)}"
    else:
        raise UsageError(f"{shown!r}: give org and bucket (version 2) or db (version 1)", hint=FORM)
    post = HttpPost(address, target, headers, options.get("ca"))

    def send(batch: Sequence[str]) -> None:
        post.send("\n".join(batch).encode() + b"\n")

    return DeliverySink(
        "influx", lines.line, send, batch=BATCH_LINES, live=live, stop=stop, let_go=post.close,
    )  # fmt: skip


def _open_udp(address: str, lines: LineProtocol, place: str, *, live: bool, stop: threading.Event | None) -> Sink:
    host, _, port = address.removeprefix("udp://").rpartition(":")
    if not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536 and host):
        raise UsageError(f"influx:{redacted(place)!r} is no UDP address", hint=FORM)
    host = check_host(host.strip("[]"), place)
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)[0]
    except OSError as error:
        raise UnavailableError(f"cannot resolve {host}: {error.strerror}", hint="is its name right?") from error
    out = socket.socket(family, kind)

    def send(batch: Sequence[str]) -> None:
        for datagram in _datagrams(batch):
            out.sendto(datagram, where)

    return DeliverySink("influx", lines.line, _never_again(send), batch=100, live=live, stop=stop, let_go=out.close)


def _datagrams(lines: Sequence[str]) -> list[bytes]:
    """Join lines into datagrams of at most ``DATAGRAM_BYTES``; a longer line is one of its own."""
    packed: list[bytes] = []
    for line in lines:
        data = line.encode() + b"\n"
        if len(data) > LONGEST_DATAGRAM:
            continue
        if packed and len(packed[-1]) + len(data) <= DATAGRAM_BYTES:
            packed[-1] += data
        else:
            packed.append(data)
    return packed


def _never_again(send: Callable[[Sequence[str]], None]) -> Callable[[Sequence[str]], None]:
    """Send once: a datagram that nobody takes is lost, and nobody knows."""

    def once(batch: Sequence[str]) -> None:
        try:
            send(batch)
        except ConnectionError:
            return  # an earlier datagram found nobody

    return once


def _options(query: str, known: tuple[str, ...], place: str) -> dict[str, str]:
    try:
        options = parse_qs(query, keep_blank_values=True, max_num_fields=20)
    except ValueError as error:
        raise UsageError(f"influx:{redacted(place)!r}: too many options", hint=FORM) from error
    if set(options) - set(known):
        raise UsageError(f"influx:{redacted(place)!r} has an unknown option; known: {', '.join(known)}", hint=FORM)
    return {key: values[-1] for key, values in options.items()}


def _lines(options: dict[str, str], place: str) -> LineProtocol:
    match options.get("clock", "auto"):
        case "auto" | "source" | "arrival" as clock:
            return LineProtocol(clock)
    raise UsageError(f"influx:{redacted(place)!r}: clock is auto, source or arrival", hint=FORM)


def _secret(variable: str) -> str:
    value = os.environ.get(variable, "")
    if not (value.isascii() and (value.isprintable() or not value)):
        raise UsageError(f"{variable} holds characters that no header can carry")
    return value
