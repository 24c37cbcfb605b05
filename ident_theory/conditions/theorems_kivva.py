"""Theorems about mixtures whose U is not observed (Kivva et al. 2022), as corrected in the theory ledger."""

from __future__ import annotations

from ident_theory.conditions.lattice import Equivalence, Target
from ident_theory.conditions.rule import Premise, Theorem, premises

_LAW, _JOINT, _MAP, _U = Target.LATENT, Target.JOINT, Target.DECODER, Target.STRUCTURE
_SOURCE = ("kivva2022",)
#: Standing hypotheses, part B of the ledger.
_STANDING = ("P1", "F1", "dimension", "noise.known")
#: L1-L4 do not say that every U_i acts on some latent, as P3 does; for one variable two distinct components do, for
#: several L4.
_P3_OR_L = Premise((("P3",), ("L1", "L2", "L3", "L4", "prior.several")))

_PROPER = "Every covariance must be positive definite and the noise law known with its scale; the paper admits " \
          "singular components and leaves the scale open."
_REDUCED = "The components must be distinct (reduced form)."
_F2 = "F2 needs its point x_0 in the image, with positive measure around it."
_SIGN = "The factors may be negative."
_COVER = f"{_PROPER} {_REDUCED} {_F2}"
_SAME_MAP = "Together with P2 the affine map is the signed scaling and permutation of the latent."
_STATES = "Also up to the names of the states of each U_i; every combination of states has positive probability, and " \
          "every U_i acts on some latent. The maximality clause P3(b) is void and not needed."

_SINGLE = ("prior.mixture", "prior.single")
_ANY = ("prior.mixture",)


def _theorem(name: str, statement: str, scope: tuple[str, ...], needs: tuple[str | Premise, ...],
             conclusions: dict[Target, Equivalence], correction: str) -> Theorem:
    among = "among models that satisfy P2" if "P2" in needs else \
        "among models with the standard normal prior" if "prior.standard" in needs else ""
    detail = {target: among for target in conclusions if among and target is not _U}
    return Theorem(f"kivva.{name}", statement, scope, premises(*_STANDING, *needs), conclusions, correction, _SOURCE,
                   detail)


THEOREMS: tuple[Theorem, ...] = (
    _theorem("thm3.2a", "One hidden variable and a weakly injective f: P(U, Z) is identified up to an affine map of "
             "z.", _SINGLE, ("P1.distinct", "F2"), {_LAW: Equivalence.AFFINE, _JOINT: Equivalence.AFFINE}, _COVER),
    _theorem("thm3.2b", "If moreover the latents are independent given U and two states have pairwise distinct "
             "variance ratios, P(U, Z) is identified up to order, signed scaling and shift of the latents, among the "
             "models that satisfy P2.", _SINGLE, ("P1.distinct", "F2", "P2"),
             {_LAW: Equivalence.MONOMIAL, _JOINT: Equivalence.MONOMIAL}, f"{_COVER} {_SIGN}"),
    _theorem("thm3.2c", "One hidden variable and a continuous injective f: f is identified up to an affine map.",
             _SINGLE, ("P1.distinct", "F4", "continuous"), {_MAP: Equivalence.AFFINE}, f"{_PROPER} {_REDUCED}"),
    _theorem("thm3.2c.P2", "Under P2 as well, the affine map of f is the one of the latent: order, signed scaling and "
             "shift.", _SINGLE, ("P1.distinct", "F4", "continuous", "P2"), {_MAP: Equivalence.MONOMIAL},
             f"{_PROPER} {_REDUCED} {_SAME_MAP}"),
    _theorem("thm3.3a", "Any number of hidden variables and a weakly injective f: P(Z) is identified up to an affine "
             "map.", _ANY, ("F2",), {_LAW: Equivalence.AFFINE}, f"{_PROPER} {_F2}"),
    _theorem("thm3.3b", "If moreover P2 holds, P(Z) is identified up to order, signed scaling and shift of the "
             "latents, among the models that satisfy P2.", _ANY, ("F2", "P2"), {_LAW: Equivalence.MONOMIAL},
             f"{_PROPER} {_F2} {_SIGN}"),
    _theorem("thm3.3c", "If moreover P3 holds, the number of hidden variables, their numbers of states and P(U) are "
             "identified up to the order of the U_i.", _ANY,
             ("P1.distinct", "F2", "P2", "P3", "positivity"),
             {_LAW: Equivalence.MONOMIAL, _U: Equivalence.PERMUTATION}, f"{_PROPER} {_F2} {_SIGN} {_STATES}"),
    _theorem("thm3.3d", "Any number of hidden variables and a continuous injective f: f is identified up to an affine "
             "map.", _ANY, ("F4", "continuous"), {_MAP: Equivalence.AFFINE}, _PROPER),
    _theorem("thm3.3d.P2", "Under P2 as well, the affine map of f is the one of the latent: order, signed scaling and "
             "shift.", _ANY, ("F4", "continuous", "P2"), {_MAP: Equivalence.MONOMIAL}, f"{_PROPER} {_SAME_MAP}"),
    _theorem("cor3.1a", "One hidden variable and an injective ReLU network: P(U, Z) and f are identified up to one "
             "affine map of z.", (*_SINGLE, "decoder.network"), ("P1.distinct", "F4", "continuous"),
             {_LAW: Equivalence.AFFINE, _JOINT: Equivalence.AFFINE, _MAP: Equivalence.AFFINE},
             f"{_PROPER} {_REDUCED}"),
    _theorem("cor3.1b", "One hidden variable and a weakly injective f: P(U, Z) is identified up to an affine map of "
             "z.", _SINGLE, ("P1.distinct", "F2"), {_LAW: Equivalence.AFFINE, _JOINT: Equivalence.AFFINE}, _COVER),
    _theorem("sec3.4.vae", "One standard normal component (the vanilla VAE) and a continuous injective f: f is "
             "identified up to an orthogonal map.", (*_ANY, "prior.gaussian"),
             ("F4", "continuous", "prior.standard"), {_MAP: Equivalence.ORTHOGONAL},
             "The prior of every competing model is standard normal too; f is continuous and injective."),
    _theorem("thmC.1", "One hidden variable and a weakly injective f: P(U, Z) is identified up to an affine map of z.",
             _SINGLE, ("P1.distinct", "F2"), {_LAW: Equivalence.AFFINE, _JOINT: Equivalence.AFFINE}, _COVER),
    _theorem("thmD.1", "One hidden variable and a continuous injective f: P(U, Z) and f are identified up to one "
             "affine map.", _SINGLE, ("P1.distinct", "F4", "continuous"),
             {_LAW: Equivalence.AFFINE, _JOINT: Equivalence.AFFINE, _MAP: Equivalence.AFFINE},
             f"{_PROPER} {_REDUCED} The decoder has finitely many pieces."),
    _theorem("thmD.4", "A continuous observably injective f is identified up to an affine map, which may differ, on "
             "each connected component of the points outside the preimage of the closure of the values with several "
             "preimages.", _ANY, ("F3", "continuous"),
             {_LAW: Equivalence.AFFINE, _MAP: Equivalence.AFFINE_ON_COMPONENTS},
             f"{_PROPER} The set of values with several preimages must be closed first (ledger row kivva.rem3.5a)."),
    _theorem("thmE.1", "An injective affine decoder and a mixture with P2: the latents are recovered up to order, "
             "signed scaling and shift.", (*_ANY, "decoder.affine"), ("F4", "P2"),
             {_LAW: Equivalence.MONOMIAL, _MAP: Equivalence.MONOMIAL},
             "Refuted as printed: positive factors cannot be had, non-zero ones can. " + _PROPER),
    _theorem("thmE.2", "One hidden variable, a weakly injective f and P2: P(U, Z) is identified up to order, signed "
             "scaling and shift of the latents.", _SINGLE, ("P1.distinct", "F2", "P2"),
             {_LAW: Equivalence.MONOMIAL, _JOINT: Equivalence.MONOMIAL}, f"{_COVER} {_SIGN}"),
    _theorem("thmF.1", "A weakly injective f, P2 and a maximal structure of U (P3, or the weaker L1-L4) with every "
             "state possible: the structure of U and P(U, Z) are identified up to the order of the U_i and of the "
             "latents, and a signed scaling and shift of each latent.", _ANY,
             ("P1.distinct", "F2", "P2", _P3_OR_L, "positivity"),
             {_LAW: Equivalence.MONOMIAL, _JOINT: Equivalence.MONOMIAL, _U: Equivalence.PERMUTATION},
             f"{_PROPER} {_F2} {_SIGN} {_STATES}"),
)
