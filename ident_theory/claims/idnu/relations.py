"""IDNU, section 2: the definitions of identifiability, the relation of Proposition 1, and its weak and strong forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product as cartesian

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.matrices import (
    INTEGERS,
    NUMBERS,
    Matrix,
    Row,
    apply,
    inverse_or_none,
    invertible_matrices,
    matrices,
    matrix_of,
    product,
    rank,
    shown_matrix,
    solve,
)
from ident_theory.claims.papers import IDNU
from ident_theory.claims.record import Record
from ident_theory.claims.repair.sum_of_curves import is_block_permutation
from ident_theory.claims.universal import Universal
from ident_theory.models.families import FAMILY_NAMES, family
from ident_theory.numerics import Evidence

chapter = Chapter(IDNU)


def _partitions(size: int) -> Iterator[tuple[int, ...]]:
    """Every partition of `size` points, as the class of each point."""
    for labels in cartesian(range(size), repeat=size):
        seen: list[int] = []
        for label in labels:
            if label not in seen:
                seen.append(label)
        if labels == tuple(seen.index(label) for label in labels):
            yield labels


@chapter.claim(
    "idnu.def1", place="Definition 1", kind=Kind.DEFINITION, covers=("Definition 1",),
    statement="A model is identifiable up to an equivalence relation ~ if equal laws of x imply equivalent parameters; "
              "the classes of ~ are then the identifiability classes.",
    hypotheses=("~ is an equivalence relation",),
    scope="the paper writes the law of x without u and uses it given u")
def well_posed(on: Record) -> None:
    """All laws and all relations on up to five parameters: identifiable means that the law determines the class."""
    agreed, cases = True, 0
    for size in range(1, 6):
        for laws, classes in cartesian(_partitions(size), repeat=2):
            pairs = list(cartesian(range(size), repeat=2))
            by_definition = all(classes[a] == classes[b] for a, b in pairs if laws[a] == laws[b])
            class_of_law: dict[int, set[int]] = {}
            for law, cls in zip(laws, classes, strict=True):
                class_of_law.setdefault(law, set()).add(cls)
            agreed &= by_definition == all(len(found) == 1 for found in class_of_law.values())
            agreed &= not by_definition or len(set(classes)) <= len(set(laws))
            cases += 1
    on.printed.support(agreed, "on up to 5 parameters, every partition into laws against every relation: the "
                               "definition holds exactly if the class is a function of the "
                               "law", cases=cases, evidence=Evidence.EXACT)


@chapter.claim(
    "idnu.eq1", place="eq. 1", kind=Kind.DEFINITION,
    statement="The prior is a product of univariate exponential families, and k is the largest order of their "
              "statistics.",
    hypotheses=(),
    correction=Correction("k is the number of statistics of each latent", notational=True))
def number_of_statistics(on: Record) -> None:
    """A centred normal with unknown variance has one statistic, of order two."""
    z = sp.Symbol("z", real=True)
    variance = family("normal_variance")
    order = max(sp.degree(sp.sympify(t, locals={"z": z}), z) for t in variance.statistics)
    on.printed.refute(order == 2 and len(variance.statistics) == 1,
                      f"the family N(0, s^2) has T = {variance.statistics[0]} alone: order {order}, but one natural "
                      "parameter, so the sum in eq. 1 has one term", shown="T(z) = z**2, lambda(u) = -1/(2 s(u)**2)")
    parameters = [(name, family(name)) for name in FAMILY_NAMES if name != "custom"]
    on.corrected.support(all(_fits_parameters(found.statistics, found.k) for _, found in parameters),
                         "k statistics, independent together with 1, for all families of the catalogue: "
                         + ", ".join(f"{name} {found.k}" for name, found in parameters), cases=len(parameters),
                         evidence=Evidence.EXACT)


def _fits_parameters(statistics: tuple[str, ...], k: int) -> bool:
    """Whether there are k statistics, independent with 1: k numbers are then needed to name a member."""
    z = sp.Symbol("z", positive=True)
    values = sp.Matrix([[1, *(sp.sympify(t, locals={"z": z}).subs(z, point) for t in statistics)]
                        for point in (sp.Rational(1, 2), sp.Rational(1, 3), sp.Rational(1, 5))])
    return len(statistics) == k and values.rank(simplify=True) == k + 1


@chapter.claim(
    "idnu.eq1.diagonal", place="section 2, after eq. 3", kind=Kind.CLAIM,
    statement="A Gaussian prior given u fulfils eq. 1 only if its covariance is diagonal.",
    hypotheses=("positive definite covariance",), scope="n up to 4; more latents are taken two at a time")
def factorial_gaussians(on: Record) -> None:
    """Mixed derivatives of the log density are entries of the precision, which is diagonal if the covariance is."""
    checked = []
    for n in (2, 3, 4):
        s = sp.Matrix(n, n, lambda i, j: sp.Symbol(f"s{min(i, j)}{max(i, j)}"))
        z = sp.Matrix(sp.symbols(f"z:{n}"))
        precision = sp.Matrix(n, n, lambda i, j: sp.Symbol(f"p{min(i, j)}{max(i, j)}"))
        log_density = (-(z.T * precision * z) / 2)[0]
        mixed = all(sp.expand(sp.diff(log_density, z[i], z[j]) + precision[i, j]) == 0
                    for i in range(n) for j in range(i))
        diagonal = sp.diag(*[s[i, i] for i in range(n)])
        checked.append(mixed and diagonal.inv().is_diagonal() and not (s if n < 4 else s[:3, :3]).inv().is_diagonal())
    on.printed.prove(all(checked), "a product density has no mixed derivatives of its logarithm; for a Gaussian they "
                                   "are the entries of minus the precision off the diagonal, and a matrix is diagonal "
                                   "exactly if its inverse is (symbolic, n = 2, 3, 4; any two coordinates at a time)")


@dataclass(frozen=True)
class Related:
    """T = A T' + c at common points: statistics of two parameters that stand in the relation."""

    first: Matrix
    second: Matrix
    a: Matrix
    c: Row


@st.composite
def _related(draw: st.DrawFn, dropped: frozenset[str]) -> Related:
    size, points = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    second = draw(matrices(points, size, NUMBERS))
    a = draw(matrices(size, size)) if "A invertible" in dropped else draw(invertible_matrices(size))
    c = draw(matrices(1, size))[0]
    return Related(tuple(apply(a, row, c) for row in second), second, a, c)


def affine_image(first: Matrix, second: Matrix) -> bool:
    """Whether first = B second + d for some B and d, at all points."""
    columns = [[*row, Fraction(1)] for row in second]
    return all(solve(columns, [row[i] for row in first]) is not None for i in range(len(first[0])))


def proposition1() -> Universal[Related]:
    """The reverse relation exists, with an invertible matrix."""
    return Universal("if T = A T' + c with A invertible, then T' = B T + d", cases=_related,
                     conclusion=lambda case: affine_image(case.second, case.first),
                     hypotheses={"A invertible": lambda case: inverse_or_none(case.a) is not None},
                     needed=("A invertible",),
                     show=lambda case: f"T = {shown_matrix(case.first)}, T' = {shown_matrix(case.second)}, "
                                       f"A = {shown_matrix(case.a)}")


@chapter.claim(
    "idnu.prop1", place="Proposition 1", kind=Kind.PROPOSITION, covers=("Proposition 1",),
    statement="Parameters are equivalent if and only if some A and c give T(f^-1(x)) = A T'(f'^-1(x)) + c for all x; "
              "this is an equivalence relation.",
    hypotheses=("both decoders have the same image",),
    correction=Correction("the same with A invertible", hypotheses=("A is invertible",)), universal=proposition1)
def not_symmetric(on: Record) -> None:
    """(z, 2z) is an image of (z, z^2), and not the other way round."""
    z = sp.Symbol("z", real=True)
    first, second, a = sp.Matrix([z, 2 * z]), sp.Matrix([z, z**2]), sp.Matrix([[1, 0], [2, 0]])
    at = [0, 1, 2]
    values = [matrix_of([[int(t.subs(z, p)) for t in statistic] for p in at]) for statistic in (first, second)]
    on.printed.refute(sp.expand(first - a * second) == sp.zeros(2, 1) and not affine_image(values[1], values[0])
                      and affine_image(values[0], values[1]),
                      "n = 1: (z, 2z) = A (z, z^2) with A = [[1, 0], [2, 0]], but (z, z^2) is no affine image of (z, "
                      "2z), already at z = 0, 1, 2: the relation is not symmetric", shown="A = [[1, 0], [2, 0]], c = 0")
    on.printed.search(cases=50, without=("A invertible",))
    on.corrected.prove(_group_laws(), "reflexive with A = 1; symmetric with the inverse and -A^-1 c; transitive with "
                                      "the product and A2 c1 + c2 (matrix symbols of any size)")
    on.corrected.search(cases=100)


def _group_laws() -> bool:
    m = sp.Symbol("m", integer=True, positive=True)
    a, b = sp.MatrixSymbol("A", m, m), sp.MatrixSymbol("B", m, m)
    c, d, t = sp.MatrixSymbol("c", m, 1), sp.MatrixSymbol("d", m, 1), sp.MatrixSymbol("t", m, 1)
    image = (a * t + c).doit()
    back = (sp.Inverse(a) * image - sp.Inverse(a) * c).expand().doit()
    twice = (b * image + d).expand().doit() - ((b * a) * t + (b * c + d)).expand().doit()
    same = sp.Identity(m) * t
    return bool(back == t and sp.simplify(twice) == sp.ZeroMatrix(m, 1) and same.doit() == t)


@dataclass(frozen=True)
class BlockPair:
    """Two block permutations: the column of the block of every row of blocks, and the blocks."""

    columns: tuple[tuple[int, ...], tuple[int, ...]]
    blocks: tuple[tuple[Matrix, ...], tuple[Matrix, ...]]

    def matrix(self, which: int) -> Matrix:
        """The whole matrix."""
        n, k = len(self.columns[which]), len(self.blocks[which][0])
        zero = (Fraction(0),) * k
        columns, blocks = self.columns[which], self.blocks[which]
        return tuple(tuple(v for j in range(n) for v in (blocks[i][r] if j == columns[i] else zero))
                     for i in range(n) for r in range(k))


@st.composite
def _block_pairs(draw: st.DrawFn, dropped: frozenset[str]) -> BlockPair:
    n, k = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    block = matrices(k, k, INTEGERS) if "blocks invertible" in dropped else invertible_matrices(k)
    columns = tuple(tuple(draw(st.permutations(range(n)))) for _ in range(2))
    blocks = tuple(tuple(draw(block) for _ in range(n)) for _ in range(2))
    return BlockPair((columns[0], columns[1]), (blocks[0], blocks[1]))


def cut(matrix: Matrix, k: int) -> tuple[tuple[Matrix, ...], ...]:
    """A matrix as k x k blocks."""
    n = len(matrix) // k
    return tuple(tuple(tuple(row[j * k:(j + 1) * k] for row in matrix[i * k:(i + 1) * k]) for j in range(n))
                 for i in range(n))


def _is_closed(case: BlockPair) -> bool:
    k, first, second = len(case.blocks[0][0]), case.matrix(0), case.matrix(1)
    back = inverse_or_none(first)
    return (back is not None and is_block_permutation(cut(back, k))
            and is_block_permutation(cut(product(first, second), k)))


def strong_relation() -> Universal[BlockPair]:
    """Block permutations with invertible blocks are closed under inverses and products."""
    return Universal("block permutations with invertible blocks have inverses and products of the same kind",
                     cases=_block_pairs, conclusion=_is_closed,
                     hypotheses={"blocks invertible": lambda case: all(rank(b) == len(b) for blocks in case.blocks
                                                                       for b in blocks)},
                     needed=("blocks invertible",),
                     show=lambda case: f"{shown_matrix(case.matrix(0))} and {shown_matrix(case.matrix(1))}")


@chapter.claim(
    "idnu.def2", place="Definition 2; section 4", kind=Kind.DEFINITION, covers=("Definition 2",),
    statement="Weak: A is invertible. Strong: A is a permutation of the blocks of statistics, and then (section 4) "
              "the latents are the same up to permutations only.",
    hypotheses=("the relation of Proposition 1",),
    correction=Correction("strong: every row of k x k blocks has one non-zero block, an invertible one, in a column of "
                          "its own: the latents are the same up to permutations and a map of each",
                          hypotheses=("blocks invertible",)),
    universal=strong_relation)
def permutations_and_maps(on: Record) -> None:
    """A normal latent and its double have one law of x, and the matrix between their statistics is no permutation."""
    w, mean, variance = sp.symbols("w m v", real=True)
    doubled = sp.Matrix([2 * w, (2 * w)**2])
    found = sp.Matrix([[2, 0], [0, 4]])
    exponent = -(w - mean)**2 / (2 * variance)
    scaled = -(2 * w - 2 * mean)**2 / (2 * (4 * variance))
    unique = sp.Matrix([[1, p, p**2] for p in (0, 1, 2)]).rank() == 3
    block = matrix_of([[int(v) for v in row] for row in found.tolist()])
    on.printed.refute(sp.expand(doubled - found * sp.Matrix([w, w**2])) == sp.zeros(2, 1) and unique
                      and sp.simplify(exponent - scaled) == 0 and is_block_permutation(((block,),))
                      and sp.expand(doubled[0] - w) != 0,
                      "z = 2 w, normal given u, f(z) = f'(z / 2): the same law of x, and the only A is diag(2, 4): "
                      "one latent, one block, so a block permutation, and z is not w",
                      shown="T = (z, z^2), T' = (w, w^2), A = [[2, 0], [0, 4]]")
    on.corrected.search(cases=100)
