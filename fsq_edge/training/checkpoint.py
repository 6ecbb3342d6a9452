"""Files that are there whole or not at all: weights, and the state that an interrupted training resumes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from fsq_edge.model import Conv2dFSQ
from fsq_edge.training.record import EpochRecord
from fsq_edge_runtime.artefact import StrictModel
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import write_file

MAX_MODEL_BYTES = 1 << 30


class Progress(StrictModel):
    """The part of a checkpoint that is not tensors.

    Attributes:
        digest: of configuration, split and preprocessing; a checkpoint of another training is never resumed.
        history: the epochs done.
        best_epoch: the epoch of the kept weights, 0 before the first.
        plateau_rate: learning rate of the plateau schedule.
        plateau_bad_epochs: epochs it has waited.
    """

    digest: str
    history: tuple[EpochRecord, ...]
    best_epoch: int
    plateau_rate: float
    plateau_bad_epochs: int


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Everything a training needs to go on after an epoch; random numbers follow from seed and epoch.

    Attributes:
        progress: history and schedule.
        model: weights and BatchNorm statistics now.
        best: those of the best epoch.
        optimizer: AdamW's moments, by ``PARAMETER.KEY``.
    """

    progress: Progress
    model: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]

    def write(self, path: Path) -> None:
        """Write one safetensors file in place of the last."""
        groups = {"model": self.model, "best": self.best, "optimiser": self.optimizer}
        tensors = {f"{group}/{name}": value for group, part in groups.items() for name, value in part.items()}
        write_file(path, save(_plain(tensors), {"progress": self.progress.model_dump_json()}))


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read a checkpoint; None where there is none.

    Raises:
        DataError: it is damaged, or not a checkpoint.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress.model_validate_json(file.metadata()["progress"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, KeyError, TypeError, ValidationError) as error:
        raise DataError(f"{path} is not a checkpoint of this release", hint=f"remove {path} to start over") from error
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimiser": {}}
    for name, value in tensors.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = value
    return Checkpoint(progress, groups["model"], groups["best"], groups["optimiser"])


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's per-parameter state by ``PARAMETER.KEY``."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{key}": value for number, values in state.items() for key, value in values.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what ``optimizer_tensors`` returned."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        parameter = parameters[int(number)]
        if value.shape == parameter.shape:
            # The fused step walks the memory of weight and moment together, so their layouts have to agree.
            value = torch.empty_like(parameter).copy_(value)
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def tensor_bytes(weights: Mapping[str, Tensor]) -> bytes:
    """Return weights and BatchNorm statistics as safetensors; equal weights give equal bytes."""
    return bytes(save(_plain(weights)))


def load_weights(model: Conv2dFSQ, content: bytes, path: Path) -> None:
    """Fill a network from safetensors.

    Raises:
        DataError: damaged, or of another network.
    """
    try:
        model.load_state_dict(load(content))
    except (SafetensorError, RuntimeError) as error:
        raise DataError(f"{path} does not fit the network of its run.json", hint="train again") from error


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # Copies: safetensors refuses tensors that share memory or lie in another layout.
    return {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
