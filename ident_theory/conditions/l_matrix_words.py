"""Directions in which the parameters do not vary with u, exactly and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from flint import fmpz_mat

from ident_theory.conditions.l_matrix_choice import exact_rank, integer_rows, table
from ident_theory.exact.rationals import format_exact, nearest_float
from ident_theory.models.conditional import ConditionalPrior
from ident_theory.models.value import ExactArray

#: Families whose parameters are (mean/variance, -1/(2 variance)), with what they are the mean and variance of.
_NORMAL_LIKE = {"normal": "", "lognormal": " of log z"}


@dataclass(frozen=True)
class Missing:
    """One direction c with c . lambda(u) constant.

    Attributes
    ----------
    direction : tuple of int, length n k
        Without a common factor, the first non-zero one positive.
    constant : Fraction
        The value of c . lambda(u).
    latent : int or None
        The one latent it is about, None when it joins several.
    text : str
        What it means, without the latent's number.
    """

    direction: tuple[int, ...]
    constant: Fraction
    latent: int | None
    text: str


def differences(prior: ConditionalPrior) -> ExactArray:
    """Rows that c must be orthogonal to for c . lambda(u) to be the same at every u beyond doubt.

    These are the differences of the parameters; for estimates also the rows of their covariances, since otherwise
    the true parameters may vary.
    """
    rows = table(prior)
    found = rows[1:] - rows[0]
    if prior.covariance_exact is None:
        return found
    return np.concatenate([found, prior.covariance_exact.reshape(-1, rows.shape[1])])


def orthogonal(rows: ExactArray) -> list[tuple[int, ...]]:
    """A basis of all vectors orthogonal to the rows, in integers without a common factor."""
    size = rows.shape[1]
    if not len(rows):
        return [tuple(int(i == j) for j in range(size)) for i in range(size)]
    basis, count = fmpz_mat(integer_rows(rows)).nullspace()
    return [_primitive([int(basis[i, l]) for i in range(size)]) for l in range(count)]


def missing_directions(prior: ConditionalPrior, joint: int = 20) -> list[Missing]:
    """Independent directions in which the parameters do not vary: all those of single latents, then others.

    Parameters
    ----------
    prior : ConditionalPrior
    joint : int
        At most so many that join several latents; together with all of the first kind they are a basis when that
        is enough. Where there are too few values of u almost every direction is of this kind and says little.
    """
    rows, changes, k = table(prior), differences(prior), prior.k
    found: list[Missing] = []
    for i in range(prior.latent_dim):
        block = slice(i * k, (i + 1) * k)
        own = orthogonal(changes[:, block])
        for c in own:
            padded = (0,) * (i * k) + c + (0,) * (rows.shape[1] - (i + 1) * k)
            constant = _value(c, rows[:, block])
            text = "its law does not depend on u" if len(own) == k else _in_words(prior, c, constant)
            found.append(Missing(padded, constant, i, text))
    target = min(missing_count(prior), len(found) + joint)
    for c in sorted(orthogonal(changes), key=lambda c: sum(map(bool, c))) if len(found) < target else []:
        if len(found) < target and fmpz_mat([list(item.direction) for item in found] + [list(c)]).rank() > len(found):
            found.append(Missing(c, _value(c, rows), None, _joint(prior, c, _value(c, rows))))
    return found


def missing_count(prior: ConditionalPrior) -> int:
    """Number of independent directions in which the parameters do not vary: nk minus the rank."""
    changes = differences(prior)
    return int(changes.shape[1]) - exact_rank(changes)


def summary(prior: ConditionalPrior, missing: Sequence[Missing], limit: int = 6) -> str:
    """What does not vary, latents with the same sentence together; empty for an empty list."""
    groups: dict[str, list[int]] = {}
    for item in missing:
        if item.latent is not None and item.latent not in groups.setdefault(item.text, []):
            groups[item.text].append(item.latent)
    parts = []
    for text, latents in groups.items():
        names = f"latent{'s' if len(latents) > 1 else ''} {', '.join(map(str, latents))}"
        parts.append(f"{'every latent' if len(latents) == prior.latent_dim > 1 else names}: {text}")
    parts += [f"several latents together: {item.text}" for item in missing if item.latent is None]
    if len(parts) > limit:
        parts = [*parts[:limit], f"and {len(parts) - limit} more"]
    return "; ".join(parts)


def _primitive(vector: Sequence[int]) -> tuple[int, ...]:
    common = math.gcd(*vector) * (1 if next(item for item in vector if item) > 0 else -1)
    return tuple(item // common for item in vector)


def _value(c: Sequence[int], rows: ExactArray) -> Fraction:
    return Fraction(np.dot(np.array(c, dtype=object), rows[0]))


def _in_words(prior: ConditionalPrior, c: Sequence[int], constant: Fraction) -> str:
    """What it means for one latent that c . (its parameters) is constant."""
    if prior.family.name in _NORMAL_LIKE:
        what = _NORMAL_LIKE[prior.family.name]
        # With mean m and variance v: (c0 m - c1/2)/v = constant, so c0 m = c1/2 + constant v.
        if c[0] == 0:
            return f"its variance{what} is the same at every u, so at most the mean varies"
        start, slope = Fraction(c[1], 2 * c[0]), constant / c[0]
        if slope == 0:
            return f"its mean{what} is {_short(start)} at every u, so only the variance varies"
        return f"its points (mean, variance){what} lie on one line: mean = {_sum([(start, ''), (slope, 'variance')])}"
    if sum(map(bool, c)) == 1:
        j = next(j for j, item in enumerate(c) if item)
        return f"the parameter of {prior.family.statistics[j]} is {_short(constant / c[j])} at every u"
    terms = [(Fraction(item), f"lambda[{statistic}]") for item, statistic in
             zip(c, prior.family.statistics, strict=True)]
    return f"its parameters obey {_sum(terms)} = {_short(constant)} at every u"


def _joint(prior: ConditionalPrior, c: Sequence[int], constant: Fraction) -> str:
    terms = [(Fraction(item), f"lambda[latent {place // prior.k}, {prior.family.statistics[place % prior.k]}]")
             for place, item in enumerate(c)]
    return f"{_sum(terms)} = {_short(constant)} at every u"


def _short(value: Fraction) -> str:
    """Exactly where that is readable, else to six digits."""
    text = format_exact(value)
    return text if len(text) <= 12 else f"{nearest_float(value):.6g}"


def _sum(terms: Sequence[tuple[Fraction, str]]) -> str:
    text = ""
    for factor, name in terms:
        if factor == 0:
            continue
        size = abs(factor)
        body = name if size == 1 and name else f"{_short(size)} {name}".strip()
        sign = "-" if factor < 0 else "+"
        text += f" {sign} {body}" if text else ("-" if factor < 0 else "") + body
    return text or "0"
