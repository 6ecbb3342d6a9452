"""Which stream has which wearer: overlays by stream, and one for all others."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.personal.wearer import PersonalHead, Wearer
from fsq_edge_runtime.tail import FsqTail

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

OverlayGiven: TypeAlias = Overlay | str | PathLike[str]
ALL_STREAMS: Final = ""


class Roster:
    """The wearers of a session.

    Args:
        bundle: that the overlays are for.
        features: whether the backend's answers have features behind ``t``.

    Raises:
        UsageError: the bundle's head has no codes.
    """

    def __init__(self, bundle: Bundle, features: bool) -> None:
        if not isinstance(bundle.tail, FsqTail):
            raise UsageError(f"a bundle with a head of kind {bundle.tail.kind} takes no overlay")
        self._bundle, self._tail, self._features = bundle, bundle.tail, features
        self._hop_s = bundle.preprocess.hop_samples / bundle.preprocess.sample_rate_hz
        self._heads: dict[str, PersonalHead] = {}
        self._made: dict[int, tuple[Overlay, PersonalHead]] = {}

    def give_all(self, given: OverlayGiven | Mapping[str, OverlayGiven]) -> None:
        """Give one overlay to all streams, or one to each; arguments and errors as :meth:`give`."""
        for stream, overlay in (given if isinstance(given, Mapping) else {ALL_STREAMS: given}).items():
            self.give(overlay, stream)

    def give(self, overlay: OverlayGiven | None, stream: str = ALL_STREAMS) -> None:
        """Give a stream, or all streams without one of their own, an overlay; None takes it away.

        Raises:
            MissingInputError: no such file.
            DataError: damaged, or made for another network.
            UsageError: it reads features, and the session was opened without them.
        """
        if overlay is None:
            self._heads.pop(stream, None)
            self._let_go()
            return
        opened = overlay if isinstance(overlay, Overlay) else Overlay.open(Path(overlay))
        known = self._made.get(id(opened))
        if known is None:
            opened.require(self._bundle)
            if opened.record.method == "head" and not self._features:
                raise UsageError(
                    "the overlay reads features, and the session was opened without them",
                    hint="open_session(overlay=...) or open_session(features=True)",
                )
            known = self._made[id(opened)] = (opened, PersonalHead(opened, self._tail))
        self._heads[stream] = known[1]
        self._let_go()

    def wearer_of(self, stream: str) -> Wearer | None:
        """Return a fresh state for a stream; None where it has no overlay."""
        head = self._heads.get(stream) or self._heads.get(ALL_STREAMS)
        return None if head is None else Wearer(head, self._hop_s)

    @property
    def new_classes(self) -> tuple[str, ...]:
        """The classes of overlays that the bundle does not have."""
        known = set(self._bundle.classes)
        names = [name for overlay, _ in self._made.values() for name in overlay.record.classes]
        return tuple(name for name in dict.fromkeys(names) if name not in known)

    def overlay_of(self, stream: str) -> Overlay | None:
        """Return the overlay that a stream has."""
        head = self._heads.get(stream) or self._heads.get(ALL_STREAMS)
        return next((overlay for overlay, made in self._made.values() if made is head), None)

    def _let_go(self) -> None:
        """Keep only overlays that a stream has: a stream that is taught again and again would fill the memory."""
        used = {id(head) for head in self._heads.values()}
        self._made = {key: made for key, made in self._made.items() if id(made[1]) in used}
