"""Speed of equality in law and of equivalence (``make bench``); one thread.

Pairs of models with random Gaussian weights and four components: an affine copy, whose law must be found equal and
whose map must be found; and the model with one weight changed, which must be told apart. The independent verifier is
timed on the proofs. Whether two networks are one function where their layers do not show it: the named alternative is
z3, asked for a point where they differ, for at most `Z3_SECONDS`.
"""

from __future__ import annotations

import pytest
from check_problem import network
from common.decoder_oracle import differ
from equality_problem import changed, copy, model, twice

from ident_theory import equal_in_law, equivalence
from ident_theory.geometry.line import line_pieces
from ident_theory.geometry.plane import plane_cells
from ident_theory.geometry.same_function import same_function

#: Time that z3 is given.
Z3_SECONDS = 60
#: Widths and slope.
SIZES = [((1, 64, 1), 0), ((1, 16, 16, 2), "1/4"), ((2, 4, 2), "1/4"), ((2, 8, 2), "1/4"), ((2, 16, 16, 2), 0),
         ((2, 24, 3), "1/4"), ((2, 32, 32, 2), 0), ((2, 64, 3), "1/4"), ((3, 8, 8, 4), "1/4")]
LAWS = [size for size in SIZES if size[0][0] < 3]
FUNCTIONS = [((2, 8, 2), 0), ((2, 16, 2), 0), ((2, 16, 16, 2), 0), ((3, 8, 8, 4), 0)]


def _name(size) -> str:
    widths, slope = size
    return f"{'-'.join(map(str, widths))}, {'leaky' if slope else 'ReLU'}"


def _pieces(decoder) -> int | None:
    if decoder.latent_dim > 2:
        return None
    return line_pieces(decoder).n_pieces if decoder.latent_dim == 1 else len(plane_cells(decoder))


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    first = model((2, 3, 2), 0)
    equal_in_law(first, changed(first)).verify(first)


def _measure(benchmark, size, group, call, **info):
    found = benchmark.pedantic(call, rounds=1)
    benchmark.extra_info.update(equality=f"{_name(size)}, {group}", size=_name(size), group=group, **info)
    return found


@pytest.mark.parametrize("size", LAWS, ids=_name)
def test_equal(benchmark, size):
    first = model(*size)
    second, _ = copy(first)
    found = _measure(benchmark, size, "equal", lambda: equal_in_law(first, second), pieces=_pieces(first.decoder))
    assert found.status == "holds"


@pytest.mark.parametrize("size", LAWS, ids=_name)
def test_equal_verified(benchmark, size):
    first = model(*size)
    found = equal_in_law(first, copy(first)[0])
    _measure(benchmark, size, "equal verified", lambda: found.verify(first))


@pytest.mark.parametrize("size", LAWS, ids=_name)
def test_different(benchmark, size):
    first = model(*size)
    found = _measure(benchmark, size, "different", lambda: equal_in_law(first, changed(first)))
    assert found.status == "fails"
    benchmark.extra_info["proof"] = found.proof.kind


@pytest.mark.parametrize("size", SIZES, ids=_name)
def test_equivalent(benchmark, size):
    first = model(*size)
    second, h = copy(first)
    found = _measure(benchmark, size, "equivalent", lambda: equivalence(first, second, budget=None))
    assert found.change == h


@pytest.mark.parametrize("size", SIZES, ids=_name)
def test_equivalent_verified(benchmark, size):
    first = model(*size)
    found = equivalence(first, copy(first)[0], budget=None)
    _measure(benchmark, size, "equivalent verified", found.verify)


@pytest.mark.parametrize("size", FUNCTIONS, ids=_name)
def test_functions(benchmark, size):
    """Cell by cell: f and f with its first activation applied twice."""
    f, g = twice(network(*size))
    assert _measure(benchmark, size, "functions", lambda: same_function(f, g)).same


@pytest.mark.parametrize("size", FUNCTIONS, ids=_name)
def test_functions_by_z3(benchmark, size):
    f, g = twice(network(*size))
    answer = _measure(benchmark, size, "z3", lambda: differ(f, g, 1000 * Z3_SECONDS))
    assert answer is not True
    benchmark.extra_info["note"] = f"no answer in {Z3_SECONDS} s" if answer is None else ""
