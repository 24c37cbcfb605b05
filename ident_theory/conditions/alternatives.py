"""Second models with the same law that are not equivalent: what a failed condition can cost, shown on the model itself.

A condition that fails does not make a model unidentifiable, so nothing here is concluded from findings. They only say
where to look; every pair that is returned was accepted by the independent verifier.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ident_theory.conditions.alternatives_candidate import Candidate
from ident_theory.conditions.alternatives_given_u import candidates_given_u
from ident_theory.conditions.alternatives_line import line_candidates
from ident_theory.conditions.alternatives_space import affine_candidates, scaled, space_candidates
from ident_theory.conditions.alternatives_states import state_candidates
from ident_theory.errors import CertificateRejected, InputError
from ident_theory.exact.findings import Finding, Witness
from ident_theory.exact.pair_trees import identical
from ident_theory.models import ConditionalPrior, GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.numerics import Status

#: What pairs of a construction can violate and in what they then differ, coarsest first.
_CLAIMS: dict[str, tuple[tuple[str, str], ...]] = {
    "kernel": (("affine", "latent"), ("monomial", "latent"), ("monomial", "decoder")),
    "fold": (("affine", "latent"), ("affine", "decoder")),
    "symmetry": (("affine", "latent"), ("monomial", "latent"), ("monomial", "decoder")),
    "stretch": (("affine", "latent"),),
    "swap": (("affine", "decoder"),),
    "labels": (("permutation", "structure"),),
    "mixing": (("monomial", "latent"), ("monomial", "decoder")),
    "mixing given u": (("affine_statistics", "statistics"),),
    "statistics": (("affine_statistics", "statistics"),),
    "scaling": (("permutation", "latent"),),
}
#: Candidates of one construction that are given to the verifier.
MAX_TRIES = 12

_SENTENCES = {
    ("affine", "latent"): "no invertible affine map carries the law of the latent to that of the second model",
    ("affine", "decoder"): "no invertible affine map of the latent carries law and decoder to those of the second "
                           "model",
    ("monomial", "latent"): "no order, signed scaling and translation of the latents carries their law to that of the "
                            "second model",
    ("monomial", "decoder"): "no order, signed scaling and translation of the latents carries law and decoder to those "
                             "of the second model",
    ("permutation", "latent"): "no order of the latents carries their law to that of the second model",
    ("permutation", "structure"): "no order of the hidden variables and naming of their states carries their table to "
                                  "that of the second model",
    ("affine_statistics", "statistics"): "no invertible affine map carries the stacked sufficient statistics to those "
                                         "of the second model",
}


@dataclass(frozen=True)
class Alternative:
    """A second model with the same law of x (given u, where there is one) that is not equivalent.

    Attributes
    ----------
    model : dict
        Its plain tree.
    refutes : str
        The coarsest equivalence that the pair is proven to violate, so that every finer one is violated, too:
        ``affine``, ``monomial`` (order, signed scaling, translation), ``permutation``, or ``affine_statistics``.
    differs : str
        A sentence: how the second model is made, and what no map of this kind can do.
    proof : Witness
        For `ident_theory.exact.verifier`.
    """

    model: dict[str, Any]
    refutes: str
    differs: str
    proof: Witness

    def verify(self, model: Any) -> None:
        """Check the proof against the first model (or its plain tree), and that it is about this second model.

        Raises
        ------
        CertificateRejected
            When it proves something else, or nothing.
        """
        if not identical(self.proof.data.get("second"), self.model) or self.proof.data.get("refutes") != self.refutes:
            raise CertificateRejected("alternative: expected a proof about this second model and this equivalence, "
                                      "got one about others")
        self.proof.verify(model)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"model": self.model, "refutes": self.refutes, "differs": self.differs, "proof": self.proof.to_dict()}

    @staticmethod
    def from_dict(tree: Mapping[str, Any]) -> Alternative:
        """Read back what `to_dict` wrote.

        Raises
        ------
        InputError
            When the tree is no alternative.
        """
        try:
            proof = tree["proof"]
            return Alternative(dict(tree["model"]), str(tree["refutes"]), str(tree["differs"]),
                               Witness(str(proof["kind"]), dict(proof["data"]), str(proof.get("text", ""))))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"alternative: expected model, refutes, differs and proof as Alternative.to_dict writes "
                             f"them, got {str(tree)[:80]} ({error!r})") from None


def alternatives(model: Model, findings: Mapping[str, Finding]) -> tuple[Alternative, ...]:
    r"""Inequivalent second models with the same law.

    Tried, in this order, are: other priors along directions that the decoder ignores (kivva.rem3.3); components moved
    by a symmetry of the decoder, or between pieces with one image (kivva.rem3.6); point masses pulled apart
    (kivva.p1); branches swapped under a symmetric prior (kivva.ex4); labels of a hidden variable swapped where its
    neighbourhood lies inside another one (kivva.p3.necessary); latents mixed by an affine map (kivva.rem3.7); and for
    conditional priors mixtures of latents whose variances keep their ratio, and statistics that depend on each other
    (ivae.L.gauss, ivae.thm1). When none of them gives a pair, the latents are scaled, which shows that no
    identification is finer than up to scaling.

    Parameters
    ----------
    model : Model
    findings : mapping of str to Finding
        By condition; F2 and P2 say what is worth trying, and missing ones count as undecided.

    Returns
    -------
    tuple of Alternative
        One of each kind at most, in the order above; empty when none was found, which proves nothing.

    Notes
    -----
    **Accuracy.** Every pair is proven: equal laws and inequivalence, in rationals (balls where a scale is irrational).
    """
    found: dict[str, tuple[int, Alternative]] = {}
    tries: Counter[str] = Counter()
    for candidate in _candidates(model, findings):
        name = candidate.name
        tries[name] += 1
        # The first pair will do where the construction fixes what it violates; else the coarsest of a few.
        if tries[name] > MAX_TRIES or (name in found and (found[name][0] == 0 or name == "mixing")):
            continue
        proven = _proven(model, candidate)
        if proven is not None and (name not in found or proven[0] < found[name][0]):
            found[name] = proven
    if not found and isinstance(model.prior, GaussianMixture):
        return tuple(proven[1] for candidate in scaled(model) if (proven := _proven(model, candidate)) is not None)
    return tuple(alternative for _, alternative in found.values())


def _candidates(model: Model, findings: Mapping[str, Finding]) -> Iterator[Candidate]:
    if isinstance(model.prior, ConditionalPrior):
        if not _is(findings, "ivae.injective", Status.FAILS):
            yield from candidates_given_u(model)
        return
    if isinstance(model.decoder, ReLUNetwork | PiecewiseAffineMap):
        weakly_injective = all(_is(findings, name, Status.HOLDS) for name in ("F2", "P1"))
        yield from (line_candidates if model.latent_dim == 1 else space_candidates)(model, weakly_injective)
    yield from state_candidates(model)
    if not _is(findings, "P2", Status.HOLDS):
        yield from affine_candidates(model)


def _is(findings: Mapping[str, Finding], condition: str, status: Status) -> bool:
    return condition in findings and findings[condition].status is status


def _proven(model: Model, candidate: Candidate) -> tuple[int, Alternative] | None:
    """The candidate with the coarsest claim that the verifier accepts, and the place of that claim in the list."""
    for rank, (refutes, target) in enumerate(_CLAIMS[candidate.name]):
        proof = Witness(candidate.kind, {**candidate.data, "refutes": refutes, "differs": target}, candidate.text)
        try:
            proof.verify(model)
        except CertificateRejected:
            continue
        return rank, Alternative(dict(candidate.data["second"]), refutes,
                                 f"{candidate.text}; {_SENTENCES[refutes, target]}", proof)
    return None
