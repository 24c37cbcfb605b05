"""The condition ``ivae.L``: some nk + 1 values of u make the matrix of parameter differences invertible."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from flint import fmpq_mat

from ident_theory.conditions.l_matrix_choice import (
    choose_points,
    l_matrix,
    margins,
    nonzero_residue,
    table,
)
from ident_theory.conditions.l_matrix_statistics import degeneracy_test, needed_statistic
from ident_theory.conditions.l_matrix_words import Missing, missing_count, missing_directions, summary
from ident_theory.errors import InputError
from ident_theory.exact.findings import Certificate, Finding, Witness
from ident_theory.exact.rationals import format_exact, rational
from ident_theory.exact.verify_matrices import LARGEST_LEVEL
from ident_theory.models.conditional import ConditionalPrior
from ident_theory.models.value import plain_numbers
from ident_theory.numerics import Evidence, Status

__all__ = ["LEVEL", "choose_points", "l_matrix", "l_matrix_finding", "largest_latent_dim", "margins",
           "missing_directions"]

#: Chance of calling degenerate parameters non-degenerate that a statistical verdict may take.
LEVEL = 1e-3
#: Above this scaled condition number the 53 bits of float64 parameters leave their degeneracy open.
NEARLY_SINGULAR = 1e12
#: Determinants of larger matrices are not written out.
_LARGEST_WRITTEN = 12
#: Directions listed in the details.
_LISTED = 20
_REFERENCES = ("ivae.thm1", "ivae.L.gauss", "ivae.rem.iii")


def l_matrix_finding(prior: ConditionalPrior, *, level: float = LEVEL) -> Finding:
    r"""Whether some choice of nk + 1 values of u makes L invertible.

    **Statement.** There are values :math:`u_0, \dots, u_{nk}` for which
    :math:`L = [\lambda(u_1) - \lambda(u_0), \dots, \lambda(u_{nk}) - \lambda(u_0)]` is invertible.

    **What is checked.** That the parameters at the values of u of the prior span an affine space of dimension nk,
    exactly. If so, values of u of large volume are named, with the determinant modulo a prime as certificate; if
    not, a direction :math:`c \ne 0` in which :math:`c \cdot \lambda(u)` does not vary is the witness. For
    estimated parameters the question is put to their unknown true values, by `degeneracy_test`.

    **Taken on trust.** Nothing for given parameters; for estimates, that their errors are Gaussian with the
    given covariances and independent over u.

    **What an answer means.** "fails" is about the values of u of this prior: others may do.

    Parameters
    ----------
    prior : ConditionalPrior
    level : float
        For estimates: the largest chance of calling degenerate parameters non-degenerate, at most 0.05.

    Returns
    -------
    Finding
        Its details hold the chosen values of u, condition numbers and singular values of L (see `margins`), the
        rank, how many more values of u are needed at least, and the largest number of latents for which the
        values of u would do.

    References
    ----------
    Ledger ``ivae.thm1``, ``ivae.L.gauss``, ``ivae.rem.iii``, ``idnu.mixK``, ``idnu.dz4``, ``gin.dim``.
    """
    if not isinstance(prior, ConditionalPrior):
        raise InputError(f"l_matrix_finding: expected a ConditionalPrior, got {type(prior).__name__}")
    if not 0 < level <= LARGEST_LEVEL:
        raise InputError(f"level: expected a number in (0, {float(LARGEST_LEVEL)}], got level={level!r}")
    details = _counts(prior)
    if prior.is_estimated:
        return _estimated(prior, details, level)
    points = choose_points(prior)
    if points is not None:
        return _holds(prior, points, details)
    return _fails(prior, details)


def largest_latent_dim(n_values: int, k: int) -> int:
    """The largest n for which `n_values` different parameters can suffice: floor((n_values - 1)/k)."""
    return max(0, (n_values - 1) // k)


def _counts(prior: ConditionalPrior) -> dict[str, Any]:
    distinct = len({tuple(row) for row in table(prior)})
    return {"values_of_u": prior.n_values, "distinct_parameters": distinct,
            "values_needed": prior.latent_dim * prior.k + 1,
            "largest_latent_dim": largest_latent_dim(distinct, prior.k)}


def _named(prior: ConditionalPrior, points: tuple[int, ...]) -> str:
    names = [prior.label(u) for u in points]
    return ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:10])}, ... ({len(names)} values)"


def _holds(prior: ConditionalPrior, points: tuple[int, ...], details: dict[str, Any]) -> Finding:
    proof = nonzero_residue(prior, points)
    assert proof is not None
    modulus, residue = proof
    size = prior.latent_dim * prior.k
    details |= {"rank": size, "points": list(points), **margins(prior, points)}
    if size <= _LARGEST_WRITTEN:
        rows = [[rational(item) for item in row] for row in l_matrix(prior, points)]
        determinant = fmpq_mat(rows).det()
        details["determinant"] = format_exact(Fraction(int(determinant.p), int(determinant.q)))
    condition = details["condition_number"]
    grade = "" if condition is None else f", condition number {condition:.3g}"
    scaled = details["scaled_condition_number"]
    warning = " It is so close to singular that parameters rounded to float64 may owe it to their rounding." \
        if scaled is None or scaled > NEARLY_SINGULAR else ""
    return Finding(
        "ivae.L", Status.HOLDS, Evidence.EXACT,
        f"The values u = {_named(prior, points)} give an invertible L of size {size} x {size}{grade}. With "
        f"{details['distinct_parameters']} different parameters and k = {prior.k} at most "
        f"{details['largest_latent_dim']} latents are possible.{warning}",
        Certificate("l_matrix.invertible", {"indices": list(points), "modulus": modulus, "residue": residue},
                    f"det L = {residue} modulo {modulus} for u = "
                    f"{_named(prior, points)}"),
        references=_REFERENCES, details=details)


def _fails(prior: ConditionalPrior, details: dict[str, Any]) -> Finding:
    size, count = prior.latent_dim * prior.k, missing_count(prior)
    few = details["distinct_parameters"] < details["values_needed"]
    missing = missing_directions(prior, joint=0 if few else _LISTED)
    if not missing and prior.n_values > size:
        missing = missing_directions(prior, joint=1)
    details |= {"rank": size - count, "missing_directions": count, "more_values_at_least": count,
                "missing": [_listed(item) for item in missing[:_LISTED]]}
    return Finding("ivae.L", Status.FAILS, Evidence.EXACT,
                   f"L is singular for every choice of values of u: its rank is {size - count} of {size}. "
                   + _why(prior, missing, details), _witness(prior, missing), references=_REFERENCES, details=details)


def _listed(item: Missing) -> dict[str, Any]:
    """A direction for the details; very long integers are left to the witness."""
    short = max(abs(c) for c in item.direction) < 10**30
    return {"latent": item.latent, "direction": list(item.direction) if short else None, "text": item.text}


def _why(prior: ConditionalPrior, missing: list[Missing], details: dict[str, Any]) -> str:
    """Too few values of u, or parameters that do not vary enough; and what would help."""
    distinct, needed, count = details["distinct_parameters"], details["values_needed"], details["missing_directions"]
    words = []
    if distinct < needed:
        words.append(f"{distinct} different parameter vectors are too few: with n = {prior.latent_dim} and "
                     f"k = {prior.k} it takes nk + 1 = {needed}, and {distinct} can serve at most n = "
                     f"{details['largest_latent_dim']} latents")
    if distinct >= needed or any(item.latent is not None for item in missing):
        words.append(summary(prior, missing))
    words.append(f"at least {count} more value{'s' if count > 1 else ''} of u would be needed, varying in the missing "
                 f"direction{'s' if count > 1 else ''}")
    return ". ".join(word[:1].upper() + word[1:] for word in words) + "."


def _witness(prior: ConditionalPrior, missing: list[Missing]) -> Witness:
    if not missing:
        return _count_witness(prior)
    first = missing[0]
    place = "" if first.latent is None else f"latent {first.latent}: "
    return Witness("l_matrix.direction", {"direction": list(first.direction),
                                          "constant": plain_numbers(first.constant)}, place + first.text)


def _count_witness(prior: ConditionalPrior) -> Witness:
    needed = prior.latent_dim * prior.k + 1
    return Witness("l_matrix.count", {"values": prior.n_values, "needed": needed},
                   f"{prior.n_values} values of u, {needed} needed")


def _estimated(prior: ConditionalPrior, details: dict[str, Any], level: float) -> Finding:
    size = prior.latent_dim * prior.k
    if prior.n_values < size + 1:
        more = size + 1 - prior.n_values
        details |= {"rank": None, "more_values_at_least": more}
        return Finding(
            "ivae.L", Status.FAILS, Evidence.EXACT,
            f"{prior.n_values} values of u are too few, whatever the true parameters are: with n = {prior.latent_dim} "
            f"and k = {prior.k} it takes nk + 1 = {size + 1}. At least {more} more, or at most "
            f"{largest_latent_dim(prior.n_values, prior.k)} latents.",
            _count_witness(prior), references=_REFERENCES, details=details)
    if missing_count(prior):
        return _fails(prior, details)
    test, points = degeneracy_test(prior), choose_points(prior)
    details |= {"degrees_of_freedom": prior.n_values - 1, "level": level,
                "statistic": None if test is None else float(test.bound),
                "probability": 1.0 if test is None else float(test.probability)}
    if points is not None:
        details |= {"points": list(points), **margins(prior, points)}
    assumptions = ("the errors of the estimates are Gaussian with the given covariances, independent over u",)
    if test is None or test.probability > level:
        advice = "more or other values of u" if test is None else \
            f"standard errors smaller by a factor of {(needed_statistic(prior, level) / float(test.bound)) ** 0.5:.3g}"
        return Finding(
            "ivae.L", Status.UNKNOWN, Evidence.STATISTICAL,
            f"The estimates are compatible with degenerate parameters: these would look as far from degenerate with a "
            f"chance of up to {details['probability']:.3g}, above the level {level:g}. To settle it: {advice}.",
            assumptions=assumptions, references=_REFERENCES, details=details)
    data = {"weights": [plain_numbers(w) for w in test.weights], "bound": plain_numbers(test.bound),
            "probability": plain_numbers(test.probability), "level": format_exact(Fraction(str(level)))}
    return Finding(
        "ivae.L", Status.HOLDS, Evidence.STATISTICAL,
        f"Degenerate true parameters would give estimates as far from degenerate as these with a chance of at most "
        f"{float(test.probability):.3g} (chi-square bound, {prior.n_values - 1} degrees of freedom).",
        Certificate("l_matrix.statistical", data, f"statistic at least {float(test.bound):.6g}, chance of error at "
                                                  f"most {float(test.probability):.3g}"),
        assumptions=assumptions, references=_REFERENCES, details=details)

