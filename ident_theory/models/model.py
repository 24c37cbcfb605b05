"""A latent-variable model: prior, decoder, noise."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ident_theory.errors import Problem
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.noise import GaussianNoise, IndependentNoise, Noise
from ident_theory.models.piecewise import PiecewiseAffineMap
from ident_theory.models.value import Value, raise_if

Decoder = ReLUNetwork | PiecewiseAffineMap


class Model(Value):
    r"""The model :math:`z \sim P`, :math:`x = f(z) + \epsilon` (Kivva et al. 2022, eq. 3).

    Parameters
    ----------
    prior : GaussianMixture
        Law of the latent, on :math:`R^m`.
    decoder : ReLUNetwork or PiecewiseAffineMap
        The map f from :math:`R^m` to :math:`R^n`.
    noise : GaussianNoise, LaplaceNoise, LogisticNoise, StudentNoise or None
        Law of the noise; None is the noiseless model.

    Raises
    ------
    ModelError
        When the dimensions do not fit together or a part is of a wrong type.
    """

    prior: GaussianMixture
    decoder: Decoder
    noise: Noise | None

    def __init__(self, prior: GaussianMixture, decoder: Decoder, noise: Noise | None = None) -> None:
        problems: list[Problem] = []
        for name, value, kinds in (("prior", prior, GaussianMixture),
                                   ("decoder", decoder, (ReLUNetwork, PiecewiseAffineMap)),
                                   ("noise", noise, (GaussianNoise, IndependentNoise, type(None)))):
            if not isinstance(value, kinds):
                names = kinds.__name__ if isinstance(kinds, type) else " or ".join(k.__name__ for k in kinds)
                problems.append(Problem(name, names, type(value).__name__))
        if not problems:
            check_dimensions(prior.latent_dim, decoder.latent_dim, decoder.observed_dim,
                             None if noise is None else noise.dim, problems)
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

    def plain(self) -> dict[str, Any]:
        """The model as the tree of a model file: nested dictionaries and lists of exact numbers."""
        tree = {"prior": self.prior.plain(), "decoder": self.decoder.plain()}
        return tree if self.noise is None else {**tree, "noise": self.noise.plain()}

    def _key(self) -> Hashable:
        return self.prior, self.decoder, self.noise

    def __repr__(self) -> str:
        return f"Model(prior={self.prior!r}, decoder={self.decoder!r}, noise={self.noise!r})"


def check_dimensions(prior_dim: int, latent_dim: int, observed_dim: int, noise_dim: int | None,
                     problems: list[Problem]) -> None:
    """Record problems when prior, decoder and noise do not fit together."""
    if prior_dim != latent_dim:
        problems.append(Problem("prior.means", f"{latent_dim} columns, the decoder's latent dimension", str(prior_dim)))
    if noise_dim not in (None, observed_dim):
        problems.append(Problem("noise", f"{observed_dim} coordinates, the decoder's observed dimension",
                                str(noise_dim)))
