"""From what ``--source`` says to a source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs

from fsq_edge_runtime.addresses import redacted
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.preprocess import PreprocessConfig
from fsq_edge_runtime.sources.base import Source
from fsq_edge_runtime.sources.columns import Wanted
from fsq_edge_runtime.sources.notices import Notices

FORMS = (
    "npz:FILE",
    "csv:FILE",
    "stdin:",
    "udp:HOST:PORT[?by=sender]",
    "serial:DEVICE[?baud=115200&framing=lines|packed]",
    "mqtt://[USER@]HOST[:PORT]/TOPIC",
)
DEFAULT_CHUNK = 1024
PACED_CHUNK_S = 0.05


def open_source(
    text: str,
    config: PreprocessConfig,
    *,
    source_rate_hz: float | None = None,
    paced: bool = False,
    chunk: int = DEFAULT_CHUNK,
    notices: Notices | None = None,
) -> Source:
    """Open a source.

    Args:
        text: one of ``FORMS``.
        config: channels and rate of the model.
        source_rate_hz: nominal rate of the source, for pacing; None is the model's.
        paced: play recordings at their own pace, and take standard input as live.
        chunk: samples of a recording handed over at a time; at most a twentieth of a second when paced.
        notices: hears what a person should know of the input, such as times read as milliseconds; None logs it.

    Raises:
        UsageError: not such a form.
        MissingInputError, DataError: a recording that cannot be read.
        UnavailableError: a device, broker, address or package that is not there.
    """
    kind, _, place = text.partition(":")
    wanted = tuple(Wanted(channel.name, channel.unit) for channel in config.channels)
    rate = source_rate_hz or config.sample_rate_hz
    notices = notices or Notices()
    if paced:
        chunk = max(1, min(chunk, int(rate * PACED_CHUNK_S)))
    if kind in ("npz", "csv") and place:
        from fsq_edge_runtime.sources.npz_recording import described_columns
        from fsq_edge_runtime.sources.replay import Replay

        path = Path(place)
        gap_s = config.max_gap_ms / 1000.0
        replay = Replay(wanted, rate, chunk=chunk, max_gap_s=gap_s, paced=paced, notices=notices)
        return replay.npz(path, described_columns(path)) if kind == "npz" else replay.csv(path)
    if kind == "pipe":  # from `run --workers` to its workers
        from fsq_edge_runtime.sources.pipe import PipeSource

        descriptor, options = split_options(place, {"live": ("0", "1"), "ready": None}, text)
        ready = options.get("ready", "")
        if not descriptor.isdecimal() or not ready.isdecimal():
            raise UsageError(f"{text!r} is not a pipe of a worker")
        return PipeSource(int(descriptor), live=options.get("live") == "1", ready=int(ready))
    from fsq_edge_runtime.sources.watch import WatchedSource

    if kind == "stdin" and not place:
        from fsq_edge_runtime.sources.stdin import StdinSource

        return WatchedSource(StdinSource(wanted, live=paced, notices=notices), 1.0 / rate, notices)
    return WatchedSource(_open_live(kind, place, wanted, text, notices), 1.0 / rate, notices)


def _open_live(kind: str, place: str, wanted: tuple[Wanted, ...], text: str, notices: Notices) -> Source:
    if kind == "udp":
        return _udp(place, wanted, text, notices)
    if kind == "serial" and place:
        return _serial(place, wanted, text, notices)
    if kind in ("mqtt", "mqtts"):
        from fsq_edge_runtime.mqtt_link import MqttAddress
        from fsq_edge_runtime.sources.mqtt import MqttSource

        address = MqttAddress.parse(text)
        if address.home:
            raise UsageError(f"{redacted(text)!r}: homeassistant= is for a sink")
        return MqttSource(address, wanted, notices)
    raise UsageError(f"unknown source {redacted(text)!r}", hint=_form_of(text) or "one of " + ", ".join(FORMS))


def _form_of(text: str) -> str:
    """Return the form that was meant where a path was given without its kind; empty where nothing is clear."""
    kind = {".npz": "npz", ".csv": "csv", ".txt": "csv", ".tsv": "csv"}.get(Path(text).suffix.lower())
    if text.startswith("/dev/"):
        kind = "serial"
    elif text == "-":
        return "did you mean stdin:?"
    elif kind is None and Path(text).is_dir():
        return "--source takes one recording; fsq-edge data inspect shows the recordings of a folder"
    return f"did you mean {kind}:{text}?" if kind else ""


def _udp(place: str, wanted: tuple[Wanted, ...], text: str, notices: Notices) -> Source:
    address, options = split_options(place, {"by": ("sender", "payload")}, text)
    host, _, port = address.rpartition(":")
    if not host or not (port.isdecimal() and len(port) < 6) or int(port) > 65535:
        raise UsageError(
            f"{text!r} is not a UDP address", hint="udp:HOST:PORT, the port up to 65535: udp:127.0.0.1:9000"
        )
    from fsq_edge_runtime.sources.udp import UdpSource

    by_sender = options.get("by") == "sender"
    return UdpSource(host.strip("[]"), int(port), wanted, by_sender=by_sender, notices=notices)


def _serial(place: str, wanted: tuple[Wanted, ...], text: str, notices: Notices) -> Source:
    from fsq_edge_runtime.sources.serial import SerialSource

    device, options = split_options(place, {"baud": None, "framing": ("lines", "packed")}, text)
    baud = options.get("baud", "115200")
    if not baud.isdecimal() or int(baud) == 0:
        raise UsageError(f"{text!r}: baud must be a whole number above 0")
    framing: Literal["lines", "packed"] = "packed" if options.get("framing") == "packed" else "lines"
    return SerialSource(device, int(baud), wanted, framing=framing, notices=notices)


def split_options(place: str, allowed: Mapping[str, tuple[str, ...] | None], text: str) -> tuple[str, dict[str, str]]:
    """Split ``PLACE?name=value&...``; values are checked where the allowed ones are listed.

    Raises:
        UsageError: an unknown name or value.
    """
    address, _, query = place.partition("?")
    options = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    for name, value in options.items():
        values = allowed.get(name, ())
        if values is not None and value not in values:
            known = ", ".join(f"{key}={'|'.join(some) if some else 'N'}" for key, some in allowed.items())
            raise UsageError(f"{text!r}: unknown option {name}={value}", hint=f"known: {known}")
    return address, options
