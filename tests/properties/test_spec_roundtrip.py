"""Writing a model and reading it back gives the same rationals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory.landscape import parameter, parameter_paths, with_parameter
from ident_theory.models import (
    ConditionalPrior,
    DeclaredMap,
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
from ident_theory.spec import loads, to_json

numbers = st.one_of(st.integers(-10**20, 10**20), st.fractions(max_denominator=10**9),
                    st.floats(allow_nan=False, allow_infinity=False))
positive = st.one_of(st.fractions(Fraction(1, 10**6), 10**6), st.floats(1e-300, 1e300))


@st.composite
def models(draw: st.DrawFn) -> Model:
    def vector(size: int, items: st.SearchStrategy = numbers) -> list:
        return draw(st.lists(items, min_size=size, max_size=size))

    m, n, count = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    raw = vector(count, st.integers(0, 9))
    raw[0] += 1
    weights = [Fraction(item, sum(raw)) for item in raw]
    variances = st.one_of(st.just(0), positive)
    prior = GaussianMixture(weights, [vector(m) for _ in range(count)], [vector(m, variances) for _ in range(count)])
    if m == 1 and draw(st.booleans()):
        breaks = sorted(set(vector(2, st.fractions(max_denominator=50))))
        decoder = PiecewiseAffineMap(breaks, [vector(n) for _ in range(len(breaks) + 1)],
                                     [vector(n) for _ in range(len(breaks) + 1)])
    else:
        width = draw(st.integers(1, 3))
        decoder = ReLUNetwork([[vector(m) for _ in range(width)], [vector(width) for _ in range(n)]],
                              [vector(width), vector(n)], draw(numbers))
    noise = draw(st.sampled_from(["none", "std", "stds", "laplace", "student"]))
    if noise == "none":
        return Model(prior, decoder)
    scale = draw(positive) if noise == "std" else vector(n, positive)
    made = {"laplace": LaplaceNoise(scale), "student": StudentNoise(scale, draw(positive))}
    return Model(prior, decoder, made.get(noise, GaussianNoise(scale)))


@given(models())
@settings(max_examples=60, deadline=None)
def test_json_round_trip_is_exact(model):
    again = loads(to_json(model), "json")
    assert again == model
    assert hash(again) == hash(model)
    assert to_json(again) == to_json(model)


@given(models(), st.data())
@settings(max_examples=40, deadline=None)
def test_putting_a_parameter_back_changes_nothing(model, data):
    path = data.draw(st.sampled_from(parameter_paths(model)))
    assert with_parameter(model, path, parameter(model, path)) == model


@given(models(), st.data())
@settings(max_examples=40, deadline=None)
def test_a_moved_weight_leaves_a_distribution(model, data):
    j = data.draw(st.integers(0, model.prior.n_components - 1))
    value = Fraction(1) if model.prior.n_components == 1 else data.draw(st.fractions(0, 1))
    moved = with_parameter(model, f"prior.weights[{j}]", value)
    assert moved.prior.weights_exact[j] == value
    assert sum(moved.prior.weights_exact) == 1


@st.composite
def checked_models(draw: st.DrawFn) -> Model:
    """Models that only checks take: conditional priors, declared decoders, uniform and Fejér noise."""
    def table(*shape: int, items: st.SearchStrategy = numbers) -> list:
        size = int(np.prod(shape))
        flat = np.empty(size, dtype=object)
        flat[:] = draw(st.lists(items, min_size=size, max_size=size))
        return flat.reshape(shape).tolist()

    count, m, n = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    negative = positive.map(lambda value: -value)
    options: dict = {"labels": draw(st.lists(st.text(max_size=4), min_size=count, max_size=count, unique=True))} \
        if draw(st.booleans()) else {}
    if draw(st.booleans()):
        options["weights"] = [Fraction(1, count)] * count
    kind = draw(st.sampled_from(["normal", "laplace", "custom", "means"]))
    if kind == "means":
        moderate = st.fractions(Fraction(1, 10**6), 10**6)  # quotients stay within the range of float64
        prior = ConditionalPrior.from_means_variances(table(count, m, items=moderate), table(count, m, items=moderate),
                                                      **options)
    elif kind == "normal":
        first, second = table(count, m), table(count, m, items=negative)
        natural = np.stack([np.array(first, dtype=object), np.array(second, dtype=object)], axis=2).tolist()
        errors = table(count, m, 2, items=st.fractions(0, 3, max_denominator=99))
        prior = ConditionalPrior("normal", natural, standard_errors=errors, **options)
    elif kind == "laplace":
        prior = ConditionalPrior("laplace", table(count, m, 1, items=negative), location=draw(numbers), **options)
    else:
        prior = ConditionalPrior("custom", table(count, m, 2), statistics=["z", "Abs(z)"], base="1/2",
                                 support=["-1/2", "oo"], **options)
    names = draw(st.sets(st.sampled_from(["differentiable", "piecewise_affine", "weakly_injective"])))
    noise = draw(st.sampled_from([None, UniformNoise, FejerNoise]))
    return Model(prior, DeclaredMap(m, n, names), noise and noise(draw(positive)))


@given(checked_models())
@settings(max_examples=60, deadline=None)
def test_json_round_trip_of_checked_models_is_exact(model):
    again = loads(to_json(model), "json")
    assert again == model
    assert hash(again) == hash(model)
    assert to_json(again) == to_json(model)
