"""Whole networks of every kind get the verdict they should; ``make networks`` does every exporter and both chips."""

from __future__ import annotations

import pytest

from fsq_edge_compile import check, fix, split
from tests.factories.networks.catalogue import NETWORKS
from tests.programs.network_survey import Spelling, exported, judged, mistake

SCRIPT = Spelling(17)
# The dynamo exporter takes seconds: one network of each kind here, all of them in the long run.
DYNAMO = ("resnet18", "mobilenet_v3", "shufflenet", "convnext", "vit-fused", "yolo-anchor-free", "unet")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_from_the_script_exporter(name: str) -> None:
    report, _ = judged(exported(NETWORKS[name], SCRIPT), "hailo8")
    assert not mistake(NETWORKS[name], report)


@pytest.mark.parametrize("name", DYNAMO)
def test_a_network_from_the_dynamo_exporter(name: str) -> None:
    report, _ = judged(exported(NETWORKS[name], Spelling(18, dynamo=True)), "hailo10h")
    assert not mistake(NETWORKS[name], report)


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2", "vit", "yolo-anchor-based"])
def test_a_batch_left_open_changes_nothing_but_a_warning(name: str) -> None:
    fixed, open_batch = (
        check(exported(NETWORKS[name], spelling), "hailo8") for spelling in (SCRIPT, Spelling(17, dynamic_batch=True))
    )
    assert not mistake(NETWORKS[name], open_batch)
    assert len(open_batch.end_nodes) == len(fixed.end_nodes)
    assert "file.symbolic-batch" in {finding.rule for finding in open_batch.warnings}


@pytest.mark.parametrize("name", ["yolo-anchor-free", "ssd", "imu-full"])
def test_the_parts_of_a_cut_network_compute_what_it_computes(name: str) -> None:
    result = split(exported(NETWORKS[name], SCRIPT))
    assert list(result.parts) == ["device", "host"]
    assert result.difference <= 1e-6
    assert check(result.device).verdict == "full"


@pytest.mark.parametrize("name", ["mobilenet_v3", "vit-fused", "yolo-anchor-free"])
def test_the_fixed_copy_of_a_dynamo_export_warns_of_less(name: str) -> None:
    model = exported(NETWORKS[name], Spelling(20, dynamo=True))
    result = fix(model)
    assert not result.rejections
    assert result.model.opset_import[0].version == 17
    before, after = check(model), check(result.model)
    assert not mistake(NETWORKS[name], after)
    assert len(after.warnings) < len(before.warnings)
    assert max(change.difference for change in result.changes) <= 1e-4
