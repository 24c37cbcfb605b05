"""Conditions on the noise: can it be removed from the law of x?"""

from __future__ import annotations

from ident_theory.exact.findings import Certificate, Finding, Witness
from ident_theory.models.noise import FejerNoise, GaussianNoise, Noise
from ident_theory.models.value import plain_numbers
from ident_theory.numerics import Evidence, Status

#: Family: characteristic function of one coordinate at frequency t, and its zeros.
_FORMS = {
    "gaussian": ("exp(-t'Omega t/2) > 0", "none"),
    "laplace": ("1/(1 + s^2 t^2) > 0", "none"),
    "logistic": ("pi s t/sinh(pi s t) > 0", "none"),
    "student": ("proportional to |y|^(nu/2) K_(nu/2)(|y|) > 0 with y = sqrt(nu) s t", "none"),
    "uniform": ("sin(s t)/(s t), which is 0 only at t = j pi/s for integers j != 0", "countable"),
}
_KIVVA = ("Theorems about piecewise affine decoders and mixture priors do not need this: there any noise of known law "
          "can be removed, since the characteristic function of f(z) is entire")


def noise_findings(noise: Noise | None) -> dict[str, Finding]:
    r"""The conditions on the noise.

    **ivae.noise.** As published, the characteristic function of the noise vanishes on a set of measure zero of
    points of the image of f. That cannot be meant: the set lies among frequencies. Checked is the corrected
    condition, that it is non-zero on a dense set of frequencies. It is decided from the closed form of each
    family; nothing is taken on trust. If it holds, equal laws of x mean equal laws of f(z).

    **noise.known.** That the law of the noise, its scale included, is known and not estimated. This is the
    user's word: with an unknown scale identifiability fails.

    Parameters
    ----------
    noise : Noise or None
        None is the noiseless model.

    Returns
    -------
    dict of str to Finding
        ``ivae.noise`` and ``noise.known``.

    References
    ----------
    Ledger ``ivae.thm1.i``, ``ivae.s31.noiseless``, ``ivae.appE.cf``, ``kivva.noise``.
    """
    return {"ivae.noise": _removable(noise), "noise.known": _known(noise)}


def _removable(noise: Noise | None) -> Finding:
    references = ("ivae.thm1.i", "kivva.noise")
    if noise is None:
        return Finding("ivae.noise", Status.HOLDS, Evidence.EXACT, "There is no noise, so there is nothing to remove.",
                       Certificate("noise.characteristic_function", {"family": "none", "zeros": "none"},
                                   "noiseless model"), references=("ivae.s31.noiseless", *references))
    if isinstance(noise, FejerNoise):
        edge = 1 / noise.scale_exact.ravel()[0]
        data = {"coordinate": 0, "from": plain_numbers(edge)}
        return Finding(
            "ivae.noise", Status.FAILS, Evidence.EXACT,
            "The characteristic function of the noise is the triangle (1 - s|t|)_+ in each coordinate: it is 0 at all "
            f"frequencies with |t_0| >= 1/s = {data['from']}, so what f(z) has there is lost. {_KIVVA}.",
            Witness("noise.vanishing", data, f"the characteristic function is 0 wherever |t_0| >= {data['from']}"),
            references=references)
    family = "gaussian" if isinstance(noise, GaussianNoise) else noise.family
    form, zeros = _FORMS[family]
    closing = "never 0" if zeros == "none" else \
        "0 only on countably many planes of frequencies, so non-zero on a dense set"
    return Finding(
        "ivae.noise", Status.HOLDS, Evidence.EXACT,
        f"The characteristic function of {family} noise is {form}: {closing}. So equal laws of x mean equal laws of "
        "f(z).",
        Certificate("noise.characteristic_function", {"family": family, "zeros": zeros}, f"{family}: {form}"),
        references=references)


def _known(noise: Noise | None) -> Finding:
    reason = ("There is no noise, which is taken as known." if noise is None else
              "The noise is taken as known, its scale included; were the scale free, the same law of x would come "
              "from other scales with other priors.")
    return Finding("noise.known", Status.HOLDS, Evidence.DECLARED, reason,
                   assumptions=("the law of the noise, with its scale, is known",), references=("kivva.noise",))
