"""Invertible affine changes of the latent, in rationals."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from ident_theory.errors import InputError, Problem
from ident_theory.exact.rationals import format_exact, from_flint, parse_array, to_flint, to_float
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.piecewise import PiecewiseAffineMap
from ident_theory.models.value import ExactArray, FloatArray, Value, flat_key, freeze, plain_numbers, raise_if


class AffineChange(Value):
    r"""An invertible affine map of the latent, :math:`h(z) = A z + b`.

    Parameters
    ----------
    matrix : array_like, shape (m, m)
        A; a number will do for m = 1.
    shift : array_like, shape (m,)
        b; a number will do for m = 1.

    Attributes
    ----------
    matrix_exact, shift_exact : ndarray of Fraction
    matrix, shift : ndarray of float64

    Raises
    ------
    ModelError
        For wrong shapes, entries that are no numbers, or a singular matrix.
    """

    matrix_exact: ExactArray
    shift_exact: ExactArray
    matrix: FloatArray
    shift: FloatArray

    def __init__(self, matrix: Any, shift: Any) -> None:
        problems: list[Problem] = []
        a, b = parse_array(matrix, "matrix", problems), parse_array(shift, "shift", problems)
        if a is not None and a.ndim == 0:
            a = freeze(a.reshape(1, 1))
        if b is not None and b.ndim == 0:
            b = freeze(b.reshape(1))
        if a is not None and (a.ndim != 2 or a.shape[0] != a.shape[1] or not a.size):
            problems.append(Problem("matrix", "a square matrix", f"shape {a.shape}"))
        elif a is not None and to_flint(a).det() == 0:
            problems.append(Problem("matrix", "an invertible matrix", f"{to_float(a).tolist()}"))
        elif a is not None and b is not None and b.shape != a.shape[:1]:
            problems.append(Problem("shift", f"{len(a)} numbers, one a row of the matrix", f"shape {b.shape}"))
        raise_if(problems, "AffineChange")
        assert a is not None
        assert b is not None
        self._set(matrix_exact=a, shift_exact=b, matrix=to_float(a), shift=to_float(b))

    @staticmethod
    def identity(dim: int) -> AffineChange:
        """h(z) = z on R^dim."""
        return AffineChange(np.eye(dim, dtype=int), [0] * dim)

    @property
    def latent_dim(self) -> int:
        """Dimension m."""
        return len(self.matrix_exact)

    @property
    def is_identity(self) -> bool:
        """Whether h(z) = z."""
        return self.is_translation and not any(self.shift_exact)

    @property
    def is_translation(self) -> bool:
        """Whether A = I."""
        return all(v == (i == k) for (i, k), v in np.ndenumerate(self.matrix_exact))

    @property
    def is_monomial(self) -> bool:
        """Whether A has one non-zero entry in each row (and, being invertible, in each column)."""
        return all(sum(v != 0 for v in row) == 1 for row in self.matrix_exact)

    @property
    def is_permutation(self) -> bool:
        """Whether h only changes the order of the latents: A is a permutation matrix and b = 0."""
        return self.is_monomial and not any(self.shift_exact) and all(v in (0, 1) for v in self.matrix_exact.ravel())

    @property
    def is_orthogonal(self) -> bool:
        """Whether A^T A = I and b = 0."""
        return not any(self.shift_exact) and all(
            v == (i == k) for (i, k), v in np.ndenumerate(self.matrix_exact.T @ self.matrix_exact))

    def __call__(self, z: Any) -> FloatArray:
        """Evaluate in float64: (N, m) -> (N, m)."""
        array = np.asarray(z, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != self.latent_dim:
            raise InputError(f"AffineChange: expected points of shape (N, {self.latent_dim}), got {array.shape}")
        return array @ self.matrix.T + self.shift

    def inverse(self) -> AffineChange:
        r""":math:`h^{-1}(z) = A^{-1} (z - b)`."""
        back = to_flint(self.matrix_exact).inv()
        matrix = from_flint(back)
        return AffineChange(matrix, -(matrix @ self.shift_exact))

    def after(self, first: AffineChange) -> AffineChange:
        r"""The composition :math:`h \circ k`, with `first` = k applied first."""
        if first.latent_dim != self.latent_dim:
            raise InputError(f"AffineChange.after: expected a change of {self.latent_dim} latents, got one of "
                             f"{first.latent_dim}")
        return AffineChange((self.matrix_exact @ first.matrix_exact).tolist(),
                            (self.matrix_exact @ first.shift_exact + self.shift_exact).tolist())

    def carry(self, prior: GaussianMixture) -> GaussianMixture:
        r"""The law :math:`h_\# P` of h(Z): means :math:`A \mu_j + b`, covariances :math:`A \Sigma_j A^T`.

        The components keep their order and the states of U; neighbourhoods are dropped, for A may mix latents.
        """
        self._fit(prior.latent_dim, "carry")
        a, b = self.matrix_exact, self.shift_exact
        return GaussianMixture(prior.weights_exact, [(a @ mean + b).tolist() for mean in prior.means_exact],
                               [(a @ c @ a.T).tolist() for c in prior.covariances_exact], states=prior.states)

    def precompose(self, decoder: ReLUNetwork | PiecewiseAffineMap) -> ReLUNetwork | PiecewiseAffineMap:
        r"""The decoder :math:`f \circ h^{-1}` of a model with latent h(Z).

        Where a map of the line jumps, a reflection takes the value of the other side.
        """
        self._fit(decoder.latent_dim, "precompose")
        back = self.inverse()
        if isinstance(decoder, ReLUNetwork):
            first = decoder.weights_exact[0]
            return ReLUNetwork([first @ back.matrix_exact, *decoder.weights_exact[1:]],
                               [decoder.biases_exact[0] + first @ back.shift_exact, *decoder.biases_exact[1:]],
                               decoder.negative_slope_exact)
        a, b = back.matrix_exact[0, 0], back.shift_exact[0]
        breaks = [(t - b) / a for t in decoder.breakpoints_exact]
        slopes, intercepts = decoder.slopes_exact * a, decoder.intercepts_exact + decoder.slopes_exact * b
        step = 1 if a > 0 else -1
        return PiecewiseAffineMap(breaks[::step], slopes[::step].tolist(), intercepts[::step].tolist())

    def plain(self) -> dict[str, Any]:
        """As JSON: ``matrix`` and ``shift``."""
        return {"matrix": plain_numbers(self.matrix_exact), "shift": plain_numbers(self.shift_exact)}

    def _fit(self, dim: int, what: str) -> None:
        if dim != self.latent_dim:
            raise InputError(f"AffineChange.{what}: expected {self.latent_dim} latents, got {dim}")

    def _key(self) -> Hashable:
        return flat_key(self.matrix_exact), flat_key(self.shift_exact)

    def __str__(self) -> str:
        if self.is_identity:
            return "z' = z"
        if self.latent_dim == 1:
            return f"z' = {format_exact(self.matrix_exact[0, 0])} z + {format_exact(self.shift_exact[0])}"
        rows = [f"[{', '.join(map(format_exact, row))}]" for row in self.matrix_exact]
        return f"z' = [{', '.join(rows)}] z + [{', '.join(map(format_exact, self.shift_exact))}]"

    def __repr__(self) -> str:
        return f"AffineChange(matrix={self.matrix.tolist()}, shift={self.shift.tolist()})"
