"""The verifier's own reading of expressions in z: trees, balls with derivatives, signs on an interval.

A tree is a tuple: ``("z",)``, ``("q", fmpq)``, ``("c", name)``, ``(op, left, right)`` with op one of ``+ * / ^``, or
``(function, argument, ...)``. Nothing here is shared with what searches for proofs.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from flint import arb, fmpq, fmpq_poly

from ident_theory.errors import CertificateRejected

Tree = tuple[Any, ...]
End: TypeAlias = fmpq | None
ENTIRE = ("exp", "sin", "cos", "atan", "tanh", "sinh", "cosh", "erf")
_OPS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "^"}
_MAX_DEGREE, _MAX_REFINEMENTS = 400, 2000
MINUS: Tree = ("q", fmpq(-1))
ONE: Tree = ("q", fmpq(1))


def rational(text: Any) -> fmpq:
    """A rational written as an integer or ``"p/q"``."""
    value = Fraction(text)
    return fmpq(value.numerator, value.denominator)


def read(text: str) -> Tree:
    """The tree of an expression; CertificateRejected for anything but z, numbers, + - * / **, pi, E, functions."""
    def walk(node: ast.AST) -> Tree:
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return ("q", rational(ast.get_source_segment(text, node)))
        if isinstance(node, ast.Name):
            return ("z",) if node.id == "z" else ("c", {"pi": "pi", "E": "E"}[node.id])
        if isinstance(node, ast.UnaryOp):
            return walk(node.operand) if isinstance(node.op, ast.UAdd) else ("*", MINUS, walk(node.operand))
        if isinstance(node, ast.BinOp) and type(node.op) in _OPS:
            op, left, right = _OPS[type(node.op)], walk(node.left), walk(node.right)
            return ("+", left, ("*", MINUS, right)) if op == "-" else (op, left, right)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            name, arguments = node.func.id, tuple(walk(item) for item in node.args)
            if name in ("Max", "Min") and len(arguments) > 1:
                folded = arguments[0]
                for item in arguments[1:]:
                    folded = (name, folded, item)
                return folded
            if name in (*ENTIRE, "log", "sqrt", "tan", "Abs", "sign", "Heaviside") and len(arguments) == 1:
                return (name, *arguments)
        raise CertificateRejected(f"expression {text!r}: part that cannot be read: {ast.dump(node)[:80]}")

    text = text.strip()
    try:
        return walk(ast.parse(text, mode="eval").body)
    except (SyntaxError, RecursionError) as error:
        raise CertificateRejected(f"expression {text!r}: cannot be read ({error})") from None


def minus(left: Tree, right: Tree) -> Tree:
    """left - right."""
    return ("+", left, ("*", MINUS, right))


def has_z(tree: Tree) -> bool:
    """Whether the variable occurs."""
    return tree[0] == "z" or any(has_z(item) for item in tree[1:] if isinstance(item, tuple))


def as_fraction(tree: Tree) -> tuple[fmpq_poly, fmpq_poly] | None:
    """Numerator and denominator of a rational function with rational coefficients, in lowest terms; or None."""
    op = tree[0]
    if op == "z":
        return fmpq_poly([0, 1]), fmpq_poly([1])
    if op == "q":
        return fmpq_poly([tree[1]]), fmpq_poly([1])
    if op not in ("+", "*", "/", "^"):
        return None
    left, right = as_fraction(tree[1]), as_fraction(tree[2])
    if left is None or right is None:
        return None
    (a, b), (c, d) = left, right
    if op == "^":
        if c.degree() > 0 or d.degree() > 0:
            return None
        power = c[0] / d[0]
        n = int(abs(power.p))
        if power.q != 1 or n * max(a.degree(), b.degree(), 1) > _MAX_DEGREE:
            return None
        a, b = (a**n, b**n) if power >= 0 else (b**n, a**n)
    elif op == "+":
        a, b = a * d + c * b, b * d
    else:
        a, b = (a * c, b * d) if op == "*" else (a * d, b * c)
    if b == 0:
        raise CertificateRejected("expression: division by zero")
    if max(a.degree(), b.degree()) > _MAX_DEGREE:
        return None
    common = a.gcd(b)
    return a // common, b // common


def number(tree: Tree) -> fmpq | None:
    """The rational that a tree stands for; None when it is not seen to be one."""
    fraction = as_fraction(tree)
    if fraction is None or fraction[0].degree() > 0 or fraction[1].degree() > 0:
        return None
    return fraction[0][0] / fraction[1][0]


def count_roots(p: fmpq_poly, low: End, high: End) -> int:
    """Number of distinct real roots in the open interval (low, high), by Sturm's theorem; None is infinity."""
    if p.degree() < 1:
        return 0
    p = p // p.gcd(p.derivative())
    chain = [p, p.derivative()]
    while chain[-1] != 0:
        chain.append(-(chain[-2] % chain[-1]))

    def variations(values: list[fmpq]) -> int:
        signs = [value > 0 for value in values if value != 0]
        return sum(a != b for a, b in zip(signs[:-1], signs[1:], strict=True))

    tops = [item[item.degree()] for item in chain[:-1]]
    at_low = [top * (-1) ** item.degree() for top, item in zip(tops, chain[:-1], strict=True)] if low is None \
        else [item(low) for item in chain[:-1]]
    at_high = tops if high is None else [item(high) for item in chain[:-1]]
    return variations(at_low) - variations(at_high) - int(high is not None and p(high) == 0)


@dataclass
class Root:
    """One root of `poly` (square-free) in the closed bracket [low, high]; equal ends for a rational root found."""

    poly: fmpq_poly
    low: fmpq
    high: fmpq

    def halve(self) -> None:
        """Halve the bracket."""
        if self.low == self.high:
            return
        middle = (self.low + self.high) / 2
        value = self.poly(middle)
        if value == 0:
            self.low = self.high = middle
        elif (value > 0) == (self.poly(self.low) > 0):
            self.low = middle
        else:
            self.high = middle

    def exact(self) -> fmpq | None:
        """The root itself when it is rational."""
        for factor, _ in self.poly.numer().factor()[1]:
            if factor.degree() == 1:
                value = fmpq(-factor[0], factor[1])
                if self.low <= value <= self.high:
                    return value
        return None

    def ball(self, bits: int) -> arb:
        """A ball around the root of radius about 2**-bits."""
        while (self.high - self.low) * fmpq(2)**bits > 1:
            self.halve()
        return arb(self.low).union(arb(self.high))


@dataclass
class Piece:
    """An open interval whose ends are ends of the support or roots of the break polynomial; `sample` lies in it."""

    sample: fmpq
    low: End | Root
    high: End | Root

    def outer(self) -> tuple[End, End]:
        """An interval with rational ends around the piece."""
        return (self.low.low if isinstance(self.low, Root) else self.low,
                self.high.high if isinstance(self.high, Root) else self.high)

    def roots(self, p: fmpq_poly) -> int:
        """Number of distinct roots of p in the piece, counted factor by factor."""
        return sum(self._roots_of_factor(factor) for factor, _ in p.numer().factor()[1])

    def odd_roots(self, p: fmpq_poly) -> int:
        """Number of roots of odd multiplicity."""
        return sum(self._roots_of_factor(factor) for factor, power in p.numer().factor()[1] if power % 2)

    def _roots_of_factor(self, factor: Any) -> int:
        q = fmpq_poly(factor)
        for end in (self.low, self.high):
            if isinstance(end, Root) and end.poly % q == 0:
                return 0  # a factor of the break polynomial, which has no root between its roots
        for end in (self.low, self.high):
            for _ in range(_MAX_REFINEMENTS):
                if not isinstance(end, Root) or end.low == end.high \
                        or (count_roots(q, end.low, end.high) == 0 and q(end.low) != 0 and q(end.high) != 0):
                    break
                end.halve()
            else:
                raise CertificateRejected("pieces: an end of a piece was not told apart from another root")
        return count_roots(q, self.low.high if isinstance(self.low, Root) else self.low,
                           self.high.low if isinstance(self.high, Root) else self.high)


def split(support: tuple[str, str], breaks: list[Any], samples: list[Any]) -> list[Piece]:
    """The pieces of the support between the roots of the break polynomial, each with its sample point.

    Raises
    ------
    CertificateRejected
        When the samples are not exactly one in each piece, in order.
    """
    low, high = (None if end in ("-oo", "oo") else rational(end) for end in support)
    poly = fmpq_poly([rational(item) for item in breaks])
    if poly == 0:
        raise CertificateRejected("breaks: the zero polynomial")
    poly = poly // poly.gcd(poly.derivative()) if poly.degree() > 0 else poly
    points = [rational(item) for item in samples]
    stops: list[End] = [low, *points, high]
    if not points:
        raise CertificateRejected("samples: none")
    for i, (left, right) in enumerate(zip(stops[:-1], stops[1:], strict=True)):
        if left is not None and right is not None and not left < right:
            raise CertificateRejected("samples: not inside the support, or not in order")
        wanted = 0 if i in (0, len(points)) else 1
        if count_roots(poly, left, right) != wanted or (i > 0 and poly(left) == 0):
            raise CertificateRejected(f"samples: expected {wanted} breaks between {left} and {right}")
    roots = [Root(poly, left, right) for left, right in zip(points[:-1], points[1:], strict=True)]
    lefts: list[Any] = [low, *roots]
    rights: list[Any] = [*roots, high]
    return [Piece(*item) for item in zip(points, lefts, rights, strict=True)]


_FUNCTIONS: dict[str, Callable[[arb], tuple[arb, arb]]] = {
    "exp": lambda x: (x.exp(), x.exp()),
    "log": lambda x: (x.log(), 1 / x),
    "sqrt": lambda x: (x.sqrt(), 1 / (2 * x.sqrt())),
    "sin": lambda x: (x.sin(), x.cos()),
    "cos": lambda x: (x.cos(), -x.sin()),
    "tan": lambda x: (x.tan(), 1 + x.tan() * x.tan()),
    "atan": lambda x: (x.atan(), 1 / (1 + x * x)),
    "tanh": lambda x: (x.tanh(), 1 - x.tanh() * x.tanh()),
    "sinh": lambda x: (x.sinh(), x.cosh()),
    "cosh": lambda x: (x.cosh(), x.sinh()),
    "erf": lambda x: (x.erf(), 2 * (-x * x).exp() / arb.pi().sqrt()),
}


def _times(x: arb, n: int) -> arb:
    """x**n for an integer n >= 0, also around 0."""
    value = arb(1)
    for bit in bin(n)[2:]:
        value = value * value * x if bit == "1" else value * value
    return value


def jet(tree: Tree, x: arb) -> tuple[arb, arb]:
    """Value and derivative of a tree without kinks over a ball; not finite where that is not shown to exist."""
    op = tree[0]
    if op == "z":
        return x, arb(1)
    if op in ("q", "c"):
        return (arb(tree[1]) if op == "q" else arb.pi() if tree[1] == "pi" else arb(1).exp()), arb(0)
    a, da = jet(tree[1], x)
    if op in _FUNCTIONS:
        value, slope = _FUNCTIONS[op](a)
        return value, slope * da
    if op == "^":
        power = number(tree[2])
        if power is not None and power.q == 1:
            n = int(power.p)
            base, slope = (a, da) if n >= 0 else (1 / a, -da / (a * a))
            return (arb(1), arb(0)) if n == 0 else (_times(base, abs(n)), abs(n) * _times(base, abs(n) - 1) * slope)
        b, db = jet(tree[2], x)
        value = (b * a.log()).exp()
        return value, value * (db * a.log() + b * da / a)
    b, db = jet(tree[2], x)
    if op == "+":
        return a + b, da + db
    if op == "*":
        return a * b, da * b + a * db
    return a / b, (da - a / b * db) / b
