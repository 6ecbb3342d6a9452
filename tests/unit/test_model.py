"""The network: what it sees, what it cannot tell apart, and that its parts add up to the whole."""

import numpy as np
import pytest
import torch
from torch import nn

from fsq_edge.model import Conv2dFSQ, blocks_for, receptive_field
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.tail import FsqTail


def make_model(**overrides) -> Conv2dFSQ:
    torch.manual_seed(0)
    model = Conv2dFSQ(**{"input_channels": 6, "num_classes": 7, **overrides})
    # Running statistics as after training, so that folding them is not the identity.
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return model.eval()


def frames(model: Conv2dFSQ, n: int = 64) -> torch.Tensor:
    return torch.randn(n, *model.frame_shape, generator=torch.Generator().manual_seed(1))


def test_outputs_are_typed_and_shaped():
    model = make_model()
    with torch.no_grad():
        out = model(frames(model))
    assert out.logits.shape == (64, 7)
    assert out.code.shape == (64,)
    assert out.code.dtype == torch.int64
    assert out.t.shape == (64, 3)
    assert out.t.abs().max() <= 1
    assert sum(p.numel() for p in model.parameters()) < 100_000


@pytest.mark.parametrize("levels", [(8, 6, 5), (7, 5, 5, 5, 5)])
def test_device_graph_and_host_table_are_the_whole_network(levels):
    model = make_model(fsq_levels=levels)
    x = frames(model, 256)
    with torch.no_grad():
        whole, t = model(x), model.device_graph()(x)
    torch.testing.assert_close(t, whole.t, atol=2e-6, rtol=0)
    tail = FsqTail(levels, model.head_table())
    clear = (tail.codebook.boundary_distance(t.numpy()) > 1e-4).all(axis=1)
    assert clear.mean() > 0.95
    assert np.array_equal(tail.index(t.numpy())[clear], whole.code.numpy()[clear])
    np.testing.assert_allclose(tail.table[whole.code.numpy()], whole.logits.numpy(), atol=1e-5)


def test_device_graph_leaves_a_model_in_training_as_it_was():
    model = make_model().train()
    graph = model.device_graph()
    model.head_table()
    assert all(module.training for module in model.modules())
    assert not any(module.training for module in graph.modules())
    with torch.no_grad():
        before = graph(frames(model))
        model.projection.weight.zero_()
        model.features[0].weight.zero_()
        assert torch.equal(graph(frames(model)), before)


@pytest.mark.parametrize(("fold", "samples"), [(2, 100), (1, 100), (2, 256), (4, 400), (2, 500)])
def test_receptive_field_covers_a_row(fold, samples):
    model = make_model(fold=fold, window_samples=samples)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert receptive_field(len(convolutions), 9) >= model.row_samples
    # Measured, not computed: the last feature map's middle answers to both ends of its row.
    x = frames(model, 1).requires_grad_()
    features = model.features(x)
    middle = features[:, :, :, features.shape[3] // 2].abs().sum()
    reached = torch.autograd.grad(middle, x)[0].abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert len(reached) >= 0.75 * model.row_samples


def test_receptive_field_by_hand():
    assert receptive_field(1, 9) == 9
    assert receptive_field(2, 9) == 26
    assert receptive_field(3, 9) == 60
    assert blocks_for(50, 9) == 3
    assert blocks_for(61, 9) == 4


def test_the_default_cannot_tell_the_order_of_the_rows_and_span_rows_can():
    x = frames(make_model())
    for span_rows, same in ((False, True), (True, False)):
        model = make_model(span_rows=span_rows)
        with torch.no_grad():
            forward, swapped = model(x).t, model(x.flip(2)).t
        assert torch.allclose(forward, swapped, atol=1e-6) == same


def test_it_tells_time_forward_from_backward():
    model = make_model()
    x = frames(model)
    with torch.no_grad():
        assert (model(x).t - model(x.flip(3)).t).abs().max() > 1e-3


def test_under_half_precision_codes_stay_integers_and_t_float32():
    model = make_model()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        out = model(frames(model))
    assert out.code.dtype == torch.int64
    assert out.t.dtype == torch.float32


@pytest.mark.parametrize(
    "wrong",
    [{"kernel": 8}, {"hidden_dim": 0}, {"num_classes": 0}, {"input_channels": 0}, {"fold": 0},
     {"window_samples": 6}, {"fsq_levels": (2, 2)}],
)  # fmt: skip
def test_sizes_that_cannot_be_are_refused(wrong):
    with pytest.raises(UsageError):
        make_model(**wrong)


def test_frames_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected \(B, \(12, 2, 50\)\)"):
        make_model()(torch.zeros(1, 6, 2, 50))
