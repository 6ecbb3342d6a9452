"""From measurements to what is wrong: one finding a broken limit, worst first."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fsq_edge.data.quality.metrics import ChannelQuality, QualityMetrics
from fsq_edge.data.quality.thresholds import QualityThresholds
from fsq_edge.data.quality.timing import TimingQuality
from fsq_edge.data.triads import in_si
from fsq_edge.report.parts import plural
from fsq_edge.report.times import elapsed
from fsq_edge_runtime.findings import Finding, Severity, worst_first

NOTICEABLE_SATURATION = 0.001  # share; below it a repeated extreme may be chance of a coarse sensor
WARN_DRIFT_SHARE = 0.5  # of the limit


def quality_findings(metrics: QualityMetrics, thresholds: QualityThresholds) -> tuple[Finding, ...]:
    """Hold measurements to their limits; errors come first, each kind in the order of the channels.

    A finding has the rule ``nan``, ``inf``, ``gap``, ``dead``, ``spread``, ``flat``, ``saturated``, ``rate``,
    ``clock``, ``idle`` or ``unit``. It is an error where a limit is broken and a warning where something is off within
    it; ``where`` names the channel or the sensor.
    """
    found = [finding for channel in metrics.channels for finding in _channel(channel, thresholds)]
    if metrics.timing is not None:
        found += _timing(metrics.timing, thresholds)
    for check in metrics.units:
        if check.verdict != "plausible":
            broken = check.verdict == "implausible"
            found.append(_finding("unit", broken, check.sensor, check.message, check.typical))
    return worst_first(found)


def _finding(rule: str, broken: bool, where: str, message: str, actual: float, limit: float | None = None) -> Finding:
    severity: Severity = "error" if broken else "warning"
    return Finding(rule=rule, severity=severity, message=message, where=where, actual=actual, limit=limit)


def _channel(channel: ChannelQuality, limits: QualityThresholds) -> Iterator[Finding]:
    for rule, text, count, limit in (
        ("nan", "NaN", channel.nan, limits.max_nan_percentage),
        ("inf", "Inf", channel.inf, limits.max_inf_percentage),
    ):
        if count:
            yield _share(rule, channel.name, f"of the samples are {text}", count / channel.n, limit)
    if channel.is_dead:
        value = "nothing is finite" if math.isnan(channel.min) else f"every value is {channel.min + 0.0:g}"  # no -0
        yield _finding("dead", True, channel.name, f"{channel.name}: dead, {value}", 0.0)
        return
    if channel.beyond_gap_share:
        message = f"{channel.name}: {channel.longest_gap:,} samples missing in a row; windows there cannot be used"
        yield _finding("gap", False, channel.name, message, channel.longest_gap)
    std = channel.std * in_si(channel.unit)
    if std < limits.min_signal_std:
        message = f"{channel.name}: hardly moves, standard deviation {channel.std:.3g} {channel.unit}".rstrip()
        yield _finding("dead", True, channel.name, message, std, limits.min_signal_std)
    if std > limits.max_signal_std:
        message = f"{channel.name}: standard deviation {channel.std:.3g} {channel.unit}".rstrip()
        yield _finding("spread", True, channel.name, message, std, limits.max_signal_std)
    if channel.flat_share:
        text = f"of the samples stand still, up to {channel.longest_flat:,} in a row"
        yield _share("flat", channel.name, text, channel.flat_share, limits.max_flat_percentage)
    if channel.saturated_share > min(NOTICEABLE_SATURATION, limits.max_saturated_percentage / 100):
        text = f"of the samples are clipped at {channel.min:.4g} or {channel.max:.4g}"
        yield _share("saturated", channel.name, text, channel.saturated_share, limits.max_saturated_percentage)


def _share(rule: str, name: str, text: str, share: float, limit: float) -> Finding:
    failed = 100 * share > limit
    message = f"{name}: {100 * share:.3g} % {text}" + (f" (limit {limit:g} %)" if failed else "")
    return _finding(rule, failed, name, message, 100 * share, limit)


def _timing(timing: TimingQuality, limits: QualityThresholds) -> Iterator[Finding]:
    offset, limit = timing.rate_drift_percentage, limits.max_rate_offset_percentage
    if abs(offset) > limit:  # steady, so a fact and no fault: windows can be cut by the measured rate
        message = f"the real rate is {timing.rate_hz:.4g} Hz, {offset:+.2g} % off the nominal"
        yield _finding("rate", False, "", message, offset, limit)
    drift, limit = timing.drift_within_percentage, limits.max_rate_drift_percentage
    if abs(drift) > WARN_DRIFT_SHARE * limit:
        message = f"the rate changes by {drift:+.2g} % within a recording"
        yield _finding("rate", abs(drift) > limit, "", message, drift, limit)
    if timing.n_gaps:
        lost = f"{elapsed(timing.gap_seconds)} together, the longest {elapsed(timing.longest_gap_s)}"
        message = f"{plural(timing.n_gaps, 'gap')} in time, {lost}"
        yield _finding("gap", False, "", message, timing.gap_seconds)
    if timing.n_idle:
        message = (
            f"{timing.n_idle} of the gaps begin at rest ({elapsed(timing.idle_seconds)}): idle sleep of the logger"
        )
        yield _finding("idle", False, "", message, timing.idle_seconds)
    for count, text in (
        (timing.n_backward, "timestamps step back"),
        (timing.n_duplicates, "timestamps repeat"),
        (timing.n_lost, "samples are missing between timestamps"),
    ):
        if count:
            yield _finding("clock", False, "", f"{count} {text}", count)
