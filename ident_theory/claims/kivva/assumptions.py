"""Section 2: the model, what identifiability means, and what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import sympy
from flint import fmpz_poly
from hypothesis import strategies as st
from scipy import special

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.hierarchy_pairs import HYPOTHESES, Pair, equal_laws, line_pairs, mixed_pairs
from ident_theory.claims.kivva.hierarchy_relations import affinely_related, decoder_follows
from ident_theory.claims.kivva.hierarchy_statements import both, refute_without, same_decoder, same_latent, theorem
from ident_theory.claims.kivva.injectivity import holds, line_maps, show
from ident_theory.claims.kivva.injectivity_infinite import crowded_ball, signed_at, value
from ident_theory.claims.kivva.injectivity_lines import is_observably_injective, pieces_of
from ident_theory.claims.kivva.injectivity_plane import value as network_value
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.conditions.decoder import decoder_findings
from ident_theory.conditions.l_matrix import l_matrix_finding
from ident_theory.conditions.lattice import Equivalence
from ident_theory.conditions.relation import equivalence
from ident_theory.exact.rationals import fraction, rational
from ident_theory.geometry.cells import CellWalk
from ident_theory.geometry.line import line_pieces
from ident_theory.laws.equality import equal_in_law
from ident_theory.laws.identity import law_key
from ident_theory.laws.line_terms import components_of
from ident_theory.models import (
    ConditionalPrior,
    GaussianMixture,
    GaussianNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
)
from ident_theory.numerics import Evidence, Status
from ident_theory.testing.strategies import gaussian_mixtures, piecewise_maps
from ident_theory.testing.strategies_networks import relu_networks

chapter = Chapter(KIVVA)

DEFINITE = "positive definite covariances"
IDENTITY = PiecewiseAffineMap([], [1], [0])


def _definite() -> Universal[Pair]:
    assumed = ("known noise", DEFINITE, "injective", "continuous")
    return theorem("equal laws under continuous injective decoders: one affine map carries P(Z) and the decoder",
                   assumed, both(same_latent, same_decoder), assumed, cases=lambda dropped: line_pairs(dropped))


@chapter.claim(
    "kivva.p1", place="Sec. 2 (P1)", kind=Kind.DEFINITION,
    statement="P1: the prior is a finite Gaussian mixture with positive weights, singular covariances allowed. With an "
              "injective continuous f, prior and f are determined up to an affine map.",
    hypotheses=("\"possibly degenerate\" means singular covariances, zero included",),
    correction=Correction("Every covariance is positive definite.", ("positive definite covariances",)),
    universal=_definite)
def gaussian_mixture_prior(on: Record) -> None:
    thirds = ["1/3"] * 3
    first = Model(GaussianMixture(thirds, [0, 1, 3], [0, 0, 0]), IDENTITY)
    second = Model(GaussianMixture(thirds, [0, 1, 2], [0, 0, 0]), PiecewiseAffineMap([1], [1, 2], [0, -1]))
    values = [sorted(m.decoder(m.mixture.means).ravel().tolist()) for m in (first, second)]
    pair = Pair(first, second)
    on.printed.refute(
        values[0] == values[1] == [0, 1, 3] and equal_laws(pair) and HYPOTHESES["injective"](pair)
        and HYPOTHESES["continuous"](pair) and affinely_related(*pair.priors) is False,
        "point masses at 0, 1, 3 under z and at 0, 1, 2 under a map with slopes 1 and 2: one law of X, gaps in ratio "
        "1:2 and 1:1", shown=show_models(first=first, second=second))
    axis = GaussianMixture([1], [[0, 0]], [[1, 0]])
    networks = [ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, -1, 0, 0], [0, 0, 1, below]]], [[0] * 4, [0, 0]])
                for below in (-1, -2)]
    at = [[network_value(f, [Fraction(0), Fraction(y)])[1] for y in (-1, 0, 1)] for f in networks]
    plain, bent = (Model(axis, f) for f in networks)
    on.printed.refute(
        at == [[-1, 0, 1], [-2, 0, 1]] and equal_in_law(plain, bent).status is Status.HOLDS
        and all(decoder_findings(f)["F4"].status is Status.HOLDS for f in networks),
        "one component on the first axis of the plane, variances (1, 0): networks that compute (x, y) and (x, y) for "
        "y >= 0, (x, 2y) for y < 0 give one law of X, and only the first is affine",
        shown=show_models(first=plain, second=bent))
    refute_without(on, DEFINITE)
    on.corrected.search(cases=100)


def _one_definite() -> Universal[Pair]:
    name = "a positive definite component"
    statement = theorem("equal laws under continuous injective decoders: one affine map carries prior and decoder",
                        ("known noise", "injective", "continuous"), both(same_latent, same_decoder), (),
                        cases=lambda dropped: st.one_of(mixed_pairs(), line_pairs(frozenset({DEFINITE}))))
    return replace(statement, needed=(name,), hypotheses={
        name: lambda pair: any(v > 0 for v in pair.priors[0].covariances_exact.ravel()), **statement.hypotheses})


@chapter.claim(
    "kivva.p1.onedefinite", place="Sec. 2 (P1)", kind=Kind.ADDED,
    statement="For continuous injective decoders of one latent, one component of positive variance in the first prior "
              "is enough: the others may be point masses.", hypotheses=("known noise",), universal=_one_definite)
def one_definite_component(on: Record) -> None:
    on.printed.search(cases=100)


def _finite() -> Universal[Any]:
    return Universal("for finitely many affine pieces, observably injective maps are weakly injective",
                     cases=lambda _: line_maps(),
                     hypotheses={"observably injective": lambda f: is_observably_injective(pieces_of(f))},
                     conclusion=lambda f: holds(f, "F2"), needed=("observably injective",), show=show)


def _cells() -> Universal[Any]:
    def matches(f: Any) -> bool:
        cells = list(CellWalk(f))
        rng = Random(5)
        points = [[Fraction(rng.randint(-300, 300), 97) for _ in range(f.latent_dim)] for _ in range(8)]
        for z in points:
            images = {tuple(fraction(v) for v in cell.value(list(map(rational, z)))) for cell in cells
                      if cell.contains(list(map(rational, z)))}
            if images != {network_value(f, z)}:
                return False
        return True

    return Universal("a network is affine on finitely many closed cells that cover the latent space",
                     cases=lambda _: relu_networks((1, 3), (1, 2), (0, 3), (1, 3), hidden=6), conclusion=matches,
                     show=show)


@chapter.claim(
    "kivva.f1", place="Sec. 2 (F1)", kind=Kind.DEFINITION,
    statement="F1: the decoder is piecewise affine, as networks of ReLUs are; nothing is said about the number of "
              "pieces, and all that is claimed of piecewise affine maps, Remark 3.1 for one, holds for any number.",
    correction=Correction("Finitely many closed full-dimensional polyhedral pieces, as networks have.",
                          ("finitely many pieces",)), universal=_finite)
def piecewise_affine_decoder(on: Record) -> None:
    places = [Fraction(k) + Fraction(j, 3) for k in range(200) for j in range(3)]
    on.printed.refute(
        all(value(z) == signed_at(int(z)) for z in places) and all(
            crowded_ball(value(z), Fraction(1, 1000)) for z in places[::3])
        and all(crowded_ball(Fraction(k, 9), Fraction(1, 100)) for k in range(-30, 31)),
        "f(z) = z for z < 0 and f = r_k on [k, k + 1) with all rationals r_k: values with several preimages are "
        f"countable, hence null, but there is one within 1/1000 of each of {len(places) // 3} values (and in any ball "
        "of the line, by inverting the enumeration), so f is observably and not weakly injective")
    on.corrected.search(cases=80)
    on.corrected.search(_cells(), cases=60)


Polynomials = list[list[int]]


def _wronskian(exponents: Polynomials) -> fmpz_poly:
    """Determinant of the derivatives of exp(p_1), ..., exp(p_J), without the exponentials."""
    slopes = [fmpz_poly([0, *p]).derivative() for p in exponents]
    rows = [[fmpz_poly([1])] * len(slopes)]
    for _ in exponents[1:]:
        rows.append([term.derivative() + term * slope for term, slope in zip(rows[-1], slopes, strict=True)])
    return _determinant(rows)


def _determinant(rows: list[list[fmpz_poly]]) -> fmpz_poly:
    if not rows:
        return fmpz_poly([1])
    return sum(((-1) ** j * v * _determinant([[*row[:j], *row[j + 1:]] for row in rows[1:]])
                for j, v in enumerate(rows[0])), fmpz_poly())


def _independent() -> Universal[Polynomials]:
    """Exponentials of polynomials without constant term, leading coefficient negative, degree 2 or 4."""
    small = st.integers(-2, 2)
    one = st.one_of(st.tuples(small, st.integers(-2, -1)), st.tuples(small, small, small, st.integers(-2, -1)))
    return Universal(
        "densities exp(p) with different polynomials p of even degree are linearly independent on every interval",
        cases=lambda _: st.lists(one.map(list), min_size=2, max_size=4),
        hypotheses={"distinct": lambda ps: len(set(map(tuple, ps))) == len(ps)},
        conclusion=lambda ps: _wronskian(ps) != 0, needed=("distinct",))


@chapter.claim(
    "kivva.rem2.1", place="Remark 2.1", kind=Kind.REMARK, covers=("Remark 2.1",),
    statement="The Gaussian mixture may be replaced by a mixture from another exponential family with analytic density "
              "that is closed under affine maps.",
    scope="For the families exp(polynomial of even degree) on the line: closure under affine maps, and independence of "
          "the densities on every interval, the step where normality is used. That the remaining steps of all proofs "
          "go through is not computed; the paper gives no proof.", universal=_independent)
def other_exponential_families(on: Record) -> None:
    on.printed.search(cases=60)
    x, a, b = sympy.symbols("x a b")
    coefficients = sympy.symbols("c1:5")
    moved = sympy.Poly(sum(c * (a * x + b)**k for k, c in enumerate(coefficients, 1)), x)
    uniform = [([0, 1], [2, 3]), ([0, 1], [2, 4])]
    stretched = [[z if z <= 2 else 2 + (z - 2) / Fraction(2) for z in part] for part in uniform[1]]
    ratios = [{Fraction(c[1] - c[0], d[1] - d[0]) for c, d in ((p, q), (q, p))} for p, q in uniform]
    on.printed.support(
        moved.degree() == 4 and sympy.simplify(moved.LC() - coefficients[3] * a**4) == 0
        and stretched == list(uniform[0]) and ratios[0] != ratios[1],
        "quartic exponents keep their degree and the sign of the leading coefficient under x -> a x + b; without "
        "analyticity it fails: halves of U[0, 1] and U[2, 3] under z, and of U[0, 1] and U[2, 4] under a continuous "
        "injective map, have one law", cases=1, evidence=Evidence.EXACT)


def _to_uniform(means: Sequence[float], spread: float) -> float:
    """Wasserstein distance of an even mixture of N(mean, spread^2) to the uniform law on [0, 1]."""
    t = np.linspace(-1.5, 2.5, 40001)
    cdf = special.ndtr((t[:, None] - np.asarray(means)) / spread).mean(axis=1)
    return float(np.trapezoid(np.abs(cdf - np.clip(t, 0, 1)), t))


def _by_network(pieces: int) -> float:
    """Wasserstein distance to the uniform law on [0, 1] of f(Z), Z ~ N(0, 1), f a polygon through the quantiles."""
    ends = special.ndtri(np.linspace(0, 1, pieces + 1)[1:-1])
    knots = np.concatenate([[-4.0], ends, [4.0]])
    z = special.ndtri((np.arange(20000) + 0.5) / 20000)
    x = np.interp(z, knots, np.linspace(0, 1, pieces + 1))
    return float(np.abs(x - (np.arange(20000) + 0.5) / 20000).mean())


@chapter.claim(
    "kivva.univ", place="Sec. 2, universal approximation", kind=Kind.CLAIM,
    statement="Mixtures with enough components, and a fixed normal prior with a wide enough network, come arbitrarily "
              "close to a law of the line (here: the uniform one), in the Wasserstein distance.",
    scope="One target on the line; the general theorems are cited by the paper from elsewhere.")
def universal_approximation(on: Record) -> None:
    counts = (1, 2, 4, 8, 16, 32, 64)
    mixtures = [_to_uniform([(j + 0.5) / k for j in range(k)], 1 / k) for k in counts]
    networks = [_by_network(k) for k in counts[1:]]
    # Moving each share of 1/k to its centre costs 1/(4 k), the normal spread at most E|N(0, 1)|/k more.
    bounds = [(0.25 + np.sqrt(2 / np.pi)) / k for k in counts]
    on.printed.support(
        all(d <= bound for d, bound in zip(mixtures, bounds, strict=True))
        and all(b < a for row in (mixtures, networks) for a, b in zip(row[:-1], row[1:], strict=True))
        and networks[-1] < 0.01,
        f"distances for {counts[0]} to {counts[-1]} components {mixtures[0]:.3f} to {mixtures[-1]:.4f}, below 1.05/J, "
        f"and for 2 to 64 pieces of a network {networks[0]:.3f} to {networks[-1]:.4f}; both fall throughout",
        cases=2 * len(counts) - 1)


def _same_relation(pair: Pair) -> bool | None:
    """The toolkit's relation against candidates for h from the first two moments."""
    own = decoder_follows((pair.priors[0], pair.decoders[0]), (pair.priors[1], pair.decoders[1]))
    if own is None:
        return None
    return own == equivalence(pair.first, pair.second, budget=5.0).equivalence.implies(Equivalence.AFFINE)


def _definition() -> Universal[Pair]:
    mixed = frozenset({"injective", "weakly injective", "equal laws"})
    return Universal("P' = h#P and f' = f o h^{-1} for some invertible affine h: the toolkit finds h exactly when "
                     "there is one", cases=lambda _: line_pairs(mixed),
                     hypotheses={DEFINITE: HYPOTHESES[DEFINITE], "known noise": HYPOTHESES["known noise"]},
                     conclusion=_same_relation,
                     show=lambda pair: show_models(first=pair.first, second=pair.second))


@chapter.claim(
    "kivva.def2.1", place="Definition 2.1", kind=Kind.DEFINITION, covers=("Definition 2.1",),
    statement="P, or (P, f), is identifiable up to an affine map if every model of the class with the same law of f(Z) "
              "has P' = h#P, or also f' = f o h^{-1}, for an invertible affine h.", universal=_definition)
def identifiable_up_to_an_affine_map(on: Record) -> None:
    on.printed.search(cases=80)
    on.printed.search(Universal(
        "affinely related models have one law of f(Z)", lambda _: line_pairs(frozenset()),
        equal_laws, {"known noise": HYPOTHESES["known noise"], "related": lambda pair: decoder_follows(
            (pair.priors[0], pair.decoders[0]), (pair.priors[1], pair.decoders[1])) is True},
        needed=("related",)), cases=60)


NOISES = (GaussianNoise(1), GaussianNoise("1/4"))


def _deconvolution() -> Universal[tuple[Model, Model]]:
    """Different laws of f(Z), by formal sums; with noise, a set of different probability, certified by balls."""
    prior = gaussian_mixtures(1, (1, 2), degenerate=False)
    model = st.tuples(prior, piecewise_maps(1, (1, 3), continuous=True))

    @st.composite
    def pairs(draw: st.DrawFn) -> tuple[Model, Model]:
        noise = draw(st.sampled_from(NOISES))
        (p, f), (q, g) = draw(model), draw(model)
        return Model(p, f, noise), Model(draw(st.sampled_from([p, q])), draw(st.sampled_from([f, g])), noise)

    def differ(two: tuple[Model, Model]) -> bool:
        keys = [law_key(line_pieces(m.decoder), components_of(m.mixture)) for m in two]
        return keys[0] != keys[1]

    def seen(two: tuple[Model, Model]) -> bool | None:
        finding = equal_in_law(*two, budget=1.0)
        if finding.status is Status.HOLDS:
            return False
        certified = finding.proof is not None and finding.proof.kind == "law.set"
        return True if certified else None

    return Universal("different laws of f(Z) stay different with noise: some set of x has another probability",
                     cases=lambda _: pairs(), conclusion=seen, hypotheses={"different laws of f(Z)": differ},
                     evidence=Evidence.CERTIFIED,
                     show=lambda two: show_models(first=two[0], second=two[1]))


@chapter.claim(
    "kivva.noise", place="Sec. 2, after Definition 2.1; App. B", kind=Kind.CLAIM,
    statement="If the law of the noise is known, the law of f(Z) + noise determines the law of f(Z), for any family of "
              "priors and decoders.",
    correction=Correction("For mixtures and maps with finitely many pieces: then f(Z) has an entire characteristic "
                          "function, and that of the noise is not zero near 0.",
                          ("P1 and F1 with finitely many pieces",)), universal=_deconvolution)
def noise_can_be_removed(on: Record) -> None:
    t, k = sympy.Symbol("t", real=True), sympy.Symbol("k", integer=True, positive=True)
    # Fourier coefficients of 1 - |t| on [-1, 1], continued with period 2, for 0, even and odd multiples of pi.
    constant = sympy.integrate(1 - t, (t, 0, 1))
    even, odd = (2 * sympy.integrate((1 - t) * sympy.cos(j * sympy.pi * t), (t, 0, 1)) for j in (2 * k, 2 * k - 1))
    total = constant + sympy.summation(sympy.simplify(odd), (k, 1, sympy.oo))
    at = sympy.Rational(3, 2)
    periodic, triangle = 1 - abs(at - 2), sympy.Max(0, 1 - abs(at))
    on.printed.refute(
        constant == sympy.Rational(1, 2) and sympy.simplify(even) == 0 and sympy.simplify(total - 1) == 0
        and sympy.simplify(odd - 4 / (sympy.pi * (2 * k - 1))**2) == 0 and periodic != triangle,
        "f = id, noise with characteristic function max(0, 1 - |t|): the law with that same characteristic function, "
        "and the one on 0 and the odd multiples of pi with masses 1/2 and 2/(pi k)^2, whose characteristic function is "
        f"the triangle continued with period 2, agree on [-1, 1] and differ at t = 3/2 ({triangle} and {periodic})")
    on.corrected.search(cases=25)


@chapter.claim(
    "kivva.eq3", place="Sec. 3, eq. 3", kind=Kind.CLAIM,
    statement="Model (3) has normal noise of variance sigma^2, and P(Z) is to be determined from the law of X, sigma "
              "not being given.",
    correction=Correction("sigma is known (and the noise is N(0, sigma^2 I) in R^n).", ("known noise scale",)),
    universal=lambda: theorem("equal laws of x: one affine map carries P(Z) to P(Z')",
                              ("known noise", DEFINITE, "weakly injective"), same_latent, ("known noise",),
                              cases=lambda dropped: line_pairs(dropped)))
def the_noise_scale_is_known(on: Record) -> None:
    first = Model(GaussianMixture(["1/2", "1/2"], [-1, 2], [1, 4]), IDENTITY, GaussianNoise(covariance=[[1]]))
    second = Model(GaussianMixture(["1/2", "1/2"], [-1, 2], ["3/2", "9/2"]), IDENTITY,
                   GaussianNoise(covariance=[["1/2"]]))
    on.printed.refute(equal_laws(Pair(first, second)) and affinely_related(first.mixture, second.mixture) is False,
                      "variances 1 and 4 with sigma^2 = 1, and 3/2 and 9/2 with sigma^2 = 1/2: x has variances 2 and 5 "
                      "in both; ratios 4 and 3", shown=show_models(first=first, second=second))
    on.corrected.search(cases=100)


@chapter.claim(
    "kivva.sec2.ivaeJ", place="Sec. 2, comparison with iVAE", kind=Kind.CLAIM,
    statement="iVAE's condition on the number of states of the auxiliary variable is J >= m + 1.",
    hypotheses=("read as the whole condition; as a bound from below it is true",),
    correction=Correction("At least m t + 1 states, t the number of sufficient statistics of each latent.",
                          notational=True))
def states_that_ivae_asks_for(on: Record) -> None:
    def full_rank(m: int, states: int, family: str) -> bool:
        rng = Random(m * 10 + states)
        t = 2 if family == "normal" else 1
        rows = [[[Fraction(rng.randint(-9, 9))] * (t == 2) + [Fraction(-rng.randint(1, 40), 7)] if t == 2
                 else [Fraction(rng.randint(-40, 40))] for _ in range(m)] for _ in range(states)]
        return l_matrix_finding(ConditionalPrior(family=family, natural_parameters=rows)).status is Status.HOLDS

    normal = {(m, j): full_rank(m, j, "normal") for m in (1, 2, 3) for j in range(2, 2 * m + 2)}
    mean = {(m, j): full_rank(m, j, "normal_mean") for m in (1, 2, 3) for j in range(2, m + 2)}
    on.printed.refute(not any(normal[m, m + 1] for m in (1, 2, 3)),
                      "with both moments of normal latents (t = 2) and m + 1 states the 2m x m matrix of differences "
                      "has rank below 2m, for m = 1, 2, 3")
    on.corrected.support(all((ok == (j == 2 * m + 1)) for (m, j), ok in normal.items())
                         and all((ok == (j == m + 1)) for (m, j), ok in mean.items()),
                         "random states in rationals: full rank from 2m + 1 states on for t = 2, from m + 1 for t = 1, "
                         "and never with fewer", cases=len(normal) + len(mean), evidence=Evidence.EXACT)
