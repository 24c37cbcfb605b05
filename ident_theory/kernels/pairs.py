"""Arithmetic on pairs: unevaluated sums of two floats, some 104 bits together."""

from __future__ import annotations

import numba as nb

from ident_theory.kernels.elementary import fma


@nb.njit(inline="always")
def two_sum(a: float, b: float) -> tuple[float, float]:
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


@nb.njit(inline="always")
def pair_add(ah: float, al: float, bh: float, bl: float) -> tuple[float, float]:
    s, e = two_sum(ah, bh)
    t, f = two_sum(al, bl)
    s, e = two_sum(s, e + t)
    return two_sum(s, e + f)


@nb.njit(inline="always")
def pair_mul(ah: float, al: float, bh: float, bl: float) -> tuple[float, float]:
    p = ah * bh
    return two_sum(p, fma(ah, bh, -p) + (ah * bl + al * bh))


@nb.njit(inline="always")
def pair_div(ah: float, al: float, bh: float, bl: float) -> tuple[float, float]:
    q = ah / bh
    ph, pl = pair_mul(bh, bl, q, 0.0)
    rh, rl = pair_add(ah, al, -ph, -pl)
    return two_sum(q, (rh + rl) / bh)
