"""All affine maps between two models, by brute force over pairs of cells."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

from common.law_oracle import Cell, Row, cells_of, exact, interior_point, value

from ident_theory import Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.testing.matrices import Matrix, Vector, apply, identity, inverse, plus, times
from ident_theory.testing.strategies_pairs import carried

Function = ReLUNetwork | PiecewiseAffineMap
Change = tuple[Matrix, Vector]
#: Points to look at first; breakpoints are seldom among them.
POINTS = {m: [[Fraction(u * 37 + k * 11 - 50, 29 + k) for u, k in enumerate(row)]
              for row in product(range(4), repeat=m)] for m in (1, 2, 3)}


def _fraction(v) -> Fraction:
    return Fraction(int(v.p), int(v.q))


def _linear(rows: Sequence[Row]) -> tuple[Matrix, Vector]:
    return [[_fraction(v) for v in row[:-1]] for row in rows], [_fraction(row[-1]) for row in rows]


def _pulled(row: Row, a: Matrix, b: Vector) -> Row:
    """g(a z + b) as a function of z."""
    lead = [_fraction(v) for v in row[:-1]]
    slope = [sum((g * line[k] for g, line in zip(lead, a, strict=True)), Fraction(0)) for k in range(len(a))]
    start = sum((g * v for g, v in zip(lead, b, strict=True)), _fraction(row[-1]))
    return tuple(map(exact, [*slope, start]))


def agree(f: Function, g: Function, a: Matrix, b: Vector) -> bool:
    """Whether f(z) = g(a z + b) in the interior of all cells: for continuous maps, everywhere."""
    m = f.latent_dim
    if any(value(f, list(map(exact, z))) != value(g, list(map(exact, plus(apply(a, z), b)))) for z in POINTS[m]):
        return False
    others = [([_pulled(row, a, b) for row in cell], [_pulled(row, a, b) for row in rows])
              for cell, rows in cells_of(g)]
    return all(rows == more or interior_point([*cell, *other], m) is None
               for cell, rows in cells_of(f) for other, more in others)


def _full_cells(f: Function) -> list[tuple[Cell, list[Row], tuple[int, ...]]]:
    """Cells where f is injective, with the first rows of full rank."""
    found = []
    for cell, rows in cells_of(f):
        chosen: list[int] = []
        for i in range(len(rows)):
            picked = [[_fraction(v) for v in rows[k][:-1]] for k in (*chosen, i)]
            if _rank(picked) == len(picked):
                chosen.append(i)
        if len(chosen) == f.latent_dim:
            found.append((cell, list(rows), tuple(chosen)))
    return found


def _rank(rows: Matrix) -> int:
    left, rank = [row[:] for row in rows], 0
    for j in range(len(rows[0])):
        pivot = next((i for i in range(rank, len(left)) if left[i][j]), None)
        if pivot is None:
            continue
        left[rank], left[pivot] = left[pivot], left[rank]
        for i in range(rank + 1, len(left)):
            factor = left[i][j] / left[rank][j]
            left[i] = [v - factor * u for v, u in zip(left[i], left[rank], strict=True)]
        rank += 1
    return rank


def maps_of_decoders(f: Function, g: Function) -> list[Change] | None:
    """All invertible affine h with g o h = f; None when f is injective in no cell and they may be infinitely many."""
    cells = _full_cells(f)
    if not cells:
        return None
    a, c = _linear(cells[0][1])
    found: list[Change] = []
    for _, rows, chosen in _full_cells(g):
        b, d = _linear(rows)
        back = inverse([b[i] for i in chosen])
        assert back is not None
        h = times(back, [a[i] for i in chosen])
        t = apply(back, [c[i] - d[i] for i in chosen])
        if (inverse(h) is not None and times(b, h) == a and plus(apply(b, t), d) == c and (h, t) not in found
                and agree(f, g, h, t)):
            found.append((h, t))
    return found


def affine_maps(first: Model, second: Model) -> list[Change] | None:
    """All invertible affine h with P_b = h#P_a and f_b = f_a o h^-1; None when the first decoder leaves too many."""
    maps = maps_of_decoders(first.decoder, second.decoder)
    m = first.latent_dim
    target = carried(second.mixture, identity(m), [Fraction(0)] * m)
    return None if maps is None else [(a, b) for a, b in maps if carried(first.mixture, a, b) == target]
