"""Asking a device for its temperature now and then, without ever waiting for the answer."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

# Between two questions to a device that did not answer the last one: from and to.
SILENT_PAUSE_S, LONGEST_PAUSE_S = 30.0, 3600.0


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What the device says of its state; None where it does not say.

    Attributes:
        temperature_c: the hotter of the chip's two sensors, degrees Celsius.
        power_w: watts, on boards with current monitoring only.
    """

    temperature_c: float | None = None
    power_w: float | None = None


class SaysTemperature(Protocol):
    """A device that can be asked."""

    def telemetry(self) -> Future[Telemetry]:
        """The temperature, when the device gets to it."""


class TemperatureQuestions:
    """When to ask, and what came of it.

    Args:
        every_s: seconds from question to question; 0 never asks.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = self._pause_s = every_s
        self._asked: Future[Telemetry] | None = None
        self._next_ns = 0

    def ask(self, device: SaysTemperature | None, now: int) -> None:
        """Ask a device when it is time and the last question has been answered.

        Args:
            device: None is not asked.
            now: nanoseconds on the monotonic clock.
        """
        if self._every_s and device is not None and self._asked is None and now >= self._next_ns:
            self._next_ns = now + int(self._pause_s * 1e9)
            self._asked = device.telemetry()

    def answer(self, now: int) -> tuple[bool, float | None]:
        """Return whether an answer has come since the last call, and its degrees Celsius; None when there are none.

        Args:
            now: nanoseconds on the monotonic clock.
        """
        if self._asked is None or not self._asked.done():
            return False, None
        asked, self._asked = self._asked, None
        if asked.exception() is None:
            self._pause_s = self._every_s
            return True, asked.result().temperature_c
        # Such a question may keep the device from inferring, too: ask it less often.
        self._pause_s = min(max(2 * self._pause_s, SILENT_PAUSE_S), LONGEST_PAUSE_S)
        self._next_ns = now + int(self._pause_s * 1e9)
        return True, None
