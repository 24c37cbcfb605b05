"""Pairs of conditional exponential families with polynomial statistics: equal laws and the affine relation, exactly.

Both models have the base density exp(-z^4) per latent, up to a factor that does not depend on u, and the same
decoder up to a scaled permutation of the latents. Given u the laws agree, for a suitable base density of the second
model, exactly when the parts of the exponents that depend on u do.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from hypothesis import strategies as st

from ident_theory.claims.matrices import (
    Matrix,
    block_diagonal,
    inverse,
    is_regular,
    product,
    rank,
    shown_matrix,
    solve,
    transpose,
)
from ident_theory.claims.universal import Universal

#: Monomials z, z^2, z^3.
POWERS = (1, 2, 3)


@dataclass(frozen=True)
class FamilyPair:
    """Two families of n latents with k statistics each.

    Attributes
    ----------
    first, second : tuple of Matrix
        Per latent the coefficients of its statistics in z, z^2, z^3; those of the second model in its own latents.
    order, scales : tuple of int
        Latent j of the second model is scales[j] * z[order[j]].
    natural, other : Matrix
        Parameters of the two models, one row a value of u.
    """

    first: tuple[Matrix, ...]
    second: tuple[Matrix, ...]
    order: tuple[int, ...]
    scales: tuple[int, ...]
    natural: Matrix
    other: Matrix

    @property
    def statistics(self) -> Matrix:
        """The first model's statistics as rows over the monomials of all latents."""
        return block_diagonal(self.first)

    @property
    def pulled(self) -> Matrix:
        """The second model's statistics over the same monomials."""
        width = len(POWERS)
        rows = []
        for block, source, scale in zip(self.second, self.order, self.scales, strict=True):
            for row in block:
                full = [Fraction(0)] * (width * len(self.first))
                full[width * source:width * (source + 1)] = [c * scale**p for c, p in zip(row, POWERS, strict=True)]
                rows.append(tuple(full))
        return tuple(rows)

    def equal_laws(self) -> bool:
        """Whether the noise-free laws of x given u agree for every u."""
        return product(_centred(self.natural), self.statistics) == product(_centred(self.other), self.pulled)

    def minimal(self) -> bool:
        """Whether 1, T_i1, ..., T_ik are linearly independent for every latent i."""
        return all(rank(block) == len(block) for block in self.first)

    def spanning(self) -> bool:
        """Whether some nk + 1 values of u give an invertible L."""
        return rank(_centred(self.natural)) == len(self.natural[0])

    def related(self) -> bool:
        """Whether T = A T~ + c for an invertible matrix A.

        A maps the row relations of one matrix of coefficients to those of the other; it can be chosen invertible just
        if both have the same row space.
        """
        first, second = self.statistics, self.pulled
        return rank(first) == rank(second) == rank((*first, *second))

    def shown(self) -> str:
        """As text."""
        names = ", ".join(shown_matrix(block) for block in self.first)
        others = ", ".join(shown_matrix(block) for block in self.second)
        return (f"coefficients of T in (z, z^2, z^3): {names}; of T~: {others}; z~_j = "
                f"{[f'{s} z_{i}' for s, i in zip(self.scales, self.order, strict=True)]}; lambda(u) = "
                f"{shown_matrix(self.natural)}; lambda~(u) = {shown_matrix(self.other)}")


def _centred(rows: Matrix) -> Matrix:
    return tuple(tuple(a - b for a, b in zip(row, rows[0], strict=True)) for row in rows[1:])


_ENTRY = st.sampled_from([Fraction(x) for x in (0, 1, -1, 2)])


@cache
def _matrix(rows: int, width: int) -> st.SearchStrategy[Matrix]:
    return st.tuples(*[st.tuples(*[_ENTRY] * width)] * rows)


@st.composite
def family_pairs(draw: st.DrawFn, degenerate: bool) -> FamilyPair:
    """The second model is solved for; with `degenerate`, dependent statistics and constant parameters are common."""
    n, k = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    count = n * k + 1
    first = []
    for _ in range(n):
        block = draw(_matrix(k, len(POWERS)))
        if not degenerate and rank(block) < k:
            block = ((Fraction(1), Fraction(0), Fraction(0)), (Fraction(0), Fraction(1), Fraction(0)))[:k]
        elif degenerate and k == 2 and draw(st.booleans()):
            block = (block[0], tuple(2 * c for c in block[0]))
        first.append(block)
    natural = draw(_matrix(count, n * k))
    if not degenerate and rank(_centred(natural)) < n * k:
        natural = tuple(tuple(Fraction(int(i == u - 1)) for i in range(n * k)) for u in range(count))
    order = tuple(draw(st.permutations(range(n))))
    scales = tuple(draw(st.lists(st.sampled_from([1, -1, 2]), min_size=n, max_size=n)))
    second = []
    for source, scale in zip(order, scales, strict=True):
        mixing = draw(_matrix(k, k))
        if not is_regular(mixing):
            mixing = block_diagonal([((Fraction(1),),)] * k)
        block = tuple(tuple(c / Fraction(scale) ** p for c, p in zip(row, POWERS, strict=True))
                      for row in product(mixing, first[source]))
        if draw(st.booleans()):
            block = (*block[:-1], draw(_matrix(1, len(POWERS)))[0])
        second.append(block)
    pair = FamilyPair(tuple(first), tuple(second), order, scales, natural, natural)
    target = product(_centred(natural), pair.statistics)
    system = transpose(pair.pulled)
    solved = [solve(system, row) for row in target]
    zero = (Fraction(0),) * (n * k)
    other = (zero, *(row if row is not None else zero for row in solved))
    return FamilyPair(tuple(first), tuple(second), order, scales, natural, other)


def affine_relation() -> Universal[FamilyPair]:
    """The identifiability theorem for polynomial statistics."""
    return Universal(
        statement="equal laws given every u: T(f^-1(x)) = A T~(f~^-1(x)) + c with an invertible A",
        cases=lambda dropped: family_pairs(bool(dropped)),
        hypotheses={"equal laws": FamilyPair.equal_laws, "L invertible": FamilyPair.spanning,
                    "minimal statistics": FamilyPair.minimal},
        conclusion=FamilyPair.related, needed=("equal laws", "L invertible", "minimal statistics"),
        show=FamilyPair.shown)


@dataclass(frozen=True)
class AffineImage:
    """Statistics T of independent latents, and a matrix A with T = A S for some S."""

    blocks: tuple[Matrix, ...]
    matrix: Matrix

    def factors(self) -> bool:
        """Whether some S has T = A S."""
        return all(solve(self.matrix, column) is not None for column in transpose(block_diagonal(self.blocks)))

    def minimal(self) -> bool:
        """Whether the statistics of every latent are independent modulo constants."""
        return all(rank(block) == len(block) for block in self.blocks)

    def shown(self) -> str:
        """As text."""
        return (f"coefficients of T in (z, z^2, z^3): {', '.join(map(shown_matrix, self.blocks))}; "
                f"A = {shown_matrix(self.matrix)}")


@st.composite
def affine_images(draw: st.DrawFn, sizes: tuple[int, int]) -> AffineImage:
    """Singular matrices whose range contains that of the statistics, where there are any, and invertible ones."""
    n, k = draw(st.integers(1, 3)), draw(st.integers(*sizes))
    blocks = tuple(draw(_matrix(k, len(POWERS))) for _ in range(n))
    rows = block_diagonal(blocks)
    size = n * k
    if draw(st.booleans()) and rank(rows) < size:
        # Columns of T's coefficients that span its range, and zeros.
        chosen: list[tuple[Fraction, ...]] = []
        for column in transpose(rows):
            if rank([*chosen, column]) > len(chosen):
                chosen.append(column)
        padded = [*chosen, *([(Fraction(0),) * size] * (size - len(chosen)))]
        return AffineImage(blocks, transpose(padded))
    matrix = draw(_matrix(size, size))
    return AffineImage(blocks, inverse(matrix) if is_regular(matrix) else matrix)


def invertible_relation(sizes: tuple[int, int], name: str) -> Universal[AffineImage]:
    """T = A S + c for any S on a product of intervals: A is invertible."""
    return Universal(
        statement="T = A S + c on a product of intervals: A is invertible",
        cases=lambda dropped: affine_images(sizes),
        hypotheses={"T = A S": AffineImage.factors, name: AffineImage.minimal},
        conclusion=lambda case: is_regular(case.matrix), needed=("T = A S", name), show=AffineImage.shown)
