"""What Home Assistant needs to show streams as devices: discovery payloads and states by MQTT."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from fsq_edge_runtime.made import installed_version
from fsq_edge_runtime.stream.records import Decision, StreamEvent

ORIGIN: Final = "fsq-edge"
PREFIX: Final = "homeassistant"
BIRTH: Final = (f"{PREFIX}/status", b"online")
MAX_DEVICES: Final = 256
UNKNOWN: Final = "unknown"
_NOT_SLUG = re.compile(r"[^a-z0-9]+")

Message = tuple[str, str]


class HomeAssistant:
    """Makes one device of every stream.

    It shows the behavior, how sure that is, whether the windows can be trusted, and whether an alert stands.

    Args:
        topic: of the sink; states go below it.
        model: name of the bundle.
        classes: what a label can be; empty where nobody knows.

    Source: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
    """

    def __init__(self, topic: str, model: str = "", classes: Sequence[str] = ()) -> None:
        self._topic, self._model = topic, model
        self._labels = list(dict.fromkeys([*classes, UNKNOWN])) if classes else []
        self._nodes: dict[str, str] = {}
        self._alerts: dict[str, dict[str, None]] = {}  # rules whose alert stands, by stream

    def node(self, stream: str) -> str | None:
        """Return the id of a stream's device, equal in every run; None beyond ``MAX_DEVICES`` streams."""
        known = self._nodes.get(stream)
        if known is None and len(self._nodes) < MAX_DEVICES:
            digest = hashlib.sha256(f"{self._topic}\0{stream}".encode()).hexdigest()[:12]
            slug = _NOT_SLUG.sub("_", stream.lower())[:40].strip("_")
            known = self._nodes[stream] = f"fsq_edge_{slug}_{digest}" if slug else f"fsq_edge_{digest}"
        return known

    def announcements(self) -> list[Message]:
        """Return topic and payload of every device so far, to be published retained."""
        return [self.announcement(stream) for stream in list(self._nodes)]

    def announcement(self, stream: str) -> Message:
        """Return topic and payload that announce a stream's device."""
        node = self._nodes[stream]
        payload = {
            "device": {
                "identifiers": [node],
                "name": f"{self._model or ORIGIN} {stream}",
                "manufacturer": ORIGIN,
                "model": self._model or ORIGIN,
            },
            "origin": {"name": ORIGIN, "sw_version": installed_version() or "unknown"},
            "availability_topic": f"{self._topic}/status",
            "state_topic": self.state_topic(node),
            "components": self._components(node),
        }
        return f"{PREFIX}/device/{node}/config", json.dumps(payload)

    def state(self, record: Decision) -> Message | None:
        """Return topic and payload of what a stream is doing, to be published retained; None without a device."""
        node = self.node(record.stream)
        if node is None:
            return None
        flags = [record.missed] if record.missed else list(record.quality)
        confidence = None if record.confidence is None else round(record.confidence, 2)
        alerts = list(self._alerts.get(record.stream, ()))
        state = {
            "label": record.label,
            "confidence": confidence,
            "problem": "ON" if flags else "OFF",
            "flags": flags,
            "alert": "ON" if alerts else "OFF",
            "alerts": alerts,
        }
        return self.state_topic(node), json.dumps(state)

    def mark(self, alert: StreamEvent) -> None:
        """Take an ``alert`` record; the stream's next state shows it while it stands."""
        standing = self._alerts.setdefault(alert.stream, {})
        if alert.facts["state"] == "clear":
            standing.pop(alert.facts["rule"], None)
        elif alert.facts["kind"] != "drift":  # it has no all-clear
            standing[alert.facts["rule"]] = None
        if not standing or self.node(alert.stream) is None:
            del self._alerts[alert.stream]

    def state_topic(self, node: str) -> str:
        """Return where a device's state is published."""
        return f"{self._topic}/{PREFIX}/{node}"

    def is_ours(self, payload: bytes) -> bool:
        """Return whether a device was announced by a sink of this topic."""
        try:
            found: Any = json.loads(payload)
            origin, topic = found["origin"]["name"], found["state_topic"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return False
        return origin == ORIGIN and str(topic).startswith(f"{self._topic}/{PREFIX}/")

    def _components(self, node: str) -> dict[str, dict[str, Any]]:
        label: dict[str, Any] = {
            "platform": "sensor",
            "unique_id": f"{node}_label",
            "name": "Behavior",
            "icon": "mdi:motion-sensor",
            # Null is no text: Home Assistant shows the state as unknown.
            "value_template": "{{ value_json.label }}",
        }
        if self._labels:
            label |= {"device_class": "enum", "options": self._labels}
        return {
            "label": label,
            "confidence": {
                "platform": "sensor",
                "unique_id": f"{node}_confidence",
                "name": "Confidence",
                "unit_of_measurement": "%",
                "state_class": "measurement",
                "entity_category": "diagnostic",
                "enabled_by_default": False,  # it changes with every window, and each change is a row of a database
                "value_template": "{{ (value_json.confidence * 100) | round(0) "
                "if value_json.confidence is not none else none }}",
            },
            "problem": {
                "platform": "binary_sensor",
                "unique_id": f"{node}_problem",
                "name": "Signal",
                "device_class": "problem",
                "entity_category": "diagnostic",
                "payload_on": "ON",
                "payload_off": "OFF",
                "value_template": "{{ value_json.problem }}",
                "json_attributes_topic": self.state_topic(node),
                "json_attributes_template": "{{ {'flags': value_json.flags} | tojson }}",
            },
            "alert": {
                "platform": "binary_sensor",
                "unique_id": f"{node}_alert",
                "name": "Alert",
                "device_class": "problem",
                "payload_on": "ON",
                "payload_off": "OFF",
                "value_template": "{{ value_json.alert }}",
                "json_attributes_topic": self.state_topic(node),
                "json_attributes_template": "{{ {'rules': value_json.alerts} | tojson }}",
            },
        }
