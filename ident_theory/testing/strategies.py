"""Hypothesis strategies for mixtures, decoders, noises and models: degenerate and extreme cases are common on purpose.

With ``exact=True`` all numbers are small rationals, with extreme ones now and then, and examples shrink to models that
can be read. With ``exact=False`` they are floats of many sizes: for what has to be good in floating point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ident_theory.errors import InputError
from ident_theory.geometry.line import line_pieces
from ident_theory.models import (
    FejerNoise,
    GaussianMixture,
    GaussianNoise,
    LaplaceNoise,
    LogisticNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    StudentNoise,
    UniformNoise,
)
from ident_theory.models.noise import Noise
from ident_theory.testing import options
from ident_theory.testing.options import Span
from ident_theory.testing.small_numbers import (
    extreme_positive,
    extreme_rationals,
    moderate,
    normalised,
    positive_rationals,
    powers,
    rationals,
    signed,
    table,
)
from ident_theory.testing.strategies_networks import relu_networks

#: Kinds of noise; the last two have no exact law.
NOISES = ("none", "gaussian", "laplace", "logistic", "student", "uniform", "fejer")
DECODERS = ("relu", "piecewise")
_INDEPENDENT: dict[str, Callable[[Any], Noise]] = {
    "laplace": LaplaceNoise, "logistic": LogisticNoise, "uniform": UniformNoise, "fejer": FejerNoise}


def gaussian_mixtures(latent_dim: Span = 1, components: Span = (1, 4), *, diagonal: bool = False,
                      degenerate: bool = True, exact: bool = True) -> st.SearchStrategy[GaussianMixture]:
    """Gaussian mixtures.

    Parameters
    ----------
    latent_dim, components : int or (int, int)
        Numbers m and J, or the least and the largest.
    diagonal : bool
        Only diagonal covariances.
    degenerate : bool
        Also weights of zero and singular covariances. Repeated components, shared covariances, symmetric sets of
        means and tiny or huge numbers come in any case.
    exact : bool
        Small rationals, or floats of many sizes.

    Raises
    ------
    InputError
        For arguments that are none of these.
    """
    where = "gaussian_mixtures"
    return _mixtures(options.span(where, "latent_dim", latent_dim, 1), options.span(where, "components", components, 1),
                     options.flag(where, "diagonal", diagonal), options.flag(where, "degenerate", degenerate),
                     options.flag(where, "exact", exact))


@cache
@st.composite
def _mixtures(draw: st.DrawFn, dims: tuple[int, int], counts: tuple[int, int], diagonal: bool, degenerate: bool,
              exact: bool) -> GaussianMixture:
    m = draw(st.integers(*dims))
    if not exact:
        return _float_mixture(draw, m, draw(st.integers(*counts)), diagonal, degenerate)
    kinds = ["plain", "plain", "repeated", "one covariance", "symmetric", "extreme", "extreme"]
    kind = draw(st.sampled_from([*kinds, "degenerate", "degenerate"] if degenerate else kinds))
    # A list of components, which shrinks by leaving some out.
    parts = draw(st.lists(_components(m, kind, diagonal), min_size=counts[0], max_size=counts[1]))
    weights, means, covariances = (list(column) for column in zip(*parts, strict=True))
    count = len(parts)
    if kind == "repeated" and count > 1:
        means[1], covariances[1] = means[0], covariances[0]
    elif kind == "one covariance":
        covariances = covariances[:1] * count
    elif kind == "symmetric":
        half = count // 2
        means[count - half:] = [[-v for v in mean] for mean in means[:half]]
        for column in (covariances, weights):
            column[count - half:] = column[:half]
    return GaussianMixture(normalised(weights), means, covariances)


@cache
@st.composite
def _components(draw: st.DrawFn, m: int, kind: str, diagonal: bool) -> tuple[Any, list[Any], list[Any]]:
    """Weight before normalisation, mean, covariance."""
    extreme, degenerate = kind == "extreme", kind == "degenerate"
    weight = draw(extreme_positive() if extreme else st.integers(int(not degenerate), 4))
    mean = table(draw, extreme_rationals() if extreme else rationals(), 1, m)[0]
    size = extreme_positive() if extreme else positive_rationals()
    return weight, mean, _covariance(draw, m, size, diagonal, degenerate)


def _covariance(draw: st.DrawFn, m: int, size: st.SearchStrategy[Fraction], diagonal: bool,
                degenerate: bool) -> list[list[Fraction]]:
    """L L^T with a triangular L of small numbers; zeros on its diagonal only when `degenerate`."""
    entry = st.one_of(size, st.just(Fraction(0))) if degenerate else size
    shape = draw(st.sampled_from(("diagonal",) if diagonal or m == 1 else ("scalar", "diagonal", "full")))
    root = [[Fraction(0)] * m for _ in range(m)]
    for i in range(m):
        root[i][i] = draw(entry) if shape != "scalar" or i == 0 else root[0][0]
        if shape == "full":
            root[i][:i] = [draw(rationals(2)) for _ in range(i)]
    if shape == "full":
        return [[sum((a * b for a, b in zip(u, v, strict=True)), Fraction(0)) for v in root] for u in root]
    return root  # diagonal: the entries themselves, so that standard deviations are irrational as well


def _float_mixture(draw: st.DrawFn, m: int, count: int, diagonal: bool, degenerate: bool) -> GaussianMixture:
    raw = np.array(draw(st.lists(st.integers(int(not degenerate), 5), min_size=count, max_size=count)), dtype=float)
    if raw.sum() == 0:
        raw[0] = 1.0
    means = [draw(st.lists(moderate(), min_size=m, max_size=m)) for _ in range(count)]
    variance = st.one_of(st.just(1.0), powers(-6, 4), st.just(0.0) if degenerate else st.just(0.25))
    variances = [draw(st.lists(variance, min_size=m, max_size=m)) for _ in range(count)]
    if count > 1 and draw(st.booleans()):
        means[1], variances[1] = means[0], variances[0]
    if diagonal or m == 1 or draw(st.booleans()):
        return GaussianMixture(raw / raw.sum(), means, variances)
    # Roots with few bits, so that L L^T is a covariance exactly.
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    covariances = []
    for row in variances:
        root = np.round(np.tril(rng.normal(size=(m, m))) * 2**6) / 2**6 + 2 * np.eye(m) * (not degenerate)
        root = np.where(np.array(row) > 0, 2.0 ** np.round(np.log2(np.maximum(row, 1e-12)) / 2), 0)[:, None] * root
        covariances.append(root @ root.T)
    return GaussianMixture(raw / raw.sum(), means, covariances)


def piecewise_maps(observed_dim: Span = 1, pieces: Span = (1, 5), *, continuous: bool | None = None,
                   exact: bool = True) -> st.SearchStrategy[PiecewiseAffineMap]:
    """Piecewise affine maps of one latent: flat pieces, folds, equal neighbours and jumps are common.

    Parameters
    ----------
    observed_dim, pieces : int or (int, int)
        Numbers, or the least and the largest. Breakpoints may coincide, and are then one.
    continuous : bool, optional
        Only continuous maps, or all (False); by default about half are continuous on purpose.
    exact : bool
        Small rationals; or floats with breakpoints down to 1e-12 apart and slopes from 1e-8 to 1e8.
    """
    where = "piecewise_maps"
    if continuous is not None:
        options.flag(where, "continuous", continuous)
    return _maps(options.span(where, "observed_dim", observed_dim, 1), options.span(where, "pieces", pieces, 1),
                 continuous, options.flag(where, "exact", exact))


@cache
@st.composite
def _maps(draw: st.DrawFn, dims: tuple[int, int], pieces: tuple[int, int], continuous: bool | None,
          exact: bool) -> PiecewiseAffineMap:
    n, count = draw(st.integers(*dims)), draw(st.integers(*pieces))
    breaks: Any
    if exact:
        breaks = sorted({draw(rationals()) for _ in range(count - 1)})
        slope: st.SearchStrategy[Any] = st.integers(-2, 2).map(Fraction)
        start: st.SearchStrategy[Any] = rationals()
    else:
        first = draw(moderate())
        gap = st.one_of(st.just(1e-12), powers(-12, 1))
        gaps = draw(st.lists(gap, min_size=count - 1, max_size=count - 1))
        breaks = np.unique(first + np.concatenate([[0.0], np.cumsum(gaps)]))[:-1] if count > 1 else np.empty(0)
        slope, start = signed(), moderate()
    slopes = table(draw, slope, len(breaks) + 1, n)
    intercepts = table(draw, start, len(breaks) + 1, n)
    # Joined floats are continuous only when their numbers are taken as the rationals that they are.
    joined = draw(st.booleans()) if continuous is None and exact else bool(continuous)
    if joined:
        slopes = [[Fraction(v) for v in row] for row in slopes]
        for k, t in enumerate(map(Fraction, breaks)):
            intercepts[k + 1] = [Fraction(c) + (a - b) * t
                                 for c, a, b in zip(intercepts[k], slopes[k], slopes[k + 1], strict=True)]
    return PiecewiseAffineMap(breaks, slopes, intercepts)


def noises(observed_dim: int = 1, kinds: str | Sequence[str] = ("gaussian", "laplace"), *,
           exact: bool = True) -> st.SearchStrategy[Noise | None]:
    """Noises: one scale, one each, or a full covariance where the kind has it.

    Parameters
    ----------
    observed_dim : int
    kinds : str or sequence of str
        Of `NOISES`; "none" gives None.
    exact : bool
        Small rationals, with extreme ones now and then; or floats from 1e-6 to 1e3.
    """
    where = "noises"
    n = options.whole(where, "observed_dim", observed_dim, 1)
    chosen = options.names(where, "kinds", kinds, NOISES)
    options.flag(where, "exact", exact)
    return st.sampled_from(chosen).flatmap(lambda kind: _noises(kind, n, exact))


@cache
@st.composite
def _noises(draw: st.DrawFn, kind: str, n: int, exact: bool) -> Noise | None:
    if kind == "none":
        return None
    size: st.SearchStrategy[Any] = (st.one_of(positive_rationals(), positive_rationals(), extreme_positive())
                                    if exact else powers(-6, 3))
    shapes = ["isotropic"] if n == 1 else ["isotropic", "diagonal", "full"][:3 if kind == "gaussian" else 2]
    shape = draw(st.sampled_from(shapes))
    if shape == "full":
        if exact:
            return GaussianNoise(covariance=_covariance(draw, n, positive_rationals(), False, False))
        first = draw(size)
        root = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=(n, n)) * first
        covariance = root @ root.T
        return GaussianNoise(covariance=(covariance + covariance.T) / 2 + 1e-3 * first**2 * np.eye(n))
    scale = draw(size) if shape == "isotropic" else [draw(size) for _ in range(n)]
    if kind == "gaussian":
        return GaussianNoise(scale)
    if kind == "student":
        return StudentNoise(scale, draw(st.sampled_from((3, 1, Fraction(5, 2), 30))))
    return _INDEPENDENT[kind](scale)


def models(latent_dim: Span = 1, observed_dim: Span | None = None, *, components: Span = (1, 4),
           diagonal: bool = False, decoders: str | Sequence[str] = DECODERS, depth: Span = (0, 2),
           width: Span = (1, 4), pieces: Span = (1, 5), negative_slope: Any = None,
           noise: str | Sequence[str] = ("none", "gaussian"), degenerate: bool = True,
           exact: bool = True) -> st.SearchStrategy[Model]:
    """Models z ~ P, x = f(z) + noise with a Gaussian mixture P.

    Parameters
    ----------
    latent_dim, observed_dim : int or (int, int)
        Numbers m and n, or the least and the largest; by default n is m or m + 1.
    components, diagonal
        As for `gaussian_mixtures`.
    decoders : str or sequence of str
        "relu" and "piecewise"; the second only where there is one latent.
    depth, width, negative_slope
        As for `relu_networks`.
    pieces
        As for `piecewise_maps`.
    noise : str or sequence of str
        As `kinds` of `noises`.
    degenerate, exact
        As for all of them.

    Raises
    ------
    InputError
        For arguments that are none of these.
    """
    where = "models"
    dims = options.span(where, "latent_dim", latent_dim, 1)
    observed = None if observed_dim is None else options.span(where, "observed_dim", observed_dim, 1)
    chosen = options.names(where, "decoders", decoders, DECODERS)
    if chosen == ("piecewise",) and dims != (1, 1):
        raise InputError(f"models: latent_dim: expected 1 for decoders=\"piecewise\", found {latent_dim!r}")
    options.names(where, "noise", noise, NOISES)

    @st.composite
    def build(draw: st.DrawFn) -> Model:
        m = draw(st.integers(*dims))
        n = draw(st.integers(*((m, m + 1) if observed is None else observed)))
        parts: list[st.SearchStrategy[Any]] = []
        if "relu" in chosen:
            parts.append(relu_networks(m, n, depth, width, negative_slope, degenerate=degenerate, exact=exact))
        if "piecewise" in chosen and m == 1:
            parts.append(piecewise_maps(n, pieces, exact=exact))
        prior = draw(gaussian_mixtures(m, components, diagonal=diagonal, degenerate=degenerate, exact=exact))
        return Model(prior, draw(st.one_of(parts)), draw(noises(n, noise, exact=exact)))

    # Every argument is checked now, not when the first example is drawn.
    gaussian_mixtures(1, components, diagonal=diagonal, degenerate=degenerate, exact=exact)
    relu_networks(1, 1, depth, width, negative_slope, exact=exact)
    piecewise_maps(1, pieces)
    return build()


def linear_models(latent_dim: Span = (1, 2)) -> st.SearchStrategy[Model]:
    """Models x = A z + b + noise with latents of every size told apart by data: A of full column rank, little noise.

    Parameters
    ----------
    latent_dim : int or (int, int)
        Number m, or the least and the largest; n is m + 1.
    """
    return _linear_models(options.span("linear_models", "latent_dim", latent_dim, 1))


@cache
@st.composite
def _linear_models(draw: st.DrawFn, dims: tuple[int, int]) -> Model:
    m = draw(st.integers(*dims))
    prior = draw(_mixtures((m, m), (1, 3), False, False, True).filter(_is_moderate))
    # Columns of a triangular matrix with ones on its diagonal are independent; signs and sizes stay near one.
    size = st.sampled_from((Fraction(1), Fraction(-1), Fraction(2), Fraction(1, 2)))
    rows = [[draw(rationals(1)) if k < i else draw(size) if k == i else Fraction(0) for k in range(m)]
            for i in range(m + 1)]
    return Model(prior, ReLUNetwork([rows], [[draw(rationals()) for _ in rows]]), GaussianNoise(Fraction(1, 100)))


def _is_moderate(prior: GaussianMixture) -> bool:
    """Whether the variance of no direction is hidden by a noise of one hundredth, nor by that of another."""
    values = np.linalg.eigvalsh(np.sum([w * (c + np.outer(mean, mean)) for w, mean, c in zip(
        prior.weights, prior.means - prior.weights @ prior.means, prior.covariances, strict=True)], axis=0))
    return bool(values[0] > 0.05 and values[-1] < 1000)


def observations(model: Model) -> st.SearchStrategy[np.ndarray]:
    """Points x, shape (n,), where the law of a model with one latent has something to show.

    Near images of means and breakpoints, or far in a tail.

    Raises
    ------
    InputError
        For anything but a model with one latent and a Gaussian mixture as its prior.
    """
    where = "observations"
    options.instance(where, "model", model, Model)
    options.instance(where, "model: prior", model.prior, GaussianMixture)
    if model.latent_dim != 1:
        raise InputError(f"{where}: model: expected one latent, found {model.latent_dim}")
    return _observations(model)


@st.composite
def _observations(draw: st.DrawFn, model: Model) -> np.ndarray:
    centers = [*model.mixture.means[:, 0], *(float(t) for t in line_pieces(model.decoder).breakpoints)]
    z = draw(st.sampled_from(centers)) + draw(st.sampled_from([0.0, 1e-3, -1.0, 5.0]))
    n, noise = model.observed_dim, model.noise
    scales = (noise.covariance_exact(n).diagonal().astype(float) ** 0.5 if isinstance(noise, GaussianNoise) else
              np.ones(n) if noise is None else noise.scales(n))
    steps = draw(st.lists(st.sampled_from([0.0, 1.0, -3.0, 30.0, -440.0]), min_size=n, max_size=n))
    return np.asarray(model.decoder(np.array([[z]]))[0] + scales * np.array(steps))
