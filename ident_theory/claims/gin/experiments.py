"""Section 4: what the numbers of the experiments say about the conditions of the theory."""

from __future__ import annotations

from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st
from sympy import stats

import ident_theory as it
from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.matrices import rank
from ident_theory.claims.papers import GIN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.conditions.l_matrix import l_matrix_finding, largest_latent_dim
from ident_theory.conditions.statistics import statistics_findings
from ident_theory.models.families import custom_family, family
from ident_theory.numerics import Evidence

chapter = Chapter(GIN)

#: Means on [-5, 5] and variances on [1/2, 3], as the experiments draw them.
MEANS = ((0, 0), (3, -2), (-4, 1), (1, 5), (-2, -3))
VARIANCES = (("1", "2"), ("1/2", "3"), ("5/2", "1"), ("3", "1/2"), ("2", "3/2"))

Clusters = tuple[tuple[tuple[Fraction, Fraction], ...], ...]


def spans(clusters: Clusters) -> bool:
    """Whether the natural parameters of normal clusters, (mean, variance) for each latent, span 2n dimensions."""
    table = [[v for m, s in cluster for v in (m / s, Fraction(-1, 2) / s)] for cluster in clusters]
    steps = [[x - y for x, y in zip(row, table[0], strict=True)] for row in table[1:]]
    return bool(steps) and rank(steps) == len(table[0])


def enough_clusters() -> Universal[Clusters]:
    """Normal clusters with repeated and collinear parameters; a choice of 2n + 1 of them must make L invertible."""
    mean = st.integers(-2, 2).map(Fraction)
    variance = st.sampled_from([Fraction(v) for v in ("1", "2", "1/2")])

    def cases(dropped: frozenset[str]) -> st.SearchStrategy[Clusters]:
        cluster = st.integers(1, 2).flatmap(lambda n: st.lists(st.tuples(*[st.tuples(mean, variance)] * n), min_size=1,
                                                               max_size=6))
        return cluster.map(tuple)

    def conclusion(case: Clusters) -> bool:
        means, variances = ([[pair[e] for pair in cluster] for cluster in case] for e in (0, 1))
        prior = it.ConditionalPrior.from_means_variances(means, variances)
        return l_matrix_finding(prior).status is it.Status.HOLDS

    return Universal("L is invertible for some choice of 2n + 1 clusters", cases, conclusion,
                     {"parameters of full span": spans}, needed=("parameters of full span",))


@chapter.claim("gin.exp1", place="Sec. 4.3.1", kind=Kind.NUMBER,
               statement="Five clusters with random means and variances meet condition (ii) for two latents, almost "
                         "surely; with eight noise dimensions the data have ten.",
               universal=enough_clusters)
def five_clusters(on: Record) -> None:
    n, k = 2, 2
    m, v = (sp.Matrix(5, 2, lambda u, i, s=name: sp.Symbol(f"{s}_{u}_{i}")) for name in ("m", "v"))
    lifted = sp.Matrix(5, 5, lambda u, j: 1 if j == 4 else m[u, j] / v[u, j] if j < 2 else -1 / (2 * v[u, j - 2]))
    values = {m[u, i]: MEANS[u][i] for u in range(5) for i in range(2)} | {
        v[u, i]: sp.Rational(VARIANCES[u][i]) for u in range(5) for i in range(2)}
    inside = all(abs(a) <= 5 for row in MEANS for a in row) \
        and all(0.5 <= Fraction(b) <= 3 for row in VARIANCES for b in row)
    number = lifted.subs(values).det()
    prior = it.ConditionalPrior.from_means_variances(MEANS, VARIANCES)
    fewer = it.ConditionalPrior.from_means_variances(MEANS[:4], VARIANCES[:4])
    on.printed.prove(n * k + 1 == 5 and inside and number != 0 and l_matrix_finding(prior).status is it.Status.HOLDS
                     and l_matrix_finding(fewer).status is it.Status.FAILS and n + 8 == 10,
                     f"det L is rational in the means and variances and is {number} at clusters in the box of the "
                     "experiment, so its zeros have probability 0; the toolkit agrees, and four clusters are too few")
    on.printed.search(cases=60)


@chapter.claim("gin.exp2", place="Sec. 4.3.2", kind=Kind.CLAIM,
               statement="Three clusters miss condition (ii) for two latents; but nk + 1 conditions are not "
                         "necessary for recovery.",
               hypotheses=("continuous invertible f and g, in the example",),
               scope="that they are sufficient is gin.thm1; that three do in the experiment itself is an observation")
def not_necessary(on: Record) -> None:
    prior = it.load_example("gin_three_clusters").prior
    assert isinstance(prior, it.ConditionalPrior)
    finding = l_matrix_finding(prior)
    on.printed.prove(finding.status is it.Status.FAILS and finding.details["values_needed"] == 5
                     and finding.details["values_of_u"] == 3, "three clusters: 3 of the nk + 1 = 5 conditions")
    z, m = sp.symbols("z m", real=True)
    s = sp.Symbol("s", positive=True)
    source, target = stats.cdf(stats.Normal("Z", 0, 1))(z), stats.cdf(stats.Normal("W", m, s))
    rising, falling = sp.simplify(target(m + s * z) - source), sp.simplify(target(m - s * z) - (1 - source))
    density = sp.simplify(sp.diff(target(z), z))
    on.printed.prove(rising == 0 and falling == 0 and bool(density.is_positive),
                     "n = d = 1 and a single condition: a continuous one-to-one map from N(0, 1) to N(m, s^2) is "
                     "monotone, and the distribution function, being strictly increasing, leaves only m + s z and m - "
                     "s z: the latent is recovered")


@chapter.claim("gin.support", place="Sec. 4.3.1", kind=Kind.CLAIM,
               statement="Members of the exponential family have the whole domain of the latent as support, so gaps "
                         "cannot remain as the sample grows.",
               hypotheses=("the domain is the whole line, not the set where the base measure is positive",),
               correction=Correction("The same for a base measure that is positive on the domain.",
                                     ("the base measure is positive",)))
def gaps_of_the_base_measure(on: Record) -> None:
    gapped = custom_family(["z", "z**2"], base="Heaviside(z**2 - 1)")
    finding = statistics_findings(gapped)
    positive, minimal = finding["exp.positive"].status, finding["exp.minimal"].status
    z, a = sp.symbols("z a", real=True)
    density = sp.Heaviside(z**2 - 1) * sp.exp(a * z - z**2)
    tails = 2 * sp.integrate(sp.exp(-z**2), (z, 1, sp.oo))
    values = [density.subs(z, v) for v in (-sp.Rational(1, 2), sp.S.Zero, sp.Rational(1, 2))]
    on.printed.refute(positive is it.Status.FAILS and minimal is it.Status.HOLDS and not any(values)
                      and bool(density.subs(z, 2).is_positive) and 0 < tails < sp.oo,
                      "T = (z, z^2) with base measure 1 on |z| > 1 and 0 between: a member for every lambda_2 < 0, "
                      "and the density is 0 on (-1, 1) for all of them",
                      shown="Q(z) = Heaviside(z^2 - 1), T = (z, z^2)")
    names = ("normal", "lognormal", "inverse_gaussian", "gamma", "inverse_gamma", "beta")
    findings = [statistics_findings(family(name))["exp.positive"].status for name in names]
    on.corrected.support(all(status is it.Status.HOLDS for status in findings),
                         "the base measures of the six families of Table 1 are positive on their supports", cases=6,
                         evidence=Evidence.EXACT)
    q, normaliser = sp.symbols("q Z", positive=True)
    on.corrected.prove(bool((q * sp.exp(a * z - z**2) / normaliser).is_positive) and not (
        sp.Symbol("r", nonnegative=True) * sp.exp(a * z - z**2) / normaliser).is_positive,
        "Q exp(lambda . T)/Z with Q > 0 is positive, with Q >= 0 it need not be")


@chapter.claim("gin.four", place="Secs. 4.4.1 and 4.4.4", kind=Kind.NUMBER,
               statement="Ten labels are enough conditions for at most four informative normal latents.")
def four_latents(on: Record) -> None:
    def has_enough(n: int) -> bool:
        # The best that ten labels can do: the origin and nine unit vectors, cut to 2n dimensions.
        table = [[Fraction(int(i == label - 1)) for i in range(2 * n)] for label in range(10)]
        return rank([[x - y for x, y in zip(row, table[0], strict=True)] for row in table[1:]]) == 2 * n

    on.printed.prove([n for n in range(1, 9) if has_enough(n)] == [1, 2, 3, 4] and largest_latent_dim(10, 2) == 4,
                     "nine differences span at most nine dimensions: eight for n = 4, ten for n = 5")


@chapter.claim("gin.soft", place="Sec. 4.4.4", kind=Kind.CLAIM,
               statement="Posterior probabilities of the classes given the data, in place of labels, are further "
                         "conditions u for the theory.",
               hypotheses=("x determines its posterior probabilities",),
               scope="a suggestion for further work; probabilities that are rounded or noisy are another matter")
def posterior_probabilities_as_conditions(on: Record) -> None:
    z = sp.Symbol("z", real=True)
    one, two = (stats.density(stats.Normal(name, mean, 1))(z) for name, mean in (("A", 0), ("B", 2)))
    odds = sp.simplify(two / one)
    posterior = odds / (1 + odds)
    rising = sp.simplify(sp.diff(posterior, z)).is_positive
    on.printed.refute(bool(rising) and sp.simplify(odds - sp.exp(2 * z - 2)) == 0,
                      "x = z, classes N(0, 1) and N(2, 1): the posterior is increasing in z, so given its value z is a "
                      "single number; no density of eq. 1 exists and no two such laws overlap",
                      shown="x = z, z | class ~ N(0, 1) or N(2, 1), u = P(class | x)")


@chapter.claim("gin.22", place="Sec. 4.4.2; Figs. 10-15", kind=Kind.NUMBER,
               statement="Eight global and fourteen local variables make the 22 that are listed, four in a figure, "
                         "with two more that have no effect.",
               scope="the count only: that exactly 22 variables of the trained model matter is an observation")
def variables_listed(on: Record) -> None:
    figures = {10: (1, 4), 11: (5, 8), 12: (9, 12), 13: (13, 16), 14: (17, 20), 15: (21, 24)}
    listed = [v for first, last in figures.values() for v in range(first, last + 1)]
    informative = [v for v in listed if v not in (23, 24)]
    on.printed.prove(sorted(listed) == list(range(1, 25)) and len(informative) == 22
                     and len([v for v in informative if v <= 8]) == 8 and len([v for v in informative if v > 8]) == 14,
                     "six figures of four variables, 23 and 24 without effect")
