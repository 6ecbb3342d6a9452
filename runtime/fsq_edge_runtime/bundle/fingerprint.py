"""What the training data looked like, for the drift watch: codes, and how far the subjects differ."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

from pydantic import Field, FiniteFloat, model_validator

from fsq_edge_runtime.artefact import Artefact, StrictModel

LEAST_PRINTS: Final = 256  # windows, or what training never had says nothing


class Spread(StrictModel):
    """Figures of every subject, as their mean and their standard deviation between subjects.

    Attributes:
        center: mean over subjects, by figure.
        deviation: standard deviation between subjects, by figure.
    """

    center: tuple[FiniteFloat, ...]
    deviation: tuple[FiniteFloat, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if len(self.center) != len(self.deviation):
            raise ValueError("center and deviation are not of one length")
        if min(self.deviation, default=0.0) < 0.0:
            raise ValueError("a deviation is below zero")
        return self


class SubjectSpread(StrictModel):
    """How far the subjects that the network learned from differ from each other.

    Attributes:
        subjects: how many.
        mean: standard deviation, between subjects, of each channel's mean, in training sigmas.
        motion: logarithm of each channel's standard deviation over training's.
        tempo: logarithm of the step between samples over the standard deviation within a window, by channel.
        axes: Fisher's transform of the correlations of channels within a window.
        offset: center of the sphere of gravity, by axis of the accelerometer, g. Postures that subjects do not take
            leave it open, so that this is no offset of a sensor.
    """

    subjects: int = Field(ge=2)
    mean: tuple[FiniteFloat, ...]
    motion: Spread | None = None
    tempo: Spread | None = None
    axes: Spread | None = None
    offset: Spread | None = None


class Fingerprint(Artefact):
    """``fingerprint.json``: how often each code occurred on the training split.

    Attributes:
        counts: occurrences by code index, as long as the code book; by class where the head has no codes.
        windows: their sum.
        between: how far subjects differ, for the drift watch; None where it is not known. Left out then.
    """

    KIND: ClassVar[str] = "fingerprint.json"

    counts: tuple[int, ...]
    windows: int = Field(ge=1)
    between: SubjectSpread | None = None

    @property
    def tells(self) -> bool:
        """Whether it counts windows enough (256) to say what training never had; else ``run`` watches no drift."""
        return self.windows >= LEAST_PRINTS

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain JSON values, without what is not known: as earlier versions wrote it then."""
        return self.model_dump(mode="json", exclude_none=True)
