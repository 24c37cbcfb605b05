"""GIN's embedded mixture and the coupling network behind it."""

import numpy as np
import pytest

import ident_theory as it
from ident_theory.data import CouplingNetwork, coupling_network, embedded_mixture
from ident_theory.errors import InputError


def rng(seed=0):
    return np.random.default_rng(seed)


def one_by_one(network, z):
    """The map of one point, by loops over blocks, units and coordinates."""
    h = [float(value) for value in z]
    half = len(h) // 2

    def net(layers, values):
        for k, (weight, bias) in enumerate(layers):
            values = [sum(w * v for w, v in zip(row, values, strict=True)) + b
                      for row, b in zip(weight, bias, strict=True)]
            if k < len(layers) - 1:
                values = [max(v, 0) if network.activation == "relu" else np.tanh(v) for v in values]
        count = len(values) // 2
        return values[:count], values[count:]

    def couple(part, layers, other):
        s, t = net(layers, other)
        s = [2 * np.tanh(si) if network.clamp == "tanh" else 1.272 * np.arctan(si / 2) for si in s]
        return [p * np.exp(si) + ti for p, si, ti in zip(part, s, t, strict=True)]

    for permutation, (first, second) in zip(network.permutations, network.networks, strict=True):
        h = [h[i] for i in permutation]
        a, b = h[:half], h[half:]
        a = couple(a, first, b)
        b = couple(b, second, a)
        h = [*a, *b]
    return h


@pytest.mark.parametrize("dim", [2, 3, 10])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("clamp", ["arctan", "tanh"])
def test_forward_by_loops(dim, activation, clamp):
    network = coupling_network(rng(dim), dim, blocks=3, width=4, activation=activation, clamp=clamp)
    z = 3 * rng(1).standard_normal((4, dim))
    np.testing.assert_allclose(network(z), [one_by_one(network, row) for row in z], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("clamp", ["arctan", "tanh"])
@pytest.mark.parametrize("dim", [2, 5, 10])
def test_inverse(dim, activation, clamp):
    """Backward stable; forward errors depend on the Jacobian and are promised for the gentle clamp only."""
    network = coupling_network(rng(dim), dim, activation=activation, clamp=clamp)
    z = 4 * rng(1).standard_normal((500, dim))
    x = network(z)
    back = network.inverse(x)
    np.testing.assert_allclose(network(back), x, rtol=0, atol=1e-13 * abs(x).max())
    np.testing.assert_allclose(back, z, atol=1e-11 if clamp == "arctan" else 1e-5)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_log_determinant_against_differences(activation):
    """Central differences of step 1e-5: errors near 1e-9 times third derivatives, away from kinks."""
    network = coupling_network(rng(4), 5, blocks=3, width=6, activation=activation)
    z = rng(1).standard_normal((20, 5))
    step = 1e-5 * np.eye(5)
    jacobian = np.stack([(network(z + e) - network(z - e)) / 2e-5 for e in step], axis=2)
    np.testing.assert_allclose(network.forward(z)[1], np.linalg.slogdet(jacobian)[1], atol=1e-6)


def test_size_of_the_papers_network():
    """Table 2: 8 blocks, 5 -> 10 -> 10 -> 10, which make 4,480 numbers."""
    network = coupling_network(rng())
    assert network.dim == 10
    layers = [layer for pair in network.networks for part in pair for layer in part]
    assert [w.shape[::-1] for w, _ in layers[:3]] == [(5, 10), (10, 10), (10, 10)]
    assert sum(w.size + b.size for w, b in layers) == 4480
    assert max(abs(w).max() * w.shape[1] ** 0.5 for w, _ in layers) <= 1
    assert max(abs(b).max() * w.shape[1] ** 0.5 for w, b in layers) <= 1


@pytest.mark.parametrize(("clamp", "largest", "spread"), [("arctan", 16, 0.5), ("tanh", 445, 3.4)])
def test_what_the_clamps_make_of_the_data(clamp, largest, spread):
    """The medians that the documentation states, over the same number of other seeds: within a factor of 2.5."""
    found = []
    for seed in range(30):
        network = coupling_network(rng(seed), clamp=clamp)
        data = embedded_mixture(rng(1000 + seed), size=2000, network=network)
        x, log_det = network.forward(np.hstack([data.z, data.factors["noise"]]))
        found.append((abs(x).max(), log_det.std()))
    medians = np.median(found, axis=0)
    assert np.all(abs(np.log(medians / [largest, spread])) < np.log(2.5))


def test_the_map_is_not_affine():
    """A least-squares affine fit leaves a good part of the variance of the observations."""
    data = embedded_mixture(rng(), size=3000)
    design = np.column_stack([np.ones(3000), data.z, data.factors["noise"]])
    left = data.x - design @ np.linalg.lstsq(design, data.x, rcond=None)[0]
    assert (left.var(axis=0) / data.x.var(axis=0)).mean() > 0.1


@pytest.mark.parametrize("clusters", [3, 5])
def test_latents_and_model(clusters):
    network = coupling_network(rng(7))
    data = embedded_mixture(rng(), clusters=clusters, size=20_000, network=network)
    assert data.x.shape == (20_000, 10)
    assert data.z.shape == (20_000, 2)
    whole = np.hstack([data.z, data.factors["noise"]])
    np.testing.assert_allclose(data.x, network(whole), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(network.inverse(data.x), whole, atol=1e-9)
    assert data.model.latent_dim == data.model.observed_dim == 10
    natural = data.model.prior.natural
    assert natural.shape == (clusters, 10, 2)
    variance = -1 / (2 * natural[..., 1])
    mean = natural[..., 0] * variance
    assert np.all(abs(mean[:, :2]) <= 5)
    assert np.all((np.sqrt(variance[:, :2]) >= 0.5) & (np.sqrt(variance[:, :2]) <= 3))
    np.testing.assert_allclose(mean[:, 2:], 0)
    np.testing.assert_allclose(variance[:, 2:], 1e-4)
    # 10 latents of at most 5 clusters, each within 5.5 standard errors.
    for value in range(clusters):
        rows = whole[data.u == value]
        assert np.all(abs(rows.mean(axis=0) - mean[value]) < 5.5 * np.sqrt(variance[value] / len(rows)))
        assert np.all(abs(rows.var(axis=0) / variance[value] - 1) < 5.5 * np.sqrt(2 / len(rows)))
    assert abs(np.bincount(data.u) - 20_000 / clusters).max() < 5 * np.sqrt(20_000 / clusters)


def test_variances_instead_of_deviations():
    prior = embedded_mixture(rng(), clusters=200, size=20_000, variances=(0.5, 3)).model.prior
    variance = -1 / (2 * prior.natural[:, :2, 1])
    assert 0.5 <= variance.min() < 0.6
    assert 2.9 < variance.max() <= 3


def test_what_is_declared_is_true():
    """With ReLU the Jacobian jumps at kinks, so no diffeomorphism may be declared; with tanh it does not."""
    assert set(embedded_mixture(rng(), size=50).model.decoder.properties) == {"continuous", "injective"}
    smooth = embedded_mixture(rng(), size=50, activation="tanh").model.decoder
    assert smooth.properties == ("diffeomorphism",)
    line = np.linspace(-3, 3, 20_001)[:, None] * np.ones(4)
    bends = {}
    for activation in ("relu", "tanh"):
        x = coupling_network(rng(3), 4, blocks=1, width=5, activation=activation)(line)
        slope = np.diff(x, axis=0) / 3e-4
        bends[activation] = abs(np.diff(slope, axis=0)).max()
    assert bends["tanh"] < 0.01 < bends["relu"]


def test_five_clusters_just_reach_the_theorem():
    """Two normal latents need 2 * 2 + 1 = 5 values of u; three are too few, and so are five among noise latents."""
    five = embedded_mixture(rng(), size=50, noise_dims=0, activation="tanh").model
    assert it.check(five)["ivae.L"].status.value == "holds"
    three = embedded_mixture(rng(), size=50, clusters=3, noise_dims=0, activation="tanh").model
    assert it.check(three)["ivae.L"].status.value == "fails"
    assert it.check(embedded_mixture(rng(), size=50).model)["ivae.L"].status.value == "fails"


def test_same_seed_same_data():
    one, two, other = (embedded_mixture(rng(seed), size=50) for seed in (1, 1, 2))
    assert np.array_equal(one.x, two.x)
    assert one.model == two.model
    assert not np.array_equal(one.x, other.x)


@pytest.mark.parametrize(("settings", "message"), [
    ({"clusters": 0}, "clusters: expected a whole number >= 1"),
    ({"size": 0}, "size: expected"),
    ({"size": 4, "clusters": 9}, "no row of condition"),
    ({"informative": 0}, "informative: expected"),
    ({"noise_dims": -1}, "noise_dims: expected a whole number >= 0"),
    ({"informative": 1, "noise_dims": 0}, "dim: expected a whole number >= 2"),
    ({"noise_std": 0}, "noise_std: expected a finite number > 0"),
    ({"means": (5, -5)}, "means: expected"),
    ({"variances": (0.5, 3), "deviations": (0.5, 3)}, "found both"),
    ({"variances": (-1, 3)}, "variances: expected two numbers > 0"),
    ({"deviations": (0, 3)}, "deviations: expected two numbers > 0"),
    ({"blocks": 0}, "blocks: expected"),
    ({"width": 0}, "width: expected"),
    ({"activation": "sigmoid"}, "activation: expected one of relu, tanh"),
    ({"network": "glow"}, "network: expected a CouplingNetwork of 10 coordinates, found 'glow'"),
])
def test_bad_settings(settings, message):
    with pytest.raises(InputError, match=message):
        embedded_mixture(rng(), **{"size": 50, **settings})


def test_bad_networks():
    with pytest.raises(InputError, match="of 10 coordinates, found one of 4"):
        embedded_mixture(rng(), size=50, network=coupling_network(rng(), 4))
    with pytest.raises(InputError, match="depth: expected"):
        coupling_network(rng(), depth=0)
    network = coupling_network(rng(), 4)
    assert isinstance(network, CouplingNetwork)
    for call in (network, network.inverse):
        with pytest.raises(InputError, match=r"expected points of shape \(N, 4\), found \(3, 5\)"):
            call(np.zeros((3, 5)))
