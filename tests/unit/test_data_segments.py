"""Segments data: the conventions of the literature, exact models, moments, errors."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

import ident_theory as it
from ident_theory.data import segments
from ident_theory.data.nonstationary import VARIANTS, _orthogonal
from ident_theory.errors import InputError

#: M, d, n, layers, slope, means, (spread, low, high), as the papers and codes state them.
STATED = {
    "khemakhem2019": (40, 5, 5, 3, 0.1, None, ("variance", 0.5, 3)),
    "khemakhem2019_code": (40, 5, 5, 3, 0.1, None, ("deviation", 0.5, 3)),
    "khemakhem2019_figure1": (5, 2, 2, 3, 0.1, 5, ("variance", 0.5, 3)),
    "khemakhem2019_appendix_g": (40, 10, 40, 3, 0.1, None, ("variance", 0.5, 3)),
    "icebeem": (20, 5, 5, 2, 0.2, None, ("deviation", 0.01, 3)),
    "willetts2021": (20, 5, 5, 4, 0.2, 3, ("deviation", 0.01, 3)),
    "dideriksen2022": (5, 2, 2, 3, 0.2, None, ("deviation", 0.01, 3)),
}


def rng(seed=0):
    return np.random.default_rng(seed)


def parameters(prior):
    """Means and variances of the latents, shape (M, d), from the natural parameters."""
    natural = prior.natural
    if prior.family.name == "laplace":
        return np.zeros(natural.shape[:2]), 2 / natural[..., 0] ** 2
    variance = -1 / (2 * natural[..., -1])
    return (natural[..., 0] * variance if prior.k == 2 else np.zeros_like(variance)), variance


def leaky(h, slope):
    return np.maximum(h, 0) + slope * np.minimum(h, 0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_are_as_stated(variant):
    m, d, n, layers, slope, means, (kind, low, high) = STATED[variant]
    data = segments(rng(), variant=variant, samples=4)
    assert data.z.shape == (4 * m, d)
    assert data.x.shape == (4 * m, n)
    assert np.array_equal(data.u, np.repeat(np.arange(m), 4))
    assert data.model.decoder.depth == layers
    assert data.model.decoder.negative_slope == slope
    assert data.model.noise is None
    mu, variance = parameters(data.model.prior)
    spread = variance if kind == "variance" else np.sqrt(variance)
    assert low <= spread.min() <= spread.max() <= high * (1 + 1e-12)
    assert (np.abs(mu).max() <= means and mu.std() > means / 4) if means else np.all(mu == 0)
    assert set(data.model.prior.weights_exact) == {Fraction(1, m)}
    assert data.settings["variant"] == variant
    assert data.settings["observed_dim"] == n


def test_every_variant_is_tested():
    assert STATED.keys() == VARIANTS.keys()


@pytest.mark.parametrize("observed_dim", [5, 7])
def test_the_mixing_ends_with_a_matrix(observed_dim):
    data = segments(rng(), observed_dim=observed_dim, samples=5)
    h = data.z
    matrices = data.model.decoder.weights
    for matrix in matrices[:-1]:
        h = leaky(h @ matrix.T, 0.1)
    np.testing.assert_allclose(data.x, h @ matrices[-1].T, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("variant", ["icebeem", "willetts2021", "dideriksen2022"])
def test_the_mixing_begins_with_the_activation(variant):
    data = segments(rng(), variant=variant, samples=5)
    first, *matrices = data.model.decoder.weights
    assert np.array_equal(first, np.eye(data.latent_dim))
    h = data.z
    for matrix in matrices:
        h = leaky(h, 0.2) @ matrix.T
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-14)
    np.testing.assert_allclose(data.x, h, rtol=1e-12, atol=1e-13)


def test_conditioned_matrices():
    """Unit columns on the right of the rows, and condition numbers within the best quarter of other draws."""
    drawn = rng(9).uniform(-1, 1, size=(10_000, 5, 5))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    numbers = np.sort(np.linalg.cond(drawn))
    found = np.array([np.linalg.cond(w) for seed in range(5)
                      for w in segments(rng(seed), samples=1, layers=8).model.decoder.weights])
    # A percentile of 10,000 draws has a standard error of 0.43, the difference of two 0.61; 2 is more than three.
    assert found.max() <= numbers[2_700]
    shares = np.searchsorted(numbers, found) / 2_500
    assert stats.kstest(np.minimum(shares, 1), "uniform").pvalue > 1e-3, "accepted draws are not the best quarter"
    for w in segments(rng(), samples=1, observed_dim=7).model.decoder.weights:
        np.testing.assert_allclose(np.linalg.norm(w, axis=1), 1, rtol=1e-14)


def test_one_latent_and_one_observation():
    data = segments(rng(), latent_dim=1, observed_dim=1, samples=3)
    assert all(abs(w.item()) == 1 for w in data.model.decoder.weights)


def test_orthogonal_matrices_are_uniform():
    """The first column of a Haar matrix in the plane has a uniform angle, and reflections are as common as turns."""
    generator = rng(2)
    matrices = np.array([_orthogonal(generator, (2, 2)) for _ in range(2000)])
    angle = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])
    assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
    assert abs((np.linalg.det(matrices) > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(2000)


@pytest.mark.parametrize(("d", "n"), [(2, 5), (5, 2)])
def test_orthogonal_matrices_between_different_dimensions(d, n):
    first, *rest = segments(rng(), latent_dim=d, observed_dim=n, mixing="orthogonal", samples=2).model.decoder.weights
    small = first.T @ first if n > d else first @ first.T
    np.testing.assert_allclose(small, np.eye(2), atol=1e-14)
    assert all(w.shape == (n, n) for w in rest)


@pytest.mark.parametrize("mixing", ["conditioned", "orthogonal"])
def test_one_matrix_for_all_layers(mixing):
    square = segments(rng(), repeat=True, mixing=mixing, samples=2, layers=4).model.decoder.weights
    assert all(np.array_equal(w, square[0]) for w in square)
    first, *rest = segments(rng(), repeat=True, mixing=mixing, samples=2, latent_dim=3).model.decoder.weights
    assert first.shape == (3, 3)
    assert all(np.array_equal(w, first) for w in rest)
    first, *rest = segments(rng(), repeat=True, mixing=mixing, samples=2, observed_dim=7).model.decoder.weights
    assert first.shape == (7, 5)
    assert all(np.array_equal(w, rest[0]) for w in rest)
    fresh = segments(rng(), mixing=mixing, samples=2).model.decoder.weights
    assert not np.array_equal(fresh[0], fresh[1])


@pytest.mark.parametrize(("settings", "kurtosis"), [
    ({}, 3), ({"variant": "khemakhem2019_figure1"}, 3), ({"family": "laplace"}, 6), ({"variant": "willetts2021"}, 3)])
def test_moments_of_each_segment(settings, kurtosis):
    """Within 5.5 standard errors in each of at most 200 comparisons (chance of a false alarm below 1e-5)."""
    data = segments(rng(3), samples=1000, **settings)
    mu, variance = parameters(data.model.prior)
    for value in range(data.conditions):
        z = data.z[data.u == value]
        assert np.all(np.abs(z.mean(axis=0) - mu[value]) < 5.5 * np.sqrt(variance[value] / 1000))
        ratio = ((z - mu[value]) ** 2).mean(axis=0) / variance[value]
        assert np.all(np.abs(ratio - 1) < 5.5 * np.sqrt((kurtosis - 1) / 1000))


@pytest.mark.parametrize("family", ["normal", "laplace"])
def test_latents_follow_the_prior(family):
    data = segments(rng(5), family=family, segments=3, samples=3000, latent_dim=2)
    _, variance = parameters(data.model.prior)
    law = stats.norm(scale=1) if family == "normal" else stats.laplace(scale=0.5**0.5)
    for value in range(3):
        for i in range(2):
            assert stats.kstest(data.z[data.u == value, i] / np.sqrt(variance[value, i]), law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["variances", "deviations"])
def test_spreads_are_uniform(kind):
    data = segments(rng(4), segments=60, samples=1, latent_dim=10, **{kind: (0.5, 3)})
    _, variance = parameters(data.model.prior)
    values = variance if kind == "variances" else np.sqrt(variance)
    assert stats.kstest(values.ravel(), stats.uniform(0.5, 2.5).cdf).pvalue > 1e-3


def test_standardised_sources():
    data = segments(rng(), variant="icebeem", segments=3, samples=50)
    _, variance = parameters(data.model.prior)
    e = data.z / np.sqrt(variance)[data.u]
    np.testing.assert_allclose(e.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(e.var(axis=0), 1, rtol=1e-12)
    plain = segments(rng(), variant="icebeem", segments=3, samples=50, standardise=False)
    assert abs((plain.z / np.sqrt(variance)[data.u]).mean(axis=0)).max() > 1e-3


def test_noise():
    data = segments(rng(), noise_std=0.3, samples=500)
    residual = data.x - data.model.decoder(data.z)
    assert data.model.noise == it.GaussianNoise(0.3)
    # 100,000 numbers: the standard error of their deviation is 0.3 / sqrt(200,000) = 0.0007.
    assert abs(residual.std() - 0.3) < 5 * 0.0007
    assert abs(np.corrcoef(residual[:, 0], data.z[:, 0])[0, 1]) < 5 / np.sqrt(len(data))


def test_the_model_can_be_checked():
    """Five latents with one statistic need six values of u: 40 are enough, 5 are not."""
    report = it.check(segments(rng(), samples=2).model)
    assert [report[name].status.value for name in ("ivae.noise", "ivae.injective", "ivae.L")] == ["holds"] * 3
    assert it.check(segments(rng(), samples=2, family="laplace").model)["ivae.L"].status.value == "holds"
    assert it.check(segments(rng(), samples=2, segments=5).model)["ivae.L"].status.value == "fails"
    figure = segments(rng(), variant="khemakhem2019_figure1", samples=2).model  # exactly nk + 1 = 5
    assert it.check(figure)["ivae.L"].status.value == "holds"
    assert it.check(segments(rng(), variant="willetts2021", samples=2).model)["ivae.L"].status.value == "holds"


def test_variances_are_exact():
    data = segments(rng(), samples=2, means=(-1, 1), variances=(2, 2))
    assert all(value == -0.25 for value in data.model.prior.natural_exact[..., 1].ravel())
    data = segments(rng(), samples=2, deviations=(0.5, 0.5))
    assert all(value == -2 for value in data.model.prior.natural_exact.ravel())


def test_laplace_sources_with_means_have_no_model():
    data = segments(rng(), family="laplace", means=(-3, 3), samples=10)
    assert data.model is None
    assert data.z.shape == (400, 5)


def test_same_seed_same_data():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, two, other = (segments(rng(seed), samples=3, noise_std=0.1) for seed in (1, 1, 2))
    assert np.array_equal(one.x, two.x)
    assert one.model == two.model
    assert not np.array_equal(one.x, other.x)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(("settings", "message"), [
    ({"variant": "khemakhem"}, "variant: expected one of khemakhem2019, .*'khemakhem'"),
    ({"segments": 0}, "segments: expected a whole number >= 1, found 0"),
    ({"samples": 2.5}, "samples: expected a whole number"),
    ({"latent_dim": True}, "latent_dim: expected a whole number"),
    ({"layers": 0}, "layers: expected"),
    ({"slope": -0.1}, "slope: expected a finite number >= 0 and <= 1, found -0.1"),
    ({"slope": float("nan")}, "slope: expected"),
    ({"family": "cauchy"}, "family: expected one of normal, laplace"),
    ({"means": "nought"}, "means: expected one of zero"),
    ({"means": (3, -3)}, "means: expected two finite numbers"),
    ({"means": (1, 2, 3)}, "means: expected two"),
    ({"variances": (0, 3)}, "variances: expected two numbers > 0"),
    ({"deviations": "0.5,3"}, "deviations: expected two"),
    ({"variances": (1, 2), "deviations": (1, 2)}, "found both"),
    ({"mixing": "random"}, "mixing: expected one of conditioned, orthogonal"),
    ({"repeat": 1}, "repeat: expected True or False"),
    ({"noise_std": -1}, "noise_std: expected a finite number >= 0"),
    ({"variant": "icebeem", "layers": 1, "observed_dim": 7}, "layers: expected at least 2"),
    ({"variant": "icebeem", "segments": 1, "samples": 1}, "at least 2 observations"),
])
def test_bad_settings(settings, message):
    with pytest.raises(InputError, match=message):
        segments(rng(), **settings)


@pytest.mark.parametrize("generator", [None, 0, np.random.RandomState(0)])
def test_bad_generators(generator):
    with pytest.raises(InputError, match=r"rng: expected a numpy\.random\.Generator.*default_rng"):
        segments(generator)
