"""Section 3.1: the two exponential families, the noise, and the base measure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gin.families import FIRST, PLACE, SECOND, Row, log_density_slope, rows
from ident_theory.claims.papers import GIN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.models.families import family

chapter = Chapter(GIN)

#: Natural parameters in the textbook parameters, for the base measures of the toolkit's catalogue.
NATURAL = {
    "normal": (PLACE / SECOND**2, -1 / (2 * SECOND**2)),
    "lognormal": (PLACE / SECOND**2, -1 / (2 * SECOND**2)),
    "inverse_gaussian": (-SECOND / (2 * FIRST**2), -SECOND / 2),
    "gamma": (FIRST, -SECOND),
    "inverse_gamma": (-FIRST, -SECOND),
    "beta": (FIRST, SECOND),
}


def has_form(row: Row, base: sp.Expr, natural: tuple[sp.Expr, ...]) -> bool:
    """Whether the textbook density is Q exp(lambda . T) up to a constant."""
    exponent = sum((a * t for a, t in zip(natural, row.statistics, strict=True)), sp.log(base))
    return bool(sp.simplify(log_density_slope(row, row.parameters) - sp.diff(exponent, row.z)) == 0)


@chapter.claim("gin.eq1-2", place="Sec. 3.1, eqs. 1-2", kind=Kind.DEFINITION,
               statement="Given u, the latents are independent, each with density Q_i exp(sum_j lambda_ij(u) "
                         "T_ij)/Z_i(u); the estimated latents likewise, with statistics, base measure and number of "
                         "their own. The six families of Table 1 have this form with two statistics.",
               hypotheses=("lambda(u) lies in the natural parameter space",))
def families_have_the_form(on: Record) -> None:
    table = rows()
    fits, agrees = [], []
    for row in table:
        known = family(row.name)
        local = {"z": row.z}
        fits.append(has_form(row, sp.sympify(known.base, locals=local), NATURAL[row.name]))
        own = [sp.sympify(text, locals=local) for text in known.statistics]
        agrees.append(all(sp.simplify(a - b) == 0 for a, b in zip(own, row.statistics, strict=True)))
    on.printed.prove(len(table) == 6 and all(fits),
                     "slopes of six textbook log densities equal those of log Q + lambda . T, with generic parameters")
    on.printed.prove(all(agrees), "statistics of the toolkit's catalogue and of Table 1 agree, six families")
    z = sp.Symbol("z", real=True)
    on.printed.prove(sp.integrate(sp.exp(0 * z), (z, -sp.oo, sp.oo)) == sp.oo
                     and family("normal").domain_problem((Fraction(0), Fraction(0))) is not None,
                     "at lambda = 0 the normal statistics with Q = 1 have no finite normaliser, and the toolkit "
                     "refuses it")


@chapter.claim("gin.base", place="Sec. 3.1, after eq. 1", kind=Kind.CLAIM,
               statement="In many cases the base measure can be taken to be 1: in five of the six families of Table "
                         "1, by a shift of the natural parameters; not in the inverse Gaussian.",
               scope="'many cases' is read as: most rows of Table 1")
def base_measure_one(on: Record) -> None:
    removable = {row.name for row in rows() if is_absorbed(row)}
    on.printed.prove(removable == {"normal", "lognormal", "gamma", "inverse_gamma", "beta"},
                     f"log Q is a combination of 1, T_1 and T_2 for {', '.join(sorted(removable))}, and for no other "
                     "row")


def is_absorbed(row: Row) -> bool:
    """Whether log Q of the catalogue is a combination of the statistics: the Wronskian of the slopes vanishes."""
    base = sp.expand_log(sp.log(sp.sympify(family(row.name).base, locals={"z": row.z})), force=True)
    slopes = [sp.diff(f, row.z) for f in (*row.statistics, base)]
    return bool(sp.simplify(sp.wronskian(slopes, row.z)) == 0)


@dataclass(frozen=True)
class Strips:
    """z ~ N(m, 1) given u, noise with constant density on the strips j <= e < j + 1, and w_1 = a z + s on each strip.

    The statistic of both models is z itself, with the variance 1 in the base measure.
    """

    means: tuple[Fraction, ...]
    heights: tuple[Fraction, ...]
    maps: tuple[tuple[int, Fraction], ...]

    @property
    def has_equal_laws(self) -> bool:
        """Whether w_1 ~ N(a m + s, 1) on the strips that have noise is one law, at every u."""
        where = [pair for h, pair in zip(self.heights, self.maps, strict=True) if h]
        return all(len({a * m + s for a, s in where}) == 1 for m in self.means)

    @property
    def is_l_regular(self) -> bool:
        """Condition (ii): the first two conditions have different means."""
        return self.means[0] != self.means[1]

    def has_relation(self, where_it_occurs: bool = False) -> bool:
        """Whether one A and c give z = A w_1 + c on all strips, or on those that have noise."""
        maps = [pair for h, pair in zip(self.heights, self.maps, strict=True) if h or not where_it_occurs]
        points = [((a * z + s), z) for a, s in maps for z in map(Fraction, (-1, 0, 1))]
        (w0, z0), *rest = points
        slope = (rest[0][1] - z0) / (rest[0][0] - w0)
        return all(z - z0 == slope * (w - w0) for w, z in rest)

    def show(self) -> str:
        """The numbers to paste."""
        parts = [f"[{j}, {j + 1}): density {h}, w_1 = {a} z + {s}"
                 for j, (h, (a, s)) in enumerate(zip(self.heights, self.maps, strict=True))]
        return f"# z ~ N(m, 1), m in {[str(m) for m in self.means]}; noise on " + "; ".join(parts)


def noise_on_strips(where_it_occurs: bool = False) -> Universal[Strips]:
    """An everywhere positive noise density makes the relation hold everywhere; any other, where the noise occurs."""
    number = st.sampled_from([Fraction(v) for v in ("0", "0", "1", "-1/2")])

    @st.composite
    def cases(draw: st.DrawFn, positive: bool) -> Strips:
        height = st.sampled_from([Fraction(v) for v in (("1", "1/2", "2") if positive else ("0", "1", "1/2"))])
        count = draw(st.integers(2, 4))
        heights = [draw(height) for _ in range(count)]
        heights[0] = heights[0] or Fraction(1)
        mean, shift = draw(number), draw(number)
        others = [mean, mean] if draw(st.booleans()) else [draw(number), draw(number)]
        # Strips that repeat the first map, that reflect about a mean, and that do anything.
        maps = [draw(st.sampled_from([(1, shift), (1, shift), (-1, 2 * mean + shift), (1, draw(number))]))
                for _ in range(count)]
        return Strips((mean, *others), tuple(heights), tuple(maps))

    return Universal(
        "with one law of x given u the relation of the statistics holds for all z and all noise"
        + (" that occurs" if where_it_occurs else ""),
        lambda dropped: cases("positive density" not in dropped), lambda case: case.has_relation(where_it_occurs),
        {"positive density": lambda case: all(case.heights), "one law of x": lambda case: case.has_equal_laws,
         "L invertible": lambda case: case.is_l_regular},
        needed=("positive density", "one law of x", "L invertible"), show=Strips.show)


@chapter.claim("gin.eps", place="Sec. 3.1", kind=Kind.CLAIM,
               statement="It is enough that the density of the noise does not depend on u and is finite: then the "
                         "relation of the statistics holds for all z and all w.",
               hypotheses=("one law of x given u", "L is invertible", "the noise density is finite and free of u",
                           "the relation is claimed for all values of the noise, also for those that never occur"),
               correction=Correction("The noise density is also positive; or else the relation holds almost "
                                     "everywhere.",
                                     ("the noise density is positive",)),
               universal=noise_on_strips,
               scope="that f and g have the Jacobians of eq. 10 is taken for granted; repair R1 does without them")
def noise_density_may_vanish(on: Record) -> None:
    case = Strips((Fraction(0), Fraction(1)), (Fraction(1), Fraction(0)), ((1, Fraction(0)), (1, Fraction(1))))
    on.printed.refute(case.has_equal_laws and case.is_l_regular and not case.has_relation(),
                      "uniform noise on [0, 1); g = identity there and w_1 = z + 1 beyond: the law of x given u is "
                      "the same, and at noise 3/2 no A and c of the strip [0, 1) fit", shown=case.show())
    on.corrected.search(cases=60)
    on.corrected.search(noise_on_strips(where_it_occurs=True), cases=60, without=("positive density",))


Map = tuple[tuple[int, ...], int]


def sections() -> Universal[Map]:
    """Maps of a finite product: f of (z, e) is the entry at z + e * number of z."""
    def cases(dropped: frozenset[str]) -> st.SearchStrategy[Map]:
        def build(size: tuple[int, int]) -> st.SearchStrategy[Map]:
            count = size[0] * size[1]
            values = st.lists(st.integers(0, count - 1), min_size=count, max_size=count) \
                if "f invertible" in dropped else st.permutations(range(count))
            return st.tuples(values.map(tuple), st.just(size[0]))

        return st.tuples(st.integers(1, 4), st.integers(1, 3)).flatmap(build)

    def injective(case: Map) -> bool:
        values, width = case
        parts = [values[start:start + width] for start in range(0, len(values), width)]
        return all(len(set(part)) == len(part) for part in parts)

    return Universal("for every value of the noise, z -> f(z, noise) is injective", cases, injective,
                     {"f invertible": lambda case: len(set(case[0])) == len(case[0])}, needed=("f invertible",),
                     show=lambda case: f"# f(z, e) = {case[0]}[z + {case[1]} e]")


@chapter.claim("gin.feps", place="Sec. 3.1", kind=Kind.CLAIM,
               statement="An invertible f of latent and noise is, for each value of the noise, an injective map of the "
                         "latent.", hypotheses=("f is invertible",), universal=sections,
               scope="finite sets; nothing else about f is used")
def sections_are_injective(on: Record) -> None:
    on.printed.search(cases=60)


@chapter.claim("gin.diag", place="Sec. 4.2", kind=Kind.CLAIM,
               statement="A normal law whose components are independent has a diagonal covariance, and conversely.")
def independence_is_a_diagonal_covariance(on: Record) -> None:
    a, b, c, x, y, m, n = sp.symbols("a b c x y m n", real=True)
    covariance = sp.Matrix([[a, c], [c, b]])
    point = sp.Matrix([x - m, y - n])
    mixed = sp.diff(-(point.T * covariance.inv() * point)[0] / 2, x, y)
    on.printed.prove(sp.simplify(mixed * covariance.det() - c) == 0,
                     "two components: the mixed derivative of the log density is the covariance divided by the "
                     "determinant, so it vanishes, and the density factors, exactly for covariance 0; pairs of "
                     "components settle any number")
