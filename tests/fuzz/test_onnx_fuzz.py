"""1,000 damaged models and the onnx package's own, in a process of 2 GB; ``make fuzz`` does 5,000 and the bombs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge_compile import check
from tests.factories.mutations import mutate_model
from tests.programs.onnx_mutants import ARCHES, backend_models, fault, judge, mutants, seeds

SEEDS = seeds()
ROOT = Path(__file__).parents[2]


def test_damaged_models_end_in_a_verdict_or_one_error() -> None:
    # A child of its own: its memory is limited, and a crash of native code would end only it.
    child = subprocess.run(
        [sys.executable, "-m", "tests.programs.onnx_mutants", "--count", "1000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert child.returncode == 0, child.stdout + child.stderr
    outcomes = dict(item.rsplit(" ", 1) for item in child.stdout.removeprefix("onnx: ").strip().split(", "))
    assert float(outcomes["refused"]) > 300
    assert float(outcomes["cut"]) > 20, "no mutant came as far as the rules"
    assert float(outcomes["full"]) > 20


def test_mutants_are_the_same_every_time() -> None:
    assert list(mutants(20)) == list(mutants(20))


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, len(SEEDS) - 1),
    arch=st.sampled_from(ARCHES),
    rng=st.randoms(note_method_calls=False, use_true_random=False),
)
def test_a_model_with_odd_parts_gets_a_sound_report(seed: int, arch: str, rng: object) -> None:
    mutant = mutate_model(SEEDS[seed], rng)  # type: ignore[arg-type] # hypothesis gives a random.Random
    assert not judge(mutant, arch).startswith("wrong")


def test_the_onnx_packages_own_models_get_a_sound_report() -> None:
    verdicts = {}
    for index, (name, model) in enumerate(backend_models()):
        report = check(model, ARCHES[index % 2])
        assert not fault(report), name
        verdicts[name] = report.verdict
    if not verdicts:
        pytest.skip("this onnx package comes without its test models")
    known = ("densenet121", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19")
    assert {verdicts[f"light/light_{name}.onnx"] for name in known} == {"full"}
