"""Objects that are their values: frozen, equal when their exact numbers are equal, hashable."""

from __future__ import annotations

import abc
from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ident_theory.errors import ModelError, Problem
from ident_theory.exact.rationals import format_exact, shown, to_float

ExactArray = NDArray[np.object_]
FloatArray = NDArray[np.float64]


class Value(abc.ABC):
    """Base of the immutable model objects; a subclass says in `_key` what it consists of."""

    @abc.abstractmethod
    def _key(self) -> Hashable:
        """What the object consists of, as something hashable."""

    @abc.abstractmethod
    def plain(self) -> dict[str, Any]:
        """As nested dictionaries and lists, the section of a model file: integers as int, rationals as ``"p/q"``."""

    def _set(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: build a new one instead of setting {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._key()))


def raise_if(problems: Sequence[Problem], what: str) -> None:
    """Raise `ModelError` when `problems` is not empty."""
    if problems:
        raise ModelError(problems, what)


def plain_numbers(value: Any) -> Any:
    """An exact number or array as JSON: integers as int, other rationals as ``"p/q"``."""
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else format_exact(value)
    return [plain_numbers(item) for item in value] if value.ndim else plain_numbers(value.item())


def flat_key(array: ExactArray) -> tuple[tuple[int, ...], tuple[Fraction, ...]]:
    """Shape and entries of an exact array, as something hashable."""
    return array.shape, tuple(array.ravel())


def freeze(array: ExactArray) -> ExactArray:
    """The same array, read-only."""
    array.flags.writeable = False
    return array


def pivots_semidefinite(matrix: ExactArray) -> tuple[bool, Fraction | None]:
    """Decide in rationals whether a symmetric matrix is positive semidefinite.

    Symmetric elimination without pivoting: a negative pivot, or a zero pivot with a non-zero entry beside
    it, refutes it; otherwise the matrix is a Gram matrix.

    Returns
    -------
    semidefinite : bool
    determinant : Fraction or None
        Product of the pivots (zero when singular); None when not semidefinite.
    """
    work = matrix.copy()
    work.flags.writeable = True
    size = len(work)
    determinant = Fraction(1)
    for i in range(size):
        pivot = work[i, i]
        determinant *= pivot
        if pivot < 0:
            return False, None
        if pivot == 0:
            if any(work[j, i] != 0 for j in range(i + 1, size)):
                return False, None
            continue
        for j in range(i + 1, size):
            factor = work[j, i] / pivot
            if factor != 0:
                work[j, i:] -= factor * work[i, i:]
    return True, determinant


def check_covariance(matrix: ExactArray, path: str, problems: list[Problem], *, definite: bool) -> None:
    """Record a problem when a square exact matrix is no covariance (or, if `definite`, a singular one)."""
    size = len(matrix)
    for i in range(size):
        for j in range(i):
            if matrix[i, j] != matrix[j, i]:
                problems.append(Problem(
                    f"{path}[{i}][{j}]", f"a symmetric matrix, so {shown(matrix[j, i])} as at [{j}][{i}]",
                    shown(matrix[i, j]), "symmetrise it: (S + S.T) / 2"))
                return
    semidefinite, determinant = pivots_semidefinite(matrix)
    if not semidefinite:
        found = f"{to_float(matrix).tolist()}"
        if size == 1:
            problems.append(Problem(path, "a variance >= 0", shown(matrix[0, 0])))
        else:
            least = float(np.linalg.eigvalsh(to_float(matrix))[0])
            problems.append(Problem(path, "a positive semidefinite covariance",
                                    f"{found} with least eigenvalue {least:.6g}"))
    elif definite and determinant == 0:
        problems.append(Problem(path, "a positive definite covariance",
                                f"the singular matrix {to_float(matrix).tolist()}",
                                "for no noise at all write noise=None"))
