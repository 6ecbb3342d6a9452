"""Finite Scalar Quantization in torch: rounding each dimension of a bounded vector to a few levels.

The grid itself (half, offset, shift, basis) is ``fsq_edge_runtime.tail.FsqCodebook``; here it becomes a layer that
trains. Shapes: ``...`` any leading dimensions, ``D`` quantised dimensions, ``L`` levels of one dimension::

    t = tanh(z + shift)     b = t * half - offset     q = rint(b), half to even     digit = q + L // 2

Source: Mentzer et al. 2023, "Finite Scalar Quantization: VQ-VAE Made Simple", arXiv 2309.15505, section 3.1 and its
appendix; numerically the ``FSQ`` class of vector-quantize-pytorch.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.tail import FsqCodebook

ADVISED_LEVELS = 5  # the paper's advice; fewer levels in a dimension cost accuracy


class Quantised(NamedTuple):
    """What the quantiser makes of a vector z of shape (..., D).

    Attributes:
        value: (..., D) float; q / (L // 2): -1..1 for odd L, -1..1 - 2 / L for even L. Carries z's gradient.
        code: (...) int64; the code, 0 .. product of the levels - 1.
        t: (..., D) float in [-1, 1]; tanh(z + shift), the tensor that leaves the device.
    """

    value: Tensor
    code: Tensor
    t: Tensor


class FSQ(nn.Module):
    """Round z to the nearest of prod(levels) codes; gradients pass straight through the rounding.

    No parameters, no auxiliary loss, and no buffer larger than D.

    Args:
        levels: levels of each dimension, for example (8, 6, 5) for 240 codes; fewer than 5 in one of them warns.

    Raises:
        UsageError: no dimension, a level that is not whole or not 3 to 256, or more codes than an int64 index holds.
            Two levels are refused because their shift is about 3.8, where tanh is flat and nothing is learned.
    """

    half_width: Tensor
    offset: Tensor
    shift: Tensor
    radius: Tensor
    basis: Tensor
    sizes: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if any(int(level) != level for level in levels):
            raise UsageError(f"FSQ levels must be whole numbers, got {list(levels)}", hint="try 8,6,5")
        try:
            grid = FsqCodebook(levels)
        except ValueError as error:
            raise UsageError(str(error), hint="use 5 or more levels in every dimension, such as 8,6,5") from error
        if min(grid.levels) < ADVISED_LEVELS:
            warnings.warn(f"FSQ levels {list(levels)}: fewer than 5 in a dimension cost accuracy", stacklevel=2)
        self.levels, self.codes = grid.levels, grid.n_codes
        sizes = torch.tensor(grid.levels)
        # Not persistent: all follow from the levels, so a checkpoint holds none of them.
        self.register_buffer("half_width", torch.from_numpy(grid.half), persistent=False)
        self.register_buffer("offset", torch.from_numpy(grid.offset), persistent=False)
        self.register_buffer("shift", torch.from_numpy(grid.shift), persistent=False)
        self.register_buffer("basis", torch.from_numpy(grid.basis), persistent=False)
        self.register_buffer("sizes", sizes, persistent=False)
        self.register_buffer("radius", sizes // 2, persistent=False)

    @property
    def dimensions(self) -> int:
        """D, the number of quantised dimensions."""
        return len(self.levels)

    def forward(self, z: Tensor) -> Quantised:
        """Quantise z of shape (..., D); half precision is computed in float32.

        Raises:
            ValueError: the last dimension of z is not D.
        """
        if z.shape[-1] != self.dimensions:
            raise ValueError(f"z has {z.shape[-1]} dimensions, the levels {list(self.levels)} need {self.dimensions}")
        return self.quantise(torch.tanh(z.float() + self.shift))

    def quantise(self, t: Tensor) -> Quantised:
        """Quantise t = tanh(z + shift) of shape (..., D), as the host does with the device's output."""
        bounded = t * self.half_width - self.offset
        rounded = torch.round(bounded)
        code = self.index_of(rounded.detach().long() + self.radius)
        straight_through = bounded + (rounded - bounded).detach()
        return Quantised(value=straight_through / self.radius, code=code, t=t)

    def index_of(self, digits: Tensor) -> Tensor:
        """Return the code (...) int64 of digits (..., D) int64, each in 0 .. L - 1."""
        return (digits * self.basis).sum(dim=-1)

    def digits_of(self, index: Tensor) -> Tensor:
        """Return the digits (..., D) int64 of codes (...) int64: the inverse of ``index_of``."""
        return (index.unsqueeze(-1) // self.basis) % self.sizes

    def values_of(self, index: Tensor) -> Tensor:
        """Return the quantised vectors (..., D) float32 of codes (...) int64, as the head sees them."""
        return (self.digits_of(index) - self.radius).float() / self.radius
