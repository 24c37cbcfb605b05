"""Networks written as sums of absolute values: one form for many networks that are the same function."""

from __future__ import annotations

from flint import fmpq

from ident_theory.exact.rationals import rational
from ident_theory.geometry.linear_programs import ONE, ZERO
from ident_theory.models.network import ReLUNetwork

#: A sum of terms by number: 0 for the constant 1, then the coordinates of z, then absolute values of such sums.
Sum = dict[int, fmpq]
#: Numbers of absolute values, by what stands between the bars.
Names = dict[frozenset[tuple[int, tuple[int, int]]], int]


def same_form(f: ReLUNetwork, g: ReLUNetwork) -> bool:
    r"""Whether two networks are the same sum of absolute values; if so they are the same function.

    Every activation is :math:`s(t) = \frac{1+a}{2} t + \frac{1-a}{2} |t|`, and :math:`|c\,t| = |c| |t|`. So the order,
    scaling and sign of hidden units, copies, constant units, units that cancel, and layers that pass their input on
    make no difference. False means nothing: kinks can also cancel on cells alone.

    Parameters
    ----------
    f, g : ReLUNetwork
        From one space to one space.

    Notes
    -----
    **Accuracy.** Exact. Cost: weights times the number of different absolute values.
    """
    names: Names = {}
    return _outputs(f, names) == _outputs(g, names)


def _outputs(network: ReLUNetwork, names: Names) -> list[Sum]:
    values: list[Sum] = [{i + 1: ONE} for i in range(network.latent_dim)]
    slope = rational(network.negative_slope_exact)
    for layer, (weights, biases) in enumerate(zip(network.weights_exact, network.biases_exact, strict=True)):
        values = [_combined([*values, {0: ONE}], [*map(rational, row), rational(bias)])
                  for row, bias in zip(weights, biases, strict=True)]
        if layer < network.depth - 1:
            values = [_combined([t, _absolute(t, network.latent_dim, names)], [(1 + slope) / 2, (1 - slope) / 2])
                      for t in values]
    return values


def _combined(sums: list[Sum], factors: list[fmpq]) -> Sum:
    total: Sum = {}
    for terms, factor in zip(sums, factors, strict=True):
        if factor:
            for name, value in terms.items():
                total[name] = total.get(name, ZERO) + factor * value
    return {name: value for name, value in total.items() if value}


def _absolute(t: Sum, m: int, names: Names) -> Sum:
    """The absolute value of a sum, as a multiple of that of the sum with 1 as its last coefficient."""
    if not t.keys() - {0}:
        return {name: abs(v) for name, v in t.items()}
    lead = t[max(t)]
    inside = frozenset((name, (int(v.p), int(v.q))) for name, v in ((name, v / lead) for name, v in t.items()))
    return {names.setdefault(inside, m + 1 + len(names)): abs(lead)}
