"""The limits that data and codes are held to."""

from __future__ import annotations

from pydantic import Field

from fsq_edge_runtime.artefact import StrictModel


class QualityThresholds(StrictModel):
    """Limits of the quality control; percentages are of the samples of one channel unless they say otherwise.

    Standard deviations are compared in m/s2, rad/s and uT: channels in g, mg or deg/s are converted first, others
    are taken as they are. A healthy periodic movement passes all of them, however alike its neighbouring samples
    are: nothing here looks at autocorrelation.

    Attributes:
        max_nan_percentage: NaN.
        max_inf_percentage: Inf.
        min_signal_std: a channel that moves less over the whole data set is dead.
        max_signal_std: a channel that moves more is broken or in another unit.
        expected_shape: shape of a window array; None stands for any size. Windows of 9 channels and 100 samples are
            (None, 9, 100).
        min_codebook_usage: share of the codes that occur.
        min_perplexity: effective number of codes.
        max_gap_ms: longest run of missing samples that is interpolated.
        flat_ms: a value that stands exactly still this long is stuck; on a triad only where another of its axes moves
            more than 20 steps meanwhile, or where all three stand still four times as long.
        max_flat_percentage: samples in stuck stretches.
        max_saturated_percentage: samples at the channel's largest or smallest value, three or more in a row.
        max_rate_drift_percentage: change of the rate within a recording.
        max_rate_offset_percentage: steady difference of the real from the nominal sample rate; more is a warning.
    """

    max_nan_percentage: float = Field(default=5.0, ge=0, le=100)
    max_inf_percentage: float = Field(default=1.0, ge=0, le=100)
    min_signal_std: float = Field(default=0.01, ge=0)
    max_signal_std: float = Field(default=50.0, gt=0)
    expected_shape: tuple[int | None, ...] | None = None
    min_codebook_usage: float = Field(default=0.2, ge=0, le=1)
    min_perplexity: float = Field(default=4.0, ge=1)
    max_gap_ms: float = Field(default=100.0, ge=0)
    flat_ms: float = Field(default=500.0, gt=0)
    max_flat_percentage: float = Field(default=5.0, ge=0, le=100)
    max_saturated_percentage: float = Field(default=1.0, ge=0, le=100)
    max_rate_drift_percentage: float = Field(default=2.0, ge=0)
    max_rate_offset_percentage: float = Field(default=5.0, ge=0)
