"""What is measured: a session on one backend, the bare network to hold against it, and the samples to feed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np

from fsq_edge_benchmarks.bench.result import BundleFacts
from fsq_edge_benchmarks.measure.bare import BARE_IS, HOST_IS, LOOP_IS, bare_batches, bare_network
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends import Backend
from fsq_edge_runtime.backends.selection import open_backend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.manifest import Role
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.session import Session

Bare = tuple[Callable[[], object], str]  # one call of the comparison, and what it is

BACKENDS: Final = ("onnx", "onnx-int8", "hailo", "fake", "torch")
FAKE_NOTE: Final = "the device is a stand-in that computes on this CPU: not a measurement of Hailo silicon"


@dataclass(slots=True)
class Subject:
    """One contestant.

    Attributes:
        name: of the backend, as the session gives it.
        bundle: what it runs.
        session: opened on the backend, fresh.
        bare: the network alone over frames (N, C', H, W) float32.
        notes: what its figures must be read with.
        waits: a call waits for a device, so waiting is no sign of other work on the core.
    """

    name: str
    bundle: Bundle
    session: Session
    bare: Callable[[Float32Array], Bare]
    notes: tuple[str, ...] = ()
    waits: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()


def open_subject(bundle: Bundle, backend: str, run: Path | None = None) -> Subject:
    """Open a session on a backend, with the bare network of the same backend.

    Args:
        bundle: the verified bundle.
        backend: one of ``BACKENDS``; ``fake`` is the stand-in device of :mod:`fsq_edge_runtime.testing`.
        run: folder of the training run, for ``torch``.

    Raises:
        UsageError: an unknown backend, the bundle has no graph for it, or ``torch`` without a run.
        BackendError: the device cannot be had.
    """
    if backend not in BACKENDS:
        raise UsageError(f"unknown backend {backend!r}", hint="one of " + ", ".join(BACKENDS))
    if backend in ("onnx", "onnx-int8"):
        return Subject(backend, bundle, Session(bundle, open_backend(bundle, backend)), _onnx_bare(bundle, backend))
    opened: Backend
    if backend == "torch":
        if run is None:
            raise UsageError("the backend torch needs the training run", hint="--run RUN")
        from fsq_edge_benchmarks.bench.torch_backend import TorchBackend

        opened, bare_is = TorchBackend(run, bundle), "the same network in eager PyTorch on ready frames, one thread"
    else:
        opened = open_backend(bundle, "hailo") if backend == "hailo" else _stand_in(bundle)
        bare_is = "the same device on ready frames, through the backend alone"

    def bare(frames: Float32Array) -> Bare:
        call = opened.infer if len(frames) == 1 else opened.infer_batch
        return lambda: call(frames), bare_is

    notes = (FAKE_NOTE,) if opened.name == "hailo-fake" else ()
    return Subject(opened.name, bundle, Session(bundle, opened), bare, notes, waits=backend != "torch")


def _stand_in(bundle: Bundle) -> Backend:
    from fsq_edge_benchmarks.bench.stand_in import stand_in_for  # a device's install has none

    return stand_in_for(bundle)


def _onnx_bare(bundle: Bundle, backend: str) -> Callable[[Float32Array], Bare]:
    role: Role = "encoder" if backend == "onnx" else "encoder-int8"
    host = bundle.read("host") if bundle.has("host") else None

    def bare(frames: Float32Array) -> Bare:
        if len(frames) == 1:
            return bare_network(bundle.read(role), frames, host), BARE_IS if host is None else HOST_IS
        if role == "encoder" and bundle.has("encoder-batch"):
            return bare_batches(bundle.read("encoder-batch"), frames)
        return bare_network(bundle.read(role), frames, host), LOOP_IS

    return bare


def hops_of(bundle: Bundle) -> tuple[Float32Array, tuple[Float32Array, ...]]:
    """Return samples to feed: the self-test windows one after the other, as a first window and the hops after it.

    Returns:
        ``(first, hops)``: first (window_samples, C), each hop (hop_samples, C), float32 raw units, contiguous. The
        hops are to be repeated as often as needed.
    """
    config = bundle.preprocess
    rows = np.concatenate([window.T for window in bundle.selftest.windows]).astype(np.float32)
    size, hop = config.window_samples, config.hop_samples
    stream = np.resize(rows, (size + max(len(rows) // hop, 4) * hop, rows.shape[1]))
    first = np.ascontiguousarray(stream[:size])
    return first, tuple(np.ascontiguousarray(stream[at : at + hop]) for at in range(size, len(stream), hop))


def feed_of(bundle: Bundle) -> tuple[Callable[[int], Float32Array], int]:
    """Return what gives the samples of a push by its number (0 is the whole first window), and a hop's samples."""
    first, hops = hops_of(bundle)
    return lambda index: hops[(index - 1) % len(hops)] if index else first, len(hops[0])


def first_frames(bundle: Bundle, n: int) -> Float32Array:
    """Return ready frames (n, C', H, W) of the self-test windows, repeated as often as needed."""
    frames = Preprocessor(bundle.preprocess).frames(bundle.selftest.windows)
    return np.ascontiguousarray(frames[np.arange(n) % len(frames)])


def bundle_facts(bundle: Bundle) -> BundleFacts:
    """Return what a result says of a bundle."""
    config = bundle.preprocess
    return BundleFacts(
        name=bundle.manifest.name,
        encoder_sha256=hashlib.sha256(bundle.read("encoder")).hexdigest(),
        channels=len(config.channels),
        window_samples=config.window_samples,
        hop_samples=config.hop_samples,
        sample_rate_hz=config.sample_rate_hz,
    )
