"""Proposals for proofs about sufficient statistics: pieces, points of independence, linear relations.

Floats propose, nothing here decides: what comes out is handed to the independent verifier.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import sympy
from sympy.polys.polyerrors import BasePolynomialError

from ident_theory.errors import InputError
from ident_theory.models.families import literal, parse_expression

#: Decimal digits of the proposing arithmetic, and how small a number is taken for zero or a fraction for exact.
DIGITS, SMALL = 60, mpmath.mpf(10) ** -40
SYMBOL = sympy.Symbol("z", real=True)
_KINKS = ("Abs", "Max", "Min", "sign", "Heaviside")
_CONSTANTS = ("pi", "E", "sqrt(2)", "sqrt(3)", "log(2)", "log(3)", "log(5)", "1/pi", "pi**2")
_MAX_ROUNDS = 8


def to_sympy(expression: str) -> Any:
    """An expression of `ident_theory.models.families.custom_family` in sympy, with a real variable z.

    Raises
    ------
    InputError
        Names the token that is not allowed; also for a division by zero.
    """
    try:
        found = _build(parse_expression(expression), expression.strip(), None, [])
    except (ValueError, TypeError) as error:
        raise error if isinstance(error, InputError) else _no_function(expression) from None
    if found.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
        raise _no_function(expression)
    return found


def _no_function(expression: str) -> InputError:
    return InputError(f"expression: expected a real function of z, got {expression!r}, which divides by zero or "
                      "compares complex numbers; statistics and base densities are real")


def _build(node: ast.expr, text: str, sample: Fraction | None, seen: list[Any]) -> Any:
    """Into sympy; at a sample, every kink is replaced by what it is near there.

    The arguments of kinks go to `seen`, and divisors where their zeros can be found.
    """
    if isinstance(node, ast.Constant):
        value = literal(node, text)
        return sympy.Rational(value.numerator, value.denominator)
    if isinstance(node, ast.Name):
        return SYMBOL if node.id == "z" else getattr(sympy, node.id)
    if isinstance(node, ast.UnaryOp):
        inner = _build(node.operand, text, sample, seen)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp):
        left, right = (_build(item, text, sample, seen) for item in (node.left, node.right))
        divides = isinstance(node.op, ast.Div) or (isinstance(node.op, ast.Pow) and right.is_negative)
        divisor = right if isinstance(node.op, ast.Div) else left
        if sample is not None and divides and _sign_polynomial(divisor) is not None:
            seen.append(divisor)
        return {ast.Add: lambda: left + right, ast.Sub: lambda: left - right, ast.Mult: lambda: left * right,
                ast.Div: lambda: left / right, ast.Pow: lambda: left**right}[type(node.op)]()
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    name = node.func.id
    parts = [_build(item, text, sample, seen) for item in node.args]
    if sample is None or name not in _KINKS:
        return getattr(sympy, name)(*parts)
    place = sympy.Rational(sample.numerator, sample.denominator)
    if name in ("Max", "Min"):
        seen.extend(a - b for i, a in enumerate(parts) for b in parts[:i])
        return (max if name == "Max" else min)(parts, key=lambda part: sympy.re(part.subs(SYMBOL, place).evalf(30)))
    seen.append(parts[0])
    side = 1 if sympy.re(parts[0].subs(SYMBOL, place).evalf(30)) > 0 else -1
    return side * parts[0] if name == "Abs" else sympy.Integer(side if name == "sign" else max(side, 0))


@dataclass(frozen=True)
class Piece:
    """A piece of the support: its sample, rational bounds within it (None: infinite), the functions on it.

    `is_settled` says that no kink of the functions can lie inside, so they are everywhere what they are at the sample.
    """

    sample: Fraction
    low: Fraction | None
    high: Fraction | None
    texts: tuple[str, ...]
    is_settled: bool

    def near(self, point: Fraction) -> list[Any]:
        """The functions, without kinks, as they are near a point."""
        return [_build(parse_expression(text), text, point, []) for text in self.texts]

    def candidates(self, count: int) -> list[Fraction]:
        """About `count` points of small height inside."""
        points = self._candidates(count)
        if not self.is_settled and (self.low is None or self.high is None):
            points = [point + Fraction(1 if self.high is None else -1, 7) for point in points]  # kinks at 0 are common
        return points

    def _candidates(self, count: int) -> list[Fraction]:
        low, high = self.low, self.high
        steps = [Fraction(p, q) for p, q in ((1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (3, 2), (5, 1), (1, 4), (4, 1))]
        steps += [Fraction(2 * j + 5, 2) for j in range(1, max(1, count - len(steps)) + 1)]
        if low is not None and high is not None:
            return [low + (high - low) * Fraction(j, count + 1) for j in range(1, count + 1)]
        if low is not None:
            return [low + step for step in steps]
        if high is not None:
            return [high - step for step in steps]
        return [Fraction(0), *(sign * step for step in steps for sign in (1, -1))]


@dataclass(frozen=True)
class Pieces:
    """The support cut at the kinks of some functions."""

    breaks: tuple[Fraction, ...]
    items: tuple[Piece, ...]

    def plain(self) -> dict[str, list[str]]:
        """The entries ``breaks`` and ``samples`` of a proof."""
        return {"breaks": [str(value) for value in self.breaks], "samples": [str(item.sample) for item in self.items]}


def cut(texts: Sequence[str], support: tuple[str, str]) -> Pieces:
    """Cut the support where an argument of Abs, Max, Min, sign or Heaviside, or a divisor, changes its sign.

    Those that are rational functions, or logs of such, are followed; others cause no cut.
    """
    texts = tuple(text.strip() for text in texts)
    poly = sympy.Poly(1, SYMBOL, domain="QQ")
    for _ in range(_MAX_ROUNDS):
        gaps = _gaps(poly, support)
        seen: list[Any] = []
        for sample, _, _ in gaps:
            for text in texts:
                _build(parse_expression(text), text, sample, seen)
        factors = [_sign_polynomial(argument) for argument in seen]
        larger = poly
        for factor in factors:
            larger = larger if factor is None else larger.lcm(factor)
        larger = larger.sqf_part()
        if larger == poly:
            break
        poly = larger
    return Pieces(tuple(_fraction(value) for value in reversed(poly.all_coeffs())),
                  tuple(Piece(*gap, texts, None not in factors) for gap in gaps))


def _fraction(value: Any) -> Fraction:
    exact = sympy.Rational(value)
    return Fraction(int(exact.p), int(exact.q))


def _sign_polynomial(argument: Any) -> Any:
    """A polynomial with a root wherever the argument changes its sign; None when there is none that we know."""
    if isinstance(argument, sympy.log):
        parts = [_sign_polynomial(item) for item in (argument.args[0], argument.args[0] - 1)]
        return None if None in parts else parts[0].lcm(parts[1])
    top, bottom = sympy.fraction(sympy.cancel(sympy.together(argument)))
    try:
        product = sympy.Poly(top * bottom, SYMBOL, domain="QQ")
    except BasePolynomialError:
        return None
    return sympy.Poly(1, SYMBOL, domain="QQ") if product.is_zero else product


def _gaps(poly: Any, support: tuple[str, str]) -> list[tuple[Fraction, Fraction | None, Fraction | None]]:
    """(sample, low, high) between neighbouring roots of the polynomial and ends of the support."""
    low, high = (None if end in ("-oo", "oo") else Fraction(end) for end in support)
    for end in (low, high):
        if end is not None:
            poly = poly * sympy.Poly(SYMBOL - sympy.Rational(end.numerator, end.denominator), SYMBOL, domain="QQ")
    eps = sympy.Rational(1, 64)
    brackets: list[tuple[Fraction, Fraction]] = []
    while poly.degree() > 0:
        brackets = [(_fraction(a), _fraction(b)) for (a, b), _ in poly.sqf_part().intervals(eps=eps)]
        if all(left[1] < right[0] for left, right in zip(brackets[:-1], brackets[1:], strict=True)):
            break
        eps /= 64
    stops: list[tuple[Fraction | None, Fraction | None]] = [(None, None), *brackets, (None, None)]
    gaps = []
    for (_, left), (right, _) in zip(stops[:-1], stops[1:], strict=True):
        if (low is not None and (left is None or left < low)) or (high is not None and (right is None or right > high)):
            continue
        if left is not None and right is not None:
            sample = left + (right - left) * Fraction(3, 7)
        elif left is not None:
            sample = left + Fraction(4, 3)
        else:
            sample = Fraction(1, 3) if right is None else right - Fraction(4, 3)
        gaps.append((sample, left, right))
    return gaps


def extremes(pieces: Pieces, index: int) -> dict[str, dict[str, Any]] | None:
    """Ends of pieces at which a function tends to oo (``up``) and to -oo (``down``); None when one was not found."""
    found: dict[str, dict[str, Any]] = {}
    for i, piece in enumerate(pieces.items):
        function = piece.near(piece.sample)[index]
        for side, bound, infinity, direction in (("low", piece.low, -sympy.oo, "+"),
                                                 ("high", piece.high, sympy.oo, "-")):
            place = infinity if bound is None else sympy.Rational(bound.numerator, bound.denominator)
            try:
                value = sympy.limit(function, SYMBOL, place, direction)
            except (NotImplementedError, ValueError, TypeError):
                continue
            if abs(value) == sympy.oo:
                found.setdefault("up" if value > 0 else "down", {"piece": i, "end": side})
    return found if len(found) == 2 else None


def rows(piece: Piece, count: int, *, with_one: bool = False,
         derivatives: bool = False) -> tuple[list[Fraction], list[list[Any]]]:
    """Values (or derivatives) of the functions at those of about `count` points where all are finite and real."""
    kept, values = [], []
    shared = _evaluator(piece.near(piece.sample), with_one, derivatives) if piece.is_settled else None
    with mpmath.workdps(DIGITS):
        for point in piece.candidates(count):
            try:
                evaluate = shared or _evaluator(piece.near(point), with_one, derivatives)
                row = [mpmath.mpmathify(item) for item in evaluate(mpmath.mpf(point.numerator) / point.denominator)]
            except (ZeroDivisionError, ValueError, OverflowError, TypeError):
                continue
            if all(mpmath.isfinite(item) and mpmath.im(item) == 0 for item in row):
                kept.append(point)
                values.append([mpmath.re(item) for item in row])
    return kept, values


def _evaluator(functions: Sequence[Any], with_one: bool, derivatives: bool) -> Callable[[Any], list[Any]]:
    items = [sympy.diff(item, SYMBOL) for item in functions] if derivatives else list(functions)
    evaluate: Callable[[Any], list[Any]] = sympy.lambdify(SYMBOL, [sympy.Integer(1)] * with_one + items, "mpmath")
    return evaluate


def independent(matrix: Sequence[Sequence[Any]], width: int) -> tuple[list[int], list[Any] | None]:
    """Rows that make up a non-singular matrix, by elimination with pivoting; else a vector of the null space.

    Returns
    -------
    chosen : list of int
        Indices of `width` rows, fewer when the rank is lower.
    null : list of mpf or None
        A vector v with ``matrix @ v = 0`` (within `SMALL`, relatively) when the rank is lower.
    """
    with mpmath.workdps(DIGITS):
        work = [list(row) for row in matrix]
        scale = [max([mpmath.mpf(1), *(abs(item) for item in row)]) for row in work]
        chosen: list[int] = []
        pivots: list[int] = []
        for column in range(width):
            left = [i for i in range(len(work)) if i not in chosen]
            best = max(left, key=lambda i: abs(work[i][column]) / scale[i], default=None)
            if best is None or abs(work[best][column]) <= SMALL * scale[best]:
                continue
            chosen.append(best)
            pivots.append(column)
            work[best] = [item / work[best][column] for item in work[best]]
            for i in range(len(work)):
                factor = work[i][column]
                if i != best and factor != 0:
                    work[i] = [a - factor * b for a, b in zip(work[i], work[best], strict=True)]
        if len(chosen) == width:
            return chosen, None
        free = next(column for column in range(width - 1, -1, -1) if column not in pivots)
        null = [mpmath.mpf(0)] * width
        null[free] = mpmath.mpf(1)
        for row, column in zip(chosen, pivots, strict=True):
            null[column] = -work[row][free]
        return chosen, null


def recognised(value: Any) -> str | None:
    """A number with many digits as a fraction, or a fraction times a common constant; None when it is neither."""
    with mpmath.workdps(DIGITS):
        for name in ("1", *_CONSTANTS):
            ratio = value if name == "1" else value / mpmath.mpf(sympy.sympify(name).evalf(DIGITS))
            exact = _fraction(sympy.Rational(str(mpmath.nstr(ratio, DIGITS)))).limit_denominator(10**12)
            if abs(ratio - mpmath.mpf(exact.numerator) / exact.denominator) <= SMALL * max(1, abs(ratio)):
                return str(exact) if name == "1" or exact == 0 else f"{exact}*{name}"
    return None
