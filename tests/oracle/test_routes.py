"""Three independent routes to one law: closed form, quadrature, balls agree within what each promises."""

import subprocess
import sys

import numpy as np
import pytest
from common.strategies import line_models
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory import GaussianMixture, GaussianNoise, LaplaceNoise, Model, PiecewiseAffineMap, ReLUNetwork, law
from ident_theory.errors import UnsupportedError
from ident_theory.laws import ErrorKind, LawKind
from ident_theory.testing.strategies import observations


def agree(model: Model, x: np.ndarray) -> None:
    closed, quadrature = law(model), law(model, route="quadrature")
    a, b = closed.log_density_with_error(x), quadrature.log_density_with_error(x)
    assert (a.kind, b.kind) == (ErrorKind.PROMISED, ErrorKind.ESTIMATED)
    assert (np.abs(a.value - b.value) <= a.error + b.error).all()
    lo, hi = closed.log_density_bounds(x)
    assert ((lo - b.error <= b.value) & (b.value <= hi + b.error)).all()
    # The interval contains the float result, so its width bounds that result's error.
    assert (hi - lo <= 2e-12 * np.maximum(1, np.abs(a.value))).all()


@given(data=st.data(), n=st.sampled_from([1, 1, 2, 3]))
@settings(max_examples=120)
def test_three_routes_agree(data, n):
    model = data.draw(line_models(n))
    agree(model, np.array([data.draw(observations(model)) for _ in range(3)]))


@pytest.mark.slow
@given(data=st.data(), n=st.integers(1, 4))
@settings(max_examples=3000)
def test_three_routes_agree_at_length(data, n):
    model = data.draw(line_models(n))
    agree(model, np.array([data.draw(observations(model)) for _ in range(3)]))


LINE = Model(GaussianMixture([1], [0], [1]), PiecewiseAffineMap([0], [-1, 1], [0, 0]), GaussianNoise(1))
PLANE_DECODER = ReLUNetwork([[[1, 0], [1, 1]], [[1, 1]]], [[0, 0], [0]])
PLANE = GaussianMixture([1], [[0, 0]], [[1, 1]])
SPACE = GaussianMixture([1], [[0, 0, 0]], [[1, 1, 1]])
SPACE_DECODER = ReLUNetwork([[[1, 0, 1], [1, 1, 0]], [[1, 1]]], [[0, 0], [0]])


@pytest.mark.parametrize(("model", "route"), [
    (LINE, "closed form"),
    (Model(LINE.prior, LINE.decoder), "closed form"),
    (Model(LINE.prior, LINE.decoder, LaplaceNoise(1)), "quadrature"),
    (Model(PLANE, PLANE_DECODER, GaussianNoise(1)), "polygons"),
    (Model(PLANE, PLANE_DECODER, LaplaceNoise(1)), "quasi-Monte Carlo"),
    (Model(SPACE, SPACE_DECODER, GaussianNoise(1)), "quasi-Monte Carlo"),
])
def test_the_best_route_is_taken(model, route):
    chosen = law(model)
    assert chosen.route == route
    assert chosen.kind is LawKind.DENSITY
    assert np.isfinite(chosen.log_density([0.5])).all()


@pytest.mark.parametrize(("model", "route"), [
    (Model(PLANE, PLANE_DECODER, GaussianNoise(1)), "closed form"),
    (Model(PLANE, PLANE_DECODER, GaussianNoise(1)), "quadrature"),
    (Model(LINE.prior, LINE.decoder), "quadrature"),
    (Model(LINE.prior, LINE.decoder, LaplaceNoise(1)), "closed form"),
    (LINE, "polygons"),
])
def test_routes_that_do_not_serve_a_model_say_so(model, route):
    with pytest.raises(UnsupportedError):
        law(model, route=route)


def test_routes_agree_across_dimensions_of_the_latent():
    """One model written with one, two and three latents, the further ones unused."""
    one = Model(GaussianMixture([0.5, 0.5], [-1, 2], [1, 0.5]), ReLUNetwork([[[1], [-1]], [[1, 2]]], [[0, 1], [0]]),
                GaussianNoise("1/2"))
    two = Model(GaussianMixture([0.5, 0.5], [[-1, 0], [2, 1]], [[1, 1], [0.5, 3]]),
                ReLUNetwork([[[1, 0], [-1, 0]], [[1, 2]]], [[0, 1], [0]]), one.noise)
    three = Model(GaussianMixture([0.5, 0.5], [[-1, 0, 0], [2, 1, 0]], [[1, 1, 1], [0.5, 3, 1]]),
                  ReLUNetwork([[[1, 0, 0], [-1, 0, 0]], [[1, 2]]], [[0, 1], [0]]), one.noise)
    x = np.linspace(-3, 6, 7)
    exact = law(one).log_density(x)
    plane = law(two).log_density_with_error(x)
    assert (np.abs(plane.value - exact) <= plane.error + 1e-12).all()
    space = law(three).log_density_with_error(x)
    assert space.kind is ErrorKind.STANDARD_ERROR
    assert (np.abs(space.value - exact) <= 5 * space.error).all()


def test_the_law_never_loads_torch():
    code = ("import sys, ident_theory as it\n"
            "m = it.Model(it.GaussianMixture([1], [0], [1]), it.ReLUNetwork([[[1]]], [[0]]), it.GaussianNoise(1))\n"
            "it.law(m).entropy(); it.landscape_slice(m, 'prior.means[0]', points=3)\n"
            "sys.exit('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
