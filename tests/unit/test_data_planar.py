"""Pinwheel and parallelograms: formula, shares, fixed copies, errors."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import ConvexHull

from ident_theory.data import parallelograms, pinwheel
from ident_theory.data.planar import GAP, _gap, _shapes
from ident_theory.errors import InputError


def rng(seed=0):
    return np.random.default_rng(seed)


def complex_points(pairs):
    return pairs[:, 0] + 1j * pairs[:, 1]


@pytest.mark.parametrize("settings", [{}, {"clusters": 5, "rate": -0.7, "scale": 2.0, "size": 501}])
def test_pinwheel_formula(settings):
    """The same by complex multiplication: turning clockwise by the angle."""
    data = pinwheel(rng(), **settings)
    s = data.settings
    r, t, arm = (data.factors[name] for name in ("radial", "tangential", "cluster"))
    angle = 2 * np.pi * arm / s["clusters"] + s["rate"] * np.exp(r)
    np.testing.assert_allclose(complex_points(data.x), s["scale"] * (r + 1j * t) * np.exp(-1j * angle), atol=1e-12)
    star = (r + 1j * t) * np.exp(-2j * np.pi * arm / s["clusters"])
    np.testing.assert_allclose(complex_points(data.z), star, atol=1e-13)


def test_pinwheel_settings_of_the_paper():
    data = pinwheel(rng())
    assert data.x.shape == data.z.shape == (5000, 2)
    assert data.u is None
    assert data.model is None
    assert sorted(np.bincount(data.factors["cluster"])) == [1666, 1667, 1667]
    assert stats.kstest((data.factors["radial"] - 1) / 0.3, "norm").pvalue > 1e-3
    assert stats.kstest(data.factors["tangential"] / 0.05, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(data.factors["radial"], data.factors["tangential"])[0, 1]) < 5 / np.sqrt(5000)
    # In random order: the lag-one correlation of the labels is that of noise.
    arm = data.factors["cluster"]
    assert abs(np.corrcoef(arm[1:], arm[:-1])[0, 1]) < 5 / np.sqrt(5000)


@pytest.mark.parametrize("made", [pinwheel, parallelograms])
def test_labels_as_conditions(made):
    data = made(rng(), size=7, labels="conditions")
    assert np.array_equal(data.u, data.factors["cluster"])
    assert data.conditions == 3
    assert made(rng(), size=7).u is None
    assert np.array_equal(made(rng(), size=7).x, data.x)


def test_parallelograms_hold_their_points():
    data = parallelograms(rng(), size=30_000, noise_std=0)
    assert np.array_equal(data.x, data.z)
    for value in range(3):
        rows = data.factors["cluster"] == value
        # An affine map takes the coordinates to the points: four numbers and two, from all rows.
        design = np.column_stack([np.ones(rows.sum()), data.factors["first"][rows], data.factors["second"][rows]])
        affine, *_ = np.linalg.lstsq(design, data.z[rows], rcond=None)
        np.testing.assert_allclose(design @ affine, data.z[rows], atol=1e-12)
        lengths = np.linalg.norm(affine[1:], axis=1)
        assert np.all((lengths >= 1) & (lengths <= 3))
        area = abs(np.linalg.det(affine[1:]))
        assert area >= lengths.prod() / 2 - 1e-12  # the angle is between 30° and 150°
        # The hull of N uniform points misses about (8/3) log(N)/N of a parallelogram's area: 0.25 % here.
        assert 0.99 * area < ConvexHull(data.z[rows]).volume <= area * (1 + 1e-12)
    for name in ("first", "second"):
        assert stats.kstest(data.factors[name], "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(data.factors["first"], data.factors["second"])[0, 1]) < 5 / np.sqrt(30_000)


def test_shares_by_area():
    data = parallelograms(rng(), size=20_000, noise_std=0, shares="area")
    area = np.array([ConvexHull(data.z[data.factors["cluster"] == value]).volume for value in range(3)])
    expected = 20_000 * area / area.sum()
    assert stats.chisquare(np.bincount(data.factors["cluster"]), expected * 20_000 / expected.sum()).pvalue > 1e-3
    equal = parallelograms(rng(), size=20_000)
    assert sorted(np.bincount(equal.factors["cluster"])) == [6666, 6667, 6667]


def test_copies_are_fixed_and_differ():
    def corners(data):
        return np.array([data.z[data.factors["cluster"] == value].mean(axis=0) for value in range(3)])

    centres = {copy: corners(parallelograms(rng(0), copy=copy, size=30_000)) for copy in (1, 2, 3)}
    for copy in (1, 2, 3):
        again = corners(parallelograms(rng(5), copy=copy, size=30_000))
        # Points are at most 6 apart in a parallelogram: a mean of 10,000 has a deviation below 0.03.
        np.testing.assert_allclose(again, centres[copy], atol=0.12)
        assert all(abs(centres[copy] - centres[other]).max() > 0.3 for other in {1, 2, 3} - {copy})
    one, two = (corners(parallelograms(rng(seed), copy=None, size=300)) for seed in (0, 5))
    assert abs(one - two).max() > 0.3
    assert not np.array_equal(parallelograms(rng(0)).x, parallelograms(rng(1)).x)
    assert np.array_equal(parallelograms(rng(0)).x, parallelograms(rng(0)).x)


@pytest.mark.parametrize("seed", range(20))
def test_parallelograms_are_apart(seed):
    """Distance by brute force: from points along the edges of one to those of another."""
    corner, sides = _shapes(rng(seed), 3)
    along = np.linspace(0, 1, 60)

    def edge(k):
        first, second = sides[k]
        return corner[k] + np.concatenate([np.outer(along, first), np.outer(along, second),
                                           first + np.outer(along, second), second + np.outer(along, first)])

    for i in range(3):
        for j in range(i):
            distance = np.linalg.norm(edge(i)[:, None] - edge(j), axis=2).min()
            gap = _gap(corner[[i, j]], sides[[i, j]])
            assert GAP <= gap <= distance + 1e-12


def test_overlapping_parallelograms_have_no_gap():
    square = np.array([[1.0, 0.0], [0.0, 1.0]])
    turned = np.array([[0.1, 0.1], [-0.1, 0.1]])
    assert _gap(np.array([[0.0, 0.0], [0.5, 0.4]]), np.stack([square, turned])) < 0
    assert _gap(np.array([[0.0, 0.0], [3.0, 0.0]]), np.stack([square, square])) == pytest.approx(2.0)
    assert _gap(np.array([[0.0, 0.0], [0.5, 3.0]]), np.stack([square, turned])) == pytest.approx(2.0)


def test_noise_and_higher_dimensions():
    data = parallelograms(rng(), observed_dim=6, noise_std=0.2, size=20_000)
    clean = parallelograms(rng(), observed_dim=6, noise_std=0, size=20_000)
    assert np.array_equal(clean.z, data.z)
    # A plane embedded without stretching: distances stay.
    np.testing.assert_allclose(np.linalg.norm(clean.x[1:] - clean.x[:-1], axis=1),
                               np.linalg.norm(clean.z[1:] - clean.z[:-1], axis=1), atol=1e-12)
    assert np.linalg.matrix_rank(clean.x, tol=1e-9) == 2
    assert abs((data.x - clean.x).std() - 0.2) < 5 * 0.2 / np.sqrt(2 * 120_000)
    other = parallelograms(rng(3), observed_dim=6, noise_std=0, size=20_000)
    np.testing.assert_allclose(other.x, other.z @ np.linalg.lstsq(clean.z, clean.x, rcond=None)[0], atol=1e-11)


@pytest.mark.parametrize(("made", "settings", "message"), [
    (pinwheel, {"size": 2}, "size: expected a whole number >= 3, found 2"),
    (pinwheel, {"clusters": 0}, "clusters: expected"),
    (pinwheel, {"radial_std": 0}, "radial_std: expected a finite number > 0, found 0"),
    (pinwheel, {"tangential_std": -1}, "tangential_std: expected a finite number > 0"),
    (pinwheel, {"rate": "fast"}, "rate: expected a finite number, found 'fast'"),
    (pinwheel, {"scale": float("inf")}, "scale: expected a finite number > 0"),
    (pinwheel, {"labels": "u"}, "labels: expected one of factors, conditions"),
    (parallelograms, {"copy": 4}, "copy: expected"),
    (parallelograms, {"copy": 0}, "copy: expected a whole number >= 1"),
    (parallelograms, {"clusters": 7}, "clusters: expected .*<= 6"),
    (parallelograms, {"size": 1}, "size: expected a whole number >= 3"),
    (parallelograms, {"observed_dim": 1}, "observed_dim: expected a whole number >= 2"),
    (parallelograms, {"noise_std": -0.1}, "noise_std: expected a finite number >= 0"),
    (parallelograms, {"shares": "all"}, "shares: expected one of equal, area"),
    (parallelograms, {"labels": "u"}, "labels: expected one of factors, conditions"),
])
def test_bad_settings(made, settings, message):
    with pytest.raises(InputError, match=message):
        made(rng(), **settings)


@pytest.mark.parametrize("made", [pinwheel, parallelograms])
def test_bad_generator(made):
    with pytest.raises(InputError, match="rng: expected"):
        made(7)
