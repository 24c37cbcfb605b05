"""Examples about recovery: permutation recovery, hidden variables, alignment and the distance up to affine maps.

Rows of the theory ledger: kivva.thmE.1, kivva.thmE.1.svd, kivva.p2, kivva.thmF.1, kivva.p3.necessary, kivva.rem3.4,
kivva.align, kivva.distaff, kivva.distaff.closed, kivva.distaff.inv, kivva.distaff.metric, and section C of Part B.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from ident_theory import AffineChange, GaussianMixture, Status, affine_distance
from ident_theory.errors import DegenerateLawError
from ident_theory.metrics import l2_distance
from ident_theory.recovery import align_mixtures, exact_alignments, latent_graph, unmix_factorial
from ident_theory.testing.matrices import times

HALVES = ["1/2", "1/2"]


# Theorem E.1


def test_positive_scales_cannot_be_recovered():
    """kivva.thmE.1: A = 1 with means 0, 1 and A = -1 with means 0, -1 give one law of Y, so no A' serves both."""
    up = GaussianMixture(HALVES, [0, 1], [1, 4])
    down = AffineChange(-1, 0).carry(GaussianMixture(HALVES, [0, -1], [1, 4]))
    assert up.plain() == down.plain()
    found = unmix_factorial(up)
    assert found.status is Status.HOLDS


def test_a_mixing_matrix_of_four_latents_up_to_signs():
    """kivva.thmE.1, as corrected: A'^{-1} A is monomial, with negative entries."""
    a = [[Fraction(v) for v in row] for row in ([1, 2, 0, -1], [0, 1, -3, 1], [-2, 0, 1, 1], [1, -1, 1, 2])]
    diagonals = [[1, 1, 1, 1], [2, 3, 5, 7]]
    latent = GaussianMixture(HALVES, [[0, 0, 0, 0], [1, -1, 2, 0]], diagonals)
    y = AffineChange(a, [3, 0, -1, 2]).carry(latent)
    found = unmix_factorial(y)
    assert found.status is Status.HOLDS
    product = times(found.inverse_exact.tolist(), a)
    assert all(sum(map(bool, row)) == 1 for row in product)
    assert min(v for row in product for v in row) < 0
    # Another choice of signs of the columns of A leaves the recovered matrix as it is.
    flipped = [[-row[0], row[1], -row[2], row[3]] for row in a]
    mirrored = GaussianMixture(HALVES, [[0, 0, 0, 0], [-1, -1, -2, 0]], diagonals)
    again = unmix_factorial(AffineChange(flipped, [3, 0, -1, 2]).carry(mirrored))
    assert np.array_equal(found.matrix_exact, again.matrix_exact)


def test_equal_ratios_leave_a_rotation():
    """kivva.p2: N(0, I) and N(0, 4 I) stay diagonal under every rotation, so nothing is determined."""
    y = GaussianMixture(HALVES, [[0, 0], [1, 0]], [[1, 1], [4, 4]])
    found = unmix_factorial(y)
    assert found.status is Status.FAILS
    assert found.blocks == ((0, 1),)
    assert found.gap == 0
    apart = unmix_factorial(GaussianMixture(HALVES, [[0, 0], [1, 0]], [[1, 1], [4, "4001/1000"]]))
    assert apart.status is Status.HOLDS
    assert 0 < apart.gap < 1e-3


def test_more_than_two_components_are_used():
    """Ratios that coincide in every single pair of components, but not in all of them together."""
    y = GaussianMixture(["1/3"] * 3, [[0, 0, 0]] * 3, [[1, 1, 1], [2, 2, 1], [2, 1, 1]])
    for pair in itertools.combinations(range(3), 2):
        assert unmix_factorial(y, components=pair).status is Status.FAILS
    assert unmix_factorial(y).status is Status.HOLDS


# Section C of Part B: hidden variables


def product_mixture(neighbourhoods, states, m, table=None) -> GaussianMixture:
    """z[t] has another mean for every configuration of the variables that act on it."""
    cells = list(itertools.product(*(range(d) for d in states)))
    means = [[sum(u[i] * 4**i for i, near in enumerate(neighbourhoods) if t in near) for t in range(m)] for u in cells]
    weights = [Fraction(1, len(cells))] * len(cells) if table is None else [table[u] for u in cells]
    return GaussianMixture(weights, means, [[1] * m] * len(cells))


def skewed(states) -> dict:
    """A positive table without independence or symmetry."""
    cells = list(itertools.product(*(range(d) for d in states)))
    total = sum(range(1, len(cells) + 1))
    return {u: Fraction(i + 1, total) for i, u in enumerate(cells)}


@pytest.mark.parametrize(("neighbourhoods", "states"), [
    (((0, 1), (1, 2), (2, 3)), (2, 3, 2)),  # the chain of the ledger
    (((0, 1), (1, 2), (0, 2)), (2, 2, 2)),  # kivva.rem3.4: an antichain without anchors
    (((0,), (1,), (2,)), (3, 2, 2)),  # anchors only
    (((0, 1, 2, 3),), (6,)),
])
def test_chains_and_antichains(neighbourhoods, states):
    """kivva.thmF.1: k, d, ne and P(U) come back, without part (b) of P3."""
    m = 1 + max(itertools.chain(*neighbourhoods))
    table = skewed(states)
    found = latent_graph(product_mixture(neighbourhoods, states, m, table))
    assert found.status is Status.HOLDS
    assert sorted(found.neighbourhoods) == sorted(neighbourhoods)
    order = [found.neighbourhoods.index(near) for near in neighbourhoods]
    assert [found.states[i] for i in order] == list(states)
    # States are named by their least rows, which for these means is the order of the table.
    assert all(found.table[tuple(u[order.index(i)] for i in range(len(u)))] == p for u, p in table.items())
    weights = {row: Fraction(d) for row, d in zip(neighbourhoods, states, strict=True)}
    assert {tuple(row): w for row, w in found.set_weights.items()} == weights


def nested(table) -> GaussianMixture:
    """ne(U_1) = {1}, ne(U_2) = {1, 2}."""
    return product_mixture(((0,), (0, 1)), (2, 2), 2, table)


def test_nested_neighbourhoods_lose_the_table():
    """kivva.p3.necessary: two tables, one law of Z; k, d and ne stay identified, P(U) is refused."""
    one = {(0, 0): "2/5", (0, 1): "1/5", (1, 0): "1/10", (1, 1): "3/10"}
    swapped = {(0, 0): "2/5", (0, 1): "3/10", (1, 0): "1/10", (1, 1): "1/5"}
    tables = [{u: Fraction(p) for u, p in table.items()} for table in (one, swapped)]
    first = nested(tables[0])
    # The labels of U_1 swapped inside U_2 = 1: the same components with the same weights.
    cells = list(itertools.product(range(2), repeat=2))
    order = [cells.index((1 - u, v) if v == 1 else (u, v)) for u, v in cells]
    second = GaussianMixture([tables[1][u] for u in cells], first.means_exact[order].tolist(),
                             first.covariances_exact[order].tolist())
    assert first.weights_exact.tolist() != second.weights_exact.tolist()
    assert exact_alignments(first, second).changes[0].is_identity
    for mixture in (first, second):
        found = latent_graph(mixture)
        assert found.status is Status.FAILS
        assert found.failed == "c"
        assert found.table is None
        assert (found.n_variables, sorted(zip(found.neighbourhoods, found.states, strict=True))) == (
            2, [((0,), 2), ((0, 1), 2)])


def test_a_uniform_table_is_not_changed_by_the_swap():
    """kivva.p3.necessary, the counterexample: (c) fails, and P(U) is uniform in every labelling."""
    found = latent_graph(nested({u: Fraction(1, 4) for u in itertools.product(range(2), repeat=2)}))
    assert found.failed == "c"
    assert (found.states, found.n_variables) == ((2, 2), 2)


def test_a_table_with_a_zero_is_refused():
    """Positivity: three cells of a 2 x 2 table are no product."""
    full = product_mixture(((0,), (1,)), (2, 2), 2)
    found = latent_graph(GaussianMixture(["1/2", "1/4", "1/4", 0], full.means_exact.tolist(),
                                         full.covariances_exact.tolist()))
    assert found.status is Status.FAILS
    assert found.failed == "a"


def test_twins_are_one_variable():
    """kivva.F.necessary, L1: two variables with one neighbourhood merge into one with the product of the states."""
    found = latent_graph(product_mixture(((0, 1), (0, 1)), (2, 3), 2))
    assert found.status is Status.HOLDS
    assert (found.states, found.neighbourhoods) == ((6,), ((0, 1),))


# Appendix J.1: alignment and distance


TRIANGLE = GaussianMixture(["1/3"] * 3, [[0, 0], [2, 0], [1, 3]], [[[1, 0], [0, 2]], [[3, 1], [1, 1]],
                                                                  [["1/2", 0], [0, "1/2"]]])
MAP = AffineChange([[2, -1], [1, "1/2"]], [1, -3])


def means_residual(source, target, order) -> tuple[float, np.ndarray]:
    """Least squares on the means for one matching."""
    design = np.hstack([source.means, np.ones((len(source.means), 1))])
    solution, *_ = np.linalg.lstsq(design, target.means[list(order)], rcond=None)
    return float(np.linalg.norm(design @ solution - target.means[list(order)])), solution


def test_m_plus_1_means_fit_every_permutation():
    """kivva.align: J = m + 1 means are fitted by all 6 permutations; the distance alone tells the right one."""
    copy = MAP.carry(TRIANGLE)
    distances = []
    for order in itertools.permutations(range(3)):
        residual, solution = means_residual(TRIANGLE, copy, order)
        assert residual < 1e-12
        image = AffineChange(solution[:2].T, solution[2]).carry(TRIANGLE)
        distances.append(l2_distance(image, copy))
    assert distances[0] < 1e-6
    assert min(distances[1:]) > 0.2
    for by in ("means", "means and covariances"):
        found = align_mixtures(TRIANGLE, copy, by=by)
        np.testing.assert_allclose(found.matrix, MAP.matrix, atol=1e-9)
        np.testing.assert_allclose(found.shift, MAP.shift, atol=1e-9)
        assert found.pairs == ((0, 0), (1, 1), (2, 2))
    assert exact_alignments(TRIANGLE, copy).changes == (MAP,)


def test_fewer_means_leave_the_map_open():
    """kivva.align: J = 2 in the plane is underdetermined by means, not by means and covariances."""
    two = GaussianMixture(HALVES, [[0, 0], [2, 1]], [[[1, 0], [0, 2]], [[3, 1], [1, 1]]])
    copy = MAP.carry(two)
    residual, solution = means_residual(two, copy, (0, 1))
    assert residual < 1e-12
    assert abs(np.linalg.det(solution[:2]) - np.linalg.det(MAP.matrix)) > 0.1
    with pytest.raises(DegenerateLawError):
        align_mixtures(two, copy, by="means")
    found = align_mixtures(two, copy)
    assert found.exact is not None
    assert found.exact.carry(two).plain() == copy.plain()


def test_the_means_matching_is_not_the_least_distance():
    """kivva.align, "use as initialisation only": with one component moved the minimum lies below every matching."""
    target = GaussianMixture(["1/3"] * 3, [[0, 0], [2, 0], [1, 4]], [[[2, 0], [0, 1]], [[1, 0], [0, 1]],
                                                                    [["1/2", 0], [0, "1/2"]]])
    best = min(l2_distance(AffineChange(solution[:2].T, solution[2]).carry(TRIANGLE), target)
               for _, solution in (means_residual(TRIANGLE, target, order)
                                   for order in itertools.permutations(range(3)))
               if abs(np.linalg.det(solution[:2])) > 1e-9)
    found = affine_distance(TRIANGLE, target)
    assert found.means_matching_value == pytest.approx(best, abs=1e-9)
    assert float(found) < best - 1e-3


def test_closed_form_inner_products():
    """kivva.distaff.closed: sums of normal densities against quadrature in the plane."""
    other = GaussianMixture(HALVES, [[0, 1], [1, -1]], [[[1, 0], [0, 1]], [[2, "1/2"], ["1/2", 1]]])

    nodes, weights = np.polynomial.legendre.leggauss(160)
    x, w = 14 * nodes, 14 * weights
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), -1)
    p, q = (sum(weight * stats.multivariate_normal(mu, c).pdf(grid) for weight, mu, c in zip(
        mixture.weights, mixture.means, mixture.covariances, strict=True)) for mixture in (TRIANGLE, other))
    own, cross = [float(w @ (s * s) @ w) for s in (p, q)], float(w @ (p * q) @ w)
    by_quadrature = math.sqrt((own[0] + own[1] - 2 * cross) / math.sqrt(own[0] * own[1]))
    assert l2_distance(TRIANGLE, other) == pytest.approx(by_quadrature, abs=1e-12)


def test_invariance_and_symmetry():
    """kivva.distaff.inv: zero for affine copies, unchanged by a common map, symmetric, below sqrt 2."""
    other = GaussianMixture(HALVES, [[0, 1], [1, -1]], [[[1, 0], [0, 1]], [[2, "1/2"], ["1/2", 1]]])
    assert float(affine_distance(TRIANGLE, MAP.carry(TRIANGLE))) < 1e-8
    value = float(affine_distance(TRIANGLE, other))
    assert 0 < value < math.sqrt(2)
    assert float(affine_distance(MAP.carry(TRIANGLE), other)) == pytest.approx(value, abs=1e-6)
    assert l2_distance(MAP.carry(TRIANGLE), MAP.carry(other)) == pytest.approx(l2_distance(TRIANGLE, other), abs=1e-12)


def test_the_unaligned_distance_is_no_metric():
    """kivva.distaff.metric: N(0, 1), N(0, 16^2), N(0, 16^4) violate the triangle inequality."""
    one, two, three = (GaussianMixture([1], [0], [16**k]) for k in (0, 2, 4))
    detour, direct = l2_distance(one, two) + l2_distance(two, three), l2_distance(one, three)
    assert detour < direct
    assert (detour, direct) == (pytest.approx(3.765, abs=5e-4), pytest.approx(3.986, abs=5e-4))
    assert float(affine_distance(one, three)) < 1e-7
    assert affine_distance(one, three).metric is False


def test_a_map_with_irrational_entries():
    """N(0, 1) and N(0, 2): equivalent over the reals by z -> sqrt 2 z, which no rational map is."""
    found = exact_alignments(GaussianMixture([1], [0], [1]), GaussianMixture([1], [0], [2]))
    assert found.changes == ()
    assert found.exist is True
    assert float(affine_distance(GaussianMixture([1], [0], [1]), GaussianMixture([1], [0], [2]))) < 1e-7
