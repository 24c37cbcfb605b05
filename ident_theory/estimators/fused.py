"""Chains of small operations as one: on the CPU by kernels, whose gradients are written out, elsewhere by torch.

A small network spends its time between operations, not in them. Each function here has its plain counterpart beside it,
which other devices, autocast and second derivatives use; the two agree up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ident_theory.kernels.mlp import mlp_gradients, mlp_values
from ident_theory.kernels.variational import sample_gradients, sample_values, squares, squares_gradients

#: Widest layer and most rows of a batch for which the kernels win over matrix products.
WIDEST, MOST_ROWS = 64, 2048


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


class LeakyMLP(torch.autograd.Function):
    """A leaky ReLU network of (x, one-hot u): see `kernels.mlp`."""

    @staticmethod
    def forward(ctx: Any, plain: Callable[..., Tensor], widths: np.ndarray, heads: int, slope: float,
                u: Tensor | None, conditions: int, x: Tensor, *parameters: Tensor) -> Tensor:
        """Shape (R, heads, B, out); `parameters` in the order of the kernel, `plain` takes x and them."""
        runs, size = x.shape[:2]
        x = x.contiguous()
        flat = torch.cat([part.reshape(runs, -1) for part in parameters], 1)
        place = np.zeros((1, 1), np.int64) if u is None else u.contiguous().numpy()
        hidden = torch.empty((runs, heads, int(widths[1:-1].sum()), size), dtype=x.dtype)
        out = torch.empty((runs, heads, size, int(widths[-1])), dtype=x.dtype)
        mlp_values(x.numpy(), place, flat.numpy(), widths, conditions, slope, hidden.numpy(), out.numpy())
        ctx.settings = plain, widths, slope, place, conditions, flat, hidden
        ctx.save_for_backward(x, *parameters)
        return out

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Any, ...]:
        plain, widths, slope, place, conditions, flat, hidden = ctx.settings
        x, *parameters = ctx.saved_tensors
        wanted = ctx.needs_input_grad[6:]
        if torch.is_grad_enabled():
            return (None,) * 6 + _again(plain, (x, *parameters), wanted, (outer,))
        gradient = torch.empty_like(flat)
        by_x = torch.empty_like(x) if wanted[0] else torch.empty((0, 0, 0), dtype=x.dtype)
        mlp_gradients(x.numpy(), place, flat.numpy(), widths, conditions, slope, hidden.numpy(),
                      outer.contiguous().numpy(), gradient.numpy(), by_x.numpy())
        parts = gradient.split([part[0].numel() for part in parameters], 1)
        shaped = (part.view(like.shape) for part, like in zip(parts, parameters, strict=True))
        return (None,) * 6 + (by_x if wanted[0] else None, *shaped)


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
    from ident_theory.estimators.layers import take

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


class _Squares(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        x, y = x.contiguous(), y.contiguous()
        out = torch.empty(x.shape[:2], dtype=x.dtype)
        squares(x.numpy(), y.numpy(), out.numpy())
        ctx.save_for_backward(x, y)
        return out

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Any, ...]:
        x, y = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, _again(lambda a: (x - a).square().sum(-1), (y,), (True,), (outer,))[0]
        by_y = torch.empty_like(y)
        squares_gradients(x.numpy(), y.numpy(), outer.contiguous().numpy(), by_y.numpy())
        return None, by_y


def squared_distance(x: Tensor, y: Tensor) -> Tensor:
    r""":math:`\|x - y\|^2` along the last axis; fast for data x and predictions y of shape (R, B, n)."""
    if applies(y) and not x.requires_grad and x.dtype == y.dtype and x.shape == y.shape and x.dim() == 3:
        found: Tensor = _Squares.apply(x, y)
        return found
    return (x - y).square().sum(-1)
