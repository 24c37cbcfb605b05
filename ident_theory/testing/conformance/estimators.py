"""What an estimator of latents has to satisfy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ident_theory.metrics import mcc
from ident_theory.models import Model
from ident_theory.models.value import FloatArray
from ident_theory.testing.conformance.refusing import refused_with_a_message


class EstimatorConformance:
    """Checks of an estimator; subclass it, name the subclass ``Test...`` and give the fixture `estimator`.

    An estimator has ``fit(x, u, rng)``, with x of shape (N, n), u of shape (N,) with whole numbers or None, and a
    `numpy.random.Generator`. It returns something with ``transform(x)``, or ``transform(x, u)`` where
    `transform_uses_u` says so, latents of shape (N, d), and perhaps ``model()``, a `Model` or None.

    Attributes
    ----------
    latent_dim : int
        Number d that the estimator is made for.
    uses_u : bool
        Whether u is given.
    transform_uses_u : bool
        Whether latents come from ``transform(x, u)``.
    order_invariant : bool
        Whether the fit promises not to depend on the order of the observations.
    kind : {"weak", "strong"}
        What it promises to recover: latents up to an affine map, or up to order, scale and shift.
    least_mcc : float
        What it has to reach on the linear-Gaussian truth.
    size : int
        Observations there.
    tolerance : float
        Relative, for latents that must be equal.

    Examples
    --------
    ::

        class TestMyEstimator(EstimatorConformance):
            kind = "strong"

            @pytest.fixture
            def estimator(self):
                return MyEstimator(latent_dim=2)
    """

    latent_dim = 2
    uses_u = True
    transform_uses_u = False
    order_invariant = False
    kind = "weak"
    least_mcc = 0.95
    size = 2000
    tolerance = 1e-6
    random_seed = 0

    @pytest.fixture
    def estimator(self) -> Any:
        """The estimator; to be given by the subclass."""
        raise NotImplementedError("give a fixture `estimator` that returns an estimator to check")

    def truth(self, rng: np.random.Generator, size: int) -> tuple[FloatArray, np.ndarray, FloatArray]:
        """Observations (N, n), values of u (N,) and latents (N, d) of a linear-Gaussian truth.

        By default z | u is normal with means and variances that depend on u in 2d + 1 values, x = A z + noise with
        n = d + 2 and a noise of 5 %.
        """
        d = self.latent_dim
        u = rng.integers(2 * d + 1, size=size)
        means, stds = rng.normal(size=(2 * d + 1, d)) * 2, rng.uniform(0.3, 1.5, size=(2 * d + 1, d))
        z = means[u] + stds[u] * rng.normal(size=(size, d))
        a = np.linalg.qr(rng.normal(size=(d + 2, d)))[0] * rng.uniform(1, 2, size=d)
        return z @ a.T + 0.05 * rng.normal(size=(size, d + 2)), u, z

    def test_latents_have_their_shape(self, estimator: Any) -> None:
        """(N, d) for any N, also of points that the fit has not seen, real, finite, row by row."""
        x, u, _ = self._data(300)
        fitted = self._fit(estimator, x, u)
        z = self._latents(fitted, x, u)
        for rows in (slice(5, 12), slice(7, 8)):
            self._same(self._latents(fitted, x[rows], u[rows]), z[rows],
                       "some rows have other latents when they come alone")
        self._latents(fitted, (x[1:] + x[:-1]) / 2, u[1:])

    def test_the_same_seed_gives_the_same_fit(self, estimator: Any) -> None:
        """And the generators of numpy's global state are left alone."""
        x, u, _ = self._data(300)
        before = _global_state()
        one, other = (np.asarray(self._transform(self._fit(estimator, x, u), x, u)) for _ in range(2))
        assert np.array_equal(one, other), f"two fits with one seed differ by {np.abs(one - other).max():.3g}"
        assert before == _global_state(), "the fit draws from the global generator of numpy; use rng"

    def test_the_data_are_not_changed(self, estimator: Any) -> None:
        """Neither x nor u."""
        x, u, _ = self._data(300)
        copies = x.copy(), u.copy()
        self._transform(self._fit(estimator, x, u), x, u)
        assert np.array_equal(x, copies[0]), "the fit changes x"
        assert np.array_equal(u, copies[1]), "the fit changes u"

    def test_the_order_of_the_data_does_not_count(self, estimator: Any) -> None:
        """Where that is promised."""
        if not self.order_invariant:
            pytest.skip("not promised: order_invariant is False")
        x, u, _ = self._data(300)
        order = np.random.default_rng([self.random_seed, 3]).permutation(len(x))
        one = self._transform(self._fit(estimator, x, u), x, u)
        other = self._transform(self._fit(estimator, x[order], u[order]), x, u)
        self._same(np.asarray(other), np.asarray(one), "another order of the data gives other latents")

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_numbers_that_are_not_finite_are_refused(self, estimator: Any, value: float) -> None:
        """At the fit, by a `ValueError` or an error of this package, with a message."""
        x, u, _ = self._data(60)
        x[7, 1] = value
        refused_with_a_message(lambda: self._fit(estimator, x, u), f"{value} in the data")

    def test_other_lengths_of_u_are_refused(self, estimator: Any) -> None:
        """Where u is given: fewer or more values than observations, likewise."""
        if not self.uses_u:
            pytest.skip("uses_u is False")
        x, u, _ = self._data(60)
        refused_with_a_message(lambda: self._fit(estimator, x, u[:-1]), "59 values of u for 60 observations",
                               IndexError)

    def test_other_widths_are_refused(self, estimator: Any) -> None:
        """Observations of another dimension than those of the fit, likewise."""
        x, u, _ = self._data(300)
        fitted = self._fit(estimator, x, u)
        refused_with_a_message(lambda: self._transform(fitted, x[:, 1:], u), "observations with a column missing")

    def test_it_recovers_a_linear_gaussian_truth(self, estimator: Any) -> None:
        """The MCC of the kind that it promises, on the data of the fit; an earlier fit to other data must not count."""
        self._fit(estimator, *self._data(300, 4)[:2])
        x, u, z = self._data(self.size)
        found = self._latents(self._fit(estimator, x, u), x, u)
        value = float(mcc(z, found, self.kind, constant="zero"))
        assert value >= self.least_mcc, f"{self.kind} MCC {value:.4f} on the truth, at least {self.least_mcc} asked for"

    def test_its_model_fits_its_latents(self, estimator: Any) -> None:
        """Where it offers one: a `Model` with as many latents and observations."""
        x, u, _ = self._data(300)
        fitted = self._fit(estimator, x, u)
        model = fitted.model() if hasattr(fitted, "model") else None
        if model is None:
            pytest.skip("it offers no model()")
        assert isinstance(model, Model), f"model(): expected a Model, found {type(model).__name__}"
        shape = model.latent_dim, model.observed_dim
        assert shape == (self.latent_dim, x.shape[1]), \
            f"model(): expected {(self.latent_dim, x.shape[1])} latents and observations, found {shape}"

    def _transform(self, fitted: Any, x: FloatArray, u: np.ndarray) -> Any:
        return fitted.transform(x, u) if self.transform_uses_u else fitted.transform(x)

    def _latents(self, fitted: Any, x: FloatArray, u: np.ndarray) -> np.ndarray:
        z = np.asarray(self._transform(fitted, x, u))
        assert z.shape == (len(x), self.latent_dim), f"expected {(len(x), self.latent_dim)}, found {z.shape}"
        assert z.dtype.kind in "fiu", f"expected real latents, found an array of {z.dtype}"
        assert np.isfinite(z).all(), "a latent that is not finite"
        return z

    def _data(self, size: int, stream: int = 1) -> tuple[FloatArray, np.ndarray, FloatArray]:
        return self.truth(np.random.default_rng([self.random_seed, stream]), size)

    def _fit(self, estimator: Any, x: FloatArray, u: np.ndarray) -> Any:
        fitted = estimator.fit(x, u if self.uses_u else None, np.random.default_rng([self.random_seed, 2]))
        assert fitted is not None, "fit(): expected something with transform(), found None"
        return fitted

    def _same(self, one: np.ndarray, other: np.ndarray, text: str) -> None:
        scale = max(float(np.abs(other).max()), 1e-300)
        gap = float(np.abs(one - other).max()) / scale
        assert gap <= self.tolerance, f"{text}: by {gap:.3g} of their size"


def _global_state() -> str:
    """The state of numpy's global generator, which no fit may draw from."""
    return repr(np.random.get_state())  # noqa: NPY002
