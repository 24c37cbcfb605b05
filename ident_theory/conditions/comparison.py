"""How two models are related, as a value that can be stored, read back and verified."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ident_theory.conditions.lattice import Equivalence
from ident_theory.conditions.relation_findings import LATENTS, LAW, condition_of
from ident_theory.conditions.relation_priors import AFFINE_KINDS, is_of
from ident_theory.conditions.relation_statistics import Statistics
from ident_theory.conditions.verification import Line
from ident_theory.errors import CertificateRejected, InputError, ModelError
from ident_theory.exact.findings import Finding
from ident_theory.exact.rationals import parse_array
from ident_theory.models import AffineChange, Model
from ident_theory.models.value import plain_numbers
from ident_theory.numerics import Status

#: Of the JSON form; raised when it changes in a way that old readers would misread.
FORMAT = 1
TYPE = "comparison"


@dataclass(frozen=True)
class Correspondence:
    r"""How two models are related; what `ident_theory.equivalence` returns.

    Attributes
    ----------
    first, second : Model
    equivalence : Equivalence
        The finest that was found to relate prior and decoder together; NONE when there is none, or when none was found
        (the finding ``equivalent.affine`` says which). ORTHOGONAL and MONOMIAL do not contain each other: when both
        hold this is ORTHOGONAL, and ``equivalent.monomial`` is among the findings.
    change : AffineChange or None
        The map h, :math:`P_b = h_\# P_a` and :math:`f_b = f_a \circ h^{-1}`.
    n_changes : int or None
        Number of affine maps that relate the models, 0 when there is none; None when they are not all known.
    latent : Equivalence
        The finest affine one that was found to relate the priors alone, over the reals.
    statistics : (ndarray of Fraction, ndarray of Fraction) or None
        For conditional priors A and c with :math:`T_a(z) = A T_b(\varphi(z)) + c`, where :math:`f_a = f_b \circ
        \varphi`; statistics are stacked latent by latent.
    findings : mapping of str to Finding
        ``equal_in_law``; ``latents.affine``; the finest ``equivalent.X`` that hold and the coarsest that do not.
    seconds : float
        Time that it took.
    """

    first: Model
    second: Model
    equivalence: Equivalence
    change: AffineChange | None
    n_changes: int | None
    latent: Equivalence
    statistics: Statistics | None
    findings: Mapping[str, Finding]
    seconds: float

    def verify(self) -> None:
        """Check every proof with the independent verifier, and that the rest follows or is found again.

        Raises
        ------
        CertificateRejected
            Names the first line that is not accepted.
        """
        for what, is_accepted, message in self._lines():
            if not is_accepted:
                raise CertificateRejected(f"{what}: {message}")

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON. The second model stands once, not in every proof."""
        return {"type": TYPE, "format": FORMAT, "first": self.first.plain(), "second": self.second.plain(),
                "equivalence": str(self.equivalence), "change": None if self.change is None else self.change.plain(),
                "n_changes": self.n_changes, "latent": str(self.latent),
                "statistics": None if self.statistics is None else
                {"matrix": plain_numbers(self.statistics[0]), "shift": plain_numbers(self.statistics[1])},
                "findings": [_without_second(item.to_dict()) for item in self.findings.values()],
                "seconds": self.seconds}

    def to_json(self, indent: int | None = None) -> str:
        """As JSON text, from which it can be read and verified again."""
        return json.dumps(self.to_dict(), indent=indent)

    @staticmethod
    def from_dict(tree: Mapping[str, Any]) -> Correspondence:
        """Read back what `to_dict` wrote; nothing is verified.

        Raises
        ------
        InputError
            When the tree is no comparison, or one of another format.
        """
        from ident_theory.spec.reading import from_dict

        if not isinstance(tree, Mapping) or tree.get("type") != TYPE:
            raise InputError(f'comparison: expected an object with "type": "{TYPE}", as equivalence writes it')
        if tree.get("format") != FORMAT:
            raise InputError(f"comparison: expected format {FORMAT}, got {tree.get('format')!r}; compare again")
        try:
            first, second = from_dict(tree["first"]), from_dict(tree["second"])
            plain = second.plain()
            findings = [Finding.from_dict(_with_second(item, plain)) for item in tree["findings"]]
            found = Correspondence(
                first, second, Equivalence(tree["equivalence"]), _change(tree["change"]), _count(tree["n_changes"]),
                Equivalence(tree["latent"]), _statistics(tree["statistics"]),
                {item.condition: item for item in findings}, float(tree["seconds"]))
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"comparison: expected the keys that equivalence writes, {error!r} is missing or wrong"
                             ) from None
        if len(found.findings) < len(findings):
            raise InputError("comparison: expected one finding for each condition, got two for one")
        return found

    @staticmethod
    def from_json(text: str) -> Correspondence:
        """Read back what `to_json` wrote; nothing is verified."""
        try:
            return Correspondence.from_dict(json.loads(text))
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"comparison: expected JSON, got text that cannot be read ({error})") from None

    def __str__(self) -> str:
        law = {Status.HOLDS: "equal in law", Status.FAILS: "different laws", Status.UNKNOWN: "laws undecided"}
        words = [law[self.findings[LAW].status]]
        if self.equivalence is Equivalence.NONE:
            known = self.findings[condition_of(Equivalence.AFFINE)].status is Status.FAILS
            words.append("no affine map of the latent relates the models" if known else "no map found")
        else:
            words.append(f"related {self.equivalence.sentence}")
        if self.change is not None:
            words.append(str(self.change))
        return "; ".join(words)

    def _lines(self) -> Iterator[Line]:
        """What is checked, whether it is accepted, and why (not)."""
        from ident_theory.conditions.relation import equivalence

        again = equivalence(self.first, self.second, budget=60.0 + 4 * self.seconds)
        for name, item in self.findings.items():
            yield _finding_line(name, item, self.first, self.second, again.findings.get(name))
        for what, problem in (("equivalence", self._equivalence_problem()), ("change", self._change_problem())):
            yield what, problem is None, problem or "as the findings say"
        yield _again("number of maps", self.n_changes, again.n_changes)
        yield _again("latents", self.latent, again.latent)
        yield _again("statistics", *(None if item.statistics is None else [plain_numbers(v) for v in item.statistics]
                                     for item in (self, again)))

    def _equivalence_problem(self) -> str | None:
        if LAW not in self.findings or LATENTS not in self.findings:
            return f"expected findings about {LAW} and {LATENTS}"
        holding = [kind for kind in Equivalence if self._status(kind) is Status.HOLDS]
        if self.equivalence is Equivalence.NONE:
            missing = condition_of(Equivalence.AFFINE) not in self.findings
            return "a finding says that they are equivalent" if holding else \
                f"expected a finding about {condition_of(Equivalence.AFFINE)}" if missing else None
        if self.equivalence not in holding or any(kind.is_finer(self.equivalence) for kind in holding):
            return f"the findings do not say that {self.equivalence} is the finest that holds"
        return None

    def _status(self, kind: Equivalence) -> Status | None:
        item = self.findings.get(condition_of(kind))
        return None if item is None else item.status

    def _change_problem(self) -> str | None:
        certificate = self.findings[condition_of(self.equivalence)].certificate \
            if condition_of(self.equivalence) in self.findings else None
        if certificate is None or self.equivalence not in AFFINE_KINDS:
            return None if self.change is None else "there is no proof for this map"
        plain = {key: certificate.data[key] for key in ("matrix", "shift")}
        if self.change is None or self.change.plain() != plain or not is_of(self.change, self.equivalence):
            return "it is not the map of the proof"
        return None


def verify_comparison(tree: Mapping[str, Any]) -> list[Line]:
    """Check a comparison in its JSON form.

    Parameters
    ----------
    tree : mapping
        What ``Correspondence.to_dict`` wrote.

    Returns
    -------
    list of (what, accepted, message)
        One line for each finding, and one each for the equivalence, the map, the number of maps, the relation of the
        priors and that of the statistics. Proofs are checked by the independent verifier; what stands without a proof
        is searched for again.

    Raises
    ------
    InputError
        When the tree is no comparison at all.
    """
    return list(Correspondence.from_dict(tree)._lines())


def _finding_line(condition: str, item: Finding, first: Model, second: Model, again: Finding | None) -> Line:
    proof = item.proof
    if item.status is Status.UNKNOWN:
        return (condition, proof is None, "undecided: nothing to check" if proof is None else
                "a proof beside the status unknown")
    if proof is None:
        same = again is not None and (again.status, again.evidence) == (item.status, item.evidence)
        return condition, same, f"{item.status} without a proof; the search finds it {'' if same else 'not '}again"
    if proof.data.get("second") != second.plain():
        return condition, False, "the proof is about another second model"
    try:
        item.verify(first)
    except CertificateRejected as error:
        return condition, False, str(error)
    return condition, True, f"{item.status}: {proof.kind} accepted"


def _again(what: str, stored: object, found: object) -> Line:
    """A value that no proof shows and that was searched for again."""
    if stored is None:
        return what, True, "nothing stored"
    return what, stored == found, f"searched for again: {found}"


def _without_second(tree: dict[str, Any]) -> dict[str, Any]:
    for side in ("certificate", "witness"):
        if side in tree:
            tree[side]["data"] = {key: value for key, value in tree[side]["data"].items() if key != "second"}
    return tree


def _with_second(tree: Mapping[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    whole = dict(tree)
    for side in ("certificate", "witness"):
        if side in whole:
            whole[side] = {**whole[side], "data": {"second": second, **whole[side]["data"]}}
    return whole


def _change(tree: Any) -> AffineChange | None:
    return None if tree is None else AffineChange(tree["matrix"], tree["shift"])


def _count(value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise ValueError(f"n_changes: {value!r}")
    return value


def _statistics(tree: Any) -> Statistics | None:
    if tree is None:
        return None
    problems: list[Any] = []
    matrix, shift = (parse_array(tree[key], f"statistics.{key}", problems) for key in ("matrix", "shift"))
    if matrix is None or shift is None:
        raise ModelError(problems, "comparison")
    return matrix, shift
