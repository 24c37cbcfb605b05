"""The six families of Table 1, as the paper prints them and as textbook densities."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp
from sympy import stats

X = sp.Symbol("x", real=True)
#: Parameters of the textbook densities.
FIRST, SECOND = sp.symbols("alpha beta", positive=True)
PLACE = sp.Symbol("mu", real=True)


@dataclass(frozen=True)
class Row:
    """One row of Table 1.

    Attributes
    ----------
    name : str
        As in `ident_theory.models.families`.
    z : sympy.Symbol
        A point of the support.
    statistics : tuple of sympy.Expr
        The column "Sufficient Statistics".
    change : sympy.Expr
        The column t(x), in `X`.
    density : sympy.Expr
        The density by sympy.stats, with parameters `FIRST`, `SECOND` and, for a location, `PLACE`.
    parameters : tuple of sympy.Symbol
    """

    name: str
    z: sp.Symbol
    statistics: tuple[sp.Expr, sp.Expr]
    change: sp.Expr
    density: sp.Expr
    parameters: tuple[sp.Symbol, sp.Symbol]


_REAL, _POSITIVE = sp.Symbol("z", real=True), sp.Symbol("z", positive=True)


def _density(variable: object, z: sp.Symbol) -> sp.Expr:
    # The formula on the support, without the Piecewise around it.
    found = stats.density(variable)(z)
    return found.args[0][0] if isinstance(found, sp.Piecewise) else found


def rows() -> tuple[Row, ...]:
    """The six rows, in the order of the table."""
    z, log = _POSITIVE, sp.log
    both = (FIRST, SECOND)
    return (
        Row("normal", _REAL, (_REAL, _REAL**2), X**2, _density(stats.Normal("N", PLACE, SECOND), _REAL),
            (PLACE, SECOND)),
        Row("lognormal", z, (log(z), log(z) ** 2), X**2, _density(stats.LogNormal("L", PLACE, SECOND), z),
            (PLACE, SECOND)),
        Row("inverse_gaussian", z, (z, 1 / z), 1 / X, _density(stats.GaussianInverse("I", FIRST, SECOND), z), both),
        Row("gamma", z, (log(z), z), sp.exp(X), _density(stats.Gamma("G", FIRST, 1 / SECOND), z), both),
        Row("inverse_gamma", z, (log(z), 1 / z), sp.exp(-X), _density(stats.GammaInverse("R", FIRST, SECOND), z), both),
        Row("beta", z, (log(z), log(1 - z)), log(1 - sp.exp(X)), _density(stats.Beta("B", FIRST, SECOND), z), both),
    )


def log_density_slope(row: Row, parameters: tuple[sp.Expr, sp.Expr]) -> sp.Expr:
    """d log p / dz at these parameters; normalisers drop out."""
    values = dict(zip(row.parameters, parameters, strict=True))
    slope = sp.diff(sp.expand_log(sp.log(row.density), force=True), row.z)
    return sp.sympify(slope).subs(values, simultaneous=True)
