"""What the page says of the run as a whole: bundle, classes, channels, rates and the code book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsq_edge_runtime.session import Session

MAX_SHOWN_CODES = 4096  # of a larger code book the page draws no map


@dataclass(frozen=True, slots=True)
class About:
    """Facts of a run that do not change while it runs.

    Attributes:
        bundle: name of the model.
        classes: labels in the order of the logits.
        channels: (name, unit) of each sensor channel.
        rate_hz: samples a second on the model's grid.
        hop_s: seconds between two windows.
        deadline_ms: longest time to a decision; None for a recording.
        levels: of the FSQ code book; empty where the head has no codes or too many to draw.
        trained: occurrences by code on the training split, where there are levels.
    """

    bundle: str = ""
    classes: tuple[str, ...] = ()
    channels: tuple[tuple[str, str], ...] = ()
    rate_hz: float = 50.0
    hop_s: float = 1.0
    deadline_ms: float | None = None
    levels: tuple[int, ...] = ()
    trained: tuple[int, ...] = ()

    @classmethod
    def of(cls, session: Session) -> About:
        """Return the facts of an open session."""
        bundle, config = session.bundle, session.bundle.preprocess
        deadline_ns = session.settings.deadline_ns(config)
        hop_samples = session.settings.hop_samples or config.hop_samples
        book = getattr(bundle.tail, "codebook", None)
        shown = book is not None and book.n_codes <= MAX_SHOWN_CODES
        return cls(
            bundle=bundle.manifest.name,
            classes=bundle.manifest.classes,
            channels=tuple((channel.name, channel.unit) for channel in config.channels),
            rate_hz=config.sample_rate_hz,
            hop_s=hop_samples / config.sample_rate_hz,
            deadline_ms=None if deadline_ns is None else deadline_ns / 1e6,
            levels=book.levels if book is not None and shown else (),
            trained=bundle.fingerprint.counts if shown else (),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as JSON holds them."""
        return {name: getattr(self, name) for name in self.__slots__}
