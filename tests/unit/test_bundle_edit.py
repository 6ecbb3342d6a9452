"""Adding a HEF: filed under its architecture, compared first, forced only with a reason."""

from __future__ import annotations

import dataclasses

import pytest

from fsq_edge_runtime.bundle.archive import encode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import add_hef
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.testing.hef_writer import TensorSpec, hef_bytes
from tests.factories.bundles import random_bundle

INPUT = TensorSpec("input_layer1", (2, 50, 12), -5.0, 5.0, original_names=("conv",))
OUTPUT = TensorSpec("fc1", (3,), -1.0, 1.0, original_names=("tanh",))


def hef(arch: str, **changes: object) -> bytes:
    source = dataclasses.replace(INPUT, **changes)  # type: ignore[arg-type]
    return hef_bytes(arch=arch, inputs=(source,), outputs=(OUTPUT,))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle()


def test_one_bundle_holds_several_hefs_and_the_cpu_graph(bundle: Bundle) -> None:
    made = bundle
    for arch in ("hailo8", "hailo8l", "hailo10h", "hailo15m"):
        added = add_hef(made, hef(arch))
        assert added.bundle is not None
        assert (added.arch, added.replaced) == (arch, False)
        made = added.bundle
    assert made.hef_architectures == ("hailo8", "hailo8l", "hailo10h", "hailo15m")
    assert made.read("hef", "hailo8l") == hef("hailo8l")
    assert made.read("encoder") == bundle.read("encoder")
    assert bundle.hef_architectures == (), "the bundle given is not changed"


def test_equal_input_gives_equal_bytes(bundle: Bundle) -> None:
    archives = []
    for _ in range(2):
        made = add_hef(bundle, hef("hailo8")).bundle
        assert made is not None
        archives.append(encode_archive(made.files))
    assert archives[0] == archives[1]


def test_a_second_hef_replaces_the_first(bundle: Bundle) -> None:
    first = add_hef(bundle, hef("hailo8")).bundle
    assert first is not None
    second = add_hef(first, hef("hailo8", limit_max=5.5))
    assert second.bundle is not None
    assert second.replaced
    assert second.bundle.read("hef", "hailo8") == hef("hailo8", limit_max=5.5)
    assert len(second.bundle.manifest.files) == len(first.manifest.files)


def test_one_code_for_two_targets_takes_the_one_that_is_named(bundle: Bundle) -> None:
    assert add_hef(bundle, hef("hailo10h"), arch="hailo15h").arch == "hailo15h"
    with pytest.raises(UsageError, match="compiled for hailo10h or hailo15h, not for hailo8"):
        add_hef(bundle, hef("hailo10h"), arch="hailo8")


def test_what_does_not_fit_is_not_added_unless_forced_with_a_reason(bundle: Bundle) -> None:
    noise = hef("hailo8", limit_min=0.0, limit_max=1.0)
    refused = add_hef(bundle, noise)
    assert refused.bundle is None
    assert {finding.rule for finding in refused.findings} >= {"input-noise", "input-limits"}
    forced = add_hef(bundle, noise, force="only for a timing run")
    assert forced.bundle is not None
    assert forced.bundle.manifest.forced == (
        "add-hef hailo8 in spite of input-limits, input-noise: only for a timing run",
    )
    fitting = add_hef(bundle, hef("hailo8"), force="just in case").bundle
    assert fitting is not None
    assert fitting.manifest.forced == (), "nothing had to be forced"


@pytest.mark.parametrize("reason", ["two\nlines", "x" * 201, "\x1b[2J"])
def test_a_reason_is_one_printable_line(bundle: Bundle, reason: str) -> None:
    with pytest.raises(UsageError, match="one line"):
        add_hef(bundle, hef("hailo8"), force=reason)


def test_damage_and_an_unknown_architecture_cannot_be_forced(bundle: Bundle) -> None:
    with pytest.raises(DataError, match="cut off"):
        add_hef(bundle, hef("hailo8")[:-1], force="please")
    with pytest.raises(DataError, match="unknown architecture 77"):
        add_hef(bundle, hef_bytes(arch_code=77), force="please")
