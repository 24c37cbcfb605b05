"""Speed of the affine distance and of alignment (``make bench``); one thread.

The squared distance with its gradient is timed against the same formula in a loop over the pairs of components, and
against automatic differentiation in torch where that is installed; then whole calls on exact copies, copies rounded to
float64, perturbed copies and unrelated mixtures. The alternatives must give the same numbers.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from ident_theory import GaussianMixture
from ident_theory.metrics.affine import affine_distance
from ident_theory.models import AffineChange
from ident_theory.recovery.alignment import align_mixtures, exact_alignments
from ident_theory.recovery.alignment_l2 import Loss, Parts, log_square_norm, parts_of

SIZES = [(5, 2), (25, 5), (25, 10)]


def _name(size) -> str:
    return f"{size[0]} components, {size[1]} latents"


def mixture(count: int, m: int, seed: int) -> GaussianMixture:
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(count, m, m)) / math.sqrt(m)
    c = roots @ roots.transpose(0, 2, 1) + 0.2 * np.eye(m)
    return GaussianMixture(rng.dirichlet(np.full(count, 5.0)), 2 * rng.normal(size=(count, m)),
                           (c + c.transpose(0, 2, 1)) / 2)


def copy(a: GaussianMixture, noise: float, seed: int = 9) -> GaussianMixture:
    """A copy by a random affine map, its components permuted, in float64."""
    rng = np.random.default_rng(seed)
    count, m = a.means.shape
    matrix, order = rng.normal(size=(m, m)), rng.permutation(count)
    wobble = matrix @ (np.eye(m) + noise * rng.normal(size=(count, m, m)))
    c = wobble @ a.covariances @ wobble.transpose(0, 2, 1)
    means = (a.means + noise * rng.normal(size=(count, m))) @ matrix.T + rng.normal(size=m)
    return GaussianMixture(a.weights[order], means[order], ((c + c.transpose(0, 2, 1)) / 2)[order])


def looped(p: Parts, q: Parts, matrix: np.ndarray, shift: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Squared distance and gradient, one pair of components after the other."""
    m = p.dim
    log_det = np.linalg.slogdet(matrix)[1]
    log_p, log_q = log_square_norm(p), log_square_norm(q)
    cosine, by_matrix, by_shift = 0.0, np.zeros((m, m)), np.zeros(m)
    for w, mu, sigma in zip(p.weights, p.means, p.covariances, strict=True):
        for v, nu, gamma in zip(q.weights, q.means, q.covariances, strict=True):
            both = matrix @ sigma @ matrix.T + gamma
            root = np.linalg.cholesky(both)
            inverse = np.linalg.inv(both)
            gap = matrix @ mu + shift - nu
            pull = inverse @ gap
            log = -0.5 * (m * math.log(2 * math.pi) + gap @ pull) - np.log(np.diag(root)).sum()
            term = w * v * math.exp(log - 0.5 * (log_p - log_det + log_q))
            cosine += term
            by_matrix += term * ((np.outer(pull, pull) - inverse) @ matrix @ sigma - np.outer(pull, mu))
            by_shift -= term * pull
    ratio = 0.5 * (log_p - log_q - log_det)
    outward = np.linalg.inv(matrix).T
    return (2 * math.cosh(ratio) - 2 * cosine, -(math.sinh(ratio) + cosine) * outward - 2 * by_matrix, -2 * by_shift)


def _problem(size):
    p, q = parts_of(mixture(*size, seed=1)), parts_of(mixture(*size, seed=2))
    rng = np.random.default_rng(3)
    return p, q, np.eye(size[1]) + 0.1 * rng.normal(size=(size[1], size[1])), 0.1 * rng.normal(size=size[1])


def _agree(found, p, q, matrix, shift):
    for one, two in zip(found, Loss(p, q)(matrix, shift), strict=True):
        assert np.allclose(one, two, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("size", SIZES, ids=_name)
def test_value_and_gradient(benchmark, size):
    p, q, matrix, shift = _problem(size)
    loss = Loss(p, q)
    benchmark(lambda: loss(matrix, shift))
    benchmark.extra_info.update(affine=_name(size), group="gradient", way="ours")


@pytest.mark.parametrize("size", SIZES, ids=_name)
def test_value_and_gradient_in_a_loop(benchmark, size):
    p, q, matrix, shift = _problem(size)
    _agree(benchmark.pedantic(lambda: looped(p, q, matrix, shift), rounds=5), p, q, matrix, shift)
    benchmark.extra_info.update(affine=f"{_name(size)}, loop over pairs", group="gradient", way="loop")


@pytest.mark.parametrize("size", SIZES, ids=_name)
def test_value_and_gradient_by_torch(benchmark, size):
    torch = pytest.importorskip("torch")
    p, q, matrix, shift = _problem(size)
    m = size[1]
    fixed = [torch.tensor(np.asarray(x)) for part in (p, q) for x in (part.weights, part.means, part.covariances)]
    log_p, log_q = log_square_norm(p), log_square_norm(q)
    w, mu, sigma, v, nu, gamma = fixed

    def evaluate():
        a, t = torch.tensor(matrix, requires_grad=True), torch.tensor(shift, requires_grad=True)
        log_det = torch.linalg.slogdet(a)[1]
        root = torch.linalg.cholesky((a @ sigma @ a.T)[:, None] + gamma)
        gaps = ((mu @ a.T + t)[:, None] - nu)[..., None]
        scaled = torch.linalg.solve_triangular(root, gaps, upper=False)
        logs = torch.log(w)[:, None] + torch.log(v) - 0.5 * (m * math.log(2 * math.pi) + (scaled**2).sum((-1, -2))) \
            - torch.log(torch.diagonal(root, dim1=-2, dim2=-1)).sum(-1)
        ratio = 0.5 * (log_p - log_q - log_det)
        value = 2 * torch.cosh(ratio) - 2 * torch.exp(logs - 0.5 * (log_p - log_det + log_q)).sum()
        value.backward()
        return value.item(), a.grad.numpy(), t.grad.numpy()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _agree(benchmark.pedantic(evaluate, rounds=10, warmup_rounds=2), p, q, matrix, shift)
    finally:
        torch.set_num_threads(threads)
    benchmark.extra_info.update(affine=f"{_name(size)}, torch autograd", group="gradient", way="torch")


PAIRS = {"exact copy": lambda a: AffineChange(np.random.default_rng(4).normal(size=(a.latent_dim,) * 2),
                                              np.zeros(a.latent_dim)).carry(a),
         "copy in float64": lambda a: copy(a, 0.0), "copy perturbed by 1e-3": lambda a: copy(a, 1e-3),
         "unrelated": lambda a: mixture(a.n_components, a.latent_dim, seed=2)}


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("size", SIZES, ids=_name)
def test_affine_distance(benchmark, size, kind):
    a = mixture(*size, seed=1)
    b = PAIRS[kind](a)
    found = benchmark.pedantic(lambda: affine_distance(a, b), rounds=1)
    assert found.means_matching_value is None or found.value <= found.means_matching_value
    benchmark.extra_info.update(affine=f"{_name(size)}, {kind}", group="distance", value=found.value,
                                means=found.means_matching_value, evaluations=found.n_evaluations,
                                converged=found.converged)


@pytest.mark.parametrize("size", SIZES, ids=_name)
def test_alignment(benchmark, size):
    a = mixture(*size, seed=1)
    b = copy(a, 1e-3)
    found = benchmark.pedantic(lambda: align_mixtures(a, b), rounds=2)
    benchmark.extra_info.update(affine=f"{_name(size)}, align", group="align", residual=found.residual)


@pytest.mark.parametrize("size", SIZES, ids=_name)
def test_exact_alignment(benchmark, size):
    a = mixture(*size, seed=1)
    b = PAIRS["exact copy"](a)
    found = benchmark.pedantic(lambda: exact_alignments(a, b), rounds=2)
    assert found.complete
    assert len(found.changes) == 1
    benchmark.extra_info.update(affine=f"{_name(size)}, exact", group="align", residual=0.0)
