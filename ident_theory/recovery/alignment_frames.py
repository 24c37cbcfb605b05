"""Mixtures as exact alignment sees them: centred, on the plane that carries them, with affine invariants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flint import fmpq, fmpq_mat, nmod_mat

from ident_theory.exact.rationals import rational, to_flint
from ident_theory.geometry.linear_systems import solutions
from ident_theory.models import GaussianMixture

ZERO = fmpq(0)
#: The largest primes below 2^62.
PRIMES = (4611686018427387847, 4611686018427387817, 4611686018427387787)


def unit(size: int) -> fmpq_mat:
    """The unit matrix."""
    return fmpq_mat(size, size, [fmpq(i == k) for i in range(size) for k in range(size)])


def side_by_side(columns: Sequence[Sequence[fmpq]], size: int) -> fmpq_mat:
    """The matrix with these columns of length `size`; there may be none."""
    return fmpq_mat(size, len(columns), [column[i] for i in range(size) for column in columns])


def columns_of(matrix: fmpq_mat) -> list[list[fmpq]]:
    """The columns of a matrix."""
    return [list(column) for column in matrix.transpose().tolist()]


def kernel(matrix: fmpq_mat) -> fmpq_mat:
    """A basis of the vectors that `matrix` sends to zero, as columns; equal kernels give equal bases."""
    size = matrix.ncols()
    rows = [[*row, ZERO] for row in matrix.tolist()] or [[ZERO] * (size + 1)]
    found = solutions(fmpq_mat(rows))
    assert found is not None
    return side_by_side(found[1], size)


def left_inverse(matrix: fmpq_mat) -> fmpq_mat:
    """The pseudo-inverse of a matrix of full column rank."""
    gram = matrix.transpose() * matrix
    return gram.inv() * matrix.transpose() if matrix.ncols() else fmpq_mat(0, matrix.nrows())


@dataclass(frozen=True)
class Frame:
    r"""A reduced mixture in coordinates x of the plane that carries it: z = center + carrier x.

    Attributes
    ----------
    weights : list of fmpq
    center : fmpq_mat, shape (m, 1)
        The mean of the mixture.
    carrier, free : fmpq_mat, shapes (m, r), (m, m - r)
        Bases of the plane's directions, and of the directions orthogonal to it.
    means : fmpq_mat, shape (r, J)
        The components' means, centred.
    covariances : list of fmpq_mat, shape (r, r)
    metric : fmpq_mat, shape (r, r)
        :math:`S^{-1}`, the inverse of the covariance of the whole mixture.
    maps : list of fmpq_mat, shape (r, r)
        :math:`M_j = \Sigma_j S^{-1}`. For h#P = P' with linear part A one has :math:`A M_j = M'_{\pi(j)} A`.
    """

    weights: list[fmpq]
    center: fmpq_mat
    carrier: fmpq_mat
    free: fmpq_mat
    means: fmpq_mat
    covariances: list[fmpq_mat]
    metric: fmpq_mat
    maps: list[fmpq_mat]

    @property
    def rank(self) -> int:
        """Dimension r of the plane that carries the mixture."""
        return int(self.carrier.ncols())

    @property
    def count(self) -> int:
        """Number of components J."""
        return len(self.weights)


def frame(mixture: GaussianMixture) -> Frame:
    """The frame of a mixture that is reduced."""
    weights = [rational(w) for w in mixture.weights_exact]
    m, count = mixture.latent_dim, mixture.n_components
    means = to_flint(mixture.means_exact.T)
    center = means * fmpq_mat(count, 1, weights)
    centred = means - center * fmpq_mat(1, count, [fmpq(1)] * count)
    covariances = [to_flint(c) for c in mixture.covariances_exact]
    weighted = side_by_side([[w * v for v in column] for w, column in zip(weights, columns_of(centred), strict=True)],
                            m)
    whole = weighted * centred.transpose()
    for w, c in zip(weights, covariances, strict=True):
        whole += c * w
    free = kernel(whole)
    carrier = unit(m) if not free.ncols() else kernel(free.transpose())
    back = left_inverse(carrier)
    local = [back * c * back.transpose() for c in covariances]
    metric = (back * whole * back.transpose()).inv() if carrier.ncols() else fmpq_mat(0, 0)
    return Frame(weights, center, carrier, free, back * centred, local, metric, [c * metric for c in local])


def colours(a: Frame, b: Frame) -> tuple[list[list[int]], list[list[int]]]:
    r"""Tables that give equal numbers to pairs of components that an affine map could match, (J, J) each.

    Entry (j, k) stands for :math:`u_j^T S^{-1} u_k`, :math:`\mathrm{tr}(M_j M_k)`,
    :math:`u_j^T S^{-1} \Sigma_k S^{-1} u_j` and the same with j and k exchanged; on the diagonal also for the weight
    and :math:`\mathrm{tr} M_j`, refined by the multiset of what stands in the row. All are taken modulo a prime:
    equal rationals have equal residues, and that unequal ones have too is unlikely and only costs time.
    """
    tables = None
    for prime in PRIMES:
        try:
            tables = [_residue_table(f, prime) for f in (a, b)]
            break
        except ZeroDivisionError:  # the prime divides a denominator
            continue
    if tables is None:
        blank = [[0] * a.count for _ in range(a.count)]
        return blank, blank
    names: dict[object, int] = {}

    def name(key: object) -> int:
        return names.setdefault(key, len(names))

    named = [[[name(entry) for entry in row] for row in table] for table in tables]
    for _ in range(2):  # a second round tells apart what the neighbours of neighbours tell apart
        for table in named:
            refined = [name((row[j], tuple(sorted((table[k][k], row[k], table[k][j])
                                                  for k in range(len(row)) if k != j)))) for j, row in enumerate(table)]
            for j, value in enumerate(refined):
                table[j][j] = value
    return named[0], named[1]


def _residue_table(f: Frame, prime: int) -> list[list[tuple[int, ...]]]:
    count, r = f.count, f.rank
    metric, means = _residues(f.metric, prime), _residues(f.means, prime)
    covariances = [_residues(c, prime) for c in f.covariances]
    maps = [c * metric for c in covariances]
    dual = metric * means
    inner = (means.transpose() * dual).tolist()
    flat = nmod_mat(count, r * r, [v for m in maps for v in m.entries()], prime)
    turned = nmod_mat(count, r * r, [v for m in maps for v in m.transpose().entries()], prime)
    traces = (flat * turned.transpose()).tolist()
    products = [(dual.transpose() * (c * dual)).tolist() for c in covariances]
    spreads = [[product[j][j] for j in range(count)] for product in products]
    table = []
    for j in range(count):
        own = sum((int(maps[j][i, i]) for i in range(r)), 0) % prime
        weight = int(f.weights[j].p) * pow(int(f.weights[j].q), -1, prime) % prime
        table.append([(int(inner[j][k]), int(traces[j][k]), int(spreads[k][j]), int(spreads[j][k]),
                       *((weight, own) if j == k else ())) for k in range(count)])
    return table


def _residues(matrix: fmpq_mat, prime: int) -> nmod_mat:
    """A rational matrix modulo a prime; raises ZeroDivisionError when it divides a denominator."""
    values = []
    for v in matrix.entries():
        denominator = int(v.q) % prime
        if not denominator:
            raise ZeroDivisionError
        values.append(int(v.p) * pow(denominator, -1, prime) % prime)
    return nmod_mat(matrix.nrows(), matrix.ncols(), values, prime)


def combination(coefficients: Iterable[fmpq | int], matrices: Sequence[fmpq_mat]) -> fmpq_mat:
    """The linear combination of matrices of one shape; there is at least one."""
    total = matrices[0] * ZERO
    for c, matrix in zip(coefficients, matrices, strict=True):
        total += matrix * fmpq(c)
    return total
