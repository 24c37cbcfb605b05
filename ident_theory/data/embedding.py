"""Mixtures of Gaussians in a few latents, embedded among noise by a random invertible network (GIN's data)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from ident_theory.data import arguments
from ident_theory.data.dataset import Dataset
from ident_theory.data.nonstationary import spread
from ident_theory.errors import InputError
from ident_theory.models import ConditionalPrior, DeclaredMap, Model
from ident_theory.models.value import FloatArray

#: What keeps the logarithm of a scale within (-2, 2): the published code's (0.636 is nearly 2/pi) and the paper's.
CLAMPS = {"arctan": lambda s: 2 * 0.636 * np.arctan(s / 2), "tanh": lambda s: 2 * np.tanh(s)}
#: A small network: the weight and bias of each layer.
_Layers = tuple[tuple[FloatArray, FloatArray], ...]


@dataclass(frozen=True, eq=False)
class CouplingNetwork:
    r"""An invertible network of affine coupling blocks (RealNVP with both couplings in each block).

    A block permutes the coordinates, splits them into (a, b) and does

    .. math:: a' = a \odot e^{c(s_1(b))} + t_1(b), \qquad b' = b \odot e^{c(s_2(a'))} + t_2(a'),

    where (s, t) are the two halves of the output of a small network. `coupling_network` draws a random one.

    Attributes
    ----------
    activation : str
        ``relu`` or ``tanh``, within the small networks. With ``relu`` the map is continuous and invertible, but not
        differentiable everywhere; with ``tanh`` it is a diffeomorphism.
    clamp : str
        The function c: ``arctan`` for 1.272 arctan(s / 2), ``tanh`` for 2 tanh(s).
    permutations : tuple of ndarray of int, shape (dim,)
    networks : tuple of pairs
        For each block the networks of the first and the second coupling, each a tuple of (weight, bias).
    """

    activation: str
    clamp: str
    permutations: tuple[np.ndarray, ...]
    networks: tuple[tuple[_Layers, _Layers], ...]

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.permutations[0])

    def __call__(self, z: Any) -> FloatArray:
        """Latents to observations, float64: (N, dim) -> (N, dim)."""
        return self.forward(z)[0]

    def forward(self, z: Any) -> tuple[FloatArray, FloatArray]:
        """Observations, shape (N, dim), and the log-determinants of the Jacobian there, shape (N,)."""
        h, log_det = self._rows(z), np.zeros(len(z))
        half = self.dim // 2
        for permutation, (first, second) in zip(self.permutations, self.networks, strict=True):
            h = h[:, permutation]
            a, b = h[:, :half], h[:, half:]
            s, t = self._scale_shift(first, b)
            a, log_det = a * np.exp(s) + t, log_det + s.sum(axis=1)
            s, t = self._scale_shift(second, a)
            b, log_det = b * np.exp(s) + t, log_det + s.sum(axis=1)
            h = np.hstack([a, b])
        return h, log_det

    def inverse(self, x: Any) -> FloatArray:
        """Observations back to latents: (N, dim) -> (N, dim).

        **Accuracy.** Backward stable as measured: the observations of what it returns are x up to 1e-13 of the
        largest coordinate. How far the latents are off depends on the Jacobian of the inverse: over 40 networks of
        GIN's size at most 1e-13 with ``arctan`` and 1e-7 with ``tanh``, not guaranteed.
        """
        h = self._rows(x)
        half = self.dim // 2
        for permutation, (first, second) in zip(self.permutations[::-1], self.networks[::-1], strict=True):
            a, b = h[:, :half], h[:, half:]
            s, t = self._scale_shift(second, a)
            b = (b - t) * np.exp(-s)
            s, t = self._scale_shift(first, b)
            a = (a - t) * np.exp(-s)
            h = np.empty_like(h)
            h[:, permutation] = np.hstack([a, b])
        return h

    def _rows(self, points: Any) -> FloatArray:
        array = np.asarray(points, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != self.dim:
            raise InputError(f"coupling network: expected points of shape (N, {self.dim}), found {array.shape}")
        return array

    def _scale_shift(self, layers: _Layers, h: FloatArray) -> tuple[FloatArray, FloatArray]:
        for weight, bias in layers[:-1]:
            h = h @ weight.T + bias
            h = np.maximum(h, 0.0) if self.activation == "relu" else np.tanh(h)
        weight, bias = layers[-1]
        s, t = np.split(h @ weight.T + bias, 2, axis=1)
        return CLAMPS[self.clamp](s), t


def coupling_network(rng: np.random.Generator, dim: int = 10, *, blocks: int = 8, width: int = 10, depth: int = 3,
                     activation: Literal["relu", "tanh"] = "relu",
                     clamp: Literal["arctan", "tanh"] = "arctan") -> CouplingNetwork:
    """A random `CouplingNetwork`: weights and biases uniform on ±1/sqrt(inputs), permutations uniform.

    Parameters
    ----------
    rng : numpy.random.Generator
    dim : int
        Number of coordinates, at least 2.
    blocks : int
    width, depth : int
        Hidden width and number of layers of the small networks.
    activation : {"relu", "tanh"}
    clamp : {"arctan", "tanh"}
        Of the logarithms of the scales, see `CouplingNetwork`.

    Notes
    -----
    The two clamps make very different data. With GIN's settings and 30 seeds the median of the largest observation is
    16 with ``arctan`` and 445 with ``tanh``, that of the standard deviation of the log-determinant 0.5 and 3.4. A
    volume-preserving model is exact only where that is zero.

    References
    ----------
    Sorrenson et al. 2020 (GIN), Section 4.3.1, Appendix D and Table 2: 2 tanh(s), weights random. Their code of 2020
    takes the arctangent by way of the FrEIA of that time, and initialises as torch does by default.
    """
    rng, where = arguments.generator(rng, "coupling_network"), "coupling_network"
    dim, blocks = arguments.count(dim, f"{where}: dim", 2), arguments.count(blocks, f"{where}: blocks")
    width, depth = arguments.count(width, f"{where}: width"), arguments.count(depth, f"{where}: depth")
    arguments.choice(activation, f"{where}: activation", ("relu", "tanh"))
    arguments.choice(clamp, f"{where}: clamp", list(CLAMPS))

    def layers(inputs: int, outputs: int) -> _Layers:
        sizes = [inputs, *[width] * (depth - 1), outputs]
        return tuple((rng.uniform(-1, 1, size=(after, before)) / before**0.5,
                      rng.uniform(-1, 1, size=after) / before**0.5)
                     for before, after in zip(sizes[:-1], sizes[1:], strict=True))

    half = dim // 2
    return CouplingNetwork(activation, clamp, tuple(rng.permutation(dim) for _ in range(blocks)),
                           tuple((layers(dim - half, 2 * half), layers(half, 2 * (dim - half)))
                                 for _ in range(blocks)))


def embedded_mixture(rng: np.random.Generator, *, clusters: int = 5, size: int = 100_000, informative: int = 2,
                     noise_dims: int = 8, noise_std: float = 0.01, means: tuple[float, float] = (-5.0, 5.0),
                     variances: tuple[float, float] | None = None, deviations: tuple[float, float] | None = None,
                     blocks: int = 8, width: int = 10, activation: Literal["relu", "tanh"] = "relu",
                     clamp: Literal["arctan", "tanh"] = "arctan",
                     network: CouplingNetwork | None = None) -> Dataset:
    r"""GIN's artificial data: a mixture of Gaussians in the plane among noise, through a random invertible network.

    It is :math:`x = f(z, \varepsilon)` with f a `CouplingNetwork`. Given the cluster u the informative latents z are
    independent normal, means and spreads uniform; the others are independent N(0, noise_std^2) whatever u is.

    Parameters
    ----------
    rng : numpy.random.Generator
    clusters : int
        5 in the paper's first experiment, 3 in its second.
    size : int
        100,000 in Figure 6, 10,000 in Figure 7 and by default in the published code.
    informative, noise_dims : int
        Numbers of informative and of other latents, 2 and 8.
    noise_std : float
        Standard deviation of the latter.
    means : (low, high)
    variances, deviations : (low, high), optional
        Range of the variances or the standard deviations of the informative latents, one of the two; deviations on
        [0.5, 3] by default, as in the published code. The paper says variances on [0.5, 3].
    blocks, width, activation, clamp
        Of `coupling_network`; 8 blocks of width 10 with ReLU in the paper. Its words make the clamp ``tanh``, its
        code ``arctan``, with which the data are much easier.
    network : CouplingNetwork, optional
        Take this one instead of a random one.

    Returns
    -------
    Dataset
        z are the informative latents, ``factors["noise"]`` the others, shape (N, noise_dims). The model has all of
        them as latents, informative ones first, and a declared decoder: a diffeomorphism for ``tanh``; continuous
        and injective for ``relu``, whose kinks leave it short of one. Draw the network by `coupling_network` and
        pass it to have its values, inverse and Jacobian.

    Raises
    ------
    InputError
        For values out of range, or a cluster that does not occur among `size` draws.

    References
    ----------
    Sorrenson et al. 2020 (GIN), Section 4.3.1, Appendix D, Figures 6-8, and their published code, which permutes
    after the blocks and not before.
    """
    rng, where = arguments.generator(rng, "embedded_mixture"), "embedded_mixture"
    clusters, size = arguments.count(clusters, f"{where}: clusters"), arguments.count(size, f"{where}: size")
    informative = arguments.count(informative, f"{where}: informative")
    noise_dims = arguments.count(noise_dims, f"{where}: noise_dims", 0)
    noise_std = arguments.number(noise_std, f"{where}: noise_std", 0.0, above=True)
    low, high = arguments.interval(means, f"{where}: means")
    if variances is not None and deviations is not None:
        raise InputError(f"{where}: variances: expected variances or deviations, found both; leave one out")
    if variances is None:
        deviations = arguments.interval((0.5, 3.0) if deviations is None else deviations, f"{where}: deviations",
                                        positive=True)
    else:
        variances = arguments.interval(variances, f"{where}: variances", positive=True)
    dim = informative + noise_dims
    if network is None:
        network = coupling_network(rng, dim, blocks=blocks, width=width, activation=activation, clamp=clamp)
    elif not isinstance(network, CouplingNetwork) or network.dim != dim:
        found = f"one of {network.dim}" if isinstance(network, CouplingNetwork) else repr(network)
        raise InputError(f"{where}: network: expected a CouplingNetwork of {dim} coordinates, found {found}")

    mu = rng.uniform(low, high, size=(clusters, informative))
    deviation, variance = spread(rng, (clusters, informative), variances, deviations)
    u = rng.integers(clusters, size=size)
    z = mu[u] + deviation[u] * rng.standard_normal((size, informative))
    noise = noise_std * rng.standard_normal((size, noise_dims))
    properties = ["diffeomorphism"] if network.activation == "tanh" else ["continuous", "injective"]
    prior = ConditionalPrior.from_means_variances(
        np.hstack([mu, np.zeros((clusters, noise_dims))]),
        np.hstack([variance, np.full((clusters, noise_dims), Fraction(noise_std) ** 2)]),
        weights=[Fraction(1, clusters)] * clusters)
    settings = {"clusters": clusters, "size": size, "informative": informative, "noise_dims": noise_dims,
                "noise_std": noise_std, "means": (low, high), "variances": variances, "deviations": deviations,
                "blocks": len(network.permutations), "width": len(network.networks[0][0][0][1]),
                "activation": network.activation, "clamp": network.clamp}
    return Dataset(network(np.hstack([z, noise])), u=u, z=z, model=Model(prior, DeclaredMap(dim, dim, properties)),
                   factors={"noise": noise}, name="embedded_mixture", settings=settings)
