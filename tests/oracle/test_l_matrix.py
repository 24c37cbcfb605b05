"""The L matrix against eliminations, closed forms, brute force and simulation; noises against Fourier integrals."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from math import comb

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ident_theory.conditions.l_matrix import (
    choose_points,
    l_matrix,
    l_matrix_finding,
    largest_latent_dim,
    missing_directions,
)
from ident_theory.conditions.l_matrix_statistics import degeneracy_test
from ident_theory.conditions.l_matrix_words import missing_count
from ident_theory.conditions.noise import noise_findings
from ident_theory.errors import InputError
from ident_theory.models import (
    ConditionalPrior,
    FejerNoise,
    GaussianNoise,
    LaplaceNoise,
    LogisticNoise,
    StudentNoise,
    UniformNoise,
)
from ident_theory.numerics import Evidence, Status

#: Statistics per latent of families that take any parameters, by k.
FREE = {1: {"family": "normal_mean"}, 2: {"family": "custom", "statistics": ["z", "z**2"]},
        3: {"family": "custom", "statistics": ["z", "z**2", "z**3"]}}


def free(table, **options) -> ConditionalPrior:
    """A prior with any numbers as parameters."""
    return ConditionalPrior(natural_parameters=table, **FREE[np.shape(table)[2]], **options)


def plain_rank(rows: list[list[Fraction]]) -> int:
    """Rank by textbook elimination."""
    work, rank = [list(map(Fraction, row)) for row in rows], 0
    for column in range(len(work[0]) if work else 0):
        pivot = next((r for r in range(rank, len(work)) if work[r][column]), None)
        if pivot is None:
            continue
        work[rank], work[pivot] = work[pivot], work[rank]
        for r in range(rank + 1, len(work)):
            factor = work[r][column] / work[rank][column]
            work[r] = [a - factor * b for a, b in zip(work[r], work[rank], strict=True)]
        rank += 1
    return rank


@st.composite
def tables(draw, entries=None, most: int = 8):
    """Small tables in which constant, repeated and dependent columns are common."""
    k, n = draw(st.sampled_from([(1, 1), (1, 3), (2, 1), (2, 2), (3, 1)]))
    entry = st.integers(-2, 2) if entries is None else entries
    count = draw(st.integers(1, most))
    rows = draw(st.lists(st.lists(entry, min_size=n * k, max_size=n * k), min_size=count, max_size=count))
    if n * k > 1 and draw(st.booleans()):
        rows = [[*row[:-1], 2 * row[0] - 1] for row in rows]
    return [[row[i * k:(i + 1) * k] for i in range(n)] for row in rows]


@given(tables())
@settings(max_examples=300)
def test_the_verdict_is_the_rank_and_the_proof_verifies(table):
    prior = free(table)
    flat = [[x for latent in row for x in latent] for row in table]
    rank = plain_rank([[a - b for a, b in zip(row, flat[0], strict=True)] for row in flat[1:]])
    size = len(flat[0])
    finding = l_matrix_finding(prior)
    assert finding.status is (Status.HOLDS if rank == size else Status.FAILS)
    assert finding.evidence is Evidence.EXACT
    assert finding.details["rank"] == rank
    assert finding.details["largest_latent_dim"] == largest_latent_dim(len({tuple(row) for row in flat}), prior.k)
    finding.verify({"prior": prior.plain()})
    if rank == size:
        matrix = sympy.Matrix(l_matrix(prior, finding.details["points"]).tolist())
        assert matrix.det() == sympy.Rational(finding.details["determinant"]) != 0
        values = np.linalg.svd(np.array(matrix.tolist(), dtype=float), compute_uv=False)
        assert finding.details["smallest_singular_value"] == pytest.approx(values[-1], rel=1e-10)
        assert finding.details["condition_number"] == pytest.approx(values[0] / values[-1], rel=1e-10)
    else:
        assert finding.details["more_values_at_least"] == missing_count(prior) == size - rank


@given(tables())
@settings(max_examples=150)
def test_missing_directions_are_a_basis_of_the_null_space(table):
    prior = free(table)
    flat = np.array([[x for latent in row for x in latent] for row in table], dtype=object)
    found = missing_directions(prior)
    assert len(found) == missing_count(prior)
    assert not found or plain_rank([list(item.direction) for item in found]) == len(found)
    for item in found:
        assert {int(value) for value in flat @ np.array(item.direction, dtype=object)} == {item.constant}
        if item.latent is not None:
            places = [i for i, c in enumerate(item.direction) if c]
            assert {i // prior.k for i in places} == {item.latent}


@given(tables())
@settings(max_examples=150)
def test_chosen_points_are_near_the_largest_volume(table):
    """A choice that no exchange improves has at least r^(-r/2) of the largest volume, r = nk + 1."""
    prior = free(table)
    size = prior.latent_dim * prior.k
    volumes = {points: abs(float(sympy.Matrix(l_matrix(prior, points).tolist()).det()))
               for points in itertools.combinations(range(prior.n_values), size + 1)} \
        if prior.n_values > size and comb(prior.n_values, size + 1) <= 60 else None
    chosen = choose_points(prior)
    if volumes is None:
        return
    assert (chosen is not None) == (max(volumes.values()) > 0)
    if chosen is not None:
        volume = volumes[tuple(sorted(chosen))]
        assert volume >= max(volumes.values()) / (1.001 * (size + 1) ** 0.5) ** (size + 1)
        exchanges = [points for points in volumes if len(set(points) - set(chosen)) == 1]
        assert all(volumes[points] <= 1.0011 * volume for points in exchanges)


rationals = st.fractions(-3, 3, max_denominator=6)


@given(st.lists(st.tuples(rationals, st.fractions(Fraction(1, 5), 3, max_denominator=5)), min_size=3, max_size=3))
def test_one_normal_latent_in_closed_form(points):
    """det L = det[1, mean, variance]/(2 v0 v1 v2): singular exactly when the three points are collinear."""
    mu, v = [p[0] for p in points], [p[1] for p in points]
    prior = ConditionalPrior.from_means_variances(mu, v)
    expected = sympy.Matrix([[1, m, s] for m, s in points]).det() / (2 * v[0] * v[1] * v[2])
    assert sympy.Matrix(l_matrix(prior, (0, 1, 2)).tolist()).det() == expected
    finding = l_matrix_finding(prior)
    assert finding.status is (Status.FAILS if expected == 0 else Status.HOLDS)
    if expected == 0 and len(set(points)) == 3:
        assert any(word in finding.reason for word in ("variance is the same", "mean is", "lie on one line"))


@pytest.mark.parametrize(("means", "variances", "rank", "words"), [
    ([[0, 0], [1, 0], [0, 1], [2, 3], [5, 1]], [[1, 1]] * 5, 2, "Every latent: its variance is the same at every u"),
    ([[0, 0]] * 5, [[1, 2], [3, 2], [2, 5], [4, 1], [7, 3]], 2, "Every latent: its mean is 0 at every u"),
    ([[3, 0], [3, 1], [3, 2], [3, 4], [3, -1]], [[1, 2], [3, 2], [2, 5], [4, 1], [7, 3]], 3, "Latent 0: its mean is 3"),
    ([[2, 0], [4, 1], [3, 2], [5, 4], [8, -1]], [[1, 2], [3, 2], [2, 5], [4, 1], [7, 3]], 3, "mean = 1 + variance"),
    ([[2, 0]] * 5, [[1, 2], [1, 2], [1, 5], [1, 1], [1, 3]], 1, "Latent 0: its law does not depend on u"),
])
def test_what_does_not_vary_is_said(means, variances, rank, words):
    prior = ConditionalPrior.from_means_variances(means, variances)
    finding = l_matrix_finding(prior)
    assert finding.status is Status.FAILS
    assert finding.details["rank"] == rank
    assert words in finding.reason
    assert finding.witness.kind == "l_matrix.direction"
    finding.verify({"prior": prior.plain()})


def test_ten_classes_allow_four_latents():
    rng = np.random.default_rng(3)
    for n, status in ((4, Status.HOLDS), (5, Status.FAILS), (200, Status.FAILS)):
        prior = ConditionalPrior.from_means_variances(rng.normal(size=(10, n)), rng.uniform(1, 2, size=(10, n)))
        finding = l_matrix_finding(prior)
        assert finding.status is status
        assert finding.details["largest_latent_dim"] == 4
        finding.verify({"prior": prior.plain()})
        if n == 5:
            assert "at most n = 4" in finding.reason
            assert finding.details["more_values_at_least"] == 1


def test_counts_of_the_literature():
    assert [largest_latent_dim(count, 2) for count in (10, 40, 100, 5, 20)] == [4, 19, 49, 2, 9]
    assert [largest_latent_dim(count, 1) for count in (40, 1, 0)] == [39, 0, 0]


def test_other_families_and_joint_directions_in_words():
    gamma = ConditionalPrior("gamma", [[[1, -1]], [[1, -2]], [[1, -5]]])
    assert "the parameter of log(z) is 1 at every u" in l_matrix_finding(gamma).reason
    beta = ConditionalPrior("beta", [[[1, 3]], [[2, 5]], [[3, 7]]])
    assert "its parameters obey 2 lambda[log(z)] - lambda[log(1 - z)] = -1" in l_matrix_finding(beta).reason
    lognormal = ConditionalPrior("lognormal", [[[0, -1]], [[1, -1]], [[5, -1]]])
    assert "variance of log z is the same" in l_matrix_finding(lognormal).reason
    joint = free([[[0], [0]], [[1], [1]], [[3], [3]]])
    assert "lambda[latent 0, z] - lambda[latent 1, z] = 0" in l_matrix_finding(joint).reason


def test_values_that_floats_cannot_tell_apart():
    tiny = Fraction(1, 10**40)
    prior = free([[[1, 0]], [[1 + tiny, 1]], [[1 - tiny, tiny]], [[1, 10**30]]])
    finding = l_matrix_finding(prior)
    assert finding.status is Status.HOLDS
    finding.verify({"prior": prior.plain()})
    collinear = free([[[1, 0]], [[1 + tiny, tiny]], [[1 - tiny, -tiny]]])
    assert l_matrix_finding(collinear).status is Status.FAILS


@pytest.mark.parametrize("place", range(10))
def test_the_one_value_that_matters_is_found_by_exact_elimination(place):
    """Second parameter equal to the first in float64, and exactly so at all values of u but one."""
    table = [[[u, u + (Fraction(1, 10**40) if u == place else 0)]] for u in range(10)]
    prior = free(table)
    finding = l_matrix_finding(prior)
    assert finding.status is Status.HOLDS
    assert place in finding.details["points"]
    assert "close to singular" in finding.reason
    finding.verify({"prior": prior.plain()})


def test_determinants_that_the_first_prime_divides():
    prime = 2**31 - 1
    for table in ([[[0]], [[prime]]], [[[0]], [[Fraction(1, prime)]]], [[[0, 0]], [[prime, 1]], [[0, 1]]]):
        finding = l_matrix_finding(free(table))
        assert finding.status is Status.HOLDS
        assert finding.certificate.data["modulus"] < prime
        finding.verify({"prior": free(table).plain()})


def test_random_parameters_need_a_density():
    """Independent Bernoulli(1/2) parameters, nk = 4, five values of u: L is singular in 65 % of all tables."""
    bits = (np.arange(2**16)[:, None] >> np.arange(16)) & 1
    # Subtracting the first row maps 2^20 tables onto the differences; by symmetry the first row may be zero.
    singular = np.abs(np.linalg.det(bits.reshape(-1, 4, 4).astype(float))) < 0.5
    assert singular.mean() == pytest.approx(0.65, abs=0.01)
    rng = np.random.default_rng(5)
    for draw in rng.integers(0, 2**16, size=150):
        flip = rng.integers(0, 2, size=4)
        table = np.concatenate([np.zeros((1, 4), int), bits[draw].reshape(4, 4)]) ^ flip
        status = l_matrix_finding(free(table[:, :, None].tolist())).status
        assert (status is Status.FAILS) == singular[draw]


# ---------------------------------------------------------------------------------------------- estimates


def estimated(truth: np.ndarray, covariances: np.ndarray, rng: np.random.Generator) -> ConditionalPrior:
    """Estimates of one statistic a latent with Gaussian errors."""
    errors = np.array([rng.multivariate_normal(np.zeros(truth.shape[1]), c) for c in covariances])
    return free((truth + errors)[:, :, None], covariance_of_estimates=covariances)


def statistic(prior: ConditionalPrior) -> float:
    """The least of sum_u (c . lambda(u) - gamma)^2 / (c' C_u c) over directions in the plane, by a fine grid."""
    rows, best = prior.natural[:, :, 0], np.inf
    covariances = prior.covariance_exact.astype(float)
    for angle in np.linspace(0, np.pi, 2001):
        c = np.array([np.cos(angle), np.sin(angle)])
        weights = 1 / np.einsum("i,uij,j->u", c, covariances, c)
        value = rows @ c
        best = min(best, float(weights @ (value - weights @ value / weights.sum()) ** 2))
    return best


def test_the_bound_is_below_the_statistic_and_sharp_for_equal_covariances():
    rng = np.random.default_rng(7)
    for trial in range(10):
        equal = trial % 2 == 0
        roots = rng.normal(size=(1 if equal else 7, 2, 2))
        covariances = np.broadcast_to(roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(2), (7, 2, 2)).copy()
        prior = estimated(rng.normal(size=(7, 2)) * 3, covariances, rng)
        test, least = degeneracy_test(prior), statistic(prior)
        assert float(test.bound) <= least * (1 + 1e-9)
        assert not equal or float(test.bound) >= least * (1 - 1e-3)
        assert float(test.probability) == pytest.approx(stats.chi2.sf(float(test.bound), 6), rel=1e-6)


def test_degenerate_parameters_are_called_non_degenerate_at_most_as_often_as_stated():
    """600 simulated tables on a line: the share of rejections stays below the level plus four standard errors."""
    rng, level, runs = np.random.default_rng(11), 0.05, 600
    position = np.linspace(-2, 3, 6)
    truth = np.stack([position, 1 - 2 * position], axis=1)
    roots = rng.normal(size=(6, 2, 2))
    different = 0.05 * (roots @ roots.transpose(0, 2, 1) + 0.2 * np.eye(2))
    equal = np.broadcast_to(0.05 * np.eye(2), (6, 2, 2)).copy()
    for covariances in (different, equal):
        wrong = 0
        for _ in range(runs):
            found = degeneracy_test(estimated(truth, covariances, rng))
            wrong += found is not None and found.probability <= level
        assert wrong / runs <= level + 4 * (level * (1 - level) / runs) ** 0.5
    # For equal covariances the statistic is close to chi-square with one degree of freedom less, so not idle.
    expected = stats.chi2.sf(stats.chi2.isf(level, 5), 4)
    assert wrong / runs == pytest.approx(expected, abs=4 * (expected / runs) ** 0.5)


def test_statistical_verdicts():
    rng = np.random.default_rng(13)
    truth = np.array([[0.0, 0], [1, 0], [0, 1], [1, 3], [4, 1]])
    small = np.broadcast_to(1e-4 * np.eye(2), (5, 2, 2)).copy()
    prior = estimated(truth, small, rng)
    finding = l_matrix_finding(prior)
    assert (finding.status, finding.evidence) == (Status.HOLDS, Evidence.STATISTICAL)
    assert finding.details["probability"] <= finding.details["level"]
    assert finding.assumptions
    finding.verify({"prior": prior.plain()})
    vague = l_matrix_finding(estimated(truth, 4e4 * small, rng))
    assert vague.status is Status.UNKNOWN
    assert "smaller by a factor" in vague.reason
    few = estimated(truth[:2], small[:2], rng)
    finding = l_matrix_finding(few)
    assert (finding.status, finding.evidence) == (Status.FAILS, Evidence.EXACT)
    finding.verify({"prior": few.plain()})
    with pytest.raises(InputError, match="level"):
        l_matrix_finding(prior, level=0.5)
    with pytest.raises(InputError, match="ConditionalPrior"):
        l_matrix_finding(None)  # type: ignore[arg-type]


def test_a_parameter_that_is_known_and_constant_is_degenerate_for_certain():
    table = [[[0, -1]], [[1, -1]], [[3, -1]], [[4, -1]]]
    known = ConditionalPrior("normal", table, standard_errors=[[[0.1, 0]]] * 4)
    finding = l_matrix_finding(known)
    assert (finding.status, finding.evidence) == (Status.FAILS, Evidence.EXACT)
    assert "variance is the same" in finding.reason
    finding.verify({"prior": known.plain()})
    estimated_too = ConditionalPrior("normal", table, standard_errors=[[[0.1, 0.1]]] * 4)
    finding = l_matrix_finding(estimated_too)
    assert finding.status is Status.UNKNOWN
    assert finding.details["probability"] == 1.0


def test_a_value_known_exactly_beside_estimated_ones():
    table = [[[0], [0]], [[1], [0]], [[0], [1]], [[2], [2]]]
    errors = [[[0], [0]], *[[[0.01], [0.01]]] * 3]
    prior = free(table, standard_errors=errors)
    finding = l_matrix_finding(prior)
    assert finding.status is Status.HOLDS
    finding.verify({"prior": prior.plain()})


def test_parameters_at_the_end_of_float64():
    huge = 10**308
    exact = free([[[huge, 0]], [[0, huge]], [[-huge, 1]], [[1, Fraction(1, huge)]]])
    assert l_matrix_finding(exact).status is Status.HOLDS
    table, errors = [[[0]], [[huge]], [[-huge]]], [[[1]], [[10**150]], [[Fraction(1, huge)]]]
    finding = l_matrix_finding(free(table, standard_errors=errors))
    assert finding.status in (Status.UNKNOWN, Status.HOLDS)
    json.dumps(finding.to_dict(), allow_nan=False)


# ------------------------------------------------------------------------------------------------- noises

mp = mpmath.mp


def fourier(density, t: float, upper=mpmath.inf) -> float:
    """2 int_0^upper density(x) cos(t x) dx."""
    if upper == mpmath.inf:
        return float(2 * mpmath.quadosc(lambda x: density(x) * mpmath.cos(t * x), [0, mpmath.inf], omega=t))
    return float(2 * mpmath.quad(lambda x: density(x) * mpmath.cos(t * x), mpmath.linspace(0, upper, 9)))


S, NU = mpmath.mpf("0.7"), 3
CASES = {
    "gaussian": (GaussianNoise("0.7"), lambda x: mpmath.npdf(x, 0, S), lambda t: mpmath.exp(-(S * t) ** 2 / 2)),
    "laplace": (LaplaceNoise("0.7"), lambda x: mpmath.exp(-x / S) / (2 * S), lambda t: 1 / (1 + (S * t) ** 2)),
    "logistic": (LogisticNoise("0.7"), lambda x: mpmath.sech(x / (2 * S)) ** 2 / (4 * S),
                 lambda t: mpmath.pi * S * t / mpmath.sinh(mpmath.pi * S * t)),
    "student": (StudentNoise("0.7", NU), lambda x: 2 / (mpmath.pi * mpmath.sqrt(3) * S * (1 + (x / S) ** 2 / 3) ** 2),
                lambda t: (mpmath.sqrt(NU) * S * t) ** (NU / 2) * mpmath.besselk(NU / 2, mpmath.sqrt(NU) * S * t)
                / (mpmath.gamma(NU / 2) * 2 ** (NU / 2 - 1))),
    "uniform": (UniformNoise("0.7"), lambda x: 1 / (2 * S), lambda t: mpmath.sin(S * t) / (S * t)),
    "fejer": (FejerNoise("0.7"), None, lambda t: max(mpmath.mpf(0), 1 - S * t)),
}


@pytest.mark.parametrize("family", CASES)
def test_characteristic_functions(family):
    """The closed forms behind the verdicts against Fourier integrals of the densities, at 1e-6."""
    noise, density, form = CASES[family]
    upper = {"uniform": S, "gaussian": 12 * S, "logistic": 60 * S, "laplace": 60 * S}.get(family, mpmath.inf)
    for t in (0.4, 1.1, 2.3):
        if family == "fejer":  # band-limited, so the sum over a fine grid is the integral up to the cut tail
            x, scale = np.arange(1, 2_000_001) * 0.1 * float(S), float(S)
            value = 0.2 * scale * (0.25 / (np.pi * scale) + np.sum(
                scale * (1 - np.cos(x / scale)) / (np.pi * x**2) * np.cos(t * x)))
            assert value == pytest.approx(float(form(t)), abs=4 * scale / (np.pi * x[-1]))
        else:
            assert fourier(density, t, upper) == pytest.approx(float(form(t)), abs=1e-6)
    found = noise_findings(noise)
    vanishes = family == "fejer"
    assert found["ivae.noise"].status is (Status.FAILS if vanishes else Status.HOLDS)
    found["ivae.noise"].verify({"noise": noise.plain()})
    if vanishes:
        edge = float(Fraction(found["ivae.noise"].witness.data["from"]))
        assert float(form(edge)) == pytest.approx(0, abs=1e-12)
        assert "any noise of known law" in found["ivae.noise"].reason


def test_without_noise_there_is_nothing_to_remove():
    found = noise_findings(None)
    assert {name: finding.status for name, finding in found.items()} == {
        "ivae.noise": Status.HOLDS, "noise.known": Status.HOLDS}
    found["ivae.noise"].verify({})
    assert found["noise.known"].evidence is Evidence.DECLARED
    assert noise_findings(GaussianNoise(covariance=[[2, 1], [1, 2]]))["ivae.noise"].status is Status.HOLDS
