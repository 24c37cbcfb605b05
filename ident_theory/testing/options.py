"""Arguments of the testing kit, checked at the call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from fractions import Fraction
from numbers import Integral
from typing import Any, TypeVar

from ident_theory.errors import InputError, Problem
from ident_theory.exact.rationals import parse_number

E = TypeVar("E", bound=StrEnum)
#: A number, or the least and the largest.
Span = int | tuple[int, int]


def whole(where: str, name: str, value: Any, least: int) -> int:
    """A whole number of at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise InputError(f"{where}: {name}: expected a whole number >= {least}, found {value!r}")
    return int(value)


def span(where: str, name: str, value: Any, least: int) -> tuple[int, int]:
    """The least and the largest of a number or a pair."""
    pair = value if isinstance(value, tuple | list) else (value, value)
    legal = len(pair) == 2 and all(isinstance(v, Integral) and not isinstance(v, bool) for v in pair)
    if not legal or not least <= pair[0] <= pair[1]:
        raise InputError(f"{where}: {name}: expected a whole number >= {least} or a pair (least, largest) of them, "
                         f"found {value!r}")
    return int(pair[0]), int(pair[1])


def flag(where: str, name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise InputError(f"{where}: {name}: expected True or False, found {value!r}")
    return value


def function(where: str, name: str, value: Any, what: str) -> Callable[..., Any]:
    """Something that can be called."""
    if not callable(value):
        raise InputError(f"{where}: {name}: expected {what}, found {value!r}")
    return value


def instance(where: str, name: str, value: Any, *kinds: type) -> Any:
    """A value of one of these types."""
    if not isinstance(value, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise InputError(f"{where}: {name}: expected {names}, found {type(value).__name__}")
    return value


def names(where: str, name: str, value: Any, known: Sequence[str]) -> tuple[str, ...]:
    """One or several of the known names."""
    chosen = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else ()
    if not chosen or any(item not in known for item in chosen):
        raise InputError(f"{where}: {name}: expected one or several of {', '.join(known)}, found {value!r}")
    return chosen


def name(where: str, value: Any, known: Sequence[str], argument: str) -> str:
    """One of the known names."""
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{where}: {argument}: expected one of {', '.join(known)}, found {value!r}")
    return value


def seconds(where: str, value: Any) -> float | None:
    """A budget of more than 0 seconds, or None."""
    legal = value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value > 0)
    if not legal:
        raise InputError(f"{where}: budget: expected a number of seconds > 0 or None, found {value!r}")
    return None if value is None else float(value)


def label(where: str, value: Any) -> str | None:
    """What to call something in messages and tables."""
    if value is not None and not isinstance(value, str):
        raise InputError(f"{where}: name: expected a text or None, found {value!r}")
    return value


def member(where: str, name: str, value: Any, kinds: Iterable[E]) -> E:
    """One of the members of an enumeration, also by its value."""
    known = tuple(kinds)
    for kind in known:
        if value == kind:
            return kind
    raise InputError(f"{where}: {name}: expected one of {', '.join(known)}, found {value!r}")


def number(where: str, name: str, value: Any) -> Fraction:
    """A finite number, exactly."""
    problems: list[Problem] = []
    parsed = parse_number(value, name, problems)
    if parsed is None:
        raise InputError(f"{where}: {name}: expected a number, found {value!r}")
    return parsed


def slopes(where: str, value: Any, usual: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """Slopes of the activation below zero: the usual ones, one number, or several."""
    if value is None:
        return tuple(usual)
    items = tuple(value) if isinstance(value, tuple | list) else (value,)
    if not items:
        raise InputError(f"{where}: negative_slope: expected a number, or several to choose from, found {value!r}")
    return tuple(number(where, "negative_slope", item) for item in items)
