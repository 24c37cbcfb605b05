"""Laws of one latent given u under a piecewise affine change, for exponential families, for the verifier.

Written for the verifier alone: nothing here is used where proofs are found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

from flint import fmpq

from ident_theory.exact.equality_cells import exact
from ident_theory.exact.equality_maps import Map, priors_differ
from ident_theory.exact.equality_pairs import Pair, read_pair
from ident_theory.exact.equality_pairs import Tree as Plain
from ident_theory.exact.family_signs import KINKS, is_analytic, is_positive, resolve
from ident_theory.exact.family_trees import End, Piece, Tree, as_fraction, minus
from ident_theory.exact.pair_equivalence import inverse
from ident_theory.exact.pair_trees import Pieces, between, matrix, pieces, reject, row
from ident_theory.exact.verify_families import family_law, is_zero, symbolic, symbolic_at

#: The entries of a proof that describe phi.
CHANGE = ("breaks", "slopes", "intercepts")


@dataclass(frozen=True)
class Stretch:
    """z -> slope z + intercept on an open interval; None is infinity."""

    low: Fraction | None
    high: Fraction | None
    slope: Fraction
    intercept: Fraction

    def image(self) -> tuple[Fraction | None, Fraction | None]:
        """The image interval."""
        ends = [None if z is None else self.slope * z + self.intercept for z in (self.low, self.high)]
        return (ends[0], ends[1]) if self.slope > 0 else (ends[1], ends[0])


def check_law_change(model: Plain, data: Plain) -> None:
    """One latent given u, f_a = f_b o phi on the support: phi carries the first law to the second, for every u.

    Entries breaks, slopes, intercepts of phi, which is one-to-one between the supports up to single points. Where
    p_a(z|u) is a constant times p_b(phi(z)|u) |phi'(z)| on the whole support, the constant is 1: both densities have
    the integral 1.
    """
    _carrying_stretches(read_pair(model, data, CHANGE), data)


def check_statistics(model: Plain, data: Plain) -> None:
    """As for `check_law_change`, and T_a(z) = A T_b(phi(z)) + c on the support. Entries matrix, shift, too."""
    pair = read_pair(model, data, (*CHANGE, "matrix", "shift"))
    stretches = _carrying_stretches(pair, data)
    own, others = (family_law({"prior": side.prior})[0] for side in (pair.first, pair.second))
    a, c = matrix(data["matrix"]), row(data["shift"])
    if not len(own) == len(others) == len(a) == len(a[0]) == len(c) or inverse(a) is None:
        reject("expected an invertible matrix and a shift that fit the statistics of both families")
    for stretch in stretches:
        moved = [substituted(tree, _inner(stretch)) for tree in others]
        for tree, factors, shift in zip(own, a, c, strict=True):
            gap = minus(tree, ("+", _exponent(factors, moved), ("q", exact(shift))))
            for piece in _pieces_between_kinks([gap], stretch):
                if not _vanishes(resolve(gap, piece.sample, piece), piece):
                    reject(f"the statistics are not shown to be related around {piece.sample}")


def _vanishes(tree: Tree, piece: Piece) -> bool:
    """Whether a function without kinks is shown to be zero on a piece where it is analytic."""
    fraction = as_fraction(tree)
    if fraction is not None:
        return bool(fraction[0] == 0)
    return is_analytic(tree, piece) and is_zero(symbolic(tree, piece)[0])


def _inner(stretch: Stretch) -> Tree:
    """phi on a stretch."""
    return ("+", ("*", ("q", exact(stretch.slope)), ("z",)), ("q", exact(stretch.intercept)))


def _carrying_stretches(pair: Pair, data: Plain) -> list[Stretch]:
    """The stretches of phi, which are shown to carry the first law to the second for every u."""
    if pair.first.m != 1 or pair.second.m != 1 or not pair.first.is_conditional:
        reject("this kind is for one latent given u")
    breaks, slopes, intercepts = row(data["breaks"]), row(data["slopes"]), row(data["intercepts"])
    if not len(slopes) == len(intercepts) == len(breaks) + 1 or list(breaks) != sorted(set(breaks)) or not all(slopes):
        reject("breaks, slopes and intercepts of the change do not fit together")
    low, high = _support(pair.first.prior)
    stretches = [Stretch(*_meet(start, end, low, high), a, b)
                 for start, end, a, b in zip([None, *breaks], [*breaks, None], slopes, intercepts, strict=True)
                 if _is_before(low, end) and _is_before(start, high)]
    f, g = pieces(pair.first.decoder), pieces(pair.second.decoder)
    for stretch in stretches:
        _check_values(f, g, stretch)
    tables = pair.first.prior["natural_parameters"], pair.second.prior["natural_parameters"]
    for own, other in zip(*tables, strict=True):
        if not _is_carried(pair, own[0], other[0], stretches):
            reject("the change is not shown to carry one law given u to the other")
    return stretches


def priors_agree(pair: Pair, change: Map) -> bool:
    """Whether h#P_a = P_b is shown, for every u; for families other than the normal ones each latent goes to one."""
    if pair.first.laws is not None and pair.second.laws is not None:
        return not priors_differ(pair, change)
    a, b = change
    low, high = _support(pair.first.prior)
    if any(sum(map(bool, r)) != 1 for r in a):
        reject("for this family the latents must be carried one by one")
    tables = pair.first.prior["natural_parameters"], pair.second.prior["natural_parameters"]
    return all(_is_carried(pair, own[i], other[k], [Stretch(low, high, a[k][i], b[k])])
               for own, other in zip(*tables, strict=True) for k in range(len(a)) for i in range(len(a)) if a[k][i])


def _support(prior: Plain) -> tuple[Fraction | None, Fraction | None]:
    low, high = (None if end in ("-oo", "oo") else Fraction(end) for end in family_law({"prior": prior})[2])
    return low, high


def _is_before(left: Fraction | None, right: Fraction | None) -> bool:
    """Whether a lower end lies below an upper end; None is infinity."""
    return left is None or right is None or left < right


def _meet(start: Fraction | None, end: Fraction | None, low: Fraction | None,
          high: Fraction | None) -> tuple[Fraction | None, Fraction | None]:
    lows, highs = [v for v in (start, low) if v is not None], [v for v in (end, high) if v is not None]
    return max(lows, default=None), min(highs, default=None)


def _check_values(f: Pieces, g: Pieces, stretch: Stretch) -> None:
    """Reject unless f(z) = g(slope z + intercept) inside an interval, but for single points."""
    cuts = {*f.breaks, *((t - stretch.intercept) / stretch.slope for t in g.breaks)}
    inside = sorted(t for t in cuts if _is_inside(t, stretch))
    for low, high in zip([stretch.low, *inside], [*inside, stretch.high], strict=True):
        z = between(low, high)
        y = stretch.slope * z + stretch.intercept
        k, l = sum(t <= z for t in f.breaks), sum(t <= y for t in g.breaks)
        if f.slopes[k] != tuple(a * stretch.slope for a in g.slopes[l]) or f.at(z) != g.at(y):
            reject(f"f_b(phi(z)) differs from f_a(z) around {z}")


def _is_inside(z: Fraction, stretch: Stretch) -> bool:
    return (stretch.low is None or stretch.low < z) and (stretch.high is None or z < stretch.high)


def _is_carried(pair: Pair, natural: Any, other_natural: Any, stretches: Sequence[Stretch]) -> bool:
    """Whether the images tile the second support and the log density changes by one constant on all stretches."""
    first, second = (family_law({"prior": side.prior}) for side in (pair.first, pair.second))
    own, other, target = row(natural), row(other_natural), _support(pair.second.prior)
    images = sorted((stretch.image() for stretch in stretches), key=lambda ends: (ends[0] is not None, ends[0] or 0))
    chain = [images[0][0], *(end for _, end in images)]
    if (chain[0], chain[-1]) != target or any(end is None or end != start for (_, end), (start, _)
                                              in zip(images[:-1], images[1:], strict=True)):
        return False
    constants = []
    for stretch in stretches:
        inner = _inner(stretch)
        exponents = [_exponent(own, first[0]), substituted(_exponent(other, second[0]), inner)]
        bases = [first[1], substituted(second[1], inner)]
        for piece in _pieces_between_kinks([*exponents, *bases], stretch):
            gap, p, q = (resolve(tree, piece.sample, piece) for tree in (minus(*exponents), *bases))
            if not all(is_analytic(tree, piece) for tree in (gap, p, q)) \
                    or not (is_positive(p, piece) and is_positive(q, piece)):
                reject(f"a density is not shown to be positive and analytic around {piece.sample}")
            if not _is_flat(gap, ("/", p, q), piece):
                return False
            constants.append(symbolic_at(gap, piece.sample) + _log(("/", p, q), piece.sample, stretch.slope))
    return all(is_zero(value - constants[0]) for value in constants[1:])


def _exponent(natural: Sequence[Fraction], statistics: Sequence[Tree]) -> Tree:
    terms: list[Tree] = [("*", ("q", exact(v)), t) for v, t in zip(natural, statistics, strict=True)]
    return reduce(lambda left, right: ("+", left, right), terms)


def substituted(tree: Tree, inner: Tree) -> Tree:
    """The tree with another one in place of z."""
    if tree[0] == "z":
        return inner
    return tree if tree[0] in ("q", "c") else (tree[0], *(substituted(item, inner) for item in tree[1:]))


def _pieces_between_kinks(trees: Sequence[Tree], stretch: Stretch) -> list[Piece]:
    """The interval, cut at the rational kinks of the trees; others are found by `resolve`."""
    cuts: set[Fraction] = set()
    for argument in (item for tree in trees for item in _kinks(tree)):
        fraction = as_fraction(argument)
        for factor, _ in fraction[0].numer().factor()[1] if fraction is not None and fraction[0] != 0 else ():
            if factor.degree() == 1:
                z = Fraction(-int(factor[0]), int(factor[1]))
                if _is_inside(z, stretch):
                    cuts.add(z)
    ends = [stretch.low, *sorted(cuts), stretch.high]
    return [Piece(exact(between(low, high)), _end(low), _end(high)) for low, high in zip(ends[:-1], ends[1:],
                                                                                        strict=True)]


def _end(value: Fraction | None) -> End:
    return None if value is None else exact(value)


def _kinks(tree: Tree) -> Iterator[Tree]:
    """What changes its sign at a kink."""
    if tree[0] in ("z", "q", "c"):
        return
    for item in tree[1:]:
        yield from _kinks(item)
    if tree[0] in KINKS:
        yield minus(tree[1], tree[2]) if tree[0] in ("Max", "Min") else tree[1]


def _is_flat(exponent: Tree, ratio: Tree, piece: Piece) -> bool:
    """Whether exponent + log(ratio) is shown to be constant on a piece."""
    fractions = as_fraction(exponent), as_fraction(ratio)
    if all(item is not None and item[0].degree() <= 0 and item[1].degree() <= 0 for item in fractions):
        return True
    from sympy import diff

    expression, symbol = symbolic(exponent, piece)
    quotient, _ = symbolic(ratio, piece)
    return is_zero(diff(expression, symbol) + diff(quotient, symbol) / quotient)


def _log(ratio: Tree, point: fmpq, slope: Fraction) -> Any:
    """log(ratio(point) / |slope|) for sympy."""
    from sympy import Rational, log

    return log(symbolic_at(ratio, point) / Rational(abs(slope).numerator, slope.denominator))
