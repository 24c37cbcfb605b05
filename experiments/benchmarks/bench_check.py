"""Speed of the cells of networks of two latents, as time a cell, growing to more than 200,000 (``make bench``).

One thread. The named alternative, `check_problem.layerwise_cells`, is timed where it ends in seconds.
"""

from __future__ import annotations

import pytest
from check_problem import layerwise_cells, network

from ident_theory.geometry.plane import iter_plane_cells, plane_cells

SIZES = [((2, 16, 16, 2), 0), ((2, 16, 16, 2), "1/4"), ((2, 64, 64, 2), 0), ((2, 64, 64, 2), "1/4"),
         ((2, 32, 32, 32, 2), 0), ((2, 32, 32, 32, 2), "1/4"), ((2, 200, 2), 0), ((2, 650, 2), 0),
         ((2, 150, 150, 2), "1/4")]
SMALL = [size for size in SIZES if sum(size[0]) <= 100]


def _name(size) -> str:
    widths, slope = size
    return f"{'-'.join(map(str, widths))}, {'leaky' if slope else 'ReLU'}"


def _count(decoder) -> int:
    return sum(1 for _ in iter_plane_cells(decoder))


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    _count(network((2, 3, 2), 0))


@pytest.mark.parametrize("size", SIZES, ids=_name)
def test_walk(benchmark, size):
    decoder = network(*size)
    count = benchmark.pedantic(lambda: _count(decoder), rounds=3 if sum(size[0]) < 210 else 1)
    benchmark.extra_info.update(check=_name(size), group="cells", count=count, unit="cell", way="ours")


@pytest.mark.parametrize("size", SMALL, ids=_name)
def test_layer_by_layer(benchmark, size):
    """All cells in rationals, without a filter."""
    decoder = network(*size)
    cells = benchmark.pedantic(lambda: layerwise_cells(decoder), rounds=1)
    benchmark.extra_info.update(check=f"{_name(size)}, layer by layer", group="cells", count=len(cells), unit="cell",
                                way="layer by layer")
    ours = plane_cells(decoder)
    assert len(cells) == len(ours)  # the alternative computes the same thing
    for (_, forms), cell in zip(cells, ours, strict=True):
        assert [(*row, c) for row, c in zip(cell.matrix, cell.offset, strict=True)] == forms
