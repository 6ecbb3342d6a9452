"""What every backend must do, run against onnx, the fakes of both generations, and a real device where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge_runtime.backends.base import Backend
from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy
from fsq_edge_runtime.backends.hailo.binding import load_binding
from fsq_edge_runtime.backends.onnx import OnnxBackend
from fsq_edge_runtime.backends.selection import open_device
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import BackendError
from tests.factories.bundles import random_bundle
from tests.factories.hailo_rig import frames_of, make_process_rig, make_rig

BUNDLE_VARIABLE = "FSQ_EDGE_HARDWARE_BUNDLE"


@dataclass
class Case:
    backend: Any
    frames: np.ndarray
    t: np.ndarray
    bundle: Bundle
    exact: bool  # a real device quantises, the others compute in float32


FAKES = ("fake-4", "fake-5", "fallback-4", "fallback-5", "process-4", "process-5", "fallback-process-5")


@pytest.fixture(params=["onnx", *FAKES, pytest.param("hailo", marks=pytest.mark.hardware)])
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    kind: str = request.param
    monkeypatch.syspath_prepend(str(tmp_path))
    made = _hardware() if kind == "hailo" else _made(kind, tmp_path)
    yield made
    made.backend.close()


def _made(kind: str, folder: Path) -> Case:
    if "process" in kind:
        isolated = make_process_rig(folder, int(kind[-1]), n=40)
        opened = isolated.fallback() if kind.startswith("fallback") else isolated.device()
        return Case(opened, isolated.frames, isolated.t, isolated.bundle, True)
    if kind == "onnx":
        bundle = random_bundle()
        frames = frames_of(bundle, 40)
        reference = OnnxBackend(bundle.read("encoder")).infer_batch(frames)
        return Case(OnnxBackend(bundle.read("encoder")), frames, reference, bundle, True)
    rig = make_rig(int(kind[-1]), n=40)
    backend = rig.fallback() if kind.startswith("fallback") else rig.device()
    return Case(backend, rig.frames, rig.t, rig.bundle, True)


def _hardware() -> Case:
    try:
        binding = load_binding()
    except BackendError as error:
        pytest.skip(error.message)
    if not binding.Device.scan():
        pytest.skip("hailo_platform is installed, but Device.scan() finds no Hailo device")
    path = os.environ.get(BUNDLE_VARIABLE)
    if not path:
        pytest.skip(f"a Hailo device is here; set {BUNDLE_VARIABLE} to a bundle with a HEF for it")
    bundle = Bundle.open(path)
    frames = frames_of(bundle, 40)
    reference = OnnxBackend(bundle.read("encoder")).infer_batch(frames)
    return Case(open_device(bundle, FallbackPolicy()), frames, reference, bundle, False)


def agree(case: Case, got: np.ndarray, wanted: np.ndarray) -> bool:
    if case.exact:
        return bool(np.array_equal(got, wanted))
    return bool(np.mean(case.bundle.tail.index(got) == case.bundle.tail.index(wanted)) >= 0.75)


def test_one_frame(case: Case) -> None:
    t = case.backend.infer(case.frames[:1])
    assert t.dtype == np.float32
    assert t.shape == case.t[0].shape
    assert np.abs(t).max() <= 1.1


def test_every_frame_gets_its_own_answer_in_order(case: Case) -> None:
    got = np.stack([case.backend.infer(frame[None]).copy() for frame in case.frames])
    assert agree(case, got, case.t)


def test_a_batch_is_row_by_row_the_same(case: Case) -> None:
    got = case.backend.infer_batch(case.frames)
    assert got.shape == case.t.shape
    assert agree(case, got, case.t)
    kept = got.copy()
    case.backend.infer_batch(case.frames[::-1].copy())
    assert np.array_equal(got, kept), "a batch's result is a copy"


def test_an_empty_batch_is_empty(case: Case) -> None:
    assert case.backend.infer_batch(case.frames[:0]).shape == (0, case.t.shape[1])


def test_any_memory_layout_of_the_frame_will_do(case: Case) -> None:
    strided = np.repeat(case.frames[:1], 2, axis=3)[..., ::2]
    assert not strided.flags.c_contiguous
    assert agree(case, case.backend.infer(strided)[None], case.t[:1])
    fortran = np.asfortranarray(case.frames[:1])
    assert agree(case, case.backend.infer(fortran)[None], case.t[:1])


def test_the_frame_is_not_changed(case: Case) -> None:
    before = case.frames.copy()
    case.backend.infer(case.frames[:1])
    case.backend.infer_batch(case.frames)
    assert np.array_equal(case.frames, before)


def test_it_has_a_name_and_closes_twice(case: Case) -> None:
    backend: Backend = case.backend
    case.backend.infer(case.frames[:1])
    assert backend.name in ("onnx", "hailo", "hailo-fake")
    backend.close()
    backend.close()
