"""Models: exact numbers in, every mistake named, values that compare by value."""

import copy
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ident_theory import (
    GaussianMixture,
    GaussianNoise,
    LaplaceNoise,
    LogisticNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    StudentNoise,
)
from ident_theory.errors import ModelError
from ident_theory.models.value import pivots_semidefinite


def problems(call, *args, **kwargs) -> dict[str, str]:
    """Path -> the rest of the message, for every mistake a call reports."""
    with pytest.raises(ModelError) as caught:
        call(*args, **kwargs)
    return {p.path: str(p) for p in caught.value.problems}


def test_numbers_are_read_exactly():
    prior = GaussianMixture(["1/3", Decimal("0.1"), Fraction(17, 30)], [0.1, 2, np.float32(0.5)], [1, 1, 1])
    assert list(prior.weights_exact) == [Fraction(1, 3), Fraction(1, 10), Fraction(17, 30)]
    assert prior.means_exact[0, 0] == Fraction(0.1) != Fraction(1, 10)
    assert prior.means_exact[2, 0] == Fraction(1, 2)
    assert prior.repairs == ()


def test_fractions_of_numpy_integers_do_not_overflow():
    prior = GaussianMixture([1], [Fraction(np.int64(2**62))], [1])
    assert type(prior.means_exact[0, 0].numerator) is int
    assert (4 * prior.means_exact)[0, 0] == 2**64


def test_rounded_weights_are_repaired_and_recorded():
    prior = GaussianMixture([1 / 3] * 3, [0, 1, 2], [1, 1, 1])
    assert sum(prior.weights_exact) == 1
    assert "divided by their sum" in prior.repairs[0]
    assert "weights" in problems(GaussianMixture, [0.3, 0.3], [0, 1], [1, 1])


def test_every_mistake_of_a_mixture_at_once():
    found = problems(GaussianMixture, [1.2, -0.2, float("nan")], [0, 1], [1, -1])
    assert set(found) == {"weights[2]", "covariances[1]"}
    found = problems(GaussianMixture, [1], [[float("nan"), 0]], [[[1, 2], [2, 1]]])
    assert set(found) == {"means[0][0]", "covariances[0]"}
    found = problems(GaussianMixture, [1.5, -0.5], [0, 1, 2], [1, -1, 1])
    assert set(found) == {"weights[1]", "means", "covariances[1]"}
    assert "found -0.5" in found["weights[1]"]
    assert "found -1.0" in found["covariances[1]"]


@pytest.mark.parametrize(("args", "path"), [
    (([], [], []), "weights"),
    (([1], [[[0]]], [1]), "means"),
    (([0.5, 0.5], [[0, 1], [2]], [1, 1]), "means[1]"),
    (([1], [[0, 0]], [[[1, 2], [2, 1]]]), "covariances[0]"),
    (([1], [[0, 0]], [[[1, 0.5], [0.25, 1]]]), "covariances[0][1][0]"),
    (([1], [0], [[1, 2]]), "covariances"),
    (([1], [0], 1), "covariances"),
    (([1], [0], [[[[1]]]]), "covariances"),
    (([1], [0], []), "covariances"),
    (([True], [0], [1]), "weights[0]"),
    ((["x"], [0], [1]), "weights[0]"),
    ((["1/0"], [0], [1]), "weights[0]"),
    (([1], [1j], [1]), "means[0]"),
    (([1], [float("inf")], [1]), "means[0]"),
    (([1], [Decimal("1e900")], [1]), "means[0]"),
])
def test_bad_mixtures(args, path):
    assert path in problems(GaussianMixture, *args)


def test_singular_covariances_are_legal():
    prior = GaussianMixture([0.5, 0.5], [[0, 0], [1, 1]], [[[1, 1], [1, 1]], [[0, 0], [0, 0]]])
    z, component = prior.sample(500, np.random.default_rng(0))
    assert np.allclose(z[component == 0, 0], z[component == 0, 1])
    assert (z[component == 1] == 1).all()


def test_diagonals_and_variances_are_short_forms():
    assert GaussianMixture([1], [[0, 0]], [[1, 4]]) == GaussianMixture([1], [[0, 0]], [[[1, 0], [0, 4]]])
    assert GaussianMixture([1], [0], [4]) == GaussianMixture([1], [[0]], [[[4]]])


@given(st.integers(1, 4), st.integers(0, 2**32 - 1), st.booleans())
def test_semidefiniteness_is_decided_like_eigenvalues(size, seed, singular):
    rng = np.random.default_rng(seed)
    root = rng.integers(-3, 4, size=(size, max(1, size - singular)))
    gram = root @ root.T
    as_exact = np.array([[Fraction(int(v)) for v in row] for row in gram], dtype=object)
    semidefinite, determinant = pivots_semidefinite(as_exact)
    assert semidefinite
    assert determinant == round(np.linalg.det(gram))
    as_exact[0, 0] -= gram[0, 0] + 1
    assert not pivots_semidefinite(as_exact)[0]


def test_reduced_form_merges_and_drops():
    prior = GaussianMixture(["1/4", 0, "1/2", "1/4"], [0, 5, 1, 0], [1, 1, 1, 1])
    assert prior.reduced() == GaussianMixture(["1/2", "1/2"], [0, 1], [1, 1])


def test_network_evaluates_and_names_mistakes():
    f = ReLUNetwork([[[1], [-1]], [[1, 2]]], [[0, 1], [0]], negative_slope="1/2")
    assert f([[-2.0], [3.0]]).tolist() == [[-1 + 2 * 3], [3 + 2 * -1.0]]
    found = problems(ReLUNetwork, [[[1], [2]], [[1, 2, 3]]], [[0], [0, 0]], float("nan"))
    assert set(found) == {"weights[1]", "biases[0]", "biases[1]", "negative_slope"}
    assert {"weights", "biases"} <= set(problems(ReLUNetwork, [], 3))
    assert "weights[0]" in problems(ReLUNetwork, [[1, 2]], [[0]])


def test_piecewise_map_evaluates_and_names_mistakes():
    f = PiecewiseAffineMap([0, 1], [1, 0, 2], [0, 0, -1])
    assert f([-1.0, 0.5, 1.0, 2.0]).ravel().tolist() == [-1, 0, 1, 3]
    assert not f.is_continuous
    assert PiecewiseAffineMap([0], [-1, 1], [0, 0]).is_continuous
    found = problems(PiecewiseAffineMap, [1, 1, 0], [1, 2], [[0, 0]] * 4)
    assert {"breakpoints[1]", "breakpoints[2]", "slopes", "intercepts"} == set(found)


@pytest.mark.parametrize(("call", "path"), [
    (lambda: GaussianNoise(), "noise"),
    (lambda: GaussianNoise(1, covariance=[[1]]), "noise"),
    (lambda: GaussianNoise(0), "std"),
    (lambda: GaussianNoise([1, -1]), "std[1]"),
    (lambda: GaussianNoise([]), "std"),
    (lambda: GaussianNoise(covariance=[[1, 2], [2, 1]]), "covariance"),
    (lambda: GaussianNoise(covariance=[[1, 1], [1, 1]]), "covariance"),
    (lambda: GaussianNoise(covariance=[[1, 1]]), "covariance"),
    (lambda: LaplaceNoise(0), "scale"),
    (lambda: LogisticNoise([[1]]), "scale"),
    (lambda: StudentNoise(1, -3), "df"),
])
def test_bad_noise(call, path):
    assert path in problems(call)


def test_model_checks_dimensions():
    prior, f = GaussianMixture([1], [0], [1]), PiecewiseAffineMap([], [[1, 2]], [[0, 0]])
    assert "noise" in problems(Model, prior, f, GaussianNoise([1, 1, 1]))
    assert "prior.means" in problems(Model, GaussianMixture([1], [[0, 0]], [[1, 1]]), f)
    assert {"prior", "noise"} == set(problems(Model, f, f, 0.3))


@pytest.mark.parametrize("noise", [None, GaussianNoise(0.25), GaussianNoise(covariance=[[2]]), LaplaceNoise(1),
                                   LogisticNoise(["1/3"]), StudentNoise(1, 3)])
def test_values(noise):
    """Equal by value, hashable, immutable, and they survive copying and pickling."""
    def build():
        return Model(GaussianMixture([1], [0], [1]), ReLUNetwork([[[1]]], [[0]]), noise)

    model = build()
    assert model == build() == copy.deepcopy(model) == pickle.loads(pickle.dumps(model))
    assert hash(model) == hash(build())
    assert model != Model(GaussianMixture([1], ["1/10"], [1]), model.decoder, noise)
    with pytest.raises(AttributeError, match="immutable"):
        model.prior = None
    with pytest.raises(ValueError, match="read-only"):
        model.prior.means[0, 0] = 3
    assert "Model(" in repr(model)


@pytest.mark.parametrize(("noise", "variance"), [
    (GaussianNoise(2), 4), (LaplaceNoise(2), 8), (StudentNoise(2, 5), 20 / 3), (LogisticNoise(2), 4 * np.pi**2 / 3)])
def test_noise_samples_have_their_variance(noise, variance):
    """Five standard errors of a variance from 200,000 draws are below 6 % for these tails."""
    draws = noise.sample(200_000, 1, np.random.default_rng(0))
    assert draws.shape == (200_000, 1)
    assert abs(draws.var() / variance - 1) < 0.06
