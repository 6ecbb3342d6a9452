"""How a four-legged animal's trunk moves in each behaviour: the table that the synthetic generator draws from.

Orders of magnitude follow the literature on dogs: stride rates of 1 to 3 a second rising from walk to gallop, two
vertical oscillations a stride in the symmetric gaits and one in the gallop, peak trunk accelerations of a few tenths
of g at a walk, about 1 g at a trot and several g when galloping or landing, breathing well below 1 Hz. They are chosen
to be plausible, not fitted to any animal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fsq_edge_runtime.arrays import Float64Array

G = 9.80665  # m/s2


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One behaviour's motion, for an animal of size 1. Angles in degrees, accelerations in m/s2.

    Attributes:
        name: class name.
        rhythm_hz: strides, jumps or bites a second.
        pitch: mean nose-down angle of the trunk; sitting is negative.
        roll: mean lean to the right.
        posture_spread: how much pitch and roll differ from bout to bout.
        pitch_swing: amplitude of pitch once a cycle.
        roll_swing: amplitude of roll once a cycle.
        yaw_swing: amplitude of yaw once a cycle.
        vertical: amplitude of vertical acceleration at one, two and three times the rhythm.
        forward: amplitudes along the trunk.
        lateral: amplitudes sideways.
        leap: strength of the jump's push, flight and landing, 1 for a full one.
        turn_rate: mean yaw rate to the left, degrees a second.
        speed: forward, m/s; it changes where behaviours change, and pulls inward while turning.
        bout_s: shortest and longest bout.
        next_names: behaviours that may follow.
    """

    name: str
    rhythm_hz: float
    next_names: tuple[str, ...]
    bout_s: tuple[float, float] = (4.0, 10.0)
    pitch: float = 0.0
    roll: float = 0.0
    posture_spread: float = 4.0
    pitch_swing: float = 0.0
    roll_swing: float = 0.0
    yaw_swing: float = 0.0
    vertical: tuple[float, float, float] = (0.0, 0.0, 0.0)
    forward: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lateral: tuple[float, float, float] = (0.0, 0.0, 0.0)
    leap: float = 0.0
    turn_rate: float = 0.0
    speed: float = 0.0


_AFTER_WALKING = ("walk", "trot", "run", "turn_left", "turn_right", "stand", "jump")
_WALK = Behaviour(
    "walk", 1.35, _AFTER_WALKING, speed=1.1, pitch_swing=1.8, roll_swing=4.0, yaw_swing=3.0,
    forward=(0.2, 1.1, 0.3), lateral=(1.0, 0.2, 0.1), vertical=(0.3, 1.5, 0.4),
)  # fmt: skip

BEHAVIOURS = (
    Behaviour(
        "stand", 0.35, ("walk", "sit", "lie", "eat", "turn_left", "turn_right"), pitch_swing=0.4, roll_swing=0.5,
    ),
    Behaviour(
        "sit", 0.40, ("stand", "lie"), pitch=-38.0, posture_spread=6.0, pitch_swing=0.5, vertical=(0.04, 0.0, 0.0),
    ),
    Behaviour(
        "lie", 0.30, ("sit", "stand"), pitch=-4.0, posture_spread=22.0, roll_swing=0.6, vertical=(0.05, 0.0, 0.0),
    ),
    _WALK,
    Behaviour(
        "trot", 2.3, ("walk", "run", "stand", "jump", "turn_left", "turn_right"), bout_s=(3.0, 8.0), speed=2.4,
        pitch_swing=1.5, roll_swing=2.5, yaw_swing=2.0,
        forward=(0.3, 2.4, 0.5), lateral=(0.9, 0.5, 0.2), vertical=(0.5, 6.5, 1.2),
    ),
    Behaviour(
        "run", 2.9, ("trot", "walk", "jump"), bout_s=(3.0, 7.0), speed=4.5,
        pitch_swing=9.0, roll_swing=3.0, yaw_swing=3.0,
        forward=(6.5, 2.0, 0.8), lateral=(2.2, 0.8, 0.4), vertical=(11.0, 3.5, 1.5),
    ),
    replace(_WALK, name="turn_left", roll=-6.0, turn_rate=75.0, speed=0.8, bout_s=(3.0, 6.0)),
    replace(_WALK, name="turn_right", roll=6.0, turn_rate=-75.0, speed=0.8, bout_s=(3.0, 6.0)),
    Behaviour(
        "jump", 0.85, ("walk", "stand", "trot"), bout_s=(3.0, 6.0), leap=1.0, pitch_swing=12.0, roll_swing=3.0,
        forward=(2.0, 0.8, 0.3), lateral=(0.6, 0.3, 0.1),
    ),
    Behaviour(
        "eat", 1.7, ("stand", "walk"), pitch=24.0, posture_spread=7.0, pitch_swing=2.0, roll_swing=0.8, yaw_swing=1.2,
        forward=(0.35, 0.15, 0.05), lateral=(0.15, 0.1, 0.05), vertical=(0.45, 0.25, 0.1),
    ),
)  # fmt: skip
NAMES = tuple(behaviour.name for behaviour in BEHAVIOURS)


def leap(phase: Float64Array) -> Float64Array:
    """Vertical acceleration of one jump over its cycle, m/s2, zero on average so that the animal lands where it was.

    Args:
        phase: position in the cycle, in turns; any shape.

    Returns:
        The push off the ground, free fall (exactly -g against gravity), the landing.
    """
    turn = phase % 1.0
    flight = 1.0 / (1.0 + np.exp(-(turn - 0.38) / 0.008)) / (1.0 + np.exp((turn - 0.62) / 0.008))
    push = np.exp(-0.5 * ((turn - 0.31) / 0.035) ** 2)
    landing = np.exp(-0.5 * ((turn - 0.68) / 0.025) ** 2)
    # Areas: flight 0.24 g of a cycle; push and landing share it.
    share = 0.24 / np.sqrt(2 * np.pi)
    return np.asarray(G * (0.5 * share / 0.035 * push + 0.5 * share / 0.025 * landing - flight))


def cycle(phase: Float64Array, amplitudes: Float64Array, offsets: Float64Array) -> Float64Array:
    """Sum of three harmonics.

    Args:
        phase: (n,) turns.
        amplitudes: (n, 3), of one, two and three times the rhythm.
        offsets: (3,) radians.

    Returns:
        (n,).
    """
    angle = 2 * np.pi * phase[:, None] * np.arange(1, 4) + offsets
    return np.asarray((amplitudes * np.sin(angle)).sum(axis=1))
