"""``stream.json``: the written policy for timestamps, resampling, broken channels and deadlines."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.preprocess import PreprocessConfig

MAX_S = 1e6  # of any duration: eleven days
Magnitude = Annotated[float, Field(ge=1e-12, le=1e12)]  # float32 holds its inverse and its square
Flag = Literal["missing", "imputed", "stuck", "clipped", "range", "units", "rate"]
ALL_FLAGS: tuple[Flag, ...] = ("missing", "imputed", "stuck", "clipped", "range", "units", "rate")

# Beyond any inertial sensor on the market: such a value is a transfer error, not motion. Magnitudes by unit.
# Source: full scales of high-g (ADXL375, 200 g) and high-rate (ICM-45686, 4000 deg/s) parts, doubled.
RANGE_LIMITS = {"g": 400.0, "m/s2": 4000.0, "rad/s": 140.0, "deg/s": 8000.0, "uT": 10_000.0}

# When a repeated value is a fault, in recordings as in streams: more than the step of a live sensor explains.
#
# A sensor repeats a value while its body moves by less than its step, and a still body does so for minutes where the
# step is coarse. So time alone says nothing: on one axis a repeated value is a fault where another axis of that sensor
# moves meanwhile. Noise needs no estimate: where it is large against the step, the noise of the other axes is movement
# enough, and a live axis never stands still at all.
#
# A run of one value is stuck where a live axis would keep it in less than one case of twenty.
EXPLAINED: Final = 0.05
# A movement in a random direction has a part along one axis that is uniform between none and all of it (Archimedes'
# theorem on the sphere), so a live axis stays within its step in one of twenty movements by twenty steps.
LIVE_STEPS: Final = 1 / EXPLAINED
ALL_STILL: Final = 4  # times `stuck_ms` that a living body keeps all axes still: 0.4 % of a night in steps of 1/64 g


class StreamSettings(Artefact):
    """What a session does with imperfect input. A bundle without ``stream.json`` gets these defaults.

    Attributes:
        source_rate_hz: nominal rate of the sensor; None means the model's rate.
        hop_samples: step between windows; None takes that of ``preprocess.json``, at which the model was trained.
        resampler: ``polyphase`` filters against aliasing, ``linear`` interpolates; ``auto`` takes ``polyphase`` when
            the source is more than 5 % faster than the model.
        jitter_tolerance: a sample this close to a grid time, in grid periods, is taken as it is.
        clock_jump_s: a backward step of more than this starts a new segment.
        late_limit: so many late samples running start a new segment: the clock was set back.
        deadline_ms: longest time from a window's last sample to its decision; None is one hop, 0 is no limit.
        abstain_on: flags that make a window abstain; the others are only reported.
        stuck_ms: a channel that repeats one value for this long is stuck.
        max_imputed_share: share of a window's samples that may be interpolated.
        max_clipped_share: share of a channel's samples that may sit at its full scale.
        max_rate_error: relative difference allowed between the measured and the nominal source rate.
        full_scale: largest magnitude a channel can report, by channel name, raw units; enables ``clipped``.
        sensor_step: least difference between two values of a channel, by channel name, raw units. A channel with a
            step is stuck only where another axis of its sensor moves more than 20 steps meanwhile, or where all of them
            repeat four times as long: a still body repeats values. ``export`` fills it in where it is known.
        range_limits: magnitude that no real signal exceeds, by unit; enables ``range``.
        check_gravity: compare the accelerometer's mean square with gravity where the training data held gravity;
            catches g sent as m/s2 and the reverse. The gyroscope's is held to what a body and a sensor can turn, which
            catches deg/s sent as rad/s and, while the body moves, the reverse.
    """

    KIND: ClassVar[str] = "stream.json"

    source_rate_hz: float | None = Field(default=None, ge=1e-3, le=1e6)
    hop_samples: int | None = Field(default=None, ge=1, le=65536)
    resampler: Literal["auto", "linear", "polyphase"] = "auto"
    jitter_tolerance: float = Field(default=0.25, gt=0, lt=0.5)
    clock_jump_s: float = Field(default=1.0, gt=0, le=MAX_S)
    late_limit: int = Field(default=10, ge=1, le=1_000_000)
    deadline_ms: float | None = Field(default=None, ge=0, le=MAX_S * 1000)
    abstain_on: tuple[Flag, ...] = ALL_FLAGS
    stuck_ms: float = Field(default=500.0, gt=0, le=MAX_S * 1000)
    max_imputed_share: float = Field(default=0.2, ge=0, le=1)
    max_clipped_share: float = Field(default=0.1, ge=0, le=1)
    max_rate_error: float = Field(default=0.1, gt=0, le=1e6)
    full_scale: dict[str, Magnitude] = Field(default_factory=dict)
    sensor_step: dict[str, Magnitude] = Field(default_factory=dict)
    range_limits: dict[str, Magnitude] = Field(default_factory=lambda: dict(RANGE_LIMITS))
    check_gravity: bool = True

    def deadline_ns(self, config: PreprocessConfig) -> int | None:
        """Return the deadline in nanoseconds, or None for no limit."""
        hop_ms = 1000.0 * config.hop_samples / config.sample_rate_hz
        limit = hop_ms if self.deadline_ms is None else self.deadline_ms
        return int(limit * 1e6) if limit > 0 else None

    def source_rate(self, config: PreprocessConfig) -> float:
        """Return the sensor's nominal rate, hertz."""
        return self.source_rate_hz or config.sample_rate_hz

    def uses_polyphase(self, config: PreprocessConfig) -> bool:
        """Return whether the source is filtered before its rate is reduced."""
        if self.resampler == "auto":
            return self.source_rate(config) > 1.05 * config.sample_rate_hz
        return self.resampler == "polyphase" and self.source_rate(config) > config.sample_rate_hz
