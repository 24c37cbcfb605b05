"""Addressing and moving one parameter of a model."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ident_theory.errors import InputError
from ident_theory.landscape import find_parameter, parameter, parameter_paths, with_parameter, with_parameters
from ident_theory.models import (
    GaussianMixture,
    GaussianNoise,
    LaplaceNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    StudentNoise,
)


def line_model(noise=None) -> Model:
    return Model(GaussianMixture(["1/2", "1/4", "1/4"], [-1, 0, 1], [1, 2, 3]),
                 ReLUNetwork([[[1], [2]], [[3, 4]]], [[5, 6], [7]], "0.1"), noise or GaussianNoise("0.25"))


def plane_model(noise=None) -> Model:
    return Model(GaussianMixture([1, 0], [[1, 2], [3, 4]], [[[2, 1], [1, 2]], [[1, 0], [0, 1]]]),
                 ReLUNetwork([[[1, 2], [3, 4], [5, 6]], [[1, 2, 3], [4, 5, 6]]], [[1, 2, 3], [4, 5]]),
                 noise or GaussianNoise(covariance=[[2, 1], [1, 2]]))


@pytest.mark.parametrize(("path", "value"), [
    ("decoder.weights[0][1,0]", 2), ("decoder.weights[0][1][0]", 2), ("decoder.weights[0][1]", 2),
    ("decoder.weights[1][0, 1]", 4), ("decoder.biases[1][0]", 7), ("decoder.biases[1]", 7),
    ("decoder.negative_slope", Fraction(1, 10)), ("prior.means[2]", 1), ("prior.means[2,0]", 1),
    ("prior.covariances[1]", 2), ("prior.covariances[1][0,0]", 2), ("prior.weights[0]", Fraction(1, 2)),
    ("noise.std", Fraction(1, 4)),
])
def test_values_on_the_line(path, value):
    assert parameter(line_model(), path) == value


@pytest.mark.parametrize(("path", "value"), [
    ("prior.means[0][1]", 2), ("prior.means[0,1]", 2), ("prior.covariances[0][0,1]", 1), ("noise.covariance[1,0]", 1),
    ("decoder.weights[1][1,2]", 6),
])
def test_values_in_the_plane(path, value):
    assert parameter(plane_model(), path) == value


def test_piecewise_and_other_noises():
    decoder = PiecewiseAffineMap([0, 1], [1, 2, 3], [0, 0, 0])
    prior = GaussianMixture([1], [0], [1])
    student = Model(prior, decoder, StudentNoise([2], 3))
    assert parameter(student, "decoder.slopes[2]") == 3
    assert parameter(with_parameter(student, "noise.df", 5), "noise.df") == 5
    assert parameter(with_parameter(student, "noise.scale[0]", 5), "noise.scale[0]") == 5
    assert parameter(with_parameter(student, "decoder.breakpoints[0]", "-1/3"), "decoder.breakpoints[0]") \
        == Fraction(-1, 3)
    laplace = Model(prior, decoder, LaplaceNoise(2))
    assert with_parameter(laplace, "noise.scale", 3) == Model(prior, decoder, LaplaceNoise(3))
    with pytest.raises(InputError, match="breakpoints"):
        with_parameter(student, "decoder.breakpoints[0]", 2)


@pytest.mark.parametrize("model", [line_model(), plane_model(), plane_model(GaussianNoise([1, 2]))])
def test_every_listed_path_is_canonical_and_moves_only_itself(model):
    paths = parameter_paths(model)
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert find_parameter(model, path).path == path
        if "prior.weights" in path:
            continue
        moved = with_parameter(model, path, parameter(model, path) + Fraction(1, 7))
        assert [other for other in paths if parameter(moved, other) != parameter(model, other)] == [path]


def test_symmetric_entries_move_together():
    moved = with_parameter(plane_model(), "prior.covariances[0][1,0]", "1/2")
    assert moved.prior.covariances_exact[0][0, 1] == moved.prior.covariances_exact[0][1, 0] == Fraction(1, 2)


def test_weights_keep_their_proportions():
    moved = with_parameter(line_model(), "prior.weights[1]", "1/2")
    assert list(moved.prior.weights_exact) == [Fraction(1, 3), Fraction(1, 2), Fraction(1, 6)]
    shared = with_parameter(with_parameter(line_model(), "prior.weights[0]", 1), "prior.weights[0]", "1/2")
    assert list(shared.prior.weights_exact) == [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]


def test_two_weights_move_at_once():
    moved = with_parameters(line_model(), {"prior.weights[0]": "1/8", "prior.weights[2]": "1/8"})
    assert list(moved.prior.weights_exact) == [Fraction(1, 8), Fraction(3, 4), Fraction(1, 8)]
    with pytest.raises(InputError, match=r"1\.2"):
        with_parameters(line_model(), {"prior.weights[0]": "0.6", "prior.weights[2]": "0.6"})


def test_a_matrix_may_pass_through_no_covariance_on_the_way():
    moved = with_parameters(plane_model(), {"prior.covariances[0][0,1]": 3, "prior.covariances[0][0,0]": 9})
    assert parameter(moved, "prior.covariances[0][0,1]") == 3


@pytest.mark.parametrize(("path", "words"), [
    ("decoder.weigths[0][1,0]", r"did you mean decoder\.weights\[0\]\[1,0\]"),
    ("decoder.weights[0][5,0]", r"decoder\.weights\[0\]\[1,0\]"), ("decoder.weights[7]", "there are"),
    ("decoder.weights", "there are"), ("prior.weights[-1]", "indices that are numbers"), ("noise.scale", "noise.std"),
    ("noise.std[0]", "noise.std"), ("", "there are"), ("prior.means[0,1]", r"prior\.means\[0\]"),
    ("decoder.breakpoints[0]", "decoder.biases"), (3, "there are"),
])
def test_unknown_paths(path, words):
    with pytest.raises(InputError, match=words):
        find_parameter(line_model(), path)


@pytest.mark.parametrize(("path", "value", "words"), [
    ("prior.weights[0]", 1.5, r"weight in \[0, 1\], found 1.5"), ("noise.std", 0, "number > 0, found 0"),
    ("prior.covariances[0]", -1, "variance >= 0, found -1"), ("decoder.biases[0][0]", float("nan"), "nan"),
    ("decoder.biases[0][0]", "abc", "'abc'"),
])
def test_values_that_give_no_model(path, value, words):
    with pytest.raises(InputError, match=words):
        with_parameter(line_model(), path, value)


def test_single_weight_cannot_move():
    model = Model(GaussianMixture([1], [0], [1]), ReLUNetwork([[[1]]], [[0]]), GaussianNoise(1))
    with pytest.raises(InputError, match="sum to 1"):
        with_parameter(model, "prior.weights[0]", 0.5)


def test_a_model_without_noise_has_no_noise_parameters():
    model = Model(GaussianMixture([1], [0], [1]), ReLUNetwork([[[1]]], [[0]]))
    assert not [path for path in parameter_paths(model) if path.startswith("noise")]
