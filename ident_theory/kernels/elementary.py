"""Elementary functions that vectorise: branch-free, no library calls, checked against mpmath in the tests.

LLVM turns a loop over these into SIMD code; a call into the mathematics library would stop it.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

#: Where exponents are cut: products with such a power stay normal, and arithmetic on denormals is ten times slower.
EXP_FLOOR = -600.0
#: Most negative finite float64; stands for "no probability yet" and is what log densities are clamped to.
LOWEST = -np.finfo(np.float64).max
INV_SQRT_2PI = 0.3989422804014327

_LOG2E = 1.4426950408889634
_LN2_HI = 0.6931471805599453
_LN2_LO = 2.3190468138462996e-17
_SHIFTER = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer, kept in the low bits


@intrinsic
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c with one rounding."""
    signature = types.float64(types.float64, types.float64, types.float64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fma(*args)

    return signature, codegen


@intrinsic
def _bits(typing_context: Any, x: Any) -> Any:
    """The bits of a float64 as an int64."""
    signature = types.int64(types.float64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return signature, codegen


@intrinsic
def _from_bits(typing_context: Any, i: Any) -> Any:
    """The float64 with the bits of an int64."""
    signature = types.float64(types.int64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return signature, codegen


@nb.njit(inline="always")
def exp_nonpositive(x: float) -> float:
    """exp(x) for x <= 0, relative error below 4e-16; arguments under -600 give exp(-600), not zero."""
    y = max(x, EXP_FLOOR)
    shifted = fma(y, _LOG2E, _SHIFTER)
    n = shifted - _SHIFTER
    r = fma(n, -_LN2_LO, fma(n, -_LN2_HI, y))
    p = 1.6059043836821613e-10
    p = fma(p, r, 2.08767569878681e-09)
    p = fma(p, r, 2.505210838544172e-08)
    p = fma(p, r, 2.755731922398589e-07)
    p = fma(p, r, 2.7557319223985893e-06)
    p = fma(p, r, 2.48015873015873e-05)
    p = fma(p, r, 0.0001984126984126984)
    p = fma(p, r, 0.001388888888888889)
    p = fma(p, r, 0.008333333333333333)
    p = fma(p, r, 0.041666666666666664)
    p = fma(p, r, 0.16666666666666666)
    p = fma(p, r, 0.5)
    p = fma(p, r, 1.0)
    p = fma(p, r, 1.0)
    return _from_bits(_bits(p) + (_bits(shifted) << np.int64(52)))


@nb.njit(inline="always")
def mills(x: float) -> float:
    """Mills ratio Q(x) / phi(x) of the normal law for x >= 0, relative error below 1e-15.

    (x + 4) Q(x) / phi(x) is a polynomial of degree 25 in t = (x - 4) / (x + 4): the Chebyshev interpolant,
    computed to 60 digits and written in powers. Unrolled by hand, since a loop over a table does not vectorise.
    """
    r = 1.0 / (x + 4.0)
    t = (x - 4.0) * r
    p = 3.2028412405861333e-10
    p = fma(p, t, 8.53397642991103e-10)
    p = fma(p, t, -2.3028806675727577e-09)
    p = fma(p, t, -9.353258847618453e-09)
    p = fma(p, t, 4.034685395942614e-09)
    p = fma(p, t, 5.3716177374040514e-08)
    p = fma(p, t, 3.596756959715938e-08)
    p = fma(p, t, -2.1774987446650273e-07)
    p = fma(p, t, -3.9157226211802494e-07)
    p = fma(p, t, 6.829711462727005e-07)
    p = fma(p, t, 2.562686953998108e-06)
    p = fma(p, t, -1.5787716000960715e-06)
    p = fma(p, t, -1.4840482207251022e-05)
    p = fma(p, t, 1.796399305199001e-06)
    p = fma(p, t, 8.809486565615379e-05)
    p = fma(p, t, -4.78326488484487e-06)
    p = fma(p, t, -0.0005792691295615175)
    p = fma(p, t, 0.00033424461634679655)
    p = fma(p, t, 0.004087855659304865)
    p = fma(p, t, -0.008722295274272426)
    p = fma(p, t, -0.018900450860177838)
    p = fma(p, t, 0.15139176231244417)
    p = fma(p, t, -0.46754096299838227)
    p = fma(p, t, 0.9704095548675884)
    p = fma(p, t, -1.523770910819983)
    p = fma(p, t, 1.8932190633084853)
    return p * r


@nb.njit(inline="always")
def difference(x_hi: float, x_lo: float, c_hi: float, c_lo: float) -> float:
    """(x_hi + x_lo) - (c_hi + c_lo) with a relative error of a few ulps, both pairs being unevaluated sums.

    Where x_hi and c_hi are within a factor two their difference is exact (Sterbenz), so nothing cancels
    unseen; elsewhere the result is at least half as large as either, and the rounding is relative to it.
    """
    return (x_hi - c_hi) + (x_lo - c_lo)
