"""The verifier of sets on which two laws differ, against quadrature, samples and the laws of the package."""

from fractions import Fraction

import numpy as np
import pytest
from common.equality_models import Random, accepted, refusal
from flint import ctx, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from ident_theory import (
    ConditionalPrior,
    GaussianMixture,
    GaussianNoise,
    LaplaceNoise,
    Model,
    ReLUNetwork,
    law,
)
from ident_theory.exact.equality_cells import QUADRANTS, edges, split
from ident_theory.exact.equality_masses import add_scaled, evaluate, interval_mass, polygon_mass
from ident_theory.exact.findings import Finding, Witness
from ident_theory.numerics import Evidence, Status

ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
RELU = ReLUNetwork([[[1]], [[1]]], [[0], [0]])
FOLDED = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, 1]]], [[0] * 4, [0, 0]])
CORNER = ReLUNetwork([[[1, 0], [0, 1]], [[1, 0], [0, 1]]], [[0, 0], [0, 0]])


def model(means, covariances, decoder, noise=None):
    return Model(GaussianMixture([Fraction(1, len(means))] * len(means), means, covariances), decoder, noise)


def random_cells(draw, cuts):
    cells = list(QUADRANTS)
    for _ in range(cuts):
        row = [fmpq(v.numerator, v.denominator) for v in draw.row(3)]
        cells = [part for cell in cells for part in split(cell, row) if part is not None]
    return cells


def contains(polygon, z):
    inside = np.ones(len(z), dtype=bool)
    for p, q in edges(polygon):
        if p[2] or q[2]:
            x, y = (q[0] - p[0], q[1] - p[1]) if p[2] and q[2] else (q[0], q[1]) if p[2] else (-p[0], -p[1])
            a = p if p[2] else q
            inside &= float(x) * (z[:, 1] - float(a[1])) - float(y) * (z[:, 0] - float(a[0])) >= 0
    return inside


@given(seed=st.integers(0, 2**31))
@settings(max_examples=60)
def test_masses_of_polygons(seed):
    """Formally they add up to 1 for cells that tile the plane, also with the mean on sides and corners; as numbers
    they agree with 20,000 draws within 5 standard errors."""
    draw = Random(seed, 6)
    cells = random_cells(draw, 1 + seed % 4)
    corners = [c[:2] for cell in cells for c in cell if c[2]]
    mean = [fmpq(0), fmpq(0)] if seed % 3 == 0 else list(draw.pick(corners)) if seed % 3 == 1 else \
        [fmpq(v.numerator, v.denominator) for v in draw.row(2)]
    covariance = [[fmpq(v.numerator, v.denominator) for v in r] for r in draw.covariance(2)]
    assert polygon_mass(cells, mean, covariance) == {("1",): 1}
    masses = [polygon_mass([cell], mean, covariance) for cell in cells]
    z = draw.rng.multivariate_normal([float(v) for v in mean], [[float(v) for v in r] for r in covariance], 20000)
    for cell, mass in zip(cells, masses, strict=True):
        value = min(max(float(evaluate(mass).mid()), 0.0), 1.0)
        assert abs(contains(cell, z).mean() - value) < 5 * np.sqrt(value * (1 - value) / len(z)) + 1e-4
    if seed % 3 == 2:  # elsewhere the formal sum may hold angles that add up only together
        total = {}
        for mass in masses:
            add_scaled(total, mass, fmpq(1))
        assert total == {("1",): 1}


def test_masses_of_rectangles_and_intervals_against_scipy():
    draw = Random(7)
    with ctx.workprec(128):
        for _ in range(50):
            m, v = draw.number(), draw.positive()
            low = draw.number()
            high = low + draw.positive()
            mass = interval_mass(*(fmpq(x.numerator, x.denominator) for x in (low, high, m, v)))
            scaled = [(float(end) - float(m)) / float(v) ** 0.5 for end in (low, high)]
            expected = np.diff(stats.norm.cdf(scaled))[0]
            assert float(evaluate(mass).mid()) == pytest.approx(expected, rel=1e-12, abs=1e-16)
        corner = [[fmpq(1), fmpq(0), fmpq(-1, 2)], [fmpq(0), fmpq(1), fmpq(1, 3)]]
        cells = list(QUADRANTS)
        for row in corner:
            cells = [part for cell in cells for part in split(cell, row)[:1] if part is not None]
        for rho in (Fraction(-3, 4), Fraction(0), Fraction(1, 3)):
            covariance = [[fmpq(1), fmpq(rho.numerator, rho.denominator)]] * 2
            covariance = [covariance[0], covariance[0][::-1]]
            value = float(evaluate(polygon_mass(cells, [fmpq(0), fmpq(0)], covariance)).mid())
            expected = stats.multivariate_normal([0, 0], [[1, float(rho)], [float(rho), 1]]).cdf([-0.5, 1 / 3])
            assert value == pytest.approx(expected, abs=1e-10)


def largest(kind_data, first, second):
    """The largest amount that is accepted, by bisection on a logarithmic scale; None when 1e-30 is not."""
    def taken(amount):
        return accepted("law.set", first, second=second, **kind_data, at_least=str(Fraction(amount)))

    if not taken(1e-30):
        return None
    low, high = -30.0, 0.5
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if taken(10**middle) else (low, middle)
    return 10**low


def unit(n):
    return np.eye(n, dtype=int).tolist()


@pytest.mark.parametrize("seed", range(8))
def test_noisy_densities_against_the_laws_of_the_package(seed):
    """The largest amount accepted is, within 1e-6, (d - C n r^2 / 3) (2 r)^n with d from the laws in floats."""
    draw = Random(seed, 3)
    m, n = 1 + seed % 2, 1 + (seed // 2) % 2
    noise = GaussianNoise("1/2") if seed % 3 else GaussianNoise(covariance=[[1, "1/3"], ["1/3", "1/2"]][:n] if n == 2
                                                                else [["1/4"]])
    items = [Model(draw.mixture(m, 2, singular=seed == 6), draw.network(m, n, [3]), noise) for _ in range(2)]
    x = draw.row(n)
    p, q = (np.exp(law(item).log_density(np.array([[float(v) for v in x]]))[0]) for item in items)
    sigma = np.array([[float(v) for v in r] for r in noise.covariance_exact(n)])
    norm = min(np.abs(np.linalg.inv(sigma)).sum(axis=1).max(), np.trace(np.linalg.inv(sigma)))
    curvature = (2 * np.pi) ** (-n / 2) * norm / np.sqrt(np.linalg.det(sigma))
    r = min(np.sqrt(abs(p - q) / (2 * curvature * n)), 1.0)
    r = Fraction(float(f"{r:.2e}"))
    expected = (abs(p - q) - curvature * n * float(r) ** 2 / 3) * (2 * float(r)) ** n
    data = {"center": [str(v) for v in x], "directions": unit(n), "radius": str(r)}
    for first, second in (items, items[::-1]):
        for factor in (1 - 1e-6, 1 + 1e-6):
            amount = str(Fraction(expected * factor))
            assert accepted("law.set", first, second=second, **data, at_least=amount) is (factor < 1)


def test_noisy_amounts_are_below_the_true_ones():
    """Against the probabilities of intervals by the distribution functions of the package."""
    first, second = (model([a], [1], ABSOLUTE, GaussianNoise("1/2")) for a in (1, 2))
    for c in (Fraction(0), Fraction(1, 2), Fraction(5, 2)):
        for r in (Fraction(1, 1000), Fraction(1, 100)):
            data = {"center": [str(c)], "directions": [[1]], "radius": str(r)}
            found = largest(data, first, second)
            ends = np.array([[float(c - r)], [float(c + r)]])
            true = abs(np.subtract(*(np.diff(law(item).cdf(ends))[0] for item in (first, second))))
            assert found is not None
            assert 0.5 * true < found < true * (1 + 1e-9)
    far = {"center": [0], "directions": [[1]], "radius": 1}
    assert "differ by this much" in refusal("law.set", first, second=second, **far, at_least="1/100")


def test_tiny_differences_need_many_bits():
    """Far out both densities are below 1e-60; more precision settles them."""
    first, second = (model([a], [1], RELU, GaussianNoise(1)) for a in (0, Fraction(1, 2)))
    data = {"center": [30], "directions": [[1]], "radius": "1/10" + "0" * 110}
    assert accepted("law.set", first, second=second, **data, at_least=str(Fraction(1, 10**250)))
    assert not accepted("law.set", first, second=second, **data, at_least=str(Fraction(1, 10**150)))


def test_atoms():
    """The mass of 0 under a ReLU: Phi(-1) against Phi(-2)."""
    first, second = (model([a], [1], RELU) for a in (1, 2))
    true = stats.norm.cdf(-1) - stats.norm.cdf(-2)
    data = {"center": [0], "directions": [], "radius": 0}
    assert largest(data, first, second) == pytest.approx(true, rel=1e-3)
    assert not accepted("law.set", first, second=second, **{**data, "center": [1]}, at_least="1/100")
    squares = [model([a], [[[1, "1/2"], ["1/2", 1]]], CORNER) for a in ([0, 0], [1, 0])]
    masses = [stats.multivariate_normal(a, [[1, 0.5], [0.5, 1]]).cdf([0, 0]) for a in ([0, 0], [1, 0])]
    data = {"center": [0, 0], "directions": [], "radius": 1}
    assert largest(data, *squares) == pytest.approx(masses[0] - masses[1], rel=1e-3)


def test_segments_of_lines():
    """On the half lines of a ReLU of two latents: the density of one coordinate where the other one is negative."""
    items = [model([a], [[[1, "1/2"], ["1/2", 1]]], CORNER) for a in ([0, 0], [1, "1/2"])]
    means = [(0.0, 0.0), (1.0, 0.5)]

    def probability(mean, low, high):
        return integrate.quad(lambda t: stats.norm.pdf(t, mean[0]) * stats.norm.cdf(
            -(mean[1] + 0.5 * (t - mean[0])) / np.sqrt(0.75)), low, high)[0]

    for center, radius in ((1, Fraction(1, 10000)), (Fraction(1, 3), Fraction(1, 2000))):
        data = {"center": [str(center), 0], "directions": [[2, 0]], "radius": str(radius)}
        ends = float(center - 2 * radius), float(center + 2 * radius)
        true = abs(probability(means[0], *ends) - probability(means[1], *ends))
        found = largest(data, *items)
        assert 0.9 * true < found <= true * (1 + 1e-9)
    assert "atom" in refusal("law.set", *items[:1], second=items[1], center=[0, 0], directions=[[1, 0]], radius="1/9",
                             at_least="1/1000")
    bent = ReLUNetwork([[[1, 0], [-1, 0], [0, 1]], [[1, "-1/2", 0], [0, 0, 1]]], [[-1, 1, 0], [1, 0]])
    shifted = Model(items[0].prior, bent)
    assert "changes its form" in refusal("law.set", items[0], second=shifted, center=[1, 0], directions=[[1, 0]],
                                         radius="1/9", at_least="1/10000")
    assert not accepted("law.set", items[0], second=items[1], center=[1, 1], directions=[[1, 0]], radius="1/9",
                        at_least="1/1000000")


def test_parallelograms_of_planes():
    """In a plane of R^3, at an angle; the probability by cubature over the latents."""
    tilt = [[1, 0], [0, 1], [1, 2]]
    f = ReLUNetwork([FOLDED.weights_exact[0], np.array(tilt, dtype=object) @ FOLDED.weights_exact[1]],
                    [[0] * 4, [0, 0, 5]])
    items = [model([a], [[[1, "1/2"], ["1/2", 2]]], f) for a in ([0, 0], [1, "1/2"])]
    data = {"center": [1, 2, 10], "directions": [[1, 0, 1], [1, 1, 3]], "radius": "1/5000"}
    densities = [sum(stats.multivariate_normal(a, [[1, 0.5], [0.5, 2]]).pdf([s, 2 * t]) for s in (1, -1)
                     for t in (1, -1)) for a in ([0, 0], [1, 0.5])]
    true = abs(densities[0] - densities[1]) * 4 / 5000**2
    assert largest(data, *items) == pytest.approx(true, rel=0.03)
    # Across a side of an image, across the axis of the latents (no side), outside of the plane.
    assert "changes its form" in refusal("law.set", items[0], second=items[1], center=[0, 2, 9], radius="1/5000",
                                         at_least="1/1000000000", directions=[[1, 0, 1], [1, 1, 3]])
    flat = [Model(item.prior, ReLUNetwork([tilt], [[0, 0, 5]])) for item in items]
    assert accepted("law.set", flat[0], second=flat[1], center=[0, 0, 5], at_least="1/1000000000",
                    directions=[[1, 0, 1], [1, 1, 3]], radius="1/5000")
    assert not accepted("law.set", items[0], second=items[1], center=[1, 2, 11], at_least="1/10000000000",
                        directions=[[1, 0, 1], [1, 1, 3]], radius="1/5000")
    assert not accepted("law.set", items[0], second=items[1], center=[1, 2, 10], at_least="1/10000000000",
                        directions=[[1, 0, 0], [1, 1, 3]], radius="1/5000")


def test_lines_and_atoms_within_a_plane():
    items = [model([a], [[[1, 0], [0, 1]]], CORNER) for a in ([0, 0], [1, "1/2"])]
    assert "line" in refusal("law.set", items[0], second=items[1], center=[1, 0], directions=unit(2), radius="1/100",
                             at_least="1/10000000")
    assert "atom" in refusal("law.set", items[0], second=items[1], center=[0, 0], directions=unit(2), radius="1/100",
                             at_least="1/10000000")
    assert accepted("law.set", items[0], second=items[1], center=[1, 1], directions=unit(2), radius="1/100",
                    at_least="1/10000000")


@pytest.mark.parametrize("seed", range(12))
def test_sets_of_equal_laws_are_rejected(seed):
    draw = Random(seed, 3)
    m = 1 + seed % 2
    first = draw.model(m, 2, singular=seed % 3 == 0)
    noise = None if seed % 2 else GaussianNoise("1/3")
    second = draw.equivalent(first, draw.change(m))
    first, second = (Model(item.prior, item.decoder, noise) for item in (first, second))
    for directions in (unit(2), unit(2)[:1], []):
        for center in (draw.row(2), [0, 0]):
            assert not accepted("law.set", first, second=second, center=[str(v) for v in center],
                                directions=directions, radius="1/1000", at_least=str(Fraction(1, 10**40)))


def test_laws_given_u():
    prior = ConditionalPrior.from_means_variances([[1], [2]], [[1], [1]])
    other = ConditionalPrior.from_means_variances([[1], [3]], [[1], [1]])
    first, second = Model(prior, RELU), Model(other, RELU)
    data = {"center": [0], "directions": [], "radius": 0}
    true = stats.norm.cdf(-2) - stats.norm.cdf(-3)
    assert largest({**data, "u": 1}, first, second) == pytest.approx(true, rel=1e-3)
    assert largest({**data, "u": 0}, first, second) is None
    for u in (2, -1, True, "0", None):
        assert not accepted("law.set", first, second=second, **data, u=u, at_least="1/1000")
    assert "entry u" in refusal("law.set", first, second=second, **data, at_least="1/1000")
    plain = model([1], [1], RELU)
    assert "entry u" in refusal("law.set", plain, second=model([2], [1], RELU), **data, u=0, at_least="1/1000")


def test_malformed_sets():
    first, second = model([1], [1], RELU, GaussianNoise(1)), model([2], [1], RELU, GaussianNoise(1))
    data = {"center": [0], "directions": [[1]], "radius": "1/10", "at_least": "1/1000"}
    assert accepted("law.set", first, second=second, **data)
    for key, value in [("center", [0, 0]), ("center", []), ("center", [0.0]), ("directions", [[2]]),
                       ("directions", []), ("directions", [[1], [1]]), ("directions", [[0]]), ("radius", 0),
                       ("radius", "-1/10"), ("radius", None), ("at_least", 0), ("at_least", "-1"), ("at_least", 1),
                       ("more", 1)]:
        assert not accepted("law.set", first, second=second, **{**data, key: value})
    for key in data:
        assert not accepted("law.set", first, second=second, **{k: v for k, v in data.items() if k != key})
    laplace = [Model(item.prior, item.decoder, LaplaceNoise(1)) for item in (first, second)]
    assert "Gaussian noise" in refusal("law.set", laplace[0], second=laplace[1], **data)
    bare = [Model(item.prior, item.decoder) for item in (first, second)]
    assert not accepted("law.set", bare[0], second=bare[1], **{**data, "directions": [[1], [2]]})
    deep = Random(0)
    three = Model(deep.mixture(3, 1), deep.network(3, 3, [3]))
    assert not accepted("law.set", three, second=three, center=[0] * 3, directions=unit(3), radius=1, at_least="1/9")
    wide = [model([[a, 0]], [unit(2)], CORNER) for a in (0, 1)]
    assert not accepted("law.set", wide[0], second=wide[1], center=[1, 1], directions=[[1, 1], [2, 2]],
                        radius="1/10", at_least="1/1000000")


def test_findings_with_a_set_are_certified_at_best():
    first, second = model([1], [1], RELU, GaussianNoise(1)), model([2], [1], RELU, GaussianNoise(1))
    data = {"second": second.plain(), "center": [0], "directions": [[1]], "radius": "1/10", "at_least": "1/1000"}
    for condition in ("equal_in_law", "equivalent.affine", "equivalent.equal"):
        finding = Finding(condition, Status.FAILS, Evidence.CERTIFIED, "", Witness("law.set", data))
        finding.verify(first)
        with pytest.raises(Exception, match="evidence"):
            Finding(condition, Status.FAILS, Evidence.EXACT, "", Witness("law.set", data)).verify(first)
