"""Model files for checks: conditional priors, declared decoders, uniform and Fejér noise, states of mixtures."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ident_theory.errors import SpecError
from ident_theory.models import ConditionalPrior, DeclaredMap, FejerNoise, GaussianMixture, UniformNoise
from ident_theory.spec import ModelSpec, loads, to_json
from ident_theory.spec.schema import prior_kind

PRIOR = """
[prior]
family = "normal"
natural_parameters = [[[0, -1]], [["1/3", -0.5]], [[2, -1]]]
labels = ["cat", "1/2", "0.5"]
weights = [0.25, 0.25, 0.5]
"""
DECODER = """
[decoder]
type = "declared"
latent_dim = 1
observed_dim = 2
properties = ["injective", "continuous"]
"""
NOISE = '[noise]\ntype = "uniform"\nscale = [1, 0.1]\n'
GOOD = PRIOR + DECODER + NOISE


def problems(text: str) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        loads(text)
    return {problem.path: str(problem) for problem in caught.value.problems}


def test_a_conditional_model():
    model = loads(GOOD)
    assert isinstance(model.prior, ConditionalPrior)
    assert isinstance(model.decoder, DeclaredMap)
    assert isinstance(model.noise, UniformNoise)
    assert model.prior.natural_exact[1, 0, 0] == Fraction(1, 3)
    assert model.prior.labels == ("cat", "1/2", "0.5")
    assert model.noise.scale_exact[1] == Fraction(1, 10)
    assert loads(to_json(model), "json") == model
    assert isinstance(loads(GOOD.replace("uniform", "fejer")).noise, FejerNoise)


def test_means_and_variances():
    text = '[prior]\nfamily = "normal"\nmeans = [0, 1, 5]\nvariances = [1, 2, 3]\n' + DECODER
    model = loads(text)
    assert model.prior == ConditionalPrior.from_means_variances([0, 1, 5], [1, 2, 3])
    assert loads(to_json(model), "json") == model
    assert "3 latents" not in str(model)
    assert "> 0" in problems(text.replace("[1, 2, 3]", "[1, 0, 3]"))["prior.variances[1][0]"]
    assert set(problems(text.replace("[1, 2, 3]", "[1, 0, 3]"))) == {"prior.variances[1][0]"}
    assert "go together" in problems(text.replace("variances = [1, 2, 3]", ""))["prior.variances"]
    assert "normal" in problems(text.replace('"normal"', '"gamma"'))["prior.means"]
    assert "2 columns" in problems(text.replace("latent_dim = 1", "latent_dim = 2"))["prior.means"]
    assert "both" in problems(text.replace("means", "natural_parameters = [[[0, -1]]]\nmeans"))[
        "prior.natural_parameters"]


def test_custom_and_laplace_families():
    text = '[prior]\nfamily = "custom"\nstatistics = ["Abs(z)", "z**2/2"]\nsupport = ["-oo", 1.5]\n' \
           'natural_parameters = [[[1, 2]]]\nstandard_errors = [[[0.1, "1/3"]]]\n' + DECODER
    model = loads(text)
    assert model.prior.family.support == ("-oo", "3/2")
    assert loads(to_json(model), "json") == model
    text = '[prior]\nfamily = "laplace"\nlocation = 0.1\nnatural_parameters = [[-1], [-2]]\n' + DECODER
    assert loads(text).prior.family.location == Fraction(1, 10)
    assert loads(to_json(loads(text)), "json") == loads(text)


def test_states_and_neighbourhoods_of_a_mixture():
    text = '[prior]\nweights = ["1/4", "1/4", "1/4", "1/4"]\nmeans = [[0, 0], [0, 1], [1, 0], [1, 1]]\n' \
           'covariances = [[1, 1], [1, 1], [1, 1], [1, 1]]\nstates = [2, 2]\nneighbourhoods = [[0], [1]]\n' \
           + DECODER.replace("latent_dim = 1", "latent_dim = 2")
    model = loads(text)
    assert isinstance(model.prior, GaussianMixture)
    assert model.prior.states == (2, 2)
    assert loads(to_json(model), "json") == model
    assert any(path.startswith("prior.states") for path in problems(text.replace("states = [2, 2]", "states = [2, 3]")))
    assert 'did you mean "states"?' in problems(text.replace("states", "stats"))["prior.stats"]


def test_every_mistake_of_a_conditional_model_at_once():
    found = problems("""
        [prior]
        famly = "normal"
        natural_parameters = [[[0, 1]], [["x", -1]]]
        labels = ["a", "b", "c"]
        colour = 3
        [decoder]
        type = "declard"
        latent_dim = 2
        observed_dim = 0
        properties = ["injectiv"]
        [noise]
        type = "unifrom"
        scale = -1
        """)
    assert {"prior.famly", "prior.family", "prior.colour", "prior.natural_parameters[1][0][0]", "decoder.type",
            "decoder.observed_dim", "decoder.properties[0]", "noise.type", "noise.scale"} == set(found)
    assert 'did you mean "family"?' in found["prior.famly"]
    assert 'did you mean "declared"?' in found["decoder.type"]
    assert 'did you mean "uniform"?' in found["noise.type"]


@pytest.mark.parametrize(("old", "new", "path", "shown"), [
    ('"normal"', '"normla"', "prior.family", 'did you mean "normal"?'),
    ("[[0, -1]]", "[[0, 1]]", "prior.natural_parameters[0][0]", "< 0"),
    ("[[0, -1]]", "[[0, -1, 1]]", "prior.natural_parameters[1]", "shape"),
    ("weights = [0.25, 0.25, 0.5]", "weights = [0.25, 0.25]", "prior.weights", "3 numbers"),
    ("weights = [0.25", "weights = [0.5", "prior.weights", "1.25"),
    ('"0.5"]', '"cat"]', "prior.labels[2]", "'cat'"),
    ("latent_dim = 1", "latent_dim = 2", "prior.natural_parameters", "2 latents"),
    ("latent_dim = 1", "", "decoder.latent_dim", "a value"),
    ("[1, 0.1]", "[1]", "noise", "2 coordinates"),
    ("labels", "lables", "prior.lables", 'did you mean "labels"?'),
    ("natural_parameters", "natural_parameter", "prior.natural_parameter", 'did you mean "natural_parameters"?'),
    ("labels =", "covariances = 1\nlabels =", "prior.covariances", "one of the keys family"),
])
def test_one_mistake(old, new, path, shown):
    assert old in GOOD
    assert shown in problems(GOOD.replace(old, new))[path]


@pytest.mark.parametrize(("keys", "kind"), [
    (["family", "natural_parameters"], "conditional"), (["famly", "natural_parameters"], "conditional"),
    (["family", "means", "variances"], "conditional"), (["family", "weights"], "conditional"),
    (["weights", "means", "covariances"], "mixture"), (["weights", "mean", "covariances"], "mixture"),
    (["weight", "means"], "mixture"), ([], "mixture"), (["means", "variances"], "conditional"),
    (["family", "weights", "means", "covariances"], "conditional"),
])
def test_the_keys_tell_the_kind_of_prior(keys, kind):
    assert prior_kind(dict.fromkeys(keys, 0)) == kind


def test_the_schema_knows_both_priors():
    schema = ModelSpec.model_json_schema()
    assert {"MixtureSpec", "ConditionalSpec", "DeclaredSpec", "FejerNoiseSpec"} <= set(schema["$defs"])
