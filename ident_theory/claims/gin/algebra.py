"""Consequences of polynomial equations, and independence of functions."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp


def forced_by(equations: Sequence[sp.Expr], wanted: sp.Expr, unknowns: Sequence[sp.Symbol]) -> bool:
    """Whether equations force an expression to vanish: together with its reciprocal they have no common zero."""
    extra = sp.Dummy("s")
    basis = sp.groebner([*equations, 1 - extra * wanted], *unknowns, extra, order="grevlex")
    return list(basis.exprs) == [1]


def regular(equations: Sequence[sp.Expr], factor: sp.Expr) -> tuple[list[sp.Expr], sp.Symbol]:
    """The equations together with: a factor is not zero. Also the unknown that this adds."""
    extra = sp.Dummy("r")
    return [*equations, 1 - extra * factor], extra


def coefficients(expression: sp.Expr, *variables: sp.Expr) -> list[sp.Expr]:
    """Coefficients of the monomials in these variables."""
    return [] if sp.expand(expression) == 0 else sp.Poly(sp.expand(expression), *variables).coeffs()


def independent(functions: Sequence[sp.Expr], variable: sp.Symbol, place: sp.Expr) -> bool:
    """Whether the Wronskian at a place is not zero."""
    return bool(sp.simplify(sp.wronskian(list(functions), variable).subs(variable, place)) != 0)
