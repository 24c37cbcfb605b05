"""Appendix J.1: mean correlation coefficients, and alignment by the means."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np
import sympy as sp
from flint import ctx
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.metrics_distance import line, loss, mixtures
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.errors import InputError
from ident_theory.metrics.correlation import halves, mcc
from ident_theory.models import AffineChange, GaussianMixture
from ident_theory.numerics import Evidence

chapter = Chapter(KIVVA)

#: Rounding of a correlation of few observations.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Latents:
    """Two sets of latents of the same observations, and how the weak coefficient aligns them."""

    first: tuple[tuple[int, ...], ...]
    second: tuple[tuple[int, ...], ...]
    alignment: str

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """As float64."""
        return np.array(self.first, dtype=float), np.array(self.second, dtype=float)

    def are_independent(self) -> bool:
        """Whether the centred columns of either side are linearly independent."""
        return all(np.linalg.matrix_rank(z - z.mean(0)) == z.shape[1] for z in self.arrays())

    def value(self, kind: str) -> float:
        """The coefficient of the toolkit."""
        a, b = self.arrays()
        return float(mcc(a, b, kind, constant="zero", alignment=self.alignment if kind == "weak" else "cca"))


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Absolute correlations of all columns, 0 for constant ones, from the definition."""
    one, two = a - a.mean(0), b - b.mean(0)
    norms = np.sqrt(np.outer((one**2).sum(0), (two**2).sum(0)))
    return np.abs(one.T @ two) / np.where(norms > 0, norms, 1.0)


def best_matching(table: np.ndarray) -> float:
    """The mean over the best permutation, all tried."""
    d = len(table)
    return max(float(np.mean([table[i, order[i]] for i in range(d)])) for order in permutations(range(d)))


def latents(dropped: frozenset[str]) -> st.SearchStrategy[Latents]:
    """Few observations of small whole numbers: equal, opposite and constant columns are common."""
    @st.composite
    def draw_latents(draw: Any) -> Latents:
        d, count = draw(st.integers(1, 3)), draw(st.integers(8, 12))
        row = st.lists(st.integers(-2, 2), min_size=d, max_size=d).map(tuple)
        draw_zero = int(draw(st.booleans()))
        first = draw(st.lists(row, min_size=count, max_size=count))
        second = draw(st.one_of(st.lists(row, min_size=count, max_size=count), st.just(first),
                                st.lists(st.integers(-1, 1), min_size=count, max_size=count).map(
                                    lambda noise: [tuple(v + noise[i] * (k == 0) for k, v in enumerate(r))
                                                   for i, r in enumerate(first)])))
        if "independent latents" in dropped and draw(st.booleans()):  # equal columns, and perhaps a constant one
            first = [(r[0],) * d for r in first]
            second = [(r[0] * draw_zero,) + (r[0],) * (d - 1) for r in first]
        kinds = ("least squares", "cca") if "least squares" in dropped else ("least squares",)
        return Latents(tuple(first), tuple(second), draw(st.sampled_from(kinds)))

    return draw_latents()


def strong_is_best_matching(case: Latents) -> bool:
    """Whether the toolkit's strong coefficient is the best mean over all permutations."""
    return abs(case.value("strong") - best_matching(correlations(*case.arrays()))) < ROUNDING


@chapter.claim(
    "kivva.mcc", place="App. J.1", kind=Kind.DEFINITION,
    statement="The MCC is the mean absolute correlation of latents matched one to one; it is called strong before, "
              "weak after alignment by an affine map.",
    hypotheses=("as many latents on both sides", "correlations are Pearson's, in absolute value"),
    universal=lambda: Universal("the assignment found by the toolkit is best among all permutations", latents,
                                strong_is_best_matching, evidence=Evidence.NUMERICAL))
def strong_and_weak(on: Record) -> None:
    square = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]] * 3, dtype=float)
    turned = square @ np.array([[1, 1], [1, -1]])
    strong, weak = float(mcc(square, turned, "strong")), float(mcc(square, turned, "weak"))
    root = best_matching(correlations(square, turned))
    on.printed.support(abs(strong - np.sqrt(0.5)) < ROUNDING and abs(root - np.sqrt(0.5)) < ROUNDING
                       and abs(weak - 1) < ROUNDING, f"turned by 45 degrees: strong {strong:.3f}, weak {weak:.3f}",
                       cases=1)
    carried = np.array([[2.0, 1.0], [0.0, -3.0]])
    rng = np.random.default_rng(0)
    a = rng.normal(size=(50, 2))
    b = a + rng.normal(size=(50, 2))
    kept = abs(float(mcc(a, b, "weak")) - float(mcc(a @ carried + 1, b, "weak"))) < ROUNDING
    moved = abs(float(mcc(a, b, "strong")) - float(mcc(a @ carried + 1, b, "strong"))) > 1e-2
    on.printed.support(kept and moved, "an affine map of one side keeps the weak coefficient, not the strong one",
                       cases=1)
    on.printed.search(cases=100)


def weak_is_at_least_strong(case: Latents) -> bool | None:
    """Whether alignment does not lower the coefficient; None where nothing varies."""
    try:
        return case.value("weak") >= case.value("strong") - ROUNDING
    except InputError:
        return None


def canonical_squares(x: sp.Matrix, xy: sp.Matrix, y: sp.Matrix) -> list[Any]:
    """Squared canonical correlations from the covariance matrices."""
    product = x.inv() * xy * y.inv() * xy.T
    return [v for v, k in product.eigenvals().items() for _ in range(k)]


@chapter.claim(
    "kivva.mcc.order", place="App. J.1", kind=Kind.ADDED,
    statement="Aligned by canonical correlations, the weak MCC can be below the strong one; aligned by least squares, "
              "in sample, it cannot.",
    hypotheses=("correlations are Pearson's", "the latents of each side are linearly independent"),
    universal=lambda: Universal("the weak coefficient is at least the strong one", latents,
                                weak_is_at_least_strong,
                                {"least squares": lambda case: case.alignment == "least squares",
                                 "independent latents": Latents.are_independent},
                                needed=("least squares", "independent latents"), evidence=Evidence.NUMERICAL))
def weak_below_strong(on: Record) -> None:
    # X_i = W + d_i of variances 1 and 1/100; Y_i is X_i and noise of variance 9/100.
    x = sp.Matrix(2, 2, lambda i, j: 1 + sp.Rational(i == j, 100))
    y = x + sp.eye(2) * sp.Rational(9, 100)
    weak = sum(map(sp.sqrt, canonical_squares(x, x, y))) / 2
    table = [[x[i, j] / sp.sqrt(x[i, i] * y[j, j]) for j in range(2)] for i in range(2)]
    strong = sp.Max(table[0][0] + table[1][1], table[0][1] + table[1][0]) / 2
    on.printed.support(bool(weak < strong), f"X_i = W + d_i, Y_i = X_i + noise: strong {sp.N(strong, 4)}, mean "
                       f"canonical correlation {sp.N(weak, 4)}", cases=1, evidence=Evidence.EXACT)
    a, b, c = sp.symbols("r1 r2 r12", real=True)
    multiple = (a**2 + b**2 - 2 * a * b * c) / (1 - c**2)
    on.printed.support(sp.simplify(multiple - a**2 - (b - a * c) ** 2 / (1 - c**2)) == 0,
                       "two predictors, generic: the squared multiple correlation exceeds each squared correlation by "
                       "a square over 1 - r12^2", cases=1, evidence=Evidence.EXACT)
    on.printed.search(cases=100)


@chapter.claim(
    "kivva.mcc.oos", place="App. J.1", kind=Kind.CLAIM,
    statement="The reported MCCs are out of sample: the alignment is computed on one half of the data and used on the "
              "other.",
    hypotheses=("the halves are drawn at random",),
    scope="the reported values themselves: what is checked is the procedure, and what it guards against")
def out_of_sample(on: Record) -> None:
    rng = np.random.default_rng(3)
    gaps, equal = [], []
    for seed in range(40):
        a, b = rng.normal(size=(2, 24, 3))
        fit, score = halves(24, "half", np.random.default_rng(seed))
        design = np.column_stack([a[fit], np.ones(len(a[fit]))])
        weights = np.linalg.lstsq(design, b[fit], rcond=None)[0]
        mapped = np.column_stack([a, np.ones(24)]) @ weights
        inside = correlations(mapped[fit], b[fit])
        sums = {order: sum(inside[i, order[i]] for i in range(3)) for order in permutations(range(3))}
        order = max(sums, key=sums.__getitem__)
        table = correlations(mapped[score], b[score])
        by_hand = float(np.mean([table[i, order[i]] for i in range(3)]))
        outside = float(mcc(a, b, "weak", alignment="least squares", split="half", rng=np.random.default_rng(seed)))
        equal.append(abs(outside - by_hand) < ROUNDING)
        gaps.append(float(mcc(a, b, "weak", alignment="least squares")) - outside)
    on.printed.support(all(equal), "map and matching fitted by hand on one half and scored on the other", cases=40)
    on.printed.support(float(np.mean(gaps)) > 0.05, "unrelated latents: in sample the coefficient is higher by "
                       f"{np.mean(gaps):.2f} on average", cases=40, evidence=Evidence.STATISTICAL)


@dataclass(frozen=True)
class Copy:
    """A mixture and a map."""

    p: GaussianMixture
    h: AffineChange

    def show(self) -> str:
        """As constructor calls."""
        return f"p = {self.p!r}\nh: {self.h}"


def fitted(p: GaussianMixture, q: GaussianMixture, order: tuple[int, ...]) -> tuple[sp.Matrix, sp.Matrix, Any]:
    """Least squares for the means in this matching, of least norm: A, t and the residual, exactly."""
    u, v = (sp.Matrix([[sp.Rational(str(x)) for x in row] for row in rows])
            for rows in (p.means_exact, [q.means_exact[k] for k in order]))
    count = u.rows
    centre, target = (sp.Matrix([[sum(rows[:, k]) / sp.Integer(count) for k in range(rows.cols)]]) for rows in (u, v))
    gaps, goals = (rows - sp.ones(count, 1) * middle for rows, middle in ((u, centre), (v, target)))
    a = (gaps.pinv() * goals).T
    rest = gaps * a.T - goals
    return a, target.T - a * centre.T, sum(x**2 for x in rest)


def recovers(case: Copy) -> bool:
    """Whether some matching of the means without residual gives a map of the whole mixture onto its copy."""
    p = case.p.reduced()
    q = case.h.carry(p)
    for order in permutations(range(p.n_components)):
        a, t, residual = fitted(p, q, order)
        if residual == 0 and a.det() != 0:
            change = AffineChange([[Fraction(str(x)) for x in a.row(i)] for i in range(a.rows)],
                                  [Fraction(str(x)) for x in t])
            if change.carry(p).by_component() == q.by_component():
                return True
    return False


def means_span(case: Copy) -> bool:
    """Whether the means of the reduced mixture span affinely."""
    means = case.p.reduced().means_exact
    gaps = sp.Matrix([[sp.Rational(str(x)) for x in mean - means[0]] for mean in means])
    return bool(gaps.rank() == case.p.latent_dim)


def copies(dropped: frozenset[str]) -> st.SearchStrategy[Copy]:
    """A mixture, and a map for its copy."""
    @st.composite
    def draw_copies(draw: Any) -> Copy:
        m = draw(st.integers(1, 2))
        matrix = draw(st.sampled_from([[[-2]], [[3]]] if m == 1 else [[[1, 1], [0, 2]], [[0, -1], [3, 1]]]))
        return Copy(draw(mixtures(m)), AffineChange(matrix, draw(st.sampled_from([[0] * m, [1] * m]))))

    return draw_copies()


@chapter.claim(
    "kivva.align", place="App. J.1", kind=Kind.CLAIM,
    statement="The affine map that best aligns two mixtures is found by trying all permutations of the components and, "
              "for each, least squares on the means.",
    hypotheses=("both mixtures have the same number of components", "best means least Delta_L2"),
    correction=Correction("When the means span affinely, the map of an affine copy is among those that the matchings "
                          "without residual give; which one it is, the distance of the whole mixtures has to tell.",
                          hypotheses=("the means span affinely", "matchings are compared by Delta_L2")),
    universal=lambda: Universal("some matching of the means gives a map of a mixture onto its affine copy", copies,
                                recovers, {"means span": means_span}, needed=("means span",), show=Copy.show))
def alignment_by_means(on: Record) -> None:
    p = GaussianMixture(["1/4", "3/4"], [0, 1], [1, 1])
    q = AffineChange(2, 0).carry(p)
    fits = {order: fitted(p, q, order) for order in permutations(range(2))}
    residuals = [fit[2] for fit in fits.values()]
    images = [AffineChange([[Fraction(str(a[0]))]], [Fraction(str(t[0]))]).carry(p).by_component() == q.by_component()
              for a, t, _ in fits.values()]
    on.printed.refute(residuals == [0, 0] and images == [True, False],
                      "J = m + 1 = 2: both permutations fit the means exactly, and one of the two maps does not carry "
                      "the mixture to its copy, so the residual cannot choose between them; the paper does not say "
                      "what does", shown="1/4 N(0, 1) + 3/4 N(1, 1) and its copy under z -> 2 z")
    single = GaussianMixture([1], [0], [1])
    a, _, residual = fitted(single, AffineChange(2, 0).carry(single), (0,))
    on.printed.refute(residual == 0 and a[0] == 0, "J = 1, m = 1: one mean leaves the scale open, and least squares of "
                      "least norm gives a constant map", shown="N(0, 1) and N(0, 4)")
    # Means 0 and 1 on both sides, standard deviations 1 and 10: both matchings give z or 1 - z.
    narrow, wide = (line(("1/2", 0, v), ("1/2", 1, v)) for v in (1, 100))
    image = line(("1/2", 0, 100), ("1/2", 10, 100))  # under 10 z
    with ctx.workprec(80):
        by_means, other = loss(narrow, wide), loss(image, wide)
        on.printed.refute(bool(by_means > other + 1),
                          "1/2 N(0, 1) + 1/2 N(1, 1) and 1/2 N(0, 100) + 1/2 N(1, 100): the maps that fit the means, z "
                          f"and 1 - z, leave a loss of {by_means.str(4, radius=False)}, and 10 z leaves "
                          f"{other.str(4, radius=False)}",
                          shown="1/2 N(0, 1) + 1/2 N(1, 1) and 1/2 N(0, 100) + 1/2 N(1, 100)",
                          evidence=Evidence.CERTIFIED)
    on.corrected.search(cases=60)
