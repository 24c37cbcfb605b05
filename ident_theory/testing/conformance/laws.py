"""What a law of x has to satisfy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ident_theory.errors import DegenerateLawError, UnsupportedError
from ident_theory.laws.base import LawKind
from ident_theory.models.value import FloatArray
from ident_theory.testing.conformance.integrals import cuts_at, heavy_tailed_points, integral
from ident_theory.testing.conformance.refusing import refused_with_a_message

#: The kinds of laws whose density is one with respect to Lebesgue measure.
_LEBESGUE = (LawKind.DENSITY, LawKind.DENSITY_AND_ATOMS)
#: Quantiles at which half-spaces end.
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


class LawConformance:
    """Checks of a law; subclass it, name the subclass ``Test...`` and give the fixture `law`.

    A law has, as `ident_theory.laws.Law`, ``observed_dim``, ``log_density(x)`` for x of shape (N, n), and
    ``sample(size, rng)``. Where it offers ``log_density_bounds(x)``, ``cdf(x)`` (n = 1), ``atoms()`` and ``kind`` they
    are checked, too; a method may be missing or raise `UnsupportedError`, which skips its checks.

    Attributes
    ----------
    alpha : float
        Probability with which one statistical check fails although the law is right.
    sample_size : int
    tolerance : float
        Absolute, of masses and distribution functions.
    random_seed : int
        Of every generator: a run repeats.

    Examples
    --------
    ::

        class TestMyLaw(LawConformance):
            @pytest.fixture(params=[0.5, 2.0])
            def law(self, request):
                return MyLaw(request.param)

            def transformed(self, law, scale, shift):
                return law.affine(scale, shift)
    """

    alpha = 1e-6
    sample_size = 20_000
    tolerance = 1e-6
    random_seed = 0

    @pytest.fixture
    def law(self) -> Any:
        """The law; to be given by the subclass."""
        raise NotImplementedError("give a fixture `law` that returns the law to check")

    def transformed(self, law: Any, scale: float, shift: float) -> Any:
        """The law of scale X + shift, all coordinates alike; None skips the checks of equivariance."""
        return None

    def points(self, law: Any) -> FloatArray:
        """Points to compare at, shape (N, n): by default draws, and two far away."""
        draws = law.sample(200, self._rng(1))
        centre, spread = draws.mean(axis=0), draws.std(axis=0) + 1e-3
        far = [centre + 20 * spread, centre - 20 * spread] if self._is_lebesgue(law) else []
        return np.array([*draws, *far])

    # The density

    def test_log_density_has_one_number_a_point(self, law: Any) -> None:
        """Shape (N,), neither NaN nor plus infinity, and the same for one point as among others."""
        x = self.points(law)
        values = self._density(law, x)
        assert np.shape(values) == (len(x),), f"expected shape {(len(x),)}, found {np.shape(values)}"
        bad = np.flatnonzero(np.isnan(values) | (values == np.inf))
        assert not bad.size, f"log density {values[bad[0]]} at x = {x[bad[0]]}"
        alone = np.array([self._density(law, row[None])[0] for row in x[:5]])
        np.testing.assert_allclose(alone, values[:5], rtol=1e-9, err_msg="a point alone has another density")

    def test_total_mass_is_one(self, law: Any) -> None:
        """Density and atoms together: by quadrature for n = 1, by importance sampling for more."""
        self._need_lebesgue(law)
        atoms = float(np.sum(self._atoms(law)[1]))
        if law.observed_dim == 1:
            total = atoms + self._line_integral(law)
            assert total == pytest.approx(1, abs=100 * self.tolerance), f"the mass is {total:.9f}"
            return
        ratios = self._importance(law)[1]
        mean, error = float(ratios.mean()), float(ratios.std() / np.sqrt(len(ratios)))
        assert error < 0.05, f"the integral is known to {error:.2g} only: raise sample_size"
        assert abs(atoms + mean - 1) <= self._sigmas() * error + self.tolerance, \
            f"the mass is {atoms + mean:.5f} with standard error {error:.2g}"

    def test_bounds_enclose_the_density(self, law: Any) -> None:
        """Lower <= upper, and the density in between, up to a relative 1e-9."""
        x = self.points(law)
        values = self._density(law, x)
        low, high = self._optional(lambda: law.log_density_bounds(x), "log_density_bounds")
        assert (low <= high).all(), "a lower bound above its upper bound"
        slack = 1e-9 * np.maximum(1, np.abs(np.where(np.isfinite(values), values, 0)))
        out = np.flatnonzero(~((low - slack <= values) & (values <= high + slack)))
        assert not out.size, (f"at x = {x[out[0]]}: log density {values[out[0]]!r} is not in "
                              f"[{low[out[0]]!r}, {high[out[0]]!r}]")

    def test_points_that_are_none_are_refused(self, law: Any) -> None:
        """NaN, infinity and wrong widths raise a `ValueError` or an error of this package, with a message."""
        n = law.observed_dim
        for name, x in (("NaN", np.full((2, n), np.nan)), ("infinity", np.full((1, n), np.inf)),
                        (f"{n + 1} columns", np.zeros((3, n + 1)))):
            refused_with_a_message(lambda x=x: law.log_density(x), f"log_density of {name}")  # type: ignore[misc]

    # The distribution function

    def test_cdf_is_a_distribution_function(self, law: Any) -> None:
        """Between 0 and 1, never falling, 0 and 1 far away."""
        x = self._line_points(law)
        cdf = self._cdf(law, x)
        assert ((cdf >= -self.tolerance) & (cdf <= 1 + self.tolerance)).all(), "a value outside of [0, 1]"
        assert (np.diff(cdf) >= -self.tolerance).all(), "the distribution function falls"
        width = x[-1] - x[0] + 1
        ends = self._cdf(law, np.array([x[0] - 1e4 * width, x[-1] + 1e4 * width]))
        assert ends == pytest.approx([0, 1], abs=1e-3), f"far away it is {ends.tolist()}"

    def test_cdf_differences_are_the_density(self, law: Any) -> None:
        """Its mean slope over a short interval lies between the least and the largest density there."""
        x = self._line_points(law)
        atoms = self._atoms(law)[0].ravel()
        step = max(1e-4 * float(np.std(x)), 1e-12 * float(np.abs(x).max()), 1e-12)
        x = x[[not np.any(np.abs(atoms - v) <= 2 * step) for v in x]]
        width = (x + step) - (x - step)  # as rounded
        slope = (self._cdf(law, x + step) - self._cdf(law, x - step)) / width
        for count in (9, 2001):  # many only where few find nothing: a narrow peak between them
            grid = np.exp([self._density(law, (x + t * step)[:, None]) for t in np.linspace(-1, 1, count)])
            low, high = grid.min(axis=0), grid.max(axis=0)
            slack = 1e-3 * high + 1e-11 / step
            out = np.flatnonzero(~((low - slack <= slope) & (slope <= high + slack)))
            if out.size and count == 9:
                x, slope = x[out], slope[out]
        assert not out.size, (f"at x = {x[out[0]]}: the distribution function has the slope {slope[out[0]]:.6g}, the "
                              f"density lies in [{low[out[0]]:.6g}, {high[out[0]]:.6g}]")

    def test_cdf_jumps_at_atoms(self, law: Any) -> None:
        """By their masses, which are positive and sum to one at most."""
        places, masses = self._atoms(law)
        if not len(masses):
            pytest.skip("the law has no atoms")
        assert (masses > 0).all(), "an atom without mass"
        assert masses.sum() <= 1 + self.tolerance, f"the atoms have the mass {masses.sum()}"
        if law.observed_dim == 1:
            step = 1e-9 * np.maximum(1, np.abs(places[:, 0]))
            jumps = self._cdf(law, places[:, 0] + step) - self._cdf(law, places[:, 0] - step)
            assert jumps == pytest.approx(masses, abs=1e-5), f"jumps {jumps.tolist()} for masses {masses.tolist()}"

    # Draws

    def test_samples_have_their_shape_and_repeat(self, law: Any) -> None:
        """Shape (size, n), finite, the same for the same generator, none for size 0."""
        x = law.sample(50, self._rng(2))
        assert np.shape(x) == (50, law.observed_dim), f"expected {(50, law.observed_dim)}, found {np.shape(x)}"
        assert np.isfinite(x).all(), "a draw that is not finite"
        assert np.array_equal(x, law.sample(50, self._rng(2))), "the same generator gives other draws"
        assert len(law.sample(0, self._rng(2))) == 0, "size 0 gives draws"
        rng = self._rng(2)
        one, other = law.sample(200, rng), law.sample(200, rng)
        if len(np.unique(one, axis=0)) >= 20:  # by chance two such samples are the same with p < 1e-15
            assert not np.array_equal(one, other), "a generator gives the same draws twice: the law must draw from it"

    def test_samples_follow_the_law(self, law: Any) -> None:
        r"""By Dvoretzky, Kiefer and Wolfowitz, but for a probability :math:`\alpha`.

        For n = 1 :math:`\sup |F_N - F| \le \sqrt{\log(2 / \alpha) / 2N}`. For more, or without a distribution function,
        probabilities of random half-spaces by draws and by importance sampling of the density.
        """
        if law.observed_dim == 1 and self._has_cdf(law):
            x = np.sort(law.sample(self.sample_size, self._rng(3))[:, 0])
            shares = np.searchsorted(x, x, side="right") / len(x)
            gap = float(np.abs(shares - self._cdf(law, x)).max())
            most = float(np.sqrt(np.log(2 / self.alpha) / (2 * len(x)))) + self.tolerance
            assert gap <= most, f"the draws are {gap:.4f} from the law; {most:.4f} is exceeded with p = {self.alpha:g}"
            return
        self._need_lebesgue(law)
        y, ratios = self._importance(law)
        x, pilot = (law.sample(self.sample_size, self._rng(stream)) for stream in (4, 8))
        places, masses = self._atoms(law)
        normals = self._rng(5).normal(size=(10, law.observed_dim))
        sigmas = self._sigmas(len(normals) * len(_LEVELS))
        for normal in normals:
            for level in np.quantile(pilot @ normal, _LEVELS):  # of draws apart from those that are counted
                inside = ratios * (y @ normal <= level)
                expected = float(inside.mean()) + float(masses[places @ normal <= level].sum())
                error = float(np.hypot(inside.std() / np.sqrt(len(y)), 0.5 / np.sqrt(len(x))))
                share = float(np.mean(x @ normal <= level))
                assert abs(share - expected) <= sigmas * error, \
                    f"half-space {normal}: share {share:.4f} of the draws, probability {expected:.4f}"

    # Changes of units

    @pytest.mark.parametrize(("scale", "shift"), [(2.0, 0.0), (-0.5, 3.0), (1.0, -7.0)])
    def test_affine_changes_of_x(self, law: Any, scale: float, shift: float) -> None:
        r"""The density of s X + t at s x + t is :math:`|s|^{-n}` times that of X at x; atoms move along."""
        other = self.transformed(law, scale, shift)
        if other is None:
            pytest.skip("transformed() is not given")
        x = self.points(law)
        log = np.log(abs(scale)) * (law.observed_dim if self._is_lebesgue(law) else 1)
        np.testing.assert_allclose(self._density(other, scale * x + shift), self._density(law, x) - log, rtol=1e-6,
                                   atol=1e-6, err_msg="the density does not change as it should")
        (places, masses), (moved, again) = self._atoms(law), self._atoms(other)
        assert len(masses) == len(again), "another number of atoms"
        images, found = sorted(map(tuple, scale * places + shift)), sorted(map(tuple, moved))
        assert np.allclose(images, found), "the atoms do not move along"
        assert np.allclose(np.sort(masses), np.sort(again)), "the atoms change their masses"

    # Tools

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.random_seed, stream])

    def _sigmas(self, comparisons: int = 1) -> float:
        """The two-sided normal quantile of alpha, shared by several comparisons."""
        from scipy.stats import norm

        return float(norm.isf(self.alpha / 2 / comparisons))

    @staticmethod
    def _has_cdf(law: Any) -> bool:
        try:
            law.cdf(np.zeros((1, 1)))
        except (AttributeError, UnsupportedError, DegenerateLawError) as error:
            if isinstance(error, AttributeError) and error.name != "cdf":
                raise
            return False
        return True

    @staticmethod
    def _is_lebesgue(law: Any) -> bool:
        return getattr(law, "kind", LawKind.DENSITY) in _LEBESGUE

    def _need_lebesgue(self, law: Any) -> None:
        if not self._is_lebesgue(law):
            pytest.skip(f"the density is one with respect to another measure: {law.kind.value}")

    @staticmethod
    def _density(law: Any, x: FloatArray) -> FloatArray:
        try:
            return np.asarray(law.log_density(x), dtype=np.float64)
        except DegenerateLawError as error:
            pytest.skip(f"the law has no density: {error}")

    @staticmethod
    def _optional(call: Callable[[], Any], name: str) -> Any:
        try:
            return call()
        except (AttributeError, UnsupportedError, DegenerateLawError) as error:
            if isinstance(error, AttributeError) and error.name != name:
                raise
            pytest.skip(f"{name}: {error}")

    def _line_points(self, law: Any) -> FloatArray:
        """Points in ascending order, for n = 1."""
        if law.observed_dim != 1:
            pytest.skip("cdf: for n = 1 only")
        return np.sort(self.points(law)[:, 0])

    def _cdf(self, law: Any, x: FloatArray) -> FloatArray:
        return np.asarray(self._optional(lambda: law.cdf(x[:, None]), "cdf"), dtype=np.float64)

    @staticmethod
    def _atoms(law: Any) -> tuple[FloatArray, FloatArray]:
        """Places (K, n) and masses (K,)."""
        if not hasattr(law, "atoms"):
            return np.empty((0, law.observed_dim)), np.empty(0)
        atoms = law.atoms()
        return np.asarray(atoms.locations), np.asarray(atoms.masses)

    def _line_integral(self, law: Any) -> float:
        """The integral of the density, cut where draws lie so that no narrow part of it is missed."""
        draws = np.unique(law.sample(2000, self._rng(6))[:, 0])
        return integral(lambda t: np.exp(self._density(law, t[:, None])), cuts_at(draws))

    def _importance(self, law: Any) -> tuple[FloatArray, FloatArray]:
        """Points from a heavy-tailed kernel estimate of the law, and density over that of the points."""
        y, density = heavy_tailed_points(law.sample(150, self._rng(7)), self.sample_size, self._rng(9))
        return y, np.exp(self._density(law, y)) / density
