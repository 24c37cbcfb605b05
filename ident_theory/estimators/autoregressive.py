"""Affine autoregressive layers with a leading run axis, coordinates before rows: a batch has shape (R, n, B)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ident_theory.estimators.couplings import ColumnMLP
from ident_theory.estimators.layers import Values
from ident_theory.estimators.parameters import constant


class MaskedMLP(ColumnMLP):
    """A `ColumnMLP` whose outputs j and n + j depend on the inputs before j only (Germain et al. 2015, MADE).

    Hidden units have the degrees 1, ..., n - 1 in turn; a weight is masked unless degrees do not fall, strictly rise
    to the outputs.

    Parameters
    ----------
    name : str
        Prefix of its parameters.
    size : int
        Coordinates n.
    hidden : sequence of int
    activation : str
    """

    def __init__(self, name: str, size: int, hidden: Sequence[int], activation: str) -> None:
        super().__init__(name, [size, *hidden, 2 * size], activation=activation, init="torch", last=constant(0))
        inputs = torch.arange(1, size + 1)
        degrees = [inputs, *(torch.arange(width) % max(size - 1, 1) + 1 for width in hidden)]
        self.masks = [before[:, None] <= after for before, after in zip(degrees[:-1], degrees[1:], strict=True)]
        self.masks.append(degrees[-1][:, None] < inputs.repeat(2))

    def __call__(self, p: Values, x: Tensor, *_: Any) -> Tensor:
        """Outputs, shape (R, 2 n, B)."""
        masked = dict(p)
        for (weight, _bias), mask in zip(self._names, self.masks, strict=True):
            masked[weight] = p[weight] * mask.to(x.device)
        return super().__call__(masked, x)


class AutoregressiveLayer:
    r"""Coordinate j becomes :math:`h_j e^{a_j(h_{<j})} + t_j(h_{<j})` (Papamakarios et al. 2017, MAF).

    Parameters
    ----------
    name : str
        Prefix of its parameters.
    size : int
    hidden : sequence of int
    activation : str
    clamp : float
        a is ``r / (1 + |r| / clamp)`` of the network's output r, between -clamp and clamp.
    """

    def __init__(self, name: str, size: int, hidden: Sequence[int], activation: str, clamp: float) -> None:
        self.size, self.clamp = size, clamp
        self.network = MaskedMLP(name, size, hidden, activation)

    def __call__(self, p: Values, h: Tensor) -> tuple[Tensor, Tensor]:
        """The result and the log-determinant of the Jacobian, shapes (R, n, B) and (R, B)."""
        scale, shift = self._scale_shift(p, h)
        return torch.addcmul(shift, h, torch.exp(scale)), scale.sum(1)

    def inverse(self, p: Values, y: Tensor) -> Tensor:
        """The inverse in n passes, each of which makes one more coordinate right."""
        h = torch.zeros_like(y)
        for _ in range(self.size):
            scale, shift = self._scale_shift(p, h)
            h = (y - shift) * torch.exp(-scale)
        return h

    def _scale_shift(self, p: Values, h: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = self.network(p, h).chunk(2, dim=1)
        return raw / (1 + raw.abs() / self.clamp), shift
