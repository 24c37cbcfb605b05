"""Appendix J.3.1: the simulated models, their likelihood, and the symmetries of their parameters."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import comb
from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.experiments_family import (
    COARSE,
    MEANS,
    QUARTERS,
    SMALL,
    affine_class,
    covered_once,
    family,
    function_of,
    functions,
    law_of,
    parameters,
    priors,
)
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.conditions.lattice import Equivalence
from ident_theory.conditions.relation import equivalence
from ident_theory.landscape.enumeration import distinct_networks, distinct_priors
from ident_theory.laws import law
from ident_theory.laws.equality import equal_in_law
from ident_theory.models import GaussianMixture, GaussianNoise, Model, ReLUNetwork
from ident_theory.numerics import Evidence, Status

chapter = Chapter(KIVVA)


def model(alpha: Any, beta: Any, pi: Any, weights: Any, means: Any, variance: Any = 1, noise: Any = "1/4") -> Model:
    """A model of J.3.1; noise None is no noise."""
    decoder = ReLUNetwork([[[b] for b in beta], [list(alpha)]], [list(pi), [0]])
    return Model(GaussianMixture(weights, means, [variance] * len(means)), decoder,
                 None if noise is None else GaussianNoise(noise))


def simplex_points(count: int) -> int:
    """How many weight vectors with multiples of a quarter there are."""
    return comb(QUARTERS + count - 1, count - 1)


@chapter.claim(
    "kivva.j31.param", place="App. J.3.1, steps 1 to 4", kind=Kind.CLAIM,
    statement="J, weights on a grid of the simplex, means, and alpha, beta and pi on grids of cubes make a finite set "
              "of models f(z) = sum of a_i ReLU(b_i z + p_i) with a mixture prior.",
    hypotheses=("grids are chosen: entries in {-1, 0, 1}, means in {-2, ..., 2}, weights in quarters",
                "the components have variance one"),
    scope="the paper gives neither grids nor variances nor the noise nor the quadrature, and shares depend on them")
def recipe_of_the_models(on: Record) -> None:
    found = functions(SMALL)
    for count, raw_expected, pairs_expected in ((2, 91_125, 3_955), (3, 1_366_875, 7_345)):
        drawn = priors(count)
        raw = sum(found.values()) * sum(drawn.values())
        formula = simplex_points(count) * len(MEANS)**count * (len(SMALL)**2)**3
        on.printed.prove(raw == formula == raw_expected and len(found) * len(drawn) == pairs_expected,
                         f"J = {count}: {raw:,} parameters, {len(found)} functions and {len(drawn)} priors, "
                         f"{len(found) * len(drawn):,} pairs: all enumerated")


@chapter.claim(
    "kivva.j31.size", place="App. J.3.1", kind=Kind.ADDED,
    statement="With entries in {-2, ..., 2} and J = 3 there are 29,296,875 parameters and 176,215 distinct pairs of "
              "function and prior.",
    hypotheses=("weights in quarters, means in {-2, ..., 2}, variances one",))
def size_of_the_coarse_family(on: Record) -> None:
    own, drawn = functions(COARSE), priors(3)
    networks, mixtures = distinct_networks(family(COARSE)), distinct_priors(family(COARSE))
    raw = sum(own.values()) * sum(drawn.values())
    on.printed.prove(raw == simplex_points(3) * 5**3 * 25**3 == 29_296_875 and len(own) * len(drawn) == 176_215,
                     f"{len(own)} functions, {len(drawn)} priors, by an enumeration of its own")
    on.printed.support(sorted(own.values()) == sorted(networks.counts.tolist())
                       and sorted(drawn.values()) == sorted(mixtures.counts.tolist()),
                       "the toolkit's enumeration finds as many, each as often", cases=len(own) + len(drawn),
                       evidence=Evidence.EXACT)


@chapter.claim(
    "kivva.j31.misspec", place="App. J.3.1, list of misspecified cases", kind=Kind.CLAIM,
    statement="The recipe yields truths with fewer components than J, with fewer than two active units, and with "
              "decoders that satisfy none of F2 to F4.",
    hypotheses=("entries in {-1, 0, 1}", "weights in quarters"))
def misspecified_truths(on: Record) -> None:
    found, drawn = functions(SMALL), priors(3)
    fewer = sum(n for prior, n in drawn.items() if len(prior) < 3)
    lone = [f for f in found if len(f.bends) < 2]
    failing = sum(n for f, n in found.items() if not covered_once(f))
    dead = sum(1 for alpha, beta, _ in parameters(SMALL) if 0 in alpha or 0 in beta)
    flat = all(len(function_of(a, b, p).bends) < 2 for a, b, p in parameters(SMALL) if 0 in a or 0 in b)
    on.printed.prove(fewer > 0 and failing > 0 and dead > 0 and flat and len(lone) < len(found),
                     f"{fewer} of {sum(drawn.values())} priors have less than three components, {dead} of "
                     f"{sum(found.values())} decoders a zero in alpha or beta and then at most one bend, {failing} "
                     "fail F2")


@chapter.claim(
    "kivva.j31.nll", place="App. J.3.1", kind=Kind.CLAIM,
    statement="The exact negative log-likelihood of (f, P(Z)) is found by numerical integration.",
    hypotheses=("noise is optional in the paper's model",),
    correction=Correction("It is for noise with a density of known scale, the same for all candidates; without noise "
                          "laws have atoms at places that depend on the parameters, and no density.",
                          hypotheses=("noise with a density, of known scale",)))
def likelihood_needs_noise(on: Record) -> None:
    steps = [law_of(function_of((a, -a), (1, 1), (1, 0)), ((0, Fraction(1)),)) for a in (1, 2)]
    places = [{c for (c, _), _ in found[1]} for found in steps]
    half = dict(steps[0][1]).get((1, None)) == Fraction(1, 2)
    on.printed.refute(places == [{0, 1}, {0, 2}] and half, "f = ReLU(z + 1) - ReLU(z) and twice that: atoms at 0 and "
                      "1, and at 0 and 2; the second law gives probability 0 to what the first takes with probability "
                      "1/2",
                      shown=show_models(first=model((1, -1), (1, 1), (1, 0), [1], [0], noise=None),
                                        second=model((2, -2), (1, 1), (1, 0), [1], [0], noise=None)))
    gaps = []
    for arguments in (((1, -1), (1, 1), (1, 0), ["1/4", "3/4"], [-2, 1]),
                      ((1, 1), (1, -1), (0, 0), ["1/3", "1/3", "1/3"], [-2, -1, 3]),
                      ((2, -1), (1, 2), (-1, 1), ["1/2", "1/2"], [0, 2])):
        example = model(*arguments)
        exact = law(example)
        for x in (-1.5, 0.0, 0.3, 2.0):
            def integrand(z: float, point: float = x, f: Any = example) -> float:
                prior = float(np.dot(f.prior.weights, norm.pdf(z, f.prior.means[:, 0])))
                return prior * float(norm.pdf(point, f.decoder([[z]])[0, 0], 0.25))
            direct = sum(quad(integrand, a, b, epsabs=1e-13, epsrel=1e-12, limit=200)[0]
                         for a, b in zip(range(-10, 10), range(-9, 11), strict=True))
            gaps.append(abs(direct - float(np.exp(exact.log_density([x])[0]))))
    on.corrected.support(max(gaps) < 1e-10, f"closed form against integration over z: {max(gaps):.1e} at most",
                         cases=len(gaps))


@chapter.claim(
    "kivva.j31.density", place="App. J.3.1", kind=Kind.ADDED,
    statement="On a piece f = a z + c over (l, u), a component N(mu, t^2) with noise N(0, s^2) contributes "
              "N(x; a mu + c, a^2 t^2 + s^2) times the probability of (l, u) under N(m, v^2), with "
              "m = mu + a t^2 (x - c - a mu) / (a^2 t^2 + s^2) and v = t s / sqrt(a^2 t^2 + s^2).",
    hypotheses=("s > 0 and t > 0",))
def density_in_closed_form(on: Record) -> None:
    z, x, a, c, mu = sp.symbols("z x a c mu", real=True)
    s, t = sp.symbols("s t", positive=True)
    total = a**2 * t**2 + s**2
    m, v = mu + a * t**2 * (x - c - a * mu) / total, t * s / sp.sqrt(total)
    squares = (z - mu) ** 2 / t**2 + (x - a * z - c) ** 2 / s**2 - (z - m) ** 2 / v**2 - (x - a * mu - c) ** 2 / total
    on.printed.prove(sp.simplify(squares) == 0 and sp.simplify(t * s - v * sp.sqrt(total)) == 0,
                     "exponents and factors of p(z) N(x; a z + c, s^2) and of the product, generic numbers")


@chapter.claim(
    "kivva.j31.flat", place="App. J.3.1", kind=Kind.CLAIM,
    statement="Several minimisers also arise when parameters vanish, and these are easily seen to be affinely "
              "equivalent to the truth.",
    hypotheses=("alpha = 0 is on the grid",))
def constants_are_flat(on: Record) -> None:
    first = model((0, 0), (1, 1), (0, 0), ["1/2", "1/2"], [-1, 1])
    second = model((0, 0), (1, 1), (0, 0), ["1/4", "3/4"], [-1, 1])
    same, related = equal_in_law(first, second), equivalence(first, second)
    same.verify(first)
    related.verify()
    shares = []
    for entries in (SMALL, COARSE):
        found = functions(entries)
        shares.append(Fraction(sum(n for f, n in found.items() if f.constant), sum(found.values())))
    on.printed.refute(same.status is Status.HOLDS and related.equivalence is Equivalence.NONE
                      and shares == [Fraction(237, 729), Fraction(2129, 15625)],
                      "alpha = 0: every prior has the same law of x, and no affine map relates these two; of all "
                      f"decoders with entries in -1, 0, 1 a share of {float(shares[0]):.1%} is constant, of those in "
                      f"-2, ..., 2 {float(shares[1]):.1%}", shown=show_models(first=first, second=second))


@chapter.claim(
    "kivva.j31.nonconvex", place="App. J.3.1 and Figure 1", kind=Kind.CLAIM,
    statement="The likelihood is not convex in a parameter; there are local minima that are not global.",
    hypotheses=("noise of known scale",))
def local_minima(on: Record) -> None:
    def at(mean: Any) -> Model:
        return model((1, 1), (1, "-2/3"), (0, 0), ["1/3"] * 3, [-2, mean, 3], noise="1/16")

    truth = law(at(-1))
    excess = [truth.kl(law(at(mean))) for mean in (-1, 0, "1/2", 1)]
    values, errors = [item.value for item in excess], sum(item.error for item in excess)
    on.printed.support(values[0] < 1e-12 and values[1] - values[2] > 1e3 * errors and values[2] > 1e3 * errors
                       and values[3] - values[2] > 1e3 * errors,
                       "second mean at -1 (truth), 0, 1/2 and 1: excess "
                       + ", ".join(f"{v:.4f}" for v in values) + f", errors below {errors:.0e}", cases=4)


@dataclass(frozen=True)
class Rewritten:
    """Parameters, and how they are changed: scales of the units, swap, and z -> sign z + shift."""

    alpha: tuple[Fraction, ...]
    beta: tuple[Fraction, ...]
    pi: tuple[Fraction, ...]
    prior: tuple[tuple[Fraction, Fraction], ...]
    scales: tuple[Fraction, Fraction]
    swap: bool
    sign: int
    shift: Fraction

    def changed(self) -> tuple[Any, Any, Any, Any]:
        """The new parameters: (a, b, p) -> (a / c, c b, c p), and b / s, p - b t / s for the latent s z + t."""
        a = [v / c for v, c in zip(self.alpha, self.scales, strict=True)]
        b = [c * v * self.sign for v, c in zip(self.beta, self.scales, strict=True)]
        p = [c * v - w * self.shift for v, w, c in zip(self.pi, b, self.scales, strict=True)]
        order = (1, 0) if self.swap else (0, 1)
        prior = tuple(sorted((self.sign * mean + self.shift, w) for mean, w in self.prior))
        a, b, p = ([part[i] for i in order] for part in (a, b, p))
        return a, b, p, prior

    def keeps_the_class(self) -> bool:
        """Whether class and law are kept, and function and prior too where the latent is."""
        before = function_of(self.alpha, self.beta, self.pi)
        *point, prior = self.changed()
        after = function_of(*point)
        old: Any = tuple(sorted(self.prior))
        same = before == after or self.sign < 0 or self.shift != 0
        return same and law_of(before, old) == law_of(after, prior) \
            and affine_class(before, old) == affine_class(after, prior)


def rewritten(dropped: frozenset[str]) -> st.SearchStrategy[Rewritten]:
    """Small parameters, zeros common."""
    number = st.sampled_from([Fraction(v) for v in (0, 1, -1, 2, -2)] + [Fraction(1, 2)])
    positive = [Fraction(1), Fraction(2), Fraction(1, 3)]
    scale = st.sampled_from([Fraction(-1), Fraction(-2), *positive] if "positive scales" in dropped else positive)
    two = st.tuples(number, number)
    mixture = st.dictionaries(number, st.integers(1, 3), min_size=1, max_size=3).map(
        lambda d: tuple((mean, Fraction(w, sum(d.values()))) for mean, w in sorted(d.items())))
    return st.builds(Rewritten, two, two, two, mixture, st.tuples(scale, scale), st.booleans(),
                     st.sampled_from([1, -1]), number)


@chapter.claim(
    "kivva.j31.sym", place="App. J.3.1", kind=Kind.CLAIM,
    statement="There are several global minimisers because of affine equivalence; rescaling a unit by a positive "
              "number, exchanging units, and translating or reflecting the latent lead from one to another.",
    hypotheses=("the scales are positive", "the components have equal variances"),
    universal=lambda: Universal("the law of x and the affine class are kept", rewritten, Rewritten.keeps_the_class,
                                {"positive scales": lambda case: min(case.scales) > 0}, needed=("positive scales",)))
def symmetries(on: Record) -> None:
    z, b, p, s, t = sp.symbols("z b p s t", real=True)
    c, right, left = sp.Symbol("c", positive=True), sp.Symbol("u", positive=True), sp.Symbol("v", negative=True)
    scaled = [sp.Max(c * x, 0) / c - sp.Max(x, 0) for x in (right, left, sp.Integer(0))]
    moved = sp.expand((b / s) * (s * z + t) + (p - b * t / s) - (b * z + p))
    on.printed.support(scaled == [0, 0, 0] and moved == 0, "generic numbers: ReLU(c x) / c = ReLU(x) for c > 0, and "
                       "the preactivation with b / s, p - b t / s at s z + t", cases=1, evidence=Evidence.EXACT)
    on.printed.search(cases=300)


def orientations() -> dict[tuple[int, ...], tuple[Any, Any]]:
    """Far-left slope and intercept of d1 relu(+-(z - t1)) + d2 relu(+-(z - t2)), where t2 > t1."""
    d1, d2, t1 = sp.symbols("d1 d2 t1", real=True)
    gap = sp.Symbol("g", positive=True)
    found = {}
    for signs in product((1, -1), repeat=2):
        slope = sum((-d for d, sign in zip((d1, d2), signs, strict=True) if sign < 0), sp.Integer(0))
        rest = sum((d * t for d, t, sign in zip((d1, d2), (t1, t1 + gap), signs, strict=True) if sign < 0),
                   sp.Integer(0))
        found[signs] = (slope, sp.expand(rest))
    return found


@chapter.claim(
    "kivva.j31.fibre", place="App. J.3.1", kind=Kind.ADDED,
    statement="Two units with non-zero a and b and different bends are determined by the function up to positive "
              "rescaling and exchange: no change of sign or side keeps it.",
    hypotheses=("alpha_i != 0 and beta_i != 0", "the bends -p_i / b_i differ"))
def generic_fibre(on: Record) -> None:
    d1, d2 = sp.symbols("d1 d2", real=True)
    sides = orientations()
    clashes = []
    for one, two in ((u, v) for u in sides for v in sides if u < v):
        equations = [sides[one][k] - sides[two][k] for k in (0, 1)]
        solutions = sp.solve(equations, [d1, d2], dict=True)
        clashes += [found for found in solutions if found.get(d1, d1) != 0 and found.get(d2, d2) != 0]
    on.printed.prove(not clashes, "slope and value far left, for all pairs of sides of the two units, generic numbers: "
                     "they agree only where a change of slope is zero")
    keys: dict[Any, set[Any]] = defaultdict(set)
    number = 0
    for alpha, beta, pi in parameters(COARSE):
        if 0 in alpha or 0 in beta or Fraction(-pi[0], beta[0]) == Fraction(-pi[1], beta[1]):
            continue
        number += 1
        units = frozenset((Fraction(-p, b), b > 0, a * abs(b)) for a, b, p in zip(alpha, beta, pi, strict=True))
        keys[function_of(alpha, beta, pi)].add(units)
    on.printed.support(all(len(found) == 1 for found in keys.values()), f"all {number:,} such parameters with entries "
                       f"in -2, ..., 2: {len(keys):,} functions, each with one set of units up to rescaling",
                       cases=number, evidence=Evidence.EXACT)


@chapter.claim(
    "kivva.j31.fibre.exceptions", place="App. J.3.1", kind=Kind.ADDED,
    statement="More parameters give one function where alpha_i = 0 (beta_i and pi_i are free), where beta_i = 0 (only "
              "alpha_i ReLU(pi_i) counts), and where two units bend at one place to the same side (only the sum of "
              "alpha_i |beta_i| counts, and they cancel when it is zero).",
    hypotheses=("entries in {-2, ..., 2}",))
def exceptional_fibres(on: Record) -> None:
    dead: dict[Any, set[Any]] = defaultdict(set)
    level: dict[Any, set[Any]] = defaultdict(set)
    merged: dict[Any, set[Any]] = defaultdict(set)
    counts = [0, 0, 0]
    for alpha, beta, pi in parameters(COARSE):
        f = function_of(alpha, beta, pi)
        other = (alpha[1], beta[1], pi[1])
        if alpha[0] == 0:
            dead[other].add(f)
            counts[0] += 1
        if beta[0] == 0:
            level[other, alpha[0] * max(pi[0], 0)].add(f)
            counts[1] += 1
        if 0 not in beta and beta[0] * beta[1] > 0 and pi[0] * beta[1] == pi[1] * beta[0]:
            total = sum(a * abs(b) for a, b in zip(alpha, beta, strict=True))
            merged[Fraction(-pi[0], beta[0]), beta[0] > 0, total].add(f)
            counts[2] += 1
    same = [all(len(found) == 1 for found in table.values()) for table in (dead, level, merged)]
    larger = [len(table) < count for table, count in zip((dead, level, merged), counts, strict=True)]
    cancelled = {f for (_, _, total), found in merged.items() if total == 0 for f in found}
    zero = function_of((0, 0), (1, 1), (0, 0))
    on.printed.prove(all(same) and all(larger) and cancelled == {zero},
                     f"all parameters with entries in -2, ..., 2: {counts[0]:,} with alpha_1 = 0, {counts[1]:,} with "
                     f"beta_1 = 0, {counts[2]:,} with one place and side of the bends")
