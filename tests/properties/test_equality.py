"""Equality in law on random pairs: equivalent ones are always equal, and one changed number never goes unnoticed.

The oracle is tests/common/law_oracle.py: brute force over sign patterns, exact on planes, 60 digits elsewhere.
"""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from common.law_oracle import Verdict, compare_laws
from scipy import stats

from ident_theory import (
    CertificateRejected,
    ConditionalPrior,
    Equivalence,
    Evidence,
    FejerNoise,
    Finding,
    GaussianMixture,
    GaussianNoise,
    InputError,
    LaplaceNoise,
    LogisticNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    Status,
    StudentNoise,
    UniformNoise,
    equal_in_law,
    law,
)
from ident_theory.testing.matrices import apply, identity, plus
from ident_theory.testing.random_models import random_covariance, random_model, random_noise, random_prior
from ident_theory.testing.rewriting import layers_of
from ident_theory.testing.strategies_pairs import changed, equivalent_pair, perturbed, random_change


def decided(a: Model, b: Model, **options) -> Finding:
    """The finding, its proof checked after a round trip through JSON."""
    finding = equal_in_law(a, b, **options)
    assert finding.condition == "equal_in_law"
    assert finding.status is not Status.UNKNOWN, finding.reason
    again = Finding.from_dict(json.loads(json.dumps(finding.to_dict())))
    assert again.to_dict() == finding.to_dict()
    assert again.proof is not None
    again.verify(a)
    return again


def agrees(a: Model, b: Model) -> tuple[Verdict, Finding]:
    """The oracle's verdict and the finding, which says the same."""
    verdict, where = compare_laws(a, b)
    finding = decided(a, b)
    assert (finding.status is Status.FAILS) is (verdict is Verdict.DIFFERENT), (where, finding.reason)
    return verdict, finding


def run(seeds: range, m: int, **options) -> Counter:
    seen: Counter = Counter()
    for seed in seeds:
        rng = Random(seed)
        pair = equivalent_pair(rng, m=m, **options)
        finding = decided(pair.first, pair.second)
        assert finding.status is Status.HOLDS, (seed, pair.up_to, pair.steps, finding.reason)
        assert finding.evidence is Evidence.EXACT
        changed, where = perturbed(rng, pair.second)
        try:
            verdict, finding = agrees(pair.first, changed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {where}") from error
        seen[verdict is Verdict.DIFFERENT] += 1
        if verdict is Verdict.DIFFERENT and not seed % 5:
            finding.verify(pair.second)  # equal in law to the first model, so what is proved of one holds for the other
        if verdict is not Verdict.DIFFERENT and finding.evidence is not Evidence.EXACT:
            seen["not exact"] += 1
    return seen


def test_one_latent():
    seen = run(range(120), 1)
    assert seen[True] > 70


def test_two_latents():
    seen = run(range(10_000, 10_025), 2)
    assert seen[True] > 10


def test_fewer_observations_than_latents():
    assert run(range(20_000, 20_010), 2, n=1)[True] > 3


@pytest.mark.slow
@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("start", range(100_000, 108_000, 1000))
def test_thousands(m, start):
    run(range(start, start + (1000 if m == 1 else 250)), m)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(200_000, 204_000, 1000))
def test_larger_networks(start):
    run(range(start, start + 40), 2, most=5)


def with_ignored_latent(rng: Random, model: Model) -> Model:
    """One latent more, correlated with the others perhaps, of which the decoder takes no notice."""
    weights, biases, slope = layers_of(model.decoder)
    prior, more = model.mixture, []
    for c in prior.covariances_exact.tolist():
        tie = [Fraction(rng.randint(-1, 1)) for _ in c]
        cross = [sum(t * v for t, v in zip(tie, column, strict=True)) for column in zip(*c, strict=True)]
        size = sum(t * v for t, v in zip(tie, cross, strict=True)) + rng.randint(0, 2)
        more.append([*([*row, v] for row, v in zip(c, cross, strict=True)), [*cross, size]])
    means = [[*mean, Fraction(rng.randint(-2, 2))] for mean in prior.means_exact.tolist()]
    decoder = ReLUNetwork([[[*row, 0] for row in weights[0]], *weights[1:]], biases, slope)
    return Model(GaussianMixture(prior.weights_exact.tolist(), means, more), decoder, model.noise)


def test_models_with_different_numbers_of_latents():
    done = 0
    for seed in range(30):
        rng = Random(seed)
        first = random_model(rng, m=1)
        if not isinstance(first.decoder, ReLUNetwork):
            continue
        second = with_ignored_latent(rng, first)
        assert decided(first, second).status is Status.HOLDS, seed
        changed, _ = perturbed(rng, second)
        agrees(first, changed)
        agrees(changed, first)
        done += 1
    assert done > 15


def test_unrelated_models():
    """Small integers, so that some of them are equal by accident; both orders say the same."""
    for seed in range(60):
        rng = Random(seed)
        m = rng.choice((1, 1, 1, 2))
        n = rng.randint(m, m + 1)
        noise = random_noise(rng, n)
        models = []
        for _ in range(2):
            net = ReLUNetwork([[[rng.randint(-1, 1) for _ in range(m)] for _ in range(2)],
                               [[rng.randint(-1, 1) for _ in range(2)] for _ in range(n)]],
                              [[rng.randint(-1, 1) for _ in range(2)], [0] * n], 0)
            signs = [rng.choice((-1, 1)) for _ in range(2)]
            prior = GaussianMixture(["1/2", "1/2"], [[s] * m for s in signs], [identity(m)] * 2)
            models.append(Model(prior, net, noise))
        verdict, _ = agrees(*models)
        back, _ = agrees(*models[::-1])
        assert back is verdict


def test_laws_that_no_affine_map_explains():
    """Folding: f(z) = g(|z_1|) forgets the sign, so components may be reflected one by one."""
    for seed in range(40):
        rng = Random(seed)
        m = rng.choice((1, 2))
        rest = identity(m)[1:]
        fold = [identity(m)[0], [-v for v in identity(m)[0]], *rest, *([-v for v in row] for row in rest)]
        join = [[1, 1] + [0] * (2 * m - 2)] + [[0, 0, *(int(j == i) - int(j == i + m - 1) for j in range(2 * m - 2))]
                                               for i in range(m - 1)]
        g = random_model(rng, m=m, n=m).decoder
        if not isinstance(g, ReLUNetwork) or g.negative_slope_exact:
            continue
        weights, biases, _ = layers_of(g)
        inner = [[sum(w * j for w, j in zip(row, column, strict=True)) for column in zip(*join, strict=True)]
                 for row in weights[0]]
        net = ReLUNetwork([fold, inner, *weights[1:]], [[0] * 2 * m, *biases], 0)
        prior = random_prior(rng, m, singular=False)
        flips = [rng.choice((-1, 1)) for _ in prior.weights_exact]
        means = [[s * mean[0], *mean[1:]] for s, mean in zip(flips, prior.means_exact.tolist(), strict=True)]
        covariances = [[[v * (s if (i == 0) != (j == 0) else 1) for j, v in enumerate(row)] for i, row in enumerate(c)]
                       for s, c in zip(flips, prior.covariances_exact.tolist(), strict=True)]
        other = GaussianMixture(prior.weights_exact.tolist(), means, covariances)
        noise = random_noise(rng, m)
        assert decided(Model(prior, net, noise), Model(other, net, noise)).status is Status.HOLDS, seed


# The set on which the probabilities differ


def different_sets(seeds: range, **options):
    for seed in seeds:
        rng = Random(seed)
        pair = equivalent_pair(rng, **options)
        changed, _ = perturbed(rng, pair.second, Fraction(1, rng.choice((1, 10, 1000))))
        if compare_laws(pair.first, changed)[0] is Verdict.DIFFERENT:
            finding = decided(pair.first, changed)
            assert finding.witness is not None
            if finding.witness.kind == "law.set":
                yield pair.first, changed, finding.witness.data


def number(text) -> float:
    return float(Fraction(text))


def test_the_set_tells_the_laws_apart_on_the_line():
    """By distribution functions: n = 1, with Gaussian noise and without."""
    checked = 0
    for seeds, noise in ((range(40), None), (range(40, 80), GaussianNoise("1/4"))):
        for a, b, data in different_sets(seeds, m=1, n=1):
            a, b = Model(a.mixture, a.decoder, noise), Model(b.mixture, b.decoder, noise)
            data = equal_in_law(a, b).proof.data
            center, radius, least = number(data["center"][0]), number(data["radius"]), number(data["at_least"])
            if data["directions"]:
                reach = abs(number(data["directions"][0][0])) * radius
                ends = [center - reach, center + reach]
                gap = float(np.diff(law(a).cdf(ends) - law(b).cdf(ends))[0])
            else:
                gap = mass(a, [center]) - mass(b, [center])
            assert least > 0
            assert abs(gap) >= least * (1 - 1e-6) - 1e-14
            checked += least > 1e-12
    assert checked > 15


def mass(model: Model, place) -> float:
    atoms = law(model).atoms()
    near = np.flatnonzero((np.abs(atoms.locations - np.array(place)) < 1e-12).all(axis=1))
    return float(atoms.masses[near].sum())


def test_the_set_tells_the_laws_apart_in_the_plane():
    """Two latents, two observations, a box so small that the density is nearly constant on it."""
    checked = 0
    for a, b, data in different_sets(range(14), m=2, n=2):
        center = np.array([number(v) for v in data["center"]])
        radius, least = number(data["radius"]), number(data["at_least"])
        directions = np.array([[number(v) for v in row] for row in data["directions"]])
        if len(directions) != 2 or isinstance(a.noise, LaplaceNoise):
            continue
        corners = [center + radius * (s * directions[0] + t * directions[1]) for s in (-.9, -.3, .3, .9)
                   for t in (-.9, -.3, .3, .9)]
        volume = 4 * radius**2 * abs(np.linalg.det(directions))
        gaps = [np.exp(law(a).log_density(x[None])) - np.exp(law(b).log_density(x[None])) for x in corners]
        assert np.abs(np.mean(gaps)) * volume >= 0.9 * least - 1e-14
        checked += 1
    assert checked > 2


# What stands in the proof


def test_a_proof_for_another_pair_is_rejected():
    rejected = 0
    for seed in range(40):
        rng = Random(seed)
        m = rng.choice((1, 1, 1, 2))
        pair = equivalent_pair(rng, m=m)
        finding = decided(pair.first, pair.second)
        other, _ = perturbed(rng, pair.first)
        if compare_laws(other, pair.second)[0] is Verdict.DIFFERENT:
            with pytest.raises(CertificateRejected):
                finding.verify(other)
            difference = decided(other, pair.second)
            with pytest.raises(CertificateRejected):
                difference.verify(pair.first)
            rejected += 1
        tree = finding.to_dict()
        tree["status"] = "fails"
        tree["witness"] = tree.pop("certificate")
        with pytest.raises(CertificateRejected):
            Finding.from_dict(tree).verify(pair.first)
    assert rejected > 15


def test_other_noise_is_no_equal_model():
    prior, net = GaussianMixture([1], [0], [1]), ReLUNetwork([[[1]]], [[0]])
    for one, other in ((None, GaussianNoise(1)), (GaussianNoise(1), GaussianNoise(2)), (GaussianNoise(1),
                                                                                     LaplaceNoise(1))):
        with pytest.raises(InputError):
            equal_in_law(Model(prior, net, one), Model(prior, net, other))


def test_bad_input_is_refused():
    prior, net = GaussianMixture([1], [0], [1]), ReLUNetwork([[[1]]], [[0]])
    model = Model(prior, net)
    with pytest.raises(InputError):
        equal_in_law(model, Model(prior, ReLUNetwork([[[1], [1]]], [[0, 0]])))
    with pytest.raises(InputError):
        equal_in_law(model, net)
    with pytest.raises(InputError):
        equal_in_law(model, model, numbers="approximate")


# Cases made to be hard


def test_singular_components_and_kinks():
    """Point masses on kinks, components on lines through kinks, and weight on nothing else."""
    net = ReLUNetwork([[[1, 0], [0, 1]], [[1, 1], [1, -1]]], [[0, 0], [0, 0]], 0)
    point = [[0, 0], [0, 0]]
    line = [[1, 1], [1, 1]]
    first = Model(GaussianMixture(["1/2", "1/2"], [[0, 0], [0, 0]], [point, line]), net)
    folded = Model(GaussianMixture(["3/4", "1/4"], [[-1, -3], [0, 0]], [point, line]), net)
    moved = Model(GaussianMixture(["1/2", "1/2"], [[-1, -3], [0, 0]], [point, line]), net)
    assert decided(first, moved).status is Status.HOLDS
    assert decided(first, folded).status is Status.FAILS
    for seed in range(12):
        rng = Random(seed)
        pair = equivalent_pair(rng, m=2, singular=True)
        assert decided(pair.first, pair.second).status is Status.HOLDS, seed
        agrees(pair.first, perturbed(rng, pair.second)[0])


def test_one_part_in_ten_to_the_thirty():
    for m, seeds in ((1, range(20)), (2, range(8))):
        for seed in seeds:
            rng = Random(seed)
            pair = equivalent_pair(rng, m=m, n=m, steps=0)
            changed, where = perturbed(rng, pair.second, Fraction(1, 10**30))
            verdict, _ = compare_laws(pair.first, changed)
            if verdict is not Verdict.AGREES:
                finding = decided(pair.first, changed)
                assert (finding.status is Status.FAILS) is (verdict is Verdict.DIFFERENT), (seed, where)


def test_floats_are_the_rationals_they_hold():
    """0.1 + 0.2 is not 0.3; with numbers read as rounded it is not known to differ."""
    prior = GaussianMixture([0.5, 0.5], [0.3, 1.0], [1.0, 2.0])
    nearly = GaussianMixture([0.5, 0.5], [0.1 + 0.2, 1.0], [1.0, 2.0])
    net = ReLUNetwork([[[1.0], [0.5]], [[1.0, 0.7]]], [[0.0, 0.25], [0.0]])
    noise = GaussianNoise(0.5)
    a, b = Model(prior, net, noise), Model(nearly, net, noise)
    assert decided(a, b).status is Status.FAILS
    rounded = equal_in_law(a, b, numbers="rounded")
    assert rounded.status is Status.UNKNOWN
    far = Model(GaussianMixture([0.5, 0.5], [0.3, 1.125], [1.0, 2.0]), net, noise)
    difference = equal_in_law(a, far, numbers="rounded")
    assert difference.status is Status.FAILS
    difference.verify(a)


def as_network(f: PiecewiseAffineMap) -> ReLUNetwork:
    """A continuous map of the line as a ReLU network of one hidden layer."""
    breaks, slopes = f.breakpoints_exact.tolist(), f.slopes_exact[:, 0].tolist()
    steps = [b - a for a, b in zip(slopes[:-1], slopes[1:], strict=True)]
    return ReLUNetwork([[[1], [-1], *([1] for _ in breaks)], [[slopes[0], -slopes[0], *steps]]],
                       [[0, 0, *(-t for t in breaks)], [f.intercepts_exact[0, 0]]])


def beside_a_latent(f: ReLUNetwork, mix: list[list[int]]) -> ReLUNetwork:
    """(x, y) -> mix (f(x), y)."""
    (w, out), (b, last), _ = layers_of(f)
    wide = [[*row, 0] for row in w] + [[0, 1], [0, -1]]
    lift = [[*out[0], 0, 0], [0] * len(out[0]) + [1, -1]]
    rows = [[sum(c * v for c, v in zip(row, column, strict=True)) for column in zip(*lift, strict=True)] for row in mix]
    return ReLUNetwork([wide, rows], [[*b, 0, 0], [row[0] * last[0] for row in mix]])


@pytest.mark.parametrize("mix", [[[1, 0], [0, 1]], [[1, 2], [-1, 1], [0, 3]]])
@pytest.mark.parametrize("noise", [None, GaussianNoise(1)])
def test_example_4_beside_another_latent(mix, noise):
    """A piecewise self-map that keeps the law of x given y, in a plane and in a plane of three observations."""
    f = as_network(PiecewiseAffineMap([-4, -2, 2], ["1/5", 1, -1, 1], ["4/5", 4, 0, -4]))
    g = as_network(PiecewiseAffineMap([-4, -2, 2, 4], ["1/5", -1, 1, -1, 1], ["4/5", -4, 0, 4, -4]))
    means = [[-2, 0], [2, 0], [-2, 1], [2, 1]]
    prior = GaussianMixture(["1/8", "1/8", "3/8", "3/8"], means, [[1, 1], [1, 1], [1, 2], [1, 2]])
    skew = GaussianMixture(["1/8", "1/8", "3/8", "3/8"], means, [[1, 1], [1, "11/10"], [1, 2], [1, 2]])
    models = [[Model(p, beside_a_latent(h, mix), noise) for h in (f, g)] for p in (prior, skew)]
    assert decided(*models[0]).status is Status.HOLDS
    assert decided(*models[1]).status is Status.FAILS
    agrees(*models[0])
    agrees(*models[1])


@pytest.mark.parametrize("place", [5, 100, 1000, 10**6])
def test_a_bump_far_out_is_seen(place):
    """A hat of height 1/100 at so many standard deviations changes the law by as little as exp(-10^12 / 2)."""
    hat = Fraction(1, 100)
    line = ReLUNetwork([[[1], [-1]], [[1, -1]]], [[0, 0], [0]])
    bump = ReLUNetwork([[[1]] * 4 + [[-1]], [[1, hat, -2 * hat, hat, -1]]],
                       [[0, 1 - place, -place, -1 - place, 0], [0]])
    prior = GaussianMixture([1], [0], [1])
    for noise in (None, GaussianNoise(1)):
        assert decided(Model(prior, line, noise), Model(prior, bump, noise)).status is Status.FAILS
    plane = GaussianMixture([1], [[0, 0]], [[1, 1]])
    pair = [Model(plane, beside_a_latent(net, [[1, 0], [0, 1]])) for net in (line, bump)]
    assert decided(*pair).status is Status.FAILS


@pytest.mark.parametrize("noise", [UniformNoise(1), FejerNoise(1), StudentNoise(1, 3), LogisticNoise(1),
                                   LaplaceNoise(1)])
def test_any_known_noise_can_be_removed(noise):
    """Also noise whose characteristic function has zeros: that of f(Z) is analytic (kivva.noise)."""
    net = ReLUNetwork([[[1], [2]], [[1, -1]]], [[0, 1], [0]])
    one, two, other = (GaussianMixture(["1/3", "2/3"], [m, 1], [1, 1]) for m in (0, 0, "1/9"))
    assert decided(Model(one, net, noise), Model(two, net, noise)).status is Status.HOLDS
    difference = equal_in_law(Model(one, net, noise), Model(other, net, noise))
    difference.verify(Model(one, net, noise))
    assert difference.status is Status.FAILS


def test_normal_priors_given_u():
    """Factorial normal latents for every u, behind a signed scaling: equal for every u, or not for some."""
    seen: Counter = Counter()
    for seed in range(40):
        rng = Random(seed)
        m = rng.choice((1, 1, 2))
        decoder = random_model(rng, m=m, n=m).decoder
        count = rng.randint(1, 4)
        means = [[Fraction(rng.randint(-2, 2)) for _ in range(m)] for _ in range(count)]
        variances = [[Fraction(rng.choice((1, 1, 2, 3)), 2) for _ in range(m)] for _ in range(count)]
        a, b = random_change(rng, m, Equivalence.MONOMIAL)
        moved = changed(Model(GaussianMixture([1], [[0] * m], [[1] * m]), decoder), a, b).decoder
        new_means = [plus(apply(a, mean), b) for mean in means]
        new_variances = [[sum(v * s * s for v, s in zip(row, line, strict=True)) for line in a] for row in variances]
        first = Model(ConditionalPrior.from_means_variances(means, variances), decoder)
        assert decided(first, Model(ConditionalPrior.from_means_variances(new_means, new_variances), moved)
                       ).status is Status.HOLDS
        new_means[rng.randrange(count)][rng.randrange(m)] += Fraction(1, 7)
        second = ConditionalPrior.from_means_variances(new_means, new_variances)
        different = any(compare_laws(Model(given(first.prior, u), decoder), Model(given(second, u), moved))[0]
                        is Verdict.DIFFERENT for u in range(count))
        assert (decided(first, Model(second, moved)).status is Status.FAILS) is different
        seen[different] += 1
    assert min(seen.values()) > 3


def given(prior: ConditionalPrior, u: int) -> GaussianMixture:
    """The normal law of the latent at one u."""
    variances = [-1 / (2 * second) for _, second in prior.natural_exact[u]]
    return GaussianMixture([1], [[first * v for (first, _), v in zip(prior.natural_exact[u], variances, strict=True)]],
                           [variances])


def test_behind_a_constant_all_priors_are_equal():
    """One atom, whatever the prior."""
    net = ReLUNetwork([[[0, 0]], [[1]]], [[1], [2]])
    for seed in range(10):
        rng = Random(seed)
        models = [Model(random_prior(rng, 2), net) for _ in range(2)]
        assert decided(*models).status is Status.HOLDS
    with_noise = [Model(random_prior(Random(s), 2), net, GaussianNoise(1)) for s in range(2)]
    assert decided(*with_noise).status is Status.HOLDS


def test_the_density_of_equal_laws_agrees():
    """A second oracle on a few pairs: the package's own densities and scipy's tests on samples."""
    for seed in range(8):
        rng = Random(seed)
        pair = equivalent_pair(rng, m=2, n=2)
        a, b = (Model(model.mixture, model.decoder, GaussianNoise(covariance=random_covariance(Random(1), 2, False)))
                for model in (pair.first, pair.second))
        assert decided(a, b).status is Status.HOLDS
        x = np.random.default_rng(seed).normal(size=(5, 2)) * 2
        np.testing.assert_allclose(law(a).log_density(x), law(b).log_density(x), atol=1e-9)
        draws = [law(model).sample(2000, np.random.default_rng(k)) for k, model in enumerate((a, b))]
        assert min(stats.ks_2samp(draws[0][:, i], draws[1][:, i]).pvalue for i in range(2)) > 1e-6


def test_jumping_maps_and_equal_values_at_breakpoints():
    step = PiecewiseAffineMap([0], [0, 0], [0, 1])
    atom = GaussianMixture(["1/2", "1/2"], [0, -1], [0, 0])
    other = GaussianMixture(["1/2", "1/2"], [5, -2], [0, 0])
    assert decided(Model(atom, step), Model(other, step)).status is Status.HOLDS
    assert decided(Model(atom, step), Model(GaussianMixture([1], [-1], [0]), step)).status is Status.FAILS
    half = GaussianMixture([1], [0], [1])
    assert decided(Model(half, step), Model(GaussianMixture([1], [0], [9]), step)).status is Status.HOLDS
    assert decided(Model(half, step), Model(other, step)).status is Status.HOLDS
    assert decided(Model(half, step), Model(GaussianMixture([1], ["1/1000"], [9]), step)).status is Status.FAILS
