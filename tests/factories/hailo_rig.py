"""Bundles with HEFs, frames, and fakes that run the bundle's own device graph."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge_runtime.backends.base import BackendSwitch
from fsq_edge_runtime.backends.fallback import FallbackBackend
from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy
from fsq_edge_runtime.backends.hailo.backend import HailoBackend
from fsq_edge_runtime.backends.hailo.binding import MODULE
from fsq_edge_runtime.backends.hailo.process import HailoProcess
from fsq_edge_runtime.backends.onnx import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import make_bundle
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.testing import (
    FakePackage,
    FakePlatform,
    FaultScript,
    TensorSpec,
    fake_hailo_platform,
    hef_bytes,
    write_fake_package,
)
from tests.factories.bundles import motion, random_bundle

ARCHITECTURE = {4: "hailo8l", 5: "hailo10h"}
SDK = {"hailo8": "3.33.0", "hailo8l": "3.33.0", "hailo10h": "5.2.0", "hailo15h": "5.2.0"}


def hef_for(
    arch: str, frame_shape: tuple[int, int, int] = (12, 2, 50), size: int = 3, features: int = 0, **changes: object
) -> bytes:
    """Return a synthetic HEF that takes these frames and gives ``size`` values, and features where asked for."""
    channels, height, width = frame_shape
    inputs = [TensorSpec("input_layer1", (height, width, channels))]
    outputs = [TensorSpec("fc1", (size,), -1.0, 1.0)]
    if features:
        outputs.insert(0, TensorSpec("avgpool1", (1, 1, features), 0.0, 8.0))  # a compiler orders them as it likes
    return hef_bytes(arch=arch, inputs=inputs, outputs=outputs, sdk=SDK[arch], **changes)  # type: ignore[arg-type]


def bundle_with_hefs(*architectures: str, bundle: Bundle | None = None) -> Bundle:
    """Return a random bundle with a HEF for each architecture."""
    plain = bundle or random_bundle()
    parts = {(entry.role, entry.arch): (entry.path, plain.files[entry.path]) for entry in plain.manifest.files}
    for arch in architectures:
        parts["hef", arch] = (f"{arch}.hef", hef_for(arch, plain.preprocess.frame_shape, features=plain.features))
    return make_bundle(plain.manifest.name, plain.classes, parts)


def frames_of(bundle: Bundle, n: int, seed: int = 0) -> np.ndarray:
    """Return frames (n, C', H, W) of random motion."""
    config = bundle.preprocess
    samples = motion(config.window_samples + 7 * n, len(config.channels), seed=seed)
    windows = np.stack([samples[7 * at : 7 * at + config.window_samples].T for at in range(n)])
    return Preprocessor(config).frames(windows)


@dataclass
class Rig:
    """A bundle, a fake device under it, and what the CPU says to every frame."""

    bundle: Bundle
    fake: FakePlatform
    frames: np.ndarray
    t: np.ndarray
    codes: np.ndarray

    def device(self, **options: object) -> HailoBackend:
        """Open the Hailo backend on the fake."""
        hefs = {arch: self.bundle.read("hef", arch) for arch in self.bundle.hef_architectures}
        shape = self.bundle.preprocess.frame_shape
        return HailoBackend(hefs, shape, 3, binding=self.fake, **options)  # type: ignore[arg-type]

    def fallback(
        self, policy: FallbackPolicy | None = None, events: list[BackendSwitch] | None = None, **options: object
    ) -> FallbackBackend:
        """Open the device with the CPU as its standby."""
        return FallbackBackend(
            self.device,
            OnnxBackend(self.bundle.read("encoder")),
            self.bundle.tail.index,
            policy,
            primary=self.device(),
            on_event=None if events is None else events.append,
            **options,  # type: ignore[arg-type]
        )

    def code(self, t: np.ndarray) -> int:
        """Return the code of one ``t``."""
        return int(self.bundle.tail.index(t[None])[0])


def make_rig(
    generation: int = 4,
    *,
    faults: FaultScript | None = None,
    n: int = 64,
    architectures: Sequence[str] | None = None,
    **options: object,
) -> Rig:
    """Return a rig whose fake computes the bundle's device graph."""
    bundle = bundle_with_hefs(*(architectures or (ARCHITECTURE[generation],)))
    fake = fake_hailo_platform(generation, graph=bundle.read("encoder"), faults=faults, **options)  # type: ignore[arg-type]
    frames = frames_of(bundle, n)
    t = OnnxBackend(bundle.read("encoder")).infer_batch(frames)
    return Rig(bundle, fake, frames, t, bundle.tail.index(t))


@dataclass
class ProcessRig:
    """A bundle, a fake package that its device process imports, and what the CPU says to every frame."""

    bundle: Bundle
    package: FakePackage
    frames: np.ndarray
    t: np.ndarray
    codes: np.ndarray

    def device(self, **options: object) -> HailoProcess:
        """Open the device in a process of its own."""
        hefs = {arch: self.bundle.read("hef", arch) for arch in self.bundle.hef_architectures}
        return HailoProcess(hefs, self.bundle.preprocess.frame_shape, 3, **options)  # type: ignore[arg-type]

    def fallback(
        self, policy: FallbackPolicy | None = None, events: list[BackendSwitch] | None = None, **options: object
    ) -> FallbackBackend:
        """Open the device with the CPU as its standby."""
        return FallbackBackend(
            self.device,
            OnnxBackend(self.bundle.read("encoder")),
            self.bundle.tail.index,
            policy,
            primary=self.device(),
            on_event=None if events is None else events.append,
            **options,  # type: ignore[arg-type]
        )

    def code(self, t: np.ndarray) -> int:
        """Return the code of one ``t``."""
        return int(self.bundle.tail.index(t[None])[0])


def answered(backend: FallbackBackend) -> bool:
    """Return whether the device has said how hot it is, where it was asked; the next window hears of it."""
    asked = backend._questions._asked
    return asked is None or asked.done()


def make_process_rig(folder: Path, generation: int = 4, *, n: int = 64, **options: object) -> ProcessRig:
    """Write a rig whose device process finds the fake in a folder, which the caller puts on the import path."""
    bundle = bundle_with_hefs(ARCHITECTURE[generation])
    package = write_fake_package(folder, generation, graph=bundle.read("encoder"), **options)  # type: ignore[arg-type]
    frames = frames_of(bundle, n)
    t = OnnxBackend(bundle.read("encoder")).infer_batch(frames)
    return ProcessRig(bundle, package, frames, t, bundle.tail.index(t))


def forget_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next import of ``hailo_platform`` look for it, whether or not the genuine one was imported before."""
    for name in [name for name in sys.modules if name.split(".")[0] == MODULE]:
        monkeypatch.delitem(sys.modules, name)


def hide_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process believe that no binding is installed, whether or not one is."""
    forget_binding(monkeypatch)
    monkeypatch.setitem(sys.modules, MODULE, None)


def inline(work: Any) -> Future[Any]:
    """Run the reopening at once, so that a test knows when it happened."""
    future: Future[Any] = Future()
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
    return future
