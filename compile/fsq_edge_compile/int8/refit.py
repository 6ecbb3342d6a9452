"""What has to be fitted again on int8 outputs: the temperature and the decision thresholds.

Quantisation shifts scores. Thresholds are moved so that each is passed by as large a share of windows as before: what
``tune`` chose for the float network is then chosen for the int8 one, without the recordings that it was tuned on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fsq_edge_compile.int8.temperature import FittedTemperature, fit_temperature
from fsq_edge_runtime.arrays import Float32Array, Float64Array, TextArray
from fsq_edge_runtime.decision import DecisionChain, DecisionSettings
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.tail import FsqTail, softmax

LEAST_WINDOWS: Final = 50
THRESHOLDS: Final = ("enter", "leave", "unknown_below")


@dataclass(frozen=True, slots=True)
class Refit:
    """The int8 set of host parameters and how it was found.

    Attributes:
        tail: the host tail with the int8 temperature.
        decision: the decision settings with the int8 thresholds.
        temperature_float: fitted on the float outputs of those windows, for comparison.
        temperature_int8: fitted on the int8 outputs.
        thresholds: name -> (float, int8) of every threshold that is in use.
    """

    tail: FsqTail
    decision: DecisionSettings
    temperature_float: FittedTemperature
    temperature_int8: FittedTemperature
    thresholds: dict[str, tuple[float, float]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without the table."""
        return {
            "temperature_float": asdict(self.temperature_float),
            "temperature_int8": asdict(self.temperature_int8),
            "temperature_used": self.tail.temperature,
            "thresholds": {name: list(pair) for name, pair in self.thresholds.items()},
        }


def refit_int8(
    tail: FsqTail,
    decision: DecisionSettings,
    t_float: Float32Array,
    t_int8: Float32Array,
    labels: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    hop_ms: float,
) -> Refit:
    """Fit temperature and thresholds on held-out windows.

    Args:
        tail: the float host tail.
        decision: the float decision settings.
        t_float: (N, D) float32 outputs of the float device graph, windows in order of time within each group.
        t_int8: (N, D) float32 outputs of the int8 device graph on those windows.
        labels: (N,) true classes.
        groups: (N,) subject of each window; none of them was trained on.
        hop_ms: distance of the windows.

    Raises:
        DataError: fewer than 50 windows, or arrays that do not agree.
    """
    truth, who = np.asarray(labels, dtype=np.int64), np.asarray(groups).astype(np.str_)
    if len({len(t_float), len(t_int8), len(truth), len(who)}) != 1 or len(truth) < LEAST_WINDOWS:
        raise DataError(f"{len(truth)} held-out windows, at least {LEAST_WINDOWS} are needed to fit int8 settings on")
    names = [str(name) for name in np.unique(who)]
    fits = [fit_temperature(tail.logits(t), truth, names) for t in (t_float, t_int8)]
    # A temperature at its bound says that the windows are too few or too easy, so the float one stays.
    used = tail.temperature if fits[1].at_limit else fits[1].value
    int8_tail = FsqTail(tail.codebook.levels, tail.table, used)
    temperatures = decision.temperature or tail.temperature, used
    tops = [
        _smoothed_tops(softmax(tail.logits(t), temperature), who, decision, hop_ms)
        for t, temperature in zip((t_float, t_int8), temperatures, strict=True)
    ]
    moved = match_thresholds(decision, *tops)
    changes = {**moved, "temperature": None if decision.temperature is None else used}
    settings = DecisionSettings.model_validate({**decision.model_dump(), **changes})
    thresholds = {name: (getattr(decision, name), value) for name, value in moved.items()}
    return Refit(int8_tail, settings, fits[0], fits[1], thresholds)


def match_thresholds(settings: DecisionSettings, reference: Float64Array, other: Float64Array) -> dict[str, float]:
    """Return each threshold in use, moved so that as large a share of ``other`` passes it as of ``reference``.

    Args:
        settings: fitted to ``reference``; thresholds of 0 and 1 are not in use.
        reference: (N,) best smoothed probability of each window, of the float graph.
        other: (M,) those of the int8 graph.

    Returns:
        name -> threshold, with ``leave`` at most ``enter``.

    Example:
        >>> scores = np.linspace(0.0, 1.0, 101)
        >>> settings = DecisionSettings(enter=0.6, leave=0.4)
        >>> {name: round(value, 1) for name, value in match_thresholds(settings, scores, scores / 2).items()}
        {'enter': 0.3, 'leave': 0.2}
    """
    used = {name: getattr(settings, name) for name in THRESHOLDS if 0 < getattr(settings, name) < 1}
    moved = {name: match_share(value, reference, other) for name, value in used.items()}
    if "leave" in moved:
        moved["leave"] = min(moved["leave"], moved.get("enter", settings.enter))
    return moved


def match_share(threshold: float, reference: Float64Array, other: Float64Array) -> float:
    """Return the threshold that as large a share of ``other`` passes as of ``reference``; equal scores keep it.

    Args:
        threshold: on ``reference``.
        reference: (N,) scores.
        other: (M,) scores.
    """
    share = float((reference < threshold).mean())
    moved = threshold + float(np.quantile(other, share) - np.quantile(reference, share))
    return float(np.clip(moved, 0.0, 1.0))


def _smoothed_tops(
    probabilities: Float32Array, groups: TextArray, decision: DecisionSettings, hop_ms: float
) -> Float64Array:
    """Return the best smoothed probability (N,) of every window, smoothed as the stream does, each group by itself."""
    tops = np.empty(len(probabilities))
    for name in np.unique(groups):
        chain = DecisionChain(decision, hop_ms)
        for row in np.flatnonzero(groups == name):
            tops[row] = max(chain.step(probabilities[row].tolist())[1])
    return tops
