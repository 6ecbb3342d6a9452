"""``space.yaml``: which settings of the training configuration are searched, and where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from fsq_edge.training.config import TrainConfig
from fsq_edge_runtime.artefact import StrictModel
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.faults import first_fault, yaml_problem
from fsq_edge_runtime.files import read_bounded

MAX_BYTES = 1 << 20
MAX_SETTINGS = 50
SECTIONS = ("model", "training", "preprocessing", "windows", "augmentation")  # not ``data``: the split stays


class Suggests(Protocol):
    """What draws values: a trial of the study."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """Return one of the choices."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return a whole number."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number."""


class Range(StrictModel):
    """The values of one setting: ``choices``, or ``low`` and ``high``.

    Attributes:
        choices: values to choose from, lists among them (``fsq_levels``).
        low: least value; with a whole ``low`` and ``high`` all values are whole.
        high: greatest value.
        step: distance of the values; None is 1 for whole numbers and any number else.
        log: search evenly over the logarithm, for rates.
    """

    choices: tuple[Any, ...] = ()
    low: int | float | None = None
    high: int | float | None = None
    step: int | float | None = Field(default=None, gt=0)
    log: bool = False

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if bool(self.choices) == (self.low is not None or self.high is not None):
            raise ValueError("give choices, or low and high")
        if not self.choices and not (self.low is not None and self.high is not None and self.low < self.high):
            raise ValueError("low must be less than high")
        if self.log and (self.step is not None or not self.low or self.low <= 0):
            raise ValueError("log needs a low above 0 and no step")
        return self

    def suggest(self, trial: Suggests, name: str) -> Any:
        """Draw a value; lists travel as JSON texts, which every storage can hold."""
        if self.choices:
            lists = any(isinstance(choice, list | tuple) for choice in self.choices)
            if lists:
                return json.loads(trial.suggest_categorical(name, [json.dumps(choice) for choice in self.choices]))
            return trial.suggest_categorical(name, list(self.choices))
        if self.low is None or self.high is None:
            raise ValueError(name)  # the validator has seen to it
        if isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float):
            return trial.suggest_int(name, self.low, self.high, step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)


class Space(StrictModel):
    """What is searched.

    Attributes:
        ranges: ``section.field`` of the training configuration -> its values.
    """

    ranges: dict[str, Range] = Field(min_length=1, max_length=MAX_SETTINGS)

    def suggest(self, trial: Suggests, base: TrainConfig) -> TrainConfig:
        """Return a configuration with drawn values in the place of the base's.

        Raises:
            DataError: the values do not go together.
        """
        document = base.to_dict()
        for name, values in self.ranges.items():
            section, _, field = name.partition(".")
            document[section][field] = values.suggest(trial, name)
        return TrainConfig.from_json(json.dumps(document), origin="the settings of this trial")


def read_space(path: Path) -> Space:
    """Read a space from YAML: ``section.field: {choices: [...]}`` or ``{low: .., high: .., step: .., log: true}``.

    Raises:
        MissingInputError: the file cannot be read.
        DataError: not YAML, or a setting that the training configuration does not have.
    """
    hint = "write a line such as training.learning_rate: {low: 1e-3, high: 1e-2, log: true}"
    try:
        document = yaml.safe_load(read_bounded(path, MAX_BYTES, what="the space", hint=hint))
    except yaml.YAMLError as error:
        raise DataError(yaml_problem(error, path.name), hint=hint) from error
    if not isinstance(document, Mapping) or not document:
        raise DataError(f"{path.name}: expected settings to search", hint=hint)
    for name in document:
        section, _, field = str(name).partition(".")
        fields = type(getattr(TrainConfig(), section)).model_fields if section in SECTIONS else {}
        if field not in fields:
            known = ", ".join(fields) if fields else ", ".join(f"{one}.*" for one in SECTIONS)
            raise DataError(f"{path.name}: {name} is no setting that can be searched", hint=f"there are {known}")
    try:
        text = json.dumps({"ranges": {name: _numbers(values) for name, values in document.items()}})
        return Space.model_validate_json(text)
    except (ValidationError, TypeError) as error:
        field, words, meant = first_fault(error) if isinstance(error, ValidationError) else ("", str(error), "")
        raise DataError(f"{path.name}: {field.removeprefix('ranges.')}: {words}", hint=meant or hint) from error


def _numbers(values: Any) -> Any:
    """Read 1e-3 as the number everyone means: YAML 1.1 wants a dot and takes it for text."""
    if not isinstance(values, Mapping):
        return values
    found = dict(values)
    for name in ("low", "high", "step"):
        if isinstance(found.get(name), str):
            try:
                found[name] = float(found[name])
            except ValueError:
                continue
    return found
