"""Checks of certificates and witnesses about statistics of exponential families.

The model's prior is ``{"family": name, ...}`` with ``statistics``, ``base``, ``support`` for a custom family and
``location`` for the Laplace family. Most proofs name a break polynomial (coefficients, lowest first) and one sample
point in every piece of the support between its roots; every Abs, Max, Min, sign and Heaviside has then one sign on
each piece, which Sturm's theorem checks. Strict inequalities are settled in balls, identities with sympy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

from flint import arb, arb_mat, ctx, fmpq

from ident_theory.errors import CertificateRejected
from ident_theory.exact.family_signs import is_analytic, resolve, sign
from ident_theory.exact.family_trees import (
    Piece,
    Root,
    Tree,
    as_fraction,
    count_roots,
    has_z,
    jet,
    minus,
    rational,
    read,
    split,
)

Law = tuple[list[Tree], Tree, tuple[str, str]]
_BITS = (128, 512, 2048, 8192)
#: The catalogue, written down a second time: statistics, base, support.
_TABLE: dict[str, tuple[list[str], str, tuple[str, str]]] = {
    "normal": (["z", "z**2"], "1", ("-oo", "oo")),
    "normal_mean": (["z"], "exp(-z**2/2)", ("-oo", "oo")),
    "normal_variance": (["z**2"], "1", ("-oo", "oo")),
    "lognormal": (["log(z)", "log(z)**2"], "1/z", ("0", "oo")),
    "gamma": (["log(z)", "z"], "1/z", ("0", "oo")),
    "inverse_gamma": (["log(z)", "1/z"], "1/z", ("0", "oo")),
    "beta": (["log(z)", "log(1-z)"], "1/(z*(1-z))", ("0", "1")),
    "inverse_gaussian": (["z", "1/z"], "z**(-3/2)", ("0", "oo")),
}


def family_law(model: Mapping[str, Any]) -> Law:
    """Statistics, base and support of the family of a prior."""
    prior = model["prior"]
    name = prior["family"]
    if name == "custom":
        texts, base, support = prior["statistics"], prior["base"], prior["support"]
        if isinstance(texts, str) or len(support) != 2:
            raise CertificateRejected("prior: statistics or support of a wrong form")
        return [read(text) for text in texts], read(base), (support[0], support[1])
    if name == "laplace":
        return [("Abs", minus(("z",), ("q", rational(prior["location"]))))], read("1"), ("-oo", "oo")
    if name not in _TABLE:
        raise CertificateRejected(f"prior: unknown family {name!r}")
    texts, base, support = _TABLE[name]
    return [read(text) for text in texts], read(base), support


def _pieces(law: Law, data: Mapping[str, Any]) -> list[Piece]:
    return split(law[2], data["breaks"], data["samples"])


def _on(trees: Sequence[Tree], piece: Piece) -> list[Tree]:
    """The trees on a piece, without kinks, shown to be analytic there."""
    resolved = [resolve(tree, piece.sample, piece) for tree in trees]
    for tree in resolved:
        if not is_analytic(tree, piece):
            raise CertificateRejected(f"a function is not shown to be analytic on the piece around {piece.sample}")
    return resolved


def _inside(point: fmpq, support: tuple[str, str]) -> bool:
    low, high = support
    return (low == "-oo" or rational(low) < point) and (high == "oo" or point < rational(high))


def _points(data: Sequence[Any], count: int, support: tuple[str, str]) -> list[fmpq]:
    points = [rational(item) for item in data]
    if len(points) != count or not all(_inside(point, support) for point in points):
        raise CertificateRejected(f"points: expected {count} points inside the support")
    return points


def _settled(rows: Callable[[], list[list[arb]]], what: str) -> None:
    """Raise unless the determinant of a matrix of balls excludes zero at some working precision."""
    for bits in _BITS:
        with ctx.workprec(bits):
            determinant = arb_mat(rows()).det()
            if determinant.is_finite() and (determinant > 0 or determinant < 0):
                return
    raise CertificateRejected(f"{what}: the determinant is not shown to be non-zero")


def _value_rows(trees: Sequence[Tree], points: Sequence[fmpq]) -> list[list[arb]]:
    jets = [[jet(resolve(tree, point), arb(point)) for tree in trees] for point in points]
    if not all(part.is_finite() for row in jets for item in row for part in item):
        raise CertificateRejected("points: a statistic is not shown to be analytic there")
    return [[arb(1), *(item[0] for item in row)] for row in jets]


def _slope_rows(trees: Sequence[Tree], points: Sequence[fmpq]) -> list[list[arb]]:
    return [[jet(resolve(tree, point), arb(point))[1] for tree in trees] for point in points]


def _analytic(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Every T_j is real and analytic on every piece."""
    law = family_law(model)
    for piece in _pieces(law, data):
        _on(law[0], piece)


def _minimal_points(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """k + 1 points at which 1, T_1, ..., T_k have a non-zero determinant; T is continuous there."""
    law = family_law(model)
    points = _points(data["points"], len(law[0]) + 1, law[2])
    _settled(lambda: _value_rows(law[0], points), "points")


def _derivative_points(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """k points at which T' exists with linearly independent values."""
    law = family_law(model)
    points = _points(data["points"], len(law[0]), law[2])
    _settled(lambda: _slope_rows(law[0], points), "points")


def _strong(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """T is analytic on every piece, with k + 1 points of independence within each."""
    law = family_law(model)
    pieces = _pieces(law, data)
    if len(data["points"]) != len(pieces):
        raise CertificateRejected("points: expected one list for each piece")
    for piece, items in zip(pieces, data["points"], strict=True):
        trees = _on(law[0], piece)
        points = _points(items, len(trees) + 1, law[2])
        _within(piece, points)
        _settled(lambda trees=trees, points=points: _value_rows(trees, points), "points")  # type: ignore[misc]


def _slopes(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """On every piece each T_j is analytic with a non-zero derivative at a point: so non-zero almost everywhere."""
    law = family_law(model)
    pieces = _pieces(law, data)
    if len(data["points"]) != len(pieces):
        raise CertificateRejected("points: expected one list for each piece")
    for piece, items in zip(pieces, data["points"], strict=True):
        points = _points(items, len(law[0]), law[2])
        _within(piece, points)
        for tree, point in zip(_on(law[0], piece), points, strict=True):
            _settled(lambda tree=tree, point=point: _slope_rows([tree], [point]), "slope")  # type: ignore[misc]


def _within(piece: Piece, points: Sequence[fmpq]) -> None:
    for point in points:
        for end in (piece.low, piece.high):
            if isinstance(end, Root):
                between = sorted((point, piece.sample))
                if count_roots(end.poly, *between) or end.poly(point) == 0:
                    raise CertificateRejected(f"points: {point} lies in another piece")


def _theta(data: Mapping[str, Any], k: int) -> list[Tree]:
    theta = [read(str(item)) for item in data["theta"]]
    if len(theta) != k or any(has_z(item) for item in theta):
        raise CertificateRejected(f"theta: expected {k} constants")
    with ctx.workprec(_BITS[0]):
        values = [jet(item, arb(0))[0] for item in theta]
    if not any(value > 0 or value < 0 for value in values):
        raise CertificateRejected("theta: not shown to be non-zero")
    return theta


def _combination(theta: Sequence[Tree], trees: Sequence[Tree]) -> Tree:
    terms: list[Tree] = [("*", a, b) for a, b in zip(theta, trees, strict=True)]
    return reduce(lambda left, right: ("+", left, right), terms)


def _flat(tree: Tree, piece: Piece) -> None:
    """Raise unless the tree is shown to be constant on the piece."""
    with ctx.workprec(_BITS[0]):
        slope = jet(tree, arb(piece.sample))[1]
    if slope > 0 or slope < 0:
        raise CertificateRejected(f"relation: the combination has a slope at {piece.sample}")
    fraction = as_fraction(tree)
    if fraction is not None:
        flat = (fraction[0].derivative() * fraction[1] - fraction[0] * fraction[1].derivative()) == 0
    else:
        from sympy import diff

        expression, symbol = symbolic(tree, piece)
        flat = is_zero(diff(expression, symbol))
    if not flat:
        raise CertificateRejected(f"relation: not shown to be constant on the piece around {piece.sample}")


def _relation(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """theta . T is one constant almost everywhere on the support."""
    law = family_law(model)
    theta = _theta(data, len(law[0]))
    values = []
    for piece in _pieces(law, data):
        tree = _combination(theta, _on(law[0], piece))
        _flat(tree, piece)
        values.append(symbolic_at(tree, piece.sample))
    if not all(is_zero(value - values[0]) for value in values[1:]):
        raise CertificateRejected("relation: the constants of two pieces are not shown to agree")


def _no_derivative_points(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """theta . T is constant on every piece: theta . T' = 0 wherever T' exists."""
    law = family_law(model)
    theta = _theta(data, len(law[0]))
    for piece in _pieces(law, data):
        _flat(_combination(theta, _on(law[0], piece)), piece)


def _flat_piece(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """theta . T is constant on one piece."""
    law = family_law(model)
    theta = _theta(data, len(law[0]))
    piece = _chosen(_pieces(law, data), data["piece"])
    _flat(_combination(theta, _on(law[0], piece)), piece)


def _flat_statistic(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """One T_j is constant on one piece."""
    law = family_law(model)
    piece = _chosen(_pieces(law, data), data["piece"])
    _flat(_on([_chosen(law[0], data["statistic"])], piece)[0], piece)


def _chosen(items: Sequence[Any], index: Any) -> Any:
    if type(index) is not int or not 0 <= index < len(items):
        raise CertificateRejected(f"expected an index below {len(items)}, got {index!r}")
    return items[index]


def _positive(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """The base density is analytic, >= 0 and somewhere non-zero on every piece: so > 0 almost everywhere."""
    law = family_law(model)
    for piece in _pieces(law, data):
        tree = _on([law[1]], piece)[0]
        side = sign(tree, piece)
        if side is None or side[0] < 0:
            raise CertificateRejected(f"base: not shown to be >= 0 on the piece around {piece.sample}")
        if not side[1]:
            _settled(lambda tree=tree, piece=piece: [[jet(tree, arb(piece.sample))[0]]], "base")  # type: ignore[misc]


def _base_zero(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """The base density is zero on one piece."""
    law = family_law(model)
    piece = _chosen(_pieces(law, data), data["piece"])
    tree = _on([law[1]], piece)[0]
    if not (is_zero(symbolic_at(tree, piece.sample)) and is_zero(symbolic(tree, piece)[0])):
        raise CertificateRejected("base: not shown to be zero on the piece")


def _base_negative(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """The base density is < 0 at a point where it is continuous."""
    law = family_law(model)
    point = _points([data["point"]], 1, law[2])[0]
    with ctx.workprec(_BITS[1]):
        value, slope = jet(resolve(law[1], point), arb(point))
    if not (value < 0 and slope.is_finite()):
        raise CertificateRejected(f"base: not shown to be negative at {point}")


def _bounded(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Every T_j stays on one side of a rational."""
    law = family_law(model)
    if len(data["bounds"]) != len(law[0]):
        raise CertificateRejected("bounds: expected one for each statistic")
    for piece in _pieces(law, data):
        for tree, bound in zip(_on(law[0], piece), data["bounds"], strict=True):
            value: Tree = ("q", rational(bound["value"]))
            gap = {"below": minus(tree, value), "above": minus(value, tree)}[bound["side"]]
            side = sign(gap, piece)
            if side is None or side[0] < 0:
                raise CertificateRejected(f"bounds: {bound['side']} {bound['value']} is not shown on the piece "
                                          f"around {piece.sample}")


def _unbounded(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """One T_j tends to +oo at one end of a piece and to -oo at one end of a piece."""
    from sympy import limit, oo

    law = family_law(model)
    tree, pieces = _chosen(law[0], data["statistic"]), _pieces(law, data)
    for name, target in (("up", oo), ("down", -oo)):
        piece, side = _chosen(pieces, data[name]["piece"]), data[name]["end"]
        end, infinity, direction = {"low": (piece.low, -oo, "+"), "high": (piece.high, oo, "-")}[side]
        place = end.exact() if isinstance(end, Root) else end
        if place is None and isinstance(end, Root):
            raise CertificateRejected("limits: an end that is not rational")
        expression, symbol = symbolic(_on([tree], piece)[0], piece)
        found = limit(expression, symbol, infinity if place is None else _number(place), direction)
        if found != target:
            raise CertificateRejected(f"limits: {found} where {target} was claimed")


def _smooth(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """T is analytic on every piece and its value and slope do not jump between pieces."""
    law = family_law(model)
    pieces = _pieces(law, data)
    sides = [_on(law[0], piece) for piece in pieces]
    for piece, left, right in zip(pieces[:-1], sides[:-1], sides[1:], strict=True):
        root = piece.high
        assert isinstance(root, Root)
        with ctx.workprec(_BITS[0]):
            finite = all(part.is_finite() for tree in (*left, *right) for part in jet(tree, root.ball(64)))
        if not (finite and all(_meets(minus(a, b), root) for a, b in zip(left, right, strict=True))):
            raise CertificateRejected(f"breaks: value and slope are not shown to agree between {piece.sample} and the "
                                      "next sample")


def _meets(difference: Tree, root: Root) -> bool:
    """Whether a function, analytic at the root, vanishes there to second order."""
    fraction = as_fraction(difference)
    if fraction is not None:
        for factor, power in fraction[0].numer().factor()[1] if fraction[0] != 0 else []:
            if power >= 2 and root.poly.numer().gcd(factor).degree() > 0:
                value = root.poly.gcd(type(root.poly)(factor))
                if value(root.low) == 0 or value(root.low) * value(root.high) < 0:
                    return True
        return bool(fraction[0] == 0)
    from sympy import diff

    exact = root.exact()
    if exact is None:
        return False
    expression, symbol = symbolic(difference, None)
    place = _number(exact)
    return is_zero(expression.subs(symbol, place)) and is_zero(diff(expression, symbol).subs(symbol, place))


def _jump(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """The value (order 0) or slope (order 1) of one T_j differs on the two sides of a break."""
    law = family_law(model)
    tree, pieces = _chosen(law[0], data["statistic"]), _pieces(law, data)
    piece, after = _chosen(pieces[:-1], data["break"]), pieces[data["break"] + 1]
    left, right = _on([tree], piece)[0], _on([tree], after)[0]
    order = _chosen((0, 1), data["order"])
    assert isinstance(piece.high, Root)
    for bits in _BITS[:3]:
        with ctx.workprec(bits):
            place = piece.high.ball(bits)
            gap = jet(left, place)[order] - jet(right, place)[order]
            if gap.is_finite() and (gap > 0 or gap < 0):
                return
    raise CertificateRejected("break: no jump is shown there")


def _number(value: fmpq) -> Any:
    from sympy import Rational

    return Rational(int(value.p), int(value.q))


def symbolic(tree: Tree, piece: Piece | None) -> tuple[Any, Any]:
    """The tree as a sympy expression, its variable with the sign that it has on the piece."""
    import sympy

    low, high = piece.outer() if piece else (None, None)
    assumption = {"positive": True} if low is not None and low >= 0 else \
        {"negative": True} if high is not None and high <= 0 else {"real": True}
    symbol = sympy.Symbol("z", **assumption)

    def build(node: Tree) -> Any:
        if node[0] == "z":
            return symbol
        if node[0] == "q":
            return _number(node[1])
        if node[0] == "c":
            return sympy.pi if node[1] == "pi" else sympy.E
        parts = [build(item) for item in node[1:]]
        if node[0] in ("+", "*"):
            return parts[0] + parts[1] if node[0] == "+" else parts[0] * parts[1]
        if node[0] in ("/", "^"):
            return parts[0] / parts[1] if node[0] == "/" else parts[0] ** parts[1]
        return getattr(sympy, node[0])(*parts)

    return build(tree), symbol


def symbolic_at(tree: Tree, point: fmpq) -> Any:
    expression, symbol = symbolic(tree, None)
    return expression.subs(symbol, _number(point))


def is_zero(expression: Any) -> bool:
    """Whether sympy brings an expression to 0 (and, for a number, 30 digits agree); False proves nothing."""
    from sympy import cancel, exp, expand, expand_log, simplify, together

    if expression.is_number and not abs(expression.evalf(30)) < 1e-20:
        return False

    ways: list[Callable[[Any], Any]] = [
        expand, lambda e: cancel(together(e)), lambda e: expand(expand_log(e)), simplify,
        lambda e: simplify(expand(e.rewrite(exp)))]
    return any(way(expression) == 0 for way in ways)


_CHECKS = (_analytic, _minimal_points, _relation, _derivative_points, _no_derivative_points, _strong, _flat_piece,
           _slopes, _flat_statistic, _positive, _base_zero, _base_negative, _bounded, _unbounded, _smooth, _jump)
VERIFIERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], None]] = {
    f"family.{check.__name__.removeprefix('_')}": check for check in _CHECKS}
