"""Univariate exponential families: sufficient statistics, base measure, support and natural parameters.

The density of z given the natural parameters is ``p(z | lambda) = Q(z) exp(sum_j lambda_j T_j(z)) / Z(lambda)``.
Statistics are kept as text in z, read by a small parser, so that nothing a user writes is ever evaluated as code.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ident_theory.errors import InputError, Problem
from ident_theory.exact.rationals import format_exact, parse_number

#: What an expression may contain, with the number of arguments of each function (None: two or more).
FUNCTIONS: dict[str, int | None] = {
    "log": 1, "exp": 1, "sqrt": 1, "Abs": 1, "sin": 1, "cos": 1, "tan": 1, "atan": 1, "tanh": 1, "sinh": 1, "cosh": 1,
    "Max": None, "Min": None, "sign": 1, "Heaviside": 1, "erf": 1,
}
CONSTANTS = ("pi", "E")
#: Longer texts, larger exponents and larger constants are refused: computer algebra would not come back from them.
MAX_LENGTH, MAX_EXPONENT, MAX_CONSTANT_BITS = 500, 100, 4000

_Test = tuple[str, Callable[[Fraction], bool]]
_POSITIVE: _Test = ("a number > 0", lambda value: value > 0)
_NEGATIVE: _Test = ("a number < 0", lambda value: value < 0)
_NOT_POSITIVE: _Test = ("a number <= 0", lambda value: value <= 0)
_ANY: _Test = ("a number", lambda value: True)
_LINE, _HALF_LINE, _UNIT = ("-oo", "oo"), ("0", "oo"), ("0", "1")

#: name: statistics, base measure, support, natural space.
_CATALOGUE: dict[str, tuple[tuple[str, ...], str, tuple[str, str], tuple[_Test, ...]]] = {
    "normal": (("z", "z**2"), "1", _LINE, (_ANY, _NEGATIVE)),
    "normal_mean": (("z",), "exp(-z**2/2)", _LINE, (_ANY,)),
    "normal_variance": (("z**2",), "1", _LINE, (_NEGATIVE,)),
    "lognormal": (("log(z)", "log(z)**2"), "1/z", _HALF_LINE, (_ANY, _NEGATIVE)),
    "gamma": (("log(z)", "z"), "1/z", _HALF_LINE, (_POSITIVE, _NEGATIVE)),
    "inverse_gamma": (("log(z)", "1/z"), "1/z", _HALF_LINE, (_NEGATIVE, _NEGATIVE)),
    "beta": (("log(z)", "log(1 - z)"), "1/(z*(1 - z))", _UNIT, (_POSITIVE, _POSITIVE)),
    "inverse_gaussian": (("z", "1/z"), "z**(-3/2)", _HALF_LINE, (_NOT_POSITIVE, _NEGATIVE)),
    "laplace": (("Abs(z)",), "1", _LINE, (_NEGATIVE,)),
}
#: Families known by name; ``custom`` is made by `custom_family`.
FAMILY_NAMES: tuple[str, ...] = (*_CATALOGUE, "custom")
_ORDINALS = ("first", "second", "third", "fourth")


@dataclass(frozen=True)
class Family:
    r"""One exponential family on an interval, :math:`Q(z) \exp(\lambda \cdot T(z)) / Z(\lambda)`.

    Made by `family` or `custom_family`. The families known by name:

    ==================  ===================  ================  ========  ==================  ===========================
    name                T                    Q                 support   natural space       in usual parameters
    ==================  ===================  ================  ========  ==================  ===========================
    normal              z, z^2               1                 R         any, < 0            mu/s^2, -1/(2 s^2)
    normal_mean         z                    exp(-z^2/2)       R         any                 mu (variance 1)
    normal_variance     z^2                  1                 R         < 0                 -1/(2 s^2) (mean 0)
    lognormal           log z, (log z)^2     1/z               (0, oo)   any, < 0            mu/s^2, -1/(2 s^2)
    gamma               log z, z             1/z               (0, oo)   > 0, < 0            shape, -rate
    inverse_gamma       log z, 1/z           1/z               (0, oo)   < 0, < 0            -shape, -scale
    beta                log z, log(1 - z)    1/(z (1 - z))     (0, 1)    > 0, > 0            a, b
    inverse_gaussian    z, 1/z               z^(-3/2)          (0, oo)   <= 0, < 0           -l/(2 mu^2), -l/2
    laplace             abs(z - location)    1                 R         < 0                 -1/scale
    ==================  ===================  ================  ========  ==================  ===========================

    Attributes
    ----------
    name : str
        One of `FAMILY_NAMES`.
    statistics : tuple of str
        The sufficient statistics T_1, ..., T_k as expressions in z.
    base : str
        The density Q of the base measure.
    support : tuple of str
        The ends of the open interval: ``"-oo"``, ``"oo"`` or rationals.
    location : Fraction
        The known location of the Laplace family, 0 for the others.

    References
    ----------
    Statistics of the two-parameter families: Sorrenson et al. 2020, Table 1 (ledger ``gin.t``).
    """

    name: str
    statistics: tuple[str, ...]
    base: str
    support: tuple[str, str]
    location: Fraction = Fraction(0)

    @property
    def k(self) -> int:
        """Number of sufficient statistics."""
        return len(self.statistics)

    def domain_problem(self, natural: Sequence[Fraction]) -> str | None:
        """What is expected instead when natural parameters lie outside the natural parameter space.

        Parameters
        ----------
        natural : sequence of Fraction, length k

        Returns
        -------
        str or None
            None when they lie inside; always None for the right number of parameters of a custom family, whose
            natural space is not decided.
        """
        if len(natural) != self.k:
            return f"{self.k} natural parameter{'s' if self.k > 1 else ''}, one for each statistic"
        if self.name == "custom":
            return None
        for place, value, (expected, test) in zip(_ORDINALS, natural, _CATALOGUE[self.name][3], strict=False):
            if not test(value):
                return f"{expected} as {f'{place} ' if self.k > 1 else ''}natural parameter"
        return None

    def plain(self) -> dict[str, Any]:
        """The entries of the section ``[prior]`` of a model file that name the family."""
        if self.name == "custom":
            return {"family": "custom", "statistics": list(self.statistics), "base": self.base,
                    "support": list(self.support)}
        if self.name == "laplace":
            return {"family": "laplace", "location": format_exact(self.location)}
        return {"family": self.name}


def family(name: str, *, location: Any = 0) -> Family:
    """A family of the catalogue.

    Parameters
    ----------
    name : str
        One of `FAMILY_NAMES` but ``custom``.
    location : number
        The known location of the Laplace family; must be left out for the others.

    Raises
    ------
    InputError
        For an unknown name (the message lists the known ones) or a location that is no number or not asked for.
    """
    if name == "custom":
        raise InputError("family: expected the statistics of a custom family, got only its name; use custom_family")
    if name not in _CATALOGUE:
        close = difflib.get_close_matches(str(name), _CATALOGUE, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InputError(f"family: expected one of {', '.join(FAMILY_NAMES)}, got {name!r}{hint}")
    problems: list[Problem] = []
    place = parse_number(location, "location", problems)
    if place is None:
        raise InputError(str(problems[0]))
    statistics, base, support, _ = _CATALOGUE[name]
    if name == "laplace":
        shift = "" if place == 0 else f" {'-' if place > 0 else '+'} {abs(place)}"
        statistics = (f"Abs(z{shift})",)
    elif place != 0:
        raise InputError(f"location: expected none, since only the Laplace family has a known location, got {place}")
    return Family(name, statistics, base, support, place)


def custom_family(statistics: Sequence[Any], base: Any = "1", support: Sequence[Any] = ("-oo", "oo")) -> Family:
    """A family with statistics of one's own.

    Parameters
    ----------
    statistics : sequence of str or sympy expressions
        T_1, ..., T_k in the variable z: numbers, ``+ - * / **``, ``pi``, ``E`` and the functions of `FUNCTIONS`.
    base : str or sympy expression
        Density Q of the base measure on the support.
    support : two of number, ``"oo"``, ``"-oo"``
        Ends of an open interval.

    Raises
    ------
    InputError
        Names the first token that is not allowed, or says what is wrong with the support.
    """
    if isinstance(statistics, str) or not isinstance(statistics, Sequence) or not statistics:
        raise InputError(f"statistics: expected a non-empty list of expressions in z, got {statistics!r}")
    texts = tuple(_checked(item, f"statistics[{j}]") for j, item in enumerate(statistics))
    return Family("custom", texts, _checked(base, "base"), _read_support(support))


def parse_expression(text: str, where: str = "expression") -> ast.expr:
    """The syntax tree of an expression in z, with nothing in it but what `custom_family` allows.

    Raises
    ------
    InputError
        Names the token that is not allowed.
    """
    if len(text) > MAX_LENGTH:
        raise InputError(f"{where}: expected at most {MAX_LENGTH} characters, got {len(text)}")
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(
            f"{where}: expected an expression in z such as z**2 or log(z), got {text!r} ({error})") from None
    _check(node, text.strip(), where)
    return node


def literal(node: ast.Constant, text: str) -> Fraction:
    """A number of an expression exactly as it is written: 0.1 is one tenth."""
    if isinstance(node.value, int):
        return Fraction(node.value)
    return Fraction(Decimal(ast.get_source_segment(text, node) or repr(node.value)))


def _checked(item: Any, where: str) -> str:
    text = str(item).strip()
    parse_expression(text, where)
    return text


def _check(node: ast.expr, text: str, where: str) -> None:
    def refuse(expected: str) -> InputError:
        return InputError(f"{where}: expected {expected}, got {ast.get_source_segment(text, node)!r} in {text!r}")

    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise refuse("a number")
        if isinstance(node.value, float) and not 1e-100 < abs(node.value) < 1e100 and node.value != 0:
            raise refuse("a number of moderate size")
    elif isinstance(node, ast.Name):
        if node.id != "z" and node.id not in CONSTANTS:
            raise refuse(f"the variable z, {', '.join(CONSTANTS)} or a function{_near(node.id)}")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        _check(node.operand, text, where)
    elif isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.BitXor):
            raise refuse("** for a power")
        if not isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div | ast.Pow):
            raise refuse("one of + - * / **")
        _check(node.left, text, where)
        _check(node.right, text, where)
    elif isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            raise refuse(f"one of the functions {', '.join(FUNCTIONS)}{_near(name)}")
        count = FUNCTIONS[node.func.id]
        if node.keywords or (len(node.args) != count if count else len(node.args) < 2):
            raise refuse(f"{count or 'at least two'} argument{'s' if count != 1 else ''} of {node.func.id}")
        for argument in node.args:
            _check(argument, text, where)
    else:
        raise refuse("an expression in z")
    if isinstance(node, ast.BinOp):
        value = _constant(node, text)
        if isinstance(node.op, ast.Div) and _constant(node.right, text) == 0:
            raise refuse("a divisor other than 0")
        too_large = isinstance(value, OverflowError) or (
            value is not None and max(abs(value.numerator), value.denominator).bit_length() > MAX_CONSTANT_BITS)
        if too_large or (isinstance(node.op, ast.Pow) and not _moderate(node.right, text)):
            raise refuse(f"exponents up to {MAX_EXPONENT} and constants of moderate size")


def _near(name: str) -> str:
    close = difflib.get_close_matches(name, [*FUNCTIONS, *CONSTANTS, "z"], n=1, cutoff=0.5)
    if not close or name == "abs":
        close = [item for item in FUNCTIONS if item.lower() == name.lower()]
    return f" (did you mean {close[0]}?)" if close else ""


def _moderate(exponent: ast.expr, text: str) -> bool:
    """Whether every number within an exponent, and the exponent itself when it is a number, is small."""
    value = _constant(exponent, text)
    numbers = [literal(item, text) for item in ast.walk(exponent) if isinstance(item, ast.Constant)]
    return all(abs(item) <= MAX_EXPONENT for item in numbers) and not isinstance(value, OverflowError) \
        and (value is None or abs(value) <= MAX_EXPONENT)


def _constant(node: ast.expr, text: str) -> Fraction | OverflowError | None:
    """The rational that a part without z, pi, E and functions stands for; an OverflowError for a huge one."""
    if isinstance(node, ast.Constant):
        return literal(node, text)
    if isinstance(node, ast.UnaryOp):
        inner = _constant(node.operand, text)
        return -inner if isinstance(inner, Fraction) and isinstance(node.op, ast.USub) else inner
    if not isinstance(node, ast.BinOp):
        return None
    left, right = _constant(node.left, text), _constant(node.right, text)
    if isinstance(left, OverflowError) or isinstance(right, OverflowError):
        return OverflowError()
    if left is None or right is None:
        return None
    if isinstance(node.op, ast.Pow):
        if right.denominator != 1:
            return None
        if abs(right) > MAX_EXPONENT or (left == 0 and right < 0):
            return OverflowError()
        return Fraction(left ** int(right))
    if isinstance(node.op, ast.Div):
        return left / right if right != 0 else None
    if isinstance(node.op, ast.Mult):
        return left * right
    return left + right if isinstance(node.op, ast.Add) else left - right


def _read_support(support: Sequence[Any]) -> tuple[str, str]:
    if isinstance(support, str) or not isinstance(support, Sequence) or len(support) != 2:
        raise InputError(f"support: expected two ends of an open interval such as (\"0\", \"oo\"), got {support!r}")
    ends: list[Fraction | None] = []
    for place, (item, infinite) in enumerate(zip(support, ("-oo", "oo"), strict=True)):
        text = str(item).strip()
        problems: list[Problem] = []
        value = None if text == infinite else parse_number(
            text if isinstance(item, str) else item, f"support[{place}]", problems)
        if problems:
            raise InputError(f"support[{place}]: expected a number or {infinite!r}, got {item!r}")
        ends.append(value)
    low, high = ends
    if low is not None and high is not None and low >= high:
        raise InputError(f"support: expected an interval whose first end is the lower one, got ({low}, {high})")
    return ("-oo" if low is None else format_exact(low)), ("oo" if high is None else format_exact(high))
