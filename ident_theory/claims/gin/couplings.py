"""Coupling layers: with generic functions, and with linear ones at a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from flint import arb, arb_mat, fmpq
from hypothesis import strategies as st

from ident_theory.claims.matrices import shown_matrix

Row = tuple[Fraction, ...]


@dataclass(frozen=True)
class Coupling:
    """A coupling layer with generic functions of its first d inputs, and the Jacobian of its outputs."""

    inputs: sp.Matrix
    scales: sp.Matrix
    shifts: sp.Matrix

    @staticmethod
    def generic(size: int, d: int) -> Coupling:
        """s and t with D - d outputs each."""
        x = sp.Matrix(sp.symbols(f"x_1:{size + 1}", real=True))
        kept = list(x[:d])
        return Coupling(x, *(sp.Matrix([sp.Function(f"{name}_{i}", real=True)(*kept) for i in range(1, size - d + 1)])
                             for name in ("s", "t")))

    @property
    def d(self) -> int:
        """How many inputs pass unchanged."""
        return len(self.inputs) - len(self.scales)

    @property
    def outputs(self) -> sp.Matrix:
        """Eqs. 5 and 6."""
        changed = [x * sp.exp(s) + t for x, s, t in zip(self.inputs[self.d:], self.scales, self.shifts, strict=True)]
        return sp.Matrix([*self.inputs[:self.d], *changed])

    @property
    def determinant(self) -> sp.Expr:
        """Jacobian determinant of the whole layer."""
        return sp.simplify(self.outputs.jacobian(self.inputs).det(method="berkowitz"))

    def with_scales(self, scales: list[sp.Expr]) -> Coupling:
        """The same with other scales."""
        return Coupling(self.inputs, sp.Matrix(scales), self.shifts)

    def zero_sum(self) -> Coupling:
        """The last scale is minus the sum of the others."""
        return self.with_scales([*self.scales[:-1], -sum(self.scales[:-1], sp.S.Zero)])


@dataclass(frozen=True)
class Layer:
    """A layer whose scales and shifts are linear in the inputs that it keeps, after a permutation of the inputs."""

    order: tuple[int, ...]
    scales: tuple[Row, ...]
    shifts: tuple[Row, ...]

    @property
    def is_zero_sum(self) -> bool:
        """Whether the scales sum to 0 for all inputs."""
        return not any(map(sum, zip(*self.scales, strict=True)))

    def __call__(self, x: Sequence[arb]) -> tuple[list[arb], arb_mat]:
        """Outputs at a point, and the Jacobian there."""
        x = [x[i] for i in self.order]
        size, d = len(x), len(self.scales[0])
        jacobian = arb_mat(size, size)
        out = list(x[:d])
        for i in range(d):
            jacobian[i, self.order[i]] = arb(1)
        for i, (scale, shift) in enumerate(zip(self.scales, self.shifts, strict=True), d):
            grown = sum((_ball(a) * v for a, v in zip(scale, x, strict=False)), arb(0)).exp()
            out.append(x[i] * grown + sum((_ball(b) * v for b, v in zip(shift, x, strict=False)), arb(0)))
            for j in range(d):
                jacobian[i, self.order[j]] = x[i] * grown * _ball(scale[j]) + _ball(shift[j])
            jacobian[i, self.order[i]] = grown
        return out, jacobian


@dataclass(frozen=True)
class Network:
    """Layers one after the other, and a point."""

    layers: tuple[Layer, ...]
    point: Row

    @property
    def determinant(self) -> arb:
        """Jacobian determinant at the point, by the chain rule for whole matrices."""
        x = [_ball(v) for v in self.point]
        total = arb_mat(len(x), len(x))
        for i in range(len(x)):
            total[i, i] = arb(1)
        for layer in self.layers:
            x, jacobian = layer(x)
            total = jacobian * total
        return total.det()

    @property
    def preserves_volume(self) -> bool | None:
        """Whether the absolute value may be 1; False is certain, None where the enclosure is too wide."""
        size = abs(self.determinant)
        if not size.contains(1):
            return False
        return True if size.rad() < 1e-6 else None

    def show(self) -> str:
        """The numbers to paste."""
        layers = [f"# inputs in the order {list(v.order)}, s = {shown_matrix(v.scales)} x, "
                  f"t = {shown_matrix(v.shifts)} x"
                  for v in self.layers]
        return "\n".join([*layers, f"# at x = {shown_matrix([self.point])}"])


def _ball(value: Fraction) -> arb:
    return arb(fmpq(value.numerator, value.denominator))


@st.composite
def networks(draw: st.DrawFn, *, zero_sum: bool) -> Network:
    """One to three layers on two to four dimensions; zero functions and zero inputs among them."""
    size = draw(st.integers(2, 4))
    d = draw(st.integers(1, size - 1))
    number = st.sampled_from([Fraction(v) for v in ("0", "1", "-1", "1/2", "2")])
    row = st.tuples(*[number] * d)
    layers = []
    for _ in range(draw(st.integers(1, 3))):
        scales = draw(st.lists(row, min_size=size - d, max_size=size - d))
        if zero_sum:
            scales[-1] = tuple(-sum(column, Fraction(0)) for column in zip(*scales[:-1], strict=True)) \
                or (Fraction(0),) * d
        layers.append(Layer(tuple(draw(st.permutations(range(size)))), tuple(scales),
                            tuple(draw(st.lists(row, min_size=size - d, max_size=size - d)))))
    return Network(tuple(layers), tuple(draw(st.lists(number, min_size=size, max_size=size))))
