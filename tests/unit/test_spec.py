"""Model files: what is accepted, and that every mistake is named."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ident_theory.errors import InputError, SpecError
from ident_theory.models import GaussianNoise, LaplaceNoise, LogisticNoise, PiecewiseAffineMap, StudentNoise
from ident_theory.spec import ModelSpec, load, loads, to_json

PRIOR = """
[prior]
weights = [0.5, "1/2"]
means = [-2, 2]
covariances = [1, 1]
"""
DECODER = """
[decoder]
type = "relu_network"
weights = [[[1], [1]], [[1, -1]]]
biases = [[0, -1], [0]]
negative_slope = 0
"""
NOISE = """
[noise]
type = "gaussian"
std = 0.1
"""
GOOD = PRIOR + DECODER + NOISE


def problems(text: str, form: str = "toml") -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        loads(text, form)  # type: ignore[arg-type]
    return {problem.path: str(problem) for problem in caught.value.problems}


def test_decimals_are_the_decimals_they_show():
    model = loads(GOOD)
    assert isinstance(model.noise, GaussianNoise)
    assert model.noise.std_exact.item() == Fraction(1, 10)
    assert list(model.prior.weights_exact) == [Fraction(1, 2)] * 2


def test_json_decimals_too_and_the_same_model():
    text = to_json(loads(GOOD)).replace('"1/10"', "0.1")
    assert loads(text, "json") == loads(GOOD)


def test_no_noise_section_means_noiseless():
    assert loads(PRIOR + DECODER).noise is None


def test_negative_slope_defaults_to_zero():
    assert loads(GOOD.replace("negative_slope = 0", "")) == loads(GOOD)


@pytest.mark.parametrize(("text", "kind"), [
    ('type = "laplace"\nscale = 0.1', LaplaceNoise),
    ('type = "logistic"\nscale = [0.1]', LogisticNoise),
    ('type = "student"\nscale = 0.1\ndf = 3', StudentNoise),
    ('type = "gaussian"\ncovariance = [[2]]', GaussianNoise),
])
def test_noise_families(text, kind):
    model = loads(f"{PRIOR}{DECODER}[noise]\n{text}")
    assert isinstance(model.noise, kind)
    assert loads(to_json(model), "json") == model


def test_piecewise_decoder():
    text = PRIOR + '[decoder]\ntype = "piecewise_affine"\nbreakpoints = [0]\nslopes = [1, 2]\nintercepts = [0, 0]'
    model = loads(text)
    assert isinstance(model.decoder, PiecewiseAffineMap)
    assert loads(to_json(model), "json") == model


def test_every_mistake_of_every_section_at_once():
    found = problems("""
        colour = 3
        [prior]
        weights = [0.5, -0.1, nan]
        mean = [-2, 2]
        covariances = [[[1, 2], [2, 1]], 1]
        [decoder]
        type = "relu_netwrk"
        weights = [[[1], [1]], [[1, -1, "x"]]]
        biases = [[0, -1, 4], [0]]
        slope = 0
        [noise]
        std = [0.25, 1e350]
        """)
    assert set(found) == {
        "colour", "prior.means", "prior.mean", "prior.weights[1]", "prior.weights[2]", "prior.covariances[1]",
        "decoder.type", "decoder.slope", "decoder.weights[1][0][2]", "decoder.biases[0]", "noise.type",
        "noise.std[1]"}
    assert 'did you mean "means"?' in found["prior.mean"]
    assert 'did you mean "relu_network"?' in found["decoder.type"]
    assert "'x'" in found["decoder.weights[1][0][2]"]
    assert "-0.1" in found["prior.weights[1]"]
    assert "NaN" in found["prior.weights[2]"]


@pytest.mark.parametrize(("old", "new", "path", "shown"), [
    ('[0.5, "1/2"]', "[0.5, 0.6]", "prior.weights", "1.1"),
    ('[0.5, "1/2"]', "[1.5, -0.5]", "prior.weights[1]", "-0.5"),
    ('[0.5, "1/2"]', "[]", "prior.weights", "shape (0,)"),
    ("means = [-2, 2]", "means = [-2, inf]", "prior.means[1]", "Infinity"),
    ("means = [-2, 2]", "means = [[-2], [2, 1]]", "prior.means[1]", "(2,)"),
    ("means = [-2, 2]", "means = [[1, 2], [3, 4]]", "prior.means", "2"),
    ("covariances = [1, 1]", "covariances = [1, -1]", "prior.covariances[1]", "-1"),
    ("[[1, -1]]]", "[[1, -1, 1]]]", "decoder.weights[1]", "3"),
    ("biases = [[0, -1], [0]]", "biases = [[0, -1]]", "decoder.biases", "1"),
    ("std = 0.1", "std = [0.1, 0.1]", "noise", "2"),
    ("std = 0.1", "std = 0", "noise.std", "0.0"),
    ("std = 0.1", "std = true", "noise.std", "truth value"),
    ("std = 0.1", "", "noise", "neither"),
    ("std = 0.1", "stdev = 0.1", "noise.stdev", "did you mean"),
    ("std = 0.1", "std = 1000" + "0" * 400, "noise.std", "..."),
])
def test_one_mistake(old, new, path, shown):
    assert old in GOOD
    found = problems(GOOD.replace(old, new))
    assert path in found
    assert shown in found[path]


def test_covariance_that_is_no_covariance():
    text = GOOD.replace("means = [-2, 2]", "means = [[0, 0], [1, 1]]").replace(
        "covariances = [1, 1]", "covariances = [[[1, 2], [2, 1]], [[1, 0], [0, 1]]]").replace(
        "[[[1], [1]],", "[[[1, 0], [1, 1]],")
    assert "least eigenvalue -1" in problems(text)["prior.covariances[0]"]


def test_dimension_clashes_show_beside_other_mistakes():
    found = problems(GOOD.replace("means = [-2, 2]", "means = [[1, 2], [3, 4]]").replace("[0.5,", "[0.7,")
                     .replace("std = 0.1", "std = [1, -1]"))
    assert {"prior.means", "prior.weights", "noise.std[1]", "noise"} <= set(found)


def test_missing_sections_and_wrong_types():
    assert set(problems("noise = 2")) == {"prior", "decoder", "noise"}


@pytest.mark.parametrize(("text", "form", "place"), [
    ("a = [1\nb = 2", "toml", "line 2"),
    ("[prior]\nx = \n", "toml", "line 2, column 5"),
    ("[prior]\n[prior]", "toml", "line 2"),
    ('{"prior": }', "json", "line 1, column 11"),
    ('{"prior": 1, "prior": 2}', "json", "file"),
    ("[1, 2]", "json", "file"),
    ('{"prior": ' + "[" * 100_000, "json", "file"),
])
def test_syntax_errors_have_a_place(text, form, place):
    assert any(path.startswith(place) for path in problems(text, form))


def test_json_nan_is_refused():
    text = to_json(loads(GOOD)).replace('"1/10"', "NaN")
    assert "NaN" in problems(text, "json")["noise.std"]


def test_files(tmp_path):
    good = tmp_path / "model.toml"
    good.write_text("\ufeff" + GOOD, encoding="utf-8")
    assert load(good) == loads(GOOD)
    latin = tmp_path / "latin.toml"
    latin.write_bytes("# caf\xe9\n".encode("latin-1") + GOOD.encode())
    for path, words in ((tmp_path / "none.toml", "no such file"), (tmp_path, "directory"), (latin, "0xe9"),
                        (tmp_path / "model.yaml", ".toml or .json")):
        with pytest.raises(SpecError, match=words):
            load(path)


def test_unknown_format_is_refused():
    with pytest.raises(InputError, match="yaml"):
        loads(GOOD, "yaml")  # type: ignore[arg-type]


def test_schema_can_be_exported():
    assert {"prior", "decoder", "noise"} == set(ModelSpec.model_json_schema()["properties"])
