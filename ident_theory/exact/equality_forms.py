r"""Networks as sums of absolute values of sums of absolute values, for the verifier: one form of many equal functions.

Written for the verifier alone: nothing here is used where proofs are found.
"""

from __future__ import annotations

from fractions import Fraction

from ident_theory.exact.pair_trees import Network

#: Coefficients by number of the term: the coordinates of z, then absolute values as they were met; -1: the constant.
Form = dict[int, Fraction]

_CONSTANT = -1


def same_form(f: Network, g: Network) -> bool:
    r"""Whether two networks are the same sum; True is a proof that they are the same function.

    An activation is :math:`s(t) = \frac{1 + a}{2} t + \frac{1 - a}{2} |t|`. Replaced layer by layer, every t is a sum
    of coordinates and absolute values that were met before, and :math:`|c\,t| = |c|\,|t|` leaves one name for all
    multiples of t. So order, scaling, copies and signs of units, constant units and those that cancel play no part.
    """
    names: dict[frozenset[tuple[int, Fraction]], int] = {}
    return _sums(f, names) == _sums(g, names)


def _sums(net: Network, names: dict[frozenset[tuple[int, Fraction]], int]) -> list[Form]:
    m = len(net.weights[0][0])
    forms: list[Form] = [{i: Fraction(1)} for i in range(m)]
    half_sum, half_gap = (1 + net.slope) / 2, (1 - net.slope) / 2
    for layer, (weights, biases) in enumerate(zip(net.weights, net.biases, strict=True)):
        sums = []
        for row, bias in zip(weights, biases, strict=True):
            total: Form = {}
            _add(total, {_CONSTANT: bias}, Fraction(1))
            for weight, form in zip(row, forms, strict=True):
                _add(total, form, weight)
            sums.append(total)
        if layer == len(net.weights) - 1:
            return sums
        forms = []
        for total in sums:
            out: Form = {}
            _add(out, total, half_sum)
            _add(out, _absolute(total, names, m), half_gap)
            forms.append(out)
    return forms


def _add(total: Form, form: Form, factor: Fraction) -> None:
    for name, value in form.items():
        changed = total.get(name, Fraction(0)) + factor * value
        if changed:
            total[name] = changed
        else:
            total.pop(name, None)


def _absolute(form: Form, names: dict[frozenset[tuple[int, Fraction]], int], m: int) -> Form:
    """The absolute value, under the name of its multiple with 1 as first coefficient."""
    first = min((name for name in form if name != _CONSTANT), default=None)
    if first is None:
        return {_CONSTANT: abs(form[_CONSTANT])} if form else {}
    lead = form[first]
    name = names.setdefault(frozenset((k, value / lead) for k, value in form.items()), m + len(names))
    return {name: abs(lead)}
