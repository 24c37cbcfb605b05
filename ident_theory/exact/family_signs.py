"""Signs, bounds and analyticity of expressions on an interval: syntactic rules and Sturm's theorem, for the verifier.

Every rule is sound and none is complete: None says that nothing was shown.
"""

from __future__ import annotations

from flint import arb, fmpq

from ident_theory.errors import CertificateRejected
from ident_theory.exact.family_trees import ENTIRE, MINUS, ONE, End, Piece, Tree, as_fraction, jet, minus, number

KINKS = ("Abs", "Max", "Min", "sign", "Heaviside")
_BOUNDED = {"sin": 1, "cos": 1, "tanh": 1, "erf": 1, "atan": 2}


def sign(tree: Tree, piece: Piece) -> tuple[int, bool] | None:
    """(1, strict) when the tree is >= 0 (strict: > 0) on the whole piece, (-1, strict) for <= 0, None for unknown."""
    fraction = as_fraction(tree)
    if fraction is not None:
        product = fraction[0] * fraction[1]
        if piece.odd_roots(product):
            return None
        return (1 if product(piece.sample) >= 0 else -1), product != 0 and piece.roots(product) == 0
    op = tree[0]
    found: tuple[int, bool] | None = None
    if op == "c" or op in ("exp", "cosh"):
        return 1, True
    if op == "+":
        found = _sum_sign(tree, piece)
    elif op in ("*", "/"):
        found = _product_sign(tree, piece)
    elif op == "^":
        found = _power_sign(tree, piece)
    elif op in ("sinh", "tanh", "atan", "erf", "sqrt"):
        found = sign(tree[1], piece)
    elif op == "log":
        found = sign(minus(tree[1], ONE), piece)
    if found is None:
        low, high = bounds(tree, piece)
        if low is not None and low >= 0:
            return 1, low > 0
        if high is not None and high <= 0:
            return -1, high < 0
    return found


def is_positive(tree: Tree, piece: Piece) -> bool:
    """Whether the tree is shown to be > 0 on the whole piece."""
    return sign(tree, piece) == (1, True)


def _terms(tree: Tree) -> list[Tree]:
    if tree[0] == "+":
        return _terms(tree[1]) + _terms(tree[2])
    if tree[0] == "*" and tree[1] == MINUS and tree[2][0] == "+":
        return [("*", MINUS, item) for item in _terms(tree[2])]
    return [tree]


def _collected(tree: Tree) -> list[Tree]:
    """The terms of a sum, those that are rational functions added up; a zero is left out."""
    whole: Tree = ("q", fmpq(0))
    others = []
    for term in _terms(tree):
        if as_fraction(term) is None:
            others.append(term)
        else:
            whole = ("+", whole, term)
    fraction = as_fraction(whole)
    return others if fraction is not None and fraction[0] == 0 else [whole, *others]


def _sum_sign(tree: Tree, piece: Piece) -> tuple[int, bool] | None:
    terms = _collected(tree)
    known = [item for item in (sign(term, piece) for term in terms) if item is not None]
    if not terms or len(known) < len(terms) or any(item[0] != known[0][0] for item in known):
        return None
    return known[0][0], any(item[1] for item in known)


def _product_sign(tree: Tree, piece: Piece) -> tuple[int, bool] | None:
    left, right = sign(tree[1], piece), sign(tree[2], piece)
    return (left[0] * right[0], left[1] and right[1]) if left and right else None


def _power_sign(tree: Tree, piece: Piece) -> tuple[int, bool] | None:
    base, power = sign(tree[1], piece), number(tree[2])
    if base == (1, True):
        return base
    if power is None or power.q != 1:
        return None
    if power.p % 2:
        return base
    return 1, base is not None and base[1]


def bounds(tree: Tree, piece: Piece) -> tuple[End, End]:
    """A lower and an upper bound on the piece; None where none is shown."""
    op, fraction = tree[0], as_fraction(tree)
    if fraction is not None:
        if number(tree) is not None:
            return number(tree), number(tree)
        if op == "z":
            return piece.outer()
        side = sign(tree, piece)
        return (fmpq(0) if side and side[0] > 0 else None), (fmpq(0) if side and side[0] < 0 else None)
    if op == "c":
        return (fmpq(3), fmpq(4)) if tree[1] == "pi" else (fmpq(2), fmpq(3))
    if op in _BOUNDED:
        return fmpq(-_BOUNDED[op]), fmpq(_BOUNDED[op])
    if op == "+":
        low: End = fmpq(0)
        high: End = fmpq(0)
        for term in _collected(tree):
            a, b = bounds(term, piece)
            low = None if low is None or a is None else low + a
            high = None if high is None or b is None else high + b
        return low, high
    if op in ("*", "/"):
        return _product_bounds(tree, piece)
    if op in ("exp", "log"):
        shift = tree[1] if op == "exp" else minus(tree[1], ONE)
        side = sign(shift, piece)
        least, pivot = (fmpq(0), fmpq(1)) if op == "exp" else (None, fmpq(0))
        return (pivot if side and side[0] > 0 else least), (pivot if side and side[0] < 0 else None)
    if op == "cosh":
        return fmpq(1), None
    if op == "sqrt":
        return fmpq(0), None
    power = number(tree[2]) if op == "^" else None
    if power is not None and power.q == 1 and power > 0 and power.p % 2 == 0:
        a, b = bounds(tree[1], piece)
        return fmpq(0), None if a is None or b is None else max(abs(a), abs(b)) ** int(power.p)
    return _sign_bounds(tree, piece)


def _product_bounds(tree: Tree, piece: Piece) -> tuple[End, End]:
    left, right = tree[1], tree[2]
    for factor, other in ((number(right), left), (number(left) if tree[0] == "*" else None, right)):
        if factor is not None and factor != 0:
            scale = factor if tree[0] == "*" else 1 / factor
            low, high = (None if item is None else scale * item for item in bounds(other, piece))
            return (low, high) if scale > 0 else (high, low)
    if tree[0] == "*":
        (a, b), (c, d) = bounds(left, piece), bounds(right, piece)
        if a is not None and b is not None and c is not None and d is not None:
            corners = [a * c, a * d, b * c, b * d]
            return min(corners), max(corners)
    return _sign_bounds(tree, piece)


def _sign_bounds(tree: Tree, piece: Piece) -> tuple[End, End]:
    if tree[0] not in ("*", "/", "^"):
        return None, None
    side = _power_sign(tree, piece) if tree[0] == "^" else _product_sign(tree, piece)
    return (fmpq(0) if side and side[0] > 0 else None), (fmpq(0) if side and side[0] < 0 else None)


def is_analytic(tree: Tree, piece: Piece) -> bool:
    """Whether a tree without kinks is shown to be real and analytic on the whole piece."""
    op = tree[0]
    if op in ("z", "q", "c"):
        return True
    if not all(is_analytic(item, piece) for item in tree[1:]):
        return False
    if op in ENTIRE or op in ("+", "*"):
        return True
    if op in ("log", "sqrt"):
        return is_positive(tree[1], piece)
    if op == "/":
        divisor = sign(tree[2], piece)
        return divisor is not None and divisor[1]
    if op == "tan":
        limit: Tree = ("q", fmpq(3, 2))
        return is_positive(minus(limit, tree[1]), piece) and is_positive(("+", limit, tree[1]), piece)
    power, base = number(tree[2]), sign(tree[1], piece)
    if power is not None and power.q == 1:
        return power >= 0 or (base is not None and base[1])
    return base == (1, True)


def resolve(tree: Tree, point: fmpq, piece: Piece | None = None) -> Tree:
    """The tree without Abs, Max, Min, sign, Heaviside: what it is near `point`, or on the whole `piece` around it.

    Raises
    ------
    CertificateRejected
        When the point is a kink, or a kink lies elsewhere in the piece, or its place cannot be decided.
    """
    if tree[0] in ("z", "q", "c"):
        return tree
    parts = [resolve(item, point, piece) for item in tree[1:]]
    if tree[0] not in KINKS:
        return (tree[0], *parts)
    argument = minus(parts[0], parts[1]) if tree[0] in ("Max", "Min") else parts[0]
    side = _side(argument, point, piece)
    if tree[0] == "Abs":
        return argument if side > 0 else ("*", MINUS, argument)
    if tree[0] in ("sign", "Heaviside"):
        return ("q", fmpq(side if tree[0] == "sign" else max(side, 0)))
    return parts[0] if (side > 0) == (tree[0] == "Max") else parts[1]


def _side(argument: Tree, point: fmpq, piece: Piece | None) -> int:
    """Sign of the argument of a kink, non-zero and constant on the piece (or at the point)."""
    inner = as_fraction(argument[1]) if argument[0] == "log" and piece is not None else None
    if inner is not None and piece is not None and inner[0](point) * inner[1](point) > 0 \
            and piece.roots(inner[0] * inner[1]) == 0:
        argument = minus(argument[1], ONE)
    fraction = as_fraction(argument)
    if fraction is not None:
        if fraction[1](point) == 0 or fraction[0](point) == 0:
            raise CertificateRejected(f"kink: {point} is one")
        if piece is not None and piece.roots(fraction[0] * fraction[1]):
            raise CertificateRejected(f"kink: there is one in the piece around {point}")
        return 1 if fraction[0](point) / fraction[1](point) > 0 else -1
    if piece is None:
        value = jet(argument, arb(point))[0]
        found = (1, True) if value > 0 else (-1, True) if value < 0 else None
    else:
        found = sign(argument, piece)
    if found is None or not found[1]:
        raise CertificateRejected(f"kink: the sign of an argument is not decided around {point}")
    return found[0]
