"""Declarations of parameter families: what they mean, how they are written down, and every mistake by name."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.errors import Problem, SpecError, UnsupportedError
from ident_theory.landscape.families import ParameterFamily, load_family
from ident_theory.models import LaplaceNoise
from ident_theory.spec import to_dict

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)


def template(noise=GaussianNoise("1/4"), weights=("1/3", "2/3")) -> Model:  # noqa: B008
    return Model(GaussianMixture(list(weights), [0, 1], [1, 2]),
                 ReLUNetwork([[[1], [-1]], [[1, 2]]], [[0, 1], [3]], "1/10"), noise)


# --- what a declaration frees ---------------------------------------------------------------------------------------

def test_beginnings_of_paths_free_everything_below():
    family = ParameterFamily(template(), {"decoder.weights": [1, 2], "decoder.biases[0]": [0, 1, 2],
                                          "prior.means": [5], "prior.covariances[1]": ["1/3", "0.5"]})
    assert family.grids == {
        "prior.means[0]": (5,), "prior.means[1]": (5,), "prior.covariances[1]": (THIRD, HALF),
        "decoder.weights[0][0,0]": (1, 2), "decoder.weights[0][1,0]": (1, 2), "decoder.weights[1][0,0]": (1, 2),
        "decoder.weights[1][0,1]": (1, 2), "decoder.biases[0][0]": (0, 1, 2), "decoder.biases[0][1]": (0, 1, 2)}
    assert family.size == 2 * 2**4 * 3**2
    assert family.grid("decoder.biases[1][0]") == (3,)
    assert family.grid("prior.covariances[0]") == (1,)
    assert family.weights == ((THIRD, 2 * THIRD),)


@pytest.mark.parametrize("key", ["prior.means[1]", "prior.means[1][0]", "prior.means[1,0]", " prior.means[ 1 ] "])
def test_one_entry_in_any_spelling(key):
    family = ParameterFamily(template(), {key: [0.25, 2]})
    assert family.grids == {"prior.means[1]": (Fraction(1, 4), 2)}


@pytest.mark.parametrize(("given_grid", "expected"), [
    ({"low": -1, "high": 1, "points": 4}, (-1, -THIRD, THIRD, 1)),
    ({"low": "1/3", "high": "2/3", "points": 2}, (THIRD, 2 * THIRD)),
    ((0, HALF), (0, HALF)),
    (np.array([-1.5, 2.0]), (Fraction(-3, 2), 2)),
    ([0.1], (Fraction(0.1),)),
    (["0.1"], (Fraction(1, 10),)),
])
def test_grids_are_exact(given_grid, expected):
    grid = ParameterFamily(template(), {"decoder.negative_slope": given_grid}).grids["decoder.negative_slope"]
    assert grid == expected
    assert all(type(v) is Fraction for v in grid)


@given(k=st.integers(1, 6), components=st.integers(1, 4))
def test_simplex_against_all_vectors(k, components):
    prior = GaussianMixture([Fraction(1, components)] * components, [0] * components, [1] * components)
    model = Model(prior, ReLUNetwork([[[1]]], [[0]]), GaussianNoise(1))
    family = ParameterFamily(model, {"prior.weights": {"simplex": k}})
    brute = [tuple(Fraction(v, k) for v in row)
             for row in itertools.product(range(k + 1), repeat=components) if sum(row) == k]
    assert list(family.weights) == brute  # itertools.product is lexicographic, as documented
    assert family.size == math.comb(k + components - 1, components - 1)


def test_weight_vectors_keep_their_order_and_zeros():
    family = ParameterFamily(template(), {"prior.weights": [["1/3", "2/3"], [1, 0], (0.5, 0.5)]})
    assert family.weights == ((THIRD, 2 * THIRD), (1, 0), (HALF, HALF))


def test_order_of_declaration_does_not_matter():
    vary = {"decoder.biases[1][0]": [0, 1], "prior.means[1]": [0, 1], "prior.weights": {"simplex": 2},
            "decoder.weights[0][0,0]": [2, 3]}
    family, turned = ParameterFamily(template(), vary), ParameterFamily(template(), dict(reversed(vary.items())))
    assert family == turned
    assert list(family.grids) == list(turned.grids)


# --- members --------------------------------------------------------------------------------------------------------

def test_member_holds_exactly_what_was_asked_for():
    family = ParameterFamily(template(), {"prior.weights": {"simplex": 3}, "prior.means": ["1/3", 7],
                                          "decoder.weights[1][0,1]": [-1, "1/7"], "decoder.negative_slope": [0, 1]})
    member = family.member({"prior.means[0]": Fraction(7), "decoder.weights[1][0,1]": Fraction(1, 7),
                            "decoder.negative_slope": Fraction(1)}, (Fraction(0), Fraction(1)))
    assert member == Model(GaussianMixture([0, 1], [7, 1], [1, 2]),
                           ReLUNetwork([[[1], [-1]], [[1, "1/7"]]], [[0, 1], [3]], 1), template().noise)
    assert family.member({}, family.model.prior.weights_exact) == family.model


def test_draws_lie_on_the_grids_and_reach_every_value():
    family = ParameterFamily(template(), {"prior.weights": {"simplex": 2}, "prior.means": [0, "1/3", 4],
                                          "decoder.biases[0][1]": [-1, 1]})
    drawn = [family.draw(np.random.default_rng(seed)) for seed in range(100)]
    # A value of probability 1/3 is missed by 100 independent draws with probability 2e-18.
    assert {tuple(m.prior.weights_exact) for m in drawn} == set(family.weights)
    assert {m.prior.means_exact[1, 0] for m in drawn} == {0, THIRD, 4}
    assert {m.decoder.biases_exact[0][1] for m in drawn} == {-1, 1}
    assert {m.decoder.biases_exact[0][0] for m in drawn} == {0}
    assert family.draw(np.random.default_rng(3)) == drawn[3]


# --- files ----------------------------------------------------------------------------------------------------------

DECLARATIONS = [
    {"prior.weights": {"simplex": 3}, "prior.means": {"low": "-1/3", "high": 1, "points": 3}},
    {"decoder": None, "decoder.weights": [0.1, "0.2"], "decoder.biases[0][1]": [-1], "decoder.negative_slope": [0, 1]},
    {"prior.weights": [["1/3", "2/3"]]},  # the template's own: nothing else would remain of [vary]
    {"prior.weights": [[1, 0], ["1/7", "6/7"]], "prior.covariances": [0, 1]},
]


@pytest.mark.parametrize("vary", DECLARATIONS)
def test_round_trip_through_json(vary):
    family = ParameterFamily(template(), {key: value for key, value in vary.items() if value is not None})
    again = ParameterFamily.from_dict(json.loads(json.dumps(family.to_dict())))
    assert again == family
    assert again.to_dict() == family.to_dict()


def toml(vary: str) -> str:
    return f"""
[prior]
weights = ["1/3", "2/3"]
means = [0, 1]
covariances = [1, 2]
[decoder]
type = "relu_network"
weights = [[[1], [-1]], [[1, 2]]]
biases = [[0, 1], [3]]
negative_slope = 0.1
[noise]
type = "gaussian"
std = 0.25
{vary}"""


def test_toml_and_json_files_say_the_same(tmp_path):
    (tmp_path / "family.toml").write_text(toml("""
[vary]
"prior.means" = [-0.1, "1/3"]
"prior.weights" = {simplex = 4}
"decoder.weights[0]" = {low = 0.1, high = 0.3, points = 3}
"""))
    vary = {"prior.means": [Fraction(-1, 10), THIRD], "prior.weights": {"simplex": 4},
            "decoder.weights[0]": [Fraction(1, 10), Fraction(1, 5), Fraction(3, 10)]}
    expected = ParameterFamily(template(), vary)
    assert load_family(tmp_path / "family.toml") == expected
    (tmp_path / "family.json").write_text(json.dumps(expected.to_dict()))
    assert load_family(str(tmp_path / "family.json")) == expected


@pytest.mark.parametrize(("section", "path", "found"), [
    ("", "vary", "nothing"),
    ("[vary]", "vary", "nothing"),
    ('[vary]\n"prior.means" = [nan]', 'vary."prior.means"[0]', "NaN"),
    ('[vary]\n"prior.means" = [1e999999]', 'vary."prior.means"[0]', "1E+999999"),
    ('[vary]\n"prior.weights" = [[0.1, 0.9], [0.5, 0.6]]', 'vary."prior.weights"[1]', "1.1"),
])
def test_mistakes_in_files_name_the_file_and_the_place(tmp_path, section, path, found):
    file = tmp_path / "bad.toml"
    file.write_text(toml(section))
    with pytest.raises(SpecError) as caught:
        load_family(file)
    assert [(p.path, found in p.found) for p in caught.value.problems] == [(path, True)]
    assert str(file) in str(caught.value)


def test_a_key_without_quotes_is_refused(tmp_path):
    (tmp_path / "bad.toml").write_text(toml("[vary]\nprior.means = [1]"))  # TOML reads a table prior with a key means
    with pytest.raises(SpecError, match=r'vary\."prior": expected .* found the keys means'):
        load_family(tmp_path / "bad.toml")


def test_a_bad_model_section_is_reported_as_such(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text(toml('[vary]\n"prior.means" = [1]').replace("covariances = [1, 2]", "covariances = [1, -2]"))
    with pytest.raises(SpecError, match=r"prior\.covariances\[1\]"):
        load_family(file)
    with pytest.raises(SpecError, match="no such file"):
        load_family(tmp_path / "missing.toml")


def test_vary_that_is_no_section():
    with pytest.raises(SpecError, match=r"vary: expected a section .* found list"):
        ParameterFamily.from_dict({**to_dict(template()), "vary": [1]})


# --- mistakes -------------------------------------------------------------------------------------------------------

def problems(vary, model=None) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        ParameterFamily(model or template(), vary)
    for problem in caught.value.problems:
        assert str(problem) in str(caught.value)
    return caught.value.problems


@pytest.mark.parametrize(("vary", "path", "expected", "found"), [
    ({"prior.means": []}, 'vary."prior.means"', "non-empty list", "an empty list"),
    ({"prior.means": np.empty(0)}, 'vary."prior.means"', "non-empty list", "an empty list"),
    ({"prior.means": 3}, 'vary."prior.means"', "non-empty list", "3"),
    ({"prior.means": None}, 'vary."prior.means"', "non-empty list", "None"),
    ({"prior.means": "abc"}, 'vary."prior.means"', "non-empty list", "'abc'"),
    ({"prior.means": [0, math.nan]}, 'vary."prior.means"[1]', "a finite number", "nan"),
    ({"prior.means": np.array([math.nan])}, 'vary."prior.means"[0]', "a finite number", "nan"),
    ({"prior.means": [0, math.inf]}, 'vary."prior.means"[1]', "a finite number", "inf"),
    ({"prior.means": [0, "x"]}, 'vary."prior.means"[1]', "a number", "'x'"),
    ({"prior.means": ["1/0"]}, 'vary."prior.means"[0]', "a number", "'1/0'"),
    ({"prior.means": [True]}, 'vary."prior.means"[0]', "a number", "the truth value True"),
    ({"prior.means": [[0]]}, 'vary."prior.means"[0]', "a real number", "[0]"),
    ({"prior.means": [1, 1]}, 'vary."prior.means"[1]', "a number above 1", "1"),
    ({"prior.means": [0, 2, "1/2"]}, 'vary."prior.means"[2]', "a number above 2", "1/2"),
    ({"prior.means": {"low": 0, "high": 1}}, 'vary."prior.means"', "low, high and points", "the keys low, high"),
    ({"prior.means": {}}, 'vary."prior.means"', "low, high and points", "the keys of nothing"),
    ({"prior.means": {"low": 0, "high": 1, "points": 1}}, 'vary."prior.means".points', "an integer from 2 to", "1"),
    ({"prior.means": {"low": 0, "high": 1, "points": 2.5}}, 'vary."prior.means".points', "an integer from 2 to", "2.5"),
    ({"prior.means": {"low": 0, "high": 1, "points": True}}, 'vary."prior.means".points', "integer", "True"),
    ({"prior.means": {"low": 1, "high": 1, "points": 3}}, 'vary."prior.means"', "low < high", "low = 1, high = 1"),
    ({"prior.means": {"low": math.nan, "high": 1, "points": 3}}, 'vary."prior.means".low', "a finite number", "nan"),
    ({"prior.meens": [0]}, 'vary."prior.meens"', "a parameter of the template", '"prior.meens"'),
    ({"prior.means[2]": [0]}, 'vary."prior.means[2]"', "a parameter of the template", '"prior.means[2]"'),
    ({"decoder": [0]}, 'vary."decoder"', "a parameter of the template", '"decoder"'),
    ({"": [0]}, 'vary.""', "a parameter of the template", '""'),
    ({3: [0]}, 'vary."3"', "the path of a parameter", "a key of type int"),
    ({"prior.means": [0], "prior.means[1]": [1]}, 'vary."prior.means[1]"', "each entry once", "prior.means[1]"),
    ({"prior.means[0]": [0], "prior.means[0,0]": [0]}, 'vary."prior.means[0,0]"', "each entry once", "prior.means[0]"),
    ({"prior.weights[0]": [0]}, 'vary."prior.weights[0]"', 'the key "prior.weights"', '"prior.weights[0]"'),
    ({"noise.std": [1]}, 'vary."noise.std"', "a parameter of the prior or the decoder", '"noise.std"'),
    ({"noise": [1]}, 'vary."noise"', "a parameter of the prior or the decoder", '"noise"'),
    ({"prior.weights": {"simplex": 0}}, 'vary."prior.weights"', "an integer k >= 1", '{"simplex": 0}'),
    ({"prior.weights": {"simplex": True}}, 'vary."prior.weights"', "an integer k >= 1", "true"),
    ({"prior.weights": {"simplex": HALF}}, 'vary."prior.weights"', "an integer k >= 1", "0.5"),
    ({"prior.weights": {"simplex": 2, "k": 1}}, 'vary."prior.weights"', "{simplex = k}", '"k": 1'),
    ({"prior.weights": {"simplex": 10**9}}, 'vary."prior.weights"', "at most 1,000,000", "1,000,000,001"),
    ({"prior.weights": []}, 'vary."prior.weights"', "{simplex = k}", "[]"),
    ({"prior.weights": "thirds"}, 'vary."prior.weights"', "{simplex = k}", "'thirds'"),
    ({"prior.weights": [[1, 0], [0.5, 0.25]]}, 'vary."prior.weights"[1]', "weights that sum to 1", "0.75"),
    ({"prior.weights": [["1/2", "1/4", "1/4"]]}, 'vary."prior.weights"[0]', "2 weights, one a component", "1/4"),
    ({"prior.weights": [[-1, 2]]}, 'vary."prior.weights"[0][0]', "a weight >= 0", "-1.0"),
    ({"prior.weights": [[1, 0], [math.nan, 1]]}, 'vary."prior.weights"[1][0]', "a finite number", "nan"),
    ({"prior.weights": [[1, 0], ["1", "0"]]}, 'vary."prior.weights"[1]', "each weight vector once", '["1", "0"]'),
    ({"prior.weights": [[0.1, 0.9], [0.3, 0.7]]}, 'vary."prior.weights"', "common denominator below 2^62", "bits"),
    ({"prior.covariances[1]": [-1, 1]}, 'vary."prior.covariances[1]"[0]', "a value that gives a model", "-1"),
    ({}, "vary", "at least one parameter", "nothing"),
    (None, "vary", "at least one parameter", "nothing"),
    ([1], "vary", "at least one parameter", "type list"),
])
def test_mistakes(vary, path, expected, found):
    (problem,) = problems(vary)
    assert problem.path == path
    assert expected in problem.expected
    assert found in problem.found


def test_advice():
    assert "did you mean prior.means" in problems({"prior.meens": [0]})[0].advice
    assert "did you mean decoder.negative_slope" in problems({"decoder.negativ_slope": [0]})[0].advice
    assert "{simplex = k}" in problems({"prior.weights[1]": [0]})[0].advice
    assert '"0.1"' in problems({"prior.weights": [[0.1, 0.9], [0.3, 0.7]]})[0].advice
    assert "variance >= 0" in problems({"prior.covariances[0]": [-1]})[0].advice


def test_weights_of_the_template_count_too():
    prior = GaussianMixture([1e-7, 1 - 1e-7], [0, 1], [1, 1])
    model = Model(prior, template().decoder, template().noise)
    assert max(w.denominator for w in prior.weights_exact) >= 2**62
    (problem,) = problems({"prior.means": [0, 1]}, model)
    assert problem.path == "prior.weights"
    # Ordinary floats have short denominators and pass.
    assert ParameterFamily(template(weights=(0.1, 0.9)), {"prior.means": [0, 1]}).size == 4


def test_all_mistakes_at_once():
    found = problems({"prior.means": [1, 0, 0], "decoder.weihts": [1], "noise.std": [1], "prior.weights[0]": [1],
                      "prior.weights": {"simplex": 0}, "prior.covariances": [math.nan, math.inf]})
    assert [p.path for p in found] == [
        'vary."prior.means"[1]', 'vary."prior.means"[2]', 'vary."decoder.weihts"', 'vary."noise.std"',
        'vary."prior.weights[0]"', 'vary."prior.weights"', 'vary."prior.covariances"[0]',
        'vary."prior.covariances"[1]']
    # Every value that gives no model is named, entry by entry.
    values = problems({"prior.covariances": [-2, -1, 1]})
    assert [p.path for p in values] == [f'vary."prior.covariances[{j}]"[{i}]' for j in (0, 1) for i in (0, 1)]


two_latents = Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), ReLUNetwork([[[1, 1]]], [[0]]), GaussianNoise(1))


@pytest.mark.parametrize(("model", "what"), [
    (two_latents, "latent_dim=2"),
    (template(noise=None), "noise=NoneType"),
    (template(noise=LaplaceNoise(1)), "noise=LaplaceNoise"),
    (Model(template().prior, PiecewiseAffineMap([0], [[1], [2]], [[0], [0]]), GaussianNoise(1)), "PiecewiseAffineMap"),
])
def test_other_templates_are_refused(model, what):
    with pytest.raises(UnsupportedError, match="one latent, a ReLU network and Gaussian noise, got") as caught:
        ParameterFamily(model, {"prior.means": [0, 1]})
    assert what in str(caught.value)
