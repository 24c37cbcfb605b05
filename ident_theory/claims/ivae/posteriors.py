"""Posteriors of the latents in two models with the same laws."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.matrices import (
    Matrix,
    Row,
    degenerate_matrices,
    inverse,
    invertible_matrices,
    matrices,
    product,
    rank,
    transpose,
)
from ident_theory.claims.papers import IVAE
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(IVAE)

EQUAL, INJECTIVE = "equal laws", "injective decoder"


@dataclass(frozen=True)
class Posteriors:
    """z ~ N(mean, variance), x = W z + noise, and a second model with z = A z' + c under the same noise N(0, I).

    Attributes
    ----------
    decoder, change : matrices W (d x n) and A (n x n)
    mean, shift : rows
    variance : matrix
    other_mean, other_variance : law of z' in the second model
    """

    decoder: Matrix
    change: Matrix
    mean: Row
    shift: Row
    variance: Matrix
    other_mean: Row
    other_variance: Matrix

    def moved(self) -> tuple[Row, Matrix]:
        """Mean and variance of A z' + c in the second model."""
        mean = tuple(a + b for a, b in zip(_image(self.change, self.other_mean), self.shift, strict=True))
        return mean, product(product(self.change, self.other_variance), transpose(self.change))


def _image(matrix: Matrix, point: Row) -> Row:
    return tuple(sum((a * b for a, b in zip(row, point, strict=True)), Fraction(0)) for row in matrix)


def _posterior(weights: Matrix, offset: Row, mean: Row, variance: Matrix, x: Row) -> tuple[Row, Matrix]:
    """Mean and covariance of z given x, by the gain matrix."""
    cross = product(variance, transpose(weights))
    total = product(weights, cross)
    inner = inverse(tuple(tuple(v + (i == j) for j, v in enumerate(row)) for i, row in enumerate(total)))
    gain = product(cross, inner)
    gap = tuple(a - b - c for a, b, c in zip(x, offset, _image(weights, mean), strict=True))
    reduced = product(gain, transpose(cross))
    return (tuple(a + b for a, b in zip(mean, _image(gain, gap), strict=True)),
            tuple(tuple(a - b for a, b in zip(r, q, strict=True)) for r, q in zip(variance, reduced, strict=True)))


def posteriors_agree() -> Universal[Posteriors]:
    """Normal latents with T = z: posteriors of z and of A z' + c."""
    def observed(case: Posteriors, mean: Row, variance: Matrix) -> tuple[Row, Matrix]:
        return _image(case.decoder, mean), product(product(case.decoder, variance), transpose(case.decoder))

    def conclusion(case: Posteriors) -> bool:
        d = len(case.decoder)
        weights = product(case.decoder, case.change)
        offset = _image(case.decoder, case.shift)
        for x in (tuple(Fraction(i == j) for j in range(d)) for i in range(d + 1)):
            own = _posterior(case.decoder, (Fraction(0),) * d, case.mean, case.variance, x)
            mean, variance = _posterior(weights, offset, case.other_mean, case.other_variance, x)
            image = tuple(a + b for a, b in zip(_image(case.change, mean), case.shift, strict=True))
            if own != (image, product(product(case.change, variance), transpose(case.change))):
                return False
        return True

    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> Posteriors:
        n, d = draw(st.sampled_from([(1, 1), (1, 2), (2, 2), (2, 3), (2, 1)]))
        decoder, change = draw(degenerate_matrices(d, n)), draw(invertible_matrices(n))
        mean, shift = (draw(matrices(1, n))[0] for _ in range(2))
        variance = tuple(tuple(v if i == j else Fraction(0) for j in range(n)) for i, v in enumerate(
            draw(st.lists(st.sampled_from([Fraction(1), Fraction(2), Fraction(1, 3)]), min_size=n, max_size=n))))
        back = inverse(change)
        other_mean = _image(back, tuple(a - b for a, b in zip(mean, shift, strict=True)))
        other_variance = product(product(back, variance), transpose(back))
        if bool(dropped) and draw(st.booleans()):
            other_mean = draw(matrices(1, n))[0]
        if bool(dropped) and draw(st.booleans()):
            other_variance = tuple(tuple(2 * v for v in row) for row in other_variance)
        return Posteriors(decoder, change, mean, shift, variance, other_mean, other_variance)

    return Universal(
        "with T = z, the posterior of z given x is the law of A z' + c given x", cases, conclusion,
        {EQUAL: lambda case: observed(case, case.mean, case.variance) == observed(case, *case.moved()),
         INJECTIVE: lambda case: rank(case.decoder) == len(case.change)}, (EQUAL, INJECTIVE))


@chapter.claim(
    "ivae.thm1.posterior", place="Sec. 4, after Theorem 1", kind=Kind.CLAIM, universal=posteriors_agree,
    hypotheses=("the hypotheses of the corrected Theorem 1", "noise of positive variance"),
    statement="With noise the posteriors of the latents agree up to the same indeterminacy: T(z) given (x, u) has the "
              "law of A T'(z') + c.",
    scope="normal latents, linear decoders, Gaussian noise")
def posteriors(on: Record) -> None:
    mean, slope, shift, alpha, beta, x = sympy.symbols("mu a b alpha beta x", real=True)
    variance, noise = sympy.symbols("v s", positive=True)

    def posterior(m: sympy.Expr, var: sympy.Expr, a: sympy.Expr, b: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
        precision = 1 / var + a ** 2 / noise
        return (m / var + a * (x - b) / noise) / precision, 1 / precision

    # z = alpha z' + beta, so z' ~ N((mu - beta)/alpha, v/alpha^2), and f'(z') = a alpha z' + a beta + b.
    own_mean, own_variance = posterior(mean, variance, slope, shift)
    other_mean, other_variance = posterior((mean - beta) / alpha, variance / alpha ** 2, slope * alpha,
                                           slope * beta + shift)
    w = sympy.Symbol("w", real=True)
    a = sympy.Matrix([[alpha, 0], [2 * alpha * beta, alpha ** 2]])
    gap = sympy.Matrix([alpha * w + beta, (alpha * w + beta) ** 2]) - a * sympy.Matrix([w, w ** 2]) \
        - sympy.Matrix([beta, beta ** 2])
    on.printed.support(
        sympy.simplify(own_mean - alpha * other_mean - beta) == 0
        and sympy.simplify(own_variance - alpha ** 2 * other_variance) == 0 and not any(map(sympy.expand, gap)),
        "k = 2, one latent: posterior mean and variance of z are those of alpha z' + beta, so given (x, u) the law of "
        "(z, z^2) is that of A (z', z'^2) + c with A = [[alpha, 0], [2 alpha beta, alpha^2]], symbolically", cases=1,
        evidence=Evidence.EXACT)
    on.printed.search(cases=100)
