"""Observation noise, independent of the latent."""

from __future__ import annotations

import abc
from collections.abc import Hashable
from fractions import Fraction
from typing import Any

import numpy as np

from ident_theory.errors import Problem
from ident_theory.exact.rationals import nearest_float, parse_array, parse_number, shown, to_float
from ident_theory.models.value import (
    ExactArray,
    FloatArray,
    Value,
    check_covariance,
    flat_key,
    plain_numbers,
    raise_if,
)


class GaussianNoise(Value):
    r"""Gaussian noise :math:`\epsilon \sim N(0, \Omega)`: isotropic, diagonal or full.

    Parameters
    ----------
    std : number or array_like of shape (n,), optional
        One standard deviation for all coordinates, or one each; positive.
    covariance : array_like, shape (n, n), optional
        Full covariance, positive definite. Give `std` or `covariance`, not both.

    Attributes
    ----------
    dim : int or None
        n, or None for isotropic noise, which fits any n.
    """

    std_exact: ExactArray | None
    full_exact: ExactArray | None

    def __init__(self, std: Any = None, *, covariance: Any = None) -> None:
        problems: list[Problem] = []
        fields = read_gaussian_noise(std, covariance, "", problems)
        raise_if(problems, "GaussianNoise")
        assert fields is not None
        self._set(std_exact=fields[0], full_exact=fields[1])

    @property
    def dim(self) -> int | None:
        """Observed dimension n this noise is for; None when it fits any."""
        if self.full_exact is not None:
            return len(self.full_exact)
        assert self.std_exact is not None
        return None if self.std_exact.ndim == 0 else len(self.std_exact)

    @property
    def is_diagonal(self) -> bool:
        """Whether the coordinates of the noise are independent."""
        if self.full_exact is None:
            return True
        off = self.full_exact[~np.eye(len(self.full_exact), dtype=bool)]
        return not any(off)

    def covariance_exact(self, n: int) -> ExactArray:
        """The covariance as an (n, n) array of Fraction."""
        if self.full_exact is not None:
            return self.full_exact
        assert self.std_exact is not None
        matrix = np.full((n, n), Fraction(0), dtype=object)
        for i, s in enumerate(np.broadcast_to(self.std_exact, (n,))):
            matrix[i, i] = s * s
        return matrix

    def root(self, n: int) -> FloatArray:
        """Lower triangular L with L L^T the covariance, in float64; standard deviations are never squared."""
        if self.std_exact is not None:
            return np.diag(np.broadcast_to(to_float(self.std_exact), (n,)))
        return np.asarray(np.linalg.cholesky(to_float(self.covariance_exact(n))), dtype=np.float64)

    def sample(self, size: int, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw (size, n) noise vectors."""
        return rng.standard_normal((size, n)) @ self.root(n).T

    def plain(self) -> dict[str, Any]:
        """The section ``[noise]`` of a model file."""
        if self.full_exact is not None:
            return {"type": "gaussian", "covariance": plain_numbers(self.full_exact)}
        return {"type": "gaussian", "std": plain_numbers(self.std_exact)}

    def _key(self) -> Hashable:
        return (None if self.std_exact is None else flat_key(self.std_exact),
                None if self.full_exact is None else flat_key(self.full_exact))

    def __repr__(self) -> str:
        if self.full_exact is not None:
            return f"GaussianNoise(covariance={to_float(self.full_exact).tolist()})"
        assert self.std_exact is not None
        return f"GaussianNoise(std={to_float(self.std_exact).tolist()})"


class IndependentNoise(Value):
    """Noise with independent coordinates ``scale[i] * standard``; the base of the families below.

    Laws under Laplace, logistic and Student noise are computed by quadrature, with an error estimate.
    """

    family: str
    scale_exact: ExactArray

    def __init__(self, scale: Any) -> None:
        problems: list[Problem] = []
        parsed = read_scale(scale, "scale", problems)
        raise_if(problems, type(self).__name__)
        assert parsed is not None
        self._set(scale_exact=parsed)

    @property
    def dim(self) -> int | None:
        """Observed dimension n this noise is for; None when it fits any."""
        return None if self.scale_exact.ndim == 0 else len(self.scale_exact)

    @property
    def shape_parameter(self) -> float:
        """Degrees of freedom for Student noise; not used by the other families."""
        return 0.0

    def scales(self, n: int) -> FloatArray:
        """Scale of every coordinate, shape (n,)."""
        return np.broadcast_to(to_float(self.scale_exact), (n,)).copy()

    def sample(self, size: int, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw (size, n) noise vectors."""
        return self.scales(n) * self._standard((size, n), rng)

    @abc.abstractmethod
    def _standard(self, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
        """Draw standard noise of the given shape."""

    def plain(self) -> dict[str, Any]:
        """The section ``[noise]`` of a model file."""
        return {"type": self.family, "scale": plain_numbers(self.scale_exact)}

    def _key(self) -> Hashable:
        return flat_key(self.scale_exact), self.shape_parameter

    def __repr__(self) -> str:
        return f"{type(self).__name__}(scale={to_float(self.scale_exact).tolist()})"


class LaplaceNoise(IndependentNoise):
    r"""Laplace noise with density :math:`e^{-|r|}/(2s)`, :math:`r = \epsilon/s`, in each coordinate.

    Parameters
    ----------
    scale : number or array_like of shape (n,)
        The scale s > 0 (the standard deviation is :math:`s\sqrt 2`).
    """

    family = "laplace"

    def _standard(self, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
        return rng.laplace(size=shape)


class LogisticNoise(IndependentNoise):
    r"""Logistic noise with density :math:`e^{-r}/(s(1+e^{-r})^2)`, :math:`r = \epsilon/s`, in each coordinate.

    Parameters
    ----------
    scale : number or array_like of shape (n,)
        The scale s > 0 (the standard deviation is :math:`s\pi/\sqrt 3`).
    """

    family = "logistic"

    def _standard(self, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
        return rng.logistic(size=shape)


class StudentNoise(IndependentNoise):
    r"""Student noise with density proportional to :math:`(1 + r^2/\nu)^{-(\nu+1)/2}`, :math:`r = \epsilon/s`.

    Parameters
    ----------
    scale : number or array_like of shape (n,)
        The scale s > 0.
    df : number
        Degrees of freedom :math:`\nu > 0`.
    """

    family = "student"
    df_exact: Fraction

    def __init__(self, scale: Any, df: Any) -> None:
        problems: list[Problem] = []
        parsed = read_scale(scale, "scale", problems)
        freedom = read_df(df, "df", problems)
        raise_if(problems, type(self).__name__)
        self._set(scale_exact=parsed, df_exact=freedom)

    @property
    def shape_parameter(self) -> float:
        """Degrees of freedom."""
        return nearest_float(self.df_exact)

    def plain(self) -> dict[str, Any]:
        """The section ``[noise]`` of a model file."""
        return {**super().plain(), "df": plain_numbers(self.df_exact)}

    def _standard(self, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
        return rng.standard_t(self.shape_parameter, size=shape)

    def __repr__(self) -> str:
        return f"StudentNoise(scale={to_float(self.scale_exact).tolist()}, df={self.shape_parameter})"


class UniformNoise(IndependentNoise):
    r"""Uniform noise on :math:`[-s, s]` in each coordinate; for checks of conditions, laws are not available.

    Parameters
    ----------
    scale : number or array_like of shape (n,)
        The half width s > 0 (the standard deviation is :math:`s/\sqrt 3`).
    """

    family = "uniform"

    def _standard(self, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
        return rng.uniform(-1.0, 1.0, size=shape)


class FejerNoise(IndependentNoise):
    r"""Noise with the Fejér density :math:`(1 - \cos r)/(\pi r^2 s)`, :math:`r = \epsilon/s`, in each coordinate.

    Its characteristic function is the triangle :math:`(1 - s|t|)_+`, which vanishes for :math:`|t| \ge 1/s`:
    the standard example of noise that cannot be removed from every signal. It has no mean. For checks of
    conditions; laws are not available.

    Parameters
    ----------
    scale : number or array_like of shape (n,)
        The scale s > 0.
    """

    family = "fejer"

    def _standard(self, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
        # Rejection below min(1/2, 2/r^2)/pi, whose middle [-2, 2] and tails have equal mass; pi/4 are kept.
        kept = np.empty(0)
        size = int(np.prod(shape))
        while len(kept) < size:
            u = 1.0 - rng.random((4, size - len(kept) + 16))  # in (0, 1]
            r = np.where(u[0] <= 0.5, 2.0 * u[1], 2.0 / u[1])
            share = np.sin(r / 2) ** 2 * np.where(r <= 2.0, 4.0 / (r * r), 1.0)
            kept = np.concatenate([kept, np.where(u[3] <= 0.5, -r, r)[u[2] <= share]])
        return kept[:size].reshape(shape)


Noise = GaussianNoise | IndependentNoise

#: Noises under which the laws can be computed.
LAW_NOISES = (GaussianNoise, LaplaceNoise, LogisticNoise, StudentNoise)


def read_scale(value: Any, path: str, problems: list[Problem]) -> ExactArray | None:
    """A positive number or a list of n positive numbers."""
    parsed = parse_array(value, path, problems)
    if parsed is None:
        return None
    if parsed.ndim > 1 or not parsed.size:
        problems.append(Problem(path, "a number or a list of n numbers", f"shape {parsed.shape}"))
        return None
    for index, item in np.ndenumerate(parsed):
        if item <= 0:
            place = path + "".join(f"[{i}]" for i in index)
            problems.append(Problem(place, "a number > 0", shown(item), "for no noise at all leave the noise out"))
            return None
    return parsed


def read_df(value: Any, path: str, problems: list[Problem]) -> Fraction | None:
    """Degrees of freedom: a positive number."""
    df = parse_number(value, path, problems)
    if df is not None and df <= 0:
        problems.append(Problem(path, "degrees of freedom > 0", shown(df)))
        return None
    return df


def read_gaussian_noise(std: Any, covariance: Any, path: str,
                        problems: list[Problem]) -> tuple[ExactArray | None, ExactArray | None] | None:
    """Parse and validate Gaussian noise given by `std` or by `covariance`."""
    dot = f"{path}." if path else ""
    if (std is None) == (covariance is None):
        found = "neither" if std is None else "both"
        problems.append(Problem(path or "noise", "either std or covariance", found))
        return None
    if std is not None:
        parsed = read_scale(std, f"{dot}std", problems)
        return None if parsed is None else (parsed, None)
    matrix = parse_array(covariance, f"{dot}covariance", problems)
    if matrix is None:
        return None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        problems.append(Problem(f"{dot}covariance", "a square matrix", f"shape {matrix.shape}"))
        return None
    before = len(problems)
    check_covariance(matrix, f"{dot}covariance", problems, definite=True)
    return None if len(problems) > before else (None, matrix)
