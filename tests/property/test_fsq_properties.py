"""Torch layer, host tail, thresholds and vector-quantize-pytorch are one quantiser."""

import math

import numpy as np
import pytest
import torch
import vector_quantize_pytorch
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge.fsq import FSQ
from fsq_edge_runtime.tail import FsqCodebook

# The level sets that the paper recommends for 2^8 to 2^16 codes.
PAPER_LEVELS = [(8, 6, 5), (8, 5, 5, 5), (7, 5, 5, 5, 5), (8, 8, 8, 6, 5), (8, 8, 8, 5, 5, 5)]
VECTORS = 1_000_000
# float32 tanh differs by an ulp or two between libraries; nearer to a boundary a step of one is honest.
BOUNDARY = 1e-5


def threshold_digits(codebook: FsqCodebook, z: np.ndarray) -> np.ndarray:
    columns = [
        np.searchsorted(steps, z[:, at].astype(np.float64), side="right")
        for at, steps in enumerate(codebook.thresholds())
    ]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("levels", PAPER_LEVELS, ids=lambda levels: "x".join(map(str, levels)))
def test_four_implementations_agree_on_a_million_vectors(levels):
    z = torch.randn(VECTORS, len(levels), generator=torch.Generator().manual_seed(7)) * 1.5
    layer, reference, codebook = FSQ(levels), vector_quantize_pytorch.FSQ(list(levels)), FsqCodebook(levels)
    out = layer(z)
    digits = layer.digits_of(out.code).numpy()
    values = reference.quantize(z)
    others = {
        "reference": np.rint((values * layer.radius + layer.radius).numpy()).astype(np.int64),
        "tail": codebook.digits(np.tanh(z.numpy() + codebook.shift)),
        "thresholds": threshold_digits(codebook, z.numpy()),
    }
    clear = codebook.boundary_distance(out.t.numpy()) > BOUNDARY
    assert clear.mean() > 0.999
    for name, other in others.items():
        differs = digits != other
        assert not (differs & clear).any(), name
        assert np.abs(digits - other).max() <= 1, name
    sure = clear.all(axis=1)
    assert np.array_equal(out.code.numpy()[sure], reference.codes_to_indices(values).numpy()[sure])
    assert np.array_equal(out.code.numpy(), codebook.index(digits))
    np.testing.assert_allclose(out.value.numpy()[sure], values.numpy()[sure], atol=1e-6)


@given(st.lists(st.integers(5, 9), min_size=1, max_size=5), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_index_and_digits_are_inverse_and_values_are_the_heads_grid(levels, seed):
    layer = FSQ(levels)
    code = torch.randint(0, layer.codes, (257,), generator=torch.Generator().manual_seed(seed))
    digits = layer.digits_of(code)
    assert digits.dtype == code.dtype == torch.int64
    assert (digits >= 0).all()
    assert (digits < layer.sizes).all()
    assert torch.equal(layer.index_of(digits), code)
    expected = (digits - layer.sizes // 2).double() / (layer.sizes // 2)
    assert torch.equal(layer.values_of(code), expected.float())


@pytest.mark.parametrize("levels", PAPER_LEVELS)
def test_gradient_passes_straight_through_the_rounding(levels):
    z = torch.randn(64, len(levels), generator=torch.Generator().manual_seed(1)).requires_grad_()
    layer = FSQ(levels)
    layer(z).value.sum().backward()
    t = torch.tanh(z.detach() + layer.shift)
    torch.testing.assert_close(z.grad, (1 - t * t) * layer.half_width / layer.radius)


def test_every_code_is_reached_and_no_buffer_grows_with_the_code_book():
    layer = FSQ((8, 6, 5))
    z = torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0)) * 3
    assert len(layer(z).code.unique()) == 240
    large = FSQ([8] * 8)
    assert large.codes == 8**8
    assert sum(buffer.numel() for buffer in large.buffers()) <= 6 * 8
    assert not large.state_dict()
    assert int(large(torch.full((1, 8), 9.0)).code) == 8**8 - 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_codes_are_integers_and_computed_in_float32_under_half_precision(dtype):
    z = torch.randn(512, 3, generator=torch.Generator().manual_seed(2)).to(dtype)
    out = FSQ((8, 6, 5))(z)
    assert out.code.dtype == torch.int64
    assert out.t.dtype == torch.float32
    assert torch.equal(out.code, FSQ((8, 6, 5))(z.float()).code)


def test_outermost_digits_need_a_finite_z():
    codebook = FsqCodebook((8, 6, 5))
    assert all(math.isfinite(step) for steps in codebook.thresholds() for step in steps)
