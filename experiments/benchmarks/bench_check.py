"""Speed of cells and of the decisions F4, F3 and F2 (``make bench``); one thread.

Cells of networks of two latents, as time a cell, growing to more than 200,000; the named alternative is
`check_problem.layerwise_cells`, timed where it ends in seconds. Decisions with their proofs, and the verifier on
these; the named alternative is z3 on F4 alone, given at most `Z3_SECONDS`.
"""

from __future__ import annotations

import json

import pytest
from check_problem import integer_network, layerwise_cells, network
from common.decoder_oracle import collides

from ident_theory.conditions.decoder import decoder_findings
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


#: Time that z3 is given.
Z3_SECONDS = 60
#: Widths, slope, random weights: Gaussian, or small integers that make degenerate cells common.
DECISIONS = [((2, 5, 3), "1/4", "integer"), ((2, 8, 3), "1/4", "integer"), ((2, 8, 8, 3), 0, "integer"),
             ((2, 24, 3), "1/4", "Gaussian"), ((2, 64, 2), 0, "Gaussian"), ((2, 64, 3), "1/4", "Gaussian"),
             ((2, 32, 32, 2), 0, "Gaussian"), ((2, 32, 32, 5), "1/4", "Gaussian"),
             ((2, 16, 16, 16, 16, 8), "1/4", "Gaussian"), ((3, 8, 8, 4), "1/4", "integer")]
SMALL_DECISIONS = [case for case in DECISIONS if sum(case[0]) <= 29]


def _case(case) -> str:
    return f"{_name(case[:2])}, {case[2]}"


def _decoder(case):
    widths, slope, kind = case
    return network(widths, slope) if kind == "Gaussian" else integer_network(widths, slope)


@pytest.mark.parametrize("case", DECISIONS, ids=_case)
def test_decide(benchmark, case):
    """F4, F3 and F2 without shortcuts, with proofs."""
    decoder = _decoder(case)
    found = benchmark.pedantic(lambda: decoder_findings(decoder, shortcuts=False), rounds=1)
    answers = {name: str(found[name].status) for name in ("F4", "F3", "F2")}
    assert "unknown" not in answers.values()
    size = sum(map(len, {json.dumps(found[name].proof.to_dict()) for name in answers}))
    benchmark.extra_info.update(check=_case(case), group="decide", count=1, cells=found["F4"].details.get("cells"),
                                answers=answers, size=size)


@pytest.mark.parametrize("case", DECISIONS, ids=_case)
def test_verify(benchmark, case):
    """The independent verifier on these proofs."""
    decoder = _decoder(case)
    found = decoder_findings(decoder, shortcuts=False)
    tree = {"decoder": decoder.plain()}
    proofs = [found[name].proof for name in ("F4", "F3", "F2")]
    different = [proof for i, proof in enumerate(proofs) if proof not in proofs[:i]]
    benchmark.pedantic(lambda: [proof.verify(tree) for proof in different], rounds=1)
    benchmark.extra_info.update(check=f"{_case(case)}, verified", group="decide", count=1)


@pytest.mark.parametrize("case", SMALL_DECISIONS, ids=_case)
def test_z3(benchmark, case):
    """F4 by z3."""
    decoder = _decoder(case)
    answer = benchmark.pedantic(lambda: collides(decoder, 1000 * Z3_SECONDS), rounds=1)
    benchmark.extra_info.update(check=f"{_case(case)}, z3", group="decide", count=1,
                                note=f"no answer in {Z3_SECONDS} s" if answer is None else "")
    if answer is not None:
        assert answer == (decoder_findings(decoder, shortcuts=False)["F4"].status == "fails")
