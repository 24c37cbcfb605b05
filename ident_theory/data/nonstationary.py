"""Non-stationary segments: sources whose scale and mean change with the segment, mixed by a leaky ReLU network."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal

import numpy as np

from ident_theory.data import arguments
from ident_theory.data.dataset import Dataset
from ident_theory.errors import InputError
from ident_theory.models import ConditionalPrior, GaussianNoise, Model, ReLUNetwork
from ident_theory.models.value import FloatArray

_KHEMAKHEM: dict[str, Any] = {
    "segments": 40, "samples": 1000, "latent_dim": 5, "layers": 3, "slope": 0.1, "family": "normal", "means": "zero",
    "variances": (0.5, 3.0), "mixing": "conditioned", "repeat": False, "activation_first": False,
    "standardise": False, "noise_std": 0.0}
_ICEBEEM: dict[str, Any] = {
    **_KHEMAKHEM, "segments": 20, "layers": 2, "slope": 0.2, "deviations": (0.01, 3.0), "mixing": "orthogonal",
    "activation_first": True, "standardise": True}
del _ICEBEEM["variances"]

#: Settings of the literature, by first author and year.
VARIANTS: dict[str, dict[str, Any]] = {
    "khemakhem2019": _KHEMAKHEM,
    "khemakhem2019_code": {**{key: value for key, value in _KHEMAKHEM.items() if key != "variances"},
                           "deviations": (0.5, 3.0)},
    "khemakhem2019_figure1": {**_KHEMAKHEM, "segments": 5, "latent_dim": 2, "means": (-5.0, 5.0)},
    "khemakhem2019_appendix_g": {**_KHEMAKHEM, "samples": 4000, "latent_dim": 10, "observed_dim": 40},
    "icebeem": _ICEBEEM,
    "willetts2021": {**_ICEBEEM, "layers": 4, "means": (-3.0, 3.0)},
    "dideriksen2022": {**_ICEBEEM, "segments": 5, "latent_dim": 2, "layers": 3},
}
#: Matrices drawn to find out what is well conditioned, and the percentile that still is.
DRAWS, PERCENTILE = 10_000, 25.0


def segments(rng: np.random.Generator, *, variant: str = "khemakhem2019", segments: int | None = None,
             samples: int | None = None, latent_dim: int | None = None, observed_dim: int | None = None,
             layers: int | None = None, slope: float | None = None,
             family: Literal["normal", "laplace"] | None = None,
             means: Literal["zero"] | tuple[float, float] | None = None,
             variances: tuple[float, float] | None = None, deviations: tuple[float, float] | None = None,
             mixing: Literal["conditioned", "orthogonal"] | None = None, repeat: bool | None = None,
             activation_first: bool | None = None, standardise: bool | None = None,
             noise_std: float | None = None) -> Dataset:
    r"""Non-stationary segments ("TCL data"), mixed by a leaky ReLU network.

    .. math:: z_i = \mu_i(u) + \sigma_i(u)\, e_i, \qquad x = f(z) + \epsilon.

    The condition u is the segment, :math:`e_i` is standard normal or Laplace of variance one, means and spreads are
    drawn uniformly and independently for every segment and latent, and f is a leaky ReLU network without biases.

    ========================  ==  ====  ==  ==  ======  =====  =======  =======================  ===================
    variant                   M   L     d   n   layers  slope  means    spread                   matrices
    ========================  ==  ====  ==  ==  ======  =====  =======  =======================  ===================
    khemakhem2019             40  1000  5   5   3       0.1    zero     variances in [0.5, 3]    conditioned
    khemakhem2019_code        40  1000  5   5   3       0.1    zero     deviations in [0.5, 3]   conditioned
    khemakhem2019_figure1     5   1000  2   2   3       0.1    [-5, 5]  variances in [0.5, 3]    conditioned
    khemakhem2019_appendix_g  40  4000  10  40  3       0.1    zero     variances in [0.5, 3]    conditioned
    icebeem                   20  1000  5   5   2       0.2    zero     deviations in [0.01, 3]  orthogonal, after
    willetts2021              20  1000  5   5   4       0.2    [-3, 3]  deviations in [0.01, 3]  orthogonal, after
    dideriksen2022            5   1000  2   2   3       0.2    zero     deviations in [0.01, 3]  orthogonal, after
    ========================  ==  ====  ==  ==  ======  =====  =======  =======================  ===================

    Parameters
    ----------
    rng : numpy.random.Generator
    variant : str
        A row of the table; whatever else is given replaces its entry.
    segments, samples : int, optional
        Number M of segments and L of samples in each.
    latent_dim, observed_dim : int, optional
        d and n; n = d where neither the variant nor the call gives n.
    layers : int, optional
        Number of affine maps in f.
    slope : float, optional
        Slope of the activation for negative arguments, between 0 and 1.
    family : {"normal", "laplace"}, optional
    means : "zero" or (low, high), optional
    variances, deviations : (low, high), optional
        Range of the variances, or of the standard deviations; one of the two.
    mixing : {"conditioned", "orthogonal"}, optional
        ``conditioned``: entries uniform on [-1, 1], columns of the matrices that rows are multiplied by divided by
        their length, drawn again while the condition number exceeds the 25th percentile of 10,000 such draws.
        ``orthogonal``: orthogonal with respect to Haar measure (orthonormal columns or rows for n != d).
    repeat : bool, optional
        One matrix for all square layers, as in the iVAE code of 2019.
    activation_first : bool, optional
        The activation comes before each matrix: f starts with the identity and has layers - 1 matrices.
    standardise : bool, optional
        Standardises each column of e over the whole set. Samples then depend on each other to order 1/(M L), which
        the model leaves out.
    noise_std : float, optional
        Standard deviation of Gaussian noise; 0 for none, as in all variants.

    Returns
    -------
    Dataset
        Segment by segment. Its model is exact up to the rounding of f: prior ``normal_variance`` (k = 1) for means
        of zero, ``normal`` (k = 2) otherwise, ``laplace`` for Laplace sources; None for Laplace sources with means,
        which are no exponential family.

    Raises
    ------
    InputError
        For an unknown variant or values out of range.

    Notes
    -----
    Where paper and code differ: the paper of 2019 draws variances, its code deviations from the same range (variant
    ``khemakhem2019_code``), and the code's configurations mix with tanh(x) + 0.1 x, for which there is no exact model
    here. The paper's model has noise of variance 0.01, the code makes data without (noise_std=0.1 for the former).
    Willetts & Paige ask for full-rank matrices and name no slope, and their published code does not make these data;
    the row takes the generator of icebeem, whose range of deviations is theirs. L is 100, 200, 500, 1000 or 2000 in
    the last three rows, layers 2 or 4 in icebeem.

    References
    ----------
    Khemakhem et al. 2019 (iVAE), Section 5, Figure 1, Appendix G. Khemakhem et al. 2020 (ICE-BeeM), published code.
    Willetts & Paige 2021, Appendix A. Dideriksen et al. 2022 (iVAE-GAN), Table 2.
    """
    given = {"segments": segments, "samples": samples, "latent_dim": latent_dim, "observed_dim": observed_dim,
             "layers": layers, "slope": slope, "family": family, "means": means, "variances": variances,
             "deviations": deviations, "mixing": mixing, "repeat": repeat, "activation_first": activation_first,
             "standardise": standardise, "noise_std": noise_std}
    rng = arguments.generator(rng, "segments")
    s = _settings(variant, {key: value for key, value in given.items() if value is not None})
    m, d = s["segments"], s["latent_dim"]
    low, high = (0.0, 0.0) if s["means"] == "zero" else s["means"]
    mu = rng.uniform(low, high, size=(m, d))
    deviation, variance = spread(rng, (m, d), s.get("variances"), s.get("deviations"))
    size = m * s["samples"]
    e = rng.standard_normal((size, d)) if s["family"] == "normal" else rng.laplace(scale=0.5**0.5, size=(size, d))
    if s["standardise"]:
        e = (e - e.mean(axis=0)) / e.std(axis=0)
    u = np.repeat(np.arange(m), s["samples"])
    z = mu[u] + deviation[u] * e
    decoder = _network(rng, s)
    noise = GaussianNoise(s["noise_std"]) if s["noise_std"] else None
    x = decoder(z)
    if noise is not None:
        x = x + noise.sample(size, x.shape[1], rng)
    prior = _prior(s, mu, variance)
    model = None if prior is None else Model(prior, decoder, noise)
    return Dataset(x, u=u, z=z, model=model, name="segments", settings={"variant": variant, **s})


def spread(rng: np.random.Generator, shape: tuple[int, int], variances: tuple[float, float] | None,
           deviations: tuple[float, float] | None) -> tuple[FloatArray, np.ndarray]:
    """Uniform variances or deviations of latents: deviations in float64, variances as exact fractions.

    Whichever is drawn is exact; the other follows, deviations with the rounding of a square root.
    """
    if variances is not None:
        drawn = rng.uniform(*variances, size=shape)
        return np.sqrt(drawn), _exact(drawn)
    assert deviations is not None
    drawn = rng.uniform(*deviations, size=shape)
    return drawn, _exact(drawn) ** 2


def _exact(values: FloatArray) -> np.ndarray:
    return np.vectorize(Fraction, otypes=[object])(values)


def _settings(variant: str, given: dict[str, Any]) -> dict[str, Any]:
    """All settings, checked: those of the variant where nothing else is given."""
    arguments.choice(variant, "segments: variant", list(VARIANTS))
    s = dict(VARIANTS[variant])
    spreads = sorted({"variances", "deviations"} & given.keys())
    if len(spreads) == 2:
        raise InputError("segments: variances: expected variances or deviations, found both; leave one out")
    if spreads:
        s.pop("variances", None)
        s.pop("deviations", None)
    s.update(given)
    s.setdefault("observed_dim", s["latent_dim"])
    for name in ("segments", "samples", "latent_dim", "observed_dim", "layers"):
        s[name] = arguments.count(s[name], f"segments: {name}")
    for name in {"variances", "deviations"} & s.keys():
        s[name] = arguments.interval(s[name], f"segments: {name}", positive=True)
    for name in ("repeat", "activation_first", "standardise"):
        s[name] = arguments.switch(s[name], f"segments: {name}")
    arguments.choice(s["family"], "segments: family", ("normal", "laplace"))
    arguments.choice(s["mixing"], "segments: mixing", ("conditioned", "orthogonal"))
    if isinstance(s["means"], str):
        arguments.choice(s["means"], "segments: means", ("zero",))
    else:
        s["means"] = arguments.interval(s["means"], "segments: means")
    s["slope"] = arguments.number(s["slope"], "segments: slope", 0.0, 1.0)
    s["noise_std"] = arguments.number(s["noise_std"], "segments: noise_std", 0.0)
    if s["activation_first"] and s["layers"] == 1 and s["observed_dim"] != s["latent_dim"]:
        raise InputError("segments: layers: expected at least 2 for activation_first, whose first layer is the "
                         "identity, since observed_dim is not latent_dim, found 1")
    if s["standardise"] and s["segments"] * s["samples"] < 2:
        raise InputError("segments: samples: expected at least 2 observations to standardise, found 1")
    return s


def _network(rng: np.random.Generator, s: dict[str, Any]) -> ReLUNetwork:
    d, n = s["latent_dim"], s["observed_dim"]
    weights = [np.eye(d)] if s["activation_first"] else []
    square: FloatArray | None = None
    thresholds: dict[tuple[int, int], float] = {}
    while len(weights) < s["layers"]:
        shape = (n, weights[-1].shape[0] if weights else d)
        if s["repeat"] and square is not None and shape == square.shape:
            weights.append(square)
            continue
        if s["mixing"] == "orthogonal":
            weights.append(_orthogonal(rng, shape))
        else:
            if shape not in thresholds:
                thresholds[shape] = _threshold(rng, shape)
            weights.append(_conditioned(rng, shape, thresholds[shape]))
        if shape[0] == shape[1]:
            square = weights[-1]
    return ReLUNetwork(weights, [np.zeros(len(w)) for w in weights], s["slope"])


def _orthogonal(rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    """Orthonormal columns (rows for a wide matrix), uniform: QR of a normal matrix with the signs of R undone."""
    q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return q if shape[0] >= shape[1] else q.T


def _unit(rng: np.random.Generator, number: int, shape: tuple[int, int]) -> FloatArray:
    """Matrices W with entries uniform on [-1, 1], then rows of length one: z W^T has unit columns on the right."""
    drawn = rng.uniform(-1.0, 1.0, size=(number, *shape))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=2, keepdims=True), dtype=np.float64)


def _threshold(rng: np.random.Generator, shape: tuple[int, int]) -> float:
    batch = DRAWS // 10  # less memory
    numbers = [np.linalg.cond(_unit(rng, batch, shape)) for _ in range(10)]
    return float(np.percentile(np.concatenate(numbers), PERCENTILE))


def _conditioned(rng: np.random.Generator, shape: tuple[int, int], threshold: float) -> FloatArray:
    # One in four is accepted; matrices of one row or column have condition number one up to rounding.
    while True:
        matrix: FloatArray = _unit(rng, 1, shape)[0]
        if np.linalg.cond(matrix) <= threshold or min(shape) == 1:
            return matrix


def _prior(s: dict[str, Any], mu: FloatArray, variance: np.ndarray) -> ConditionalPrior | None:
    weights = [Fraction(1, s["segments"])] * s["segments"]
    centred = s["means"] == "zero"
    if s["family"] == "normal" and not centred:
        return ConditionalPrior.from_means_variances(mu, variance, weights=weights)
    if s["family"] == "normal":
        return ConditionalPrior("normal_variance", Fraction(-1, 2) / variance, weights=weights)
    if not centred:
        return None
    scale = np.sqrt(variance.astype(np.float64) / 2)
    return ConditionalPrior("laplace", -1 / scale, weights=weights)
