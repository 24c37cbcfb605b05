"""Explicit piecewise affine maps of one latent variable."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from ident_theory.errors import Problem
from ident_theory.exact.rationals import parse_array, shown, to_float
from ident_theory.models.network import latents
from ident_theory.models.value import ExactArray, FloatArray, Value, flat_key, freeze, plain_numbers, raise_if


class PiecewiseAffineMap(Value):
    r"""A map of one latent, :math:`f(z) = a_k z + c_k` for :math:`t_{k-1} \le z < t_k`, values in :math:`R^n`.

    Parameters
    ----------
    breakpoints : array_like, shape (K - 1,)
        Strictly increasing; may be empty. A breakpoint belongs to the piece on its right.
    slopes, intercepts : array_like, shape (K, n) or (K,)
        A flat list means n = 1. The map need not be continuous.

    Attributes
    ----------
    breakpoints, slopes, intercepts : ndarray of float64
        Rounded views, shapes (K - 1,), (K, n), (K, n); the same names with ``_exact`` hold the rationals.

    Raises
    ------
    ModelError
        Lists every mistake: counts that do not fit, breakpoints out of order, NaN.
    """

    breakpoints_exact: ExactArray
    slopes_exact: ExactArray
    intercepts_exact: ExactArray
    breakpoints: FloatArray
    slopes: FloatArray
    intercepts: FloatArray

    def __init__(self, breakpoints: Any, slopes: Any, intercepts: Any) -> None:
        problems: list[Problem] = []
        fields = read_piecewise(breakpoints, slopes, intercepts, "", problems)
        raise_if(problems, "PiecewiseAffineMap")
        assert fields is not None
        t, a, c = fields
        self._set(breakpoints_exact=t, slopes_exact=a, intercepts_exact=c,
                  breakpoints=to_float(t), slopes=to_float(a), intercepts=to_float(c))

    @property
    def latent_dim(self) -> int:
        """Dimension of the input: always one."""
        return 1

    @property
    def observed_dim(self) -> int:
        """Dimension n of the output."""
        return int(self.slopes_exact.shape[1])

    @property
    def is_continuous(self) -> bool:
        """Whether neighbouring pieces meet at every breakpoint (decided exactly)."""
        return all(
            bool(np.all(self.slopes_exact[k] * t + self.intercepts_exact[k]
                        == self.slopes_exact[k + 1] * t + self.intercepts_exact[k + 1]))
            for k, t in enumerate(self.breakpoints_exact)
        )

    def __call__(self, z: Any) -> FloatArray:
        """Evaluate in float64: (N, 1) or (N,) -> (N, n)."""
        points = latents(z, 1)[:, 0]
        piece = np.searchsorted(self.breakpoints, points, side="right")
        return self.slopes[piece] * points[:, None] + self.intercepts[piece]

    def plain(self) -> dict[str, Any]:
        """The section ``[decoder]`` of a model file."""
        return {"type": "piecewise_affine", "breakpoints": plain_numbers(self.breakpoints_exact),
                "slopes": plain_numbers(self.slopes_exact), "intercepts": plain_numbers(self.intercepts_exact)}

    def _key(self) -> Hashable:
        return flat_key(self.breakpoints_exact), flat_key(self.slopes_exact), flat_key(self.intercepts_exact)

    def __repr__(self) -> str:
        return (f"PiecewiseAffineMap(breakpoints={self.breakpoints.tolist()}, slopes={self.slopes.tolist()}, "
                f"intercepts={self.intercepts.tolist()})")


def read_piecewise(breakpoints: Any, slopes: Any, intercepts: Any, path: str,
                   problems: list[Problem]) -> tuple[ExactArray, ExactArray, ExactArray] | None:
    """Parse and validate the parts of a piecewise affine map, recording every problem under `path`."""
    before = len(problems)
    dot = f"{path}." if path else ""
    t = parse_array(breakpoints, f"{dot}breakpoints", problems)
    a = parse_array(slopes, f"{dot}slopes", problems)
    c = parse_array(intercepts, f"{dot}intercepts", problems)
    if t is not None:
        if t.ndim != 1:
            problems.append(Problem(f"{dot}breakpoints", "a flat list of numbers", f"shape {t.shape}"))
            t = None
        else:
            for k in range(1, len(t)):
                if t[k] <= t[k - 1]:
                    problems.append(Problem(f"{dot}breakpoints[{k}]", f"a number above {shown(t[k - 1])}",
                                            shown(t[k]), "sort the breakpoints and merge equal ones"))
    pieces = len(t) + 1 if t is not None else None
    arrays: list[ExactArray | None] = []
    for name, array in (("slopes", a), ("intercepts", c)):
        if array is not None and array.ndim == 1:
            array = freeze(array.reshape(-1, 1))
        if array is not None and (array.ndim != 2 or not array.size):
            problems.append(Problem(f"{dot}{name}", "K rows of n numbers (or K numbers for n = 1)",
                                    f"shape {array.shape}"))
            array = None
        if array is not None and pieces is not None and len(array) != pieces:
            problems.append(Problem(f"{dot}{name}", f"{pieces} rows, one more than breakpoints", f"{len(array)}"))
        arrays.append(array)
    a, c = arrays
    if a is not None and c is not None and a.shape[1] != c.shape[1]:
        problems.append(Problem(f"{dot}intercepts", f"{a.shape[1]} columns, as slopes has", f"{c.shape[1]}"))
    if len(problems) > before:
        return None
    assert t is not None
    assert a is not None
    assert c is not None
    return t, a, c
