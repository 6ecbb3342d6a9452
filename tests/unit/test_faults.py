"""What a wrong value of a file is called: in words, never in pydantic's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fsq_edge.data.importing.import_map import parse_map
from fsq_edge.training.config import TrainConfig
from fsq_edge_runtime.alerts import AlertRules
from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.preprocess import PreprocessConfig
from tests.factories.bundles import preprocess_config
from tests.unit.test_golden_schemas import GOLDEN, SCHEMAS

RAW = ("Input should", "not permitted", "Field required", "Value error", "valid integer", "should have at", "type=")


def refusal(text: dict[str, Any], artefact: type[Artefact]) -> tuple[str, str]:
    with pytest.raises(DataError) as caught:
        artefact.from_json(json.dumps({"schema_version": artefact.VERSION, **text}), origin="f.json")
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("section", "wanted", "hint"),
    [
        ({"max_epoch": 3}, "training.max_epoch: there is no such key", "did you mean max_epochs?"),
        ({"max_epochs": "many"}, "training.max_epochs: expected a whole number, found 'many'", ""),
        ({"max_epochs": 2.5}, "training.max_epochs: expected a whole number, found 2.5", ""),
        ({"batch_size": None}, "training.batch_size: expected a whole number, found null", ""),
        ({"max_epochs": 0}, "training.max_epochs: expected 1 or more, found 0", ""),
        ({"max_epochs": [1, 2]}, "training.max_epochs: expected a whole number, found a list (2)", ""),
        ({"learning_rate": -1}, "training.learning_rate: expected more than 0", ""),
        ({"device": "cdua"}, "training.device: expected 'auto', 'cpu' or 'cuda', found 'cdua'", "did you mean cuda?"),
        ({"device": "tpx"}, "training.device: expected 'auto', 'cpu' or 'cuda'", "one of auto, cpu, cuda"),
        ({"device": "npu0"}, "training.device: expected", "one of auto, cpu, cuda"),
    ],
)
def test_a_fault_says_what_was_expected_and_found(section: dict[str, Any], wanted: str, hint: str) -> None:
    message, said = refusal({"training": section}, TrainConfig)
    assert wanted in message
    assert hint in said


def test_a_missing_key_a_wrong_kind_and_a_rule_of_ours_are_words() -> None:
    whole = preprocess_config().to_dict()
    del whole["mean"]
    assert "mean: this key is missing" in refusal(whole, PreprocessConfig)[0]
    message, hint = refusal({"rules": [{"kind": "lastign", "name": "a"}]}, AlertRules)
    assert "there is no kind 'lastign'" in message
    assert hint == "did you mean lasting?"
    window = {"window_samples": 101, "fold": 2}
    message, _ = refusal({"preprocessing": window}, TrainConfig)
    assert message == "f.json: preprocessing: window_samples 101 is not a multiple of the fold, 2"
    with pytest.raises(DataError, match=r"fiels: there is no such key"):
        parse_map(b"name: x\nfiels: 1\n", "map.yaml")


def refusal_of(artefact: type[Artefact], value: Any) -> str:
    """Message and hint; empty where the value is taken."""
    try:
        artefact.from_json(json.dumps(value), origin="f.json")
    except DataError as error:
        return error.message + (error.hint or " type= no hint")
    return ""


def changed(value: Any) -> Any:
    """Every document with one value replaced by one of another kind, one key less, or one key more."""
    if isinstance(value, dict):
        yield {**value, "mistake": 1}
        for key in value:
            yield {name: part for name, part in value.items() if name != key}
            yield from ({**value, key: other} for other in changed(value[key]))
    elif isinstance(value, list):
        yield []
        yield "text"
        yield from ([other, *value[1:]] for other in changed(value[0])) if value else ()
    else:
        yield from ({}, [[]], "\N{SNOWMAN}", -1e300, 1.5, True, None)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_no_artefact_is_refused_in_raw_words(name: str) -> None:
    document = json.loads((GOLDEN / "schemas" / f"{name}_v1.json").read_text())
    refused = 0
    for other in changed(document):
        said = refusal_of(SCHEMAS[name], other)
        refused += bool(said)
        assert not any(raw in said for raw in RAW), said
    assert refused > len(document)
