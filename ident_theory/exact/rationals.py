"""Reading numbers exactly: decimals as decimals, floats as dyadic rationals, strings as fractions."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat
from numpy.typing import NDArray

from ident_theory.errors import Problem

#: Exponents beyond this make exact rationals huge and lie outside float64 anyway.
MAX_DECIMAL_EXPONENT = 400


def parse_number(value: Any, path: str, problems: list[Problem]) -> Fraction | None:
    """Read one finite real number exactly.

    Integers and `fractions.Fraction` are taken as they are, `decimal.Decimal` as the decimal it shows,
    binary floats as the dyadic rational they hold, and strings such as ``"1/3"`` or ``"0.1"`` as written.

    Parameters
    ----------
    value : object
        The number.
    path : str
        Where it stands, for the message.
    problems : list of Problem
        Receives a problem when `value` is no finite real number.

    Returns
    -------
    Fraction or None
        None when a problem was recorded.
    """
    if type(value) is Fraction:  # most numbers inside the package, and by far the quickest
        # Fraction(numpy.int64(3)) keeps numpy's integer, which overflows without a word.
        return value if type(value.numerator) is int else Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, bool | np.bool_):
        problems.append(Problem(path, "a number", f"the truth value {value}"))
        return None
    if isinstance(value, Integral):
        return Fraction(int(value))
    if isinstance(value, Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, Decimal):
        if not value.is_finite():
            problems.append(Problem(path, "a finite number", str(value)))
            return None
        if abs(value.adjusted()) > MAX_DECIMAL_EXPONENT and value != 0:
            problems.append(Problem(path, f"a number between 1e-{MAX_DECIMAL_EXPONENT} and "
                                          f"1e{MAX_DECIMAL_EXPONENT} in size", str(value)))
            return None
        return Fraction(value)
    if isinstance(value, str):
        text = value.strip()
        try:
            if "/" in text:
                numerator, denominator = (Decimal(part.strip()) for part in text.split("/", 1))
                if denominator == 0:
                    raise ValueError("zero denominator")
                parts = (parse_number(numerator, path, problems), parse_number(denominator, path, problems))
                return None if None in parts else parts[0] / parts[1]  # type: ignore[operator]
            return parse_number(Decimal(text), path, problems)
        except (ArithmeticError, ValueError):
            problems.append(Problem(path, "a number, a decimal or a fraction such as \"1/3\"", repr(value)))
            return None
    if isinstance(value, Real) or (isinstance(value, np.ndarray) and value.ndim == 0):
        number = float(value)
        if not math.isfinite(number):
            problems.append(Problem(path, "a finite number", str(number)))
            return None
        return Fraction(number)
    problems.append(Problem(path, "a real number", f"{value!r} of type {type(value).__name__}"))
    return None


def parse_array(value: Any, path: str, problems: list[Problem]) -> NDArray[np.object_] | None:
    """Read a rectangular nested sequence of numbers exactly.

    Returns
    -------
    ndarray of Fraction, or None
        Read-only object array; None when a problem was recorded (ragged nesting, a non-number, NaN).
    """
    before = len(problems)
    if isinstance(value, np.ndarray) and value.dtype.kind not in "iufOb":
        problems.append(Problem(path, "real numbers", f"an array of dtype {value.dtype}"))
        return None
    if hasattr(value, "detach"):  # a torch tensor, without importing torch
        value = value.detach().cpu().numpy()
    nested = _parse_nested(value, path, problems)
    if len(problems) > before:
        return None
    shape = _shape(nested, path, problems)
    if len(problems) > before:
        return None
    array = np.empty(shape, dtype=object)
    if array.size:
        array[...] = nested
    array.flags.writeable = False
    return array


def _parse_nested(value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, np.ndarray) and value.ndim > 0:
        return [_parse_nested(item, f"{path}[{i}]", problems) for i, item in enumerate(value)]
    if isinstance(value, list | tuple):
        return [_parse_nested(item, f"{path}[{i}]", problems) for i, item in enumerate(value)]
    return parse_number(value, path, problems)


def _shape(nested: Any, path: str, problems: list[Problem]) -> tuple[int, ...]:
    if not isinstance(nested, list):
        return ()
    shapes = [_shape(item, f"{path}[{i}]", problems) for i, item in enumerate(nested)]
    if not shapes:
        return (0,)
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            problems.append(Problem(f"{path}[{i}]", f"the shape {shapes[0]} of its first neighbour", f"shape {shape}"))
            return (len(shapes),)
    return (len(shapes), *shapes[0])


def to_float(array: NDArray[np.object_]) -> NDArray[np.float64]:
    """Round an array of Fraction to the nearest float64, element by element (read-only result)."""
    out = np.array([nearest_float(item) for item in array.ravel()], dtype=np.float64).reshape(array.shape)
    out.flags.writeable = False
    return out


def nearest_float(value: Fraction) -> float:
    """The float64 nearest to a rational; overflow saturates to the largest finite float."""
    try:
        return float(value)
    except OverflowError:
        return float(np.finfo(np.float64).max) * (1 if value > 0 else -1)


def shown(value: Fraction) -> str:
    """A rational as it reads in a message: the nearest float64."""
    return repr(nearest_float(value))


def format_exact(value: Fraction) -> str:
    """Write a rational so that `parse_number` reads the same number back: an integer or ``p/q``."""
    return str(value)


def rational(value: Fraction) -> fmpq:
    """A Fraction as a flint rational."""
    return fmpq(value.numerator, value.denominator)


def fraction(value: fmpq) -> Fraction:
    """A flint rational as a Fraction."""
    return Fraction(int(value.p), int(value.q))


def to_flint(array: NDArray[np.object_]) -> fmpq_mat:
    """A matrix of Fraction as one of flint's; a vector as one column."""
    rows, columns = array.shape if array.ndim == 2 else (len(array), 1)
    return fmpq_mat(rows, columns, [rational(v) for v in array.ravel()])


def from_flint(matrix: fmpq_mat) -> NDArray[np.object_]:
    """A flint matrix as a read-only array of Fraction."""
    out = np.empty((matrix.nrows(), matrix.ncols()), dtype=object)
    out[...] = [[fraction(v) for v in row] for row in matrix.tolist()]
    out.flags.writeable = False
    return out
