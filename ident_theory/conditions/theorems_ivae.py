"""Theorems about conditional exponential families with u observed (iVAE, iVAE-GAN, I Don't Need u, GIN), corrected."""

from __future__ import annotations

from ident_theory.conditions.lattice import Equivalence, Target
from ident_theory.conditions.rule import Premise, Theorem, premises

_LAW, _MAP, _T, _N = Target.LATENT, Target.DECODER, Target.STATISTICS, Target.DIMENSION
#: iVAE's conditions (i) and (iii) with minimality and positive base measures in place of (ii).
_BASE = ("ivae.noise", "noise.known", "ivae.injective", "exp.positive", "exp.minimal", "ivae.L")
_WEAK = {_T: Equivalence.AFFINE_STATISTICS, _LAW: Equivalence.AFFINE_STATISTICS, _MAP: Equivalence.AFFINE_STATISTICS}
_STRONG = dict.fromkeys((_T, _LAW, _MAP), Equivalence.BLOCK_PERMUTATION)
_SCALED = {_T: Equivalence.BLOCK_PERMUTATION, _LAW: Equivalence.MONOMIAL, _MAP: Equivalence.MONOMIAL}

_MINIMAL = "Minimality of the statistics replaces condition (ii), which is not enough for k >= 2 and not needed."
_FREQUENCY = "The zeros of the characteristic function of the noise count in frequency space, and both models share " \
             "the noise law."
_POSITIVE = "The base measures are positive on the common support."
_THM1 = f"{_MINIMAL} {_FREQUENCY} {_POSITIVE} The relation holds almost everywhere."
_CURVES = "With minimal C1 statistics and k >= 2 it follows from the weak relation alone, without second derivatives " \
          "of f."
_TABLE = "Both models belong to this family, with its own base measure."

_ANY = ("prior.conditional",)


def _theorem(name: str, statement: str, source: str, needs: tuple[str | Premise, ...],
             conclusions: dict[Target, Equivalence], correction: str, scope: tuple[str, ...] = (),
             detail: str = "") -> Theorem:
    return Theorem(name, statement, (*_ANY, *scope), premises(*_BASE, *needs), conclusions, correction, (source,),
                   {_LAW: detail} if detail else {})


def _row(name: str, family: str, ambiguity: str, equivalence: Equivalence = Equivalence.MONOMIAL) -> Theorem:
    conclusions = dict(_SCALED) if equivalence is Equivalence.MONOMIAL else dict(_STRONG)
    return _theorem(f"gin.tab.{name}", f"In the {family.replace('_', ' ')} family each latent is recovered up to "
                    f"{ambiguity}, and up to the order of the latents.", "sorrenson2020", ("exp.C1",), conclusions,
                    f"{_MINIMAL} {_TABLE}", (f"family.{family}", "statistics.two"), ambiguity)


THEOREMS: tuple[Theorem, ...] = (
    _theorem("ivae.thm1", "With nk + 1 values of u that make L invertible, two models with the same law of x given u "
             "have stacked sufficient statistics that are invertible affine images of each other.", "khemakhem2020",
             (), dict(_WEAK), _THM1),
    _theorem("ivae.thm2", "If k = 1 and every statistic is non-constant and bounded on one side, the affine map of "
             "the statistics is a permutation with a non-zero factor and a shift for each.", "khemakhem2020",
             ("exp.bounded",), dict(_STRONG),
             f"{_THM1} A common statistic with a unique minimum is not needed; the printed proof has a gap that the "
             "facets of a product of intervals close. Factors may be negative.", ("statistics.one",)),
    _theorem("ivae.thm3", "If the variational family contains the true posterior, the population ELBO is maximised "
             "globally over a class that contains the truth, the estimate is the truth up to the equivalence of "
             "ivae.thm1.", "khemakhem2020",
             ("training.posterior", "training.well_specified", "training.global_maximum"), dict(_WEAK),
             f"{_THM1} The truth lies in the model class, and the maximum is global and of the population objective; "
             "nothing is said about finite samples."),
    _theorem("gan.thm", "The law of x given u identifies the statistics up to an invertible affine map, as in "
             "ivae.thm1.", "dideriksen2022", (), dict(_WEAK),
             f"{_THM1} This is a statement about laws only. That training the iVAE-GAN loss reaches it is refuted: "
             "the loss is maximal for an encoder that ignores x (gan.ident.collapse), and a discriminator that never "
             "sees u matches only the mixture over u (gan.ident.marginal)."),
    _theorem("idnu.thm1", "Weak identifiability: stacked statistics up to an invertible affine map.", "willetts2021",
             (), dict(_WEAK), f"{_THM1} Printed with the derivative condition reversed and one value of u too many."),
    _theorem("idnu.thm2", "Strong identifiability for k >= 2: each latent's statistics are an invertible affine image "
             "of the statistics of exactly one latent of the other model.", "willetts2021", ("exp.C1",),
             dict(_STRONG), f"{_THM1} {_CURVES}", ("statistics.more",)),
    _theorem("gin.thm1", "Without the number of latents known: T(z) = A T'(w) + c with A of full row rank; for equal "
             "numbers A is invertible.", "sorrenson2020", (), dict(_WEAK), f"{_MINIMAL} {_POSITIVE}"),
    _theorem("gin.appB", "Normal latents with mean and variance varying: z_i = a_i w_j + b_i with a_i not zero, each "
             "w_j used at most once.", "sorrenson2020", (), dict(_SCALED), f"{_POSITIVE} Both models are normal.",
             ("family.normal", "statistics.two")),
    _theorem("gin.vp.suff", "A volume-preserving estimator such as GIN can reach the law of x given u, and then "
             "gin.appB applies to it, when the volume factor of the decoder is constant.", "sorrenson2020",
             (Premise((("decoder.square_affine",), ("decoder.volume_preserving",))),), dict(_SCALED),
             "The paper takes this for granted; with n = d exact recovery forces a constant Jacobian determinant.",
             ("family.normal", "statistics.two")),
    _theorem("gin.appC", "Two-parameter families: each z_i depends on exactly one w_j, no two on the same.",
             "sorrenson2020", ("exp.C1",), dict(_STRONG),
             f"{_MINIMAL} Statistics with a jump are a counterexample. {_CURVES}",
             ("statistics.two",)),
    _row("logn", "lognormal", "log z = a log w + c, a != 0", Equivalence.BLOCK_PERMUTATION),
    _row("ig", "inverse_gaussian", "z = a w, a > 0"),
    _row("gamma", "gamma", "z = a w, a > 0"),
    _row("invg", "inverse_gamma", "z = a w, a > 0"),
    _row("beta", "beta", "z = w or z = 1 - w"),
    _theorem("gin.dim", "An estimator with more latents than the truth finds their number: exactly n of its latents "
             "are matched, and the others do not depend on u.", "sorrenson2020", (), {_N: Equivalence.EQUAL},
             "Holds only for latents whose (mean, variance) take three values off one line; a latent with a constant "
             "mean or a constant variance is not counted.", ("family.normal", "statistics.two")),
)

#: What no model shows, and only its user can assert.
DECLARABLE: dict[str, str] = {
    "training.posterior": "the variational family contains the posterior of the truth",
    "training.well_specified": "the truth lies in the model class that is trained",
    "training.global_maximum": "the population objective is maximised globally",
    "decoder.volume_preserving": "the Jacobian determinant of the decoder is constant",
}
