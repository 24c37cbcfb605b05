"""IDNU, section 1 and Appendices D to H: responsibilities, hashing, flows, and the penalty on L."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product as cartesian

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.idnu.counts import best_rank, values_needed
from ident_theory.claims.matrices import NUMBERS, Matrix, inverse_or_none, matrices, rank, shown_matrix, solve
from ident_theory.claims.papers import IDNU
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(IDNU)


@chapter.claim(
    "idnu.power", place="section 1", kind=Kind.CLAIM,
    statement="Power iteration finds one particular principal component in spite of its random start.",
    hypotheses=("a covariance matrix", "any start other than 0"),
    correction=Correction("up to sign, if the largest eigenvalue is simple and the start is not orthogonal to its "
                          "eigenvector",
                          hypotheses=("a simple largest eigenvalue",)))
def ties_of_eigenvalues(on: Record) -> None:
    """The identity keeps every start; with a gap the ratio of the coordinates falls geometrically."""
    identity = sp.eye(2)
    starts = [sp.Matrix([1, 0]), sp.Matrix([0, 1])]
    on.printed.refute(all(identity**7 * start == start for start in starts) and starts[0] != starts[1],
                      "covariance 1 (two equal eigenvalues): the starts (1, 0) and (0, 1) stay where they are",
                      shown="[[1, 0], [0, 1]], starts [1, 0] and [0, 1]")
    t, step = sp.symbols("t m", integer=True, positive=True)
    gap = sp.Symbol("g", positive=True)
    ratio = 1 / (1 + gap)  # second over first eigenvalue
    on.corrected.prove(sp.limit(ratio**t, t, sp.oo) == 0
                       and sp.simplify(ratio ** (t + step) / ratio**t - ratio**step) == 0,
                       "in eigencoordinates the other coordinates shrink against the first by (a_j/a_1)^t, which tends "
                       "to 0")


@chapter.claim(
    "idnu.resp", place="Appendix D", kind=Kind.CLAIM,
    statement="The relaxed posterior over codebook entries is the responsibilities of a Gaussian mixture with identity "
              "covariances.",
    hypotheses=("equal weights", "posterior proportional to exp of minus half the squared distance"))
def responsibilities(on: Record) -> None:
    """Bayes' rule, for three components in any dimension."""
    dim = sp.Symbol("d", positive=True)
    squares = sp.symbols("s:3", positive=True)  # |x - e_k|^2
    densities = [(2 * sp.pi) ** (-dim / 2) * sp.exp(-s / 2) for s in squares]
    scores = [sp.exp(-s / 2) for s in squares]
    same = all(sp.simplify(p / sum(densities) - q / sum(scores)) == 0 for p, q in zip(densities, scores, strict=True))
    nearest = squares[0] - squares[1]
    odds = sp.simplify(sp.log(scores[1] / scores[0]) - nearest / 2)
    on.printed.prove(same and odds == 0,
                     "equal weights and the normalisation cancel: softmax of -|x - e|^2/2 (symbolic, three components, "
                     "any d); the log odds are half the difference of squared distances, so the nearest entry "
                     "is likeliest")


@chapter.claim(
    "idnu.E1", place="eq. E.1", kind=Kind.DEFINITION,
    statement="h(x) = A x with independent signs in A is a Johnson-Lindenstrauss embedding into R^N.",
    hypotheses=("distances are kept in the mean",),
    correction=Correction("A x / sqrt(N) is; the signs of h do not feel the factor", notational=True))
def factor_is_missing(on: Record) -> None:
    """Mean of |A x|^2 over all sign matrices."""
    means = {}
    for count, dim in ((1, 2), (2, 2), (3, 2), (2, 3)):
        x = sp.symbols(f"x:{dim}", real=True)
        square = sum(v**2 for v in x)
        rows = [signs[i * dim:(i + 1) * dim] for signs in cartesian((-1, 1), repeat=count * dim) for i in range(count)]
        total = sum(sum(a * v for a, v in zip(row, x, strict=True))**2 for row in rows)
        means[count, dim] = sp.simplify(sp.expand(total) / 2 ** (count * dim) / square)
    on.printed.refute(means[3, 2] == 3, "the mean of |A x|^2 over all A is N |x|^2 (all sign matrices for N = 3, d = "
                                        "2): lengths grow by sqrt(N)", shown="N = 3, d = 2: E |A x|^2 = 3 |x|^2")
    x, y = sp.symbols("x y", real=True)
    pair = sum((a * x + b * y)**2 for a in (-1, 1) for b in (-1, 1)) / 4
    on.corrected.prove(all(value == count for (count, _), value in means.items())
                       and sp.expand(pair - x**2 - y**2) == 0,
                       "cross terms a_i a_j x_i x_j average to 0, so each of N rows gives |x|^2 in the mean; divided "
                       "by N the squared length is kept")


def hash_index(signs: tuple[int, ...]) -> Fraction:
    """The index of eqs. E.2 and E.3 from the signs of h."""
    return sum((Fraction(2**i) * Fraction(s + 1, 2) for i, s in enumerate(signs)), Fraction(0))


@chapter.claim(
    "idnu.E2", place="eq. E.2", kind=Kind.DEFINITION,
    statement="b = (sign h + 1)/2 is a binary vector.", hypotheses=("any x",),
    correction=Correction("the same where no h_i is 0, or with sign(0) = 1", hypotheses=("h_i(x) is not 0 for any i",)))
def sign_of_zero(on: Record) -> None:
    """x = 0, and images whose pixels balance."""
    at_zero = hash_index((0,) * 7)
    x = (1, 1)
    balanced = sum(int(sum(a * v for a, v in zip(row, x, strict=True)) == 0) for row in cartesian((-1, 1), repeat=2))
    on.printed.refute(at_zero == Fraction(127, 2) and balanced == 2,
                      f"x = 0, N = 7: every b_i is 1/2 and the index {at_zero}; x = (1, 1): h_i = 0 for half of all "
                      "rows",
                      shown="x = 0, or x = (1, 1) and the row (1, -1)")
    on.corrected.prove(all(Fraction(s + 1, 2) in (0, 1) for s in (-1, 1)), "both signs")


@chapter.claim(
    "idnu.E3", place="eq. E.3", kind=Kind.DEFINITION,
    statement="u is the one-hot vector of sum 2^i b_i, so K = 2^N clusters, one for each orthant of R^N.",
    hypotheses=("b binary", "the b_i numbered from 0"))
def binary_codes(on: Record) -> None:
    """A bijection, by induction on N; N up to 10 listed."""
    listed = all({hash_index(signs) for signs in cartesian((-1, 1), repeat=length)} == set(range(2**length))
                 for length in range(1, 11))
    n = sp.Symbol("n", integer=True, positive=True)
    step = sp.simplify(2**n - 1 + 2**n - (2 ** (n + 1) - 1)) == 0 and sp.simplify((2**n - 1 + 1) - 2**n) == 0
    on.printed.prove(listed and step, "0, ..., 2^n - 1 without the last bit and 2^n, ..., 2^(n+1) - 1 with it; N = 7 "
                                      "gives 128")


def reached(a: Matrix) -> set[tuple[int, ...]]:
    """Sign patterns without zero that A x takes; exact for full row rank, else by the dependency that excludes one."""
    found = set()
    dependency = _dependency(a)
    for signs in cartesian((-1, 1), repeat=len(a)):
        if dependency is None:
            x = solve(a, signs)
            if x is not None:
                found.add(signs)
        elif any(c * s < 0 for c, s in zip(dependency, signs, strict=True)):
            found.add(signs)  # not excluded by this dependency; others may exclude it
    return found


def _dependency(a: Matrix) -> tuple[Fraction, ...] | None:
    """Some c other than 0 with c A = 0."""
    for q in range(len(a)):
        others = [row for i, row in enumerate(a) if i != q]
        if not others:
            return (Fraction(1),) if not any(a[0]) else None
        found = solve(list(zip(*others, strict=True)), [-v for v in a[q]])
        if found is not None:
            return (*found[:q], Fraction(1), *found[q:])
    return None


@dataclass(frozen=True)
class SignMatrix:
    """A projection."""

    a: Matrix


def all_orthants() -> Universal[SignMatrix]:
    """Which clusters occur."""
    return Universal(
        "with independent rows every one of the 2^N orthants is reached by some x",
        cases=lambda dropped: st.tuples(st.integers(1, 3), st.integers(1, 4)).flatmap(
            lambda shape: matrices(shape[0], shape[1], st.sampled_from([Fraction(1), Fraction(-1)]))).map(SignMatrix),
        conclusion=lambda case: len(reached(case.a)) == 2 ** len(case.a),
        hypotheses={"independent rows": lambda case: rank(case.a) == len(case.a)}, needed=("independent rows",),
        show=lambda case: f"A = {shown_matrix(case.a)}")


@chapter.claim(
    "idnu.E.orthants", place="Appendix E (added)", kind=Kind.ADDED,
    statement="Every one of the 2^N clusters of the hash is reached by some x exactly if the rows of A are "
              "independent; so at least N input dimensions are needed.",
    hypotheses=("A is N x d_x with entries 1 and -1",), universal=all_orthants)
def orthants(on: Record) -> None:
    """All sign matrices up to 3 x 3: solve A x = s, or show the pattern that a dependency excludes."""
    checked, cases = True, 0
    for count, dim in cartesian((1, 2, 3), repeat=2):
        for entries in cartesian((Fraction(1), Fraction(-1)), repeat=count * dim):
            a = tuple(entries[i * dim:(i + 1) * dim] for i in range(count))
            checked &= (len(reached(a)) == 2**count) == (rank(a) == count)
            cases += 1
    on.printed.support(checked, "all sign matrices up to 3 x 3: with independent rows A x = s is solved for every s; "
                                "otherwise c A = 0 forbids the signs of c", cases=cases, evidence=Evidence.EXACT)
    on.printed.search(cases=100)


@chapter.claim(
    "idnu.F4", place="eq. F.4", kind=Kind.IDENTITY,
    statement="log p(x) = (log p(z)) |det of the Jacobian of f^-1|, the logarithm covering p(z) only.",
    hypotheses=("f a diffeomorphism",),
    correction=Correction("log p(x) = log(p(z) |det|)", notational=True))
def logarithm_of_both(on: Record) -> None:
    """x = 2 z with z standard normal."""
    x, scale = sp.Symbol("x", real=True), sp.Symbol("a", positive=True)
    prior = sp.exp(-(x / scale)**2 / 2) / sp.sqrt(2 * sp.pi)
    printed = sp.exp(sp.expand_log(sp.log(prior.subs(scale, 2)), force=True) * sp.Rational(1, 2))
    total = sp.simplify(sp.integrate(printed, (x, -sp.oo, sp.oo)))
    on.printed.refute(sp.simplify(total - 1) != 0, "x = 2 z, z standard normal: exp of the printed right side "
                                                   f"integrates to {float(total):.4f}, not "
                                                   "1", shown="f(z) = 2 z, p(z) = N(0, 1)")
    flow = sp.asinh(x)  # inverse of x = sinh z
    density = (prior.subs(scale, 1).subs(x, flow) * flow.diff(x))
    z = sp.Symbol("z", real=True)
    back = sp.simplify(density.subs(x, sp.sinh(z)) * sp.cosh(z) - prior.subs(scale, 1).subs(x, z))
    on.corrected.support(sp.simplify(sp.integrate(prior / scale, (x, -sp.oo, sp.oo)) - 1) == 0
                         and all(abs(complex(back.subs(z, v)).real) < 1e-14 for v in (-2, 0.3, 1)),
                         "x = a z for every a > 0 integrates to 1; x = sinh z carried back is the normal "
                         "density", cases=2,
                         evidence=Evidence.EXACT)


@dataclass(frozen=True)
class Penalised:
    """A square matrix."""

    matrix: Matrix


def _bound_on_condition(case: Penalised) -> bool | None:
    """CN >= |L| / (sqrt(n) |det L|^(1/n)), with Frobenius' norm; None where neither is a number."""
    if inverse_or_none(case.matrix) is None:
        return None
    values = np.array([[float(v) for v in row] for row in case.matrix])
    n, singular = len(values), np.linalg.svd(values, compute_uv=False)
    bound = np.linalg.norm(values) / (np.sqrt(n) * abs(np.linalg.det(values)) ** (1 / n))
    return bool(singular[0] / singular[-1] >= bound * (1 - 1e-9))


@chapter.claim(
    "idnu.CN", place="Appendix H", kind=Kind.CLAIM,
    statement="A penalty on the condition number of L captures its invertibility: it grows without bound as L becomes "
              "singular.",
    hypotheses=("L square",),
    scope="the bound below on the condition number is argued in words and searched for sizes up to 3; its limit is "
          "symbolic for two singular values",
    correction=Correction("so it does unless L tends to 0, where the condition number may stay 1; the least singular "
                          "value, or log |det L|, has no such "
                          "exception", hypotheses=("the norm of L stays away from 0",)),
    universal=lambda: Universal(
        "the condition number is at least |L| / (sqrt(n) |det L|^(1/n))",
        cases=lambda dropped: st.integers(1, 3).flatmap(lambda n: matrices(n, n, NUMBERS)).map(Penalised),
        conclusion=_bound_on_condition,
        hypotheses={"invertible": lambda case: inverse_or_none(case.matrix) is not None},
        show=lambda case: shown_matrix(case.matrix), evidence=Evidence.NUMERICAL))
def no_barrier_at_zero(on: Record) -> None:
    """All components drift together: L = t times the identity."""
    t, first, second = sp.symbols("t s1 s2", positive=True)
    shrinking = sp.diag(t, t)
    values = [sp.simplify(v) for v in shrinking.singular_values()]
    on.printed.refute(sp.simplify(values[0] / values[1]) == 1 and sp.limit(shrinking.det(), t, 0) == 0,
                      "L = t 1 tends to the zero matrix (all components alike) with condition number 1 throughout",
                      shown="L = [[t, 0], [0, t]], t -> 0")
    number = first / second
    identity = sp.simplify(number + 1 / number - (first**2 + second**2) / (first * second))
    on.corrected.prove(identity == 0 and sp.limit(number, second, 0, "+") == sp.oo,
                       "with singular values s_1 >= ... >= s_n: s_1 >= |L|/sqrt(n) and s_n <= |det L|^(1/n), so CN is "
                       "at least |L|/(sqrt(n) |det L|^(1/n)), which has no bound as det L -> 0 with |L| away from 0")
    on.corrected.search(cases=100)


@chapter.claim(
    "idnu.appH.noise", place="Appendix H", kind=Kind.CLAIM,
    statement="A small amount of noise on the natural parameters makes a singular L invertible.",
    hypotheses=("enough values of u", "noise with a density"))
def noise_repairs(on: Record) -> None:
    """det(L + N) is a polynomial in N that is not zero, whatever L."""
    checked = []
    for n in (1, 2, 3):
        matrix = sp.Matrix(n, n, sp.symbols(f"l:{n * n}"))
        noise = sp.Matrix(n, n, sp.symbols(f"n:{n * n}"))
        polynomial = sp.Poly((matrix + noise).det(method="berkowitz"), *noise)
        checked.append(polynomial.coeff_monomial(sp.prod(noise[i, i] for i in range(n))) == 1)
    size, t = sp.Symbol("m", integer=True, positive=True), sp.Symbol("t", positive=True)
    lam = sp.MatrixSymbol("L", size, size)
    at = (lam + (t * sp.Identity(size) - lam)).doit()
    on.printed.prove(all(checked) and sp.det(at).doit() == t**size,
                     "det(L + N) is a polynomial in N, and not zero: at N = t 1 - L it is t^n (for every n; with the "
                     "monomial N_11 ... N_nn, symbolic for n = 1, 2, 3), so its zeros are a null set")


@chapter.claim(
    "idnu.appH.notnec", place="Appendix H", kind=Kind.CLAIM,
    statement="That L is invertible is not necessary for identifiability.",
    hypotheses=("identifiability up to affine maps of z",),
    scope="whether it is sufficient is the question of Theorems 1 and 2")
def not_necessary(on: Record) -> None:
    """One normal latent, one value of u, continuous injective decoders on the line: no L, and still affine."""
    z, s, v = sp.symbols("z s v", positive=True)
    m = sp.Symbol("m", real=True)

    def cdf(x: sp.Expr, mean: sp.Expr, deviation: sp.Expr) -> sp.Expr:
        return (1 + sp.erf((x - mean) / (deviation * sp.sqrt(2)))) / 2

    rising, falling = m + s * z, m - s * z
    carries = (sp.simplify(cdf(rising, m, s) - cdf(z, 0, 1)) == 0
               and sp.simplify(1 - cdf(falling, m, s) - cdf(z, 0, 1)) == 0)
    strictly = sp.simplify(sp.diff(cdf(v, m, s), v)).is_positive
    on.printed.prove(carries and bool(strictly) and best_rank(1, 1) < 2 and values_needed(1) == 3,
                     "n = d = 1: f'^-1 f is continuous and injective, so monotone, and carries N(0, 1) to N(m, s^2); "
                     "as the distribution functions increase strictly it can only be m + s z or m - s z, although one "
                     "value of u gives no L (three are needed)")
