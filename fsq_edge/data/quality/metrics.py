"""What was measured, channel by channel, and the one number that sums it up."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from fsq_edge.data.quality.timing import TimingQuality
from fsq_edge.data.quality.units import UnitCheck


class Record(Mapping[str, Any]):
    """Base of frozen dataclasses that are read by attribute (``report.n``) and by key (``report["n"]``)."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys():
            raise KeyError(key)
        return getattr(self, self._alias().get(key, key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def _keys(self) -> list[str]:
        return [field.name for field in fields(self)] + list(self._alias())  # type: ignore[arg-type]  # a dataclass

    @classmethod
    def _alias(cls) -> dict[str, str]:
        """Further keys, each with the attribute that it stands for."""
        return {}


@dataclass(frozen=True, slots=True)
class ChannelQuality:
    """One channel; shares are of its samples, 0 to 1.

    Attributes:
        name: of the channel, or its number.
        unit: as declared; empty where it is not known.
        n: samples.
        nan: NaN values.
        inf: Inf values.
        longest_gap: longest run of missing samples.
        beyond_gap_share: in runs too long to interpolate.
        mean: of the finite values. This and the next three are NaN where no value is finite.
        std: population standard deviation.
        min: smallest.
        max: largest.
        longest_flat: longest run of one exactly equal value, samples.
        flat_share: in stretches that count as stuck.
        saturated_share: at the extremes, three or more in a row.
    """

    name: str
    unit: str
    n: int
    nan: int
    inf: int
    longest_gap: int
    beyond_gap_share: float
    mean: float
    std: float
    min: float
    max: float
    longest_flat: int
    flat_share: float
    saturated_share: float

    @property
    def missing_share(self) -> float:
        """NaN and Inf."""
        return (self.nan + self.inf) / self.n

    @property
    def is_dead(self) -> bool:
        """No value, or one value only."""
        return not self.min < self.max

    @property
    def score(self) -> float:
        """0 to 100, falling with every defect; a dead channel has 0.

        Each share takes its square root of what is left, so that one percent of bad samples costs ten points: a
        sum would hide a small defect that spoils many windows.
        """
        if self.is_dead:
            return 0.0
        left = 100.0
        for share in (self.missing_share, self.beyond_gap_share, self.flat_share, self.saturated_share):
            left *= 1 - math.sqrt(min(share, 1.0))
        return left


@dataclass(frozen=True, slots=True, eq=False)
class QualityMetrics(Record):
    """What the monitor found in one data set; read ``metrics.nan_count`` or ``metrics["nan_count"]``.

    Attributes:
        timestamp: of the analysis, ISO 8601, UTC.
        dataset: name.
        shape: (N, C, T) of windows, (recordings, samples, C) of a data set.
        size: the shape in words.
        dtype: of the values as given.
        total_elements: values.
        nan_count: NaN values.
        nan_percentage: of all values.
        nan_by_channel: C counts.
        inf_count: Inf values.
        inf_percentage: of all values.
        inf_by_channel: C counts.
        mean: over all finite values, whatever their unit: a first look, not a measure (std, min and max, too).
        std: population standard deviation.
        min: smallest finite value.
        max: largest finite value.
        channels: one entry a channel.
        samples_affected_share: samples with any channel missing.
        windows_affected: windows with anything missing; 0 where recordings were analysed.
        windows_lost: windows with a gap too long to interpolate.
        timing: None without timestamps.
        units: one check a sensor with known unit.
        quality_score: 0 to 100, a summary for sorting; what is wrong stands in the channels.
        requires_correction: True when anything is missing.
        recommended_strategy: ``none``, ``interpolate``, ``drop`` or ``raise`` (see ``recommend``).
    """

    timestamp: str
    dataset: str
    shape: tuple[int, ...]
    size: str
    dtype: str
    total_elements: int
    nan_count: int
    nan_percentage: float
    nan_by_channel: tuple[int, ...]
    inf_count: int
    inf_percentage: float
    inf_by_channel: tuple[int, ...]
    mean: float
    std: float
    min: float
    max: float
    channels: tuple[ChannelQuality, ...]
    samples_affected_share: float
    windows_affected: int
    windows_lost: int
    timing: TimingQuality | None
    units: tuple[UnitCheck, ...]
    quality_score: float
    requires_correction: bool
    recommended_strategy: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, each channel with its score."""
        value = {name: item for name, item in self.items() if name not in ("channels", "timing", "units")}
        value["channels"] = [
            {**asdict(channel), "missing_share": channel.missing_share, "score": channel.score}
            for channel in self.channels
        ]
        value["timing"] = None if self.timing is None else asdict(self.timing)
        value["units"] = [asdict(check) for check in self.units]
        return value


def total_score(
    channels: tuple[ChannelQuality, ...], timing: TimingQuality | None, units: tuple[UnitCheck, ...]
) -> float:
    """Sum a data set up as one number from 0 to 100 that falls with each defect.

    The mean of the channels' scores, less what the timing spoils (gaps that do not begin at rest, steps back, repeats,
    lost samples, drift up to 10 %), halved for every sensor whose unit cannot be right.
    """
    score = sum(channel.score for channel in channels) / len(channels)
    if timing is not None:
        drift = max(abs(timing.rate_drift_percentage), abs(timing.drift_within_percentage)) / 10
        for share in (
            (timing.gap_seconds - timing.idle_seconds) / timing.seconds,
            (timing.n_backward + timing.n_duplicates + timing.n_lost) / timing.n_steps,
            drift * drift,  # the root below makes it linear
        ):
            score *= 1 - math.sqrt(min(share, 1.0))
    return float(score * 0.5 ** sum(check.verdict == "implausible" for check in units))


def recommend(channels: tuple[ChannelQuality, ...]) -> str:
    """Return what to do about missing values.

    ``none`` where nothing is missing; ``raise`` where a channel has no value at all, which no strategy can repair;
    ``interpolate`` where every gap is short enough; else ``drop``: what is lost is lost, and inventing it would teach
    the model the invention. Filling with a mean or a median is offered, but never recommended for a signal in time.
    """
    if not any(channel.nan or channel.inf for channel in channels):
        return "none"
    if any(channel.nan + channel.inf == channel.n for channel in channels):
        return "raise"
    return "drop" if any(channel.beyond_gap_share for channel in channels) else "interpolate"
