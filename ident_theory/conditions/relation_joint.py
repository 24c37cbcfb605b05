"""Affine maps that decoders and priors determine together where neither determines them alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from flint import fmpq, fmpq_mat

from ident_theory.conditions.relation_priors import as_mixture, marked
from ident_theory.exact.pair_equivalence import covariance_of, mean_of
from ident_theory.exact.pair_trees import Mixture
from ident_theory.exact.rationals import fraction, rational
from ident_theory.geometry.cell_images import OutOfTime
from ident_theory.geometry.cells import Cell
from ident_theory.geometry.changes import cells_in_time
from ident_theory.geometry.same_function import same_function
from ident_theory.models import AffineChange, Model, ReLUNetwork
from ident_theory.numerics import Stopwatch
from ident_theory.recovery import exact_alignments

#: Ways to match the cells of two decoders that are tried, and maps that are listed.
MAX_MATCHINGS, MAX_CHANGES = 64, 64


@dataclass(frozen=True)
class JointCandidates:
    """Maps among which all are that relate two models, if `complete`; `exist`: some map does, rational or not."""

    changes: tuple[AffineChange, ...]
    complete: bool
    exist: bool
    reason: str


@dataclass(frozen=True)
class _Piece:
    """An affine map A z + c of a cell, with A mu + c and A S for the mean mu and covariance S of the prior."""

    matrix: fmpq_mat
    offset: fmpq_mat
    value: fmpq_mat
    half: fmpq_mat

    @staticmethod
    def of(cell: Cell, mean: fmpq_mat, covariance: fmpq_mat) -> _Piece:
        matrix = fmpq_mat([list(row) for row in cell.matrix])
        offset = fmpq_mat(len(cell.offset), 1, list(cell.offset))
        return _Piece(matrix, offset, matrix * mean + offset, matrix * covariance)

    def product(self, other: _Piece) -> fmpq_mat:
        """A S A'^T: covariances of the two images."""
        return self.half * other.matrix.transpose()


def joint_candidates(first: Model, second: Model, clock: Stopwatch) -> JointCandidates:
    r"""Candidates for all h with h#P_a = P_b and f_b o h = f_a, for networks and mixtures (or normal laws given u).

    Cells of f_a whose matrices together have the rank of all of them are matched with cells of f_b, on which
    :math:`B h(z) + d = A z + c`. As h carries mean and covariance, :math:`B\mu' + d = A\mu + c` and
    :math:`B S' B'^T = A S A'^T`, which leaves few matchings. The linear part H of h takes :math:`S A^T` to
    :math:`H S H^T B^T = S' B^T`. So h also carries point masses at :math:`\mu + S A^T e_i` to such at
    :math:`\mu' + S' B^T e_i`, and with these added to the priors `exact_alignments` gives the candidates. Where there
    are m independent rows in the A, they determine h alone.
    """
    assert isinstance(first.decoder, ReLUNetwork)
    assert isinstance(second.decoder, ReLUNetwork)
    a, b = as_mixture(first.prior), as_mixture(second.prior)
    assert a is not None
    assert b is not None
    moments, others = _moments(a.by_component()), _moments(b.by_component())
    try:
        pieces = [_Piece.of(cell, *moments) for cell in _spanning(first.decoder, clock)]
        targets = {str((cell.matrix, cell.offset)): cell for cell in cells_in_time(second.decoder, clock)}
    except OutOfTime as error:
        return JointCandidates((), False, False, f"the budget of {clock.seconds:g} s ran out while {error}")
    found: dict[AffineChange, None] = {}
    reasons: list[str] = []
    exist = False
    for count, images in enumerate(_matchings(pieces, [_Piece.of(cell, *others) for cell in targets.values()])):
        if count == MAX_MATCHINGS:
            reasons.append(f"more than {MAX_MATCHINGS} ways to match cells")
            break
        rows = _independent([row for piece in pieces for row in piece.matrix.tolist()])
        change = _by_rows(pieces, images, rows, first.latent_dim)
        if len(rows) == first.latent_dim:
            found |= {} if change is None else {change: None}
            continue
        marks = [_marks(side, mean) for side, (mean, _) in ((pieces, moments), (images, others))]
        kept = _independent([row for piece in pieces for row in piece.half.tolist()])
        marks = [[side[i] for i in kept] for side in marks]
        answer = exact_alignments(marked(a, marks[0]), marked(b, marks[1]), MAX_CHANGES)
        found |= dict.fromkeys(answer.changes)
        if not answer.complete:
            reasons.append(answer.reason)
            # Of infinitely many maps the orthogonal ones would else be hit by chance only.
            turns = exact_alignments(marked(a, marks[0], True), marked(b, marks[1], True), MAX_CHANGES)
            found |= dict.fromkeys(turns.changes)
            # f_a depends on its rows alone. If f_b o k = f_a for one k that takes them to those of f_b, then f_b does
            # not change along their common kernel, in which h(z) - k(z) lies for every other such h.
            exist = exist or bool(
                answer.exist and change is not None and moments[1].rank() == first.latent_dim
                and same_function(first.decoder, change.inverse().precompose(second.decoder), clock).same)
    return JointCandidates(tuple(found), not reasons, exist, "; ".join(dict.fromkeys(reasons)) or
                           "decoders and priors together leave no other map")


def _by_rows(pieces: list[_Piece], images: list[_Piece], kept: list[int], m: int) -> AffineChange | None:
    """A map with B h(z) + d = A z + c, for some independent rows [A | c] of the pieces and those of their images.

    The only one when there are m rows. None when the rows of the images depend on each other.
    """
    wide, other = (_completed([[row for piece in side for row in piece.matrix.tolist()][i] for i in kept], m)
                   for side in (pieces, images))
    if wide is None or other is None:
        return None
    gaps = [v - w for piece, image in zip(pieces, images, strict=True)
            for v, w in zip(piece.offset.entries(), image.offset.entries(), strict=True)]
    shift = other.inv() * fmpq_mat(m, 1, [*(gaps[i] for i in kept), *[fmpq(0)] * (m - len(kept))])
    return AffineChange([[fraction(v) for v in row] for row in (other.inv() * wide).tolist()],
                        [fraction(v) for v in shift.entries()])


def _completed(rows: list[list[fmpq]], m: int) -> fmpq_mat | None:
    """A regular matrix that begins with some rows; None when they depend on each other."""
    units = [[fmpq(int(i == k)) for k in range(m)] for i in range(m)]
    whole = [*rows, *units]
    kept = _independent(whole)
    return fmpq_mat([whole[i] for i in kept]) if kept[:len(rows)] == list(range(len(rows))) else None


def _moments(law: Mixture) -> tuple[fmpq_mat, fmpq_mat]:
    mean, covariance = mean_of(law), covariance_of(law)
    return fmpq_mat([[rational(v)] for v in mean]), fmpq_mat([[rational(v) for v in row] for row in covariance])


def _spanning(network: ReLUNetwork, clock: Stopwatch) -> list[Cell]:
    """Cells of which each adds to the rank of the matrices before it, until no cell does."""
    chosen: list[Cell] = []
    rows: list[list[fmpq]] = []
    rank = 0
    for cell in cells_in_time(network, clock):
        more = [*rows, *(list(row) for row in cell.matrix)]
        new = fmpq_mat(more).rank()
        if new > rank:
            chosen, rows, rank = [*chosen, cell], more, new
            if rank == network.latent_dim:
                break
    return chosen


def _matchings(pieces: list[_Piece], targets: list[_Piece]) -> Iterator[list[_Piece]]:
    """Targets for all pieces with the same means and covariances."""
    stack: list[list[_Piece]] = [[]]
    while stack:
        chosen = stack.pop()
        if len(chosen) == len(pieces):
            yield chosen
            continue
        piece = pieces[len(chosen)]
        products = [piece.product(other) for other in pieces[:len(chosen) + 1]]
        for target in targets:
            if target.value == piece.value and all(
                    target.product(other) == product
                    for other, product in zip([*chosen, target], products, strict=True)):
                stack.append([*chosen, target])


def _marks(pieces: list[_Piece], mean: fmpq_mat) -> list[list[Fraction]]:
    """The points mu + S A^T e_i of all pieces."""
    rows = [row for piece in pieces for row in piece.half.tolist()]
    return [[fraction(v + c) for v, c in zip(row, mean.entries(), strict=True)] for row in rows]


def _independent(rows: list[list[fmpq]]) -> list[int]:
    """Positions of rows that span all; earlier ones first."""
    kept: list[int] = []
    for i, row in enumerate(rows):
        if fmpq_mat([*(rows[k] for k in kept), row]).rank() > len(kept):
            kept.append(i)
    return kept
