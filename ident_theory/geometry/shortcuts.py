"""Injectivity read off the layers of a network, where a proved sufficient condition applies."""

from __future__ import annotations

from typing import Any

from flint import fmpq, fmpq_mat

from ident_theory.exact.rationals import rational
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.value import ExactArray


def narrow_layer(network: ReLUNetwork) -> int | None:
    """The first layer whose matrix has rank below m, so that every affine piece has."""
    return next((layer for layer, w in enumerate(network.weights_exact)
                 if min(w.shape) < network.latent_dim or _matrix(w).rank() < network.latent_dim), None)


def is_linear(network: ReLUNetwork) -> bool:
    """Whether the activation changes nothing, so that f is one affine map."""
    return network.depth == 1 or network.negative_slope_exact == 1


def has_linear_rank(network: ReLUNetwork) -> bool:
    """Whether the product of all weights has full column rank; for a network that `is_linear`."""
    product = _matrix(network.weights_exact[0])
    for w in network.weights_exact[1:]:
        product = _matrix(w) * product
    return bool(product.rank() == network.latent_dim)


def injective_layers(network: ReLUNetwork) -> list[list[int]] | None:
    """Rows of an invertible square part of every layer of a network with an injective activation.

    A leaky ReLU (slope > 0) is injective, and so is an affine layer of full column rank; their composition is, too.
    None when a layer has no full column rank or the activation is a ReLU.
    """
    if network.negative_slope_exact <= 0:
        return None
    rows = [invertible_rows(w) for w in network.weights_exact]
    found = [part for part in rows if part is not None]
    return found if len(found) == len(rows) else None


def spanning_layers(network: ReLUNetwork) -> dict[str, Any] | None:
    r"""Pairs of opposite rows that keep every hidden layer injective whatever the input, and the last layer's rows.

    For rows k, l with :math:`w_l = -c w_k`, c > 0 and :math:`b_l + c b_k \ge 0` one of the two preactivations is
    >= 0 at every point. If two points share their activations, then at their midpoint every row with a
    preactivation >= 0 has equal preactivations at both; so if the paired rows contain a basis the points are equal.
    This is the directed spanning set of Puthawala et al. in the case that rows decide alone. Needs a slope >= 0.
    """
    if network.depth < 2 or network.negative_slope_exact < 0:
        return None
    pairs = []
    for w, b in zip(network.weights_exact[:-1], network.biases_exact[:-1], strict=True):
        found = _opposite_rows(w, b)
        if found is None:
            return None
        pairs.append(found)
    last = invertible_rows(network.weights_exact[-1])
    return None if last is None else {"pairs": pairs, "rows": last}


def _opposite_rows(w: ExactArray, b: ExactArray) -> list[list[int]] | None:
    """Pairs of rows as in `spanning_layers` whose first rows form a basis."""
    rows = [[rational(v) for v in row] for row in w]
    bias = [rational(v) for v in b]
    pairs: list[list[int]] = []
    basis: list[list[fmpq]] = []
    for k, row in enumerate(rows):
        lead = next((j for j, v in enumerate(row) if v), None)
        if lead is None or _rank([*basis, row]) == len(basis):
            continue
        for l, other in enumerate(rows):
            c = -other[lead] / row[lead]
            if c > 0 and all(v == -c * u for u, v in zip(row, other, strict=True)) and bias[l] + c * bias[k] >= 0:
                pairs.append([k, l])
                basis.append(row)
                break
    return pairs if len(basis) == w.shape[1] else None


def independent_rows(w: ExactArray) -> list[int]:
    """A largest set of linearly independent rows."""
    reduced, rank = _matrix(w).transpose().rref()
    return [next(j for j, v in enumerate(row) if v) for row in reduced.tolist()[:rank]]


def invertible_rows(w: ExactArray) -> list[int] | None:
    """Rows that form an invertible square matrix; None when the column rank is not full."""
    rows = independent_rows(w)
    return rows if len(rows) == w.shape[1] else None


def essential_outputs(network: ReLUNetwork) -> tuple[ReLUNetwork, list[int] | None]:
    """The network with as few outputs as determine the others, and which these are; None when all are needed.

    An output whose row of the last layer depends linearly on others is an affine function of them, so values agree
    exactly when the essential ones do: the conditions F2, F3 and F4 are the same for both networks.
    """
    last = network.weights_exact[-1]
    rows = sorted(independent_rows(last))
    if len(rows) in (0, network.observed_dim):
        return network, None
    return ReLUNetwork([*network.weights_exact[:-1], last[rows]],
                       [*network.biases_exact[:-1], network.biases_exact[-1][rows]],
                       network.negative_slope_exact), rows


def _matrix(w: ExactArray) -> fmpq_mat:
    return fmpq_mat(w.shape[0], w.shape[1], [rational(v) for v in w.ravel()])


def _rank(rows: list[list[fmpq]]) -> int:
    return int(fmpq_mat(len(rows), len(rows[0]), [v for row in rows for v in row]).rank())
