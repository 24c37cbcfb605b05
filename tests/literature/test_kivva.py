"""Published examples of Kivva et al. 2022 with known answers."""

import numpy as np
import pytest

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork, law

NOISE = GaussianNoise("1/4")
ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])


def test_example_4_two_maps_one_law():
    """f and g of (15) differ, and push 1/2 N(-2, 1) + 1/2 N(2, 1) to one law; with noise as well."""
    prior = GaussianMixture(["1/2", "1/2"], [-2, 2], [1, 1])
    f = PiecewiseAffineMap([-4, -2, 2], ["1/5", 1, -1, 1], ["4/5", 4, 0, -4])
    g = PiecewiseAffineMap([-4, -2, 2, 4], ["1/5", -1, 1, -1, 1], ["4/5", -4, 0, 4, -4])
    x = np.linspace(-6, 6, 101)
    for noise in (None, NOISE):
        a, b = law(Model(prior, f, noise)), law(Model(prior, g, noise))
        np.testing.assert_allclose(a.log_density(x), b.log_density(x), atol=1e-13, rtol=1e-13)
        assert abs(a.kl(b).value) < 1e-14


def test_remark_3_6_the_absolute_value_hides_a_sign():
    """|z| with means (-2, -1, 3) and (-2, 1, 3): equal laws from priors that no affine map relates."""
    first = law(Model(GaussianMixture(["1/3"] * 3, [-2, -1, 3], [1, 1, 1]), ABSOLUTE, NOISE))
    second = law(Model(GaussianMixture(["1/3"] * 3, [-2, 1, 3], [1, 1, 1]), ABSOLUTE, NOISE))
    x = np.linspace(-2, 8, 101)
    np.testing.assert_allclose(first.log_density(x), second.log_density(x), atol=1e-13, rtol=1e-13)


def test_the_ledger_s_inequivalent_minimisers():
    """Row kivva.sec4.ml of the theory ledger: two minimisers with one likelihood, another mean 0.042 worse.

    The row's numbers, made by an independent program, belong to noise of standard deviation 1/2.
    """
    def with_mean(mu):
        return law(Model(GaussianMixture(["1/3"] * 3, [-2, mu, 3], [1, 1, 1]), ABSOLUTE, GaussianNoise("1/2")))

    truth = with_mean(-1)
    for candidate in (truth, with_mean(1)):
        assert truth.cross_entropy(candidate, rtol=1e-12).value == pytest.approx(1.6588645960629784, abs=1e-11)
    assert truth.kl(with_mean(2)).value == pytest.approx(0.042, abs=5e-4)
    assert min(truth.kl(with_mean(mu)).value for mu in (-3, -2, 0, 2, 3)) > 9e-3


def test_remark_3_7_affine_ambiguity():
    base = Model(GaussianMixture(["1/4", "3/4"], [-1, 2], [1, "1/2"]),
                 ReLUNetwork([[[1], [2]], [[1, -1]]], [[0, 1], [0]]), NOISE)
    moved = Model(GaussianMixture(["1/4", "3/4"], [-3, 3], [4, 2]),
                  ReLUNetwork([[["1/2"], [1]], [[1, -1]]], [["1/2", 2], [0]]), NOISE)
    x = np.linspace(-9, 6, 61)
    np.testing.assert_allclose(law(base).log_density(x), law(moved).log_density(x), atol=1e-13, rtol=1e-13)


def test_classical_vae_with_an_affine_decoder_is_a_normal():
    from scipy import stats

    exact = law(Model(GaussianMixture([1], [0], [1]), ReLUNetwork([[[3]]], [[1]]), GaussianNoise(4)))
    x = np.linspace(-20, 20, 9)
    np.testing.assert_allclose(exact.log_density(x), stats.norm.logpdf(x, 1, 5), rtol=1e-14)
