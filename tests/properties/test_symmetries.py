"""Changes of the parameters that do not change the law leave the log density where it is."""

import numpy as np
from common.strategies import line_models, priors
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork, law
from ident_theory.laws.expectation import adaptive_integral
from ident_theory.laws.splits import split_points

POINTS = np.linspace(-30, 30, 25)
small = st.fractions(-3, 3, max_denominator=4)


def same(a: Model, b: Model) -> None:
    """Two evaluations within 1e-12 each."""
    x = np.repeat(POINTS[:, None], a.observed_dim, axis=1)
    left, right = law(a).log_density(x), law(b).log_density(x)
    np.testing.assert_array_less(np.abs(left - right), 3e-12 * np.maximum(1, np.abs(left)))


def two_units(a, b, p, slope=0):
    return ReLUNetwork([[[b[0]], [b[1]]], [list(a)]], [list(p), [0]], slope)


@given(prior=priors(), a=st.tuples(small, small), b=st.tuples(small, small), p=st.tuples(small, small),
       scale=st.fractions("1/8", 8, max_denominator=8))
@settings(max_examples=40)
def test_rescaled_and_swapped_neurons(prior, a, b, p, scale):
    """a relu(b z + p) = (a c) relu((b/c) z + p/c) for c > 0, and neurons have no order."""
    noise = GaussianNoise("1/4")
    base = Model(prior, two_units(a, b, p), noise)
    same(base, Model(prior, two_units((a[0] * scale, a[1]), (b[0] / scale, b[1]), (p[0] / scale, p[1])), noise))
    same(base, Model(prior, two_units(a[::-1], b[::-1], p[::-1]), noise))


@given(model=line_models(1), scale=st.sampled_from([-3, -1, "1/7", 2]), shift=small)
@settings(max_examples=40)
def test_affine_reparametrisation_of_the_latent(model, scale, shift):
    """(P, f) and (h#P, f o h^-1) with h affine give one law (Kivva et al. 2022, Remark 3.7)."""
    from fractions import Fraction

    s = Fraction(scale)
    prior, f = model.prior, model.decoder
    moved = GaussianMixture(prior.weights_exact, [s * m + shift for m in prior.means_exact[:, 0]],
                            [s * s * v for v in prior.covariances_exact[:, 0, 0]])
    if isinstance(f, ReLUNetwork):
        first = f.weights_exact[0] / s
        bias = f.biases_exact[0] - f.weights_exact[0][:, 0] * (shift / s)
        g = ReLUNetwork([first, *f.weights_exact[1:]], [bias, *f.biases_exact[1:]], f.negative_slope_exact)
    else:
        order = slice(None) if s > 0 else slice(None, None, -1)
        breaks = [s * t + shift for t in f.breakpoints_exact][order]
        g = PiecewiseAffineMap(breaks, (f.slopes_exact / s)[order],
                               (f.intercepts_exact - f.slopes_exact * (shift / s))[order])
        if s < 0 and any(v == 0 for v in prior.covariances_exact[:, 0, 0]) and not f.is_continuous:
            return  # a point mass on a jump changes side when the line is turned round
    same(model, Model(moved, g, model.noise))


@given(prior=priors(degenerate=False), data=st.data())
@settings(max_examples=30)
def test_splitting_and_reordering_components(prior, data):
    split = data.draw(st.fractions(0, 1, max_denominator=7))
    w, mu, var = prior.weights_exact, prior.means_exact, prior.covariances_exact
    longer = GaussianMixture([*(w[1:]), w[0] * split, w[0] * (1 - split)], [*mu[1:, 0], mu[0, 0], mu[0, 0]],
                             [*var[1:, 0, 0], var[0, 0, 0], var[0, 0, 0]])
    f = two_units((1, -1), (1, 2), (0, 1))
    same(Model(prior, f, GaussianNoise("1/4")), Model(longer, f, GaussianNoise("1/4")))


@given(model=line_models(1), scale=st.sampled_from([-2, "1/5", 10]))
@settings(max_examples=30)
def test_rescaled_observation(model, scale):
    """x -> c x moves the density by -log |c|."""
    from fractions import Fraction

    c = Fraction(scale)
    f = model.decoder
    if isinstance(f, ReLUNetwork):
        g = ReLUNetwork([*f.weights_exact[:-1], f.weights_exact[-1] * c],
                        [*f.biases_exact[:-1], f.biases_exact[-1] * c], f.negative_slope_exact)
    else:
        g = PiecewiseAffineMap(f.breakpoints_exact, f.slopes_exact * c, f.intercepts_exact * c)
    std = Fraction(model.noise.std_exact.item())
    other = law(Model(model.prior, g, GaussianNoise(abs(c) * std)))
    x = np.array([-8.0, 0.0, 1.0, 16.0])
    left = law(model).log_density(x)
    # c x is rounded for c = 1/5: the density moves by its slope times an ulp of x, at most |log p| / s * ulp.
    ulps = 0 if c.denominator == 1 else 40 * np.sqrt(np.abs(left) + 40) * 4e-15 / float(std)
    slack = 3e-12 * np.maximum(1, np.abs(left)) + ulps
    right = other.log_density(float(c) * x) + np.log(abs(float(c)))
    np.testing.assert_array_less(np.abs(left - right), slack)


@given(model=line_models(1))
@settings(max_examples=40)
def test_densities_integrate_to_one(model):
    exact = law(model)
    splits = split_points(model)
    total, error = adaptive_integral(lambda x: np.exp(exact.log_density(x)), splits, 1e-11)
    assert abs(total - 1) <= error + 1e-12
    # The nodes themselves are rounded: an ulp of x is a sizeable part of a noise scale of 1e-6.
    assert error < 1e-9 + 2e-15 * np.abs(splits).max() / float(model.noise.std_exact.item())
