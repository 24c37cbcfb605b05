"""The normal form of piecewise affine maps of the line under affine changes of their argument."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory import PiecewiseAffineMap, ReLUNetwork
from ident_theory.exact.rationals import rational
from ident_theory.geometry.affine import affine_form
from ident_theory.geometry.line import LinePieces, line_pieces

small = st.builds(Fraction, st.integers(-3, 3), st.integers(1, 3))
nonzero = small.filter(bool)


@st.composite
def jumping_maps(draw, n: int):
    """Explicit maps with jumps, flat pieces and few distinct numbers, so that symmetric ones occur."""
    breaks = sorted(draw(st.sets(small, max_size=4)))
    row = st.lists(st.integers(-1, 1), min_size=n, max_size=n)
    rows = st.lists(row, min_size=len(breaks) + 1, max_size=len(breaks) + 1)
    return PiecewiseAffineMap(breaks, draw(rows), draw(rows))


@st.composite
def networks(draw, n: int):
    """Networks with one hidden layer, hence continuous maps."""
    width = draw(st.integers(1, 4))
    column = st.lists(small, min_size=width, max_size=width)
    rows = st.lists(column, min_size=n, max_size=n)
    return ReLUNetwork([[[v] for v in draw(column)], draw(rows)], [draw(column), [draw(small) for _ in range(n)]],
                       draw(st.sampled_from([0, 0, -1, Fraction(1, 2)])))


decoders = st.integers(1, 3).flatmap(lambda n: st.one_of(jumping_maps(n), networks(n)))


def changed(f, s: Fraction, t: Fraction):
    """f o h^-1 for h(z) = s z + t, written down from the parameters of f."""
    if isinstance(f, ReLUNetwork):
        first = f.weights_exact[0] / s
        return ReLUNetwork([first, *f.weights_exact[1:]],
                           [f.biases_exact[0] - first[:, 0] * t, *f.biases_exact[1:]], f.negative_slope_exact)
    order = slice(None, None, 1 if s > 0 else -1)
    return PiecewiseAffineMap((f.breakpoints_exact * s + t)[order], (f.slopes_exact / s)[order],
                              (f.intercepts_exact - f.slopes_exact * t / s)[order])


def value(pieces: LinePieces, z):
    k = next(k for k in range(pieces.n_pieces) if pieces.contains(k, z))
    return pieces.value(k, z)


def probes(pieces: LinePieces):
    """Three points inside every piece: enough to tell piecewise affine maps with these breakpoints apart."""
    edges = [rational(Fraction(-20)), *pieces.breakpoints, rational(Fraction(20))]
    return [a + (b - a) * k / 4 for a, b in zip(edges, edges[1:], strict=False) for k in (1, 2, 3)]


@settings(max_examples=150, deadline=None)
@given(decoders, nonzero, small)
def test_one_form_for_all_affine_changes(f, s: Fraction, t: Fraction) -> None:
    pieces, others = line_pieces(f), line_pieces(changed(f, s, t))
    a, b = affine_form(pieces), affine_form(others)
    assert a.form == b.form
    assert (a.mirror, a.constant, a.stretchable) == (b.mirror, b.constant, b.stretchable)
    assert affine_form(a.form).form == a.form


@settings(max_examples=150, deadline=None)
@given(decoders)
def test_form_is_the_map_after_a_change_of_argument(f) -> None:
    pieces = line_pieces(f)
    found = affine_form(pieces)
    assert found.scale != 0
    for z in probes(pieces):
        assert value(found.form, found.scale * z + found.shift) == value(pieces, z)
    if isinstance(f, ReLUNetwork):
        for z in pieces.breakpoints:
            assert value(found.form, found.scale * z + found.shift) == value(pieces, z)


@settings(max_examples=150, deadline=None)
@given(decoders)
def test_mirror_is_there_exactly_for_symmetric_maps(f) -> None:
    pieces = line_pieces(f)
    found = affine_form(pieces)
    middle = sum(found.form.breakpoints, rational(Fraction(0)))
    if found.form.breakpoints:  # a reflection permutes the breakpoints, so it keeps their mean
        middle = middle / len(found.form.breakpoints)
    points = [*probes(found.form), *(2 * middle - z for z in probes(found.form))]
    symmetric = all(value(found.form, z) == value(found.form, 2 * middle - z) for z in points
                    if not {z, 2 * middle - z} & set(found.form.breakpoints))
    assert symmetric == (found.mirror is not None)
    assert found.mirror in (None, 2 * middle)


@pytest.mark.parametrize(("breaks", "slopes", "intercepts", "expected"), [
    ([], [2], [3], ([], [1], [0])),
    ([], [0], [3], ([], [0], [3])),
    ([5], [-1, 2], [5, -10], ([0], ["-2/3", "1/3"], [0, 0])),  # the mirror image of slopes -1/3, 2/3 is smaller
    ([5], [3, 3], [0, 1], ([0], [-1, -1], [16, 15])),
    ([5], [0, 0], [2, 1], ([0], [0, 0], [1, 2])),
    ([1, 3], [0, 1, 0], [0, -1, 2], ([0, 1], [0, -2, 0], [2, 2, 0])),
])
def test_forms_by_hand(breaks, slopes, intercepts, expected) -> None:
    found = affine_form(line_pieces(PiecewiseAffineMap(breaks, slopes, intercepts)))
    assert found.form == line_pieces(PiecewiseAffineMap(*expected))


def test_maps_that_no_affine_change_relates() -> None:
    def form(*args):
        return affine_form(line_pieces(PiecewiseAffineMap(*args))).form

    assert form([0], [-1, 2], [0, 0]) == form([7], [-4, 2], [28, -14])  # mirrored and compressed
    assert form([0], [-1, 2], [0, 0]) != form([0], [-1, 3], [0, 0])
    assert form([0], [-1, 2], [0, 0]) != form([0], [1, -2], [0, 0])  # turned upside down
    assert form([0], [-1, 2], [0, 0]) != form([0], [-1, 2], [1, 1])  # raised
    assert form([0, 1, 3], [1, 0, 1, 0], [0, 0, -1, 2]) != form([0, 1, 2], [1, 0, 1, 0], [0, 0, -1, 1])
    assert form([], [[1, 2]], [[0, 0]]) != form([], [[1, 3]], [[0, 0]])
    assert form([], [[0, 2]], [[1, 0]]) == form([], [[0, -5]], [[1, 1]])


def test_stretchable_maps() -> None:
    def stretchable(*args):
        return affine_form(line_pieces(PiecewiseAffineMap(*args))).stretchable

    assert stretchable([], [0], [2])
    assert stretchable([4], [0, 0], [2, 1])
    assert not stretchable([4], [0, 1], [2, 1])
    assert not stretchable([4, 5], [0, 0, 0], [2, 1, 0])
    assert not stretchable([], [1], [0])
