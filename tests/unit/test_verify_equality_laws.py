"""The verifier of equal and different laws, against lists of Gaussians at single points and against samples."""

from fractions import Fraction

import numpy as np
import pytest
from common.equality_models import Random, accepted, changed, numbers, refusal
from common.pairs import EXAMPLE_4, PAIRS
from flint import fmpq, fmpq_mat
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ident_theory import (
    ConditionalPrior,
    FejerNoise,
    GaussianMixture,
    GaussianNoise,
    LaplaceNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    StudentNoise,
    UniformNoise,
)
from ident_theory.conditions.alternatives import alternatives
from ident_theory.exact.equality_laws import law_of
from ident_theory.exact.equality_masses import evaluate
from ident_theory.exact.pair_trees import components, decoder
from ident_theory.geometry.line import line_pieces
from ident_theory.geometry.plane import plane_cells
from ident_theory.laws.identity import law_key
from ident_theory.laws.line_terms import components_of
from ident_theory.models.change import AffineChange

HALF = Fraction(1, 2)
ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
RELU = ReLUNetwork([[[1]], [[1]]], [[0], [0]])
#: (|z1|, |z2|)
FOLDED = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, 1]]], [[0] * 4, [0, 0]])
CORNER = ReLUNetwork([[[1, 0], [0, 1]], [[1, 0], [0, 1]]], [[0, 0], [0, 0]])
DIAGONAL = ReLUNetwork([[[1, 1], [1, -1]], [[1, 0], [0, 1]]], [[0, 0], [0, 0]])
#: min(z1, z2)_+: constant outside a quadrant, of rank 1 inside.
LEAST = ReLUNetwork([[[1, 0], [1, -1]], [[1, -1]], [[1]]], [[0, 0], [0], [0]])
ROUND = [[1, 0], [0, 1]]


def model(means, covariances, decoder, weights=None, noise=None):
    weights = weights or [Fraction(1, len(means))] * len(means)
    return Model(GaussianMixture(weights, means, covariances), decoder, noise)


EQUAL = {
    "Remark 3.6": (model([-2, -1, 3], [1, 1, 1], ABSOLUTE), model([-2, 1, 3], [1, 1, 1], ABSOLUTE)),
    "Example 4": (model([-2, 2], [1, 1], EXAMPLE_4),
                  model([-2, 2], [1, 1], PiecewiseAffineMap([-4, -2, 2, 4], ["1/5", -1, 1, -1, 1],
                                                            ["4/5", -4, 0, 4, -4]))),
    "one component under |z|": (model([1], [1], ABSOLUTE), model([-1, 1], [1, 1], ABSOLUTE)),
    "network or pieces": (model([1, -1], [1, 2], ABSOLUTE),
                          model([1, -1], [1, 2], PiecewiseAffineMap([0], [-1, 1], [0, 0]))),
    "point mass under a ReLU": (model([0, -1, 3], [1, 0, 1], RELU), model([0, -5, 3], [1, 0, 1], RELU)),
    "folded plane": (model([[1, 2], [3, 1]], [ROUND] * 2, FOLDED), model([[-1, 2], [3, -1]], [ROUND] * 2, FOLDED)),
    "folded plane, correlated": (model([[1, 2]], [[[2, 1], [1, 2]]], FOLDED),
                                 model([[-1, 2]], [[[2, -1], [-1, 2]]], FOLDED)),
    "two latents, one that counts": (
        model([1, 2], [1, 2], RELU),
        model([[0, 1], [3, 2]], [[[5, 0], [0, 1]], [[5, 0], [0, 2]]], ReLUNetwork([[[0, 1]], [[1]]], [[0], [0]]))),
    "sum of two latents": (model([3], [3], RELU),
                           model([[1, 2]], [[[1, 0], [0, 2]]], ReLUNetwork([[[1, 1]], [[1]]], [[0], [0]]))),
    "singular plane": (model([1], [4], ABSOLUTE),
                       model([[1, 1]], [[[4, 4], [4, 4]]], ReLUNetwork([[[1, 0], [0, -1]], [[1, 1]]], [[0, 0], [0]]))),
    "constant": (model([1], [4], PiecewiseAffineMap([], [0], [5])),
                 model([[1, 1]], [ROUND], ReLUNetwork([[[0, 0]]], [[5]]))),
    "order of the latents": (model([["1/2", "1/3"]], [ROUND], LEAST),
                             model([["1/3", "1/2"]], [ROUND], ReLUNetwork([[[0, 1], [-1, 1]], [[1, -1]], [[1]]],
                                                                          [[0, 0], [0], [0]]))),
}
DIFFERENT = {
    "weights": (model([-2, 3], [1, 1], ABSOLUTE), model([-2, 3], [1, 1], ABSOLUTE, ["1/3", "2/3"])),
    "mass of an atom": (model([0, -1, 3], [1, 0, 1], RELU), model([0, 1, 3], [1, 0, 1], RELU)),
    "two atoms, one line": (model([0], [1], PiecewiseAffineMap([0], [0, 0], [1, 2])),
                            model([1], [1], PiecewiseAffineMap([0], [0, 0], [1, 2]))),
    "correlation of a fold": (model([[1, 2]], [[[2, 1], [1, 2]]], FOLDED),
                              model([[-1, 2]], [[[2, 1], [1, 2]]], FOLDED)),
    "corners": (model([[0, 0]], [ROUND], CORNER), model([[0, 0]], [[[2, 1], [1, 2]]], CORNER)),
    "far constants": (model([1], [1], PiecewiseAffineMap([], [0], [5])),
                      model([1], [1], PiecewiseAffineMap([], [0], [6]))),
    "dimension of the law": (model([[0, 0]], [ROUND], CORNER), model([[0, 0]], [[[1, 0], [0, 0]]], CORNER)),
}


@pytest.mark.parametrize("name", EQUAL)
def test_known_pairs_are_equal_in_law(name):
    first, second = EQUAL[name]
    for a, b in ((first, second), (second, first)):
        assert refusal("law.equal", a, second=b) is None
        assert not accepted("law.formal", a, second=b)
        assert not accepted("law.equal", a, second=b, more=1)


@pytest.mark.parametrize("name", DIFFERENT)
def test_known_pairs_differ(name):
    first, second = DIFFERENT[name]
    for a, b in ((first, second), (second, first)):
        assert refusal("law.formal", a, second=b) is None
        assert not accepted("law.equal", a, second=b)


@pytest.mark.parametrize("name", [name for name, (item, _, _) in PAIRS.items()
                                  if isinstance(item.prior, GaussianMixture) and item.latent_dim <= 2])
def test_second_models_of_the_check_are_equal_in_law(name):
    """Built and proven by other parts of the package."""
    first, _, _ = PAIRS[name]
    for found in alternatives(first, {}):
        assert refusal("law.equal", first, second=found.model) is None


@given(seed=st.integers(0, 2**31))
@settings(max_examples=60)
def test_rewritten_models_are_equal_in_law(seed):
    """A change of the latent; units permuted, rescaled and split; components permuted and split."""
    draw = Random(seed)
    first = draw.model(1 + seed % 2, 1 + seed % 3, singular=seed % 5 == 0)
    second = draw.equivalent(first, draw.change(first.latent_dim))
    assert refusal("law.equal", first, second=second) is None
    assert not accepted("law.formal", first, second=second)


def gaussians_at(first, x):
    """The Gaussians that make up the density of f(Z) at x, with their weights: by solving for z on every cell."""
    out = {}
    n = first.observed_dim
    for cell in plane_cells(first.decoder):
        a = fmpq_mat(n, 2, [v for r in cell.matrix for v in r])
        if a.rank() < 2:
            continue
        gap = fmpq_mat(n, 1, [v - c for v, c in zip(x, cell.offset, strict=True)])
        z = (a.transpose() * a).solve(a.transpose() * gap)
        if a * z != gap or not all(s.normal[0] * z[0, 0] + s.normal[1] * z[1, 0] <= s.offset for s in cell.sides()):
            continue
        for w, mu, sigma in zip(first.prior.weights_exact, first.prior.means_exact, first.prior.covariances_exact,
                                strict=True):
            s = fmpq_mat(2, 2, [fmpq(v.numerator, v.denominator) for v in sigma.ravel()])
            center = a * fmpq_mat(2, 1, [fmpq(v.numerator, v.denominator) for v in mu])
            if s.det() and w:
                key = tuple(map(str, [*(c + v for c, v in zip(center.entries(), cell.offset, strict=True)),
                                      *(a * s * a.transpose()).entries()]))
                out[key] = out.get(key, 0) + w
    return out


def image_points(draw, first):
    """Images of random points inside every cell of full rank."""
    for cell in plane_cells(first.decoder):
        if fmpq_mat(len(cell.matrix), 2, [v for r in cell.matrix for v in r]).rank() < 2:
            continue
        shares = [fmpq(int(draw.rng.integers(1, 50)), 7) for _ in cell.corners]
        total = sum((s * w for s, (_, _, w) in zip(shares, cell.corners, strict=True)), fmpq(0)) or fmpq(1)
        z = [sum((s * c[i] for s, c in zip(shares, cell.corners, strict=True)), fmpq(0)) / total for i in (0, 1)]
        yield [r[0] * z[0] + r[1] * z[1] + c for r, c in zip(cell.matrix, cell.offset, strict=True)]


def test_one_changed_number_in_the_plane():
    change_numbers(range(70))


@pytest.mark.slow
def test_thousands_of_changed_numbers_in_the_plane():
    change_numbers(range(1000, 4000))


def change_numbers(seeds):
    """Accepted as equal only when the Gaussians agree at image points of all cells, as different when they do not.

    Where the densities on planes agree, what differs are atoms and densities on lines.
    """
    seen = {True: 0, False: 0}
    for seed in seeds:
        draw = Random(seed, 3)
        first = draw.model(2, 2 + seed % 2)
        second = draw.equivalent(first, draw.change(2))
        tree = second.plain()
        places = [p for p in numbers(tree) if p[:2] in (("decoder", "weights"), ("decoder", "biases"),
                                                        ("prior", "means"))]
        tree = changed(tree, draw.pick(places), lambda v: v + Fraction(1, 7))
        other = Model(GaussianMixture(**tree["prior"]),
                      ReLUNetwork(*(tree["decoder"][k] for k in ("weights", "biases", "negative_slope"))))
        points = [*image_points(draw, first), *image_points(draw, other)]
        same = all(gaussians_at(first, x) == gaussians_at(other, x) for x in points)
        equal, differ = (accepted(kind, first, second=other) for kind in ("law.equal", "law.formal"))
        assert equal is not differ
        if not same:
            assert differ
        seen[same] += 1
    assert min(seen.values()) >= len(seeds) // 25


def test_one_changed_number_on_the_line():
    """Against the law object of the package."""
    seen = {True: 0, False: 0}
    for seed in range(200):
        draw = Random(seed, 2)
        f = draw.pieces(4, 1) if seed % 2 else draw.network(1, 1, [3])
        prior = draw.mixture(1, 2, singular=seed % 3 == 0)
        first = Model(prior, f)
        tree = draw.equivalent(first, draw.change(1)).plain()
        if seed % 4:
            place = draw.pick([p for p in numbers(tree) if p[1] in ("means", "intercepts", "slopes", "biases")])
            tree = changed(tree, place, lambda v: v + 1)
        make = PiecewiseAffineMap if seed % 2 else ReLUNetwork
        names = ("breakpoints", "slopes", "intercepts") if seed % 2 else ("weights", "biases", "negative_slope")
        other = Model(GaussianMixture(**tree["prior"]), make(*(tree["decoder"][k] for k in names)))
        keys = [law_key(line_pieces(item.decoder), components_of(item.prior)) for item in (first, other)]
        same = keys[0] == keys[1]
        assert accepted("law.equal", first, second=other) is same
        assert accepted("law.formal", first, second=other) is not same
        seen[same] += 1
    assert min(seen.values()) >= 40


def real(name):
    return float(Fraction(*name))


@pytest.mark.parametrize("seed", range(12))
def test_densities_on_lines_and_atoms_against_samples(seed):
    """Two latents, n = 1: the distribution function of the law object, by quadrature in floats, against 40,000 draws
    (within 5 standard errors)."""
    draw = Random(seed + 40, 3)
    first = draw.model(2, 1, singular=seed % 3 == 0)
    x = np.sort(draws(first, 40000)[:, 0])
    plain = first.plain()
    made = law_of(decoder(plain["decoder"]), components(plain["prior"]))
    assert not made.planes
    grid = np.linspace(x[0] - 1, x[-1] + 1, 40001)
    density = np.zeros_like(grid)
    for parts in made.lines.values():
        for (mean, variance, term, place), value in parts.items():
            bell = stats.norm.pdf(grid, real(mean), real(variance) ** 0.5) * float(value)
            if term[0] == "Phi":
                a, b = (np.copysign(abs(real(v)) ** 0.5, real(v)) for v in term[1:])
                bell *= stats.norm.cdf(a * grid + b)
            else:
                bell *= float(evaluate({term: fmpq(1)}).mid())
            density += bell if place is None else np.where(grid > real(place), bell, 0)
    assert density.min() > -1e-9
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid))])
    for place, mass in made.atoms.items():
        cumulative += np.where(grid >= float(place[0]), float(evaluate(mass).mid()), 0)
    assert cumulative[-1] == pytest.approx(1, abs=2e-3)  # steps of the grid at the breakpoints
    for t in np.linspace(0.05, 0.95, 19):
        at = float(np.quantile(x, t)) + 1e-3
        share = np.searchsorted(x, at) / len(x)
        assert abs(np.interp(at, grid, cumulative) - share) < 5 * 0.5 / np.sqrt(len(x)) + 2e-3


@pytest.mark.parametrize("name", EQUAL)
def test_tampered_second_models_are_not_equal_unless_they_are(name):
    """Every number of the second model is changed; samples of both laws then differ, or the laws agree formally."""
    first, second = EQUAL[name]
    tree = second.plain()
    for place in numbers(tree):
        other = changed(tree, place, lambda v: v + Fraction(1, 3))
        if accepted("law.equal", first, second=other):
            assert not accepted("law.formal", first, second=other)
            x, y = (draws(item) for item in (first, read(other)))
            for a, b in zip(x.T, y.T, strict=True):  # 6 standard errors of the difference of two means of cos
                for frequency in (0.5, 1.3):
                    p, q = np.cos(frequency * a), np.cos(frequency * b)
                    assert abs(p.mean() - q.mean()) < 6 * np.hypot(p.std(), q.std()) / np.sqrt(len(p)) + 1e-9


def read(tree):
    decoder = tree["decoder"]
    if decoder["type"] == "relu_network":
        f = ReLUNetwork(decoder["weights"], decoder["biases"], decoder["negative_slope"])
    else:
        f = PiecewiseAffineMap(decoder["breakpoints"], decoder["slopes"], decoder["intercepts"])
    return Model(GaussianMixture(**tree["prior"]), f)


def draws(item, size=4000):
    z, _ = item.prior.sample(size, np.random.default_rng(1))
    return item.decoder(z)


def test_second_models_that_are_none_are_rejected():
    first = model([1, 2], [1, 2], RELU)
    tree = first.plain()
    for place, value in [(("prior", "weights", 0), "3/4"), (("prior", "covariances", 0, 0, 0), -1),
                         (("prior", "weights", 0), "-1/2"), (("prior", "means", 0), [1, 2]),
                         (("decoder", "weights", 0, 0), [1, 1]), (("decoder", "biases", 0), [0, 0]),
                         (("decoder", "type"), "declared"), (("prior", "means", 0, 0), 1.0),
                         (("prior", "means", 0, 0), None), (("prior", "means", 0, 0), "x")]:
        for kind in ("law.equal", "law.formal"):
            assert not accepted(kind, tree, second=changed(tree, place, value))
    assert not accepted("law.equal", tree)
    assert not accepted("law.equal", tree, second={**tree, "more": 1})
    flat = model([[1, 2]], [[[1, 0], [0, 1]]], CORNER).plain()
    for value in ([[1, 2], [2, 1]], [[1, 1], [0, 1]]):
        assert not accepted("law.equal", flat, second=changed(flat, ("prior", "covariances", 0), value))
    deep = Random(0)
    three = Model(deep.mixture(3, 1), deep.network(3, 2, [3]))
    assert "one and two latents" in refusal("law.equal", three, second=three)


def test_the_noise_must_be_the_same_and_removable():
    first, other = EQUAL["Remark 3.6"]
    second = DIFFERENT["weights"][1]
    noises = [GaussianNoise(1), GaussianNoise(2), GaussianNoise(covariance=[[4]]), LaplaceNoise(1), StudentNoise(1, 3),
              StudentNoise(1, 4), UniformNoise(1), FejerNoise(1), None]
    laws = [0, 1, 1, 2, 3, 4, 5, 6, 7]
    for i, p in zip(laws, noises, strict=True):
        for k, q in zip(laws, noises, strict=True):
            a, b, c = (Model(item.prior, item.decoder, noise) for item, noise in ((first, p), (other, q), (second, q)))
            assert accepted("law.equal", a, second=b) is (i == k)
            assert accepted("law.formal", a, second=c) is (i == k != 6)
    wide = GaussianNoise([2, 2])
    a = Model(*_plain_parts(), GaussianNoise(2))
    assert accepted("law.equal", a, second=Model(*_plain_parts(), wide))


def _plain_parts():
    item = EQUAL["folded plane"][0]
    return item.prior, item.decoder


def test_normal_laws_given_u():
    rotate = AffineChange([["3/5", "4/5"], ["-4/5", "3/5"]], [0, 0])
    prior = ConditionalPrior.from_means_variances([[1, 2], [0, 1], [3, -1]], [[1, 1], [2, 2], ["1/2", "1/2"]])
    means = [(rotate.matrix_exact @ np.array([Fraction(v) for v in r], dtype=object)).tolist()
             for r in ([1, 2], [0, 1], [3, -1])]
    other = ConditionalPrior.from_means_variances(means, [[1, 1], [2, 2], ["1/2", "1/2"]])
    f = Random(3).network(2, 2, [3], "1/3")
    a, b = Model(prior, f), Model(other, rotate.precompose(f))
    assert refusal("law.equal", a, second=b) is None
    assert accepted("law.formal", a, second=Model(prior, rotate.precompose(f)))
    tree = b.plain()
    for place in numbers(tree["prior"]):
        wrong = changed(tree, ("prior", *place), lambda v: v - Fraction(1, 9))
        assert not accepted("law.equal", a, second=wrong)
        assert accepted("law.formal", a, second=wrong)
    short = ConditionalPrior.from_means_variances(means[:2], [[1, 1], [2, 2]])
    assert "values of u" in refusal("law.equal", a, second=Model(short, b.decoder))
    labelled = ConditionalPrior.from_means_variances(means, [[1, 1], [2, 2], ["1/2", "1/2"]], labels=["a", "b", "c"])
    assert not accepted("law.equal", a, second=Model(labelled, b.decoder))
    mixture = GaussianMixture([1], [[1, 2]], [ROUND])
    assert "depends on u" in refusal("law.equal", a, second=Model(mixture, f))
    for family, natural in (("normal_mean", [[1], [2]]), ("normal_variance", [[-1], [-2]])):
        special = ConditionalPrior(family, [[v] for v in natural])
        normal = ConditionalPrior("normal", [[[v[0], Fraction(-1, 2)] if family == "normal_mean" else [0, v[0]]]
                                             for v in natural])
        assert accepted("law.equal", Model(special, ABSOLUTE), second=Model(normal, ABSOLUTE))
    gamma = Model(ConditionalPrior("gamma", [[[2, -1]]]), ABSOLUTE)
    assert "this family" in refusal("law.equal", gamma, second=gamma)


@pytest.mark.slow
def test_wide_networks_in_the_plane():
    """About 2000 cells each; under a minute on one core."""
    rng = np.random.default_rng(0)
    widths = [2, 32, 32, 2]
    f = ReLUNetwork([rng.standard_normal((b, a)) for a, b in zip(widths[:-1], widths[1:], strict=True)],
                    [rng.standard_normal(b) for b in widths[1:]])
    first = Model(Random(1).mixture(2, 2), f)
    second = Random(2).equivalent(first, AffineChange([[2, 1], [0, 1]], [1, 0]))
    assert refusal("law.equal", first, second=second) is None
    tree = changed(second.plain(), ("decoder", "biases", 1, 7), lambda v: v + Fraction(1, 10**6))
    assert accepted("law.formal", first, second=tree)
