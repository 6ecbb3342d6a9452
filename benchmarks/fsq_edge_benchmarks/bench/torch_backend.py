"""The device graph in eager PyTorch: what a stream costs that goes without an exported graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import DataError

if TYPE_CHECKING:
    from fsq_edge_runtime.backends import Backend


class TorchBackend:
    """Runs a trained run's network, as a backend of the bundle that was made from it.

    Raises:
        MissingInputError: no such run.
        DataError: another run than the bundle's.
    """

    name = "torch"

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        import torch

        from fsq_edge.training import load_run

        torch.set_num_threads(1)  # observed: a second thread makes small networks several times slower
        run = load_run(folder)
        if run.preprocess.digest() != bundle.manifest.preprocess_sha256:
            raise DataError(f"the run {folder} is not the one that the bundle was made from: preprocessing differs")
        self._torch, self._graph = torch, run.model.device_graph()

    def infer(self, frame: Float32Array) -> Float32Array:
        """Return ``t`` (D,) for one frame (1, C', H, W)."""
        t: Float32Array = self.infer_batch(frame)[0]
        return t

    def infer_batch(self, frames: Float32Array) -> Float32Array:
        """Return ``t`` (N, D) for frames (N, C', H, W)."""
        with self._torch.inference_mode():
            t: Float32Array = self._graph(self._torch.from_numpy(frames)).numpy()
        return t

    def close(self) -> None:
        """Nothing to release."""


if TYPE_CHECKING:
    _: type[Backend] = TorchBackend
