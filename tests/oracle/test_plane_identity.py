"""The formal law of f(Z) for two latents: against densities, preimages, quadrature of masses, and one latent."""

from __future__ import annotations

import math
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from common.network_strategies import random_network, random_widths
from flint import arb, ctx, fmpq, fmpq_mat
from scipy.stats import norm

from ident_theory import GaussianMixture, GaussianNoise, Model, ReLUNetwork, law
from ident_theory.geometry.line import line_pieces
from ident_theory.geometry.plane import plane_cells
from ident_theory.laws.equality_noiseless import PlaneWeights
from ident_theory.laws.identity import law_key
from ident_theory.laws.line_terms import components_of as line_components
from ident_theory.laws.plane_identity import carrier, plane_law
from ident_theory.laws.plane_identity_masses import number, total
from ident_theory.laws.plane_scalar import _log_prior_mass
from ident_theory.laws.plane_terms import components_of
from ident_theory.models.change import AffineChange

REGULAR = [[[1, 0], [0, 1]], [[2, 1], [1, 2]], [[1, 0], [0, Fraction(1, 4)]],
           [[Fraction(1, 2), Fraction(1, 3)], [Fraction(1, 3), 1]]]
SINGULAR = [[[1, 1], [1, 1]], [[0, 0], [0, 1]], [[4, 0], [0, 0]], [[0, 0], [0, 0]]]
SLOPES = (0, 0, 0, Fraction(1, 2), -1)


def mixture(rng: Random, covariances, most: int = 3) -> GaussianMixture:
    count = rng.randint(1, most)
    weights = [Fraction(rng.randint(1, 3)) for _ in range(count)]
    return GaussianMixture([w / sum(weights) for w in weights],
                           [[rng.randint(-2, 2), rng.randint(-2, 2)] for _ in range(count)],
                           [rng.choice(covariances) for _ in range(count)])


def network(rng: Random, n: int) -> ReLUNetwork:
    widths = [*random_widths(rng, rng.randint(1, 3), 2, 4, 7)[:-1], n]
    return random_network(rng, widths, 2, rng.choice(SLOPES))


def change(rng: Random) -> AffineChange:
    while True:
        a = [[Fraction(rng.randint(-2, 2), rng.randint(1, 2)) for _ in range(2)] for _ in range(2)]
        if a[0][0] * a[1][1] != a[0][1] * a[1][0]:
            return AffineChange(a, [rng.randint(-2, 2), Fraction(rng.randint(-2, 2), 3)])


def key(prior: GaussianMixture, f: ReLUNetwork):
    return plane_law(plane_cells(f), components_of(prior)).key()


def rewritten(rng: Random, f: ReLUNetwork) -> ReLUNetwork:
    """The same function: hidden units permuted and rescaled, a dead and a doubled unit added."""
    weights, biases = [w.copy() for w in f.weights_exact], [b.copy() for b in f.biases_exact]
    for l in range(f.depth - 1):
        order = rng.sample(range(len(weights[l])), len(weights[l]))
        scale = np.array([Fraction(rng.randint(1, 3), rng.randint(1, 3)) for _ in order], dtype=object)
        weights[l], biases[l] = weights[l][order] * scale[:, None], biases[l][order] * scale
        weights[l + 1] = weights[l + 1][:, order] / scale
    if f.depth > 1:
        zero = np.array([[Fraction(0)]], dtype=object)
        weights[0] = np.vstack([weights[0], weights[0][:1], np.array([[Fraction(1), Fraction(2)]], dtype=object)])
        biases[0] = np.concatenate([biases[0], biases[0][:1], np.array([Fraction(1)], dtype=object)])
        half = weights[1][:, :1] / 2
        weights[1] = np.hstack([half, weights[1][:, 1:], half, zero.repeat(len(half), 0)])
    return ReLUNetwork(weights, biases, f.negative_slope_exact)


def split(prior: GaussianMixture) -> GaussianMixture:
    """The same mixture with one component in two parts, one of weight zero, and the others reversed."""
    w, mu, s = (list(a) for a in (prior.weights_exact, prior.means_exact, prior.covariances_exact))
    weights = [*w[:0:-1], w[0] / 3, 0, 2 * w[0] / 3]
    return GaussianMixture(weights, [*(m.tolist() for m in mu[:0:-1]), mu[0].tolist(), [7, 7], mu[0].tolist()],
                           [*(c.tolist() for c in s[:0:-1]), s[0].tolist(), [[1, 0], [0, 1]], s[0].tolist()])


def test_equivalent_models_have_equal_keys() -> None:
    rng = Random(1)
    parts = [0, 0, 0]
    for _ in range(300):
        f = network(rng, rng.randint(1, 3))
        prior = mixture(rng, REGULAR + SINGULAR)
        h = change(rng)
        first = key(prior, f)
        assert first == key(split(h.carry(prior)), rewritten(rng, h.precompose(f)))
        parts = [p + bool(k) for p, k in zip(parts, first, strict=True)]
    assert min(parts) > 60  # planes, lines and atoms all occur


def preimage_list(prior: GaussianMixture, f: ReLUNetwork, plane, y) -> dict:
    """Weights of the Gaussians that cells show at a point of a plane, by solving for the preimage in every cell."""
    pivots, numbers = plane
    n = len(numbers) // 3
    p, q, foot = ([fmpq(*v) for v in numbers[i * n:(i + 1) * n]] for i in range(3))
    x = fmpq_mat([[o + y[0] * a + y[1] * b] for o, a, b in zip(foot, p, q, strict=True)])
    found: dict = {}
    for cell in plane_cells(f):
        if cell.rank() < 2:
            continue
        a, c = fmpq_mat([list(r) for r in cell.matrix]), fmpq_mat([[v] for v in cell.offset])
        z = (a.transpose() * a).solve(a.transpose() * (x - c))
        spread = (a * fmpq_mat(2, 2, [1, 0, 0, 1]) - fmpq_mat([[v for v in row] for row in zip(p, q, strict=True)])
                  * fmpq_mat([list(cell.matrix[j]) for j in pivots])).entries()
        if a * z + c != x or any(spread) or not cell.contains(z[0, 0], z[1, 0]):
            continue
        b, shift = fmpq_mat([list(cell.matrix[j]) for j in pivots]), fmpq_mat([[cell.offset[j]] for j in pivots])
        for component in components_of(prior):
            if component.rank == 2:
                s = b * fmpq_mat([list(r) for r in component.covariance]) * b.transpose()
                m = b * fmpq_mat([[v] for v in component.mean]) + shift
                name = tuple((int(v.p), int(v.q)) for v in (m[0, 0], m[1, 0], s[0, 0], s[0, 1], s[1, 1]))
                found[name] = found.get(name, fmpq(0)) + component.weight
    return found


def image_points(rng: Random, f: ReLUNetwork, count: int):
    """Points of the image with generic coordinates, as (plane, y)."""
    cells = [cell for cell in plane_cells(f) if cell.rank() == 2]
    for _ in range(count if cells else 0):
        cell = rng.choice(cells)
        x, y = cell.interior_point()
        plane = carrier(cell)
        u = [x + fmpq(rng.randint(-10**6, 10**6), 10**6 + 3), y + fmpq(rng.randint(-10**6, 10**6), 10**6 + 33)]
        ((a, b), (c, d)), (e, g) = plane.frame(cell)
        yield plane.name, [a * u[0] + b * u[1] + e, c * u[0] + d * u[1] + g]


def test_jumps_give_the_gaussians_that_preimages_show() -> None:
    """The step functions rebuilt from jumps and the far value, against exact preimages at random rational points."""
    rng = Random(2)
    seen = 0
    for _ in range(60):
        f, prior = network(rng, rng.randint(2, 3)), mixture(rng, REGULAR, 2)
        parts = plane_law(plane_cells(f), components_of(prior))
        for plane, y in image_points(rng, f, 6):
            weights = PlaneWeights(item for item in parts.planes.items() if item[0][0] == plane)
            expected = {g: w for g, w in preimage_list(prior, f, plane, y).items() if w}
            assert {g: w for g in weights.gaussians if (w := weights.at(g, y))} == expected
            seen += 1
    assert seen > 200


def test_keys_agree_exactly_where_lists_of_gaussians_do() -> None:
    """Pairs on few different numbers: planes of the keys are equal when all sampled lists are, and only then."""
    rng = Random(3)
    equal = different = 0
    for _ in range(100):
        f = random_network(rng, [2, rng.randint(2, 4), 2], 1)
        if rng.random() < 0.5:
            f = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, rng.choice([-1, 1])]]],
                            [[0] * 4, [0, 0]])
        prior, other = (mixture(rng, REGULAR[:1] + REGULAR[2:3], 2) for _ in range(2))
        flip = np.array([rng.choice([-1, 1]), rng.choice([-1, 1])])
        if rng.random() < 0.7:
            other = GaussianMixture(prior.weights_exact, (prior.means_exact * flip).tolist(), prior.covariances_exact)
        same = key(prior, f)[0] == key(other, f)[0]
        lists = [(preimage_list(prior, f, *spot), preimage_list(other, f, *spot)) for spot in image_points(rng, f, 8)]
        assert all(a == b for a, b in lists) if same else any(a != b for a, b in lists)
        equal, different = equal + (same and bool(lists)), different + (not same)
    assert min(equal, different) > 12


def line_density(lines, x: float) -> float:
    """The density of the formal sums of a law on R, from the definition of their names."""
    out = 0.0
    for name, value in lines.items():
        (_, mean, variance, place), factor = name[:4], name[4:]
        if value and (place is None or x >= place[0] / place[1]):
            mid, scale = mean[0] / mean[1], math.sqrt(variance[0] / variance[1])
            term = norm.pdf(x, mid, scale)
            if factor and isinstance(factor[0][0], tuple):
                (a, b), (c, d) = factor[0]
                term *= norm.cdf(math.sqrt(a / b) * x + math.copysign(math.sqrt(abs(c / d)), c))
            elif factor:
                term *= norm.cdf(math.sqrt(factor[0][0] / factor[0][1]))
            out += float(Fraction(int(value.p), int(value.q))) * term
    return out


def test_lines_are_the_noiseless_density() -> None:
    """n = 1, all kinds of components: against `law`, which integrates chords in floats."""
    rng = Random(4)
    for _ in range(60):
        model = Model(mixture(rng, REGULAR + SINGULAR), network(rng, 1))
        parts = plane_law(plane_cells(model.decoder), components_of(model.prior))
        x = np.array([rng.uniform(-6, 6) for _ in range(8)])
        exact = law(model)
        density = np.exp(exact.log_density(x)) if parts.lines else np.zeros(8)
        # Sums of terms of either sign, each good to a few 1e-16.
        assert np.allclose([line_density(parts.lines, v) for v in x], density, rtol=1e-10, atol=1e-13)
        atoms: dict = {}
        for name, value in parts.atoms.items():
            atoms.setdefault(name[0][0], {})[name[1:]] = value
        masses = {place[0] / place[1]: float(total(terms).mid()) for place, terms in atoms.items()}
        found = exact.atoms()
        expected = dict(zip(found.locations[:, 0].tolist(), found.masses.tolist(), strict=True))
        assert {k for k, v in masses.items() if v > 1e-15} == {k for k, v in expected.items() if v > 1e-15}
        assert all(masses[k] == pytest.approx(v, abs=1e-12) for k, v in expected.items())


def test_masses_of_flat_cells() -> None:
    """Against one-dimensional quadrature; means on corners and sides of the cells are common here."""
    rng = Random(5)
    kinds = set()
    for _ in range(150):
        f, prior = random_network(rng, [2, rng.randint(1, 4), 1], 2), mixture(rng, REGULAR, 1)
        if rng.random() < 0.5:  # all borders of the cells run through the mean
            through = -f.weights_exact[0] @ prior.means_exact[0]
            f = ReLUNetwork(f.weights_exact, [through.tolist(), f.biases_exact[1].tolist()])
        components = components_of(prior)
        atoms: dict = {}
        for name, value in plane_law(plane_cells(f), components).atoms.items():
            atoms.setdefault(name[0], {})[name[1:]] = value
            kinds |= {("angle" if name[1] == "angle" else len(name)) if value and len(name) > 1 else 0}
        places: dict = {}
        for cell in plane_cells(f):
            if cell.rank() == 0:
                places.setdefault(tuple((int(v.p), int(v.q)) for v in cell.offset), []).append(cell)
        assert set(atoms) == set(places)
        for place, cells in places.items():
            assert float(total(atoms[place]).mid()) == pytest.approx(math.exp(_log_prior_mass(cells, components)),
                                                                     abs=1e-12)
    assert kinds == {0, 2, 3, "angle"}  # rationals, Phi, T and angles


@pytest.mark.parametrize(("rows", "covariance", "mass"), [
    ([[1, 0], [0, 1]], REGULAR[0], {(): fmpq(1, 4)}),
    ([[1, 1], [1, -1]], REGULAR[0], {(): fmpq(1, 4)}),
    ([[1, 0], [1, 1]], REGULAR[0], {(): fmpq(3, 8)}),
    ([[1, 0], [-1, 1]], REGULAR[0], {(): fmpq(1, 8)}),
    ([[1, 0], [0, 1]], REGULAR[1], {(): fmpq(1, 3)}),  # 1/4 + arcsin(1/2)/(2 pi)
    ([[1, 0]], REGULAR[1], {(): fmpq(1, 2)}),
    ([[1, 2], [1, 0]], REGULAR[0], {(): fmpq(1, 2), ("angle", (1, 5)): fmpq(-1)}),
    ([[2, 1], [1, 0]], REGULAR[0], {(): fmpq(1, 4), ("angle", (1, 5)): fmpq(1)}),  # the complementary angle
    ([[1, 0], [0, 1], [1, 1]], REGULAR[0], {(): fmpq(1, 4)}),
])
def test_wedges_at_the_mean(rows, covariance, mass) -> None:
    """The mass on which all units are off, by elementary geometry; the cells of copies of f side by side join."""
    f = ReLUNetwork([rows, [[1] * len(rows)]], [[0] * len(rows), [0]])
    law_of_f = plane_law(plane_cells(f), components_of(GaussianMixture([1], [[0, 0]], [covariance])))
    assert {name[1:]: value for name, value in law_of_f.atoms.items() if value} == mass
    # Cutting the flat cell by a unit that does nothing changes no number.
    cut = ReLUNetwork([[*rows, [-1, 3]], [[*[1] * len(rows), 0]]], [[0] * (len(rows) + 1), [0]])
    assert key(GaussianMixture([1], [[0, 0]], [covariance]), cut)[2] == law_of_f.key()[2]


def test_numbers() -> None:
    with ctx.workprec(128):
        assert number(()) == 1
        assert number(((9, 4),)).overlaps((1 + (arb(9) / 8).sqrt().erf()) / 2)
        # T(h, 1) = Phi(h) Phi(-h) / 2, and a quadrant at distances h, k has the mass Phi(-h) Phi(-k).
        phi = number(((4, 1),))
        assert number(((4, 1), (1, 1))).overlaps(phi * (1 - phi) / 2)
        assert number(("angle", (3, 4))).overlaps(arb(1) / 12)
        assert abs(float(number(((1, 100), (10**8, 1))).mid()) - (1 - norm.cdf(0.1)) / 2) < 1e-9


@pytest.mark.parametrize("n", [1, 2])
def test_one_latent_seen_as_two(n: int) -> None:
    """f(z1) under (z1, z2), and under components on lines, has the key of f under z1 alone."""
    rng = Random(6)
    for _ in range(40):
        narrow = random_network(rng, [1, rng.randint(1, 4), n], 2, rng.choice(SLOPES))
        w = [[v, Fraction(0)] for v, in narrow.weights_exact[0]]
        wide = ReLUNetwork([w, *narrow.weights_exact[1:]], narrow.biases_exact, narrow.negative_slope_exact)
        means, variances = [rng.randint(-2, 2) for _ in range(2)], [rng.choice([0, 1, 4]) for _ in range(2)]
        line = GaussianMixture(["1/3", "2/3"], means, variances)
        plane = GaussianMixture(["1/3", "1/6", "1/2"], [[means[0], 5], [means[1], 1], [means[1], 0]],
                                [[variances[0], 0], [variances[1], 0], [variances[1], rng.choice([0, 1])]])
        one = law_key(line_pieces(narrow), line_components(line))
        planes, lines, atoms = key(plane, wide)
        assert (planes, lines, atoms) == (frozenset(), *one)


def test_a_line_along_a_border() -> None:
    """A component on the common side of two cells, and one on a side that ends there."""
    f = ReLUNetwork([[[1, 0], [0, 1]], [[1, 1], [1, 2]]], [[0, 0], [0, 0]])
    on_axis = GaussianMixture([1], [[0, 0]], [[[0, 0], [0, 1]]])
    narrow = ReLUNetwork([[[1]], [[1], [2]]], [[0], [0, 0]])
    assert key(on_axis, f) == (frozenset(), *law_key(line_pieces(narrow),
                                                     line_components(GaussianMixture([1], [0], [1]))))


def test_keys_agree_with_noisy_densities_on_a_family() -> None:
    """Every pair of a family with many coincidences: classes by key and by densities in float64 are the same."""
    rng = Random(7)
    noise, family, classes = GaussianNoise("1/2"), [], []
    numbers: dict = {}
    for f in (*(random_network(rng, [2, 2, 1], 1) for _ in range(10)), ReLUNetwork([[[1, 0], [-1, 0]], [[1, 1]]],
                                                                                [[0, 0], [0]])):
        for _ in range(6):
            prior = mixture(rng, REGULAR[:1] + SINGULAR[1:], 2)
            for flip in ([1, 1], [-1, 1], [1, -1], [-1, -1]):
                turned = GaussianMixture(prior.weights_exact, (prior.means_exact * np.array(flip)).tolist(),
                                         prior.covariances_exact)
                family.append(Model(turned, f, noise))
                classes.append(numbers.setdefault(key(turned, f), len(numbers)))
    points = np.linspace(-6, 6, 13)
    logs = np.array([law(model).log_density(points) for model in family])
    gaps = np.abs(logs[:, None, :] - logs[None, :, :]).max(axis=2)
    same = np.equal.outer(classes, classes)
    assert np.array_equal(gaps < 1e-9, same)
    assert gaps[~same].min() > 1e-5  # so the tolerance decides nothing
    assert same.sum() > 3 * len(family)


def test_weights_of_zero_and_repeated_components() -> None:
    f = ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[0, -1], [0]])
    prior = GaussianMixture(["1/2", "1/2"], [[0, 1], [2, 0]], [[1, 1], [1, 4]])
    assert key(prior, f) == key(split(prior), f)
