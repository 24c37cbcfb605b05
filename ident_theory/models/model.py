"""A latent-variable model: prior, decoder, noise."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ident_theory.errors import Problem, UnsupportedError
from ident_theory.models.conditional import ConditionalPrior
from ident_theory.models.declared import DeclaredMap
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.noise import LAW_NOISES, GaussianNoise, IndependentNoise, Noise
from ident_theory.models.piecewise import PiecewiseAffineMap
from ident_theory.models.value import Value, raise_if

_NO_MIXTURE = ("prior: expected a GaussianMixture, found a ConditionalPrior, whose law depends on u; for normal laws "
               "at one value of u use GaussianMixture([1], [means], [variances])")
_NO_VALUES = ("decoder: expected a ReLUNetwork or a PiecewiseAffineMap, found a DeclaredMap, which has properties but "
              "no values")

Prior = GaussianMixture | ConditionalPrior
Decoder = ReLUNetwork | PiecewiseAffineMap | DeclaredMap


class Model(Value):
    r"""The model :math:`z \sim P`, :math:`x = f(z) + \epsilon` (Kivva et al. 2022, eq. 3).

    Parameters
    ----------
    prior : GaussianMixture or ConditionalPrior
        Law of the latent, on :math:`R^m`, alone or given an observed u.
    decoder : ReLUNetwork, PiecewiseAffineMap or DeclaredMap
        The map f from :math:`R^m` to :math:`R^n`.
    noise : GaussianNoise, LaplaceNoise, LogisticNoise, StudentNoise, UniformNoise, FejerNoise or None
        Law of the noise; None is the noiseless model.

    Raises
    ------
    ModelError
        When the dimensions do not fit together or a part is of a wrong type.
    """

    prior: Prior
    decoder: Decoder
    noise: Noise | None

    def __init__(self, prior: Prior, decoder: Decoder, noise: Noise | None = None) -> None:
        problems: list[Problem] = []
        for name, value, kinds in (("prior", prior, (GaussianMixture, ConditionalPrior)),
                                   ("decoder", decoder, (ReLUNetwork, PiecewiseAffineMap, DeclaredMap)),
                                   ("noise", noise, (GaussianNoise, IndependentNoise, type(None)))):
            if not isinstance(value, kinds):
                names = " or ".join(kind.__name__ for kind in kinds)
                problems.append(Problem(name, names, type(value).__name__))
        if not problems:
            check_dimensions(prior.latent_dim, decoder.latent_dim, decoder.observed_dim,
                             None if noise is None else noise.dim, problems,
                             "natural_parameters" if isinstance(prior, ConditionalPrior) else "means")
        raise_if(problems, "Model")
        self._set(prior=prior, decoder=decoder, noise=noise)

    @property
    def latent_dim(self) -> int:
        """Dimension m of the latent."""
        return self.decoder.latent_dim

    @property
    def observed_dim(self) -> int:
        """Dimension n of the observation."""
        return self.decoder.observed_dim

    @property
    def mixture(self) -> GaussianMixture:
        """The prior of a model whose prior is a Gaussian mixture: what the laws work with.

        Raises
        ------
        UnsupportedError
            For a conditional prior.
        """
        if not isinstance(self.prior, GaussianMixture):
            raise UnsupportedError(_NO_MIXTURE)
        return self.prior

    def plain(self) -> dict[str, Any]:
        """The model as the tree of a model file: nested dictionaries and lists of exact numbers."""
        tree = {"prior": self.prior.plain(), "decoder": self.decoder.plain()}
        return tree if self.noise is None else {**tree, "noise": self.noise.plain()}

    def _key(self) -> Hashable:
        return self.prior, self.decoder, self.noise

    def __repr__(self) -> str:
        return f"Model(prior={self.prior!r}, decoder={self.decoder!r}, noise={self.noise!r})"


def check_dimensions(prior_dim: int, latent_dim: int, observed_dim: int, noise_dim: int | None,
                     problems: list[Problem], prior_key: str = "means") -> None:
    """Record problems when prior, decoder and noise do not fit together; `prior_key` is what shows the prior's."""
    if prior_dim != latent_dim:
        what = "latents" if prior_key == "natural_parameters" else "columns"
        problems.append(Problem(f"prior.{prior_key}", f"{latent_dim} {what}, the decoder's latent dimension",
                                str(prior_dim)))
    if noise_dim not in (None, observed_dim):
        problems.append(Problem("noise", f"{observed_dim} coordinates, the decoder's observed dimension",
                                str(noise_dim)))


def require_law(model: Model, what: str) -> None:
    """Refuse models that can be checked but whose law is not available.

    Parameters
    ----------
    model : Model
    what : str
        What was asked for, for the message.

    Raises
    ------
    UnsupportedError
        For a conditional prior, a declared decoder, uniform or Fejér noise; the message lists all of them with
        what can be used instead.
    """
    found = []
    if not isinstance(model.prior, GaussianMixture):
        found.append(_NO_MIXTURE)
    if isinstance(model.decoder, DeclaredMap):
        found.append(_NO_VALUES)
    if model.noise is not None and not isinstance(model.noise, LAW_NOISES):
        names = ", ".join(kind.__name__ for kind in LAW_NOISES)
        found.append(f"noise: expected one of {names} or none, found {type(model.noise).__name__}")
    if found:
        raise UnsupportedError(f"{what}: not available for this model, whose conditions can still be checked. "
                               + "; ".join(found))
