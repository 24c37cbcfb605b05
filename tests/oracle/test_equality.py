"""Equality in law decided against densities, quadrature and known pairs; every proof goes through the verifier."""

from __future__ import annotations

import math
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from common.network_strategies import random_network
from common.pairs import EXAMPLE_4
from common.reference import reference_log_density
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.test_identity import changed, models, nonzero, small
from oracle.test_plane_identity import REGULAR, SINGULAR, change, mixture, network, rewritten, split
from scipy.integrate import dblquad, quad

from ident_theory import ConditionalPrior, GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork, law
from ident_theory.laws.equality import equal_in_law
from ident_theory.laws.equality_sets import most_curved, steepest
from ident_theory.models import LaplaceNoise, LogisticNoise, StudentNoise, UniformNoise
from ident_theory.models.change import AffineChange
from ident_theory.numerics import Evidence, Status

ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
#: (|z1|, z2)
FOLD = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, -1]]], [[0] * 4, [0, 0]])
NOISE = GaussianNoise("1/2")
THIRDS = ["1/3"] * 3
NOISES = (None, NOISE, LaplaceNoise(1), LogisticNoise(1), StudentNoise(1, 3), UniformNoise(1))


def answer(a: Model, b: Model) -> Status:
    """The status, after the proof has been checked by the verifier."""
    finding = equal_in_law(a, b)
    finding.verify(a)
    assert finding.status is Status.UNKNOWN or finding.proof is not None
    return finding.status


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("means", "status"), [((-2, 1, 3), Status.HOLDS), ((2, -1, -3), Status.HOLDS),
                                               ((-2, 2, 3), Status.FAILS)])
def test_remark_36(noise, means, status) -> None:
    """|z| with means (-2, -1, 3): equal in law though no affine map leads to (-2, 1, 3) (ledger kivva.rem3.6)."""
    a = Model(GaussianMixture(THIRDS, [-2, -1, 3], [1, 1, 1]), ABSOLUTE, noise)
    assert answer(a, Model(GaussianMixture(THIRDS, means, [1, 1, 1]), ABSOLUTE, noise)) is status


@pytest.mark.parametrize("noise", NOISES)
def test_example_4(noise) -> None:
    """Two maps with 3 and with 4 kinks (ledger kivva.ex4)."""
    other = PiecewiseAffineMap([-4, -2, 2, 4], ["1/5", -1, 1, -1, 1], ["4/5", -4, 0, 4, -4])
    prior = GaussianMixture(["1/2", "1/2"], [-2, 2], [1, 1])
    a = Model(prior, EXAMPLE_4, noise)
    assert answer(a, Model(prior, other, noise)) is Status.HOLDS
    uneven = GaussianMixture(["1/3", "2/3"], [-2, 2], [1, 1])
    assert answer(Model(uneven, EXAMPLE_4, noise), Model(uneven, other, noise)) is Status.FAILS


@pytest.mark.parametrize("noise", [None, NOISE])
def test_remark_36_beside_a_second_latent(noise) -> None:
    """Equal in law with two latents, by no affine map."""
    def model(first, second=(0, 1, 2)) -> Model:
        means = [list(pair) for pair in zip(first, second, strict=True)]
        return Model(GaussianMixture(THIRDS, means, [[1, 1]] * 3), FOLD, noise)

    a = model((-2, -1, 3))
    assert answer(a, model((-2, 1, 3))) is Status.HOLDS
    assert answer(a, model((2, 1, -3))) is Status.HOLDS
    assert answer(a, model((-2, 1, 3), (0, 1, "2.000001"))) is Status.FAILS
    assert answer(a, model((-2, 1, "3.5"))) is Status.FAILS


@settings(max_examples=60)
@given(st.integers(1, 2).flatmap(models), nonzero, small)
def test_one_latent_changed_affinely(a: Model, s: Fraction, t: Fraction) -> None:
    assert answer(a, changed(a, s, t)) is Status.HOLDS


@settings(max_examples=60)
@given(st.integers(1, 2).flatmap(lambda n: st.tuples(models(n), models(n))), st.booleans())
def test_one_latent_against_densities(pair, one_map: bool) -> None:
    """Any two models: equal exactly when float log densities agree at many points."""
    a, b = pair
    if one_map and isinstance(a.decoder, ReLUNetwork):
        b = Model(b.prior, a.decoder, NOISE)
    rng = np.random.default_rng(0)
    points = np.vstack([law(m).sample(60, rng) for m in pair])
    gap = np.abs(law(a).log_density(points) - law(b).log_density(points)).max()
    assert answer(a, b) is (Status.HOLDS if gap < 1e-9 else Status.FAILS)


@settings(max_examples=100)
@given(st.integers(1, 2).flatmap(lambda n: st.tuples(models(n), models(n))), st.booleans())
def test_one_latent_without_noise(pair, one_map: bool) -> None:
    """Jumps, atoms and polygonal curves: the answer with noise, and an accepted set."""
    a, b = pair
    if one_map and isinstance(a.decoder, ReLUNetwork):
        b = Model(b.prior, a.decoder, NOISE)
    bare = [Model(m.prior, m.decoder) for m in (a, b)]
    finding = equal_in_law(*bare)
    finding.verify(bare[0])
    assert finding.status is equal_in_law(a, b).status
    assert finding.proof.kind == ("law.equal" if finding.status is Status.HOLDS else "law.set")


def perturbed(rng: Random, prior: GaussianMixture, f: ReLUNetwork) -> tuple[GaussianMixture, ReLUNetwork]:
    """One number of the prior's means or of the network changed."""
    step = rng.choice([1, -1, Fraction(1, 7)])
    if rng.random() < 0.4:
        means = prior.means_exact.copy()
        means[rng.randrange(len(means)), rng.randrange(2)] += step
        return GaussianMixture(prior.weights_exact, means.tolist(), prior.covariances_exact), f
    layer = rng.randrange(f.depth)
    weights, biases = [w.copy() for w in f.weights_exact], [b.copy() for b in f.biases_exact]
    if rng.random() < 0.5:
        weights[layer][tuple(rng.randrange(k) for k in weights[layer].shape)] += step
    else:
        biases[layer][rng.randrange(len(biases[layer]))] += step
    return prior, ReLUNetwork(weights, biases, f.negative_slope_exact)


def one_change(rng: Random) -> tuple[Model, Model, Model]:
    """A model, an equivalent one, and that with one number changed."""
    n = rng.randint(1, 3)
    prior, f, h = mixture(rng, REGULAR + SINGULAR), network(rng, n), change(rng)
    q, g = split(h.carry(prior)), rewritten(rng, h.precompose(f))
    return Model(prior, f, NOISE), Model(q, g, NOISE), Model(*perturbed(rng, q, g), NOISE)


def campaign(seeds, verify: bool) -> dict[Status, int]:
    """Equivalent pairs are equal; perturbed ones exactly when densities in float64 agree."""
    found = dict.fromkeys(Status, 0)
    for seed in seeds:
        a, b, c = one_change(Random(seed))
        assert equal_in_law(a, b).status is Status.HOLDS
        finding = equal_in_law(a, c, budget=None if verify else 0.3)
        points = np.vstack([law(m).sample(100, np.random.default_rng(seed)) for m in (a, c)])
        gap = np.abs(law(a).log_density(points) - law(c).log_density(points)).max()
        # Differences far out under weights of 1e-20 are invisible in samples, so small gaps leave it open.
        assert finding.status is (Status.FAILS if gap > 1e-8 else Status.HOLDS) or gap < 1e-8, seed
        if finding.status is Status.FAILS and gap < 1e-8:
            assert equal_in_law(a, c).proof is not None
        found[finding.status] += 1
        if verify:
            finding.verify(a)
    return found


def test_one_number_changed() -> None:
    found = campaign(range(24), True)
    assert found[Status.FAILS] > 10
    assert found[Status.HOLDS] > 1
    assert not found[Status.UNKNOWN]


@pytest.mark.slow
def test_one_number_changed_many_times() -> None:
    found = campaign(range(1000, 3000), False)
    assert found[Status.FAILS] > 1000
    assert not found[Status.UNKNOWN]


def numbers_of(data, *names):
    return [np.array([[float(Fraction(v)) for v in row] for row in np.atleast_2d(np.array(data[n], dtype=object))])
            for n in names]


@pytest.mark.parametrize("gap", ["1/10", "1/1000", "1/1000000"])
def test_a_set_of_the_line_by_quadrature(gap: str) -> None:
    """P_a(S) - P_b(S) by integrating the log densities, against the certified amount."""
    a = Model(GaussianMixture(THIRDS, [-2, -1, 3], [1, 1, 1]), ABSOLUTE, NOISE)
    b = Model(GaussianMixture(THIRDS, [-2, 1, 3 + Fraction(gap)], [1, 1, 1]), ABSOLUTE, NOISE)
    finding = equal_in_law(a, b)
    finding.verify(a)
    assert finding.evidence is Evidence.CERTIFIED
    data = finding.proof.data
    center, radius, claim = (float(Fraction(v)) for v in (data["center"][0], data["radius"], data["at_least"]))
    low, high = center - radius, center + radius
    value = quad(lambda x: np.exp(law(a).log_density([x])[0]) - np.exp(law(b).log_density([x])[0]), low, high,
                 epsabs=1e-18)[0]
    assert claim <= abs(value) <= 6 * claim  # what the bound gives away: the margin, and the slope of the noise
    for name, model in (("first", a), ("second", b)):
        low_p, high_p = finding.details[f"probability_{name}"]
        mass = float(np.diff(law(model).cdf(np.array([low, high])))[0])
        assert low_p - 1e-13 <= mass <= high_p + 1e-13
        lo, hi = finding.details[f"density_{name}"]
        assert lo <= math.exp(reference_log_density(model, [center])) * (1 + 1e-14)
        assert hi >= math.exp(reference_log_density(model, [center])) * (1 - 1e-14)


def test_a_set_of_the_plane_by_quadrature() -> None:
    rng = Random(4)
    for _ in range(3):
        prior, f = mixture(rng, REGULAR, 2), network(rng, 2)
        a = Model(prior, f, NOISE)
        b = Model(GaussianMixture(prior.weights_exact, (prior.means_exact + Fraction(1, 3)).tolist(),
                                  prior.covariances_exact), f, NOISE)
        finding = equal_in_law(a, b)
        if finding.status is Status.HOLDS:
            continue
        finding.verify(a)
        data = finding.proof.data
        (x, y), r = (float(Fraction(v)) for v in data["center"]), float(Fraction(data["radius"]))
        laws = law(a), law(b)
        value = dblquad(lambda v, u, p=laws: float(np.diff([np.exp(one.log_density([[u, v]])[0]) for one in p])[0]),
                        x - r, x + r, y - r, y + r, epsabs=1e-12, epsrel=1e-4)[0]
        assert abs(value) >= float(Fraction(data["at_least"])) * (1 - 1e-3)


def test_sets_without_noise_by_sampling() -> None:
    """Atoms, stretches and parallelograms: the claimed amount against the frequencies of samples."""
    rng, kinds = Random(8), set()
    size = 100_000
    for seed in range(25):
        kind = REGULAR + SINGULAR if seed % 2 else REGULAR
        f = network(rng, rng.randint(1, 3)) if seed % 2 else random_network(rng, [2, 3, 2], 2, Fraction(1, 2))
        prior, other = mixture(rng, kind, 2), mixture(rng, kind, 2)
        a, b = Model(prior, f), Model(other, f)
        finding = equal_in_law(a, b)
        finding.verify(a)
        if finding.status is not Status.FAILS:
            continue
        data = finding.proof.data
        assert finding.proof.kind == "law.set"
        claim, r = float(Fraction(data["at_least"])), float(Fraction(data["radius"]))
        center = np.array([float(Fraction(v)) for v in data["center"]])
        kinds.add(len(data["directions"]))
        shares = []
        for model in (a, b):
            x = np.asarray(f(model.prior.sample(size, np.random.default_rng(seed))[0])) - center
            if data["directions"]:
                basis, = numbers_of(data, "directions")
                s = np.linalg.lstsq(basis.T, x.T, rcond=None)[0]
                inside = (np.abs(s) <= r).all(axis=0) & (np.abs(basis.T @ s - x.T) < 1e-9).all(axis=0)
            else:
                inside = (np.abs(x) < 1e-9).all(axis=1)
            shares.append(inside.mean())
        # Five standard errors of a difference of frequencies.
        assert abs(shares[0] - shares[1]) >= claim - 5 * math.sqrt(2 * max(*shares, 1 / size) / size)
    assert kinds == {0, 1, 2}


def test_near_ties_are_seen_in_balls() -> None:
    """A change of 1e-30 and a change far out in the tail, below everything that floats see."""
    a = Model(GaussianMixture(THIRDS, [-2, -1, 3], [1, 1, 1]), ABSOLUTE, NOISE)
    b = Model(GaussianMixture(THIRDS, [-2, -1, 3 + Fraction(1, 10**30)], [1, 1, 1]), ABSOLUTE, NOISE)
    far = ReLUNetwork([[[1], [-1], [1]], [[1, 1, 1]]], [[0, 0, -40], [0]])
    for other in (b, Model(a.prior, far, NOISE)):
        finding = equal_in_law(a, other)
        assert finding.proof.kind == "law.set"
        finding.verify(a)
    plane = Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), FOLD, NOISE)
    shifted = Model(GaussianMixture([1], [[0, Fraction(1, 10**15)]], [[1, 1]]), FOLD, NOISE)
    finding = equal_in_law(plane, shifted)
    assert finding.proof.kind == "law.set"
    finding.verify(plane)


def test_one_latent_against_two() -> None:
    """|z1 + z2| and |z|; a component on a line; a constant."""
    one = Model(GaussianMixture(["1/2", "1/2"], [1, 3], [2, 5]), ABSOLUTE, NOISE)
    wide = ReLUNetwork([[[1, 1], [-1, -1]], [[1, 1]]], [[0, 0], [0]])
    two = Model(GaussianMixture(["1/2", "1/2"], [[0, 1], [-3, 0]], [[1, 1], [2, 3]]), wide, NOISE)
    thin = Model(GaussianMixture(["1/2", "1/2"], [[0, 1], [5, -8]], [[[2, 0], [0, 0]], [[1, 0], [0, 4]]]),
                 wide, NOISE)
    assert answer(one, two) is answer(two, one) is answer(one, thin) is Status.HOLDS
    off = Model(GaussianMixture(["1/2", "1/2"], [[0, 1], [-3, 0]], [[1, 1], [2, 2]]), wide, NOISE)
    assert answer(one, off) is answer(off, one) is Status.FAILS
    flat = [Model(GaussianMixture([1], m, v), ReLUNetwork([w], [[3]]), NOISE)
            for m, v, w in (([0], [1], [[0]]), ([[1, 2]], [[1, 1]], [[0, 0]]))]
    assert answer(*flat) is Status.HOLDS


def test_three_latents_by_an_affine_map() -> None:
    prior = GaussianMixture(["1/2", "1/2"], [[0, 1, 2], [1, 0, 0]], [[1, 2, 3], [1, 1, 1]])
    f = ReLUNetwork([[[1, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 1]], [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]]],
                    [[0, 1, 0, 0], [0, 0, 0]], "1/10")
    h = AffineChange([[1, 2, 0], [0, 1, 0], [1, 0, -1]], [1, 0, 2])
    a = Model(prior, f, NOISE)
    finding = equal_in_law(a, Model(split_three(h.carry(prior)), h.precompose(f), NOISE))
    assert finding.status is Status.HOLDS
    finding.verify(a)
    moved = Model(GaussianMixture(["1/3", "2/3"], prior.means_exact, prior.covariances_exact), f, NOISE)
    assert equal_in_law(a, moved).status is Status.UNKNOWN
    assert equal_in_law(a, Model(GaussianMixture([1], [[0]], [[[1]]]), ReLUNetwork([[[1]] * 3], [[0] * 3]), NOISE)
                        ).status is Status.UNKNOWN


def split_three(prior: GaussianMixture) -> GaussianMixture:
    return GaussianMixture(["1/4", "1/2", "1/4"], [prior.means_exact[i].tolist() for i in (0, 1, 0)],
                           [prior.covariances_exact[i].tolist() for i in (0, 1, 0)])


@pytest.mark.parametrize("noise", [None, NOISE])
def test_normal_laws_given_u(noise) -> None:
    """Every u on its own; two and one latents; families that write the same normal laws differently."""
    first = ConditionalPrior.from_means_variances([[0, 1], [-1, 2]], [[1, 2], [1, 1]])
    folded = ConditionalPrior.from_means_variances([[0, 1], [1, 2]], [[1, 2], [1, 1]])
    a = Model(first, FOLD, noise)
    assert answer(a, Model(folded, FOLD, noise)) is Status.HOLDS
    other = ConditionalPrior.from_means_variances([[0, 1], [1, "2.5"]], [[1, 2], [1, 1]])
    finding = equal_in_law(a, Model(other, FOLD, noise))
    assert finding.status is Status.FAILS
    assert finding.reason.startswith("For u = 1")
    assert finding.proof.data["u"] == 1
    finding.verify(a)
    lines = [Model(ConditionalPrior(family, table), ABSOLUTE, noise) for family, table in (
        ("normal", [[["1/2", "-1/2"]], [[-2, "-1/2"]]]), ("normal_mean", [[["-1/2"]], [[2]]]),
        ("normal_variance", [[["-1/2"]], [[-2]]]))]
    assert answer(lines[0], lines[1]) is Status.HOLDS
    assert answer(lines[1], lines[2]) is Status.FAILS


def test_steepest_slope_of_the_noise() -> None:
    """The bound of |grad phi| against a fine grid of the density."""
    noise = GaussianNoise(covariance=[[2, 1], [1, 1]])
    with ctx.workprec(64):
        bound = float(arb(steepest(noise, 2)).mid())
    axis = np.linspace(-4, 4, 801)
    x, y = np.meshgrid(axis, axis)
    density = np.exp(-0.5 * (x**2 - 2 * x * y + 2 * y**2)) / (2 * math.pi)
    slope = np.hypot(*np.gradient(density, axis, axis)).max()
    assert slope <= bound <= 1.5 * slope
    assert float(steepest(GaussianNoise(2), 1).mid()) == pytest.approx(math.exp(-0.5) / (4 * math.sqrt(2 * math.pi)))


def test_largest_curvature_of_the_noise() -> None:
    """The bound of the norm of the Hessian against second differences of the density on a fine grid."""
    covariance = np.array([[2, 1], [1, 1]])
    precision = np.linalg.inv(covariance)
    axis = np.linspace(-4, 4, 401)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)

    def density(x: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * ((x @ precision) * x).sum(1)) / (2 * math.pi)

    step = 1e-3 * np.eye(2)
    hessians = np.array([[(density(points + u + v) - density(points + u - v) - density(points - u + v)
                           + density(points - u - v)) / 4e-6 for v in step] for u in step])
    largest = np.abs(np.linalg.eigvalsh(hessians.transpose(2, 0, 1))).max()
    with ctx.workprec(64):
        bound = float(arb(most_curved(GaussianNoise(covariance=covariance.tolist()), 2)).mid())
    assert 0.999 * largest <= bound <= 1.5 * largest
    one = float(most_curved(GaussianNoise(2), 1).mid())
    assert one == pytest.approx(1 / (8 * math.sqrt(2 * math.pi)))
