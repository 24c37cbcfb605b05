"""Checks of certificates and witnesses about the L matrix and about the noise.

Values of u, latents and statistics are counted from 0; the parameters of a value of u are one flat vector, latent by
latent. Everything is recomputed from the plain numbers of the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NoReturn

from flint import arb, ctx, fmpq, fmpz, nmod_mat

from ident_theory.errors import CertificateRejected

#: A statistical certificate may not allow more than this chance of error.
LARGEST_LEVEL = Fraction(1, 20)
#: Chances of error below this are stated as this one.
SMALLEST_PROBABILITY = Fraction(1, 10**60)
#: How much larger than the exact bound a stated chance of error may be, relatively.
_SLACK = Fraction(1, 10**6)

#: What the zero set of the characteristic function of each family is, on every coordinate axis.
ZERO_SETS = {"gaussian": "none", "laplace": "none", "logistic": "none", "student": "none", "uniform": "countable"}

Vector = list[Fraction]


def _reject(reason: str) -> NoReturn:
    raise CertificateRejected(reason)


def _number(value: Any) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | str):
        _reject(f'expected an integer or "p/q", got {value!r}')
    return Fraction(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        _reject(f"expected an integer, got {value!r}")
    return value


def _table(model: Mapping[str, Any]) -> list[Vector]:
    """One flat vector of parameters a value of u."""
    rows = model["prior"].get("natural_parameters")
    if rows is None:
        _reject("the prior has no natural parameters, so no L matrix")
    table = [[_number(item) for latent in row for item in latent] for row in rows]
    if not table or any(len(row) != len(table[0]) for row in table):
        _reject("the natural parameters are no table")
    return table


def _covariances(model: Mapping[str, Any]) -> list[list[Vector]] | None:
    given = model["prior"].get("covariance_of_estimates")
    return None if given is None else [[[_number(item) for item in row] for row in matrix] for matrix in given]


def _check_invertible(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """``indices`` u_0, u_1, ..., and the ``residue`` of the determinant of their differences modulo a prime."""
    table, indices = _table(model), [_whole(item) for item in data["indices"]]
    modulus, residue = _whole(data["modulus"]), _whole(data["residue"])
    size = len(table[0])
    if _covariances(model) is not None:
        _reject("the parameters are estimates: only a statistical certificate says something about the true ones")
    if len(indices) != size + 1 or len(set(indices)) != size + 1 or not all(0 <= u < len(table) for u in indices):
        _reject(f"expected {size + 1} different values of u out of {len(table)}, got {indices}")
    if modulus < 2 or modulus >= 2**63 or not fmpz(modulus).is_prime():
        _reject(f"expected a prime modulus below 2^63, got {modulus}")
    base = table[indices[0]]
    entries = [a - b for u in indices[1:] for a, b in zip(table[u], base, strict=True)]
    if any(item.denominator % modulus == 0 for item in entries):
        _reject(f"the modulus {modulus} divides a denominator")
    matrix = nmod_mat(size, size, [item.numerator * pow(item.denominator, -1, modulus) % modulus for item in entries],
                      modulus)
    determinant = int(matrix.det())
    if determinant == 0:
        _reject(f"the determinant is 0 modulo {modulus}, which proves nothing")
    if determinant != residue:
        _reject(f"the determinant is {determinant} modulo {modulus}, not {residue}")


def _check_direction(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """``direction`` c with c . lambda(u) equal to ``constant`` at every u; c is primitive and starts positive."""
    table, direction = _table(model), [_whole(item) for item in data["direction"]]
    constant = _number(data["constant"])
    if len(direction) != len(table[0]):
        _reject(f"expected a direction of {len(table[0])} integers, got {len(direction)}")
    if math.gcd(*direction) != 1 or next(item for item in direction if item) < 0:
        _reject("expected a direction of integers without a common factor, the first non-zero one positive")
    for u, row in enumerate(table):
        value = sum((c * item for c, item in zip(direction, row, strict=True)), Fraction(0))
        if value != constant:
            _reject(f"the direction takes the value {value} at u = {u}, not {constant}")
    for u, matrix in enumerate(_covariances(model) or []):
        if any(sum(c * item for c, item in zip(direction, row, strict=True)) != 0 for row in matrix):
            _reject(f"the estimates at u = {u} may be wrong in this direction, so the true ones may vary in it")


def _check_count(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Fewer ``values`` of u than the ``needed`` nk + 1."""
    table = _table(model)
    if _whole(data["values"]) != len(table) or _whole(data["needed"]) != len(table[0]) + 1:
        _reject(f"there are {len(table)} values of u and {len(table[0]) + 1} are needed")
    if len(table) > len(table[0]):
        _reject("there are enough values of u")


def _check_statistical(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    r"""A test of "all c . lambda(u) - gamma vanish for some c": weights w, bound t and chance p of a wrong rejection.

    With C the sum of the covariances C_u: every ``C - w_u C_u`` is positive semidefinite, the scatter S of the
    estimates with weights w is positive definite and ``S - t C`` positive semidefinite. Were the true parameters
    degenerate along c, then t <= c'Sc / c'Cc <= X with X chi-square with n_u - 1 degrees of freedom.
    """
    table, covariances = _table(model), _covariances(model)
    if covariances is None or len(covariances) != len(table):
        _reject("the prior has no covariances of estimates")
    weights, bound = [_number(item) for item in data["weights"]], _number(data["bound"])
    probability, level = _number(data["probability"]), _number(data["level"])
    size = len(table[0])
    if len(weights) != len(table) or any(w <= 0 for w in weights):
        _reject(f"expected {len(table)} positive weights")
    if not 0 < level <= LARGEST_LEVEL:
        _reject(f"expected a level of at most {LARGEST_LEVEL}, got {level}")
    total = [[sum((m[i][j] for m in covariances), Fraction(0)) for j in range(size)] for i in range(size)]
    for u, (w, matrix) in enumerate(zip(weights, covariances, strict=True)):
        gap = [[total[i][j] - w * matrix[i][j] for j in range(size)] for i in range(size)]
        if not semidefinite(gap):
            _reject(f"the weight of u = {u} is too large")
    scatter = _scatter(table, weights)
    if not semidefinite(scatter, definite=True):
        _reject("the estimates themselves are degenerate")
    if not semidefinite([[scatter[i][j] - bound * total[i][j] for j in range(size)] for i in range(size)]):
        _reject("the bound is above the statistic")
    if bound <= 0:
        _reject("the bound is not positive")
    with ctx.workprec(256):
        tail = (arb(fmpq(bound.numerator, bound.denominator)) / 2).gamma_upper(
            arb(len(table) - 1) / 2, regularized=1)
        if not tail <= arb(fmpq(probability.numerator, probability.denominator)):
            _reject(f"the chance of error is {float(tail):.6g}, more than the {float(probability):.6g} claimed")
        most = max(probability / (1 + _SLACK), SMALLEST_PROBABILITY)
        if probability != SMALLEST_PROBABILITY and not tail >= arb(fmpq(most.numerator, most.denominator)):
            _reject(f"the chance of error is {float(tail):.6g}, not {float(probability):.6g}")
    if probability > level:
        _reject(f"the chance of error is above the level {float(level):.6g}")


def _scatter(table: Sequence[Vector], weights: Sequence[Fraction]) -> list[Vector]:
    """Weighted second moments about the weighted mean."""
    size, mass = len(table[0]), sum(weights, Fraction(0))
    mean = [sum((w * row[i] for w, row in zip(weights, table, strict=True)), Fraction(0)) / mass for i in range(size)]
    centered = [[item - m for item, m in zip(row, mean, strict=True)] for row in table]
    return [[sum((w * row[i] * row[j] for w, row in zip(weights, centered, strict=True)), Fraction(0))
             for j in range(size)] for i in range(size)]


def semidefinite(matrix: Sequence[Sequence[Fraction]], definite: bool = False) -> bool:
    """Whether a symmetric rational matrix is positive (semi)definite, by elimination."""
    size = len(matrix)
    if any(matrix[i][j] != matrix[j][i] for i in range(size) for j in range(i)):
        return False
    work = [[fmpq(item.numerator, item.denominator) for item in row] for row in matrix]
    for i in range(size):
        pivot = work[i][i]
        if pivot < 0 or (pivot == 0 and definite):
            return False
        if pivot == 0:
            if any(work[j][i] != 0 for j in range(i + 1, size)):
                return False
            continue
        for j in range(i + 1, size):
            if work[j][i] != 0:
                factor = work[j][i] / pivot
                for l in range(i, size):
                    if work[i][l] != 0:
                        work[j][l] -= factor * work[i][l]
    return True


def _check_characteristic_function(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """``family`` of the noise (``none`` without noise) and what its characteristic function's ``zeros`` are."""
    noise = model.get("noise")
    family = "none" if noise is None else noise["type"]
    if data["family"] != family:
        _reject(f"the noise is of the family {family}, not {data['family']!r}")
    expected = "none" if noise is None else ZERO_SETS.get(family)
    if expected is None:
        _reject(f"nothing is known of the zeros of the characteristic function of the family {family}")
    if data["zeros"] != expected:
        _reject(f"the zeros of the characteristic function are {expected}, not {data['zeros']!r}")


def _check_vanishing(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """``coordinate`` i and ``from`` a: the characteristic function is 0 at all frequencies with t_i >= a."""
    noise = model.get("noise")
    if noise is None or noise["type"] != "fejer":
        _reject("only Fejer noise is known to have a characteristic function that vanishes on an interval")
    scale, coordinate = noise["scale"], _whole(data["coordinate"])
    scales = scale if isinstance(scale, list) else [scale]
    if not 0 <= coordinate < len(scales):
        _reject(f"there is no coordinate {coordinate} among the scales of the noise")
    edge = 1 / _number(scales[coordinate])
    if _number(data["from"]) != edge:
        _reject(f"the characteristic function vanishes from 1/scale = {edge} on, not from {data['from']}")


VERIFIERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], None]] = {
    "l_matrix.invertible": _check_invertible,
    "l_matrix.direction": _check_direction,
    "l_matrix.count": _check_count,
    "l_matrix.statistical": _check_statistical,
    "noise.characteristic_function": _check_characteristic_function,
    "noise.vanishing": _check_vanishing,
}
