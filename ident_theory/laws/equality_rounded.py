r"""How far the density of x may move when every number of a model moves by half a unit in its last place.

A model stands for all models whose numbers differ from its own by a relative :math:`2^{-53}` at most, the noise
excepted, which is known. For two of them with densities p, q and noise density :math:`\varphi`

.. math:: |p(x) - q(x)| \le \sup|\nabla\varphi|\, E|f(Z) - g(Z')|\, + \sup\varphi\,
          \big(\textstyle\sum_j |w_j - w'_j| + P(\text{Z and Z' on different pieces})\big),

where the latents of component j are coupled by one standard normal :math:`\xi`, :math:`Z = \mu_j + S_j^{1/2}\xi`.
"""

from __future__ import annotations

from collections.abc import Sequence

from flint import arb, fmpq, fmpq_mat

from ident_theory.exact.rationals import rational
from ident_theory.laws.equality_sets import steepest
from ident_theory.models.model import Model
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.noise import GaussianNoise
from ident_theory.models.piecewise import PiecewiseAffineMap
from ident_theory.models.value import ExactArray

#: Relative size of the balls that stand for floats.
ULP = fmpq(1, 2**53)


def rounding_effect(model: Model) -> arb:
    """A bound of |p(x) - q(x)|, for every x and every model within the rounding of this one; Gaussian noise."""
    noise, n = model.noise, model.observed_dim
    assert isinstance(noise, GaussianNoise)
    prior = model.mixture
    highest = 1 / ((2 * arb.pi()) ** n * arb(_determinant(noise, n))).sqrt()
    moved, lost = arb(0), arb(0)
    for w, mean, covariance in zip(prior.weights_exact, prior.means_exact, prior.covariances_exact, strict=True):
        weight = arb(rational(w))
        mu, spread = _length(mean), _length(covariance.ravel()).sqrt()
        # |S^(1/2) - S'^(1/2)| is at most the root of |S - S'|, and |S - S'| over the root of the least eigenvalue of S.
        turn = (arb(ULP) * _length(covariance.ravel())).sqrt()
        least = _least(covariance)
        if least is not None:
            turn = turn.min(arb(ULP) * _length(covariance.ravel()) / least.sqrt())
        size = arb(prior.latent_dim).sqrt()  # E|xi| at most
        away = arb(ULP) * mu + turn * size
        reach = mu + spread * size
        if isinstance(model.decoder, ReLUNetwork):
            moved += weight * _network_effect(model.decoder, reach, away)
        else:
            assert isinstance(model.decoder, PiecewiseAffineMap)
            moved += weight * _pieces_effect(model.decoder, reach, away)
            lost += weight * _piece_changes(model.decoder, arb(rational(mean[0])), rational(covariance[0, 0]))
        lost += weight * arb(ULP)
    # A sum of weights that misses 1 by rounding is divided out, which moves them once more.
    return steepest(noise, n) * moved + highest * 2 * lost


def _determinant(noise: GaussianNoise, n: int) -> fmpq:
    return fmpq_mat([[rational(v) for v in row] for row in noise.covariance_exact(n)]).det()


def _length(values: ExactArray | Sequence[object]) -> arb:
    """Euclidean length."""
    return arb(sum((rational(v) ** 2 for v in values), fmpq(0))).sqrt()  # type: ignore[arg-type]


def _least(covariance: ExactArray) -> arb | None:
    """A lower bound of the least eigenvalue of a covariance; None for a singular one."""
    m = len(covariance)
    matrix = fmpq_mat([[rational(v) for v in row] for row in covariance])
    if matrix.det() == 0:
        return None
    inverse = matrix.inv()
    least = 1 / arb(sum((inverse[i, i] for i in range(m)), fmpq(0)))
    return least if least > 0 else None


def _network_effect(network: ReLUNetwork, reach: arb, away: arb) -> arb:
    """A bound of E|f(Z) - g(Z')| from bounds of E|Z| and E|Z - Z'|, layer by layer in Euclidean lengths."""
    slope = abs(arb(rational(network.negative_slope_exact)))
    steep = (slope * (1 + arb(ULP))).max(arb(1))
    for k, (w, b) in enumerate(zip(network.weights_exact, network.biases_exact, strict=True)):
        size, start = _length(w.ravel()), _length(b)
        away = size * (1 + arb(ULP)) * away + arb(ULP) * (size * reach + start)
        reach = size * reach + start
        if k < network.depth - 1:
            # Activations: the kink does not stretch by more than `steep`, and their slope is rounded, too.
            away = steep * away + arb(ULP) * slope * reach
            reach = steep * reach
    return away


def _pieces_effect(decoder: PiecewiseAffineMap, reach: arb, away: arb) -> arb:
    """A bound of E|f(Z) - g(Z')| where both latents are on the same piece."""
    worst = arb(0)
    for slope, intercept in zip(decoder.slopes_exact, decoder.intercepts_exact, strict=True):
        size = _length(slope)
        worst = worst.max(size * (1 + arb(ULP)) * away + arb(ULP) * (size * reach + _length(intercept)))
    return worst


def _piece_changes(decoder: PiecewiseAffineMap, mean: arb, variance: fmpq) -> arb:
    """A bound of the probability that the two latents are on different pieces.

    They are on different sides of a breakpoint t when xi lies between (t - mu)/sigma and the same with the other
    numbers.
    """
    total = arb(0)
    for t in (arb(rational(v)) for v in decoder.breakpoints_exact):
        slack = arb(ULP) * (abs(t) + abs(mean))
        if variance == 0:
            total += arb(1) if abs(t - mean) <= slack or not abs(t - mean) > slack else arb(0)
            continue
        sigma = arb(variance).sqrt()
        shifted = (slack * (1 + arb(ULP)) + abs(t - mean) * arb(ULP)) / sigma
        total += shifted / (2 * arb.pi()).sqrt()
    return total.min(arb(1))
