"""What a network that was trained elsewhere takes: its layout, its sensors and how its input was normalised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.artefact import Artefact, StrictModel, read_json
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.faults import first_fault
from fsq_edge_runtime.files import first_line, read_bounded
from fsq_edge_runtime.preprocess import ChannelSpec, PreprocessConfig, WindowZscore, fit_preprocess

MAX_BYTES: Final = 1 << 20
NO_CLIP: Final = 1e6  # the widest that preprocess.json allows: a foreign network was trained without clipping
KINDS: Final = ("given", "none", "minmax", "window-zscore", "z-copies", "fitted")
LAYOUTS: Final = (("C", "T"), ("T", "C"), ("1", "C", "T"), ("C", "1", "T"), ("1", "T", "C"))
HINT: Final = "fsq-edge preprocess fit --windows W.npy --out FILE writes one to start from"


class NoNormalization(StrictModel):
    """The network takes raw units."""

    kind: Literal["none"] = "none"


class GivenNormalization(StrictModel):
    """(x - mean) / std with the values of the training, in raw units, one a channel."""

    kind: Literal["given"]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class FittedNormalization(StrictModel):
    """(x - mean) / std, fitted on the windows that the bundle is built with."""

    kind: Literal["fitted"]


class MinMaxNormalization(StrictModel):
    """(x - low) / (high - low), one of each a channel, in raw units."""

    kind: Literal["minmax"]
    low: tuple[float, ...]
    high: tuple[float, ...]


class ZCopiesNormalization(StrictModel):
    """Every channel raw, then a copy normalised within each window: the network takes 2C channels."""

    kind: Literal["z-copies"]


class WindowZscoreNormalization(WindowZscore):
    """(x - mean) / (std + epsilon) with the mean and spread of each channel within each window."""

    kind: Literal["window-zscore"]


Normalization = Annotated[
    NoNormalization
    | GivenNormalization
    | FittedNormalization
    | MinMaxNormalization
    | WindowZscoreNormalization
    | ZCopiesNormalization,
    Field(discriminator="kind"),
]


class NetworkInput(Artefact):
    """The file that ``bundle build --onnx M --preprocess FILE`` reads, JSON or YAML.

    Attributes:
        layout: order of the axes of one window, without the batch: C channels, T samples, 1 an axis of one.
        channels: the C sensor channels in the network's order.
        sample_rate_hz: rate of the windows.
        window_samples: T.
        hop_samples: step between windows of a stream.
        normalization: what the training applied outside the network.
        max_gap_ms: the longest run of missing samples that is interpolated.
    """

    KIND: ClassVar[str] = "the preprocess file"

    layout: tuple[Literal["C", "T", "1"], ...] = ("C", "T")
    channels: tuple[ChannelSpec, ...] = Field(min_length=1, max_length=256)
    sample_rate_hz: float = Field(ge=1e-3, le=1e6)
    window_samples: int = Field(ge=2, le=65536)
    hop_samples: int = Field(ge=1, le=65536)
    normalization: Normalization = NoNormalization()
    max_gap_ms: float = Field(default=100.0, ge=0, le=3_600_000)

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.layout not in LAYOUTS:
            raise ValueError("layout must be one of " + ", ".join(layout_text(layout) for layout in LAYOUTS))
        count, rule = len(self.channels), self.normalization
        given = {"given": ("mean", "std"), "minmax": ("low", "high")}.get(rule.kind, ())
        for name in given:
            if len(getattr(rule, name)) != count:
                raise ValueError(f"{name} has {len(getattr(rule, name))} values for {count} channels")
        if isinstance(rule, MinMaxNormalization) and any(
            low >= high for low, high in zip(rule.low, rule.high, strict=True)
        ):
            raise ValueError("high must be above low in every channel")
        return self

    @classmethod
    def read(cls, path: Path) -> NetworkInput:
        """Read the file, JSON or YAML.

        Raises:
            MissingInputError: it cannot be read.
            DataError: neither JSON nor YAML, an unknown key or a value out of range.
            UnavailableError: YAML without the package PyYAML.
        """
        data = read_bounded(path, MAX_BYTES, what="the preprocess file", hint=HINT)
        value = read_json(data, path.name) if data.lstrip().startswith(b"{") else _yaml(data, path.name)
        if not isinstance(value, dict):
            raise DataError(f"{path.name} holds no settings", hint=HINT)
        try:
            # Through JSON, where a list may stand for a tuple; YAML reads the 1 of a layout as a number.
            if isinstance(value.get("layout"), list):
                value["layout"] = [str(axis) for axis in value["layout"]]
            return cls.model_validate(value, strict=False)
        except ValidationError as error:
            field, words, hint = first_fault(error, cls)
            raise DataError(f"{path.name}: {field or 'document'}: {words}", hint=hint or HINT) from error

    def config(self, windows: Float32Array) -> PreprocessConfig:
        """Return what the device applies: the rows are not folded, and nothing is clipped below a million sigmas.

        Args:
            windows: (N, C, T) float32 raw units, read for ``fitted``, and for ``window-zscore`` to say what is usual.

        Raises:
            DataError: statistics out of range, or no window to fit on.
        """
        count, rule = len(self.channels), self.normalization
        mean, std = [0.0] * count, [1.0] * count
        if isinstance(rule, GivenNormalization):
            mean, std = list(rule.mean), list(rule.std)
        elif isinstance(rule, MinMaxNormalization):
            mean, std = list(rule.low), [high - low for low, high in zip(rule.low, rule.high, strict=True)]
        copies, alone = isinstance(rule, ZCopiesNormalization), None
        if isinstance(rule, WindowZscoreNormalization):
            alone = WindowZscore(epsilon=rule.epsilon, ddof=rule.ddof)
        try:
            config = PreprocessConfig(
                channels=self.channels,
                sample_rate_hz=self.sample_rate_hz,
                window_samples=self.window_samples,
                hop_samples=self.hop_samples,
                fold=1,
                window_zscore=copies,
                max_gap_ms=self.max_gap_ms,
                mean=tuple(mean * (2 if copies else 1)),
                std=tuple(std * (2 if copies else 1)),
                clip_sigma=NO_CLIP,
                zscore_only=alone,
            )
        except ValidationError as error:
            field, words, _ = first_fault(error)
            raise DataError(f"the preprocess file: {field}: {words}", hint=HINT) from error
        fits = isinstance(rule, FittedNormalization | WindowZscoreNormalization)
        return fit_preprocess(windows, config) if fits else config


def layout_text(layout: Sequence[str]) -> str:
    """Return a layout as people write it.

    Example:
        >>> layout_text(("1", "C", "T"))
        '[1, C, T]'
    """
    return f"[{', '.join(layout)}]"


def draft_of(
    windows: Float32Array,
    rate_hz: float,
    hop_samples: int,
    names: Sequence[str] = (),
    *,
    layout: Sequence[str] = ("C", "T"),
    kind: str = "given",
) -> NetworkInput:
    """Return a first preprocess file for windows, with their statistics where the normalisation has some.

    Args:
        windows: (N, C, T) float32 raw units.
        rate_hz: of the windows.
        hop_samples: step between windows of a stream.
        names: ``NAME`` or ``NAME:UNIT`` a channel; none gives ch0, ch1 ... without a unit.
        layout: order of the axes of one window.
        kind: of the normalisation, one of :data:`KINDS`.

    Raises:
        DataError: no usable window, another number of names, or a layout that is none.
    """
    count, samples = windows.shape[1:]
    if names and len(names) != count:
        raise DataError(f"{len(names)} channel names for windows of {count} channels")
    pairs = [name.partition(":")[::2] for name in names] or [(f"ch{index}", "") for index in range(count)]
    value: dict[str, Any] = {
        "schema_version": 1,
        "layout": list(layout),
        "channels": [{"name": name, "unit": unit} for name, unit in pairs],
        "sample_rate_hz": rate_hz,
        "window_samples": samples,
        "hop_samples": hop_samples,
        "normalization": {"kind": "fitted"},
    }
    x = np.asarray(windows, dtype=np.float32)
    try:
        plain = NetworkInput.model_validate(value, strict=False)
        if kind == "given":
            fitted = plain.config(x)
            value["normalization"] = {"kind": kind, "mean": fitted.mean, "std": fitted.std}
        elif kind == "minmax":
            seen = np.isfinite(x)
            low, high = np.where(seen, x, np.inf).min(axis=(0, 2)), np.where(seen, x, -np.inf).max(axis=(0, 2))
            value["normalization"] = {"kind": kind, "low": low.tolist(), "high": high.tolist()}
        else:
            value["normalization"] = {"kind": kind}
        return NetworkInput.model_validate(value, strict=False)
    except ValidationError as error:
        field, words, _ = first_fault(error)
        raise DataError(f"the windows do not give a preprocess file: {field}: {words}") from error


def _yaml(data: bytes, name: str) -> Any:
    need("yaml", "train", "a preprocess file in YAML")
    import yaml

    try:
        return yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{name} is neither JSON nor YAML: {first_line(error)}", hint=HINT) from error
