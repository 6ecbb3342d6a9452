"""Which backend runs a bundle here, and why.

Everything about Hailo is imported only where a bundle has a HEF, so that a CPU stream starts without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fsq_edge_runtime.backends.base import Backend
from fsq_edge_runtime.backends.host import codes_behind
from fsq_edge_runtime.backends.onnx import OnnxBackend
from fsq_edge_runtime.errors import BackendError, UsageError

if TYPE_CHECKING:
    from fsq_edge_runtime.backends.base import BackendSwitch
    from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy
    from fsq_edge_runtime.backends.hailo.backend import HailoBackend
    from fsq_edge_runtime.backends.hailo.binding import Binding
    from fsq_edge_runtime.backends.hailo.process import HailoProcess
    from fsq_edge_runtime.bundle.bundle import Bundle

CHOICES = ("auto", "hailo", "onnx", "onnx-int8")
PROOF_S = 5.0
# A device that fails to open with one of these status codes may be there later: busy, hung, gone, hot.
PASSING = frozenset({3, 4, 36, 62, 63, 64, 73, 74, 77, 87, 88, 89, 90, 95, 96, 97})


@dataclass(frozen=True, slots=True)
class Selection:
    """The backend that runs a bundle here.

    Attributes:
        backend: opened.
        reason: why it was taken, one sentence.
        fallback: the CPU stands in for a Hailo device: for good where the bundle has no HEF or none can be opened, or
            until the device comes back.
    """

    backend: Backend
    reason: str
    fallback: bool = False


def open_backend(
    bundle: Bundle,
    choice: str = "auto",
    *,
    binding: Binding = None,
    policy: FallbackPolicy | None = None,
    on_event: Callable[[BackendSwitch], None] | None = None,
    features: bool = False,
) -> Backend:
    """Return the backend of :func:`select_backend`; arguments and errors as there."""
    return select_backend(bundle, choice, binding=binding, policy=policy, on_event=on_event, features=features).backend


def select_backend(
    bundle: Bundle,
    choice: str = "auto",
    *,
    binding: Binding = None,
    policy: FallbackPolicy | None = None,
    on_event: Callable[[BackendSwitch], None] | None = None,
    features: bool = False,
) -> Selection:
    """Open the backend that runs this bundle on this machine.

    Args:
        bundle: the verified bundle.
        choice: ``auto`` takes the Hailo device if the bundle has a HEF for the one that is here and its answers agree
            with the reference, with the CPU as hot fallback, else the CPU; ``hailo`` takes the device and nothing
            else; ``onnx`` and ``onnx-int8`` the CPU.
        binding: a module in the place of ``hailo_platform``; None imports the installed one. A fake is used only when
            it is given here or put in place on purpose.
        policy: of the fallback.
        on_event: called with every switch.
        features: each answer is ``t`` (D) with the features (F) of the graph's second output behind it.

    Raises:
        UsageError: unknown choice, the bundle has no graph for it, or the graph puts out no features.
        BackendError: ``hailo`` was asked for and cannot be had; ``status`` has HailoRT's code.
    """
    if features and not bundle.features:
        raise UsageError(
            "the bundle's graph puts out no features", hint="fsq-edge export RUN --features, and build the bundle again"
        )
    if choice == "onnx":
        return Selection(_with_window_graph(bundle, features), "onnx was asked for")
    if choice == "onnx-int8":
        if not bundle.has("encoder-int8"):
            raise UsageError("the bundle has no int8 graph", hint="build it with the int8 preview, or use onnx")
        int8 = OnnxBackend(bundle.read("encoder-int8"), name="onnx-int8", features=features)
        return Selection(int8, "onnx-int8 was asked for")
    if choice not in CHOICES:
        raise UsageError(f"unknown backend {choice!r}", hint="one of " + ", ".join(CHOICES))
    if choice == "auto" and not bundle.hef_architectures:
        return Selection(_with_window_graph(bundle, features), "the bundle has no HEF", fallback=True)
    policy = policy or _one_hop(bundle)
    if choice == "hailo":
        device = open_device(bundle, policy, binding, features=features)
        return Selection(device, "hailo was asked for; there is no fallback")
    return _automatic(bundle, policy, binding, on_event, features)


def _one_hop(bundle: Bundle) -> FallbackPolicy:
    from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy

    return FallbackPolicy(deadline_s=bundle.preprocess.hop_samples / bundle.preprocess.sample_rate_hz)


def _processor(bundle: Bundle, features: bool) -> OnnxBackend:
    batched = bundle.read("encoder-batch") if bundle.has("encoder-batch") else None
    return OnnxBackend(bundle.read("encoder"), batched=batched, features=features)


def _with_window_graph(bundle: Bundle, features: bool) -> OnnxBackend:
    from fsq_edge_runtime.backends.window_graph import open_window_graph

    backend = _processor(bundle, features)
    if not features:
        backend.window_graph, _ = open_window_graph(bundle, backend)
    return backend


def open_device(
    bundle: Bundle,
    policy: FallbackPolicy,
    binding: Binding = None,
    *,
    isolated: bool = True,
    features: bool = False,
) -> HailoBackend | HailoProcess:
    """Open the Hailo device for a bundle and let it prove itself on the bundle's self-test windows.

    Args:
        bundle: the verified bundle.
        policy: of the fallback; its deadline and its parity are used.
        binding: as :func:`~fsq_edge_runtime.backends.hailo.opening.open_hailo` takes it.
        isolated: whether the installed binding runs in a process of its own, as there.
        features: answers have the features of the network's second output behind ``t``.

    Raises:
        BackendError: it cannot be opened, or its codes differ from the reference.
    """
    from fsq_edge_runtime.backends.hailo.opening import open_hailo

    hefs = {arch: bundle.read("hef", arch) for arch in bundle.hef_architectures}
    outputs = bundle.device_outputs
    backend = open_hailo(
        hefs,
        bundle.preprocess.frame_shape,
        bundle.device_width + (bundle.features if features else 0),
        binding=binding,
        isolated=isolated,
        timeout_s=policy.deadline_s,
        outputs=outputs,
    )
    try:
        _prove(backend, bundle, policy)
    except BaseException:
        backend.close()
        raise
    return backend


def _prove(backend: HailoBackend | HailoProcess, bundle: Bundle, policy: FallbackPolicy) -> None:
    from fsq_edge_runtime.backends.fallback_policy import ParityError
    from fsq_edge_runtime.preprocess import Preprocessor

    test = bundle.selftest
    # The first inference also puts the network on the chip, so a window's own deadline would be too short.
    limit = time.monotonic_ns() + int(PROOF_S * 1e9)
    t = backend.infer_batch(Preprocessor(bundle.preprocess).frames(test.windows), limit)
    agreeing = int(np.count_nonzero(codes_behind(bundle)(t) == test.codes))
    if agreeing < policy.parity_agreement * len(test.codes):
        raise ParityError(
            f"the device gives the reference's code on {agreeing} of {len(test.codes)} self-test windows only",
            hint="the HEF may be calibrated badly: fsq-edge hef inspect FILE --bundle BUNDLE",
        )


def _why(device: HailoBackend | HailoProcess) -> str:
    """Name the device as it names itself; a HEF for a Hailo-8L also runs on a Hailo-8."""
    here, made_for = device.device_architecture, device.architecture
    if here is None:
        return f"a device is here that does not say what it is, and the bundle has a HEF for {made_for}"
    if here == made_for:
        return f"the bundle has a HEF for the {here} that is here"
    return f"the bundle's HEF for {made_for} also runs on the {here} that is here"


def _automatic(
    bundle: Bundle,
    policy: FallbackPolicy,
    binding: Binding,
    on_event: Callable[[BackendSwitch], None] | None,
    features: bool,
) -> Selection:
    from fsq_edge_runtime.backends.fallback import FallbackBackend

    primary: HailoBackend | HailoProcess | None = None
    try:
        primary = open_device(bundle, policy, binding, features=features)
        reason = _why(primary)
    except BackendError as error:
        reason = error.message
        if error.status not in PASSING:
            return Selection(_with_window_graph(bundle, features), reason, fallback=True)
    standby = _processor(bundle, features)
    standby.infer(np.zeros(standby.input_shape, dtype=np.float32))  # warm: the first call allocates
    backend = FallbackBackend(
        lambda: open_device(bundle, policy, binding, features=features),
        standby,
        codes_behind(bundle),
        policy,
        primary=primary,
        code_counts=bundle.fingerprint.counts,
        width=bundle.device_width,
        on_event=on_event,
    )
    return Selection(backend, reason, fallback=primary is None)
