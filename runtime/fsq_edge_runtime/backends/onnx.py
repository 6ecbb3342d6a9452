"""The device graph in onnxruntime: one thread, no spinning, input and output bound once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends.graph_size import check_size
from fsq_edge_runtime.errors import BackendError, DataError
from fsq_edge_runtime.files import first_line

if TYPE_CHECKING:
    from fsq_edge_runtime.backends.base import Backend, RunsWindow

FEATURES: Final = "features"  # the optional second output: what the last dense layer reads


class OnnxBackend:
    """Runs a batch-1 device graph on the CPU.

    Args:
        model: the ONNX file's bytes: input ``input`` (1, C', H, W) float32, output ``t`` (1, D) float32, and where the
            bundle was made so, ``features`` (1, F) float32.
        name: what results call it: ``onnx`` or ``onnx-int8``.
        batched: the same graph with a symbolic batch, used by :meth:`infer_batch`; loaded when first needed.
        features: put the features behind ``t``: a row is then (D + F,).

    Attributes:
        frame: (1, C', H, W) float32, the bound input: a frame written there is inferred without a copy.
        window_graph: the same graph with its preprocessing, once whoever opened the backend has proven one.

    Raises:
        DataError: the graph cannot be loaded or its input and output are not as above.

    Source: onnxruntime spins a whole core between calls by default; observed on small graphs.
    """

    def __init__(
        self, model: bytes, *, name: str = "onnx", batched: bytes | None = None, features: bool = False
    ) -> None:
        self.name = name
        self.window_graph: RunsWindow | None = None
        check_size(model, "the device graph")
        self._session: Any = open_plainly(model, "the device graph")
        self._batched = batched
        self._batch_session: Any = None
        self.input_shape, sizes = self._signature()
        if features and FEATURES not in sizes:
            raise DataError("the device graph has no output 'features'", hint="fsq-edge export RUN --features")
        self._outputs = list(sizes) if features else ["t"]
        self.output_size = sum(sizes[name] for name in self._outputs)
        self.frame: Float32Array = np.zeros(self.input_shape, dtype=np.float32)
        self._t: Float32Array = np.zeros((1, self.output_size), dtype=np.float32)
        self._row: Float32Array = self._t[0]
        binding = self._session.io_binding()
        binding.bind_input("input", "cpu", 0, np.float32, self.input_shape, self.frame.ctypes.data)
        at = self._t.ctypes.data  # outputs lie side by side in one row, so nothing has to be copied together
        for output in self._outputs:
            binding.bind_output(output, "cpu", 0, np.float32, (1, sizes[output]), at)
            at += sizes[output] * self._t.itemsize
        self._run: Any = bound_run(self._session, binding)

    def infer(self, frame: Float32Array) -> Float32Array:
        """Return ``t`` (D,), a view that the next call overwrites, for one frame (1, C', H, W)."""
        if frame is not self.frame:
            self.frame[...] = frame
        try:
            self._run()
        except Exception as error:
            raise BackendError(f"onnxruntime failed: {first_line(error)}") from error
        return self._row

    def infer_batch(self, frames: Float32Array) -> Float32Array:
        """Return ``t`` (N, D) for frames (N, C', H, W), a copy.

        With a batched graph the last bits may differ from :meth:`infer`: whoever needs its codes exactly asks again
        for rows next to a rounding boundary.
        """
        if self._batched is not None and len(frames) > 1:
            return self._infer_together(frames)
        out = np.empty((len(frames), self.output_size), dtype=np.float32)
        for row, frame in enumerate(frames):
            out[row] = self.infer(frame[None])
        return out

    def _infer_together(self, frames: Float32Array) -> Float32Array:
        if self._batch_session is None and self._batched is not None:
            check_size(self._batched, "the batched graph", batch=len(frames))
            self._batch_session = open_plainly(self._batched, "the device graph")
        try:
            parts: list[Float32Array] = self._batch_session.run(self._outputs, {"input": frames})
        except Exception as error:
            raise BackendError(f"onnxruntime failed: {first_line(error)}") from error
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def close(self) -> None:
        """Drop the sessions."""
        self._session = self._batch_session = None
        self._run = self.window_graph = None

    def _signature(self) -> tuple[tuple[int, ...], dict[str, int]]:
        """Return the input's shape, and the values of each output by its name."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        names = [entry.name for entry in inputs], [entry.name for entry in outputs]
        if names[0] != ["input"] or names[1] not in (["t"], ["t", FEATURES]):
            raise DataError(f"the device graph has inputs and outputs {names}, expected ['input'] and ['t']")
        shape = inputs[0].shape
        for out in (entry.shape for entry in outputs):
            fixed = all(isinstance(size, int) and size > 0 for size in (*shape, *out))
            if not fixed or len(shape) != 4 or shape[0] != 1 or len(out) != 2:
                raise DataError(f"the device graph maps {shape} to {out}, expected (1, C, H, W) to (1, D), static")
        return tuple(shape), {entry.name: int(entry.shape[1]) for entry in outputs}


def open_onnx(
    model: bytes, *, optimize: bool = True, optimized_to: str = "", profile_to: str = "", log_severity: int = 3
) -> Any:
    """Return an onnxruntime session with the options under which every graph of this project runs.

    One thread, no spinning between calls, exact int8 products: what is measured or compared elsewhere runs like the
    backend.

    Args:
        model: the ONNX file's bytes.
        optimize: False runs the graph node by node as it stands.
        optimized_to: path at which onnxruntime leaves the optimized graph; empty for none.
        profile_to: beginning of the path to which ``end_profiling`` writes every node's times; empty for none.
        log_severity: least severity that onnxruntime logs, 0 (verbose) to 4 (fatal).

    Raises:
        Exception: whatever onnxruntime raises for a model that it cannot load.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = log_severity
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # x86 without VNNI: int8 products of uint8 and int8 overflow; this takes exact ones, and does nothing elsewhere.
    # Source: onnxruntime, onnxruntime_session_options_config_keys.h.
    options.add_session_config_entry("session.x64quantprecision", "1")
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if optimized_to:
        options.optimized_model_filepath = optimized_to
    if profile_to:
        options.enable_profiling, options.profile_file_prefix = True, profile_to
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def bound_run(session: Any, binding: Any) -> Callable[[], object]:
    """Return what runs an onnxruntime session on what is bound to it, once everything is bound.

    Cost: onnxruntime's own method looks at options of other processors and makes new run options every time, 0.7 us on
    a Xeon. It serves where the inner objects have other names.
    """
    import onnxruntime as ort

    run, bound = (
        getattr(getattr(session, "_sess", None), "run_with_iobinding", None),
        getattr(binding, "_iobinding", None),
    )
    if run is None or bound is None:
        return partial(session.run_with_iobinding, binding)
    return partial(run, bound, ort.RunOptions())


def open_plainly(model: bytes, what: str) -> Any:
    """Return :func:`open_onnx` of a model; ``DataError`` with its name where onnxruntime cannot load it."""
    try:
        return open_onnx(model, log_severity=4)  # what it says is in the error
    except Exception as error:
        raise DataError(f"{what} cannot be loaded by onnxruntime: {first_line(error)}") from error


if TYPE_CHECKING:
    _: type[Backend] = OnnxBackend
