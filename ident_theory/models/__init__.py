"""The mathematics of a model: prior, decoder, noise. Immutable, exact, comparable by value."""

from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.model import Model
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.noise import GaussianNoise, LaplaceNoise, LogisticNoise, StudentNoise
from ident_theory.models.piecewise import PiecewiseAffineMap

__all__ = [
    "GaussianMixture",
    "GaussianNoise",
    "LaplaceNoise",
    "LogisticNoise",
    "Model",
    "PiecewiseAffineMap",
    "ReLUNetwork",
    "StudentNoise",
]
