"""Which levels the layer takes, refuses and warns of."""

import pytest
import torch

from fsq_edge.fsq import FSQ
from fsq_edge_runtime.errors import UsageError


@pytest.mark.parametrize("levels", [(2, 8), (), (8, 1), (8, 5.5), (0,), (300, 8)])
def test_refused(levels):
    with pytest.raises(UsageError) as caught:
        FSQ(levels)
    assert caught.value.hint


def test_codes_beyond_an_index_are_refused():
    with pytest.raises(UsageError, match="64-bit"):
        FSQ([256] * 8)


def test_few_levels_warn():
    with pytest.warns(UserWarning, match="fewer than 5"):
        FSQ((4, 4, 4, 4))


def test_wrong_width_is_named():
    with pytest.raises(ValueError, match="2 dimensions"):
        FSQ((8, 6, 5))(torch.zeros(4, 2))
