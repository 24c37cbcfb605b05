"""The comparison of two models as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from ident_theory.conditions.lattice import Equivalence
from ident_theory.exact.rationals import nearest_float
from ident_theory.numerics import Status

if TYPE_CHECKING:
    from ident_theory.conditions.relation import Correspondence
    from ident_theory.exact.findings import Finding
    from ident_theory.laws import Law
    from ident_theory.models import AffineChange, Model
    from ident_theory.models.value import FloatArray

WIDTH = 120
#: Columns that the name of a line takes.
_LEFT = 10
#: Exact numbers with more characters than this are rounded.
_LONGEST = 24
#: Latents of a map that is written out.
_MOST_LATENTS = 8
_LAW = "equal_in_law"
_LAWS = {Status.HOLDS: "equal", Status.FAILS: "different", Status.UNKNOWN: "undecided"}


@dataclass(frozen=True)
class Separation:
    """A set whose probabilities under two laws differ: all center + sum of s_i directions[i] with |s_i| <= radius.

    Attributes
    ----------
    center : ndarray, shape (n,)
    directions : ndarray, shape (k, n)
    radius : float
    at_least : Fraction
        Proven: the two probabilities differ by so much or more.
    u : int or None
        The value of u given which they are, for conditional priors.
    """

    center: FloatArray
    directions: FloatArray
    radius: float
    at_least: Fraction
    u: int | None = None

    @property
    def corners(self) -> FloatArray:
        """The corners, in turn around it for k <= 2; shape (2**k, n)."""
        steps = np.array([[]]) if not len(self.directions) else \
            np.array(np.meshgrid(*[[-1.0, 1.0]] * len(self.directions), indexing="ij")).reshape(
                len(self.directions), -1).T
        if len(self.directions) == 2:
            steps = steps[[0, 1, 3, 2]]
        corners: FloatArray = self.center + self.radius * steps @ self.directions.reshape(-1, len(self.center))
        return corners


def separation_of(comparison: Correspondence) -> Separation | None:
    """The set that proves the laws different; None when they are not, or were told apart as formal objects."""
    finding = comparison.findings.get(_LAW)
    witness = None if finding is None else finding.witness
    if witness is None or witness.kind != "law.set":
        return None
    data = witness.data
    center = np.array([_float(value) for value in data["center"]])
    directions = np.array([[_float(value) for value in row] for row in data["directions"]])
    return Separation(center, directions.reshape(-1, len(center)), _float(data["radius"]), Fraction(data["at_least"]),
                      data.get("u"))


def law_of(model: Model, u: int | None = None) -> Law | None:
    """The law of x, where this version can compute it; under a normal conditional prior given u, or its mean over u."""
    from ident_theory.errors import DegenerateLawError, UnsupportedError
    from ident_theory.laws import law

    try:
        return law(_with_mixture(model, u))
    except (DegenerateLawError, UnsupportedError):
        return None


def _with_mixture(model: Model, u: int | None) -> Model:
    """The model with its conditional prior at one value of u, or with the mixture over all of them."""
    from ident_theory.models import ConditionalPrior, GaussianMixture, Model
    from ident_theory.report.check_marks import parts_of

    prior = model.prior
    if not isinstance(prior, ConditionalPrior):
        return model
    parts = parts_of(prior)
    chosen = parts if u is None else parts[u:u + 1]
    means = [part.mean.tolist() for part in chosen if part.mean is not None]
    covariances = [part.covariance.tolist() for part in chosen if part.covariance is not None]
    if not chosen or len(means) < len(chosen):
        return model
    mixture = GaussianMixture([Fraction(1, len(chosen))] * len(chosen), means, covariances)
    return Model(mixture, model.decoder, model.noise)


def label_of(model: Model, u: int) -> str:
    """The name of a value of u."""
    from ident_theory.models import ConditionalPrior

    return model.prior.label(u) if isinstance(model.prior, ConditionalPrior) else str(u)


def compare_text(comparison: Correspondence, first: str = "A", second: str = "B", numbers: str = "",
                 width: int = WIDTH) -> str:
    """Whether the laws are equal, which map takes one model to the other, and on which evidence.

    Parameters
    ----------
    comparison : Correspondence
    first, second : str
        What the two models are called besides A and B, such as their file names.
    numbers : str, optional
        What to say about numbers that are rounded.
    width : int
        Columns.

    Accuracy
    --------
    Maps are written exactly where their numbers are short, else rounded to 12 digits, which is said.
    """
    lines = [*_lines("A", [first], width), *_lines("B", [second], width)]
    lines += _lines("law of x", _law_words(comparison), width)
    lines += _lines("models", _model_words(comparison), width)
    lines += _lines("latents", _latent_words(comparison), width)
    lines += _lines("numbers", [f"rounded: {numbers}"] if numbers else [], width)
    return "\n".join(lines)


def _lines(name: str, texts: list[str], width: int) -> Iterator[str]:
    """A name and what belongs to it, wrapped and indented."""
    for i, text in enumerate(texts):
        head = (name if i == 0 else "").ljust(_LEFT)
        yield from wrap(text, width, initial_indent=head, subsequent_indent=" " * (_LEFT + 2), break_on_hyphens=False)


def _law_words(comparison: Correspondence) -> list[str]:
    finding = comparison.findings[_LAW]
    found = separation_of(comparison)
    # The set is described below, so its words in the reason are left out.
    text = "" if found is None or finding.witness is None else f" A set that shows it: {finding.witness.text}."
    texts = [f"{_LAWS[finding.status]}{_basis(finding)}: {finding.reason.removesuffix(text)}"]
    if found is not None:
        given = "" if found.u is None else f" given u = {label_of(comparison.first, found.u)}"
        texts.append(f"P_A(X in S) and P_B(X in S){given} differ by at least {_lower(found.at_least)} on "
                     f"{_set_text(found)}")
        texts += _density_words(comparison, found)
    return texts


def _set_text(found: Separation) -> str:
    """The set in words."""
    center = _tuple_text(found.center)
    if not len(found.directions) or found.radius == 0.0:
        return f"S = {{{center}}}, an atom"
    if len(found.center) == 1:
        low, high = sorted(found.corners[:, 0])
        return f"S = [{_number(low)}, {_number(high)}]"
    if np.array_equal(found.directions, np.eye(len(found.center))):
        return f"S = the cube around {center} with sides of {_number(2 * found.radius)}"
    steps = " + ".join(f"s_{i + 1} {_tuple_text(row)}" for i, row in enumerate(found.directions))
    return f"S = {{{center} + {steps} : |s_i| <= {_number(found.radius)}}}"


def _density_words(comparison: Correspondence, found: Separation) -> Iterator[str]:
    """Both densities at the center of a set of full dimension, or both masses of an atom; rounded."""
    laws = [law_of(model, found.u) for model in (comparison.first, comparison.second)]
    if laws[0] is None or laws[1] is None:
        return
    if len(found.directions) == len(found.center) and all("Lebesgue" in law.kind.value for law in laws if law):
        values = [float(np.exp(law.log_density(found.center[None])[0])) for law in laws if law]
        yield f"densities at the center: A {_number(values[0])}, B {_number(values[1])} (rounded)"
    elif not len(found.directions):
        masses = []
        for law in filter(None, laws):
            atoms = law.atoms()
            at = np.all(np.isclose(atoms.locations, found.center, rtol=1e-12, atol=1e-300), axis=1)
            masses.append(float(atoms.masses[at].sum()))
        yield f"probabilities of the atom: A {_number(masses[0])}, B {_number(masses[1])} (rounded)"


def _model_words(comparison: Correspondence) -> list[str]:
    relation = comparison.equivalence
    texts = []
    if relation is not Equivalence.NONE:
        finding = comparison.findings[f"equivalent.{relation}"]
        texts.append(f"equivalent {relation.sentence}{_basis(finding)}")
        if comparison.change is None:
            texts.append(finding.reason)
        else:
            texts += [*map_lines(comparison.change), "P_B = h#P_A and f_B = f_A o h^-1, on all of R^m"]
        count = comparison.n_changes
        texts += [] if count is None else ["no other affine map relates the models"] if count == 1 else \
            [f"{count} affine maps relate the models, h is one of them"]
    for name, item in comparison.findings.items():
        kind = name.removeprefix("equivalent.")
        if kind in (name, str(relation)):
            continue
        word = {Status.HOLDS: "also", Status.FAILS: "not", Status.UNKNOWN: "undecided whether"}[item.status]
        head = "" if relation is not Equivalence.NONE else "equivalent "
        texts.append(f"{word} {head}{Equivalence(kind).sentence}{_basis(item)}: {item.reason}")
    return texts


def map_lines(change: AffineChange) -> Iterator[str]:
    """h coordinate by coordinate; long numbers rounded to 12 digits, and large maps left out, which is said."""
    m, rounded = change.latent_dim, False
    if change.is_identity:
        yield "h(z) = z"
        return
    if m > _MOST_LATENTS:
        yield f"h(z) = A z + b, a map of {m} latents, is in the JSON report (--json)"
        return
    for i, (row, shift) in enumerate(zip(change.matrix_exact, change.shift_exact, strict=True)):
        factors = ["z"] if m == 1 else [f"z_{k + 1}" for k in range(m)]
        line = ""
        for value, name in [*zip(row, factors, strict=True), (shift, "")]:
            if value:
                text, is_cut = _exact(abs(value))
                rounded |= is_cut
                sign = "-" if value < 0 else "+" if line else ""
                line += f" {sign} " if line else sign
                line += name if name and text == "1" else f"{text} {name}".rstrip()
        yield f"h(z) = {line}" if m == 1 else f"h_{i + 1}(z) = {line}"
    if rounded:
        yield "(long numbers of h are rounded here; the JSON report has all digits)"


def _latent_words(comparison: Correspondence) -> list[str]:
    """What relates the priors, whatever the decoders."""
    finding = comparison.findings.get("latents.affine")
    relation = comparison.latent
    if relation is not Equivalence.NONE:
        texts = [f"the priors alone agree {relation.sentence}" + ("" if finding is None else _basis(finding))]
    elif finding is None or finding.status is Status.UNKNOWN:
        texts = ["undecided whether an affine map relates the priors"
                 + ("" if finding is None else f": {finding.reason}")]
    else:
        texts = [f"no affine map takes one prior to the other{_basis(finding)}: {finding.reason}"]
    if comparison.statistics is not None:
        matrix, shift = comparison.statistics
        texts.append(f"sufficient statistics: T_A(z) = M T_B(phi(z)) + c with f_A = f_B o phi, M = {_rows(matrix)}, "
                     f"c = {_rows([shift])[1:-1]}")
    return texts


def _rows(matrix: object) -> str:
    """A matrix of rationals in brackets."""
    rows = np.atleast_2d(np.array(matrix, dtype=object))
    return f"[{', '.join('[' + ', '.join(_exact(Fraction(v))[0] for v in row) + ']' for row in rows)}]"


def _basis(finding: Finding) -> str:
    """Evidence and kind of proof."""
    if finding.status is Status.UNKNOWN:
        return ""
    proof = "" if finding.proof is None else f", proof {finding.proof.kind}"
    return f" (evidence {finding.evidence}{proof})"


def _exact(value: Fraction) -> tuple[str, bool]:
    """A rational as it is, or rounded when it is long; and whether it was rounded."""
    text = str(value)
    return (text, False) if len(text) <= _LONGEST else (f"{nearest_float(value):.12g}", True)


def _lower(value: Fraction) -> str:
    """Three digits, rounded down: what is proven stays true."""
    exponent = 2
    while value * 10**exponent < 100:
        exponent += 1
    digits = str(value * 10**exponent // 1)
    return f"{digits[0]}.{digits[1:]}e-{exponent - 2:02}" if exponent > 6 else f"0.{digits.zfill(exponent)}" \
        if value < 1 else "1"


def _tuple_text(point: FloatArray) -> str:
    return _number(point[0]) if len(point) == 1 else f"({', '.join(map(_number, point))})"


def _number(value: float) -> str:
    return f"{float(value):.6g}"


def _float(value: int | str) -> float:
    return nearest_float(Fraction(value))
