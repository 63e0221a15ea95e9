"""Grids of patches: shares against areas counted by hand, attention that stays whole."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.grids import pooled_attention, shares_of_cells

GRIDS = st.tuples(st.integers(1, 5), st.integers(1, 4))


def counted(ours: tuple[int, int], theirs: tuple[int, int]) -> torch.Tensor:
    """Shares by counting the points of a lattice that both grids divide."""
    height, width = ours[0] * theirs[0], ours[1] * theirs[1]
    found = torch.zeros(ours[0] * ours[1], theirs[0] * theirs[1])
    for y in range(height):
        for x in range(width):
            first = y // theirs[0] * ours[1] + x // theirs[1]
            second = y // ours[0] * theirs[1] + x // ours[1]
            found[first, second] += 1
    return found / found.sum(1, keepdim=True)


@given(ours=GRIDS, theirs=GRIDS)
@settings(max_examples=40, deadline=None)
def test_shares_are_areas(ours: tuple[int, int], theirs: tuple[int, int]) -> None:
    torch.testing.assert_close(shares_of_cells(ours, theirs), counted(ours, theirs), atol=1e-5, rtol=1e-4)


@given(ours=GRIDS, theirs=GRIDS, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_pooled_attention_is_whole_and_even_attention_stays_even(
    ours: tuple[int, int], theirs: tuple[int, int], seed: int
) -> None:
    shares, cells = shares_of_cells(ours, theirs), theirs[0] * theirs[1]
    maps = torch.softmax(torch.randn(2, cells, cells, generator=torch.Generator().manual_seed(seed)), -1)
    torch.testing.assert_close(pooled_attention(maps, shares).sum(-1), torch.ones(2, len(shares)))
    even = pooled_attention(torch.full((1, cells, cells), 1 / cells), shares)
    torch.testing.assert_close(even, torch.full_like(even, 1 / len(shares)), atol=1e-5, rtol=1e-4)


def test_attention_on_the_same_grid_is_left_alone() -> None:
    maps = torch.softmax(torch.randn(3, 6, 6), -1)
    torch.testing.assert_close(pooled_attention(maps, shares_of_cells((3, 2), (3, 2))), maps)


def test_cells_under_one_of_ours_are_averaged_as_lookers_and_summed_as_seen() -> None:
    maps = torch.tensor([[[0.1, 0.2, 0.3, 0.4], [0.3, 0.2, 0.5, 0.0], [0.25, 0.25, 0.5, 0.0], [0.0, 0.5, 0.0, 0.5]]])
    expected = torch.tensor([[[0.4, 0.6], [0.5, 0.5]]])
    torch.testing.assert_close(pooled_attention(maps, shares_of_cells((2, 1), (4, 1))), expected)
