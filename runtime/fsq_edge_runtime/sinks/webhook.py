"""Records to a webhook: one POST of JSON for each, tried again until it is taken."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Sequence
from itertools import count

from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.sinks.base import Sink
from fsq_edge_runtime.sinks.delivery import DeliverySink
from fsq_edge_runtime.sinks.files import json_line
from fsq_edge_runtime.sinks.http_post import HttpAddress, HttpPost
from fsq_edge_runtime.stream.records import Record

TOKEN_VARIABLE = "FSQ_EDGE_WEBHOOK_TOKEN"  # noqa: S105 - the name of a variable
CA_VARIABLE = "FSQ_EDGE_WEBHOOK_CA"
FORM = "webhook:http[s]://HOST[:PORT]/PATH, or webhook:env:NAME with the address in the variable NAME"


def open_webhook(place: str, *, latency: bool, scores: bool, live: bool, stop: threading.Event | None) -> Sink:
    """Open the sink that ``webhook:PLACE`` says.

    The address may be a secret by itself, so no message shows more than its host. A bearer token is read from
    ``FSQ_EDGE_WEBHOOK_TOKEN``, a certificate authority's file from ``FSQ_EDGE_WEBHOOK_CA``. Every request has an
    ``Idempotency-Key``, so that a receiver can tell a second try from a second record.

    Args:
        place: what follows ``webhook:``.
        latency: with latencies.
        scores: with the probabilities of every class.
        live: never wait for the receiver.
        stop: once it is set, nothing waits any more.

    Raises:
        UsageError: not such a form, or the variable is not set.
    """
    variable = place.removeprefix("env:") if place.startswith("env:") else None
    if variable is not None:
        place = os.environ.get(variable, "")
        if not place:
            raise UsageError(f"webhook:env:{variable[:80]}: that variable is not set", hint=FORM)
    shown = f"webhook:env:{variable[:80]}" if variable is not None else "webhook:***"
    address = HttpAddress.parse(place, shown, FORM)
    if address.user is not None:
        raise UsageError(f"{shown!r}: a webhook has no user", hint=f"put a bearer token into {TOKEN_VARIABLE}")
    headers = {"Content-Type": "application/json", "User-Agent": "fsq-edge"}
    token = os.environ.get(TOKEN_VARIABLE, "")
    if token:
        if not (token.isascii() and token.isprintable()):
            raise UsageError(f"{TOKEN_VARIABLE} holds characters that no header can carry")
        headers["Authorization"] = f"Bearer {token}"
    target = address.path + (f"?{address.query}" if address.query else "")
    post = HttpPost(address, target, headers, os.environ.get(CA_VARIABLE))
    run, number = secrets.token_hex(8), count()

    def render(record: Record, arrived_ns: int) -> str:
        return f"{run}-{next(number)} " + json_line(record, latency=latency, scores=scores).rstrip("\n")

    def send(batch: Sequence[str]) -> None:
        key, _, body = batch[0].partition(" ")
        post.send(body.encode("utf-8", "replace"), {"Idempotency-Key": key})

    return DeliverySink("webhook", render, send, live=live, stop=stop, let_go=post.close)
