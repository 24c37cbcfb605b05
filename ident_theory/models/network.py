"""ReLU and leaky ReLU networks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ident_theory.errors import InputError, Problem
from ident_theory.exact.rationals import nearest_float, parse_array, parse_number, to_float
from ident_theory.models.value import ExactArray, FloatArray, Value, flat_key, plain_numbers, raise_if


class ReLUNetwork(Value):
    r"""A fully connected network :math:`f(z) = W_L\, s(\dots s(W_1 z + b_1) \dots) + b_L`.

    Here :math:`s(t) = t` for :math:`t > 0` and :math:`a t` otherwise, with `a` the negative slope. The last
    layer is affine. One layer alone is an affine map.

    Parameters
    ----------
    weights : sequence of array_like
        ``weights[l]`` has shape (width of layer l + 1, width of layer l).
    biases : sequence of array_like
        ``biases[l]`` has shape (width of layer l + 1,).
    negative_slope : number, default 0
        Slope of the activation on the negative half line: 0 is the ReLU.

    Attributes
    ----------
    weights, biases : tuple of ndarray of float64
        Rounded views.
    weights_exact, biases_exact : tuple of ndarray of Fraction
    negative_slope : float
    negative_slope_exact : Fraction

    Raises
    ------
    ModelError
        Lists every mistake: layers that do not fit together, NaN, empty arrays.
    """

    weights_exact: tuple[ExactArray, ...]
    biases_exact: tuple[ExactArray, ...]
    negative_slope_exact: Fraction
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    negative_slope: float

    def __init__(self, weights: Sequence[Any], biases: Sequence[Any], negative_slope: Any = 0) -> None:
        problems: list[Problem] = []
        fields = read_network(weights, biases, negative_slope, "", problems)
        raise_if(problems, "ReLUNetwork")
        assert fields is not None
        w, b, slope = fields
        self._set(weights_exact=w, biases_exact=b, negative_slope_exact=slope,
                  weights=tuple(to_float(x) for x in w), biases=tuple(to_float(x) for x in b),
                  negative_slope=nearest_float(slope))

    @property
    def latent_dim(self) -> int:
        """Dimension m of the input."""
        return int(self.weights_exact[0].shape[1])

    @property
    def observed_dim(self) -> int:
        """Dimension n of the output."""
        return int(self.weights_exact[-1].shape[0])

    @property
    def depth(self) -> int:
        """Number of affine layers."""
        return len(self.weights_exact)

    def __call__(self, z: Any) -> FloatArray:
        """Evaluate in float64: (N, m) -> (N, n)."""
        hidden = latents(z, self.latent_dim)
        last = self.depth - 1
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = hidden @ w.T + b
            if layer != last:
                hidden = np.where(hidden > 0, hidden, self.negative_slope * hidden)
        return hidden

    def plain(self) -> dict[str, Any]:
        """The section ``[decoder]`` of a model file."""
        return {"type": "relu_network", "weights": [plain_numbers(w) for w in self.weights_exact],
                "biases": [plain_numbers(b) for b in self.biases_exact],
                "negative_slope": plain_numbers(self.negative_slope_exact)}

    def _key(self) -> Hashable:
        return (tuple(flat_key(w) for w in self.weights_exact), tuple(flat_key(b) for b in self.biases_exact),
                self.negative_slope_exact)

    def __repr__(self) -> str:
        return (f"ReLUNetwork(weights={[w.tolist() for w in self.weights]}, "
                f"biases={[b.tolist() for b in self.biases]}, negative_slope={self.negative_slope})")


def latents(z: Any, dim: int) -> FloatArray:
    """Latent points as an (N, m) float64 array; a flat list is taken as N points when m = 1."""
    array = np.asarray(z, dtype=np.float64)
    if array.ndim == 1 and dim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != dim:
        raise InputError(f"latent points: expected shape (N, {dim}), got {array.shape}")
    return array


def read_network(weights: Any, biases: Any, negative_slope: Any, path: str, problems: list[Problem],
                 ) -> tuple[tuple[ExactArray, ...], tuple[ExactArray, ...], Fraction] | None:
    """Parse and validate the parts of a network, recording every problem under `path`."""
    before = len(problems)
    dot = f"{path}." if path else ""
    layers: dict[str, list[ExactArray | None]] = {"weights": [], "biases": []}
    for name, given, ndim in (("weights", weights, 2), ("biases", biases, 1)):
        if not isinstance(given, list | tuple) or not given:
            problems.append(Problem(f"{dot}{name}", "a non-empty list with one array a layer",
                                    f"{type(given).__name__}" if given else "nothing"))
            continue
        for l, item in enumerate(given):
            array = parse_array(item, f"{dot}{name}[{l}]", problems)
            if array is not None and (array.ndim != ndim or not array.size):
                problems.append(Problem(f"{dot}{name}[{l}]",
                                        "a matrix, shape (out, in)" if ndim == 2 else "a vector, shape (out,)",
                                        f"shape {array.shape}"))
                array = None
            layers[name].append(array)
    if layers["weights"] and layers["biases"] and len(layers["weights"]) != len(layers["biases"]):
        problems.append(Problem(f"{dot}biases", f"{len(layers['weights'])} vectors, one a weight matrix",
                                str(len(layers["biases"]))))
    previous: ExactArray | None = None
    for l, w in enumerate(layers["weights"]):
        if w is not None and previous is not None and w.shape[1] != previous.shape[0]:
            problems.append(Problem(f"{dot}weights[{l}]", f"{previous.shape[0]} columns, the rows of weights[{l - 1}]",
                                    f"{w.shape[1]}"))
        b = layers["biases"][l] if l < len(layers["biases"]) else None
        if w is not None and b is not None and b.shape != (w.shape[0],):
            problems.append(Problem(f"{dot}biases[{l}]", f"{w.shape[0]} numbers, the rows of weights[{l}]",
                                    f"{b.shape[0]}"))
        previous = w
    slope = parse_number(negative_slope, f"{dot}negative_slope", problems)
    if len(problems) > before:
        return None
    assert slope is not None
    return (tuple(w for w in layers["weights"] if w is not None),
            tuple(b for b in layers["biases"] if b is not None), slope)
