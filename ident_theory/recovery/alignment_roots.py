"""Isometries between rational quadratic spaces that intertwine self-adjoint maps: where means leave a map open."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flint import fmpq, fmpq_mat, fmpq_poly

from ident_theory.recovery.alignment_frames import columns_of, combination, kernel, side_by_side, unit

#: Intertwining maps from which an isometry is sought where there are infinitely many.
TRIES = 24
#: Largest coordinate, and number, of the vectors that are tried as images of a basis vector.
HEIGHT, MAX_VECTORS = 4, 20_000


@dataclass(frozen=True)
class Space:
    """Coordinates of the vectors on which nothing is known yet: self-adjoint maps and the form Q."""

    form: fmpq_mat
    maps: list[fmpq_mat]

    @property
    def dim(self) -> int:
        """Its dimension d."""
        return int(self.form.nrows())


@dataclass(frozen=True)
class Isometries:
    """Isometries that intertwine two families of self-adjoint maps.

    Attributes
    ----------
    found : list of fmpq_mat
        Rational ones.
    exist : bool
        Whether there are any over the real numbers.
    complete : bool
        Whether `found` are all over the real numbers.
    reason : str
        Why not.
    """

    found: list[fmpq_mat]
    exist: bool
    complete: bool
    reason: str = ""


def intertwiners(first: Sequence[fmpq_mat], second: Sequence[fmpq_mat], size: int) -> list[fmpq_mat]:
    """A basis of the maps X with X first[j] = second[j] X for all j."""
    basis = [fmpq_mat(size, size, [fmpq(i == e) for i in range(size * size)]) for e in range(size * size)]
    for one, two in zip(first, second, strict=True):
        gaps = [x * one - two * x for x in basis]
        if not any(v for gap in gaps for v in gap.entries()):
            continue
        table = side_by_side([gap.entries() for gap in gaps], size * size)
        basis = [combination(column, basis) for column in columns_of(kernel(table))]
        if not basis:
            break
    return basis


def turns(space: Space, commuting: Sequence[fmpq_mat]) -> bool:
    """Whether infinitely many isometries commute with the maps: whether some map that does is skew."""
    back = space.form.inv()
    sums = [x + back * x.transpose() * space.form for x in commuting]
    return bool(kernel(side_by_side([x.entries() for x in sums], space.dim**2)).ncols())


def isometries(first: Space, second: Space, order: Sequence[int], own: int, other: int, infinite: bool,
               limit: int) -> Isometries:
    r"""All isometries X from `first` to `second` with X first.maps[j] = second.maps[order[j]] X.

    X is sought as :math:`A T^{-1/2}` with any invertible intertwining map A and :math:`T = A^* A`, which commutes
    with the maps. It exists over the real numbers when A does, and that is when the numbers of independent
    intertwining maps within and between the spaces agree. The square root is taken in the field extensions that the
    irreducible factors of the minimal polynomial of T define.

    Parameters
    ----------
    own, other : int
        Numbers of independent maps that commute with the maps of the first and of the second space.
    infinite : bool
        Whether infinitely many isometries commute with the maps of the first.
    """
    linear = intertwiners(first.maps, [second.maps[k] for k in order], first.dim)
    if own + other != 2 * len(linear):
        return Isometries([], False, True)
    back = first.form.inv()
    found: list[fmpq_mat] = []
    for a in _likely(first, second, order, linear) if infinite else _generic(linear):
        t = back * a.transpose() * second.form * a
        polynomial = fmpq_poly(t.minpoly())
        if not infinite and polynomial.degree() != own:
            continue  # T does not tell all the fixed lines apart: take another A
        factors = [f for f, _ in polynomial.factor()[1]]
        roots = [_square_root(f) for f in factors]
        if any(root is None for root in roots):
            if infinite:
                continue
            return Isometries([], True, False, "maps are irrational: their coefficients hold square roots")
        parts = [_evaluate(_idempotent(polynomial, f) * root % polynomial, t)
                 for f, root in zip(factors, roots, strict=True)]
        for signs in itertools.islice(itertools.product((1, -1), repeat=len(parts)), limit + 1):
            x = a * combination(signs, parts).inv()
            if x not in found:
                found.append(x)
        if infinite:
            break
        if len(factors) < own:
            return Isometries(found, True, False, "besides those listed there are irrational ones")
        return Isometries(found, True, True)
    return Isometries(found, True, False, "infinitely many maps: the covariances leave rotations open"
                      + ("" if found else ", and no rational one was found"))


def _generic(linear: Sequence[fmpq_mat]) -> Iterator[fmpq_mat]:
    """Invertible combinations without end; all but those on a surface serve."""
    for step in itertools.count(1):
        a = combination([(step * (i + 1) ** 2 + i * step**2) % 1009 + i for i in range(len(linear))], linear)
        if a.det() != 0:
            yield a


def _likely(first: Space, second: Space, order: Sequence[int], linear: Sequence[fmpq_mat]) -> Iterator[fmpq_mat]:
    """Invertible intertwining maps, the likely isometries first."""
    if all(m == second.maps[k] for m, k in zip(first.maps, order, strict=True)):
        yield unit(first.dim)
    if len(linear) == first.dim**2:
        images = _orthogonal_images(first.form, second.form)
        if images is not None:
            yield images
    one = combination([1] * len(linear), linear)
    yield from (a for a in (one, *linear) if a.det() != 0)
    yield from itertools.islice(_generic(linear), TRIES)


def _orthogonal_images(form: fmpq_mat, other: fmpq_mat) -> fmpq_mat | None:
    """An isometry between two forms, found by looking for a short vector of each length needed."""
    size = form.nrows()
    basis = _orthogonal_basis(form)
    images: list[list[fmpq]] = []
    for vector in basis:
        length = _value(form, vector)
        rest = columns_of(kernel(fmpq_mat(images) * other)) if images else columns_of(unit(size))
        image = _vector_of_length(other, rest, length)
        if image is None:
            return None
        images.append(image)
    return side_by_side(images, size) * side_by_side(basis, size).inv()


def _orthogonal_basis(form: fmpq_mat) -> list[list[fmpq]]:
    basis: list[list[fmpq]] = []
    for vector in columns_of(unit(form.nrows())):
        for previous in basis:
            factor = _value(form, previous, vector) / _value(form, previous)
            vector = [v - factor * p for v, p in zip(vector, previous, strict=True)]
        basis.append(vector)
    return basis


def _vector_of_length(form: fmpq_mat, basis: Sequence[Sequence[fmpq]], length: fmpq) -> list[fmpq] | None:
    sizes = sorted(range(-HEIGHT, HEIGHT + 1), key=abs)
    for coefficients in itertools.islice(itertools.product(sizes, repeat=len(basis)), MAX_VECTORS):
        if any(coefficients):
            vector = [sum((c * column[i] for c, column in zip(coefficients, basis, strict=True)), fmpq(0))
                      for i in range(form.nrows())]
            root = _rational_root(length / _value(form, vector))
            if root is not None:
                return [root * v for v in vector]
    return None


def _value(form: fmpq_mat, x: Sequence[fmpq], y: Sequence[fmpq] | None = None) -> fmpq:
    size = form.nrows()
    row = fmpq_mat(1, size, list(x)) * form * fmpq_mat(size, 1, list(x if y is None else y))
    return row[0, 0]


def _rational_root(value: fmpq) -> fmpq | None:
    p, q = value.p, value.q
    root = fmpq(p.isqrt(), q.isqrt())
    return root if root * root == value else None


def _square_root(factor: fmpq_poly) -> fmpq_poly | None:
    r"""A polynomial r with r(x)^2 = x modulo an irreducible f; None when x is no square there.

    It is one exactly when :math:`f(y^2)` falls into two factors g(y) and g(-y), up to sign; and then the root
    solves g(y) = e(x) + y o(x) = 0.
    """
    degree = factor.degree()
    doubled = fmpq_poly([c for pair in ((c, fmpq(0)) for c in factor.coeffs()) for c in pair][:-1])
    g = doubled.factor()[1][0][0]
    if g.degree() != degree:
        return None
    coefficients = fmpq_poly(g).coeffs()
    even, odd = fmpq_poly(coefficients[0::2]), fmpq_poly(coefficients[1::2])
    return -even * _inverse(odd, factor) % factor


def _inverse(polynomial: fmpq_poly, modulus: fmpq_poly) -> fmpq_poly:
    divisor, s, _ = polynomial.xgcd(modulus)
    return s / divisor[0] % modulus


def _idempotent(polynomial: fmpq_poly, factor: fmpq_poly) -> fmpq_poly:
    """One modulo `factor` and zero modulo the other factors."""
    rest = polynomial // fmpq_poly(factor)
    return rest * _inverse(rest % factor, factor) if rest.degree() > 0 else fmpq_poly([1])


def _evaluate(polynomial: fmpq_poly, at: fmpq_mat) -> fmpq_mat:
    value = unit(at.nrows()) * fmpq(0)
    for c in reversed(polynomial.coeffs()):
        value = value * at + unit(at.nrows()) * c
    return value
