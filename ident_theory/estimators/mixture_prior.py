"""Gaussian mixtures as priors of latents, batched over runs, and the parts of an ELBO that contain them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ident_theory.estimators.densities import LOG_2PI
from ident_theory.estimators.layers import Values
from ident_theory.estimators.mixtures_fit import Mixtures
from ident_theory.estimators.parameters import Parameter, Parameters, constant, xavier
from ident_theory.models import GaussianMixture
from ident_theory.models.value import FloatArray

#: Bounds, the loosest last; see `MixturePrior.bound`.
OBJECTIVES = ("marginal", "vade", "sampled")


class MixturePrior:
    r""":math:`p(z) = \sum_c \pi_c N(z; \mu_c, \Sigma_c)` with trained parameters.

    Precisions are :math:`\Sigma_c^{-1} = \Lambda_c \Lambda_c^T`, where :math:`\Lambda_c` is lower triangular with
    the diagonal :math:`e^{-v_c / 2}`, and diagonal for diagonal covariances: then :math:`v_c` are log-variances.

    Parameters
    ----------
    name : str
        Prefix of its parameters: ``logits``, ``means``, ``log_variances`` and, for full covariances, ``couplings``
        (the part of :math:`\Lambda_c` below the diagonal).
    components, dim : int
        K and d.
    covariance : {"diagonal", "full"}
    learn_weights : bool
        False: they stay 1/K.
    """

    def __init__(self, name: str, components: int, dim: int, covariance: str = "diagonal",
                 learn_weights: bool = True) -> None:
        self.name, self.components, self.dim = name, components, dim
        self.full, self.learn_weights = covariance == "full", learn_weights

    def parameters(self) -> dict[str, Parameter]:
        """Means and log-variances start as Xavier uniform, as in Willetts and Paige 2021, Appendix A."""
        k, d, name = self.components, self.dim, self.name
        out = {f"{name}.logits": Parameter((k,), constant(0), trained=self.learn_weights),
               f"{name}.means": Parameter((k, d), xavier(k, d)),
               f"{name}.log_variances": Parameter((k, d), xavier(k, d))}
        if self.full:
            out[f"{name}.couplings"] = Parameter((k, d, d), constant(0))
        return out

    def log_joint(self, p: Values, z: Tensor, variance: Tensor | None = None) -> Tensor:
        r""":math:`\log \pi_c + \log N(z; \mu_c, \Sigma_c)`, shape (R, B, d) to (R, B, K).

        With `variance`, its mean for normal z around the given one: less by
        :math:`\tfrac12 \sum_i s_i^2 (\Sigma_c^{-1})_{ii}`.
        """
        log_variances, means = p[f"{self.name}.log_variances"], p[f"{self.name}.means"]
        if self.full:
            lower = self._lower(p)
            squares = ((z[:, None] - means[:, :, None]) @ lower).square().sum(-1)
            if variance is not None:
                squares = squares + torch.bmm(lower.square().sum(-1), variance.transpose(1, 2))
        else:
            # Rows innermost: d is small.
            spread = (z.transpose(1, 2).unsqueeze(1).contiguous() - means[..., None]).square()
            if variance is not None:
                spread = spread + variance.transpose(1, 2).unsqueeze(1)
            squares = (spread * torch.exp(-log_variances)[..., None]).sum(2)
        return torch.add(self._constants(p)[..., None], squares, alpha=-0.5).transpose(1, 2)

    def bound(self, p: Values, objective: str, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        r"""What the latents add to the ELBO, shape (R, B); z is ``mean + exp(log_variance / 2) noise``.

        With q(z | x) normal of the given mean :math:`m` and variances :math:`s^2`, and entropy H,

        * ``"marginal"``: :math:`\log p(z) - \log q(z \mid x)`, the component summed out (Willetts and Paige 2021,
          eq. 6, and their code; Falck et al. 2021 with one sample);
        * ``"vade"``: :math:`\log \sum_c \pi_c \exp E_q \log N(z; \mu_c, \Sigma_c) + H`, which is
          :math:`\sum_c q(c \mid x) (\log \pi_c + E_q \log N(z; \mu_c, \Sigma_c) - \log q(c \mid x)) + H` at its
          maximum :math:`q(c \mid x) \propto \pi_c \exp E_q \log N(z; \mu_c, \Sigma_c)`, in closed form;
        * ``"sampled"``: the same sum with :math:`q(c \mid x) = p(c \mid z)` at the sampled z (Jiang et al. 2016,
          eqs. 12 and 16, and the public implementations).

        Each is in expectation at most the one before it.
        """
        variance = torch.exp(log_variance)
        if objective == "marginal":
            z = torch.addcmul(mean, noise, torch.exp(0.5 * log_variance))
            log_q = -0.5 * (noise.square() + log_variance).sum(-1) - 0.5 * self.dim * LOG_2PI
            return torch.logsumexp(self.log_joint(p, z), -1) - log_q
        entropy = 0.5 * (log_variance.sum(-1) + self.dim * (LOG_2PI + 1))
        expected = self.log_joint(p, mean, variance)
        if objective == "vade":
            return torch.logsumexp(expected, -1) + entropy
        z = torch.addcmul(mean, noise, torch.exp(0.5 * log_variance))
        log_chances = torch.log_softmax(self.log_joint(p, z), -1)
        return (torch.exp(log_chances) * (expected - log_chances)).sum(-1) + entropy

    def responsibilities(self, p: Values, mean: Tensor, log_variance: Tensor) -> Tensor:
        r"""The best q(c | x), proportional to :math:`\exp E_q \log p(c \mid z)`, shape (R, B, K).

        Falck et al. 2021 and Willetts and Paige 2021, Section 3. The log-density of z under the whole mixture does
        not depend on c and drops out of it, so that nothing has to be sampled. The average
        :math:`E_q p(c \mid z)` of Jiang et al. 2016, eq. 16, is another law and does not maximise the bound.
        """
        return torch.softmax(self.log_joint(p, mean, torch.exp(log_variance)), -1)

    def start_at(self, parameters: Parameters, fitted: Mixtures, variance: float | None = None) -> None:
        """Take over fitted mixtures; where `variance` is given, of the means only, with equal weights."""
        name = self.name
        if self.learn_weights and variance is None:
            parameters.set(f"{name}.logits", fitted.weights.log())
        parameters.set(f"{name}.means", fitted.means)
        if variance is not None:
            parameters.set(f"{name}.log_variances", torch.full_like(fitted.means, variance).log())
        elif self.full:
            lower = torch.linalg.cholesky_ex(torch.linalg.inv_ex(fitted.covariances)[0])[0]
            parameters.set(f"{name}.log_variances", -2 * torch.diagonal(lower, dim1=-2, dim2=-1).log())
            parameters.set(f"{name}.couplings", lower.tril(-1))
        else:
            parameters.set(f"{name}.log_variances", fitted.covariances.log())

    def mixture(self, values: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Weights (K,), means (K, d) and covariances, (K, d) or (K, d, d), of one run."""
        logits, log_variances = values[f"{self.name}.logits"], values[f"{self.name}.log_variances"]
        weights = np.exp(logits - logits.max())
        # Clipped so that no variance is zero or infinite.
        variances = np.exp(np.clip(log_variances, -600, 600))
        means = values[f"{self.name}.means"]
        if not self.full:
            return weights / weights.sum(), means, variances
        lower = np.tril(values[f"{self.name}.couplings"], -1)
        lower = lower + np.eye(self.dim) * variances[:, None]**-0.5
        inverse = np.linalg.inv(lower)
        return weights / weights.sum(), means, inverse.transpose(0, 2, 1) @ inverse

    def model(self, values: Mapping[str, FloatArray]) -> GaussianMixture:
        """The prior of one run."""
        weights, means, covariances = self.mixture(values)
        return GaussianMixture(weights, means, covariances)

    def _lower(self, p: Values) -> Tensor:
        """Lambda, shape (R, K, d, d)."""
        diagonal = torch.exp(-0.5 * p[f"{self.name}.log_variances"])
        return p[f"{self.name}.couplings"].tril(-1) + torch.diag_embed(diagonal)

    def _constants(self, p: Values) -> Tensor:
        log_weights = torch.log_softmax(p[f"{self.name}.logits"], -1)
        return log_weights - 0.5 * (p[f"{self.name}.log_variances"].sum(-1) + self.dim * LOG_2PI)
