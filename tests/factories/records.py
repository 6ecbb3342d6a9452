"""Records as a session makes them, without a session."""

from __future__ import annotations

from fsq_edge_runtime.stream.records import Decision


def decision(
    seq: int,
    label: str | None = "walk",
    *,
    stream: str = "rex",
    t_end: float | None = None,
    length: float = 2.0,
    quality: tuple[str, ...] = (),
    missed: str | None = None,
    confidence: float | None = 0.93,
) -> Decision:
    """Return what window ``seq`` ended as; windows are ``length`` seconds long and end a second apart by default."""
    end = 2.0 + seq if t_end is None else t_end
    sound = label is not None
    return Decision(
        seq, stream, end - length, end, label, label, confidence if sound else None, 117 if sound else None,
        quality, "onnx", missed, (0.1, 0.9) if sound else None, (0.2, 0.8) if sound else None,
        (1000, 2000, 3000, 4000, 10_000),
    )  # fmt: skip
