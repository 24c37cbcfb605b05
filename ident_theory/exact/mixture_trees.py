"""Mixture priors as the verifier sees them: a plain tree, read strictly and without the model classes."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

from flint import fmpz

from ident_theory.errors import CertificateRejected

Row = tuple[Fraction, Fraction]

_RATIONAL = re.compile(r"-?[0-9]+(/[0-9]+)?")


class MixtureTree:
    """A mixture read from the plain tree of a model.

    Attributes
    ----------
    weights, means, covariances : list
        Shapes (J,), (J, m) and (J, m, m), of Fraction.
    size, dim : int
        J and m.
    states : list of int
        (d_1, ..., d_k).
    cells : list of tuple of int
        The state of the hidden variables in each component.
    live : list of int
        Components of positive weight.
    declared : list or None
        Neighbourhoods as the user gave them.
    """

    def __init__(self, model: Mapping[str, Any]) -> None:
        tree = model["prior"]
        self.weights = [number(item) for item in tree["weights"]]
        self.means = [[number(item) for item in row] for row in tree["means"]]
        self.covariances = [[[number(item) for item in row] for row in matrix] for matrix in tree["covariances"]]
        self.size, self.dim = len(self.weights), len(self.means[0])
        self.states = [index(item, None) for item in tree.get("states", [self.size])]
        self.declared = tree.get("neighbourhoods")
        demand(math.prod(self.states) == self.size and len(self.means) == len(self.covariances) == self.size
               and all(len(row) == self.dim for row in self.means)
               and all(len(matrix) == self.dim and all(len(row) == self.dim for row in matrix)
                       for matrix in self.covariances), "the prior's shapes do not fit together")
        self.cells = list(itertools.product(*(range(d) for d in self.states)))
        self.live = [j for j in range(self.size) if self.weights[j] > 0]

    def parameters(self, j: int) -> tuple[tuple[Fraction, ...], ...]:
        """Mean and covariance of component `j`, comparable and hashable."""
        return (tuple(self.means[j]), *(tuple(row) for row in self.covariances[j]))

    def row(self, j: int, t: int) -> Row:
        """Mean and variance of coordinate `t` in component `j`: the law of Z_t there."""
        return self.means[j][t], self.covariances[j][t][t]

    @cached_property
    def columns(self) -> list[list[Row]]:
        """`row`, for every coordinate and component."""
        return [[self.row(j, t) for j in range(self.size)] for t in range(self.dim)]

    @cached_property
    def neighbourhoods(self) -> list[list[int]]:
        """ne(U_i) of each hidden variable, sorted."""
        return neighbours(self.cells, self.live, self.columns)


def neighbours(cells: Sequence[tuple[int, ...]], live: Sequence[int],
                columns: Sequence[Sequence[Row]]) -> list[list[int]]:
    """Definition 3.2: for each variable the coordinates whose row changes with it, the other variables fixed."""
    found: list[list[int]] = []
    for i in range(len(cells[0])):
        lines: dict[tuple[int, ...], list[int]] = {}
        for j in live:
            lines.setdefault(cells[j][:i] + cells[j][i + 1:], []).append(j)
        found.append([t for t, column in enumerate(columns)
                      if any(column[j] != column[line[0]] for line in lines.values() for j in line[1:])])
    return found


def number(value: Any) -> Fraction:
    """An exact number: an integer or ``"p/q"``; nothing else is taken."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise CertificateRejected(f"expected an integer or \"p/q\", got {value!r}")
    return _fraction(value)


@lru_cache(maxsize=1 << 16)
def _fraction(value: int | str) -> Fraction:
    if isinstance(value, int):
        return Fraction(value)
    if not _RATIONAL.fullmatch(value):
        raise CertificateRejected(f"expected an integer or \"p/q\", got {value[:40]!r}")
    # Python refuses to read integers of more than 4300 digits; pivots of wide-ranged floats can have more.
    numerator, _, denominator = value.partition("/")
    return Fraction(int(fmpz(numerator)), int(fmpz(denominator or "1")))


def index(value: Any, end: int | None) -> int:
    """A whole number from 0, below `end` when that is given."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or (end is not None and value >= end):
        raise CertificateRejected(f"expected a whole number from 0{f' to {end - 1}' if end else ''}, got {value!r}")
    return value


def demand(holds: bool, step: str) -> None:
    """Reject the proof, naming the step that fails."""
    if not holds:
        raise CertificateRejected(step)
