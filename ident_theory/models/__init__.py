"""The mathematics of a model: prior, decoder, noise. Immutable, exact, comparable by value."""

from ident_theory.models.change import AffineChange
from ident_theory.models.conditional import ConditionalPrior
from ident_theory.models.declared import DeclaredMap
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.model import Model
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.noise import (
    FejerNoise,
    GaussianNoise,
    LaplaceNoise,
    LogisticNoise,
    StudentNoise,
    UniformNoise,
)
from ident_theory.models.piecewise import PiecewiseAffineMap

__all__ = [
    "AffineChange",
    "ConditionalPrior",
    "DeclaredMap",
    "FejerNoise",
    "GaussianMixture",
    "GaussianNoise",
    "LaplaceNoise",
    "LogisticNoise",
    "Model",
    "PiecewiseAffineMap",
    "ReLUNetwork",
    "StudentNoise",
    "UniformNoise",
]
