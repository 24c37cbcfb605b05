"""Checks of witnesses about conditional priors: a second model with one law of x given every u."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from flint import fmpq, fmpq_poly

from ident_theory.exact.pair_equivalence import inverse
from ident_theory.exact.pair_trees import (
    Matrix,
    Network,
    decoder,
    diagonal,
    identical,
    latent_dim,
    matrix,
    moved,
    normal_moments,
    number,
    reject,
    times,
    transposed,
)

Tree = Mapping[str, Any]
#: Degrees of polynomials that are read.
MAX_DEGREE = 64


def _read(model: Tree, data: Tree, keys: set[str]) -> Tree:
    if set(data) != {"second", "refutes", "differs", *keys}:
        reject(f"expected the entries second, refutes, differs, {', '.join(sorted(keys))}, got {', '.join(data)}")
    if (data["refutes"], data["differs"]) != ("affine_statistics", "statistics"):
        reject("this kind shows that statistics are not affinely related")
    second = data["second"]
    if set(second) != set(model) or not identical(model.get("noise"), second.get("noise")):
        reject("the two models have different noise")
    if "covariance_of_estimates" in model["prior"] or "covariance_of_estimates" in second["prior"]:
        reject("the parameters are estimates")
    own = {"natural_parameters", "statistics"}
    if not identical({k: v for k, v in model["prior"].items() if k not in own},
                     {k: v for k, v in second["prior"].items() if k not in own}):
        reject("the priors are of two families, or differ in the law of u")
    return second


def check_given_u_map(model: Tree, data: Tree) -> None:
    r"""Normal laws given u and z' = A z: these are the laws of the second prior, and its decoder is f o A^{-1}.

    For a decoder that is only declared the second one is f o A^{-1} by definition; an invertible linear map keeps
    all that can be declared but volume, which asks for \|det A\| = 1. Where f is injective, z = A^{-1} z', and a row
    of A^{-1} with two non-zero entries puts a product of two z' into the square of a z, which is no affine function
    of z' and its squares: the statistics (z, z^2) of the two models are not affinely related. Entry matrix.
    """
    second = _read(model, data, {"matrix"})
    a = matrix(data["matrix"])
    back = inverse(a) if a and len(a) == len(a[0]) else None
    if model["prior"].get("family") != "normal" or back is None:
        reject("this kind is for normal laws and an invertible matrix")
    laws, others = normal_moments(model["prior"]), normal_moments(second["prior"])
    if len(laws) != len(others):
        reject("the priors have different numbers of values of u")
    for (mean, variances), (other_mean, other_variances) in zip(laws, others, strict=True):
        if len(mean) != len(a):
            reject("the matrix does not fit the latents")
        spread = times(tuple(tuple(v * d for v, d in zip(r, variances, strict=True)) for r in a), transposed(a))
        if moved(a, (Fraction(0),) * len(a), mean) != other_mean or spread != diagonal(other_variances):
            reject("the laws of z' = A z given u are not those of the second prior")
    _check_decoders(model["decoder"], second["decoder"], a, back)
    if not any(sum(bool(v) for v in r) > 1 for r in back):
        reject("the matrix mixes no latents")


def _check_decoders(first: Tree, second: Tree, a: Matrix, back: Matrix) -> None:
    if first["type"] == "declared":
        if not identical(first, second):
            reject("the declared properties of the decoders differ")
        if int(first["latent_dim"]) != len(a):
            reject("the matrix does not fit the decoder")
        if "volume_preserving" in first["properties"] and abs(_determinant(a)) != 1:
            reject("the decoder is declared to preserve volumes, which the matrix changes")
        return
    f, g = decoder(first), decoder(second)
    if not isinstance(f, Network) or not isinstance(g, Network) or latent_dim(f) != len(a) \
            or f.slope != g.slope or f.weights[1:] != g.weights[1:] or f.biases != g.biases \
            or g.weights[0] != times(f.weights[0], back):
        reject("the second decoder is not f o A^-1")


def _determinant(a: Matrix) -> Fraction:
    if len(a) == 1:
        return a[0][0]
    return sum(((-1) ** k * a[0][k] * _determinant(tuple((*r[:k], *r[k + 1:]) for r in a[1:]))
                for k in range(len(a)) if a[0][k]), Fraction(0))


def check_statistics(model: Tree, data: Tree) -> None:
    r"""Statistics T_2 = c T_1 + d with T_1 a polynomial: the second model has (T_1, T_1^2) and (l_1 + c l_2, 0).

    Both exponents are (l_1 + c l_2) T_1 up to a constant, so the laws given u are the same. As 1, T_1 and T_1^2 are
    linearly independent, the only matrix with T = A T' + constant is block diagonal with singular blocks
    [[1, 0], [c, 0]]. Entry factor, c.
    """
    second = _read(model, data, {"factor"})
    c = number(data["factor"])
    if model["prior"].get("family") != "custom" or not identical(model["decoder"], second["decoder"]):
        reject("this kind is for statistics given by the user, and one decoder")
    old, new = model["prior"]["statistics"], second["prior"]["statistics"]
    if len(old) != 2 or len(new) != 2:
        reject("expected two statistics")
    first, other = (polynomial(t) for t in old)
    if first.degree() < 1 or (other - first * fmpq(c.numerator, c.denominator)).degree() > 0:
        reject("the second statistic is not the factor times the first, plus a constant")
    if polynomial(new[0]) != first or polynomial(new[1]) != first * first:
        reject("the second model does not have the statistics T_1 and T_1^2")
    tables = model["prior"]["natural_parameters"], second["prior"]["natural_parameters"]
    for table, other_table in zip(*tables, strict=True):
        if tuple((r[0] + c * r[1], Fraction(0)) for r in matrix(table)) != matrix(other_table):
            reject("the second parameters are not (l_1 + c l_2, 0)")


def polynomial(text: Any) -> fmpq_poly:
    """A polynomial in z with rational coefficients, from its text; nothing is evaluated as code."""
    if not isinstance(text, str) or len(text) > 1000:
        reject("expected a polynomial in z as text")
    try:
        return _polynomial(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        reject(f"expected a polynomial in z, got {text!r}")


def _polynomial(node: ast.expr) -> fmpq_poly:
    if isinstance(node, ast.Name) and node.id == "z":
        return fmpq_poly([0, 1])
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return fmpq_poly([node.value])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _polynomial(node.operand)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp):
        left, right = _polynomial(node.left), _polynomial(node.right)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult) and left.degree() + right.degree() <= MAX_DEGREE:
            return left * right
        if isinstance(node.op, ast.Div) and right.degree() == 0:
            return left / right[0]
        if isinstance(node.op, ast.Pow) and right.degree() <= 0 and right[0].q == 1 \
                and right[0] >= 0 and left.degree() >= 1 and right[0] * left.degree() <= MAX_DEGREE:
            return left ** int(right[0].p)
    reject(f"expected a polynomial in z of degree at most {MAX_DEGREE}")
