"""What every suite asks of input that is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ident_theory.errors import IdentTheoryError


def refused_with_a_message(call: Callable[[], Any], what: str, *others: type[Exception]) -> None:
    """Fail unless a call raises a `ValueError`, an error of this package, or one of some others, with a message."""
    kinds: tuple[type[Exception], ...] = (ValueError, IdentTheoryError, *others)
    found, message = None, None
    try:
        found = call()
    except kinds as error:
        message = str(error)
    if message is None:
        shown = repr(found)
        raise AssertionError(f"{what}: expected a ValueError or an error of ident_theory, found none but "
                             f"{shown if len(shown) < 80 else type(found).__name__}")
    assert message, f"{what}: refused without a message"
