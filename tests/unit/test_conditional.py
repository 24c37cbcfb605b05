"""Conditional priors, declared decoders and the noises that only checks use."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy import integrate, stats

from ident_theory import landscape_slice, law
from ident_theory.errors import InputError, ModelError, UnsupportedError
from ident_theory.landscape import ParameterFamily, parameter_paths
from ident_theory.laws.identity import compare
from ident_theory.models import (
    ConditionalPrior,
    DeclaredMap,
    FejerNoise,
    GaussianMixture,
    GaussianNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    UniformNoise,
)

LINE = PiecewiseAffineMap([], [1], [0])
STANDARD = GaussianMixture([1], [0], [1])


def problems(make, *args, **keywords) -> dict[str, str]:
    with pytest.raises(ModelError) as caught:
        make(*args, **keywords)
    return {problem.path: str(problem) for problem in caught.value.problems}


def test_means_and_variances_become_natural_parameters_exactly():
    prior = ConditionalPrior.from_means_variances([[0, "1/3"], [1, 2]], [[1, 2], ["1/2", 4]], labels=["a", "b"])
    assert prior.natural_exact.shape == (2, 2, 2)
    assert list(prior.natural_exact[0, 1]) == [Fraction(1, 6), Fraction(-1, 4)]
    assert list(prior.natural_exact[1, 0]) == [2, -1]
    assert (prior.n_values, prior.latent_dim, prior.k, prior.label(1)) == (2, 2, 2, "b")
    assert np.allclose(prior.natural[1], [[2, -1], [0.5, -0.125]], rtol=1e-15)


def test_a_callable_is_a_table_at_the_points():
    made = ConditionalPrior.from_callable(lambda u: np.array([[u, -1.0], [0.1, -u - 1]]), [0.0, 0.5])
    assert made == ConditionalPrior("normal", [[[0, -1], [0.1, -1]], [[0.5, -1], [0.1, -1.5]]])
    made = ConditionalPrior.from_callable(lambda u: [u, 2 * u], [1, 2], family="normal_mean")
    assert made.natural_exact.shape == (2, 2, 1)
    with pytest.raises(InputError, match="function of u"):
        ConditionalPrior.from_callable([1, 2], [0])  # type: ignore[arg-type]


def test_every_mistake_at_once():
    found = problems(ConditionalPrior, "normal", [[[0, -1], [0, 1]], [[1, 0], [1, -2]]], weights=["1/2", "1/3"],
                     labels=["a", "a"], statistics=["z"], location=1, standard_errors=[[[1, 1], [1, -1]]] * 2,
                     covariance_of_estimates=[[1]])
    assert set(found) == {"natural_parameters[0][1]", "natural_parameters[1][0]", "statistics", "location", "weights",
                          "labels[1]", "standard_errors"}
    found = problems(ConditionalPrior, "normal", [[[0, -1], [0, 1]], [[1, 0], [1, -2]]], weights=[1, 0],
                     labels=["a"], standard_errors=[[[1, 1], [1, -1]]] * 2)
    assert set(found) == {"natural_parameters[0][1]", "natural_parameters[1][0]", "weights[1]", "labels",
                          "standard_errors[0][1][1]", "standard_errors[1][1][1]"}
    assert "< 0" in found["natural_parameters[0][1]"]


@pytest.mark.parametrize(("arguments", "path", "words"), [
    ({"family": "normall"}, "family", 'did you mean "normal"?'),
    ({"family": 3}, "family", "one of"),
    ({"natural_parameters": None}, "natural_parameters", "nothing"),
    ({"natural_parameters": [[1, 2]]}, "natural_parameters", "(n_u, n, k)"),
    ({"natural_parameters": [[[1, -1, 2]]]}, "natural_parameters", "2 numbers a latent"),
    ({"natural_parameters": [[[1, float("nan")]]]}, "natural_parameters[0][0][1]", "nan"),
    ({"natural_parameters": []}, "natural_parameters", "shape (0,)"),
    ({"labels": "ab"}, "labels", "list of names"),
    ({"weights": [[1]]}, "weights", "1 numbers"),
    ({"covariance_of_estimates": [[1]]}, "covariance_of_estimates", "(1, 2, 2)"),
    ({"covariance_of_estimates": [[[1, 2], [2, 1]]]}, "covariance_of_estimates[0]", "semidefinite"),
    ({"standard_errors": [1]}, "standard_errors", "(1, 1, 2)"),
    ({"natural_parameters": [[[10**309, -1]]]}, "natural_parameters[0][0][0]", "1e309"),
    ({"standard_errors": [[[1e200, 1]]]}, "standard_errors[0]", "range of float64"),
    ({"family": "custom"}, "statistics", "custom"),
    ({"family": "custom", "statistics": ["z", "y"]}, "statistics[1]", "'y'"),
    ({"family": "custom", "statistics": ["z", "z**2"], "support": [1, 0]}, "support", "interval"),
    ({"family": "custom", "statistics": ["z", "z**2"], "location": 0}, "location", "nothing"),
])
def test_one_mistake(arguments, path, words):
    found = problems(ConditionalPrior, **{"natural_parameters": [[[0, -1]]], **arguments})
    assert words in found[path]


def test_mistakes_in_all_parts_of_a_custom_family_show():
    found = problems(ConditionalPrior, "custom", [[[0]]], statistics=["q(z)"], base="1 +", support=["a", "oo"])
    assert {path.split("[")[0] for path in found} == {"statistics", "base", "support"}


def test_variances_are_named():
    found = problems(ConditionalPrior.from_means_variances, [0, 1], [[1], [0]])
    assert "> 0" in found["variances[1][0]"]
    assert "1e308" in problems(ConditionalPrior.from_means_variances, [1e307], ["1/20"])["natural_parameters[0][0][0]"]
    assert "shape (2, 1)" in problems(ConditionalPrior.from_means_variances, [0, 1], [1, 2, 3])["variances"]


def test_standard_errors_are_diagonal_covariances():
    table = [[[0, -1]], [[1, -2]]]
    prior = ConditionalPrior("normal", table, standard_errors=[[["1/2", 0]], [[1, 2]]])
    assert prior == ConditionalPrior("normal", table, covariance_of_estimates=[[["1/4", 0], [0, 0]], [[1, 0], [0, 4]]])
    assert prior.is_estimated
    assert prior != ConditionalPrior("normal", table)


def test_values_compare_by_value_and_are_frozen():
    a, b = (ConditionalPrior("laplace", [[-1], [-2]], location=1) for _ in range(2))
    assert a == b
    assert hash(a) == hash(b)
    assert a != ConditionalPrior("laplace", [[-1], [-2]])
    with pytest.raises(AttributeError):
        a.labels = ("x",)
    with pytest.raises(ValueError, match="read-only"):
        a.natural_exact[0, 0, 0] = 3
    assert "laplace" in repr(a)


def test_declared_properties_and_what_follows():
    f = DeclaredMap(2, 3, ["diffeomorphism", "piecewise_affine"])
    assert f.implied == {"diffeomorphism", "injective", "weakly_injective", "observably_injective", "continuous",
                         "differentiable", "piecewise_affine"}
    assert f == DeclaredMap(2, 3, ["piecewise_affine", "diffeomorphism", "diffeomorphism"])
    assert DeclaredMap(1, 1, []).implied == frozenset()
    with pytest.raises(UnsupportedError, match="ReLUNetwork"):
        f([[0, 0]])


@pytest.mark.parametrize(("arguments", "path", "words"), [
    ((0, 1, []), "latent_dim", "0"), ((1, True, []), "observed_dim", "True"),
    ((1, 1, "injective"), "properties", "list"),
    ((1, 1, ["injektive"]), "properties[0]", 'did you mean "injective"?'), ((1, 1, [3]), "properties[0]", "3"),
    ((2, 1, ["continuous", "injective"]), "properties", "observed_dim >= latent_dim"),
    ((1, 2, ["volume_preserving"]), "properties", "observed_dim = latent_dim"),
])
def test_declarations_that_cannot_be(arguments, path, words):
    assert words in problems(DeclaredMap, *arguments)[path]


def test_dimensions_must_fit():
    prior = ConditionalPrior("normal_mean", [[1, 2]])
    assert "1 latents" in problems(Model, prior, LINE)["prior.natural_parameters"]
    assert "3" in problems(Model, prior, DeclaredMap(2, 3, []), UniformNoise([1, 2]))["noise"]
    assert Model(prior, DeclaredMap(2, 3, []), FejerNoise(1)).observed_dim == 3


CONDITIONAL = Model(ConditionalPrior("normal_mean", [[1]]), LINE, GaussianNoise(1))
DECLARED = Model(STANDARD, DeclaredMap(1, 1, []), GaussianNoise(1))


@pytest.mark.parametrize(("model", "words"), [
    (CONDITIONAL, "GaussianMixture"), (DECLARED, "ReLUNetwork or a PiecewiseAffineMap"),
    (Model(STANDARD, LINE, UniformNoise(1)), "StudentNoise"), (Model(STANDARD, LINE, FejerNoise(1)), "StudentNoise"),
])
@pytest.mark.parametrize("use", [
    law, lambda m: law(m, "quadrature"), lambda m: compare(m, m), parameter_paths,
    lambda m: landscape_slice(m, "prior.means[0]", points=3), lambda m: ParameterFamily(m, {"prior.means[0]": [0, 1]}),
])
def test_what_has_no_law_is_refused_by_name(model, words, use):
    with pytest.raises(UnsupportedError) as caught:
        use(model)
    assert words in str(caught.value) or "expected a template" in str(caught.value)


def test_a_search_refuses_a_conditional_template():
    network = ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    model = Model(ConditionalPrior("normal_mean", [[1]]), network, GaussianNoise(1))
    with pytest.raises(UnsupportedError, match="GaussianMixture"):
        ParameterFamily(model, {"decoder.biases[0]": [0, 1]})


def test_samples_follow_their_laws():
    rng = np.random.default_rng(1)
    draws = UniformNoise(2).sample(4000, 1, rng)[:, 0]
    assert stats.kstest(draws, stats.uniform(-2, 4).cdf).pvalue > 1e-3
    draws = FejerNoise(["1/2"]).sample(4000, 1, rng)[:, 0]
    edges = np.array([-8, -4, -2, -1, -0.5, -0.2, 0, 0.3, 0.7, 1.5, 3, 6])
    # integrate the density, (1 - cos r)/(pi r^2) with r = 2 x, between the edges; the tails share the rest
    inner = [integrate.quad(lambda x: 2 * np.sinc(x / np.pi) ** 2 / (2 * np.pi), a, b)[0]
             for a, b in zip(edges[:-1], edges[1:], strict=True)]
    counts = np.histogram(draws, edges)[0]
    outside = 1 - sum(inner)
    assert stats.chisquare([*counts, 4000 - counts.sum()], 4000 * np.array([*inner, outside])).pvalue > 1e-3
