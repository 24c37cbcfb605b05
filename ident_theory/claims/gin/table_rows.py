"""Appendix C, Table 1: the relation of the latents, one row at a time, by solving eq. 34."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

import ident_theory as it
from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.gin.algebra import coefficients, forced_by, independent, regular
from ident_theory.claims.gin.families import Row, log_density_slope, rows
from ident_theory.claims.papers import GIN
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.models.families import family

chapter = Chapter(GIN)

#: The block of A and the shifts: T_1(z) = P T_1(w) + Q T_2(w) + C, T_2(z) = R T_1(w) + S T_2(w) + E.
P, Q, R, S, C, E = UNKNOWNS = sp.symbols("p q r s c e", real=True)
DETERMINANT = P * S - Q * R
X, POWER = sp.symbols("x y", real=True)
SCALE = sp.Symbol("a", positive=True)
FACTOR = sp.Symbol("a", real=True, nonzero=True)


def row_of(name: str) -> Row:
    """A row of Table 1."""
    return next(row for row in rows() if row.name == name)


def only(equations: list[sp.Expr], claimed: list[sp.Expr]) -> bool:
    """Whether an invertible block that solves the equations satisfies the claimed relations, and conversely."""
    system, extra = regular(equations, DETERMINANT)
    basis = sp.groebner(claimed, *UNKNOWNS, order="grevlex")
    return all(forced_by(system, v, (*UNKNOWNS, extra)) for v in claimed) and all(basis.contains(v) for v in equations)


def carried(row: Row, back: sp.Expr, parameters: tuple[sp.Expr, sp.Expr]) -> sp.Expr:
    """Slope of log p(z) where w = back(z) is of the family with generic parameters, minus that at `parameters`."""
    w = sp.Dummy("w", positive=True) if row.z.is_positive else sp.Dummy("w", real=True)
    inner = log_density_slope(row, row.parameters).subs(row.z, w).subs(w, back) * sp.diff(back, row.z)
    moved = inner + sp.diff(back, row.z, 2) / sp.diff(back, row.z)
    return sp.simplify(moved - log_density_slope(row, parameters))


def squares() -> list[sp.Expr]:
    """Eq. 34 for t(x) = x^2."""
    return coefficients((P * X + Q * X**2 + C) ** 2 - (R * X + S * X**2 + E), X)


_SQUARE = [Q, S - P**2, R - 2 * P * C, E - C**2]


@chapter.claim("gin.tab.normal", place="App. C, Table 1, row 1", kind=Kind.TABLE,
               statement="Normal: z = a w + c.", hypotheses=("an invertible block in eq. 34",), covers=("Table 1",))
def normal_row(on: Record) -> None:
    on.printed.prove(only(squares(), _SQUARE),
                     "the solutions of eq. 34 with an invertible block are Q = 0, S = P^2, R = 2PC, E = C^2, that is "
                     "z = P w + C with P != 0")
    row = row_of("normal")
    mean, scale = row.parameters
    on.printed.prove(carried(row, (row.z - C) / FACTOR, (FACTOR * mean + C, sp.Abs(FACTOR) * scale)) == 0,
                     "and all of them occur: a w + c is normal with generic a and c")


@chapter.claim("gin.tab.logn", place="App. C, Table 1, row 2", kind=Kind.TABLE,
               statement="Lognormal: log z = a log w + c.", hypotheses=("an invertible block in eq. 34",),
               covers=("Table 1",))
def lognormal_row(on: Record) -> None:
    row = row_of("lognormal")
    log = sp.log(row.z)
    on.printed.prove(row.statistics == (log, log**2) and only(squares(), _SQUARE),
                     "T_1 = log z ranges over the line and T_2 = T_1^2: the equations of the normal row for log z and "
                     "log w")
    mean, scale = row.parameters
    back = sp.exp((log - C) / FACTOR)
    on.printed.prove(carried(row, back, (FACTOR * mean + C, sp.Abs(FACTOR) * scale)) == 0,
                     "and all of them occur: e^c w^a is lognormal")


def reciprocals() -> list[sp.Expr]:
    """Eq. 34 for t(x) = 1/x."""
    return coefficients(((P * X + Q / X + C) * (R * X + S / X + E) - 1) * X**2, X)


@chapter.claim("gin.tab.ig", place="App. C, Table 1, row 3", kind=Kind.TABLE,
               statement="Inverse Gaussian: z = a w or z = a/w.", hypotheses=("an invertible block in eq. 34",),
               scope="the second alternative never occurs between inverse Gaussians: gin.tab.ig.base",
               covers=("Table 1",))
def inverse_gaussian_row(on: Record) -> None:
    # Both branches at once: PQ = 0 chooses, and the four other products say the rest.
    on.printed.prove(only(reciprocals(), [C, E, P * Q, P * R, Q * S, R * S, P * S + Q * R - 1]),
                     "the solutions of eq. 34 with an invertible block have C = E = 0 and either Q = R = 0, PS = 1 or "
                     "P = S = 0, QR = 1: z = P w or z = Q/w")
    row = row_of("inverse_gaussian")
    mean, shape = row.parameters
    on.printed.prove(carried(row, row.z / SCALE, (SCALE * mean, SCALE * shape)) == 0,
                     "a w with a > 0 is inverse Gaussian; a < 0 leaves the half line. The other branch: "
                     "gin.tab.ig.base")


@chapter.claim("gin.tab.ig.base", place="App. C, Table 1, row 3", kind=Kind.ADDED,
               statement="Of the row of the inverse Gaussian only z = a w occurs: a/w is inverse Gaussian for no w "
                         "that is, since the base measure z^(-3/2) is carried to z^(-1/2).",
               hypotheses=("both models have the base measure of the inverse Gaussian",))
def reciprocal_is_excluded(on: Record) -> None:
    row = row_of("inverse_gaussian")
    slopes = [sp.diff(f, row.z) for f in row.statistics]
    base = -sp.Rational(3, 2) / row.z
    residual = carried(row, SCALE / row.z, row.parameters) + log_density_slope(row, row.parameters) - base
    on.printed.prove(independent([*slopes, residual], row.z, sp.Integer(1)),
                     "the slope of the log density of a/w less that of z^(-3/2) is no combination of T_1' and T_2', "
                     "for generic parameters: the Wronskian at 1 is not zero")
    other = sp.simplify(residual + base + sp.Rational(1, 2) / row.z)
    on.printed.prove(sp.simplify(sp.wronskian([*slopes, other], row.z)) == 0,
                     "it is one with the base measure z^(-1/2)")


def exponentials(sign: int) -> list[sp.Expr]:
    """Eq. 34 for t = exp(sign x), as coefficients of 1, x, t, x t, t^2: both sides obey y' = sign (P + sign Q t) y."""
    right = R * X + S * POWER + E
    slope = R + sign * S * POWER
    return coefficients(slope - sign * (P + sign * Q * POWER) * right, X, POWER)


def are_free(sign: int) -> bool:
    """Whether 1, x, t, x t and t^2 are independent functions for t = exp(sign x)."""
    t = sp.exp(sign * X)
    return independent([sp.Integer(1), X, t, X * t, t**2], X, sp.Integer(0))


@chapter.claim("gin.tab.gamma", place="App. C, Table 1, row 4", kind=Kind.TABLE,
               statement="Gamma: z = a w.", hypotheses=("an invertible block in eq. 34",), covers=("Table 1",))
def gamma_row(on: Record) -> None:
    on.printed.prove(are_free(1) and only(exponentials(1), [P - 1, Q, R, E]),
                     "exp(Px + Qe^x + C) = Rx + Se^x + E gives R + Se^x = (P + Qe^x)(Rx + Se^x + E); 1, x, e^x, xe^x, "
                     "e^2x are independent, and an invertible block has P = 1, Q = R = E = 0")
    on.printed.prove(sp.simplify(sp.exp(X + C) - sp.exp(C) * sp.exp(X)) == 0, "what is left is S = e^C: z = e^C w")
    row = row_of("gamma")
    shape, rate = row.parameters
    on.printed.prove(carried(row, row.z / SCALE, (shape, rate / SCALE)) == 0, "and all a > 0 occur")


@chapter.claim("gin.tab.invg", place="App. C, Table 1, row 5", kind=Kind.TABLE,
               statement="Inverse gamma: z = a w.", hypotheses=("an invertible block in eq. 34",), covers=("Table 1",))
def inverse_gamma_row(on: Record) -> None:
    on.printed.prove(are_free(-1) and only(exponentials(-1), [P - 1, Q, R, E]),
                     "as for the gamma row with t = e^-x: an invertible block has P = 1, Q = R = E = 0")
    on.printed.prove(sp.simplify(sp.exp(-(X + C)) - sp.exp(-C) * sp.exp(-X)) == 0,
                     "what is left is S = e^-C: 1/z = e^-C/w")
    row = row_of("inverse_gamma")
    shape, scale = row.parameters
    on.printed.prove(carried(row, row.z / SCALE, (shape, SCALE * scale)) == 0, "and all a > 0 occur")


def beta_equations() -> tuple[list[sp.Expr], sp.Expr, sp.Symbol]:
    """What is left of z = e^C w^P (1-w)^Q and 1 - z = e^E w^R (1-w)^S for the rational z that the log slopes force."""
    w = sp.Symbol("w", positive=True)
    first, second = P / w - Q / (1 - w), R / w - S / (1 - w)
    # z' = first z and z' = second (z - 1), so z (second - first) = second.
    z = second / (second - first)
    rest, _ = sp.fraction(sp.together(sp.diff(z, w) - first * z))
    return coefficients(rest, w), sp.simplify(z), w


@chapter.claim("gin.tab.beta", place="App. C, Table 1, row 6", kind=Kind.TABLE,
               statement="Beta: log z = log w or log z = log(1 - w).", hypotheses=("an invertible block in eq. 34",),
               covers=("Table 1",))
def beta_row(on: Record) -> None:
    equations, z, w = beta_equations()
    system, extra = regular(equations, DETERMINANT)
    basis = sp.groebner(system, P, Q, R, S, extra, order="lex")
    solutions = {tuple(v[:4]) for v in sp.solve(list(basis.exprs), (P, Q, R, S, extra))}
    maps, powers = set(), []
    for p, q, r, s in solutions:
        image = sp.simplify(z.subs({P: p, Q: q, R: r, S: s}))
        maps.add(image)
        ratios = (image / (w**p * (1 - w) ** q), (1 - image) / (w**r * (1 - w) ** s))
        powers.append(all(sp.simplify(sp.diff(v, w)) == 0 for v in ratios))
    six = {w, 1 - w, 1 / w, 1 / (1 - w), (w - 1) / w, w / (w - 1)}
    inside = {v for v in maps if 0 < v.subs(w, sp.Rational(1, 3)) < 1}
    finite = basis.is_zero_dimensional and len(solutions) == 6
    on.printed.prove(finite and all(powers) and {sp.simplify(v) for v in six} == maps and inside == {w, 1 - w},
                     "the log derivatives make z a Moebius map of w, with six solutions for an invertible block: w, 1 "
                     "- w, 1/w, 1/(1 - w), (w - 1)/w, w/(w - 1); only w and 1 - w keep z in (0, 1)")
    row = row_of("beta")
    first, second = row.parameters
    on.printed.prove(carried(row, 1 - row.z, (second, first)) == 0,
                     "and both occur: 1 - w is beta with the parameters exchanged")


@chapter.claim("gin.tab.circle", place="Sec. 3.2", kind=Kind.ADDED,
               statement="A common continuous family with two parameters that is not in Table 1 and has no t: for the "
                         "von Mises family, T = (cos z, sin z), the relation of the statistics leaves z = w + b or z "
                         "= b - w.",
               hypotheses=("an invertible block",))
def von_mises(on: Record) -> None:
    cosine, sine = sp.symbols("u v", real=True)
    on.printed.prove(sp.cos(1) == sp.cos(-1) and sp.sin(1) != sp.sin(-1),
                     "T_1 = cos takes a value twice, with different T_2")
    norm = (P * cosine + Q * sine + C) ** 2 + (R * cosine + S * sine + E) ** 2 - 1
    reduced = sp.rem(sp.expand(norm), sine**2 + cosine**2 - 1, sine)
    on.printed.prove(only(coefficients(reduced, cosine, sine), [C, E, P**2 + R**2 - 1, Q**2 + S**2 - 1, P * Q + R * S]),
                     "cos^2 z + sin^2 z = 1 for all w: no shifts and an orthogonal block, a rotation or a reflection "
                     "of the circle")


@dataclass(frozen=True)
class Affine:
    """Two models of one latent of one family, x = z and x = a w + b, with parameters at three conditions."""

    name: str
    first: tuple[tuple[Fraction, Fraction], ...]
    second: tuple[tuple[Fraction, Fraction], ...]
    a: Fraction
    b: Fraction

    def models(self) -> tuple[it.Model, it.Model]:
        """The two."""
        return tuple(it.Model(it.ConditionalPrior(self.name, [[list(row)] for row in natural]),
                              it.ReLUNetwork([[[a]]], [[b]]))
                     for natural, a, b in ((self.first, 1, 0), (self.second, self.a, self.b)))  # type: ignore[return-value]

    @property
    def has_equal_laws(self) -> bool:
        """The toolkit's decision."""
        return it.equal_in_law(*self.models()).status is it.Status.HOLDS

    @property
    def is_of_the_row(self) -> bool:
        """Whether z = a w + b is in the last column of Table 1."""
        if self.name == "normal":
            return self.a != 0
        if self.name == "beta":
            return (self.a, self.b) in ((1, 0), (-1, 1))
        return self.b == 0 and self.a > 0


def _moved(name: str, natural: tuple[Fraction, Fraction], a: Fraction, b: Fraction) -> tuple[Fraction, Fraction]:
    """Natural parameters of w for which a w + b has those given, where z = a w + b is of the row."""
    one, two = natural
    if name == "normal":
        return a * (one + 2 * two * b), two * a**2
    if name == "beta":
        return (one, two) if a > 0 else (two, one)
    return {"gamma": (one, two * a), "inverse_gamma": (one, two / a), "inverse_gaussian": (one * a, two / a),
            "lognormal": (one, two)}[name]


@st.composite
def affine_relations(draw: st.DrawFn) -> Affine:
    """Relations in and out of the table, with parameters that make up for them and others."""
    name = draw(st.sampled_from(["normal", "lognormal", "inverse_gaussian", "gamma", "inverse_gamma", "beta"]))
    number = st.sampled_from([Fraction(v) for v in ("1", "2", "1/2", "3")])
    size = [draw(st.lists(number, min_size=3, max_size=3)) for _ in range(2)]
    signs = {"normal": (1, -1), "lognormal": (1, -1), "inverse_gaussian": (-1, -1), "gamma": (1, -1),
             "inverse_gamma": (-1, -1), "beta": (1, 1)}[name]
    first = tuple((signs[0] * x, signs[1] * y) for x, y in zip(*size, strict=True))
    a = draw(st.sampled_from([Fraction(v) for v in ("1", "2", "1/2", "-1", "-3")]))
    b = draw(st.sampled_from([Fraction(v) for v in ("0", "0", "1", "-1/2")]))
    moved = tuple(_moved(name, row, abs(a) if name not in ("normal", "beta") else a, b) for row in first)
    assert all(family(name).domain_problem(row) is None for row in moved)
    return Affine(name, first, draw(st.sampled_from([moved, moved, first])), a, b)


def affine_rows() -> Universal[Affine]:
    """The last column of Table 1 for affine relations, against the toolkit's decisions on the laws of x given u."""
    return Universal(
        "affine z = a w + b between models with one law of x given u is of the form in the last column of Table 1",
        lambda dropped: affine_relations(), lambda case: case.is_of_the_row,
        {"one law of x": lambda case: case.has_equal_laws}, needed=("one law of x",),
        show=lambda case: show_models(**dict(zip(("first", "second"), case.models(), strict=True))))


@chapter.claim("gin.tab.laws", place="App. C, Table 1, last column", kind=Kind.TABLE,
               statement="In the six families, an affine relation z = a w + b between two models with one law of x "
                         "given u is one of the row.",
               hypotheses=("one law of x given u",), scope="affine relations; L need not be invertible for them",
               covers=("Table 1",), universal=affine_rows)
def rows_against_the_laws(on: Record) -> None:
    on.printed.search(cases=40)
