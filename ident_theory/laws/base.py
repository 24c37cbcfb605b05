"""What every law offers, whatever the route by which it is computed."""

from __future__ import annotations

import abc
import enum
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ident_theory.errors import DegenerateLawError, InputError, UnsupportedError
from ident_theory.models.model import Model
from ident_theory.models.value import FloatArray


class LawKind(enum.Enum):
    """What the law of x is, and with respect to which measure `log_density` is a density."""

    DENSITY = "density with respect to Lebesgue measure"
    DENSITY_AND_ATOMS = "density with respect to Lebesgue measure, plus atoms"
    CURVE = "density with respect to arc length on a curve"
    CURVE_AND_ATOMS = "density with respect to arc length on a curve, plus atoms"
    ATOMS = "atoms only"


class ErrorKind(enum.Enum):
    """What an error figure means."""

    PROMISED = "accuracy promised by an error analysis and held by tests"
    RIGOROUS = "bound proven by ball arithmetic"
    ESTIMATED = "estimate of a quadrature; not proven"
    STANDARD_ERROR = "standard error of a randomised quasi-Monte Carlo mean"


@dataclass(frozen=True)
class LogDensity:
    """Log densities with their errors.

    Attributes
    ----------
    value : ndarray, shape (N,)
    error : ndarray, shape (N,)
        Absolute error of `value`, in the sense of `kind`.
    kind : ErrorKind
    """

    value: FloatArray
    error: FloatArray
    kind: ErrorKind


@dataclass(frozen=True)
class Estimate:
    """A number with its error, both in nats unless the caller says otherwise.

    Attributes
    ----------
    value, error : float
    kind : ErrorKind
    """

    value: float
    error: float
    kind: ErrorKind

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True)
class Atoms:
    """Points of positive probability.

    Attributes
    ----------
    locations : ndarray, shape (K, n)
    log_masses : ndarray, shape (K,)
        Natural logs of the probabilities; they exist where a mass is too small for float64.
    """

    locations: FloatArray
    log_masses: FloatArray

    @property
    def masses(self) -> FloatArray:
        """Probabilities, shape (K,)."""
        return np.exp(self.log_masses)


class Law(abc.ABC):
    """The law of x; made by `ident_theory.law`.

    A concrete law provides `log_density_with_error`; whatever else its route can give it adds.

    Attributes
    ----------
    model : Model
    route : str
        How it is computed: ``"closed form"``, ``"quadrature"``, ``"polygons"``, ``"quasi-Monte Carlo"``.
    kind : LawKind
    """

    route: str

    def __init__(self, model: Model, kind: LawKind) -> None:
        self.model = model
        self.kind = kind

    @property
    def observed_dim(self) -> int:
        """Dimension n of x."""
        return self.model.observed_dim

    def log_density(self, x: Any) -> FloatArray:
        """Log density at points: (N, n), or (N,) when n = 1, -> (N,)."""
        return self.log_density_with_error(x).value

    @abc.abstractmethod
    def log_density_with_error(self, x: Any) -> LogDensity:
        """Log density at points with an error for each."""

    def log_density_bounds(self, x: Any, rtol: float = 1e-12) -> tuple[FloatArray, FloatArray]:
        """Rigorous enclosure of the log density; see the laws that offer it."""
        raise UnsupportedError(
            f"log_density_bounds: rigorous bounds are not available for the route {self.route!r}; "
            "they exist for Gaussian noise or none with at most two latents. "
            "log_density_with_error gives an error figure here.")

    def atoms(self) -> Atoms:
        """Points of positive probability with their masses (none for a law with noise)."""
        return Atoms(np.empty((0, self.observed_dim)), np.empty(0))

    def cdf(self, x: Any) -> FloatArray:
        """Distribution function P(X <= x), for n = 1."""
        raise UnsupportedError(f"cdf: available for n = 1 and m = 1; this law has n = {self.observed_dim}, "
                               f"m = {self.model.latent_dim}, route {self.route!r}")

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Draw `size` observations, shape (size, n)."""
        if not isinstance(rng, np.random.Generator):
            raise InputError(f"sample: expected a numpy.random.Generator, got rng={rng!r}; "
                             "make one with numpy.random.default_rng(seed)")
        if not isinstance(size, int | np.integer) or size < 0:
            raise InputError(f"sample: expected a size >= 0, got size={size!r}")
        z, _ = self.model.mixture.sample(int(size), rng)
        x = self.model.decoder(z)
        if self.model.noise is not None:
            x = x + self.model.noise.sample(int(size), self.observed_dim, rng)
        return x

    def entropy(self, rtol: float = 1e-10) -> Estimate:
        """Differential entropy -E log p(X), in nats."""
        return self.cross_entropy(self, rtol=rtol)

    def cross_entropy(self, other: Law, rtol: float = 1e-10) -> Estimate:
        """-E log q(X) for X from this law and q the density of `other`, in nats."""
        from ident_theory.laws.expectation import cross_entropy

        return cross_entropy(self, other, rtol=rtol)

    def kl(self, other: Law, rtol: float = 1e-10) -> Estimate:
        """Kullback-Leibler divergence KL(self || other) = E log p(X)/q(X) >= 0, in nats."""
        from ident_theory.laws.expectation import divergence

        return divergence(self, other, rtol=rtol)

    def require_density(self, what: str) -> None:
        """Refuse quantities that need a density on all of R^n."""
        if self.kind is not LawKind.DENSITY:
            raise DegenerateLawError(f"{what}: needs a law with a density on R^{self.observed_dim}, but this law is: "
                                     f"{self.kind.value}. Add noise to the model, or compare the parts separately.")


#: A float64 interval cannot be tighter than two neighbouring numbers.
TIGHTEST = 4e-16


def check_width(rtol: float) -> None:
    """Refuse a relative width that no float64 interval can have."""
    if not (math.isfinite(rtol) and rtol >= TIGHTEST):
        raise InputError(f"log_density_bounds: expected rtol >= {TIGHTEST:g} (the spacing of float64), got rtol={rtol}")


def add_logs(a: FloatArray, a_error: FloatArray, b: FloatArray, b_error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """log(exp(a) + exp(b)), -inf included, with the errors weighted by the shares."""
    total = np.logaddexp(a, b)
    some = np.isfinite(total)
    error = np.zeros(len(total))
    for log, doubt in ((a, a_error), (b, b_error)):
        share = np.exp(log[some] - total[some])
        error[some] += np.where(share > 0, doubt[some], 0.0) * share
    error[some] += 2 * np.finfo(np.float64).eps * np.maximum(1.0, np.abs(total[some]))
    return total, error


def observations(x: Any, n: int) -> FloatArray:
    """Check observations and return them as a C-contiguous (N, n) float64 array.

    Raises
    ------
    InputError
        For a wrong shape, a complex or non-numeric type, NaN or infinities; the first offender is named.
    """
    try:
        given = np.asarray(x)
    except ValueError as error:
        raise InputError(f"x: expected an array of shape (N, {n}), got something ragged ({error})") from None
    if given.dtype.kind not in "iufb":
        raise InputError(f"x: expected real numbers, got dtype {given.dtype}")
    array = np.ascontiguousarray(given, dtype=np.float64)
    if n == 1 and array.ndim == 1:
        array = array[:, None]
    if array.ndim == 1 and array.shape == (n,):
        raise InputError(f"x: expected shape (N, {n}), got the single point of shape ({n},); write x[None, :]")
    if array.ndim != 2 or array.shape[1] != n:
        expected = f"(N, {n})" if n > 1 else "(N,) or (N, 1)"
        raise InputError(f"x: expected shape {expected}, got {given.shape}")
    # Least and greatest entry carry NaN and infinity without a mask as large as the data.
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        bad = ~np.isfinite(array)
        row, column = np.argwhere(bad)[0]
        raise InputError(f"x: expected finite numbers, got x[{row}, {column}]={array[row, column]} "
                         f"({int(bad.sum())} such entries)")
    return array
