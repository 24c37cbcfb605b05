"""Objectives and their parts as few operations: on the CPU by kernels, whose gradients are written out.

A small network spends its time between operations, not in them. What is here has its plain counterpart in torch, which
other devices, autocast and second derivatives use; the two agree up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ident_theory.estimators.layers import MLP, take
from ident_theory.kernels.mlp import mlp_gradients, mlp_values
from ident_theory.kernels.variational import sample_gradients, sample_values, squares

#: Widest layer and most rows of a batch for which `negative_elbo` wins over matrix products and autograd.
WIDEST, MOST_ROWS = 50, 2048
#: In the place of u, where there are no conditions.
NO_U = np.zeros((1, 1), np.int64)


def applies(x: Tensor, *, rows: int = 0, widest: int = 0) -> bool:
    """Whether the kernels serve tensors like x, in batches of so many rows and layers of at most that width."""
    return (x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and rows <= MOST_ROWS
            and widest <= WIDEST and not torch.is_autocast_enabled("cpu")
            and not torch._C._are_functorch_transforms_active())


def _again(plain: Callable[..., Any], tensors: tuple[Tensor, ...], wanted: tuple[bool, ...],
           outer: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    """Gradients that can be differentiated themselves, by the plain operations."""
    found = plain(*tensors)
    chosen = [tensor for tensor, want in zip(tensors, wanted, strict=True) if want]
    parts = iter(torch.autograd.grad(found, chosen, outer, create_graph=True, allow_unused=True,
                                     materialize_grads=True))
    return tuple(next(parts) if want else None for want in wanted)


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, both: Tensor, table: Tensor, noise: Tensor, u: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
        both, table, noise, u = both.contiguous(), table.contiguous(), noise.contiguous(), u.contiguous()
        std, precision = torch.exp(0.5 * both[:, 1]), torch.exp(-table[:, -1])
        z, gap = torch.empty_like(std), torch.empty(std.shape[:2], dtype=std.dtype)
        sample_values(both.numpy(), std.numpy(), noise.numpy(), table.numpy(), precision.numpy(), u.numpy(), exact,
                      z.numpy(), gap.numpy())
        ctx.exact = exact
        ctx.save_for_backward(both, table, noise, u, std, precision, z)
        return z, gap

    @staticmethod
    def backward(ctx: Any, by_z: Tensor, by_gap: Tensor) -> tuple[Any, ...]:
        both, table, noise, u, std, precision, z = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *_again(lambda a, b: plain_sample(a, b, noise, u, ctx.exact), (both, table),
                           ctx.needs_input_grad[:2], (by_z, by_gap)), None, None, None
        by_both, by_table = torch.empty_like(both), torch.empty_like(table)
        sample_gradients(both.numpy(), std.numpy(), noise.numpy(), table.numpy(), precision.numpy(), u.numpy(),
                         ctx.exact, z.numpy(), by_z.contiguous().numpy(), by_gap.contiguous().numpy(),
                         by_both.numpy(), by_table.numpy())
        return by_both, by_table, None, None, None


def plain_sample(both: Tensor, table: Tensor, noise: Tensor, u: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
    """`normal_sample` in torch's operations."""
    mean, log_variance = both.unbind(1)
    std = torch.exp(0.5 * log_variance)
    z = torch.addcmul(mean, noise, std)
    found = take(table, u)
    centred = (mean if exact else z) - (found[:, 0] if table.shape[1] == 2 else 0)
    spread = centred.square() + (std.square() if exact else 0)
    own = 1 if exact else noise.square()
    return z, 0.5 * (found[:, -1] - log_variance - own + spread * torch.exp(-found[:, -1])).sum(-1)


def normal_sample(both: Tensor, table: Tensor, noise: Tensor, u: Tensor, exact: bool = False) -> tuple[Tensor, Tensor]:
    r"""Samples of :math:`q = N(\mu, \operatorname{diag} \sigma^2)` with their divergence from a normal prior.

    Parameters
    ----------
    both : Tensor, shape (R, 2, B, d)
        Means and log-variances of q.
    table : Tensor, shape (R, T, M, d)
        Log-variances of the prior at each u, its means being zero (T = 1), or means and log-variances (T = 2).
    noise : Tensor, shape (R, B, d)
        Standard normal.
    u : Tensor of int64, shape (R, B)
    exact : bool
        The divergence in closed form; otherwise :math:`\log q(z) - \log p(z \mid u)` at the sample.

    Returns
    -------
    z : Tensor, shape (R, B, d)
    gap : Tensor, shape (R, B)
    """
    if applies(both):
        found: tuple[Tensor, Tensor] = _Sample.apply(both, table, noise, u, exact)
        return found
    return plain_sample(both, table, noise, u, exact)


class KernelMLP:
    """Values and gradients of an `MLP` with leaky ReLUs by `kernels.mlp`, its parameters being columns of a matrix.

    Parameters
    ----------
    mlp : MLP
    first : int
        Its first column; `stop` is the first one after it.
    of_u : bool
        Whether its input is the one-hot u, for `MLP.at_conditions`.
    """

    def __init__(self, mlp: MLP, first: int, *, of_u: bool = False) -> None:
        self.first, self.heads, self.slope = first, mlp.heads, mlp.slope
        self.stop = first + sum(part.size for part in mlp.parameters().values())
        # The weight of the first layer is a table of conditions then, and there is no other input.
        self.conditions = mlp.widths[0] if of_u else mlp.conditions
        self._widths = np.array([0, *mlp.widths[1:]] if of_u else mlp.widths)
        self.outputs, self._hidden = mlp.widths[-1], sum(mlp.widths[1:-1])

    def values(self, flat: np.ndarray, x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From parameters (R, P), x (R, B, in) and u (R, B): values (R, heads, B, out), and those of hidden layers."""
        runs, size = x.shape[:2]
        hidden = np.empty((runs, self.heads, self._hidden, size), x.dtype)
        out = np.empty((runs, self.heads, size, self.outputs), x.dtype)
        mlp_values(x, u, flat, self.first, self._widths, self.conditions, self.slope, hidden, out)
        return out, hidden

    def gradients(self, flat: np.ndarray, x: np.ndarray, u: np.ndarray, hidden: np.ndarray, outer: np.ndarray,
                  gradient: np.ndarray, by_x: np.ndarray) -> None:
        """Fill its columns of `gradient`, shape (R, P), and `by_x` unless it is empty, given `outer` of the values."""
        mlp_gradients(x, u, flat, self.first, self._widths, self.conditions, self.slope, hidden, outer, gradient, by_x)


@np.errstate(all="ignore")
def negative_elbo(flat: np.ndarray, gradient: np.ndarray, x: np.ndarray, u: np.ndarray, noise: np.ndarray,
                  networks: Sequence[KernelMLP], variance: float, exact: bool) -> np.ndarray:
    r"""Mean over the rows of :math:`-\log N(x; f(z), v I)` plus the divergence of `normal_sample`, and its gradient.

    Parameters
    ----------
    flat, gradient : ndarray, shape (R, P)
        Parameters of encoder, decoder and prior; the gradient is filled.
    x : ndarray, shape (R, B, n)
    u : ndarray of int64, shape (R, B)
    noise : ndarray, shape (R, B, d)
        Standard normal.
    networks : sequence of KernelMLP
        Encoder, decoder, and what gives the `table` of `normal_sample`. Without the latter the columns that remain are
        the table; it is 0 if there are none.
    variance : float
        v.
    exact : bool
        As in `normal_sample`.

    Returns
    -------
    ndarray, shape (R,)
    """
    (runs, size, n), d = x.shape, noise.shape[2]
    encoder, decoder, *others = networks
    prior = others[0] if others else None
    nothing = np.empty((0, 0, 0), x.dtype)
    both, hidden = encoder.values(flat, x, u)
    if prior is not None:
        every = np.tile(np.arange(prior.conditions), (runs, 1))
        no_x = np.empty((*every.shape, 0), x.dtype)
        table, prior_hidden = prior.values(flat, no_x, every)
    elif flat.shape[1] > decoder.stop:
        table = flat[:, decoder.stop:].reshape(runs, -1, encoder.conditions, d)
    else:
        table = np.zeros((runs, 1, 1, d), x.dtype)
    std, precision = np.exp(0.5 * both[:, 1]), np.exp(-table[:, -1])
    z, gap = np.empty_like(noise), np.empty(u.shape, x.dtype)
    sample_values(both, std, noise, table, precision, u, exact, z, gap)
    means, decoder_hidden = decoder.values(flat, z, NO_U)
    errors = np.empty_like(gap)
    squares(x, means[:, 0], 1 / (variance * size), errors)
    loss: np.ndarray = (gap + 0.5 / variance * errors).mean(1) + 0.5 * n * math.log(2 * math.pi * variance)

    by_z, by_both, by_table = np.empty_like(z), np.empty_like(both), np.empty_like(table)
    decoder.gradients(flat, z, NO_U, decoder_hidden, means, gradient, by_z)
    sample_gradients(both, std, noise, table, precision, u, exact, z, by_z, np.full_like(gap, 1 / size), by_both,
                     by_table)
    encoder.gradients(flat, x, u, hidden, by_both, gradient, nothing)
    if prior is not None:
        prior.gradients(flat, no_x, every, prior_hidden, by_table, gradient, nothing)
    elif flat.shape[1] > decoder.stop:
        gradient[:, decoder.stop:] = by_table.reshape(runs, -1)
    return loss
