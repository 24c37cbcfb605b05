r"""Equality in law for priors of any exponential family with one latent, through the change of the latent.

For decoders that are injective on the supports, equal laws of f(Z) mean that :math:`\varphi = f_b^{-1} \circ f_a`
carries the law of one latent to that of the other. It is piecewise affine, so

.. math:: E_u(z) = \log p_a(z \mid u) - \log p_b(\varphi(z) \mid u) - \log|\varphi'(z)|

has to be constant, which is shown symbolically piece by piece, or refuted in balls at two points. The normalising
constants of the families are not needed: both laws have mass one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeAlias

from flint import arb, ctx, fmpq

from ident_theory.exact.rationals import fraction, rational
from ident_theory.geometry.line import LinePieces, line_pieces, point_inside
from ident_theory.geometry.line_images import equal_values
from ident_theory.laws.identity import line_name
from ident_theory.models.conditional import ConditionalPrior
from ident_theory.models.families import Family, literal, parse_expression
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.piecewise import PiecewiseAffineMap
from ident_theory.models.value import plain_numbers
from ident_theory.numerics import Status, Stopwatch

#: Working precision, and half width of the points at which two values of E are told apart.
BITS = 256
TINY = fmpq(1, 2**60)
#: Kinds of functions with a kink or a step where their arguments are zero or equal.
KINKED = ("Abs", "sign", "Heaviside", "Max", "Min")
End: TypeAlias = "fmpq | None"


@dataclass(frozen=True)
class ChangeAnswer:
    """Whether the laws agree, why, and for HOLDS the data of the certificate."""

    status: Status
    reason: str
    data: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Stretch:
    """phi(z) = slope z + shift for low < z < high."""

    low: End
    high: End
    slope: fmpq
    shift: fmpq


class _NotDecided(Exception):
    """What stands in the way of a decision."""


def laws_through_change(first: ConditionalPrior, f_a: ReLUNetwork | PiecewiseAffineMap, second: ConditionalPrior,
                        f_b: ReLUNetwork | PiecewiseAffineMap, watch: Stopwatch) -> ChangeAnswer:
    """Decide whether two models with one latent and conditional priors have the same law of f(Z) for every u.

    What cannot be decided, or not in time, is UNKNOWN with a reason. The time is looked at between steps of
    computer algebra, which are not interrupted.
    """
    supports = [_support(p.family) for p in (first, second)]
    pieces = [line_pieces(f_a), line_pieces(f_b)]
    for name, part, support in zip(("first", "second"), pieces, supports, strict=True):
        if equal_values(_flagged(part, support)) is not None:
            return ChangeAnswer(Status.UNKNOWN, f"The {name} decoder is not injective on the support of its prior; "
                                "laws of other than normal latents are compared for injective decoders.")
    phi = _change(pieces[0], pieces[1], supports[0], supports[1])
    inverse = _change(pieces[1], pieces[0], supports[1], supports[0])
    try:
        with ctx.workprec(BITS):
            for name, prior, found, support in (("first", first, phi, supports[0]),
                                                ("second", second, inverse, supports[1])):
                gap = _uncovered(found, support)
                if gap is not None:
                    if not _density(prior, gap) > 0:
                        raise _NotDecided("the images of the decoders differ, but perhaps only where no mass is")
                    return ChangeAnswer(Status.FAILS, f"Only the {name} model has values around "
                                        f"f({float(fraction(gap)):.6g}): the images of the decoders differ.")
            return _compared(first, second, phi, supports, watch)
    except _NotDecided as error:
        return ChangeAnswer(Status.UNKNOWN, f"Not decided: {error}.")


def _support(family: Family) -> tuple[End, End]:
    low, high = family.support
    return (None if low == "-oo" else rational(Fraction(low))), (None if high == "oo" else rational(Fraction(high)))


def _flagged(pieces: LinePieces, support: tuple[End, End]) -> LinePieces:
    """The map with one more coordinate, zero on the support and injective and non-zero outside it."""
    zero, one = fmpq(0), fmpq(1)
    low, high = support
    breaks: list[fmpq] = []
    slopes: list[tuple[fmpq, ...]] = []
    intercepts: list[tuple[fmpq, ...]] = []
    nothing = (zero,) * pieces.observed_dim
    if low is not None:
        breaks.append(low)
        slopes.append((*nothing, one))
        intercepts.append((*nothing, -low - 1))
    inner = [t for t in pieces.breakpoints if (low is None or t > low) and (high is None or t < high)]
    for left, right in pairwise([low, *inner, high]):
        k = _piece_at(pieces, point_inside(left, right))
        slopes.append((*pieces.slopes[k], zero))
        intercepts.append((*pieces.intercepts[k], zero))
    breaks += inner
    if high is not None:
        breaks.append(high)
        slopes.append((*nothing, one))
        intercepts.append((*nothing, 1 - high))
    return LinePieces(tuple(breaks), tuple(slopes), tuple(intercepts))


def _piece_at(pieces: LinePieces, z: fmpq) -> int:
    return next(k for k in range(pieces.n_pieces) if pieces.contains(k, z))


def _change(source: LinePieces, target: LinePieces, support: tuple[End, End], other: tuple[End, End]) -> list[_Stretch]:
    """The stretches of the support on which z' with target(z') = source(z) runs, in order."""
    found = []
    lines = [_moving(part, ends) for part, ends in ((source, support), (target, other))]
    for line, axis, slope, intercept, ends in lines[0]:
        for line_b, _, slope_b, intercept_b, ends_b in lines[1]:
            if line != line_b:
                continue
            ratio, shift = slope[axis] / slope_b[axis], (intercept[axis] - intercept_b[axis]) / slope_b[axis]
            back = [None if t is None else (t - shift) / ratio for t in (ends_b if ratio > 0 else ends_b[::-1])]
            low = max((t for t in (ends[0], back[0]) if t is not None), default=None)
            high = min((t for t in (ends[1], back[1]) if t is not None), default=None)
            if low is None or high is None or low < high:
                found.append(_Stretch(low, high, ratio, shift))
    found.sort(key=lambda s: (s.low is not None, s.low or fmpq(0)))
    joined: list[_Stretch] = []
    for s in found:
        last = joined[-1] if joined else None
        if last is not None and last.high == s.low and (last.slope, last.shift) == (s.slope, s.shift):
            joined[-1] = _Stretch(last.low, s.high, s.slope, s.shift)
        else:
            joined.append(s)
    return joined


def _moving(pieces: LinePieces, support: tuple[End, End]) -> list[tuple[Any, int, Any, Any, tuple[End, End]]]:
    """Line, leading coordinate, slope, intercept and ends of the pieces within a support."""
    out = []
    for k in range(pieces.n_pieces):
        ends = pieces.ends(k)
        low = max((t for t in (ends[0], support[0]) if t is not None), default=None)
        high = min((t for t in (ends[1], support[1]) if t is not None), default=None)
        if low is None or high is None or low < high:
            slope, intercept = pieces.slopes[k], pieces.intercepts[k]
            axis = next(i for i, v in enumerate(slope) if v)
            out.append((line_name(slope, intercept, axis), axis, slope, intercept, (low, high)))
    return out


def _uncovered(stretches: Sequence[_Stretch], support: tuple[End, End]) -> fmpq | None:
    """A point inside a stretch of the support that no stretch covers, None when all is covered."""
    reached, at_start = support[0], True
    for s in stretches:
        if s.low != reached and (s.low is not None and (reached is None or s.low > reached)):
            return point_inside(reached, s.low)
        if s.high is None:
            return None
        reached, at_start = s.high, False
    if at_start:
        return point_inside(*support)
    return None if reached == support[1] else point_inside(reached, support[1])


def _compared(first: ConditionalPrior, second: ConditionalPrior, phi: Sequence[_Stretch],
              supports: Sequence[tuple[End, End]], watch: Stopwatch) -> ChangeAnswer:
    cut = [part for stretch in phi for part in _cut(stretch, first.family, second.family)]
    spots = [(part, z) for part in cut for z in _spots(part)]
    for u in range(first.n_values):
        values = [_gap_ball(first, second, u, part, z) for part, z in spots]
        for (part, z), value in zip(spots, values, strict=True):
            if not value.overlaps(values[0]):
                return ChangeAnswer(Status.FAILS, f"For u = {first.label(u)} the log density ratio under the only "
                                    f"change of the latent that fits the decoders, z' = {part.slope} z + {part.shift} "
                                    f"around z = {z}, is {float(value.mid()):.6g} there and "
                                    f"{float(values[0].mid()):.6g} at z = {spots[0][1]}; it would have to be constant.")
    positive = supports[0][0] is not None and supports[0][0] >= 0
    for u in range(first.n_values):
        if watch.is_over:
            raise _NotDecided(f"the budget of {watch.seconds:g} s is spent before u = {first.label(u)}; raise it")
        constants = [_constant(first, second, u, part, positive) for part in cut]
        if any(not _vanishes(c - constants[0]) for c in constants):
            raise _NotDecided(f"for u = {first.label(u)} computer algebra does not join the constants of two pieces")
    return ChangeAnswer(Status.HOLDS, "The change of the latent that the decoders leave carries one prior to the "
                        "other, for every u.", {
                            "breaks": [plain_numbers(fraction(s.low)) for s in phi[1:] if s.low is not None],
                            "slopes": [plain_numbers(fraction(s.slope)) for s in phi],
                            "intercepts": [plain_numbers(fraction(s.shift)) for s in phi]})


def _spots(part: _Stretch) -> list[fmpq]:
    """A few points inside a stretch."""
    if part.low is not None and part.high is not None:
        return [part.low + (part.high - part.low) * fmpq(k, 7) for k in (1, 3, 5, 6)]
    if part.low is None and part.high is None:
        return [fmpq(k, 3) for k in (-7, -2, 1, 5)]
    end, way = (part.low, 1) if part.low is not None else (part.high, -1)
    return [end + way * fmpq(k, 3) for k in (1, 2, 5, 9)]


def _cut(stretch: _Stretch, first: Family, second: Family) -> list[_Stretch]:
    """A stretch cut where a statistic or base measure of either family has a kink."""
    kinks = set(_kinks(first)) | {(t - stretch.shift) / stretch.slope for t in _kinks(second)}
    inner = sorted(t for t in kinks if (stretch.low is None or t > stretch.low)
                   and (stretch.high is None or t < stretch.high))
    return [_Stretch(low, high, stretch.slope, stretch.shift)
            for low, high in pairwise([stretch.low, *inner, stretch.high])]


def _texts(family: Family) -> list[str]:
    return [family.base, *family.statistics]


def _kinks(family: Family) -> list[fmpq]:
    """Where arguments of functions with kinks vanish; only rational places can be dealt with."""
    import sympy

    found = []
    symbol = sympy.Symbol("z", real=True)
    for text in _texts(family):
        for node in ast.walk(parse_expression(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINKED:
                parts = [_symbolic(a, text, symbol, None) for a in node.args]
                for i, p in enumerate(parts):
                    for q in parts[i + 1:] or [sympy.Integer(0)] * (len(parts) == 1):
                        found += _rational_roots(p - q, symbol, text)
    return found


def _rational_roots(expression: Any, symbol: Any, text: str) -> list[fmpq]:
    import sympy

    polynomial = sympy.sympify(expression).as_poly(symbol, domain="QQ")
    if polynomial is None:
        raise _NotDecided(f"the kinks of {text!r} are not zeros of a polynomial")
    roots = [] if polynomial.is_zero else sympy.real_roots(polynomial, multiple=False)
    if any(not root.is_rational for root, _ in roots):
        raise _NotDecided(f"the kinks of {text!r} are not rational")
    return [fmpq(int(root.p), int(root.q)) for root, _ in roots]


def _symbolic(node: ast.expr, text: str, symbol: Any, sample: fmpq | None) -> Any:
    """An expression in sympy; at a sample point, every function with a kink as what it is near there."""
    import sympy

    def function(name: str, node: ast.Call, parts: list[Any]) -> Any:
        if name not in KINKED or sample is None:
            return getattr(sympy, name)(*parts)
        values = [_ball(a, text, arb(sample)) for a in node.args]
        if name in ("Max", "Min"):
            best = 0
            for k in range(1, len(values)):
                if values[k] > values[best] if name == "Max" else values[k] < values[best]:
                    best = k
            return parts[best]
        sign = 1 if values[0] > 0 else -1
        return sign * parts[0] if name == "Abs" else sympy.Integer(sign if name == "sign" else (sign + 1) // 2)

    def constant(value: Fraction) -> Any:
        return sympy.Rational(value.numerator, value.denominator)

    return _walk(node, text, constant, {"z": symbol, "pi": sympy.pi, "E": sympy.E}, function)


def _ball(node: ast.expr, text: str, z: arb) -> arb:
    """An expression at a ball; NaN where a function is not defined or has a kink."""
    def function(name: str, _: ast.Call, parts: list[arb]) -> arb:
        if name == "Abs":
            return abs(parts[0])
        if name in ("sign", "Heaviside"):
            if not (parts[0] > 0 or parts[0] < 0):
                return arb.nan()
            return arb(1) if parts[0] > 0 else arb(-1 if name == "sign" else 0)
        if name in ("Max", "Min"):
            best = parts[0]
            for part in parts[1:]:
                best = best.max(part) if name == "Max" else best.min(part)
            return best
        value: arb = getattr(parts[0], name)()
        return value

    return _walk(node, text, lambda value: arb(rational(value)), {"z": z, "pi": arb.pi(), "E": arb(1).exp()}, function)


def _walk(node: ast.expr, text: str, constant: Callable[[Fraction], Any], names: dict[str, Any],
          function: Callable[[str, ast.Call, list[Any]], Any]) -> Any:
    """Evaluate the syntax tree of an expression in any arithmetic."""
    def walk(item: ast.expr) -> Any:
        if isinstance(item, ast.Constant):
            return constant(literal(item, text))
        if isinstance(item, ast.Name):
            return names[item.id]
        if isinstance(item, ast.UnaryOp):
            return -walk(item.operand) if isinstance(item.op, ast.USub) else walk(item.operand)
        if isinstance(item, ast.BinOp):
            a, b = walk(item.left), walk(item.right)
            if isinstance(item.op, ast.Pow):
                return a ** b
            return a + b if isinstance(item.op, ast.Add) else a - b if isinstance(item.op, ast.Sub) else \
                a * b if isinstance(item.op, ast.Mult) else a / b
        assert isinstance(item, ast.Call)
        assert isinstance(item.func, ast.Name)
        return function(item.func.id, item, [walk(a) for a in item.args])

    return walk(node)


def _at(text: str, z: arb) -> arb:
    return _ball(parse_expression(text), text, z)


def _density(prior: ConditionalPrior, z: fmpq) -> arb:
    """The base measure around a point, which has the support of the law."""
    return _at(prior.family.base, arb(z - TINY).union(arb(z + TINY)))


def _gap_ball(first: ConditionalPrior, second: ConditionalPrior, u: int, part: _Stretch, z: fmpq) -> arb:
    """E_u, but for the normalising constants, on a small interval around a point."""
    x = arb(z - TINY).union(arb(z + TINY))
    y = arb(part.slope) * x + arb(part.shift)
    total = -abs(arb(part.slope)).log()
    for prior, place, sign in ((first, x, 1), (second, y, -1)):
        value = _at(prior.family.base, place).log()
        for weight, text in zip(prior.natural_exact[u, 0], prior.family.statistics, strict=True):
            value += arb(rational(weight)) * _at(text, place)
        total += sign * value
    return total if total.is_finite() else arb(0, float("inf"))


def _constant(first: ConditionalPrior, second: ConditionalPrior, u: int, part: _Stretch, positive: bool) -> Any:
    """The value of E_u on a stretch, but for the normalising constants, after a proof that it is constant."""
    import sympy

    symbol = sympy.Symbol("z", positive=True) if positive else sympy.Symbol("z", real=True)
    sample = _spots(part)[0]
    slope, shift = (sympy.Rational(int(v.p), int(v.q)) for v in (part.slope, part.shift))
    slopes, value = sympy.Integer(0), -sympy.log(abs(slope))
    for prior, place, spot, sign in ((first, symbol, sample, 1),
                                     (second, slope * symbol + shift, part.slope * sample + part.shift, -1)):
        base, *statistics = (_symbolic(parse_expression(text), text, place, spot) for text in _texts(prior.family))
        slopes += sign * sympy.diff(base, symbol) / base
        value += sign * sympy.log(base)
        for weight, statistic in zip(prior.natural_exact[u, 0], statistics, strict=True):
            factor = sympy.Rational(weight.numerator, weight.denominator)
            slopes += sign * factor * sympy.diff(statistic, symbol)
            value += sign * factor * statistic
    if not _vanishes(slopes):
        raise _NotDecided(f"for u = {first.label(u)} computer algebra does not show that the log density ratio is "
                          f"constant around z = {sample}")
    return value.subs(symbol, sympy.Rational(int(sample.p), int(sample.q)))


def _vanishes(expression: Any) -> bool:
    """Whether computer algebra shows that an expression is zero."""
    import sympy

    return bool(sympy.simplify(sympy.expand_log(sympy.expand(expression), force=True)) == 0)
