"""Gates: may these windows be trained on, and is this code book in use?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fsq_edge.data.quality.analysis import analyze_dataset, analyze_windows
from fsq_edge.data.quality.arrays import as_array, as_windows, channels_for
from fsq_edge.data.quality.findings import quality_findings
from fsq_edge.data.quality.metrics import QualityMetrics, Record
from fsq_edge.data.quality.thresholds import QualityThresholds
from fsq_edge.data.recording import Channel, Dataset
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.findings import Finding
from fsq_edge_runtime.scores import perplexity

DEFAULT_RATE_HZ = 100.0
CODES_PER_ENTRY = 10  # fewer codes than this many a code book entry say little about its use


@dataclass(frozen=True, slots=True, eq=False)
class QualityReport(Record):
    """The verdict on an array of windows or a data set; read ``report.passed`` or ``report["pass"]``.

    Attributes:
        passed: no failure, and in strict mode no warning either; also under ``pass`` and ``overall_pass``.
        failures: broken limits, one line each.
        warnings: what is off within its limits.
        findings: failures and warnings as data.
        has_nan: any NaN.
        has_inf: any Inf.
        data_shape: as given.
        quality_score: 0 to 100.
        strict: whether warnings fail.
        metrics: all measurements.
    """

    passed: bool
    failures: tuple[str, ...]
    warnings: tuple[str, ...]
    findings: tuple[Finding, ...]
    has_nan: bool
    has_inf: bool
    data_shape: tuple[int, ...]
    quality_score: float
    strict: bool
    metrics: QualityMetrics

    @classmethod
    def _alias(cls) -> dict[str, str]:
        return {"pass": "passed", "overall_pass": "passed"}

    @property
    def lines(self) -> tuple[str, ...]:
        """Failures, then warnings, one line each."""
        return (*self.failures, *self.warnings)

    def require(self) -> None:
        """Refuse data that did not pass.

        Raises:
            DataError: names the first reason and how many more there are.
        """
        if self.passed:
            return
        reasons = self.failures or self.warnings
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        raise DataError(f"the data failed the quality control: {reasons[0]}{more}", hint="fsq-edge data qa SOURCE")


@dataclass(frozen=True, slots=True, eq=False)
class CodeReport(Record):
    """The verdict on a code book's use.

    Attributes:
        passed: both limits hold; also under ``pass``.
        failures: broken limits.
        warnings: too few codes for a verdict.
        n: codes seen.
        n_codes: size of the code book.
        n_used: codes that occur.
        usage: their share, 0 to 1.
        perplexity: exp of the entropy of the codes in nats, 1 to ``n_codes``.
    """

    passed: bool
    failures: tuple[str, ...]
    warnings: tuple[str, ...]
    n: int
    n_codes: int
    n_used: int
    usage: float
    perplexity: float

    @classmethod
    def _alias(cls) -> dict[str, str]:
        return {"pass": "passed"}


class QualityControl:
    """Holds windows and codes to thresholds.

    Args:
        thresholds: None takes the defaults.
        strict_mode: warnings fail too.
        channels: names and units; empty leaves units unchecked and takes values as they are.
        sample_rate_hz: turns milliseconds into samples.
    """

    def __init__(
        self,
        thresholds: QualityThresholds | None = None,
        strict_mode: bool = False,
        *,
        channels: tuple[Channel, ...] = (),
        sample_rate_hz: float = DEFAULT_RATE_HZ,
    ) -> None:
        self.thresholds = thresholds or QualityThresholds()
        self.strict_mode = strict_mode
        self.channels = channels
        self.sample_rate_hz = sample_rate_hz

    def validate_input_tensor(self, x: Any) -> QualityReport:
        """Judge windows before they are used.

        Args:
            x: (N, C, T), or folded (N, C, H, W); a numpy array or a torch tensor on any device.

        Raises:
            DataError: not numbers, another rank, no values, another channel count than declared.
        """
        array = as_array(x)
        windows = as_windows(array)
        channels = channels_for(windows, self.channels)
        metrics = analyze_windows(windows, "input", channels, self.sample_rate_hz, self.thresholds)
        return self._verdict(metrics, array.shape)

    def validate_dataset(self, dataset: Dataset) -> QualityReport:
        """Judge all recordings of a data set by its own channels and rate; ``expected_shape`` is not looked at."""
        metrics = analyze_dataset(dataset, self.thresholds)
        return self._verdict(metrics, metrics.shape, windows=False)

    def _verdict(self, metrics: QualityMetrics, shape: tuple[int, ...], *, windows: bool = True) -> QualityReport:
        findings = [*(self._shape_findings(shape) if windows else ()), *quality_findings(metrics, self.thresholds)]
        failures = tuple(finding.message for finding in findings if finding.severity == "error")
        warnings = tuple(finding.message for finding in findings if finding.severity == "warning")
        return QualityReport(
            passed=not failures and not (self.strict_mode and warnings),
            failures=failures,
            warnings=warnings,
            findings=tuple(findings),
            has_nan=metrics.nan_count > 0,
            has_inf=metrics.inf_count > 0,
            data_shape=shape,
            quality_score=metrics.quality_score,
            strict=self.strict_mode,
            metrics=metrics,
        )

    def generate_report(self, x: Any) -> dict[str, Any]:
        """Return the verdict on windows as plain values: pass, failures, warnings, shape, score, metrics."""
        report = self.validate_input_tensor(x)
        value = {key: report[key] for key in report if key not in ("findings", "metrics")}
        return {**value, "metrics": report.metrics.as_dict()}

    def validate_codes(self, codes: npt.ArrayLike, n_codes: int) -> CodeReport:
        """Judge how much of a code book is in use.

        Args:
            codes: integers 0 <= code < ``n_codes``, any shape.
            n_codes: size of the code book, at least 1.

        Raises:
            DataError: no codes, not integers, or one outside the code book.

        Source: perplexity as in van den Oord et al. 2017, arXiv 1711.00937; limits are the project's.
        """
        flat = as_array(codes).ravel()
        if not flat.size or flat.dtype.kind not in "iu" or n_codes < 1:
            raise DataError(f"codes must be integers, at least one, got {flat.size} of {flat.dtype}")
        if flat.min() < 0 or flat.max() >= n_codes:
            raise DataError(f"codes must lie in 0..{n_codes - 1}, got {flat.min()}..{flat.max()}")
        count = np.bincount(flat, minlength=n_codes)
        n_used = int(np.count_nonzero(count))
        usage, spread = n_used / n_codes, perplexity(count)
        failures = []
        if usage < self.thresholds.min_codebook_usage:
            limit = self.thresholds.min_codebook_usage
            failures.append(f"{n_used} of {n_codes} codes are used ({100 * usage:.1f} %, at least {100 * limit:g} %)")
        if spread < self.thresholds.min_perplexity:
            failures.append(f"perplexity {spread:.2f}, at least {self.thresholds.min_perplexity:g}")
        enough = CODES_PER_ENTRY * n_codes
        warnings = (
            (f"{flat.size} codes say little about {n_codes} entries, take {enough}",) if flat.size < enough else ()
        )
        return CodeReport(
            passed=not failures and not (self.strict_mode and warnings),
            failures=tuple(failures),
            warnings=warnings,
            n=flat.size,
            n_codes=n_codes,
            n_used=n_used,
            usage=usage,
            perplexity=spread,
        )

    def _shape_findings(self, shape: tuple[int, ...]) -> list[Finding]:
        expected = self.thresholds.expected_shape
        if expected is None or (
            len(shape) == len(expected) and all(want in (None, got) for want, got in zip(expected, shape, strict=True))
        ):
            return []
        return [Finding(rule="shape", severity="error", message=f"shape {shape}, expected {expected}")]
