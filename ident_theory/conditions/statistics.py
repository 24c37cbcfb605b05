"""Conditions on the sufficient statistics of an exponential family: minimality, smoothness, bounds, base measure.

Every answer but `unknown` carries a proof that the independent verifier has accepted before it is handed out: points
at which a determinant is not zero (in balls), or an identity that computer algebra confirms. Floats with many digits
only propose. The corrected statements of the ledger are the ones decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from math import floor
from typing import Any

import mpmath

from ident_theory.conditions.statistics_search import (
    SMALL,
    cut,
    extremes,
    independent,
    recognised,
    rows,
    to_sympy,
)
from ident_theory.errors import CertificateRejected
from ident_theory.exact.findings import Certificate, Finding, Witness
from ident_theory.models.families import Family, custom_family
from ident_theory.numerics import Evidence, Status

__all__ = ["latent_ambiguity", "statistics_findings", "to_sympy"]

Proposal = tuple[Certificate | Witness, Evidence, str]

#: How the latents of two equivalent models are related, coordinate by coordinate, and what says so.
_AMBIGUITY = {
    "normal": ("z = a w + c, a != 0", "gin.tab.normal"),
    "lognormal": ("log z = a log w + c, a != 0", "gin.tab.logn"),
    "gamma": ("z = a w, a > 0", "gin.tab.gamma"),
    "inverse_gamma": ("z = a w, a > 0", "gin.tab.invg"),
    "beta": ("z = w or z = 1 - w", "gin.tab.beta"),
    "inverse_gaussian": ("z = a w, a > 0", "gin.tab.ig"),
    "normal_mean": ("z = w + c or z = -w + c", "ivae.thm1"),
    "normal_variance": ("z = a w, a != 0", "ivae.thm1"),
    "laplace": ("z - m = a (w - m), a != 0", "ivae.thm1"),
    "custom": ("T(z) = A T(w) + c, A invertible", "gin.thm1"),
}


def latent_ambiguity(family: Family) -> str:
    """Which maps between one latent z and its counterpart w in an equivalent model of the same family remain.

    What is left once every z depends on one w: ``T(z) = A T(w) + c`` solved for z within the family, its base
    measure included (so z = a/w is excluded for the inverse Gaussian family). For one statistic the separation
    itself needs more than the theorem on weak identifiability, and z is taken to be continuous in w; m is the
    known location of the Laplace family. The ledger's row stands in brackets.

    References
    ----------
    Sorrenson et al. 2020, Table 1, as corrected in the ledger (``gin.tab.*``).
    """
    relation, row = _AMBIGUITY[family.name]
    return f"{relation} [{row}]"


def statistics_findings(family: Family) -> dict[str, Finding]:
    """Decide what the theorems ask of the sufficient statistics of a family.

    ====================  ==============================================================================================
    ``exp.analytic``      every T_j is real and analytic on the support but for finitely many points
    ``ivae.statistics``   every T_j is differentiable almost everywhere with a derivative that is almost nowhere 0
                          (as published; superfluous given ``exp.minimal``: repairs R1 and R2)
    ``exp.minimal``       1, T_1, ..., T_k are linearly independent modulo null sets
    ``ivae.lem1``         k points with linearly independent derivative vectors T'(x_1), ..., T'(x_k) exist
    ``exp.strong``        theta . T is constant on a set of positive measure only for theta = 0
    ``exp.positive``      the base density is > 0 almost everywhere on the support
    ``exp.bounded``       every T_j is bounded below or above (repair R3, for k = 1)
    ``exp.C1``            T is continuously differentiable (repair R4, for k >= 2)
    ====================  ==============================================================================================

    Checked is the family alone, not its natural parameters. An answer `unknown` says what was tried: signs are
    followed through rational functions (Sturm's theorem) and through rules for the other functions; Abs, Max, Min,
    sign and Heaviside are decided where these settle the sign of their argument.

    Parameters
    ----------
    family : Family

    Returns
    -------
    dict of str to Finding
        Proofs verify against any model tree whose ``prior`` names the family.

    Raises
    ------
    InputError
        When a statistic or the base density divides by zero everywhere.

    References
    ----------
    Ledger rows ``ivae.thm1``, ``ivae.thm2``, ``ivae.lem1``, ``ivae.eq20``, ``gan.lem1``, ``gan.lem3``, ``gan.eq65``.
    """
    search = _Search(family)
    findings = [search.analytic, search.statistics(), search.minimal(), search.derivative_points(), search.strong(),
                search.positive(), search.bounded(), search.smooth()]
    return {finding.condition: finding for finding in findings}


class _Search:
    """Proposes proofs about one family and hands out those that the verifier accepts."""

    def __init__(self, family: Family) -> None:
        self.family = family
        for text in (*family.statistics, family.base):
            to_sympy(text)  # raises for what is no function at all
        self.pieces = cut(family.statistics, family.support)
        self.count = 4 * family.k + 8

    @cached_property
    def values(self) -> list[tuple[list[Fraction], list[list[Any]]]]:
        """Points and rows [1, T] for each piece."""
        return [rows(piece, self.count, with_one=True) for piece in self.pieces.items]

    @cached_property
    def slopes(self) -> list[tuple[list[Fraction], list[list[Any]]]]:
        """Points and rows T' for each piece."""
        return [rows(piece, self.count, derivatives=True) for piece in self.pieces.items]

    def decide(self, condition: str, proofs: Iterable[Proposal], references: tuple[str, ...],
               tried: str) -> Finding:
        """The first proof that the verifier accepts, as a finding; `unknown` with what was tried when there is none."""
        rejected = ""
        for proof, evidence, reason in proofs:
            try:
                proof.verify({"prior": self.family.plain()})
            except CertificateRejected as error:
                rejected = rejected or str(error)
                continue
            status = Status.HOLDS if isinstance(proof, Certificate) else Status.FAILS
            points = {"points": proof.data["points"]} if "points" in proof.data else {}
            return Finding(condition, status, evidence, reason, proof, (), references, {"k": self.family.k, **points})
        return Finding(condition, Status.UNKNOWN, Evidence.NUMERICAL,
                       f"Not decided: {tried}{f' ({rejected})' if rejected else ''}.", None, (), references,
                       {"k": self.family.k, "points_per_piece": self.count, "pieces": len(self.pieces.items)})

    @cached_property
    def analytic(self) -> Finding:
        """Whether the statistics are real and analytic on every piece."""
        places = len(self.pieces.items) - 1
        where = f"on the support but for {places} point{'s' if places > 1 else ''}" if places else "on the support"
        proof = Certificate("family.analytic", self.pieces.plain(), f"analytic {where}: no part is singular there")
        return self.decide("exp.analytic", [(proof, Evidence.EXACT, f"Every statistic is real and analytic {where}.")],
                           ("ivae.lem1",), "no rule shows that every statistic is real and analytic on the support; "
                           "where one is not real, a smaller support would settle it")

    def whole(self, finding: Finding) -> Finding:
        """The finding, with the assumption that T is a real function where that was not shown."""
        if self.analytic.status is Status.HOLDS or finding.status is Status.UNKNOWN:
            return finding
        return replace(finding, assumptions=("every statistic is a real function on the whole support",))

    def statistics(self) -> Finding:
        """Derivatives non-zero almost everywhere."""
        plain = self.pieces.plain()
        names = self.family.statistics

        def proofs() -> Iterator[Proposal]:
            chosen = []
            for index, (points, matrix) in enumerate(self.slopes):
                if not points:
                    return
                columns = [[abs(row[j]) for row in matrix] for j in range(len(names))]
                chosen.append([str(points[column.index(max(column))]) for column in columns])
                for j, column in enumerate(columns):
                    if max(column) <= SMALL:
                        yield (Witness("family.flat_statistic", {**plain, "piece": index, "statistic": j},
                                       f"T_{j + 1} = {names[j]} is constant around z = {plain['samples'][index]}"),
                               Evidence.EXACT, f"T_{j + 1} = {names[j]} has derivative zero on an interval. What the "
                               "theorem needs is minimality (exp.minimal), and that alone (repairs R1 and R2).")
            yield (Certificate("family.slopes", {**plain, "points": chosen},
                               "a non-zero derivative of each statistic on every piece, where it is analytic"),
                   Evidence.CERTIFIED, "Every statistic is analytic but for finitely many points, and its derivative "
                   "is zero almost nowhere. Given minimality (exp.minimal) the theorem does not need this (repairs R1 "
                   "and R2).")

        return self.decide("ivae.statistics", proofs(), ("ivae.thm1",), "derivatives were evaluated on every piece")

    def minimal(self) -> Finding:
        """Linear independence of 1, T_1, ..., T_k."""
        points = [point for item in self.values for point in item[0]]
        matrix = [row for item in self.values for row in item[1]]

        def proofs() -> Iterator[Proposal]:
            chosen, null = independent(matrix, self.family.k + 1)
            if null is None:
                places = [str(points[i]) for i in chosen]
                yield (Certificate("family.minimal_points", {"points": places},
                                   f"det [1, T(z)] != 0 at z = {', '.join(places)}"), Evidence.CERTIFIED,
                       "1 and the statistics are linearly independent: a determinant of their values is not zero.")
                return
            theta = _constants(null[1:])
            if theta is not None:
                relation = _relation_text(theta)
                yield (Witness("family.relation", {**self.pieces.plain(), "theta": theta},
                               f"{relation} = {mpmath.nstr(mpmath.chop(-null[0]), 12)} on the support"), Evidence.EXACT,
                       f"The statistics obey the linear relation {relation} = constant, so other natural parameters "
                       "give the same law; drop one statistic.")

        return self.whole(self.decide(
            "exp.minimal", proofs(), ("ivae.thm1", "gan.lem1", "idnu.prop1"),
            f"{len(points)} points show no independence, and no relation was proved"))

    def derivative_points(self) -> Finding:
        """The points of iVAE Lemma 1."""
        points = [point for item in self.slopes for point in item[0]]
        matrix = [row for item in self.slopes for row in item[1]]

        def proofs() -> Iterator[Proposal]:
            chosen, null = independent(matrix, self.family.k)
            if null is None:
                places = [str(points[i]) for i in chosen]
                yield (Certificate("family.derivative_points", {"points": places},
                                   f"det T'(x) != 0 at x = {', '.join(places)}"), Evidence.CERTIFIED,
                       f"The points of the lemma exist: T' is linearly independent at {', '.join(places)}.")
                return
            theta = _constants(null)
            if theta is not None:
                yield (Witness("family.no_derivative_points", {**self.pieces.plain(), "theta": theta},
                               f"{_relation_text(theta)} is piecewise constant"), Evidence.EXACT,
                       f"{_relation_text(theta)} has derivative zero wherever it has one, so no {self.family.k} points "
                       "have independent derivatives. When the statistics are minimal all the same, this refutes the "
                       "lemma as published; identifiability needs minimality only (repairs R1 and R2).")

        return self.whole(self.decide("ivae.lem1", proofs(), ("ivae.lem1", "gan.lem3"),
                                      f"derivatives at {len(points)} points show no independence, and no relation was "
                                      "proved"))

    def strong(self) -> Finding:
        """Strong exponentiality: independence on every piece."""
        plain = self.pieces.plain()

        def proofs() -> Iterator[Proposal]:
            places = []
            for index, (points, matrix) in enumerate(self.values):
                chosen, null = independent(matrix, self.family.k + 1)
                theta = None if null is None else _constants(null[1:])
                if theta is not None:
                    yield (Witness("family.flat_piece", {**plain, "piece": index, "theta": theta},
                                   f"{_relation_text(theta)} is constant around z = {plain['samples'][index]}"),
                           Evidence.EXACT, f"{_relation_text(theta)} is constant on an interval.")
                places.append([str(points[i]) for i in chosen])
            yield (Certificate("family.strong", {**plain, "points": places},
                               "analytic on every piece, and independent at points of each"), Evidence.CERTIFIED,
                   "The statistics are analytic on every piece and, with 1, linearly independent there: a non-constant "
                   "analytic function is constant on null sets only.")

        return self.decide("exp.strong", proofs(), ("gan.eq65", "gan.lem3"), "independence was sought on every piece")

    def positive(self) -> Finding:
        """The base measure."""
        base = self.family.base
        pieces = cut([base], self.family.support)
        plain = pieces.plain()

        def proofs() -> Iterator[Proposal]:
            yield (Certificate("family.positive", plain, f"{base} > 0 almost everywhere, by the signs of its parts"),
                   Evidence.EXACT, f"The base density {base} is positive almost everywhere on the support.")
            for index, piece in enumerate(pieces.items):
                points, values = rows(piece, self.count)
                if all(abs(row[0]) <= SMALL for row in values):
                    yield (Witness("family.base_zero", {**plain, "piece": index}, f"{base} = 0 around {piece.sample}"),
                           Evidence.EXACT, f"The base density {base} is zero on an interval of the support, where the "
                           "statistics are then arbitrary; restrict the support.")
                for point, row in zip(points, values, strict=True):
                    if row[0] < -SMALL:
                        yield (Witness("family.base_negative", {"point": str(point)}, f"{base} < 0 at {point}"),
                               Evidence.CERTIFIED, f"{base} is negative at {point}, so it is no density.")
                        break

        return self.decide("exp.positive", proofs(), ("ivae.eq20", "gin.support"),
                           f"no rule settles the sign of {base}")

    def bounded(self) -> Finding:
        """One-sided bounds."""
        plain = self.pieces.plain()

        def proofs() -> Iterator[Proposal]:
            bounds: list[dict[str, str]] = []
            for j in range(self.family.k):
                bound = self._bound(j)
                if bound is not None:
                    bounds.append(bound)
                    continue
                name = f"T_{j + 1} = {self.family.statistics[j]}"
                ends = extremes(self.pieces, j)
                if ends is not None:
                    yield (Witness("family.unbounded", {**plain, "statistic": j, **ends},
                                   f"{name} takes values up to oo and down to -oo"), Evidence.EXACT,
                           f"{name} is bounded on neither side; for k = 1 the repaired theorem (R3) needs a bound.")
            if len(bounds) == self.family.k:
                text = "; ".join(f"T_{j + 1} {'>=' if bound['side'] == 'below' else '<='} {bound['value']}"
                                 for j, bound in enumerate(bounds))
                yield (Certificate("family.bounded", {**plain, "bounds": bounds}, text), Evidence.EXACT,
                       "Every statistic is bounded on one side.")

        return self.decide("exp.bounded", proofs(), ("ivae.thm2", "ivae.thm2.sign"),
                           "rational bounds near the extreme values found, and limits at the ends of the support")

    def _bound(self, j: int) -> dict[str, str] | None:
        """A bound of T_j that the verifier accepts, close to the least or largest value at the points tried."""
        alone = custom_family([self.family.statistics[j]], "1", self.family.support).plain()
        sample = [row[j + 1] for item in self.values for row in item[1]]
        if not sample:
            return None
        for side, sign in (("below", 1), ("above", -1)):
            extreme = min(sign * value for value in sample)
            known = recognised(extreme)
            tries = [Fraction(known)] if known is not None and "*" not in known else []
            tries += [Fraction(0), *(Fraction(floor(extreme)) - step for step in (0, 1, 4))]
            for value in tries:
                bound = {"side": side, "value": str(sign * value)}
                try:
                    Certificate("family.bounded", {**self.pieces.plain(), "bounds": [bound]}).verify({"prior": alone})
                except CertificateRejected:
                    continue
                return bound
        return None

    def smooth(self) -> Finding:
        """Continuous differentiability."""
        plain = self.pieces.plain()

        def proofs() -> Iterator[Proposal]:
            yield (Certificate("family.smooth", plain, "analytic on every piece; values and slopes agree at "
                               f"{len(self.pieces.items) - 1} breaks"), Evidence.EXACT,
                   "The statistics are continuously differentiable on the support.")
            for j, name in enumerate(self.family.statistics):
                for index in range(len(self.pieces.items) - 1):
                    for order, what in enumerate(("value", "slope")):
                        yield (Witness("family.jump", {**plain, "break": index, "statistic": j, "order": order},
                                       f"the {what} of T_{j + 1} = {name} jumps between {plain['samples'][index]} and "
                                       f"{plain['samples'][index + 1]}"), Evidence.CERTIFIED,
                               f"The {what} of T_{j + 1} = {name} jumps; for k >= 2 repair R4 needs T to be "
                               "continuously differentiable.")

        return self.decide("exp.C1", proofs(), ("gin.appC", "idnu.thm2"),
                           "values and slopes at the breaks were compared")


def _constants(null: Sequence[Any]) -> list[str] | None:
    """Coefficients in closed form; None when one is not recognised or all are zero."""
    found = [recognised(value) for value in null]
    return [item for item in found if item is not None] if None not in found and set(found) != {"0"} else None


def _relation_text(theta: Sequence[str]) -> str:
    terms = [(item.removeprefix("-"), f"T_{j + 1}", item.startswith("-"))
             for j, item in enumerate(theta) if item != "0"]
    text = " ".join(f"{'-' if negative else '+'} {name if size == '1' else f'{size} {name}'}"
                    for size, name, negative in terms)
    return text.removeprefix("+ ").replace("- ", "-", 1) if terms[0][2] else text.removeprefix("+ ")
