"""Exact linear algebra of the network verifier: affine functions as rows ``[a_1, ..., a_m, b]`` of fmpq."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import add, mul
from typing import Any, NoReturn

from flint import fmpq, fmpq_mat

from ident_theory.errors import CertificateRejected

#: Coefficients of an affine function, its constant last.
Row = list[Any]

ZERO = fmpq(0)


def reject(message: str) -> NoReturn:
    """Raise `CertificateRejected`."""
    raise CertificateRejected(message)


def number(value: Any, where: str) -> Any:
    """Read an int or a ``"p/q"`` text as fmpq."""
    if type(value) is not int and type(value) is not str:
        reject(f"{where}: expected an integer or a text such as \"1/3\", got {value!r}")
    try:
        return fmpq(value)
    except (ValueError, ZeroDivisionError):
        reject(f"{where}: expected an integer or a text such as \"1/3\", got {value!r}")


def numbers(values: Any, size: int | None, where: str) -> list[Any]:
    """Read a list of numbers, of a given length unless `size` is None."""
    if not isinstance(values, list | tuple) or (size is not None and len(values) != size):
        reject(f"{where}: expected a list of {'numbers' if size is None else f'{size} numbers'}, got {values!r:.80}")
    return [number(value, where) for value in values]


def index(value: Any, size: int, where: str) -> int:
    """Read an index ``0 <= value < size``, given as int or as the text of one (a key of a JSON object)."""
    if type(value) is str and value.isdecimal():
        value = int(value)
    if type(value) is not int or not 0 <= value < size:
        reject(f"{where}: expected an index from 0 to {size - 1}, got {value!r}")
    return int(value)


def only_keys(data: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    """Reject data whose keys are not exactly `names`: what is not checked must not be there."""
    if not isinstance(data, Mapping) or set(data) != set(names):
        reject(f"{where}: expected an object with the keys {sorted(names)}, "
               f"got {sorted(map(str, data)) if isinstance(data, Mapping) else data!r}")


def multipliers(y: Any, size: int, where: str) -> dict[int, Any]:
    """Read ``{"index": "p/q"}`` with values >= 0; zeros are left out."""
    if not isinstance(y, Mapping):
        reject(f"{where}: expected an object of multipliers, got {y!r:.80}")
    out: dict[int, Any] = {}
    for key, text in y.items():
        k, value = index(key, size, where), number(text, where)
        if value < 0 or k in out:
            reject(f"{where}: expected one multiplier >= 0 a constraint, got {text!r} for {key!r}")
        if value:
            out[k] = value
    return out


def evaluate(row: Row, point: Sequence[Any]) -> Any:
    """Value of an affine function at a point."""
    return sum(map(mul, row, point), row[-1])


def slope_along(row: Row, direction: Sequence[Any]) -> Any:
    """Change of an affine function along a direction."""
    return sum(map(mul, row, direction), ZERO)


def is_constant(row: Row) -> bool:
    """Whether the linear part is zero."""
    return not any(row[:-1])


def weighted_sum(rows: Iterable[Row], weights: Iterable[Any], width: int) -> Row:
    """Sum of weights times rows of `width` numbers."""
    total: Row = []
    for row, weight in zip(rows, weights, strict=True):
        part = [weight * x for x in row]
        total = list(map(add, total, part)) if total else part
    return total or [ZERO] * width


def rank(rows: Sequence[Row], columns: int) -> int:
    """Rank of the first `columns` columns."""
    return int(fmpq_mat(len(rows), columns, [x for row in rows for x in row[:columns]]).rank())


def represent(rows: Sequence[Row], target: Row) -> list[Any] | None:
    """The unique y with sum y_k (linear part of rows[k]) = linear part of target, or None.

    None also when y is not unique: the caller names independent rows, so nothing has to be chosen here.
    """
    m, count = len(target) - 1, len(rows)
    if count == 0:
        return [] if is_constant(target) else None
    flat: list[Any] = []
    for i in range(m):
        flat.extend([row[i] for row in rows])
        flat.append(target[i])
    reduced, found = fmpq_mat(m, count + 1, flat).rref()
    # Rank `count` with the unit matrix in front: independent rows, and the target in their span.
    if found != count or any(reduced[i, i] != 1 for i in range(count)):
        return None
    return [reduced[i, count] for i in range(count)]


def null_combination(rows: Sequence[Row]) -> list[Any] | None:
    """The y with sum y_k (linear part of rows[k]) = 0 when it is unique up to scale, scaled to a last free 1."""
    m, count = len(rows[0]) - 1, len(rows)
    reduced, found = fmpq_mat(m, count, [row[i] for i in range(m) for row in rows]).rref()
    if found != count - 1:
        return None
    free = next((i for i in range(found) if reduced[i, i] != 1), found)
    return [-reduced[k, free] for k in range(free)] + [fmpq(1)] + [ZERO] * (count - free - 1)


class AffineSet:
    """The solutions of a linear system: a point plus the span of directions.

    Attributes
    ----------
    point : list of fmpq
    directions : list of list of fmpq
        A basis of the solutions of the homogeneous system.
    """

    __slots__ = ("directions", "point")

    def __init__(self, point: list[Any], directions: list[list[Any]]) -> None:
        self.point, self.directions = point, directions


def solutions(equations: Sequence[Row], unknowns: int) -> AffineSet | None:
    """Solve ``equation[:unknowns] . x = equation[unknowns]`` for all equations; None when they contradict."""
    matrix, found = fmpq_mat(len(equations), unknowns + 1, [x for row in equations for x in row]).rref()
    table = matrix.tolist()[:found]
    pivots: list[int] = []
    column = 0
    for row in table:
        while not row[column]:
            column += 1
        pivots.append(column)
    if pivots and pivots[-1] == unknowns:
        return None
    point = [ZERO] * unknowns
    for row, pivot in zip(table, pivots, strict=True):
        point[pivot] = row[unknowns]
    directions = []
    for free in range(unknowns):
        if free not in pivots:
            direction = [ZERO] * unknowns
            direction[free] = fmpq(1)
            for row, pivot in zip(table, pivots, strict=True):
                direction[pivot] = -row[free]
            directions.append(direction)
    return AffineSet(point, directions)


def check_thin(rows: Sequence[Row], weights: Sequence[Any], minus: bool, where: str) -> None:
    """Accept when positive multipliers show that ``{all rows >= 0}`` can be left out.

    The sum of weights times rows must be a constant. If it is negative, no point satisfies all rows. If it is
    zero, every supported row vanishes on the set. A supported row with a linear part then puts the set into a
    hyperplane, so it has no interior. A supported row of a ``-`` unit (`minus`) must be positive where the pattern
    is taken, so the pattern is taken nowhere.
    """
    if not weights:
        reject(f"{where}: expected at least one positive multiplier")
    total = weighted_sum(rows, weights, len(rows[0]))
    if not is_constant(total):
        reject(f"{where}: the linear parts of the constraints do not cancel")
    if total[-1] > 0 or (total[-1] == 0 and not minus and all(map(is_constant, rows))):
        reject(f"{where}: the constants add up to {total[-1]}, which shows nothing")
