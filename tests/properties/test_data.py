"""Properties of data sets and generators, and samples of models against the densities of their families."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import integrate, stats

import ident_theory as it
from ident_theory.data import Dataset, catalogue, coupling_network, load_dataset, parallelograms, pinwheel, sampled
from ident_theory.data import segments as make_segments
from ident_theory.errors import InputError, UnsupportedError
from ident_theory.testing.strategies import models

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SEEDS = st.integers(0, 2**32)
IDENTITY = it.ReLUNetwork([[[1]]], [[0]])


def rng(seed=0):
    return np.random.default_rng(seed)


# The data set.

@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=4), repeats=st.integers(2, 9),
       fraction=st.floats(0.001, 0.999), seed=SEEDS)
def test_splits_part_the_rows(labels, repeats, fraction, seed):
    u = np.unique(np.repeat(labels, repeats), return_inverse=True)[1]
    data = Dataset(np.arange(float(len(u)))[:, None], u=u, factors={"row": np.arange(len(u))})
    rest, held = data.split(fraction, rng(seed))
    assert sorted([*rest.factors["row"], *held.factors["row"]]) == list(range(len(u)))
    for value, rows in enumerate(np.bincount(u)):
        kept = int((held.u == value).sum())
        assert 1 <= kept <= rows - 1
        assert abs(kept - fraction * rows) <= 0.5 or kept in (1, rows - 1)
    assert np.array_equal(held.x[:, 0], held.factors["row"])


SETTINGS = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6)
NAMES = st.text(st.characters(codec="utf-8").filter(str.isprintable), min_size=1, max_size=8)


@settings(max_examples=40)
@given(x=arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=FINITE),
       made=st.dictionaries(st.text(), SETTINGS, max_size=4), key=NAMES, name=st.text())
def test_files_keep_every_bit(tmp_path_factory, x, made, key, name):
    factor = np.arange(len(x), dtype=np.int16)
    data = Dataset(x, z=-x, factors={key: factor}, settings=made, name=name)
    back = load_dataset(data.save(tmp_path_factory.mktemp("data") / "data.npz"))
    assert back.x.tobytes() == x.tobytes()
    assert back.z.tobytes() == (-x).tobytes()
    assert back.factors[key].dtype == np.int16
    assert np.array_equal(back.factors[key], factor)
    assert back.settings == made
    assert back.name == name


# Texts of settings.

@given(st.integers() | st.booleans() | FINITE | st.none())
def test_texts_of_plain_values(value):
    read = catalogue.from_text(str(value), type(value), "here")
    assert read == value
    assert type(read) is type(value)


@given(st.lists(FINITE, min_size=2, max_size=2).map(tuple))
def test_texts_of_pairs(pair):
    for text in (str(pair), str(list(pair)), ",".join(map(repr, pair))):
        assert catalogue.from_text(text, tuple[float, float] | None, "here") == pair


@given(st.text())
def test_other_texts_are_refused(text):
    """No text makes the conversion fail by anything but an InputError."""
    for kind in (int, float, bool, tuple[int, ...], tuple[float, float], int | None):
        try:
            value = catalogue.from_text(text, kind, "here")
        except InputError:
            continue
        assert value is None or isinstance(value, int | float | tuple)


# Generators.

@settings(max_examples=60)
@given(seed=SEEDS, m=st.integers(1, 6), samples=st.integers(2, 5), d=st.integers(1, 4), n=st.integers(1, 6),
       layers=st.integers(2, 4), slope=st.floats(0, 1), family=st.sampled_from(["normal", "laplace"]),
       means=st.sampled_from(["zero", (-3.0, 3.0), (1.0, 1.0)]), low=st.floats(1e-3, 1), kind=st.booleans(),
       mixing=st.sampled_from(["conditioned", "orthogonal"]), flags=st.tuples(st.booleans(), st.booleans(),
                                                                              st.booleans()))
def test_segments_are_of_their_model(seed, m, samples, d, n, layers, slope, family, means, low, kind, mixing, flags):
    drawn = {"variances" if kind else "deviations": (low, 3 * low)}
    repeat, first, standardise = flags
    # Orthogonal matrices, so that 10,000 draws a shape are not needed at each example.
    data = make_segments(rng(seed), segments=m, samples=samples, latent_dim=d, observed_dim=n, layers=layers,
                         slope=slope, family=family, means=means, mixing="orthogonal" if d * n > 4 else mixing,
                         repeat=repeat, activation_first=first, standardise=standardise, **drawn)
    assert data.x.shape == (m * samples, n)
    assert np.array_equal(data.u, np.repeat(np.arange(m), samples))
    if family == "laplace" and means != "zero":
        assert data.model is None
        return
    assert data.model.prior.n_values == m
    assert data.model.prior.family.name == (
        "laplace" if family == "laplace" else "normal_variance" if means == "zero" else "normal")
    h = data.z.T
    *hidden, last = data.model.decoder.weights
    for w in hidden:
        h = w @ h
        h = np.where(h > 0, h, slope * h)
    np.testing.assert_allclose(data.x, (last @ h).T, rtol=1e-12, atol=1e-12)
    natural = data.model.prior.natural
    variance = 2 / natural[..., 0] ** 2 if family == "laplace" else -1 / (2 * natural[..., -1])
    spread = variance if kind else np.sqrt(variance)
    assert np.all((spread >= low * (1 - 1e-12)) & (spread <= 3 * low * (1 + 1e-12)))
    mean = natural[..., 0] * variance if means != "zero" else np.zeros_like(variance)
    if standardise:
        e = (data.z - mean[data.u]) / np.sqrt(variance[data.u])
        np.testing.assert_allclose(e.mean(axis=0), 0, atol=1e-10)
        np.testing.assert_allclose(e.std(axis=0), 1, rtol=1e-8)


@settings(max_examples=60)
@given(seed=SEEDS, dim=st.integers(2, 9), blocks=st.integers(1, 6), width=st.integers(1, 8), depth=st.integers(1, 4),
       activation=st.sampled_from(["relu", "tanh"]))
def test_coupling_networks_invert(seed, dim, blocks, width, depth, activation):
    network = coupling_network(rng(seed), dim, blocks=blocks, width=width, depth=depth, activation=activation)
    z = 3 * rng(seed + 1).standard_normal((20, dim))
    x, log_det = network.forward(z)
    assert np.isfinite(log_det).all()
    assert np.all(abs(log_det) <= 2 * dim * blocks)
    np.testing.assert_allclose(network(network.inverse(x)), x, rtol=0, atol=1e-11 * abs(x).max())
    assert np.array_equal(network(z), x)


@given(seed=SEEDS, size=st.integers(6, 40), clusters=st.integers(1, 6), rate=st.floats(-3, 3))
def test_planar_clusters_are_even(seed, size, clusters, rate):
    for data in (pinwheel(rng(seed), size=size, clusters=clusters, rate=rate),
                 parallelograms(rng(seed), size=size, clusters=min(clusters, 4))):
        counts = np.bincount(data.factors["cluster"])
        assert counts.max() - counts.min() <= 1
        assert counts.sum() == size
    turned = pinwheel(rng(seed), size=size, clusters=clusters, rate=rate)
    radius = np.hypot(turned.factors["radial"], turned.factors["tangential"])
    np.testing.assert_allclose(np.linalg.norm(turned.x, axis=1), 10 * radius, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(turned.z, axis=1), radius, rtol=1e-12)


# Samples of models.

@settings(max_examples=40)
@given(model=models(), seed=SEEDS, how=st.sampled_from(["weights", "equal"]))
def test_samples_are_of_their_model(model, seed, how):
    quiet = it.Model(model.prior, model.decoder)
    data = sampled(rng(seed), model=quiet, size=12, conditions=how, labels="factors")
    assert data.u is None
    np.testing.assert_array_equal(data.x, quiet.decoder(data.z))
    assert data.z.shape == (12, quiet.latent_dim)
    component = data.factors["component"]
    if how == "equal":
        assert np.ptp(np.bincount(component, minlength=quiet.mixture.n_components)) <= 1
    else:
        assert np.all(quiet.mixture.weights[component] > 0)


#: Natural parameters of each family, small and large.
FAMILIES = {
    "normal": [(0.0, -0.5), (30.0, -5.0), (-0.1, -0.001)],
    "normal_mean": [(0.0,), (-7.5,)],
    "normal_variance": [(-0.5,), (-200.0,)],
    "lognormal": [(0.0, -0.5), (2.0, -1.5)],
    "gamma": [(0.5, -1.0), (1.0, -3.0), (20.0, -0.2)],
    "inverse_gamma": [(-1.5, -1.0), (-8.0, -30.0)],
    "beta": [(0.5, 0.7), (1.0, 1.0), (30.0, 2.0)],
    "inverse_gaussian": [(0.0, -0.5), (-0.5, -0.5), (-2.0, -30.0)],
    "laplace": [(-1.0,), (-0.05,)],
}
DENSITIES = {
    "normal": lambda z, a, b: a * z + b * z**2,
    "normal_mean": lambda z, a: a * z - z**2 / 2,
    "normal_variance": lambda z, a: a * z**2,
    "lognormal": lambda z, a, b: a * np.log(z) + b * np.log(z) ** 2 - np.log(z),
    "gamma": lambda z, a, b: a * np.log(z) + b * z - np.log(z),
    "inverse_gamma": lambda z, a, b: a * np.log(z) + b / z - np.log(z),
    "beta": lambda z, a, b: (a - 1) * np.log(z) + (b - 1) * np.log1p(-z),
    "inverse_gaussian": lambda z, a, b: a * z + b / z - 1.5 * np.log(z),
    "laplace": lambda z, a: a * abs(z - 1 / 3),
}


@pytest.mark.parametrize(("family", "natural"), [(name, row) for name, rows in FAMILIES.items() for row in rows])
def test_families_against_their_densities(family, natural):
    """Q exp(lambda T), integrated on a fine grid: Kolmogorov-Smirnov distance of 4,000 draws within chance."""
    location = {"location": Fraction(1, 3)} if family == "laplace" else {}
    prior = it.ConditionalPrior(family, [[natural]], **location)
    z = sampled(rng(1), model=it.Model(prior, IDENTITY), size=4000).z[:, 0]
    # Grids in z, log z or logit z that reach well beyond the draws.
    if family in ("normal", "normal_mean", "normal_variance", "laplace"):
        low, high = z.min(), z.max()
        t = np.linspace(low - (high - low), high + (high - low), 200_001)
        points, jacobian = t, 0.0
    elif family == "beta":
        t = np.linspace(-60, 60, 200_001)
        points = np.clip(1 / (1 + np.exp(-t)), 1e-300, 1 - 1e-16)
        jacobian = -np.logaddexp(0, t) - np.logaddexp(0, -t)
    else:
        t = np.linspace(np.log(z.min()) - 40, np.log(z.max()) + 40, 400_001)
        points, jacobian = np.exp(t), t
    with np.errstate(over="ignore"):
        log_density = DENSITIES[family](points, *natural) + jacobian
    density = np.exp(log_density - log_density.max())
    cdf = integrate.cumulative_trapezoid(density, t, initial=0)
    assert stats.kstest(z, lambda value: np.interp(value, points, cdf / cdf[-1])).pvalue > 1e-3


def test_families_are_all_tested():
    assert {*FAMILIES, "custom"} == set(it.models.families.FAMILY_NAMES)


def test_conditions_by_weights():
    prior = it.ConditionalPrior("normal_mean", [[0], [5], [9]], weights=["1/2", "1/3", "1/6"])
    model = it.Model(prior, IDENTITY, it.LaplaceNoise("0.1"))
    data = sampled(rng(), model=model, size=6000)
    assert stats.chisquare(np.bincount(data.u), [3000, 2000, 1000]).pvalue > 1e-3
    assert stats.kstest(data.z[:, 0] - np.array([0, 5, 9])[data.u], "norm").pvalue > 1e-3
    assert stats.kstest((data.x - data.z)[:, 0] / 0.1, "laplace").pvalue > 1e-3
    assert np.array_equal(np.bincount(sampled(rng(), model=model, size=7, conditions="equal").u), [3, 2, 2])
    plain = it.Model(it.ConditionalPrior("normal_mean", [[0], [5], [9]]), IDENTITY)
    assert stats.chisquare(np.bincount(sampled(rng(), model=plain, size=6000).u)).pvalue > 1e-3


def test_mixtures_by_component():
    """Means and covariances of each component, within 5.5 standard errors of an entry."""
    prior = it.GaussianMixture([["1/2", "1/4"], ["1/8", "1/8"]], [[0, 0], [5, 5], [-5, 5], [0, 9]],
                               [[[2, 1], [1, 1]], [[1, 0], [0, 0]], [[1, 0], [0, 1]], [[3, -1], [-1, 2]]])
    data = sampled(rng(), model=it.Model(prior, it.ReLUNetwork([np.eye(2)], [np.zeros(2)])), size=16_000)
    assert np.array_equal(data.u, data.factors["component"])
    assert np.array_equal(data.u, 2 * data.factors["state_1"] + data.factors["state_2"])
    assert stats.chisquare(np.bincount(data.u), 16_000 * prior.weights).pvalue > 1e-3
    for j in range(4):
        z, sigma = data.z[data.u == j], prior.covariances[j]
        assert np.all(abs(z.mean(axis=0) - prior.means[j]) <= 5.5 * np.sqrt(np.diag(sigma) / len(z)) + 1e-12)
        error = np.sqrt((np.outer(np.diag(sigma), np.diag(sigma)) + sigma**2) / len(z))
        assert np.all(abs(np.cov(z.T) - sigma) <= 5.5 * error + 1e-12)


def test_components_of_weight_zero():
    model = it.Model(it.GaussianMixture([1, 0, 0], [[0], [1], [2]], [1, 1, 1]), IDENTITY)
    with pytest.raises(InputError, match=r"none of number 1 among 50.*labels=.factors.*reduced"):
        sampled(rng(), model=model, size=50)
    assert set(sampled(rng(), model=model, size=50, labels="factors").factors["component"]) == {0}


@pytest.mark.parametrize(("made", "error", "message"), [
    ({"model": 3}, InputError, "model: expected a Model, found int; read a file with ident_theory.load"),
    ({"size": 0}, InputError, "size: expected a whole number >= 1"),
    ({"size": 2}, InputError, "none of number . among 2; raise size$"),
    ({"conditions": "all"}, InputError, "conditions: expected one of weights, equal"),
    ({"labels": "u"}, InputError, "labels: expected one of conditions, factors"),
    ({"model": it.Model(it.GaussianMixture([1], [[0]], [1]), it.DeclaredMap(1, 1, []))}, UnsupportedError,
     "a DeclaredMap has no values"),
    ({"model": it.Model(it.ConditionalPrior("custom", [[[-1]]], statistics=["z**4"]), IDENTITY)}, UnsupportedError,
     "one of the families normal, .*laplace, found 'custom'"),
])
def test_what_cannot_be_sampled(made, error, message):
    model = it.Model(it.ConditionalPrior("normal_mean", [[0], [5], [9]]), IDENTITY)
    with pytest.raises(error, match=message):
        sampled(rng(), **{"model": model, "size": 50, **made})


def test_rare_conditions_are_named():
    prior = it.ConditionalPrior("normal_mean", [[0], [5]], weights=["999999/1000000", "1/1000000"])
    with pytest.raises(InputError, match=r"each value of u .* number 1 among 20; .*conditions=.equal"):
        sampled(rng(), model=it.Model(prior, IDENTITY), size=20)
